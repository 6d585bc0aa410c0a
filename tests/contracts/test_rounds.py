"""publishKey, submitUpdate, leave while Running, skipRound, askEnd, abort, reveal: docs/security/job-market.tree."""

import pytest
from brownie import ZERO_ADDRESS
from world import (
    ABORTED,
    CID,
    COMPLETED,
    CONFIRMING,
    FAULTY,
    LONG_CID,
    OPEN,
    ROUND,
    RUNNING,
    SLASH,
    ZERO32,
    commitment,
    credits,
    mask,
    move_to,
    now,
    points,
    refuses,
    words_hash,
)

# ------------------------------------------------------------------ publishKey


def test_the_aggregator_publishes_the_key_once(world):
    job = world.started()
    tx = world.market.publishKey(job, CID, {"from": world.aggregator})
    assert tx.events["KeyPublished"]["cid"] == CID
    assert world.market.job(job)["keyPublished"]
    with refuses("KeyAlreadyPublished", job):
        world.market.publishKey(job, CID, {"from": world.aggregator})


def test_the_key_is_published_up_to_and_including_the_last_second_of_round_1(world):
    job, late = world.started(), world.started()
    last = world.market.job(job)["submitBy"]
    move_to(last)
    world.market.publishKey(job, CID, {"from": world.aggregator})
    move_to(last + 1)
    with refuses("SubmittingClosed", late, last):
        world.market.publishKey(late, CID, {"from": world.aggregator})


@pytest.mark.parametrize("cid", ["", LONG_CID])
def test_the_key_has_a_cid(coin_world, cid):
    job = coin_world.started()
    with refuses("InvalidCid", len(cid)):
        coin_world.market.publishKey(job, cid, {"from": coin_world.aggregator})


# ------------------------------------------------------------------ submitUpdate


def test_a_submission_is_recorded_with_its_round_and_slot(world):
    job = world.running()
    update = commitment(7)
    tx = world.market.submitUpdate(job, 1, update, CID, {"from": world.operator(2)})
    event = tx.events["UpdateSubmitted"]
    assert (event["round"], event["slot"], event["commitment"], event["cid"]) == (1, 2, update, CID)
    assert world.market.job(job)["submitted"] == mask(2)
    assert [str(world.market.commitment(job, slot)) for slot in (1, 2)] == [ZERO32, update]


def test_a_trainer_submits_once_a_round(world):
    job = world.running()
    world.submit(job, 0)
    with refuses("AlreadySubmitted", job, 1, 0):
        world.submit(job, 0)


