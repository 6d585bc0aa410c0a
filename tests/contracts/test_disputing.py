"""dispute, the fee in arrears, Confirming, complete, showOpening: docs/security/job-market.tree."""

import pytest
from brownie import ZERO_ADDRESS
from world import (
    ABORTED,
    CID,
    COMPLETED,
    CONFIRMING,
    LONG_CID,
    RUNNING,
    SLASH,
    credits,
    events,
    mask,
    move_to,
    now,
    refuses,
)

ALL = mask(0, 1, 2, 3)


def in_round_2(world, **changes):
    """The sum of round 1 can be disputed, and its fee is due."""
    job = world.running(**changes)
    world.submit(job, 0, 1, 2, 3)
    world.settle(job, ALL)
    return job


def stakes(world, trainers=range(4)):
    return {(world.payee(i), "Stake"): 501 for i in trainers}


# ------------------------------------------------------------------ the quorum


def test_more_disputes_than_faulty_trainers_burn_bond_and_due_fee_and_end_the_job(world):
    before = world.balance()
    job = in_round_2(world)
    tx = world.dispute(job, 2)
    event = tx.events["Disputed"]
    assert (event["jobId"], event["round"], event["slot"]) == (job, 2, 2)
    assert credits(tx) == {}
    held = world.market.job(job)
    assert (held["state"], held["disputed"], held["quorum"]) == (RUNNING, mask(2), 2)
    tx = world.dispute(job, 0)
    assert credits(tx) == {(ZERO_ADDRESS, "Burnt"): 800, **stakes(world), (world.owner, "Refund"): 2200}
    assert tx.events["Ended"]["state"] == ABORTED
    held = world.market.job(job)
    assert (held["escrow"], held["carry"], held["active"], held["disputed"]) == (0, 0, 0, 0)
    for party in (world.owner, *(world.payee(i) for i in range(4))):
        world.market.withdraw(world.currency, {"from": party})
    assert world.credit(world.fees) == 0
    assert world.balance() - before == world.credit(ZERO_ADDRESS) == 800


def test_in_round_1_only_the_bond_is_burnt(world):
    job = world.running()
    tx = world.dispute(job, 0, 1)
    assert credits(tx) == {(ZERO_ADDRESS, "Burnt"): 700, **stakes(world), (world.owner, "Refund"): 3300}


def test_the_last_sum_is_disputed_while_confirming(world):
    job = world.confirming()
    tx = world.dispute(job, 3)
    assert tx.events["Disputed"]["round"] == 1
    tx = world.dispute(job, 1)
    assert credits(tx) == {(ZERO_ADDRESS, "Burnt"): 800, **stakes(world)}
    assert tx.events["Ended"]["state"] == ABORTED


def test_after_an_empty_round_no_fee_is_due_and_only_the_bond_is_burnt(world):
    job = in_round_2(world)
    world.past_submitting(job)
    world.market.skipRound(job, {"from": world.stranger})
    tx = world.dispute(job, 0, 1)
    assert credits(tx) == {(ZERO_ADDRESS, "Burnt"): 700, **stakes(world), (world.owner, "Refund"): 1100}


def test_slashes_that_are_carried_when_a_sum_is_disputed_go_to_the_owner(world):
    job = world.running(maxMissed=1)
    world.submit(job, 0, 1, 2)
    world.past_submitting(job)
    world.settle(job, mask(0, 1, 2))
    tx = world.dispute(job, 0, 1)
    assert credits(tx)[world.owner, "Refund"] == 2200 + 1 + SLASH


def test_after_a_takeover_it_is_the_bond_of_who_published_the_key_that_is_burnt(world):
    job = in_round_2(world, takeoverWindow=30)
    world.submit(job, 3)
    world.dispute(job, 0)
    world.past_settling(job)
    tx = world.take_over(job)
    assert credits(tx)[world.fees, "Fee"] == 100  # nobody disputed this sum in time
    with refuses("KeyNotPublished", job):
        world.dispute(job, 0)
    world.market.publishKey(job, CID, {"from": world.taker})
    world.dispute(job, 0)
    tx = world.dispute(job, 3)
    assert credits(tx) == {(ZERO_ADDRESS, "Burnt"): 700, **stakes(world), (world.owner, "Refund"): 2200}


