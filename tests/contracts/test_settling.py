"""settleRound: its checks, balances to the unit, strikes, misses, ejections, ends: docs/security/job-market.tree."""

import pytest
from brownie import ZERO_ADDRESS
from model import loss_units
from world import (
    CID,
    COMPLETED,
    CONFIRMING,
    FAULTY,
    LONG_CID,
    MOST,
    NO_TICKET,
    REFERENCE,
    ROUND,
    RUNNING,
    SLASH,
    USUAL,
    ZERO32,
    commitment,
    credits,
    mask,
    move_to,
    now,
    refuses,
)

ALL = mask(0, 1, 2, 3)


# ------------------------------------------------------------------ announceSum


def test_a_sum_is_announced_as_often_as_one_likes_and_changes_nothing(world):
    job = world.running()
    world.submit(job, 0, 1, 2, 3)
    before = world.market.job(job).dict()
    for selected, sum_hash in ((mask(0, 1), commitment(1)), (0, ZERO32), (ALL, commitment(1))):
        sent = world.market.announceSum(job, 1, selected, sum_hash, CID, {"from": world.aggregator})
        (event,) = sent.events
        assert (event.name, dict(event)) == (
            "SumAnnounced",
            {"jobId": job, "round": 1, "selected": selected, "sumCommitment": sum_hash, "sumCid": CID},
        )
    assert world.market.job(job).dict() == before
    world.settle(job, mask(2))  # whatever was announced


def test_only_what_its_aggregator_could_settle_is_announced(world):
    job = world.running()
    announce = world.market.announceSum
    with refuses("NothingSubmitted", job, 1):
        announce(job, 1, 1, commitment(1), CID, {"from": world.aggregator})
    world.submit(job, 0, 1, 2)
    with refuses("SubmittingOpen", job, world.market.job(job)["submitBy"]):
        announce(job, 1, 1, commitment(1), CID, {"from": world.aggregator})
    world.submit(job, 3)
    for other in (world.owner, world.operator(0), world.fees, world.stranger):
        with refuses("NotAggregator", job, other):
            announce(job, 1, 1, commitment(1), CID, {"from": other})
    for wrong in (0, 2):
        with refuses("WrongRound", job, 1, wrong):
            announce(job, wrong, 1, commitment(1), CID, {"from": world.aggregator})
    for cid in ("", LONG_CID):
        with refuses("InvalidCid", len(cid)):
            announce(job, 1, 1, commitment(1), cid, {"from": world.aggregator})
    last = world.market.job(job)["settleBy"]
    move_to(last + 1)
    with refuses("SettlingClosed", job, last):
        announce(job, 1, 1, commitment(1), CID, {"from": world.aggregator})


# ------------------------------------------------------------------ when, and by whom


def test_a_round_is_settled_by_its_aggregator_alone(world):
    job = world.running()
    world.submit(job, 0, 1, 2, 3)
    for other in (world.owner, world.operator(0), world.fees, world.stranger):
        with refuses("NotAggregator", job, other):
            world.market.settleRound(job, 1, *world.judged(job, ALL), {"from": other})


def test_a_settlement_names_the_running_round(world):
    job = world.running()
    world.submit(job, 0, 1, 2, 3)
    for wrong in (0, 2):
        with refuses("WrongRound", job, 1, wrong):
            world.market.settleRound(job, wrong, *world.judged(job, ALL), {"from": world.aggregator})
    world.settle(job, ALL)
    with refuses("WrongRound", job, 2, 1):
        world.market.settleRound(job, 1, *world.judged(job, ALL), {"from": world.aggregator})


def test_a_round_is_settled_once_all_have_submitted_or_the_time_is_over(world):
    job = world.running()
    with refuses("NothingSubmitted", job, 1):
        world.settle(job)
    world.submit(job, 0, 1, 2)
    last = world.market.job(job)["submitBy"]
    move_to(last)
    with refuses("SubmittingOpen", job, last):
        world.settle(job, mask(0, 1, 2))
    world.submit(job, 3)
    world.settle(job, ALL)
    world.submit(job, 0)
    world.past_submitting(job)
    world.settle(job, mask(0))


