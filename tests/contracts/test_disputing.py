"""dispute, Confirming, complete, fees held to the end, showOpening: docs/security/job-market.tree."""

import pytest
from brownie import ZERO_ADDRESS
from faulty import coin_world, world  # noqa: F401 (in place of conftest's)
from world import (
    ABORTED,
    CID,
    COMPLETED,
    CONFIRMING,
    LONG_CID,
    RUNNING,
    SLASH,
    credits,
    mask,
    move_to,
    now,
    pay_each,
    refuses,
    stakes,
)

ALL = mask(0, 1, 2, 3, 4)


def in_round_2(world, **changes):
    """The sum of round 1 can be disputed."""
    job = world.running(**changes)
    world.settled(job)
    return job


# ------------------------------------------------------------------ the quorum


def test_more_disputes_than_faulty_trainers_burn_bond_and_all_fees_and_end_the_job(world):
    before = world.balance()
    job = world.running(rounds=5)
    world.settled(job, rounds=2)
    tx = world.dispute(job, 2)
    event = tx.events["Disputed"]
    assert (event["jobId"], event["round"], event["slot"]) == (job, 3, 2)
    assert credits(tx) == {}
    held = world.market.job(job)
    assert (held["state"], held["disputed"], held["quorum"]) == (RUNNING, mask(2), 2)
    tx = world.dispute(job, 0)
    assert credits(tx) == {(ZERO_ADDRESS, "Burnt"): 700 + 2 * 100}
    opened = tx.events["ConfirmationOpened"]
    assert (opened["confirmBy"], opened["outcome"]) == (now() + 80, ABORTED)
    held = world.market.job(job)
    assert (held["state"], held["outcome"], held["bonded"], held["disputedSum"]) == (CONFIRMING, ABORTED, False, True)
    assert (held["escrow"], held["disputed"]) == (5 * 1350 - 200, 0)
    tx = world.complete(job)
    assert credits(tx) == {(world.owner, "Refund"): 3 * 1350}
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (ABORTED, 2500)
    assert world.claim_all(job) == {**pay_each(world, 500), **stakes(world)}  # the settled rounds are paid
    for party in (world.owner, *(world.payee(i) for i in range(5))):
        world.market.withdraw(world.currency, {"from": party})
    assert world.credit(world.fees) == 0
    assert world.balance() - before == world.credit(ZERO_ADDRESS) == 900


def test_in_round_1_only_the_bond_is_burnt_and_the_job_is_over_at_once(world):
    job = world.running()
    tx = world.dispute(job, 0, 1)
    assert credits(tx) == {(ZERO_ADDRESS, "Burnt"): 700, (world.owner, "Refund"): 4050}
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (ABORTED, 0)
    assert world.claim_all(job) == stakes(world)


def test_the_last_sum_is_disputed_while_confirming_and_the_outcome_stays(world):
    job = world.confirming()
    last = world.market.job(job)["submitBy"]
    tx = world.dispute(job, 3)
    assert tx.events["Disputed"]["round"] == 1
    tx = world.dispute(job, 1)
    assert credits(tx) == {(ZERO_ADDRESS, "Burnt"): 800}
    assert "Ended" not in tx.events
    held = world.market.job(job)
    assert (held["state"], held["submitBy"], held["disputedSum"]) == (CONFIRMING, last, True)
    with refuses("NotCompletable", job, last):
        world.market.complete(job, {"from": world.stranger})
    tx = world.complete(job)
    assert credits(tx) == {}
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (COMPLETED, 1250)
    assert world.claim_all(job) == {**pay_each(world, 250), **stakes(world)}


def test_what_is_burnt_already_is_not_disputed_again(world):
    running, confirming = in_round_2(world), world.confirming()
    for job in (running, confirming):
        world.dispute(job, 0, 1)
        with refuses("AlreadyBurnt", job):
            world.dispute(job, 2)
    with refuses("AlreadyDisputed", confirming, 1, 0):
        world.dispute(confirming, 0)
    assert world.credit(ZERO_ADDRESS) == 2 * 800


def test_a_failed_aggregators_fees_are_burnt_in_the_confirmation_too(world):
    """Its bond is gone: to whom it left without a settlement."""
    job = in_round_2(world)
    world.submit(job, 0)
    world.past_settling(job)
    world.market.abort(job, {"from": world.stranger})
    assert credits(world.dispute(job, 1, 2)) == {(ZERO_ADDRESS, "Burnt"): 100}
    assert credits(world.complete(job)) == {(world.owner, "Refund"): 2700}


def test_slashes_stay_in_the_pot_when_a_sum_is_disputed(world):
    job = world.running(maxMissed=1)
    world.submit(job, 0, 1, 2, 3)
    world.past_submitting(job)
    world.settle(job, mask(0, 1, 2))  # ejects trainer 4
    world.dispute(job, 0, 1)
    tx = world.complete(job)
    assert credits(tx) == {(world.owner, "Refund"): 2700}
    assert tx.events["Ended"]["pot"] == 1250 + SLASH