@pytest.mark.parametrize(("faulty", "trainers", "quorum"), [(0, 4, 1), (1, 4, 2), (3, 4, 4), (3, 2, 2), (1, 1, 1)])
def test_the_quorum_is_one_more_than_may_be_faulty_or_all_there_are(world, faulty, trainers, quorum):
    for begun in (world.running, world.confirming):
        job = begun(trainers, minTrainers=1, maxFaulty=faulty)
        assert world.market.job(job)["quorum"] == quorum
        if quorum > 1:
            assert credits(world.dispute(job, *range(quorum - 1))) == {}
        assert (ZERO_ADDRESS, "Burnt") in credits(world.dispute(job, quorum - 1))


def test_the_quorum_counts_those_who_were_there_when_the_phase_began(world):
    job = world.running(maxFaulty=3)
    for i in (1, 2):
        world.market.leave(job, {"from": world.operator(i)})
    assert world.market.job(job)["quorum"] == 4
    assert credits(world.dispute(job, 0, 3)) == {}
    world.submit(job, 0, 3)
    world.settle(job, mask(0, 3))
    assert world.market.job(job)["quorum"] == 2
    assert (ZERO_ADDRESS, "Burnt") in credits(world.dispute(job, 0, 3))


def test_who_disputes_and_leaves_still_counts(world):
    for job in (in_round_2(world), world.confirming()):
        world.dispute(job, 0)
        tx = world.market.leave(job, {"from": world.operator(0)})
        assert credits(tx) == {(world.payee(0), "Stake"): 501}
        assert world.market.job(job)["disputed"] == mask(0)
        with refuses("NotTrainer", job, world.operator(0)):
            world.dispute(job, 0)
        tx = world.dispute(job, 1)
        assert credits(tx)[ZERO_ADDRESS, "Burnt"] == 800
        assert (world.payee(0), "Stake") not in credits(tx)


def test_below_the_quorum_nothing_happens_and_the_next_phase_begins_without_disputes(world):
    job = in_round_2(world)
    world.dispute(job, 0)
    world.submit(job, 0, 1, 2, 3)
    tx = world.settle(job, ALL)
    assert credits(tx)[world.fees, "Fee"] == 100
    assert world.market.job(job)["disputed"] == 0
    world.dispute(job, 1)
    world.submit(job, 0, 1, 2, 3)
    world.settle(job, ALL)
    held = world.market.job(job)
    assert (held["state"], held["disputed"]) == (CONFIRMING, 0)
    world.dispute(job, 2)
    assert credits(world.complete(job)) == {
        **stakes(world), (world.fees, "Fee"): 100, (world.fees, "Bond"): 700,
    }  # fmt: skip


# ------------------------------------------------------------------ who disputes, and when


def test_a_trainer_disputes_once_a_phase(world):
    running, confirming = in_round_2(world), world.confirming()
    for job, number in ((running, 2), (confirming, 1)):
        world.dispute(job, 3)
        with refuses("AlreadyDisputed", job, number, 3):
            world.dispute(job, 3)


def test_who_has_submitted_found_the_sum_and_does_not_dispute_it(world):
    job = in_round_2(world)
    world.submit(job, 1)
    with refuses("AlreadySubmitted", job, 2, 1):
        world.dispute(job, 1)


def test_disputing_is_open_up_to_and_including_the_last_second_of_its_phase(world):
    jobs = [in_round_2(world), world.confirming()]
    last = now() + 100
    assert [world.market.job(job)["submitBy"] for job in jobs] == [last, last]
    move_to(last)
    for job in jobs:
        world.dispute(job, 0)
    move_to(last + 1)
    for job in jobs:
        with refuses("SubmittingClosed", job, last):
            world.dispute(job, 1)


def test_without_a_key_there_is_nothing_to_dispute(world):
    job = world.started()
    with refuses("KeyNotPublished", job):
        world.dispute(job, 0)