def test_a_round_is_settled_up_to_and_including_its_last_second(world):
    job, late = world.running(), world.running()
    world.submit(job, 0)
    world.submit(late, 0)
    last = world.market.job(job)["settleBy"]
    move_to(last)
    world.settle(job, mask(0))
    move_to(last + 1)
    with refuses("SettlingClosed", late, last):
        world.settle(late, mask(0))


# ------------------------------------------------------------------ what is refused


def test_only_submitted_slots_are_judged(coin_world):
    job = coin_world.running()
    coin_world.submit(job, 0, 1)
    coin_world.past_submitting(job)
    for judgement in ({"selected": mask(0, 2)}, {"unopened": mask(2)}, {"selected": 1 << 31}):
        judged = judgement.get("selected", 0) | judgement.get("unopened", 0)
        with refuses("NotSubmitted", job, judged, mask(0, 1)):
            coin_world.settle(job, **judgement)


def test_a_slot_is_not_both_selected_and_unopened(coin_world):
    job = coin_world.running()
    coin_world.submit(job, 0, 1, 2, 3)
    with refuses("SelectedUnopened", job, ALL, mask(1)):
        coin_world.settle(job, ALL, unopened=mask(1))


def test_an_aggregator_cannot_drop_more_submissions_than_the_terms_allow(coin_world):
    job = coin_world.running(5, **FAULTY)
    coin_world.submit(job, 0, 1, 2, 3, 4)
    with refuses("TooManyUnopened", job, 2, 1):
        coin_world.settle(job, mask(0, 1), unopened=mask(2, 3))
    coin_world.settle(job, mask(0, 1, 2, 4), unopened=mask(3))


def test_only_who_opened_and_is_not_selected_is_struck(coin_world):
    job = coin_world.running(5, **FAULTY)
    coin_world.submit(job, 0, 1, 2, 4)
    coin_world.past_submitting(job)
    for struck in (mask(0), mask(0, 1), mask(2), mask(3), 1 << 31, mask(1, 2)):  # selected, unopened, missing, nobody
        with refuses("WrongStrikes", job, struck):
            coin_world.settle(job, mask(0), unopened=mask(2), struck=struck)
    coin_world.settle(job, mask(0), unopened=mask(2), struck=mask(1))


def test_something_is_opened_wherever_something_was_submitted(coin_world):
    job = coin_world.running(5, **FAULTY)
    coin_world.submit(job, 2)
    coin_world.past_submitting(job)
    with refuses("TooManyUnopened", job, 1, 0):
        coin_world.settle(job, unopened=mask(2))


def test_each_selected_slot_has_one_score(coin_world):
    job = coin_world.running()
    coin_world.submit(job, 0, 1, 2, 3)
    for scores in ([], [1], [1, 1, 1]):
        with refuses("ScoreCount", job, len(scores), 2):
            coin_world.settle(job, mask(0, 3), scores=scores)
    with refuses("ScoreCount", job, 1, 0):
        coin_world.settle(job, scores=[1])


def test_under_rule_reference_each_selected_slot_has_one_coefficient_and_else_none_has(coin_world):
    whole, scaled = coin_world.running(rule=1), coin_world.running(rule=2)
    for job, required, wrong in ((whole, 0, [1, 1]), (scaled, 2, []), (scaled, 2, [1]), (scaled, 2, [1, 1, 1])):
        if not coin_world.market.job(job)["submitted"]:
            coin_world.submit(job, 0, 1, 2, 3)
        with refuses("CoefficientCount", job, len(wrong), required):
            coin_world.settle(job, mask(0, 3), coefficients=wrong)


def test_a_coefficient_takes_no_more_than_the_whole_update(coin_world):
    job = coin_world.running(rule=2)
    coin_world.submit(job, 0, 1, 2, 3)
    for wrong in ([4097, 0], [0, 2**16 - 1]):
        with refuses("InvalidCoefficient", job, max(wrong)):
            coin_world.settle(job, mask(0, 3), coefficients=wrong)
    coin_world.settle(job, mask(0, 3), coefficients=[4096, 0])