def test_after_a_takeover_bond_and_fees_of_both_aggregators_are_burnt(world):
    job = in_round_2(world, takeoverWindow=30, rounds=4)
    world.dispute(job, 0)
    world.submit(job, *range(5))
    world.past_settling(job)
    world.take_over(job)
    world.market.publishKey(job, CID, {"from": world.taker})
    with refuses("SubmittingClosed", job, world.market.job(job)["submitBy"]):
        world.dispute(job, 0)
    world.settled(job, sender=world.taker)
    world.dispute(job, 0)
    assert credits(world.dispute(job, 3)) == {(ZERO_ADDRESS, "Burnt"): 700 + 2 * 100}
    assert world.market.job(job)["owed"] == 0
    assert credits(world.complete(job)) == {(world.owner, "Refund"): 2 * 1350}
    for payee in (world.fees, world.taker_fees):
        with refuses("NothingToClaim", job, payee):
            world.claim_fees(job, payee)
    assert world.claim_all(job) == {**pay_each(world, 500), **stakes(world)}
    assert world.market.job(job)["escrow"] == 0


def with_so_many_faulty(world, faulty, **changes):
    """A running job in which so many may be faulty, with as many trainers as it takes."""
    trainers = 2 * faulty + 3 if faulty else 4
    return world.running(trainers, minTrainers=trainers, maxTrainers=trainers, maxFaulty=faulty, **changes)


@pytest.mark.parametrize(("faulty", "left", "quorum"), [(0, 4, 1), (1, 5, 2), (3, 9, 4), (3, 4, 4), (3, 2, 2), (1, 1, 1)])
def test_the_quorum_is_one_more_than_may_be_faulty_or_all_there_are(world, faulty, left, quorum):
    for rounds in (2, 1):  # in round 2, and while confirming
        job = with_so_many_faulty(world, faulty, rounds=rounds)
        assert world.market.job(job)["quorum"] == faulty + 1
        for gone in range(left, world.term(job, "maxTrainers")):
            world.leave(job, gone)
        world.settled(job)
        assert world.market.job(job)["quorum"] == quorum
        if quorum > 1:
            assert credits(world.dispute(job, *range(quorum - 1))) == {}
        assert (ZERO_ADDRESS, "Burnt") in credits(world.dispute(job, quorum - 1))


def test_the_quorum_counts_those_who_were_there_when_the_phase_began(world):
    job = with_so_many_faulty(world, 3)
    world.leave(job, 1, 2, *range(4, 9))
    assert world.market.job(job)["quorum"] == 4
    assert credits(world.dispute(job, 0, 3)) == {}
    world.settled(job)
    assert world.market.job(job)["quorum"] == 2
    assert (ZERO_ADDRESS, "Burnt") in credits(world.dispute(job, 0, 3))


def test_who_disputes_and_leaves_still_counts(world):
    job = in_round_2(world)
    world.dispute(job, 0)
    assert credits(world.leave(job, 0)) == {(world.payee(0), "Stake"): 501}
    assert world.market.job(job)["disputed"] == mask(0)
    with refuses("NotTrainer", job, world.operator(0)):
        world.dispute(job, 0)
    assert credits(world.dispute(job, 1)) == {(ZERO_ADDRESS, "Burnt"): 800}


def test_below_the_quorum_nothing_happens_and_the_next_phase_begins_without_disputes(world):
    job = in_round_2(world)
    world.dispute(job, 0)
    assert credits(world.settled(job)) == {}
    assert world.market.job(job)["disputed"] == 0
    world.dispute(job, 1)
    world.settled(job)
    held = world.market.job(job)
    assert (held["state"], held["disputed"]) == (CONFIRMING, 0)
    world.dispute(job, 2)
    assert credits(world.complete(job)) == {(world.fees, "Fee"): 300, (world.fees, "Bond"): 700}
    assert world.market.job(job)["disputed"] == 0


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
    jobs = [in_round_2(world), world.confirming(confirmWindow=100)]
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


def test_without_a_key_nothing_is_disputed_while_confirming_either(world):
    """Who took over and was not ready keeps its bond: the sum was another's."""
    job = in_round_2(world, takeoverWindow=30)
    world.submit(job, 3)
    world.past_settling(job)
    world.take_over(job)
    world.past_submitting(job)
    world.market.abort(job, {"from": world.stranger})
    assert world.market.job(job)["state"] == CONFIRMING
    with refuses("KeyNotPublished", job):
        world.dispute(job, 0)


# ------------------------------------------------------------------ Confirming


def test_the_last_settlement_opens_the_confirmation(world):
    job = world.running(rounds=1)
    world.submit(job, 0, 1, 2, 3, 4)
    move_to(now() + 20)
    tx = world.settle(job, ALL)
    opened = tx.events["ConfirmationOpened"]
    assert (opened["confirmBy"], opened["revealBy"], opened["outcome"]) == (now() + 80, 0, COMPLETED)
    held = world.market.job(job)
    assert (held["state"], held["round"], held["submitBy"], held["settleBy"]) == (CONFIRMING, 1, now() + 80, 0)
    assert (held["submitted"], held["disputed"], held["quorum"], held["bonded"]) == (0, 0, 2, True)
    assert (held["active"], held["escrow"], held["takenOverIn"], held["pot"]) == (ALL, 1350, 0, 0)


