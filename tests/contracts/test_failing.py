"""When an aggregator fails: takeOver, handOver, abort past the takeover window: docs/security/job-market.tree."""

import pytest
from brownie import ZERO_ADDRESS
from world import (
    ABORTED,
    CID,
    FAULTY,
    KEY,
    LONG_CID,
    RUNNING,
    SLASH,
    ZERO32,
    credits,
    mask,
    move_to,
    now,
    refuses,
)

ALL = mask(0, 1, 2, 3)


def publish(world, job, sender=None):
    return world.market.publishKey(job, CID, {"from": sender or world.taker})


def aborted(world, job):
    return world.market.abort(job, {"from": world.stranger})


def failed_in_round_2(world, **changes):
    """A slash is in the pot from round 1; trainers 0 to 2 have submitted in round 2."""
    job = world.running(**{"takeoverWindow": 30, "maxMissed": 1, **changes})
    world.submit(job, 0, 1, 2)
    world.past_submitting(job)
    world.settle(job, mask(0, 1, 2), scores=[1, 1, 2])
    world.submit(job, 0, 1, 2)
    world.past_settling(job)
    return job


# ------------------------------------------------------------------ when


def test_a_round_that_was_not_settled_is_taken_over_within_its_window(world):
    jobs = [world.running(takeoverWindow=30) for _ in range(3)]
    for job in jobs:
        world.submit(job, 0)
    failed = world.market.job(jobs[0])["settleBy"]
    move_to(failed)
    with refuses("NotTakeable", jobs[0], failed, failed + 30):
        world.take_over(jobs[0])
    move_to(failed + 1)
    world.take_over(jobs[0])
    move_to(failed + 30)
    with refuses("NotAbortable", jobs[1], failed + 30):
        aborted(world, jobs[1])
    world.take_over(jobs[1])
    move_to(failed + 31)
    with refuses("NotTakeable", jobs[2], failed, failed + 30):
        world.take_over(jobs[2])
    aborted(world, jobs[2])


def test_a_job_without_a_key_is_taken_over_once_the_submitting_phase_is_over(world):
    job, other = (world.started(takeoverWindow=30) for _ in range(2))
    failed = world.market.job(job)["submitBy"]
    move_to(failed)
    with refuses("NotTakeable", job, failed, failed + 30):
        world.take_over(job)
    move_to(failed + 1)
    tx = world.take_over(job)
    assert credits(tx) == {(world.payee(i), "Compensation"): 175 for i in range(4)}
    move_to(failed + 30)
    with refuses("NotAbortable", other, failed + 30):
        aborted(world, other)
    move_to(failed + 31)
    with refuses("NotTakeable", other, failed, failed + 30):
        world.take_over(other)
    assert credits(aborted(world, other))[world.payee(0), "Compensation"] == 175


def test_without_a_window_nothing_is_taken_over(world):
    job = world.failed(0, takeoverWindow=0)
    failed = world.market.job(job)["settleBy"]
    with refuses("NotTakeable", job, failed, failed):
        world.take_over(job)
    aborted(world, job)


def test_a_round_in_which_nobody_submitted_is_skipped_and_not_taken_over(world):
    job = world.running(takeoverWindow=30)
    failed = world.market.job(job)["settleBy"]
    world.past_submitting(job)
    with refuses("NotTakeable", job, failed, failed + 30):
        world.take_over(job)
    world.past_settling(job)
    for call in (world.take_over, lambda job: aborted(world, job)):
        with refuses("NothingSubmitted", job, 1):
            call(job)
    world.market.skipRound(job, {"from": world.stranger})


# ------------------------------------------------------------------ who, with what


def test_anyone_takes_over_also_where_the_terms_name_another(world):
    takers = (world.taker, world.owner, world.operator(0), world.aggregator)
    jobs = [world.running(takeoverWindow=30, aggregator=world.aggregator.address) for _ in takers]
    for job in jobs:
        world.submit(job, 0)
    world.past_settling(jobs[-1])
    for job, taker in zip(jobs, takers, strict=True):
        tx = world.take_over(job, sender=taker)
        event = tx.events["TakenOver"]
        assert (event["jobId"], event["round"], event["aggregator"]) == (job, 1, taker)
        assert (event["payee"], event["encryptionKey"]) == (world.taker_fees, KEY)
        held = world.market.job(job)
        assert (held["aggregator"], held["aggregatorPayee"], held["takenOverIn"]) == (taker, world.taker_fees, 1)