def test_who_copies_a_commitment_keeps_nobody_from_submitting_it_nor_from_its_points(world):
    """Also in the last block: the copy cannot be shown, since it holds the address of who made it."""
    job = world.running(5, **FAULTY)
    copied, later = (commitment(name, world.operator(1)) for name in (7, 8))
    world.submit(job, 2, 3)
    move_to(world.market.job(job)["submitBy"])
    for i in (0, 1):  # the copy comes first
        world.market.submitUpdate(job, 1, copied, CID, {"from": world.operator(i)})
    move_to(now() + 1)
    with refuses("NotItsCommitment", job, 0, words_hash(points(7), world.operator(0))):
        world.settle(job, mask(0, 1, 2, 3))
    world.settle(job, mask(1, 2, 3), unopened=mask(0))
    assert world.balances(job) == [0, *3 * [ROUND // 3]]
    assert world.trainer(job, 1)[2:] == (0, 0)
    world.market.submitUpdate(job, 2, copied, CID, {"from": world.operator(3)})
    world.market.submitUpdate(job, 2, later, CID, {"from": world.operator(1)})
    held = [str(world.market.commitment(job, slot)) for slot in (0, 1, 3)]
    assert held == [copied, later, copied]


def test_nothing_is_submitted_before_the_key(world):
    job = world.started()
    with refuses("KeyNotPublished", job):
        world.submit(job, 0)


def test_a_submission_names_the_running_round(world):
    job = world.running()
    for wrong in (0, 2):
        with refuses("WrongRound", job, 1, wrong):
            world.market.submitUpdate(job, wrong, commitment(1), CID, {"from": world.operator(0)})


def test_submitting_is_open_up_to_and_including_its_last_second(world):
    job = world.running()
    last = world.market.job(job)["submitBy"]
    move_to(last)
    world.submit(job, 0)
    move_to(last + 1)
    with refuses("SubmittingClosed", job, last):
        world.submit(job, 1)


def test_only_those_who_hold_a_slot_submit(world):
    job = world.running()
    world.market.leave(job, {"from": world.operator(3)})
    for outsider in (world.stranger, world.owner, world.aggregator, world.payee(0), world.operator(3)):
        with refuses("NotTrainer", job, outsider):
            world.market.submitUpdate(job, 1, commitment(1), CID, {"from": outsider})


def test_a_submission_has_a_commitment_and_a_cid(coin_world):
    job = coin_world.running()
    with refuses("ZeroCommitment"):
        coin_world.market.submitUpdate(job, 1, ZERO32, CID, {"from": coin_world.operator(0)})
    for cid in ("", LONG_CID):
        with refuses("InvalidCid", len(cid)):
            coin_world.market.submitUpdate(job, 1, commitment(1), cid, {"from": coin_world.operator(0)})


# ------------------------------------------------------------------ leave while Running


def test_leaving_a_running_job_gives_the_stake_back_and_closes_the_slot(world):
    job = world.running()
    tx = world.market.leave(job, {"from": world.operator(1)})
    assert credits(tx) == {(world.payee(1), "Stake"): 501}
    held = world.market.job(job)
    assert (held["active"], held["members"]) == (mask(0, 2, 3), mask(0, 1, 2, 3))
    with refuses("WrongState", job, RUNNING, OPEN):
        world.join(job, 4)


def test_who_has_submitted_stays_for_the_round(world):
    job = world.running()
    world.submit(job, 1)
    with refuses("AlreadySubmitted", job, 1, 1):
        world.market.leave(job, {"from": world.operator(1)})
    world.submit(job, 0, 2, 3)
    world.settle(job, mask(0, 1, 2, 3))
    world.market.leave(job, {"from": world.operator(1)})


def test_leaving_late_does_not_dodge_the_slash_for_missed_submissions(world):
    job = world.running(maxMissed=1)
    world.submit(job, 0, 1, 2)
    last = world.market.job(job)["submitBy"]
    move_to(last + 1)
    with refuses("SubmittingClosed", job, last):
        world.market.leave(job, {"from": world.operator(3)})
    tx = world.settle(job, mask(0, 1, 2))
    assert tx.events["Ejected"]["slashed"] == SLASH


def test_leaving_is_possible_in_the_last_second_of_submitting(world):
    job = world.running()
    move_to(world.market.job(job)["submitBy"])
    world.market.leave(job, {"from": world.operator(3)})


def test_when_the_only_missing_trainer_leaves_the_round_can_be_settled_at_once(world):
    job = world.running()
    world.submit(job, 0, 1, 2)
    with refuses("SubmittingOpen", job, now() + 100):
        world.settle(job, mask(0, 1, 2))
    world.market.leave(job, {"from": world.operator(3)})
    world.settle(job, mask(0, 1, 2))
    assert world.market.job(job)["round"] == 2


def test_the_last_to_leave_aborts_the_job_and_the_aggregator_keeps_its_bond(world):
    job = world.running(2)
    world.market.leave(job, {"from": world.operator(0)})
    tx = world.market.leave(job, {"from": world.operator(1)})
    assert credits(tx) == {
        (world.payee(1), "Stake"): 501,
        (world.fees, "Bond"): 700,
        (world.owner, "Refund"): 3300,
    }
    assert tx.events["Ended"]["state"] == ABORTED
    assert world.market.job(job)["state"] == ABORTED


def test_who_leaves_keeps_its_balance_and_the_rounds_that_it_opened(world):
    job = world.running(rounds=4)
    world.settled(job)
    world.submit(job, 0, 2, 3)
    world.past_submitting(job)
    world.settle(job, mask(0, 2, 3))
    world.leave(job, 0, 1)
    for slot, balance, absences, opened in ((0, ROUND // 4 + ROUND // 3, 0, 2), (1, ROUND // 4, 1, 1)):
        record = world.market.trainer(job, slot)
        kept = [record[name] for name in ("balance", "absences", "opened", "staked")]
        assert kept == [balance, absences, opened, False]
    held = world.market.job(job)
    assert held["goneEarned"] == 2 * (ROUND // 4 + ROUND // 3) + ROUND // 4
    assert (held["earned"], held["goneOpened"], held["absences"]) == (2 * (ROUND // 4 + ROUND // 3), 3, 0)
    world.settled(job)
    assert [world.market.trainer(job, slot)["absences"] for slot in range(4)] == [0, 1, 0, 0]


def test_when_the_last_leave_what_was_settled_is_confirmed_and_then_divided_with_the_slashes(world):
    job = world.running(2, maxMissed=1)
    world.submit(job, 0)
    world.past_submitting(job)
    world.settle(job, mask(0))
    tx = world.market.leave(job, {"from": world.operator(0)})
    assert credits(tx) == {(world.payee(0), "Stake"): 501}
    opened = tx.events["ConfirmationOpened"]
    assert (opened["confirmBy"], opened["outcome"]) == (now() + 80, ABORTED)
    assert "Ended" not in tx.events
    tx = world.complete(job)
    assert credits(tx) == {(world.fees, "Fee"): 100, (world.fees, "Bond"): 700, (world.owner, "Refund"): 2200}
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (ABORTED, 1000 + SLASH)
    assert world.claim_all(job) == {(world.payee(0), "Pay"): 1000 + SLASH}


# ------------------------------------------------------------------ skipRound


def test_an_empty_round_is_skipped_by_anyone_and_moves_no_money(world):
    job = world.running()
    last = world.market.job(job)["submitBy"]
    move_to(last)
    with refuses("SubmittingOpen", job, last):
        world.market.skipRound(job, {"from": world.stranger})
    move_to(last + 1)
    tx = world.market.skipRound(job, {"from": world.stranger})
    assert credits(tx) == {}
    assert tx.events["RoundSkipped"]["round"] == 1
    opened = tx.events["RoundOpened"]
    assert (opened["round"], opened["submitBy"], opened["settleBy"]) == (2, now() + 100, now() + 150)
    held = world.market.job(job)
    assert (held["round"], held["escrow"], held["emptyRounds"], held["settled"]) == (2, 3300, 1, 0)
    assert [world.trainer(job, slot)[2] for slot in range(4)] == [1, 1, 1, 1]


def test_an_empty_round_is_no_absence_and_its_reward_goes_back_to_the_owner(world):
    job = world.running(rounds=2, maxMissed=9)
    world.settled(job)
    world.skip(job)
    assert [world.market.trainer(job, slot)["absences"] for slot in range(4)] == [0, 0, 0, 0]
    assert credits(world.complete(job)) == {
        (world.fees, "Fee"): 100, (world.fees, "Bond"): 700, (world.owner, "Refund"): 1100,
    }  # fmt: skip
    assert world.claim_all(job) == {
        **{(world.payee(i), "Pay"): 250 for i in range(4)}, **{(world.payee(i), "Stake"): 501 for i in range(4)},
    }  # fmt: skip


def test_who_disputed_in_an_empty_round_has_not_missed_it(world):
    job = world.running(5, maxMissed=1, maxEmptyRounds=3, **FAULTY)
    world.dispute(job, 2)
    tx = world.skip(job)
    assert [event["slot"] for event in tx.events["Ejected"]] == [0, 1, 3, 4]
    assert world.market.job(job)["active"] == mask(2)
    assert world.trainer(job, 2)[2] == 0


def test_a_round_with_a_submission_is_not_skipped(world):
    job = world.running()
    world.submit(job, 0)
    world.past_settling(job)
    with refuses("SomethingSubmitted", job, 1):
        world.market.skipRound(job, {"from": world.stranger})


def test_a_round_without_a_key_is_not_skipped(world):
    job = world.started()
    world.past_settling(job)
    with refuses("KeyNotPublished", job):
        world.market.skipRound(job, {"from": world.stranger})


def test_too_many_empty_rounds_in_a_row_abort_the_job(world):
    job = world.running(maxMissed=3)
    for _ in range(2):
        tx = world.skip(job)
    assert credits(tx) == {(world.fees, "Bond"): 700, (world.owner, "Refund"): 3300}
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (ABORTED, 0)
    assert world.claim_all(job) == {(world.payee(i), "Stake"): 501 for i in range(4)}


def test_empty_rounds_that_end_a_job_with_a_settled_one_open_the_confirmation(world):
    job = world.running(maxMissed=3, maxEmptyRounds=1)
    world.settled(job)
    tx = world.skip(job)
    assert tx.events["ConfirmationOpened"]["outcome"] == ABORTED
    tx = world.complete(job)
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (ABORTED, 1000)
    assert credits(tx)[world.owner, "Refund"] == 2200


def test_a_settled_round_between_empty_ones_starts_the_count_again(world):
    job = world.running(rounds=5, maxMissed=5)
    world.past_submitting(job)
    world.market.skipRound(job, {"from": world.stranger})
    world.submit(job, 0, 1, 2, 3)
    world.settle(job, mask(0, 1, 2, 3))
    assert world.market.job(job)["emptyRounds"] == 0
    assert [world.trainer(job, slot)[2] for slot in range(4)] == [0, 0, 0, 0]
    world.past_submitting(job)
    world.market.skipRound(job, {"from": world.stranger})
    assert world.market.job(job)["state"] == RUNNING


def test_an_empty_last_round_completes_the_job(world):
    job = world.running(rounds=1, maxMissed=3)
    tx = world.skip(job)
    assert tx.events["Ended"]["state"] == COMPLETED
    assert credits(tx) == {(world.owner, "Refund"): 1100, (world.fees, "Bond"): 700}
    assert world.claim_all(job) == {(world.payee(i), "Stake"): 501 for i in range(4)}


def test_an_empty_last_round_after_a_settled_one_opens_the_confirmation(world):
    job = world.running(rounds=2)
    world.settled(job)
    tx = world.skip(job)
    assert tx.events["ConfirmationOpened"]["outcome"] == COMPLETED
    assert world.complete(job).events["Ended"]["state"] == COMPLETED


def test_an_empty_round_ejects_all_who_have_missed_too_many_and_ends_the_job(world):
    job = world.running(2, maxMissed=1, maxEmptyRounds=3)
    tx = world.skip(job)
    assert [(e["slot"], e["slashed"]) for e in tx.events["Ejected"]] == [(0, SLASH), (1, SLASH)]
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (ABORTED, 2 * SLASH)
    assert world.credit(world.payee(0)) == world.credit(world.payee(1)) == 501 - SLASH
    assert world.credit(world.fees) == 700
    assert world.credit(world.owner) == 3300
    assert world.claim_all(job) == {(ZERO_ADDRESS, "Burnt"): 2 * SLASH}  # nobody is left to earn it, the owner is not


def test_a_skipped_round_takes_its_part_of_the_rate(world):
    job = world.running(rounds=4, maxMissed=9, rate=2**40, rateDecay=2**31 + 1)
    world.skip(job)
    rate = 2**40 * (2**31 + 1) // 2**32
    assert world.market.job(job)["rate"] == rate
    world.settled(job)
    assert world.market.job(job)["rate"] == rate * (2**31 + 1) // 2**32


# ------------------------------------------------------------------ askEnd


def test_the_owner_asks_for_the_end_once(world):
    job = world.running(minRounds=1)
    for other in (world.aggregator, world.operator(0), world.stranger):
        with refuses("NotOwner", job, other):
            world.market.askEnd(job, {"from": other})
    tx = world.market.askEnd(job, {"from": world.owner})
    assert tx.events["EndAsked"]["jobId"] == job
    assert credits(tx) == {}
    held = world.market.job(job)
    assert (held["endAsked"], held["state"], held["round"]) == (True, RUNNING, 1)
    with refuses("EndAlreadyAsked", job):
        world.market.askEnd(job, {"from": world.owner})


def test_the_end_that_was_asked_for_comes_with_the_next_settlement(world):
    """Submissions of the running round are settled, and bring what they would have."""
    job = world.running(rounds=5, minRounds=2)
    world.settled(job)
    world.submit(job, 0, 1, 2, 3)
    world.market.askEnd(job, {"from": world.owner})
    tx = world.settle(job, mask(0, 1, 2, 3))
    assert tx.events["ConfirmationOpened"]["outcome"] == COMPLETED
    assert "RoundOpened" not in tx.events
    tx = world.complete(job)
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (COMPLETED, 2000)
    assert credits(tx) == {
        (world.fees, "Fee"): 200, (world.fees, "Bond"): 700, (world.owner, "Refund"): 3 * 1100,
    }  # fmt: skip


def test_the_end_that_was_asked_for_waits_for_the_least_round(world):
    job = world.running(rounds=5, minRounds=3)
    world.market.askEnd(job, {"from": world.owner})
    for number in (2, 3):
        world.settled(job)
        held = world.market.job(job)
        assert (held["state"], held["round"]) == (RUNNING, number)
    world.settled(job)
    assert world.market.job(job)["state"] == CONFIRMING


def test_an_empty_round_does_not_bring_the_end_that_was_asked_for(world):
    job = world.running(rounds=5, minRounds=1, maxMissed=9)
    world.market.askEnd(job, {"from": world.owner})
    world.skip(job)
    assert world.market.job(job)["state"] == RUNNING
    world.settled(job)
    assert world.market.job(job)["state"] == CONFIRMING


def test_a_job_that_nobody_is_left_in_is_aborted_even_if_its_end_was_asked_for(world):
    skipped, left = (world.running(rounds=5, minRounds=1, maxMissed=1) for _ in range(2))
    for job in (skipped, left):
        world.settled(job)
        world.market.askEnd(job, {"from": world.owner})
    assert world.leave(left, 0, 1, 2, 3).events["ConfirmationOpened"]["outcome"] == ABORTED
    assert world.skip(skipped).events["ConfirmationOpened"]["outcome"] == ABORTED


# ------------------------------------------------------------------ abort


def test_an_aggregator_that_does_not_settle_loses_its_bond_to_the_submitters(world):
    job = world.running()
    world.submit(job, 0, 1, 3)
    last = world.market.job(job)["settleBy"]
    move_to(last)
    with refuses("NotAbortable", job, last):
        world.market.abort(job, {"from": world.stranger})
    move_to(last + 1)
    with refuses("SettlingClosed", job, last):
        world.settle(job, mask(0, 1, 3))
    tx = world.market.abort(job, {"from": world.stranger})
    assert credits(tx) == {
        **{(world.payee(i), "Compensation"): 233 for i in (0, 1, 3)},
        (world.owner, "Refund"): 3300,
    }
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (ABORTED, 1)
    assert world.credit(world.fees) == 0
    assert world.claim_all(job) == {
        **{(world.payee(i), "Stake"): 501 for i in range(4)}, (ZERO_ADDRESS, "Burnt"): 1,
    }  # fmt: skip


def test_after_an_abort_what_was_settled_is_confirmed_and_divided(world):
    """The slash of round 1 and what of the bond did not divide are in the pot; the fee is the failed one's."""
    job = world.running(maxMissed=1, bond=701)
    world.submit(job, 0, 1, 2)
    world.past_submitting(job)
    world.settle(job, mask(0, 1, 2))
    assert world.market.job(job)["pot"] == SLASH
    world.submit(job, 0, 1)
    world.past_settling(job)
    tx = world.market.abort(job, {"from": world.stranger})
    assert credits(tx) == {(world.payee(i), "Compensation"): 350 for i in (0, 1)}
    assert tx.events["ConfirmationOpened"]["outcome"] == ABORTED
    held = world.market.job(job)
    assert (held["state"], held["bonded"], held["pot"]) == (CONFIRMING, False, SLASH + 1)
    tx = world.complete(job)
    assert credits(tx) == {(world.fees, "Fee"): 100, (world.owner, "Refund"): 2200}
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (ABORTED, 1000 + SLASH + 1)
    assert 1000 + SLASH + 1 == 3 * 383 + 2
    assert world.claim_all(job) == {
        **{(world.payee(i), "Pay"): 383 for i in range(3)},
        **{(world.payee(i), "Stake"): 501 for i in range(3)},
        (ZERO_ADDRESS, "Burnt"): 2,
    }


def test_without_a_key_the_bond_goes_to_all_active_trainers(world):
    job = world.started()
    world.market.leave(job, {"from": world.operator(3)})
    last = world.market.job(job)["submitBy"]
    move_to(last)
    with refuses("NotAbortable", job, last):
        world.market.abort(job, {"from": world.stranger})
    move_to(last + 1)
    tx = world.market.abort(job, {"from": world.stranger})
    assert credits(tx) == {
        **{(world.payee(i), "Compensation"): 233 for i in range(3)},
        (world.owner, "Refund"): 3300,
    }


def test_an_empty_round_is_no_fault_of_the_aggregator(world):
    job = world.running()
    world.past_settling(job)
    with refuses("NothingSubmitted", job, 1):
        world.market.abort(job, {"from": world.stranger})
    world.market.skipRound(job, {"from": world.stranger})


# ------------------------------------------------------------------ revealValidation


def test_the_owner_reveals_the_validation_data_once_the_job_is_over(world):
    job = world.enrolled()
    with refuses("NotOver", job, OPEN):
        world.market.revealValidation(job, CID, {"from": world.owner})
    world.market.start(job, {"from": world.owner})
    with refuses("NotOver", job, RUNNING):
        world.market.revealValidation(job, CID, {"from": world.owner})
    world.past_submitting(job)
    world.market.abort(job, {"from": world.stranger})
    with refuses("NotOwner", job, world.stranger):
        world.market.revealValidation(job, CID, {"from": world.stranger})
    for cid in ("", LONG_CID):
        with refuses("InvalidCid", len(cid)):
            world.market.revealValidation(job, cid, {"from": world.owner})
    tx = world.market.revealValidation(job, CID, {"from": world.owner})
    assert tx.events["ValidationRevealed"]["cid"] == CID