def test_past_the_confirmation_anyone_completes_the_job(world):
    job = world.confirming()
    last = world.market.job(job)["submitBy"]
    move_to(last)
    with refuses("NotCompletable", job, last):
        world.market.complete(job, {"from": world.aggregator})
    move_to(last + 1)
    tx = world.market.complete(job, {"from": world.stranger})
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (COMPLETED, 1250)
    assert credits(tx) == {(world.fees, "Fee"): 100, (world.fees, "Bond"): 700}


def test_nobody_leaves_while_confirming_and_stakes_wait_for_the_claim(world):
    job = world.confirming()
    with refuses("WrongState", job, CONFIRMING, 1):
        world.leave(job, 1)
    world.past_submitting(job)
    with refuses("WrongState", job, CONFIRMING, 1):
        world.leave(job, 1)
    world.complete(job)
    assert world.claim_all(job) == {**pay_each(world, 250), **stakes(world)}


# ------------------------------------------------------------------ fees are held to the end


def test_fees_are_held_whatever_rounds_follow_and_paid_with_the_bond(world):
    job = world.running(rounds=4, maxMissed=9)
    for step in (world.settled, world.skip, world.settled, world.settled):
        assert credits(step(job)) == {}
        assert world.credit(world.fees) == 0
    assert world.market.job(job)["escrow"] == 4 * 1350
    assert credits(world.complete(job)) == {
        (world.fees, "Fee"): 300, (world.fees, "Bond"): 700, (world.owner, "Refund"): 1350,
    }  # fmt: skip


def test_who_failed_is_paid_the_fees_of_the_rounds_that_it_settled_but_not_its_bond(world):
    job = in_round_2(world)
    world.submit(job, 0)
    world.past_settling(job)
    tx = world.market.abort(job, {"from": world.stranger})
    assert credits(tx) == {(world.payee(0), "Compensation"): 700}
    assert credits(world.complete(job)) == {(world.fees, "Fee"): 100, (world.owner, "Refund"): 2700}


def test_when_all_leave_fees_and_bond_are_paid(world):
    job = in_round_2(world)
    tx = world.leave(job, 0, 1, 2, 3, 4)
    assert credits(tx) == {(world.payee(4), "Stake"): 501}
    assert world.market.job(job)["quorum"] == 0
    with refuses("NotTrainer", job, world.operator(0)):
        world.dispute(job, 0)
    tx = world.complete(job)
    assert credits(tx) == {
        (world.fees, "Fee"): 100, (world.fees, "Bond"): 700, (world.owner, "Refund"): 2700,
    }  # fmt: skip
    assert tx.events["Ended"]["state"] == ABORTED
    assert world.claim_all(job) == pay_each(world, 250)


def test_who_took_over_is_paid_for_the_last_round(world):
    job = world.taken_over(0, 1, 2, 3, 4, rounds=1)
    world.market.publishKey(job, CID, {"from": world.taker})
    world.settled(job, sender=world.taker)
    assert world.market.job(job)["takenOverIn"] == 1
    assert credits(world.complete(job)) == {(world.taker_fees, "Fee"): 100, (world.taker_fees, "Bond"): 700}


# ------------------------------------------------------------------ showOpening


def shown(world, job, i, cid=CID):
    event = world.market.showOpening(job, 1, cid, {"from": world.operator(i)}).events["OpeningShown"]
    assert (event["jobId"], event["round"], event["cid"]) == (job, 1, cid)
    return event["slot"]


def test_who_held_a_slot_since_the_start_shows_its_opening_at_any_time(world):
    job = world.running(6, maxTrainers=6, rounds=2, maxMissed=1)
    assert shown(world, job, 0) == 0
    world.market.leave(job, {"from": world.operator(1)})
    world.submit(job, 0, 2, 4, 5)
    world.past_submitting(job)
    world.settle(job, mask(0), unopened=mask(2))  # ejects trainer 3
    assert world.market.job(job)["active"] == mask(0, 2, 4, 5)
    assert [shown(world, job, i) for i in range(6)] == [0, 1, 2, 3, 4, 5]
    world.skip(job)
    world.complete(job)
    assert world.market.job(job)["state"] == ABORTED
    assert [shown(world, job, i, LONG_CID[:100]) for i in range(6)] == [0, 1, 2, 3, 4, 5]


def test_a_slot_that_was_given_up_before_the_start_is_the_next_ones(world):
    job = world.enrolled()
    world.market.leave(job, {"from": world.operator(2)})
    world.join(job, 5)
    world.market.start(job, {"from": world.stranger})
    assert shown(world, job, 5) == 2
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