def test_who_takes_over_needs_a_payee_and_a_key_and_pays_the_bond_exactly(world):
    job = world.failed(0)
    bond = {"from": world.taker, "value": world.value(700)}
    with refuses("ZeroAddress"):
        world.market.takeOver(job, ZERO_ADDRESS, KEY, bond)
    with refuses("ZeroKey"):
        world.market.takeOver(job, world.taker_fees, ZERO32, bond)
    for sent in {0, 699, 700, 701} - {world.value(700)}:
        with refuses("WrongPayment", sent, world.value(700)):
            world.market.takeOver(job, world.taker_fees, KEY, {"from": world.taker, "value": sent})
    before = world.balance()
    world.take_over(job)
    assert world.balance() == before + 700


# ------------------------------------------------------------------ what becomes of the failed one


def test_the_bond_of_the_failed_goes_to_the_submitters_its_rest_to_the_pot_and_its_fees_wait(world):
    job = failed_in_round_2(world)
    assert world.market.job(job)["pot"] == SLASH
    tx = world.take_over(job)
    assert credits(tx) == {(world.payee(i), "Compensation"): 233 for i in range(3)}
    assert [event.name for event in tx.events if event.name != "Transfer"] == [
        "TakenOver", *3 * ["Credited"], "RoundOpened",
    ]  # fmt: skip
    held = world.market.job(job)
    assert (held["escrow"], held["pot"], held["bonded"]) == (3300, SLASH + 1, True)
    assert (held["settled"], held["settledBefore"], held["owed"]) == (1, 1, 1)
    publish(world, job)
    world.settled(job, rounds=2, sender=world.taker)
    tx = world.complete(job)
    assert credits(tx) == {(world.taker_fees, "Fee"): 200, (world.taker_fees, "Bond"): 700}
    assert tx.events["Ended"]["pot"] == 3000 + SLASH + 1
    assert world.market.job(job)["escrow"] == 3000 + SLASH + 1 + 100
    assert credits(world.claim_fees(job, world.fees)) == {(world.fees, "Fee"): 100}


def test_a_takeover_takes_nothing_of_the_rate(world):
    job = failed_in_round_2(world, rateDecay=2**31)
    assert world.market.job(job)["rate"] == 2**39
    world.take_over(job)
    assert world.market.job(job)["rate"] == 2**39


def test_the_round_opens_again_for_delivery_alone_and_nobody_has_missed_it_yet(world):
    job = failed_in_round_2(world)
    tx = world.take_over(job)
    opened = tx.events["RoundOpened"]
    assert (opened["round"], opened["submitBy"], opened["settleBy"]) == (2, now() + 100, now() + 150)
    held = world.market.job(job)
    assert (held["state"], held["round"], held["submitBy"], held["settleBy"]) == (RUNNING, 2, now() + 100, now() + 150)
    assert (held["submitted"], held["delivering"], held["undelivered"]) == (mask(0, 1, 2), True, mask(0, 1, 2))
    assert (held["disputed"], held["keyPublished"], held["emptyRounds"]) == (0, False, 0)
    assert [world.trainer(job, slot)[2:] for slot in range(3)] == 3 * [(0, 0)]


def test_without_a_key_the_round_opens_anew(world):
    job = world.started(takeoverWindow=30)
    world.past_submitting(job)
    world.take_over(job)
    held = world.market.job(job)
    assert (held["submitted"], held["delivering"], held["submitBy"]) == (0, False, now() + 100)
    publish(world, job)
    world.submit(job, 0, 1, 2, 3)
    world.settle(job, ALL, sender=world.taker)


def test_a_friend_of_the_failed_aggregator_submits_nothing_after_it_has_seen_the_others(world):
    """It fails on purpose, with all updates in hand, and its friend has waited for them."""
    job = world.failed(0, 1, 2)
    world.take_over(job, sender=world.aggregator, payee=world.fees)
    publish(world, job, world.aggregator)
    late = world.market.job(job)["submitBy"]
    with refuses("SubmittingClosed", job, late):
        world.submit(job, 3)
    for i in (0, 1, 2):
        with refuses("SubmittingClosed", job, late):
            world.submit(job, i)
    with refuses("NothingToDeliver", job, 3):
        world.redeliver(job, 3)
    world.redeliver(job, 0, 1, 2)
    world.settle(job, mask(0, 1, 2))
    assert [world.trainer(job, slot)[2] for slot in range(4)] == [0, 0, 0, 1]


