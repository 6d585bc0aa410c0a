"""settleRound: its checks, pay to the unit, strikes, ejections, carried pots, ends: docs/security/job-market.tree."""

import pytest
from world import (
    ABORTED,
    CID,
    COMPLETED,
    CONFIRMING,
    LONG_CID,
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
    job = coin_world.running(maxFaulty=1)
    coin_world.submit(job, 0, 1, 2, 3)
    with refuses("TooManyUnopened", job, 2, 1):
        coin_world.settle(job, mask(0, 1), unopened=mask(2, 3))
    coin_world.settle(job, mask(0, 1, 2), unopened=mask(3))


def test_each_selected_slot_has_one_weight(coin_world):
    job = coin_world.running()
    coin_world.submit(job, 0, 1, 2, 3)
    for weights in ([], [1], [1, 1, 1]):
        with refuses("WeightCount", job, len(weights), 2):
            coin_world.settle(job, mask(0, 3), weights=weights)
    with refuses("WeightCount", job, 1, 0):
        coin_world.settle(job, weights=[1])


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
    with refuses("InvalidCid", 101):
        coin_world.settle(by_rule[2], ALL, referenceCid=LONG_CID)
    coin_world.settle(by_rule[1], ALL)
    coin_world.settle(by_rule[2], ALL)


# ------------------------------------------------------------------ pay


def test_pay_follows_the_weights_and_what_rounding_leaves_stays_in_escrow(world):
    job = world.running()
    world.submit(job, 0, 1, 2, 3)
    tx = world.settle(job, mask(0, 2, 3), weights=[1, 0, 2])
    assert credits(tx) == {
        (world.payee(0), "Pay"): 333,
        (world.payee(3), "Pay"): 666,
    }
    assert world.market.job(job)["escrow"] == 3300 - 1000 + 1
    event = tx.events["RoundSettled"]
    assert (event["round"], event["submitted"], event["pot"]) == (1, ALL, 1000)
    unopened, selected, weights, *rest = event["settlement"]
    assert (unopened, selected, list(weights)) == (0, mask(0, 2, 3), [1, 0, 2])
    assert [str(part) for part in rest] == ["()", CID, commitment("sum"), "", ZERO32]
    opened = tx.events["RoundOpened"]
    assert (opened["round"], opened["submitBy"], opened["settleBy"]) == (2, now() + 100, now() + 150)
    held = world.market.job(job)
    assert (held["round"], held["submitted"], held["state"]) == (2, 0, RUNNING)


def test_the_largest_pot_is_divided_by_the_largest_weights(coin_world):
    pot, weight = 10**21, 2**96 - 1
    job = coin_world.running(rounds=1, reward=pot)
    coin_world.submit(job, 0, 1, 2, 3)
    tx = coin_world.settle(job, ALL, weights=[weight, weight, weight, 1])
    expected = [pot * w // (3 * weight + 1) for w in (weight, weight, weight, 1)]
    assert [credits(tx).get((coin_world.payee(i), "Pay"), 0) for i in range(4)] == expected


@pytest.mark.parametrize("judgement", [{}, {"selected": ALL, "weights": [0, 0, 0, 0]}, {"unopened": ALL}])
def test_without_weight_the_pot_stays_with_the_owner_and_the_aggregator_is_to_be_paid(world, judgement):
    job = world.running(maxTrainers=8, maxFaulty=4)
    world.submit(job, 0, 1, 2, 3)
    tx = world.settle(job, **judgement)
    assert credits(tx) == {}
    held = world.market.job(job)
    assert (held["escrow"], held["feeDue"]) == (3300, True)


def test_a_job_runs_to_completion_and_nothing_is_left_in_it(world):
    before = world.balance()
    job = world.running()
    for number in (1, 2, 3):
        world.submit(job, 0, 1, 2, 3)
        tx = world.settle(job, mask(0, 1, 2), weights=[1, 1, 1], unopened=mask(3))
        assert world.market.job(job)["state"] == (RUNNING if number < 3 else CONFIRMING)
    assert credits(tx) == {**{(world.payee(i), "Pay"): 333 for i in range(3)}, (world.fees, "Fee"): 100}
    assert "RoundOpened" not in tx.events
    assert "Ended" not in tx.events
    tx = world.complete(job)
    assert credits(tx) == {
        **{(world.payee(i), "Stake"): 501 for i in range(4)},
        (world.fees, "Fee"): 100,
        (world.fees, "Bond"): 700,
        (world.owner, "Refund"): 3,
    }
    assert tx.events["Ended"]["state"] == COMPLETED
    held = world.market.job(job)
    assert (held["escrow"], held["carry"], held["active"], held["submitted"]) == (0, 0, 0, 0)
    parties = [world.owner, world.fees] + [world.payee(i) for i in range(4)]
    for party in parties:
        world.market.withdraw(world.currency, {"from": party})
    assert world.balance() == before


# ------------------------------------------------------------------ strikes, misses, ejections


def test_unopened_submissions_cost_neither_strike_nor_miss(world):
    job = world.running(rounds=5)
    for _ in range(3):
        world.submit(job, 0, 1, 2, 3)
        world.settle(job, mask(0, 1, 2), unopened=mask(3))
    assert world.trainer(job, 3)[2:] == (0, 0)
    assert world.market.job(job)["active"] == ALL


def test_outliers_are_ejected_at_the_strike_that_is_too_many_even_if_not_in_a_row(world):
    job = world.running(rounds=5)
    for selected, strikes in ((mask(0, 1, 2), 1), (ALL, 1)):
        world.submit(job, 0, 1, 2, 3)
        world.settle(job, selected)
        assert world.trainer(job, 3)[2:] == (0, strikes)
    world.submit(job, 0, 1, 2, 3)
    tx = world.settle(job, mask(0, 1, 2))
    event = tx.events["Ejected"]
    assert (event["slot"], event["strikes"], event["slashed"]) == (3, True, SLASH)
    assert credits(tx)[world.payee(3), "Stake"] == 501 - SLASH
    held = world.market.job(job)
    assert (held["active"], held["carry"]) == (mask(0, 1, 2), SLASH)
    assert world.trainer(job, 3) == ("0x" + "0" * 40, "0x" + "0" * 40, 0, 0)
    with refuses("NotTrainer", job, world.operator(3)):
        world.submit(job, 3)
    with refuses("NotTrainer", job, world.operator(3)):
        world.market.leave(job, {"from": world.operator(3)})


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
    event = tx.events["Ejected"]
    assert (event["slot"], event["strikes"], event["slashed"]) == (3, False, SLASH)
    assert credits(tx)[world.payee(3), "Stake"] == 501 - SLASH


def test_slashes_are_carried_into_the_next_pot_and_paid_to_trainers(world):
    job = world.running(maxStrikes=1)
    world.submit(job, 0, 1, 2, 3)
    world.settle(job, mask(0, 1))
    assert world.market.job(job)["carry"] == 2 * SLASH
    world.submit(job, 0, 1)
    tx = world.settle(job, mask(0, 1), weights=[3, 1])
    assert tx.events["RoundSettled"]["pot"] == 1000 + 2 * SLASH == 1300
    assert credits(tx) == {(world.payee(0), "Pay"): 975, (world.payee(1), "Pay"): 325, (world.fees, "Fee"): 100}
    assert world.market.job(job)["carry"] == 0


def test_a_carried_pot_without_weight_goes_to_the_owner_and_not_to_the_aggregator(world):
    job = world.running(maxStrikes=1, rounds=2)
    world.submit(job, 0, 1, 2, 3)
    world.settle(job, mask(0, 1, 2))
    world.submit(job, 0, 1, 2)
    world.settle(job, mask(0, 1, 2), weights=[0, 0, 0])
    left_of_round_1 = 1000 - 3 * 333
    assert credits(world.complete(job))[world.owner, "Refund"] == 1000 + SLASH + left_of_round_1


def test_what_the_last_round_slashes_joins_its_own_pot(world):
    job = world.running(rounds=1, maxStrikes=1, maxMissed=1)
    world.submit(job, 0, 1, 2)
    world.past_submitting(job)
    tx = world.settle(job, mask(0, 1))
    assert {(e["slot"], e["strikes"]) for e in tx.events["Ejected"]} == {(3, False), (2, True)}
    assert tx.events["RoundSettled"]["pot"] == 1000 + 2 * SLASH
    assert credits(tx) == {
        **{(world.payee(i), "Pay"): 500 + SLASH for i in (0, 1)},
        **{(world.payee(i), "Stake"): 501 - SLASH for i in (2, 3)},
    }
    assert credits(world.complete(job)) == {
        **{(world.payee(i), "Stake"): 501 for i in (0, 1)},
        (world.fees, "Fee"): 100,
        (world.fees, "Bond"): 700,
    }


@pytest.mark.parametrize(("bps", "slashed"), [(0, 0), (10_000, 501), (1, 0), (9999, 500)])
def test_ejection_costs_its_part_of_the_stake_rounded_down(world, bps, slashed):
    job = world.running(maxStrikes=1, slashBps=bps)
    world.submit(job, 0, 1, 2, 3)
    tx = world.settle(job, mask(0, 1, 2))
    assert tx.events["Ejected"]["slashed"] == slashed
    assert credits(tx).get((world.payee(3), "Stake"), 0) == 501 - slashed
    assert world.market.job(job)["carry"] == slashed


def test_when_the_last_trainers_are_ejected_the_job_ends(world):
    job = world.running(maxStrikes=1)
    world.submit(job, 0, 1, 2, 3)
    tx = world.settle(job)
    assert len(tx.events["Ejected"]) == 4
    assert tx.events["Ended"]["state"] == ABORTED
    assert credits(tx) == {
        **{(world.payee(i), "Stake"): 501 - SLASH for i in range(4)},
        (world.fees, "Fee"): 100,
        (world.fees, "Bond"): 700,
        (world.owner, "Refund"): 3200 + 4 * SLASH,
    }


def test_when_the_last_trainers_are_ejected_in_the_last_round_the_job_is_complete(world):
    job = world.running(maxStrikes=1, rounds=1)
    world.submit(job, 0, 1, 2, 3)
    tx = world.settle(job)
    assert tx.events["Ended"]["state"] == COMPLETED
    assert credits(tx)[world.owner, "Refund"] == 1000 + 4 * SLASH


def test_the_same_payee_may_stand_behind_several_trainers(world):
    job = world.create()
    world.accept(job)
    for i in range(4):
        sender = {"from": world.operator(i), "value": world.value(USUAL["stake"])}
        world.market.join(job, world.payee(0), commitment(1), sender)
    world.market.start(job, {"from": world.owner})
    world.market.publishKey(job, CID, {"from": world.aggregator})
    world.submit(job, 0, 1, 2, 3)
    tx = world.settle(job, ALL)
    assert credits(tx)[world.payee(0), "Pay"] == 1000


def test_32_trainers_fit_into_a_block(coin_world):
    job = coin_world.running(32, maxTrainers=32, rounds=1)
    coin_world.submit(job, *range(32))
    tx = coin_world.settle(job, 2**32 - 1, weights=list(range(1, 33)))
    assert credits(tx)[coin_world.payee(31), "Pay"] == 1000 * 32 // 528
    assert tx.gas_used < 3_000_000
