"""publishKey, submitUpdate, leave while Running, skipRound, abort, revealValidation: docs/security/job-market.tree."""

import pytest
from world import (
    ABORTED,
    CID,
    COMPLETED,
    LONG_CID,
    OPEN,
    RUNNING,
    SLASH,
    ZERO32,
    commitment,
    credits,
    mask,
    move_to,
    now,
    refuses,
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


def test_who_copies_a_commitment_keeps_nobody_from_submitting_it_nor_from_its_pay(world):
    """Also in the last block: the copy does not open, since what opens it is sealed in the name of who made it."""
    job = world.running()
    copied, later = commitment(7), commitment(8)
    world.submit(job, 2, 3)
    move_to(world.market.job(job)["submitBy"])
    for i in (0, 1):  # the copy comes first
        world.market.submitUpdate(job, 1, copied, CID, {"from": world.operator(i)})
    move_to(now() + 1)
    tx = world.settle(job, mask(1, 2, 3), unopened=mask(0))
    assert credits(tx) == {(world.payee(i), "Pay"): 333 for i in (1, 2, 3)}
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
    assert world.market.job(job)["active"] == mask(0, 2, 3)
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


def test_slashes_that_are_carried_when_the_last_leaves_go_to_the_owner(world):
    job = world.running(2, maxMissed=1)
    world.submit(job, 0)
    world.past_submitting(job)
    world.settle(job, mask(0))
    tx = world.market.leave(job, {"from": world.operator(0)})
    assert credits(tx) == {
        (world.payee(0), "Stake"): 501,
        (world.fees, "Fee"): 100,
        (world.fees, "Bond"): 700,
        (world.owner, "Refund"): 2200 + SLASH,
    }


# ------------------------------------------------------------------ skipRound


def test_an_empty_round_is_skipped_by_anyone_and_its_money_goes_to_the_owner(world):
    job = world.running()
    last = world.market.job(job)["submitBy"]
    move_to(last)
    with refuses("SubmittingOpen", job, last):
        world.market.skipRound(job, {"from": world.stranger})
    move_to(last + 1)
    tx = world.market.skipRound(job, {"from": world.stranger})
    assert credits(tx) == {(world.owner, "Refund"): 1100}
    assert tx.events["RoundSkipped"]["round"] == 1
    opened = tx.events["RoundOpened"]
    assert (opened["round"], opened["submitBy"], opened["settleBy"]) == (2, now() + 100, now() + 150)
    held = world.market.job(job)
    assert (held["round"], held["escrow"], held["emptyRounds"]) == (2, 2200, 1)
    assert [world.trainer(job, slot)[2] for slot in range(4)] == [1, 1, 1, 1]


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
        world.past_submitting(job)
        tx = world.market.skipRound(job, {"from": world.stranger})
    assert credits(tx) == {
        (world.fees, "Bond"): 700,
        **{(world.payee(i), "Stake"): 501 for i in range(4)},
        (world.owner, "Refund"): 1100 + 1100,
    }
    assert tx.events["Ended"]["state"] == ABORTED


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
    world.past_submitting(job)
    tx = world.market.skipRound(job, {"from": world.stranger})
    assert tx.events["Ended"]["state"] == COMPLETED
    assert credits(tx) == {
        (world.owner, "Refund"): 1100,
        (world.fees, "Bond"): 700,
        **{(world.payee(i), "Stake"): 501 for i in range(4)},
    }


def test_an_empty_round_ejects_all_who_have_missed_too_many_and_ends_the_job(world):
    job = world.running(2, maxMissed=1, maxEmptyRounds=3)
    world.past_submitting(job)
    tx = world.market.skipRound(job, {"from": world.stranger})
    ejected = [(e["slot"], e["strikes"], e["slashed"]) for e in tx.events["Ejected"]]
    assert ejected == [(0, False, SLASH), (1, False, SLASH)]
    assert tx.events["Ended"]["state"] == ABORTED
    assert world.credit(world.payee(0)) == world.credit(world.payee(1)) == 501 - SLASH
    assert world.credit(world.fees) == 700
    assert world.credit(world.owner) == 3300 + 2 * SLASH


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
        **{(world.payee(i), "Stake"): 501 for i in range(4)},
        (world.owner, "Refund"): 3300 + 1,
    }
    assert tx.events["Ended"]["state"] == ABORTED
    assert world.credit(world.fees) == 0


def test_the_carried_pot_goes_to_the_submitters_of_an_aborted_round(world):
    job = world.running(maxMissed=1)
    world.submit(job, 0, 1, 2)
    world.past_submitting(job)
    world.settle(job, mask(0, 1, 2))
    assert world.market.job(job)["carry"] == SLASH
    world.submit(job, 0)
    world.past_settling(job)
    tx = world.market.abort(job, {"from": world.stranger})
    assert credits(tx)[(world.payee(0), "Compensation")] == 700 + SLASH
    assert (world.payee(1), "Compensation") not in credits(tx)


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
        **{(world.payee(i), "Stake"): 501 for i in range(3)},
        (world.owner, "Refund"): 3301,
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