def test_there_is_a_sum_exactly_where_something_is_selected(coin_world):
    job = coin_world.running()
    coin_world.submit(job, 0, 1, 2, 3)
    for cid in ("", LONG_CID):
        with refuses("InvalidCid", len(cid)):
            coin_world.settle(job, ALL, sumCid=cid)
    with refuses("InvalidCid", len(CID)):
        coin_world.settle(job, sumCid=CID)
    coin_world.settle(job)


def test_reference_rows_are_given_exactly_under_the_rule_reference(coin_world):
    by_rule = {rule: coin_world.running(rule=rule) for rule in (1, 2)}
    for rule, job in by_rule.items():
        coin_world.submit(job, 0, 1, 2, 3)
        wrong = [(CID, ZERO32), ("", commitment(1)), (CID, commitment(1)) if rule == 1 else ("", ZERO32)]
        for cid, given in wrong:
            with refuses("ReferenceRows", job, rule):
                coin_world.settle(job, ALL, referenceCid=cid, referenceCommitment=given)
    for exponent in (-1, 1, 2**15 - 1, -(2**15)):
        with refuses("ReferenceRows", by_rule[1], 1):
            coin_world.settle(by_rule[1], ALL, rowExponent=exponent)
    with refuses("InvalidCid", 101):
        coin_world.settle(by_rule[2], ALL, referenceCid=LONG_CID)
    coin_world.settle(by_rule[1], ALL)
    coin_world.settle(by_rule[2], ALL)


# ------------------------------------------------------------------ what a round adds