def test_only_trainers_dispute(world):
    job = in_round_2(world)
    world.market.leave(job, {"from": world.operator(3)})
    for other in (world.owner, world.aggregator, world.stranger, world.payee(0), world.operator(3)):
        with refuses("NotTrainer", job, other):
            world.market.dispute(job, {"from": other})


# ------------------------------------------------------------------ the fee in arrears


def test_a_fee_is_paid_with_the_next_settlement_after_its_pay(world):
    job = in_round_2(world)
    assert world.credit(world.fees) == 0
    world.submit(job, 0, 1, 2, 3)
    tx = world.settle(job, ALL, weights=[1, 1, 1, 0])
    paid = [(event["payee"], event["reason"]) for event in events(tx, "Credited")]
    assert paid == [*((world.payee(i), 0) for i in range(3)), (world.fees, 1)]
    held = world.market.job(job)
    assert (held["feeDue"], held["escrow"]) == (True, 3300 - 2100 + 1)


def test_a_fee_is_paid_with_the_next_empty_round_after_its_refund(world):
    job = in_round_2(world)
    world.past_submitting(job)
    tx = world.market.skipRound(job, {"from": world.stranger})
    paid = [(event["payee"], event["amount"]) for event in events(tx, "Credited")]
    assert paid == [(world.owner, 1100), (world.fees, 100)]
    held = world.market.job(job)
    assert (held["feeDue"], held["escrow"]) == (False, 1100)
    world.submit(job, 0, 1, 2, 3)
    world.settle(job, ALL)
    assert world.market.job(job)["feeDue"]


def test_a_due_fee_is_paid_when_the_aggregator_fails(world):
    job = in_round_2(world)
    world.submit(job, 0)
    world.past_settling(job)
    tx = world.market.abort(job, {"from": world.stranger})
    assert credits(tx) == {
        (world.fees, "Fee"): 100,
        (world.payee(0), "Compensation"): 700,
        **stakes(world),
        (world.owner, "Refund"): 2200,
    }


def test_a_due_fee_is_paid_when_all_leave(world):
    job = in_round_2(world)
    for i in range(4):
        tx = world.market.leave(job, {"from": world.operator(i)})
    assert credits(tx) == {
        (world.payee(3), "Stake"): 501,
        (world.fees, "Fee"): 100,
        (world.fees, "Bond"): 700,
        (world.owner, "Refund"): 2200,
    }
    assert tx.events["Ended"]["state"] == ABORTED


def test_a_due_fee_is_paid_when_too_many_rounds_are_empty(world):
    job = in_round_2(world, maxEmptyRounds=1)
    world.past_submitting(job)
    tx = world.market.skipRound(job, {"from": world.stranger})
    assert tx.events["Ended"]["state"] == ABORTED
    assert credits(tx) == {
        (world.fees, "Fee"): 100,
        (world.fees, "Bond"): 700,
        **stakes(world),
        (world.owner, "Refund"): 2200,
    }


def test_when_the_last_round_is_empty_nothing_is_to_be_confirmed(world):
    job = in_round_2(world, rounds=2)
    world.past_submitting(job)
    tx = world.market.skipRound(job, {"from": world.stranger})
    assert tx.events["Ended"]["state"] == COMPLETED
    assert credits(tx) == {
        (world.owner, "Refund"): 1100,
        (world.fees, "Fee"): 100,
        (world.fees, "Bond"): 700,
        **stakes(world),
    }


# ------------------------------------------------------------------ Confirming


def test_the_last_settlement_opens_the_confirmation(world):
    job = world.running(rounds=1)
    world.submit(job, 0, 1, 2, 3)
    settle_by = world.market.job(job)["settleBy"]
    move_to(now() + 20)
    tx = world.settle(job, ALL)
    assert tx.events["ConfirmationOpened"]["confirmBy"] == now() + 100
    held = world.market.job(job)
    assert (held["state"], held["round"], held["submitBy"], held["settleBy"]) == (CONFIRMING, 1, now() + 100, settle_by)
    assert (held["submitted"], held["disputed"], held["quorum"], held["feeDue"]) == (0, 0, 2, True)
    assert (held["active"], held["escrow"], held["takenOver"]) == (ALL, 100, False)