def test_the_failed_aggregator_neither_publishes_nor_settles(world):
    job = world.taken_over(0)
    with refuses("NotAggregator", job, world.aggregator):
        publish(world, job, world.aggregator)
    publish(world, job)
    with refuses("KeyAlreadyPublished", job):
        publish(world, job)
    world.redeliver(job, 0)
    with refuses("NotAggregator", job, world.aggregator):
        world.settle(job, mask(0))
    world.settle(job, mask(0), sender=world.taker)


def test_the_failed_aggregator_can_take_its_job_over_for_another_bond(world):
    job = world.failed(0)
    tx = world.take_over(job, sender=world.aggregator, payee=world.fees)
    assert credits(tx) == {(world.payee(0), "Compensation"): 700}
    publish(world, job, world.aggregator)
    world.redeliver(job, 0)
    world.settle(job, mask(0))


def test_only_what_is_delivered_to_the_new_aggregator_counts(world):
    job = world.failed(0, 1)
    world.take_over(job)
    with refuses("KeyNotPublished", job):
        world.redeliver(job, 0)
    publish(world, job)
    with refuses("NothingSubmitted", job, 1):
        world.settle(job, sender=world.taker)
    world.redeliver(job, 0)
    with refuses("SubmittingOpen", job, world.market.job(job)["submitBy"]):
        world.settle(job, mask(0), sender=world.taker)
    world.past_submitting(job)
    with refuses("NotSubmitted", job, mask(0, 1), mask(0)):
        world.settle(job, mask(0, 1), sender=world.taker)
    world.settle(job, mask(0), sender=world.taker)
    assert [world.trainer(job, slot)[2] for slot in range(4)] == [0, 0, 1, 1], "who is late has committed in time"


def test_where_nothing_is_delivered_the_round_is_skipped_and_the_bond_kept(world):
    job = world.failed(0, 1)
    world.take_over(job)
    publish(world, job)
    world.past_settling(job)
    for call in (world.take_over, lambda job: aborted(world, job)):
        with refuses("NothingSubmitted", job, 1):
            call(job)
    tx = world.market.skipRound(job, {"from": world.stranger})
    assert credits(tx) == {}
    assert (world.market.job(job)["round"], world.market.job(job)["bonded"]) == (2, True)


def test_who_disputed_before_a_takeover_has_not_missed_the_round(world):
    job = world.running(5, **FAULTY, takeoverWindow=30)
    world.dispute(job, 0)
    world.submit(job, 1, 2)
    world.past_settling(job)
    world.take_over(job)
    publish(world, job)
    with refuses("SubmittingClosed", job, world.market.job(job)["submitBy"]):
        world.dispute(job, 3)
    world.redeliver(job, 1, 2)
    world.settle(job, mask(1, 2), sender=world.taker)
    assert [world.trainer(job, slot)[2] for slot in range(5)] == [0, 0, 0, 1, 1]


def test_nobody_leaves_while_what_was_submitted_is_delivered_again(world):
    job = world.failed(0)
    world.take_over(job)
    for i in (0, 1):
        with refuses("SubmittingClosed", job, world.market.job(job)["submitBy"]):
            world.market.leave(job, {"from": world.operator(i)})


# ------------------------------------------------------------------ what becomes of who takes over