def test_a_round_adds_to_balances_and_moves_no_money(world):
    job = world.running()
    world.submit(job, 0, 1, 2, 3)
    before = world.balance()
    tx = world.settle(job, mask(0, 2, 3), scores=[1, 0, 2])
    assert credits(tx) == {}
    assert world.balance() == before
    assert world.balances(job) == [ROUND // 3, 0, 0, 2 * ROUND // 3]
    event = tx.events["RoundSettled"]
    assert (event["round"], event["submitted"]) == (1, ALL)
    unopened, selected, struck, scores, exponent, *rest = event["settlement"]
    assert (unopened, selected, struck, list(scores), exponent) == (0, mask(0, 2, 3), 0, [1, 0, 2], 0)
    assert [str(part) for part in rest] == ["()", CID, commitment("sum"), "", ZERO32]
    opened = tx.events["RoundOpened"]
    assert (opened["round"], opened["submitBy"], opened["settleBy"]) == (2, now() + 100, now() + 150)
    held = world.market.job(job)
    assert (held["round"], held["submitted"], held["state"], held["settled"]) == (2, 0, RUNNING, 1)
    assert (held["escrow"], held["pot"], held["rate"]) == (3300, 0, 2**40)


def test_the_largest_scores_share_a_round(coin_world):
    job = coin_world.running(rounds=1)
    coin_world.submit(job, 0, 1, 2, 3)
    most = 2**95 - 1
    coin_world.settle(job, ALL, scores=[most, most, most, 1])
    assert coin_world.balances(job) == [ROUND * score // (3 * most + 1) for score in (most, most, most, 1)]


def test_under_rule_reference_a_score_counts_in_units_of_loss_and_may_be_negative(world):
    """score · rate · 2^(scaleExponent + rowExponent + 8) / selected, rounded down."""
    job = world.running(rule=REFERENCE, rate=3 * 2**38, scaleExponent=-15)
    world.submit(job, 0, 1, 2, 3)
    world.settle(job, mask(0, 1, 3), scores=[7, -7, 0], rowExponent=-38)
    # 7 · 3 · 2^38 · 2^(-15 - 38 + 8) / 3 = 7 / 2^7
    assert world.balances(job) == [0, -1, 0, 0]
    world.submit(job, 0, 1, 2, 3)
    world.settle(job, mask(0, 1), scores=[1000, -1001], rowExponent=-30)
    # 1000 · 3 · 2^38 · 2^(-15 - 30 + 8) / 2 = 1000 · 3
    assert world.balances(job) == [3000, -1 - 3003, 0, 0]
    held = world.market.job(job)
    assert (held["earned"], held["missedOut"]) == (3000, 0)


def test_a_round_adds_and_takes_no_more_than_its_bound_whatever_scale_is_stated(world):
    job = world.running(rule=REFERENCE, rounds=9)
    balances = [0, 0]
    for scores in ([2**95 - 1, -(2**95)], [1, -1], [0, 1]):
        for exponent in (2**15 - 1, -(2**15)):
            world.submit(job, 0, 1, 2, 3)
            world.settle(job, mask(0, 1), scores=scores, rowExponent=exponent)
            units = [loss_units(score, 2**40, exponent - 15, 2) for score in scores]
            most = MOST if exponent > 0 else 0
            assert units == [most if score > 0 else min(-most, -1) if score else 0 for score in scores]
            balances = [balance + unit for balance, unit in zip(balances, units, strict=True)]
            assert world.balances(job, range(2)) == balances
    assert balances == [2 * MOST, -MOST - 2]


def test_the_rate_decays_from_round_to_round_and_scales_what_is_added(world):
    decay = 2**31 + 12345
    job = world.running(rule=REFERENCE, rounds=4, rateDecay=decay, rate=2**40 + 7)
    rate, balance = 2**40 + 7, 0
    for _ in range(3):
        assert world.market.job(job)["rate"] == rate
        world.submit(job, 0, 1, 2, 3)
        world.settle(job, mask(0), scores=[12345], rowExponent=-2)
        balance += loss_units(12345, rate, -17, 1)
        rate = rate * decay // 2**32
        assert world.balances(job, [0]) == [balance]


def test_a_rate_that_decayed_to_nothing_adds_nothing(world):
    job = world.running(rule=REFERENCE, rate=1, rateDecay=1)
    world.settled(job, scores=[1, 2, 3, 4], rowExponent=2**15 - 1)
    assert world.balances(job) == 4 * [MOST]
    assert world.market.job(job)["rate"] == 0
    world.settled(job, scores=[1, -2, 3, 4], rowExponent=2**15 - 1)
    assert world.balances(job) == 4 * [MOST]


@pytest.mark.parametrize("judgement", [{}, {"selected": ALL, "scores": [0, 0, 0, 0]}, {"unopened": mask(3)}])
def test_a_round_may_bring_nothing_to_anybody(world, judgement):
    job = world.running(5, **FAULTY)
    world.submit(job, 0, 1, 2, 3, 4)
    assert credits(world.settle(job, **judgement)) == {}
    held = world.market.job(job)
    assert (held["escrow"], held["settled"], held["earned"]) == (3300, 1, 0)
    assert world.balances(job, range(5)) == [0, 0, 0, 0, 0]
    absences = [world.market.trainer(job, slot)["absences"] for slot in range(5)]
    assert absences == [0, 0, 0, 1 if "unopened" in judgement else 0, 0]


def test_absences_are_settled_rounds_without_an_opened_submission(world):
    job = world.running(5, rounds=9, maxMissed=9, **FAULTY)
    world.leave(job, 4)
    for submitters, unopened, expected in (
        ((0, 1, 2), (), [0, 0, 0, 1]),
        ((0, 1, 2, 3), (3,), [0, 0, 0, 2]),
        ((1, 3), (), [1, 0, 1, 2]),
        ((0, 1, 2, 3), (), [1, 0, 1, 2]),
    ):
        world.submit(job, *submitters)
        world.past_submitting(job)
        world.settle(job, mask(*(set(submitters) - set(unopened))), unopened=mask(*unopened))
        assert [world.market.trainer(job, slot)["absences"] for slot in range(4)] == expected
    assert world.market.job(job)["absences"] == 4


def test_a_job_runs_to_completion_and_nothing_is_left_in_it(world):
    before = world.balance()
    job = world.running(5, **FAULTY)
    for number in (1, 2, 3):
        world.submit(job, 0, 1, 2, 3, 4)
        tx = world.settle(job, mask(0, 1, 2), unopened=mask(3))
        assert world.market.job(job)["state"] == (RUNNING if number < 3 else CONFIRMING)
    assert credits(tx) == {}
    assert "RoundOpened" not in tx.events
    assert "Ended" not in tx.events
    tx = world.complete(job)
    assert credits(tx) == {(world.fees, "Fee"): 300, (world.fees, "Bond"): 700}
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (COMPLETED, 3000)
    assert world.claim_all(job) == {
        **{(world.payee(i), "Pay"): 1000 for i in range(3)},
        **{(world.payee(i), "Stake"): 501 for i in range(5)},
    }
    held = world.market.job(job)
    assert (held["escrow"], held["pot"], held["claimed"], held["submitted"]) == (0, 3000, mask(*range(5)), 0)
    for party in (world.fees, *(world.payee(i) for i in range(5))):
        world.market.withdraw(world.currency, {"from": party})
    assert world.balance() == before


# ------------------------------------------------------------------ strikes, misses, ejections


def test_unopened_submissions_cost_neither_strike_nor_miss(world):
    job = world.running(5, rounds=5, **FAULTY)
    for _ in range(3):
        world.submit(job, 0, 1, 2, 3, 4)
        world.settle(job, mask(0, 1, 2), unopened=mask(3))
    assert world.trainer(job, 3)[2:] == (0, 0)
    assert world.market.job(job)["active"] == mask(*range(5))


def test_not_to_be_selected_is_no_strike(world):
    job = world.running(rounds=5)
    world.settled(job, selected=mask(0, 1))
    assert [world.trainer(job, slot)[3] for slot in range(4)] == [0, 0, 0, 0]


def test_strikes_count_and_nobody_is_ejected_for_them(world):
    job = world.running(rounds=5, maxStrikes=2)
    for strikes in (1, 2, 3, 4):
        tx = world.settled(job, selected=mask(0, 1), struck=mask(2, 3) if strikes < 4 else mask(3))
        assert "Ejected" not in tx.events
        assert credits(tx) == {}
        assert [world.trainer(job, slot)[3] for slot in range(4)] == [0, 0, min(strikes, 3), strikes]
    held = world.market.job(job)
    assert (held["active"], held["pot"]) == (ALL, 0)
    assert world.market.trainer(job, 3)["absences"] == 0  # its submissions did open


def test_strikes_stop_where_their_byte_ends(coin_world):
    job = coin_world.running(1, minTrainers=1, rounds=260, maxStrikes=255)
    for strikes in range(1, 259):
        coin_world.submit(job, 0)
        coin_world.past_submitting(job)
        coin_world.settle(job, struck=mask(0))
        if strikes > 253:
            assert coin_world.trainer(job, 0)[3] == min(strikes, 255)


def test_misses_eject_only_when_they_are_in_a_row(world):
    job = world.running(rounds=9)
    everyone, without = (0, 1, 2, 3), (0, 1, 2)
    for submitters, missed in ((without, 1), (everyone, 0), (without, 1)):
        world.submit(job, *submitters)
        world.past_submitting(job)
        world.settle(job, mask(*submitters))
        assert world.trainer(job, 3)[2:] == (missed, 0)
    world.submit(job, *without)
    world.past_submitting(job)
    tx = world.settle(job, mask(*without))
    assert [(event["slot"], event["slashed"]) for event in tx.events["Ejected"]] == [(3, SLASH)]
    assert credits(tx) == {(world.payee(3), "Stake"): 501 - SLASH}
    held = world.market.job(job)
    assert (held["active"], held["members"], held["pot"]) == (mask(0, 1, 2), ALL, SLASH)
    record = world.market.trainer(job, 3)
    kept = [record[name] for name in ("operator", "balance", "absences", "opened", "staked")]
    assert kept == [world.operator(3), ROUND // 4, 3, 1, False]
    with refuses("NotTrainer", job, world.operator(3)):
        world.submit(job, 3)
    with refuses("NotTrainer", job, world.operator(3)):
        world.market.leave(job, {"from": world.operator(3)})


def test_who_disputed_in_a_round_has_not_missed_it_but_was_absent(world):
    job = world.running(5, maxMissed=1, rounds=5, **FAULTY)
    world.settled(job)
    world.dispute(job, 3)
    world.submit(job, 0, 1, 4)
    world.past_submitting(job)
    tx = world.settle(job, mask(0, 1))
    assert [event["slot"] for event in tx.events["Ejected"]] == [2]
    assert world.trainer(job, 3)[2] == 0
    assert world.market.trainer(job, 3)["absences"] == 1


def test_slashes_for_misses_are_in_the_pot_that_is_divided(world):
    job = world.running(maxMissed=1, rounds=2)
    world.submit(job, 0, 1)
    world.past_submitting(job)
    world.settle(job, mask(0, 1), scores=[3, 1])
    assert world.market.job(job)["pot"] == 2 * SLASH
    world.settled(job, scores=[3, 1])
    tx = world.complete(job)
    assert credits(tx) == {(world.fees, "Fee"): 200, (world.fees, "Bond"): 700}
    assert tx.events["Ended"]["pot"] == 2000 + 2 * SLASH == 2300
    assert world.claim_all(job) == {
        (world.payee(0), "Pay"): 1725,
        (world.payee(1), "Pay"): 575,
        **{(world.payee(i), "Stake"): 501 for i in (0, 1)},
    }


def test_what_the_last_round_slashes_is_in_the_pot(world):
    job = world.running(rounds=1, maxMissed=1)
    world.submit(job, 0, 1, 2)
    world.past_submitting(job)
    tx = world.settle(job, mask(0, 1))
    assert [event["slot"] for event in tx.events["Ejected"]] == [3]
    assert credits(tx) == {(world.payee(3), "Stake"): 501 - SLASH}
    assert world.complete(job).events["Ended"]["pot"] == 1000 + SLASH
    assert world.claim_all(job)[world.payee(0), "Pay"] == (1000 + SLASH) // 2


@pytest.mark.parametrize(("bps", "slashed"), [(0, 0), (10_000, 501), (1, 0), (9999, 500)])
def test_an_ejection_and_too_many_strikes_cost_their_part_of_the_stake_rounded_down(world, bps, slashed):
    job = world.running(maxMissed=1, maxStrikes=1, slashBps=bps, rounds=1)
    world.submit(job, 0, 1, 2)
    world.past_submitting(job)
    tx = world.settle(job, mask(0, 1), struck=mask(2))
    assert tx.events["Ejected"]["slashed"] == slashed
    assert credits(tx).get((world.payee(3), "Stake"), 0) == 501 - slashed
    assert world.market.job(job)["pot"] == slashed
    world.complete(job)
    tx = world.claim(job, 2)
    assert (tx.events["Claimed"]["stake"], tx.events["Claimed"]["slashed"]) == (501 - slashed, slashed)
    assert credits(tx).get((ZERO_ADDRESS, "Burnt"), 0) == slashed


def test_who_is_ejected_is_slashed_once_whatever_its_strikes(world):
    job = world.running(maxMissed=1, maxStrikes=1, rounds=2)
    world.settled(job, selected=mask(0, 1, 2), struck=mask(3))
    world.submit(job, 0, 1, 2)
    world.past_submitting(job)
    tx = world.settle(job, mask(0, 1, 2))
    assert credits(tx) == {(world.payee(3), "Stake"): 501 - SLASH}
    world.complete(job)
    tx = world.claim(job, 3)
    assert credits(tx) == {}
    assert (tx.events["Claimed"]["stake"], tx.events["Claimed"]["slashed"]) == (0, 0)


def test_the_same_payee_may_stand_behind_several_trainers(world):
    job = world.create(rounds=1)
    world.accept(job)
    for i in range(4):
        sender = {"from": world.operator(i), "value": world.value(USUAL["stake"])}
        world.market.join(job, world.payee(0), commitment(1), NO_TICKET, sender)
    world.market.start(job, {"from": world.owner})
    world.market.publishKey(job, CID, {"from": world.aggregator})
    world.settled(job)
    world.complete(job)
    assert world.claim_all(job) == {(world.payee(0), "Pay"): 1000, (world.payee(0), "Stake"): 4 * 501}


def test_32_trainers_fit_into_a_block(coin_world):
    job = coin_world.running(32, maxTrainers=32, rounds=1)
    coin_world.submit(job, *range(32))
    tx = coin_world.settle(job, 2**32 - 1, scores=list(range(1, 33)))
    assert tx.gas_used < 3_000_000
    coin_world.complete(job)
    assert credits(coin_world.claim(job, 31))[coin_world.payee(31), "Pay"] == 1000 * 32 // 528