def test_past_the_confirmation_anyone_completes_the_job(world):
    job = world.confirming()
    last = world.market.job(job)["submitBy"]
    move_to(last)
    with refuses("NotCompletable", job, last):
        world.market.complete(job, {"from": world.aggregator})
    move_to(last + 1)
    tx = world.market.complete(job, {"from": world.stranger})
    assert tx.events["Ended"]["state"] == COMPLETED
    assert credits(tx) == {**stakes(world), (world.fees, "Fee"): 100, (world.fees, "Bond"): 700}


def test_trainers_leave_at_any_time_while_confirming_and_the_last_completes_the_job(world):
    job = world.confirming()
    assert credits(world.market.leave(job, {"from": world.operator(1)})) == {(world.payee(1), "Stake"): 501}
    world.past_submitting(job)
    for i in (0, 2):
        world.market.leave(job, {"from": world.operator(i)})
    assert world.market.job(job)["state"] == CONFIRMING
    tx = world.market.leave(job, {"from": world.operator(3)})
    assert credits(tx) == {
        (world.payee(3), "Stake"): 501,
        (world.fees, "Fee"): 100,
        (world.fees, "Bond"): 700,
    }
    assert tx.events["Ended"]["state"] == COMPLETED


def test_who_took_over_is_paid_for_the_last_round(world):
    job = world.taken_over(0, rounds=1)
    world.market.publishKey(job, CID, {"from": world.taker})
    world.submit(job, 0, 1, 2, 3)
    world.settle(job, ALL, sender=world.taker)
    assert world.market.job(job)["takenOver"]
    assert credits(world.complete(job)) == {
        **stakes(world), (world.taker_fees, "Fee"): 100, (world.taker_fees, "Bond"): 700,
    }  # fmt: skip


# ------------------------------------------------------------------ showOpening


def shown(world, job, i, cid=CID):
    event = world.market.showOpening(job, 1, cid, {"from": world.operator(i)}).events["OpeningShown"]
    assert (event["jobId"], event["round"], event["cid"]) == (job, 1, cid)
    return event["slot"]


def test_who_held_a_slot_since_the_start_shows_its_opening_at_any_time(world):
    job = world.running(rounds=2, maxMissed=1)
    assert shown(world, job, 0) == 0
    world.market.leave(job, {"from": world.operator(1)})
    world.submit(job, 0, 2)
    world.past_submitting(job)
    world.settle(job, mask(0), unopened=mask(2))  # ejects trainer 3
    assert world.market.job(job)["active"] == mask(0, 2)
    assert [shown(world, job, i) for i in range(4)] == [0, 1, 2, 3]
    world.past_submitting(job)
    world.market.skipRound(job, {"from": world.stranger})
    assert world.market.job(job)["state"] == ABORTED
    assert [shown(world, job, i, LONG_CID[:100]) for i in range(4)] == [0, 1, 2, 3]


def test_a_slot_that_was_given_up_before_the_start_is_the_next_ones(world):
    job = world.enrolled(4)
    world.market.leave(job, {"from": world.operator(2)})
    world.join(job, 4)
    world.market.start(job, {"from": world.stranger})
    assert shown(world, job, 4) == 2
    with refuses("NotTrainer", job, world.operator(2)):
        shown(world, job, 2)


def test_nobody_else_shows_an_opening(world):
    job = world.running()
    for other in (world.owner, world.aggregator, world.stranger, world.payee(0), world.operator(5)):
        with refuses("NotTrainer", job, other):
            world.market.showOpening(job, 1, CID, {"from": other})
    with refuses("NotTrainer", 99, world.operator(0)):
        shown(world, 99, 0)


@pytest.mark.parametrize("cid", ["", LONG_CID])
def test_an_opening_has_a_cid(coin_world, cid):
    job = coin_world.running()
    with refuses("InvalidCid", len(cid)):
        shown(coin_world, job, 0, cid)