def test_who_takes_over_and_is_not_ready_loses_no_bond_and_ends_the_job(world):
    job = failed_in_round_2(world)
    world.take_over(job)
    late = world.market.job(job)["submitBy"]
    move_to(late)
    with refuses("NotAbortable", job, late):
        aborted(world, job)
    move_to(late + 1)
    with refuses("NotTakeable", job, late, late):
        world.take_over(job, sender=world.aggregator)
    with refuses("SubmittingClosed", job, late):
        publish(world, job)
    tx = aborted(world, job)
    assert credits(tx) == {}
    assert tx.events["ConfirmationOpened"]["outcome"] == ABORTED
    assert world.market.job(job)["bonded"]
    tx = world.complete(job)
    assert credits(tx) == {(world.taker_fees, "Bond"): 700, (world.owner, "Refund"): 2200}
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (ABORTED, 1000 + SLASH + 1)
    assert credits(world.claim_fees(job, world.fees)) == {(world.fees, "Fee"): 100}
    pot = 1000 + SLASH + 1
    assert world.claim_all(job) == {
        **{(world.payee(i), "Pay"): pot * part // 4 for i, part in enumerate((1, 1, 2))},
        **{(world.payee(i), "Stake"): 501 for i in range(3)},
        (ZERO_ADDRESS, "Burnt"): 2,
    }


def test_before_any_settlement_the_job_is_over_at_once_and_the_bond_is_its_takers(world):
    job = world.taken_over(0)
    world.past_submitting(job)
    tx = aborted(world, job)
    assert credits(tx) == {(world.taker_fees, "Bond"): 700, (world.owner, "Refund"): 3300}
    assert tx.events["Ended"]["state"] == ABORTED


def test_who_takes_over_publishes_the_key_and_fails_loses_its_bond_to_the_next(world):
    job = world.taken_over(0, 1, 2)
    publish(world, job)
    world.redeliver(job, 1, 2)
    world.past_settling(job)
    failed = now() - 1
    with refuses("NotAbortable", job, failed + 30):
        aborted(world, job)
    tx = world.take_over(job, sender=world.stranger, payee=world.stranger)
    assert credits(tx) == {(world.payee(i), "Compensation"): 350 for i in (1, 2)}
    assert world.market.job(job)["aggregator"] == world.stranger
    publish(world, job, world.stranger)
    world.redeliver(job, 0)
    move_to(world.market.job(job)["settleBy"] + 31)
    assert credits(aborted(world, job)) == {
        (world.payee(0), "Compensation"): 700,
        (world.owner, "Refund"): 3300,
    }


def test_a_later_round_can_be_taken_over_again(world):
    job = world.taken_over(0)
    publish(world, job)
    world.redeliver(job, 0)
    world.settle(job, mask(0), sender=world.taker)
    world.submit(job, 0)
    world.past_settling(job)
    tx = world.take_over(job, sender=world.aggregator, payee=world.fees)
    assert credits(tx) == {(world.payee(0), "Compensation"): 700}
    held = world.market.job(job)
    assert (held["round"], held["settledBefore"], held["owed"]) == (2, 1, 1)


def test_when_all_leave_who_took_over_keeps_its_bond(world):
    job = world.started(takeoverWindow=30)
    world.past_submitting(job)
    world.take_over(job)
    for i in range(4):
        tx = world.market.leave(job, {"from": world.operator(i)})
    assert credits(tx) == {
        (world.payee(3), "Stake"): 501,
        (world.taker_fees, "Bond"): 700,
        (world.owner, "Refund"): 3300,
    }


# ------------------------------------------------------------------ handOver


def test_owner_and_trainers_hand_over_until_the_key_is_published(world):
    job = world.failed(0)
    with refuses("NothingToHandOver", job):
        world.market.handOver(job, CID, {"from": world.owner})
    world.take_over(job)
    for sender in (world.owner, world.operator(3), world.operator(3)):
        event = world.market.handOver(job, CID, {"from": sender}).events["HandedOver"]
        assert (event["jobId"], event["sender"], event["cid"]) == (job, sender, CID)
    publish(world, job)
    with refuses("NothingToHandOver", job):
        world.market.handOver(job, CID, {"from": world.owner})


def test_nobody_else_hands_over(world):
    job = world.started(takeoverWindow=30)
    world.past_submitting(job)
    world.take_over(job)
    world.market.leave(job, {"from": world.operator(2)})
    for other in (world.taker, world.aggregator, world.stranger, world.operator(2), world.payee(0)):
        with refuses("NotTrainer", job, other):
            world.market.handOver(job, CID, {"from": other})


@pytest.mark.parametrize("cid", ["", LONG_CID])
def test_what_is_handed_over_has_a_cid(coin_world, cid):
    job = coin_world.taken_over(0)
    with refuses("InvalidCid", len(cid)):
        coin_world.market.handOver(job, cid, {"from": coin_world.owner})
