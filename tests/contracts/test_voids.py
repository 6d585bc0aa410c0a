"""voidRound, redeliver, and what may be called unopened: docs/security/job-market.tree.

One of five trainers may be faulty, and one of four or five submissions be called unopened.
"""

import pytest
from brownie import ZERO_ADDRESS
from faulty import coin_world, world  # noqa: F401 (in place of conftest's)
from world import (
    ABORTED,
    CID,
    COMPLETED,
    CONFIRMING,
    LONG_CID,
    OPEN,
    RUNNING,
    credits,
    events,
    mask,
    move_to,
    now,
    pay_each,
    refuses,
    stakes,
)

ALL = mask(0, 1, 2, 3, 4)
EVERYBODY = range(5)


def compensation(world, each, trainers):
    return {(world.payee(i), "Compensation"): each for i in trainers}


def all_in(world, **changes):
    """A job in whose first round everybody has submitted."""
    job = world.running(**changes)
    world.submit(job, *EVERYBODY)
    return job


def voided(world, *unopened, **changes):
    job = all_in(world, **changes)
    world.void(job, *(unopened or (2, 3)))
    return job


def delivering(world, job):
    """Whether something is delivered again; what has not been yet; how often that was so."""
    held = world.market.job(job)
    return held["delivering"], held["undelivered"], held["voids"]


def counted(world, job, slot):
    """Misses, strikes, absences."""
    return *world.trainer(job, slot)[2:], int(world.market.trainer(job, slot)["absences"])


def rest(world, job):
    """All that is over is claimed, and nothing is left."""
    world.claim_all(job)
    held = world.market.job(job)
    assert (held["escrow"], held["bonded"], delivering(world, job)[:2]) == (0, False, (False, 0))


# ------------------------------------------------------------------ how many may be called unopened


@pytest.mark.parametrize(
    ("faulty", "submitted", "most"),
    [
        (0, 1, 0), (0, 4, 0), (0, 8, 0),
        (1, 1, 0), (1, 3, 0), (1, 4, 1), (1, 5, 1), (1, 8, 1),
        (2, 3, 0), (2, 4, 1), (2, 6, 1), (2, 7, 2), (2, 8, 2),
        (3, 6, 1), (3, 7, 2), (3, 9, 2), (3, 10, 3),
    ],
)  # fmt: skip
def test_less_than_a_third_and_no_more_than_may_be_faulty_are_called_unopened(coin_world, faulty, submitted, most):
    """One more of them is what a void takes; each bound to the one, in a settlement and in a void."""
    world = coin_world
    job = world.running(10, minTrainers=9, maxTrainers=10, maxFaulty=faulty)
    world.submit(job, *range(submitted))
    world.past_submitting(job)
    opened = mask(*range(most, submitted))
    with refuses("TooManyUnopened", job, most + 1, most):
        world.settle(job, unopened=mask(*range(most + 1)))
    for many in range(most + 1):
        with refuses("NotVoidable", job, many, most):
            world.void(job, *range(many))
    world.market.voidRound.call(job, 1, mask(*range(most + 1)), {"from": world.aggregator})
    world.market.voidRound.call(job, 1, mask(*range(submitted)), {"from": world.aggregator})
    world.settle(job, opened, unopened=mask(*range(most)))
    assert world.market.job(job)["settled"] == 1


def test_after_a_void_it_is_counted_from_what_was_delivered(world):
    """Of five submissions one may be unopened, of the three that are left none."""
    job = voided(world, 2, 3)
    world.past_submitting(job)
    with refuses("TooManyUnopened", job, 1, 0):
        world.settle(job, mask(0, 1), unopened=mask(4))
    with refuses("NotSubmitted", job, mask(0, 1, 3, 4), mask(0, 1, 4)):
        world.settle(job, mask(0, 1, 4), unopened=mask(3))
    world.settle(job, mask(0, 1, 4))


def test_the_same_cap_holds_for_what_was_delivered_again(world):
    job = voided(world, 2, 3)
    world.redeliver(job, 2, 3)
    with refuses("TooManyUnopened", job, 2, 1):
        world.settle(job, mask(0, 1, 4), unopened=mask(2, 3))
    with refuses("NotVoidable", job, 1, 1):
        world.void(job, 3)
    world.settle(job, mask(0, 1, 2, 4), unopened=mask(3))
    assert counted(world, job, 3) == (0, 0, 1)


# ------------------------------------------------------------------ voidRound: what it does


def test_a_void_opens_the_round_for_delivery_alone(world):
    job = all_in(world)
    before = [str(world.market.commitment(job, slot)) for slot in EVERYBODY]
    move_to(now() + 7)
    tx = world.void(job, 1, 3, 4)
    event = tx.events["RoundVoided"]
    assert (event["jobId"], event["round"], event["unopened"]) == (job, 1, mask(1, 3, 4))
    assert (event["deliverBy"], event["settleBy"]) == (now() + 50, now() + 100)
    assert [e.name for e in tx.events] == ["RoundVoided"]
    held = world.market.job(job)
    assert (held["state"], held["round"], held["settled"]) == (RUNNING, 1, 0)
    assert (held["submitBy"], held["settleBy"], held["submitted"], held["active"]) == (now() + 50, now() + 100, ALL, ALL)
    assert delivering(world, job) == (True, mask(1, 3, 4), 1)
    assert (held["escrow"], held["pot"], held["bonded"]) == (3 * 1350, 0, True)
    assert [str(world.market.commitment(job, slot)) for slot in EVERYBODY] == before


def test_whoever_has_not_submitted_before_the_void_does_not_afterwards(world):
    """Or a friend of the aggregator would, with what it has seen."""
    job = world.running()
    world.submit(job, 0, 1, 2, 3)
    last = world.market.job(job)["submitBy"]
    with refuses("SubmittingOpen", job, last):
        world.void(job, 0, 1)
    world.past_submitting(job)
    world.void(job, 0, 1)
    deliver_by = world.market.job(job)["submitBy"]
    for i in (4, 0, 2):  # one that did not submit, one that delivers again, one that need not
        with refuses("SubmittingClosed", job, deliver_by):
            world.submit(job, i)
    with refuses("NothingToDeliver", job, 4):
        world.redeliver(job, 4)
    world.redeliver(job, 0, 1)
    world.settle(job, mask(0, 1, 2, 3))
    assert counted(world, job, 4) == (1, 0, 1)


def test_what_is_delivered_again_is_for_the_same_commitment(world):
    job = voided(world, 2, 3)
    before = str(world.market.commitment(job, 2))
    tx = world.redeliver(job, 2, cid=LONG_CID[:100])
    event = tx.events["Redelivered"]
    assert (event["jobId"], event["round"], event["slot"], event["cid"]) == (job, 1, 2, LONG_CID[:100])
    assert [e.name for e in tx.events] == ["Redelivered"]
    assert str(world.market.commitment(job, 2)) == before
    assert delivering(world, job) == (True, mask(3), 1)


def test_a_round_is_settled_at_once_when_all_have_delivered_again(world):
    job = voided(world, 2, 3)
    deliver_by = world.market.job(job)["submitBy"]
    with refuses("SubmittingOpen", job, deliver_by):
        world.settle(job, mask(0, 1, 4))
    world.redeliver(job, 3)
    with refuses("SubmittingOpen", job, deliver_by):
        world.settle(job, mask(0, 1, 3, 4))
    world.redeliver(job, 2)
    tx = world.settle(job, ALL)
    assert tx.events["RoundSettled"]["submitted"] == ALL
    assert delivering(world, job) == (False, 0, 1)
    held = world.market.job(job)
    assert (held["round"], held["submitBy"], held["settleBy"]) == (2, now() + 100, now() + 150)
    world.settled(job, rounds=2)
    assert credits(world.complete(job)) == {(world.fees, "Fee"): 300, (world.fees, "Bond"): 700}
    assert world.claim_all(job) == {**pay_each(world, 750), **stakes(world)}


def test_a_void_round_is_settled_without_what_was_not_delivered(world):
    job = voided(world, 2, 3, rounds=1)
    world.redeliver(job, 3)
    last = world.market.job(job)["settleBy"]
    move_to(last)
    tx = world.settle(job, mask(0, 1, 3, 4))
    assert tx.events["RoundSettled"]["submitted"] == mask(0, 1, 3, 4)
    assert "Ejected" not in tx.events
    assert [counted(world, job, slot) for slot in EVERYBODY] == [(0, 0, 0), (0, 0, 0), (0, 0, 1), (0, 0, 0), (0, 0, 0)]
    world.complete(job)
    # 1250 among four, and nothing for who opened nothing
    assert world.claim_all(job) == {
        **pay_each(world, 312, (0, 1, 3, 4)), **stakes(world), (ZERO_ADDRESS, "Burnt"): 1250 - 4 * 312,
    }  # fmt: skip


def test_a_void_round_is_settled_up_to_and_including_its_last_second(world):
    job = voided(world, 2, 3)
    last = world.market.job(job)["settleBy"]
    assert last == now() + 100
    move_to(last + 1)
    with refuses("SettlingClosed", job, last):
        world.settle(job, mask(0, 1, 4))
    with refuses("SettlingClosed", job, last):
        world.void(job, 0, 1)


# ------------------------------------------------------------------ voidRound: who, when, what


def test_only_the_aggregator_declares_a_round_void(world):
    job = all_in(world, takeoverWindow=30)
    for other in (world.owner, world.operator(0), world.stranger, world.fees):
        with refuses("NotAggregator", job, other):
            world.void(job, 2, 3, sender=other)
    world.past_settling(job)
    world.take_over(job)
    with refuses("NotAggregator", job, world.aggregator):
        world.void(job, 2, 3)


def test_only_the_running_round_is_void(world):
    job = all_in(world)
    for number in (0, 2, 2**16 - 1):
        with refuses("WrongRound", job, 1, number):
            world.void(job, 2, 3, number=number)


def test_only_what_was_submitted_is_void(world):
    job = world.running()
    world.submit(job, 0, 1, 2, 3)
    world.past_submitting(job)
    for slots in ((3, 4), (0, 31), (5, 6)):
        with refuses("NotSubmitted", job, mask(*slots), mask(0, 1, 2, 3)):
            world.void(job, *slots)


def test_what_is_not_delivered_again_is_not_void_again(world):
    job = voided(world, 2, 3, 4)
    world.past_submitting(job)
    with refuses("NotSubmitted", job, mask(0, 2), mask(0, 1)):
        world.void(job, 0, 2)


def test_a_round_without_a_submission_is_not_void(world):
    job = world.running()
    world.past_submitting(job)
    with refuses("NothingSubmitted", job, 1):
        world.void(job)
    with refuses("NothingSubmitted", job, 1):
        world.void(job, 0, 1)


def test_a_round_is_void_from_when_it_can_be_judged_up_to_the_last_second(world):
    job, other = world.running(), world.running()
    for each in (job, other):
        world.submit(each, 0, 1, 2, 3)
    opened, last = world.market.job(job)["submitBy"], world.market.job(job)["settleBy"]
    move_to(opened)
    with refuses("SubmittingOpen", job, opened):
        world.void(job, 2, 3)
    move_to(last)
    world.void(job, 2, 3)
    move_to(last + 1)
    with refuses("SettlingClosed", other, last):
        world.void(other, 2, 3)


def test_nothing_is_void_and_nothing_delivered_where_no_round_runs(world):
    jobs = {0: 99, OPEN: world.enrolled(), CONFIRMING: world.confirming(), COMPLETED: world.completed()}
    for state, job in jobs.items():
        for call in (world.market.voidRound, world.market.redeliver):
            argument = mask(0, 1) if call == world.market.voidRound else CID
            for sender in (world.aggregator, world.operator(0)):
                with refuses(*(("NoSuchJob", job) if not state else ("WrongState", job, state, RUNNING))):
                    call(job, 1, argument, {"from": sender})


# ------------------------------------------------------------------ redeliver: who, when, what


def test_redelivery_is_open_up_to_and_including_the_last_second(world):
    job = voided(world, 2, 3)
    last = world.market.job(job)["submitBy"]
    move_to(last)
    world.redeliver(job, 2)
    move_to(last + 1)
    with refuses("SubmittingClosed", job, last):
        world.redeliver(job, 3)
    world.settle(job, mask(0, 1, 2, 4))


def test_each_delivers_once_for_each_time_it_is_asked(world):
    job = voided(world, 2, 3)
    world.redeliver(job, 2)
    with refuses("NothingToDeliver", job, 2):
        world.redeliver(job, 2)
    world.redeliver(job, 3)
    world.void(job, 2, 4)
    world.redeliver(job, 2)
    with refuses("NothingToDeliver", job, 2):
        world.redeliver(job, 2)


def test_nobody_else_delivers(world):
    job = world.running()
    world.leave(job, 4)
    world.submit(job, 0, 1, 2, 3)
    with refuses("NothingToDeliver", job, 2):  # before any void
        world.redeliver(job, 2)
    world.void(job, 2, 3)
    for i in (0, 1):
        with refuses("NothingToDeliver", job, i):
            world.redeliver(job, i)
    for other in (world.owner, world.aggregator, world.stranger, world.payee(2), world.operator(4)):
        with refuses("NotTrainer", job, other):
            world.market.redeliver(job, 1, CID, {"from": other})
    assert delivering(world, job) == (True, mask(2, 3), 1)


def test_only_for_the_running_round_is_delivered_again(world):
    job = world.running()
    world.settled(job)
    world.submit(job, *EVERYBODY)
    world.void(job, 2, 3)
    for number in (0, 1, 3):
        with refuses("WrongRound", job, 2, number):
            world.market.redeliver(job, number, CID, {"from": world.operator(2)})
    world.redeliver(job, 2, 3)
    world.settle(job, ALL)
    with refuses("WrongRound", job, 3, 2):
        world.market.redeliver(job, 2, CID, {"from": world.operator(2)})
    with refuses("NothingToDeliver", job, 2):
        world.redeliver(job, 2)


@pytest.mark.parametrize("cid", ["", LONG_CID])
def test_what_is_delivered_again_has_a_cid(coin_world, cid):
    job = voided(coin_world, 2, 3)
    with refuses("InvalidCid", len(cid)):
        coin_world.redeliver(job, 2, cid=cid)


# ------------------------------------------------------------------ misses


def test_who_has_committed_in_time_has_not_missed_the_round_however_late_it_delivers(world):
    """It may be the aggregator that does not open what is good; the misses before are not forgiven either."""
    job = world.running(maxMissed=2, rounds=5)
    world.submit(job, 0, 1, 2, 3)
    world.past_submitting(job)
    world.settle(job, mask(0, 1, 2, 3))
    world.submit(job, *EVERYBODY)
    world.void(job, 3, 4)
    world.past_submitting(job)
    tx = world.settle(job, mask(0, 1, 2))
    assert "Ejected" not in tx.events
    assert [counted(world, job, slot) for slot in (3, 4)] == [(0, 0, 1), (1, 0, 2)]


def test_who_is_late_twice_in_a_round_has_not_missed_it(world):
    """Who was late after the first void is asked again by the second."""
    job = all_in(world, maxMissed=1, rounds=2)
    world.void(job, 3, 4)
    world.redeliver(job, 3)
    world.past_submitting(job)
    world.void(job, 0, 3)
    assert delivering(world, job) == (True, mask(0, 3, 4), 2)
    world.redeliver(job, 4)
    with refuses("SubmittingOpen", job, world.market.job(job)["submitBy"]):
        world.settle(job, mask(1, 2, 4))
    world.past_submitting(job)
    tx = world.settle(job, mask(1, 2, 4))
    assert "Ejected" not in tx.events
    assert [counted(world, job, slot) for slot in EVERYBODY] == [(0, 0, 1), *2 * [(0, 0, 0)], (0, 0, 1), (0, 0, 0)]
    assert world.market.job(job)["active"] == ALL


def test_who_was_silent_before_the_void_has_missed_the_round(world):
    job = world.running(maxMissed=1)
    world.dispute(job, 3)
    world.submit(job, 0, 1)
    world.past_submitting(job)
    world.void(job, 0)
    world.redeliver(job, 0)
    tx = world.settle(job, mask(0, 1))
    assert [event["slot"] for event in tx.events["Ejected"]] == [2, 4]  # who disputed has not missed it


def test_a_late_delivery_is_forgiven_by_the_next_submission_alone(world):
    job = voided(world, 2, 3, rounds=3)
    world.past_submitting(job)
    world.settle(job, mask(0, 1, 4))
    world.settled(job)
    assert [counted(world, job, slot) for slot in (2, 3)] == [(0, 0, 1), (0, 0, 1)]


# ------------------------------------------------------------------ while delivering


def test_nobody_leaves_or_disputes_while_something_is_delivered_again(world):
    job = world.running()
    world.submit(job, 0, 1, 2, 3)
    world.past_submitting(job)
    world.void(job, 2, 3)
    last = world.market.job(job)["submitBy"]
    for i in (0, 2, 4):
        with refuses("SubmittingClosed", job, last):
            world.leave(job, i)
        with refuses("SubmittingClosed", job, last):
            world.dispute(job, i)
    world.redeliver(job, 2, 3)
    for i in (0, 2, 4):
        with refuses("SubmittingClosed", job, last):
            world.leave(job, i)


def test_a_dispute_from_before_the_void_stays_counted(world):
    job = world.running()
    world.dispute(job, 4)
    world.submit(job, 0, 1, 2, 3)
    world.past_submitting(job)
    world.void(job, 2, 3)
    assert world.market.job(job)["disputed"] == mask(4)
    world.past_submitting(job)
    world.settle(job, mask(0, 1))
    assert counted(world, job, 4) == (0, 0, 1)
    assert world.market.job(job)["disputed"] == 0


def test_a_round_is_skipped_when_nothing_is_delivered_again(world):
    """All were called unopened, and nobody came: nobody has missed it, and it costs nothing."""
    job = voided(world, *EVERYBODY, maxMissed=1, maxEmptyRounds=2, takeoverWindow=30)
    last = world.market.job(job)["submitBy"]
    with refuses("SubmittingOpen", job, last):
        world.market.skipRound(job, {"from": world.stranger})
    with refuses("NothingSubmitted", job, 1):
        world.settle(job)
    with refuses("NothingSubmitted", job, 1):
        world.void(job)
    with refuses("NotAbortable", job, last + 50 + 30):
        world.market.abort(job, {"from": world.stranger})
    world.past_settling(job)
    for call in (world.take_over, lambda job: world.market.abort(job, {"from": world.stranger})):
        with refuses("NothingSubmitted", job, 1):
            call(job)
    tx = world.market.skipRound(job, {"from": world.stranger})
    assert "Ejected" not in tx.events
    assert [counted(world, job, slot) for slot in EVERYBODY] == 5 * [(0, 0, 0)]
    held = world.market.job(job)
    assert (held["round"], held["emptyRounds"], held["escrow"], held["submitted"]) == (2, 1, 3 * 1350, 0)
    assert delivering(world, job) == (False, 0, 1)
    world.submit(job, *EVERYBODY)


def test_empty_rounds_end_a_job_in_the_middle_of_a_void(world):
    """The last one settled or none: what is over delivers nothing."""
    for rounds in (0, 1):
        job = world.running(maxEmptyRounds=1, rounds=2)
        if rounds:
            world.settled(job)
        world.submit(job, *EVERYBODY)
        world.void(job, *EVERYBODY)
        world.skip(job)
        held = world.market.job(job)
        assert held["state"] == (CONFIRMING if rounds else ABORTED)
        assert (*delivering(world, job), held["submitted"]) == (False, 0, 1, 0)
        if rounds:
            world.complete(job)
        rest(world, job)


def test_a_round_with_a_submission_that_opens_is_not_skipped(world):
    job = voided(world, 1, 2, 3, 4)
    world.past_settling(job)
    with refuses("SomethingSubmitted", job, 1):
        world.market.skipRound(job, {"from": world.stranger})
    job = voided(world, *EVERYBODY)
    world.redeliver(job, 2)
    world.past_submitting(job)
    with refuses("SomethingSubmitted", job, 1):
        world.market.skipRound(job, {"from": world.stranger})


def test_a_bond_is_divided_among_those_who_delivered(world):
    job = voided(world, 2, 3)
    world.redeliver(job, 3)
    failed = world.market.job(job)["settleBy"]
    move_to(failed)
    with refuses("NotAbortable", job, failed):
        world.market.abort(job, {"from": world.stranger})
    move_to(failed + 1)
    tx = world.market.abort(job, {"from": world.stranger})
    assert credits(tx) == {**compensation(world, 175, (0, 1, 3, 4)), (world.owner, "Refund"): 4050}
    held = world.market.job(job)
    assert (held["state"], held["submitted"]) == (ABORTED, 0)
    assert delivering(world, job) == (False, 0, 1)
    rest(world, job)


def test_an_aborted_job_with_a_settled_round_is_confirmed_and_delivers_nothing(world):
    job = world.running()
    world.settled(job)
    world.submit(job, *EVERYBODY)
    world.void(job, 0, 1)
    world.past_settling(job)
    tx = world.market.abort(job, {"from": world.stranger})
    assert credits(tx) == compensation(world, 233, (2, 3, 4))
    assert delivering(world, job) == (False, 0, 1)
    world.dispute(job, 0)  # all can, now
    assert credits(world.complete(job)) == {(world.fees, "Fee"): 100, (world.owner, "Refund"): 2700}
    rest(world, job)


def test_a_takeover_in_the_middle_of_a_void_asks_for_all_submissions_again(world):
    """Also for those that were late, and for those that had opened for the other."""
    job = voided(world, 2, 3, takeoverWindow=30)
    world.redeliver(job, 2)
    failed = world.market.job(job)["settleBy"]
    with refuses("NotTakeable", job, failed, failed + 30):
        world.take_over(job)
    world.past_settling(job)
    tx = world.take_over(job)
    assert credits(tx) == compensation(world, 175, (0, 1, 2, 4))
    held = world.market.job(job)
    everybody = mask(*EVERYBODY)
    assert (held["submitBy"], held["settleBy"], held["submitted"]) == (now() + 100, now() + 150, everybody)
    assert delivering(world, job) == (True, everybody, 1)  # what the job allows is not given anew
    world.market.publishKey(job, CID, {"from": world.taker})
    world.redeliver(job, *EVERYBODY)
    world.void(job, 0, 1, sender=world.taker)
    assert delivering(world, job) == (True, mask(0, 1), 2)

def test_the_owners_wish_is_met_by_the_settlement_of_a_void_round(world):
    job = voided(world, 2, 3, minRounds=1)
    world.market.askEnd(job, {"from": world.owner})
    world.redeliver(job, 2, 3)
    assert world.settle(job, ALL).events["ConfirmationOpened"]["outcome"] == COMPLETED


# ------------------------------------------------------------------ again and again


def test_the_voids_of_a_job_are_counted_over_its_rounds(world):
    job = world.running(maxVoids=3)
    for number, voids in ((1, (1, 2)), (2, ()), (3, (3,))):
        world.submit(job, *EVERYBODY)
        for count in voids:
            world.void(job, 0, 1)
            assert delivering(world, job) == (True, mask(0, 1), count)
            world.redeliver(job, 0, 1)
        assert world.market.job(job)["round"] == number
        world.settle(job, ALL)
    assert delivering(world, job) == (False, 0, 3)


def test_one_void_more_than_may_be_burns_the_rounds_reward_and_ends_the_job(world):
    before = world.balance()
    job = world.running(maxVoids=1, rounds=4)
    world.settled(job)
    world.submit(job, *EVERYBODY)
    world.void(job, 3, 4)
    world.redeliver(job, 3, 4)
    tx = world.void(job, 3, 4)
    event = tx.events["RoundVoided"]
    assert (event["round"], event["unopened"], event["deliverBy"], event["settleBy"]) == (2, mask(3, 4), 0, 0)
    assert [e.name for e in tx.events] == ["RoundVoided", "Credited", "ConfirmationOpened"]
    assert credits(tx) == {(ZERO_ADDRESS, "Burnt"): 1250}
    opened = tx.events["ConfirmationOpened"]
    assert (opened["confirmBy"], opened["outcome"]) == (now() + 80, ABORTED)
    held = world.market.job(job)
    assert (held["state"], held["settled"], held["escrow"], held["bonded"]) == (CONFIRMING, 1, 4 * 1350 - 1250, True)
    assert (held["submitted"], held["active"], *delivering(world, job)) == (0, ALL, False, 0, 1)
    tx = world.complete(job)
    # The fee of the settled round and the bond, as at any end; of the void round the fee, of those to come all.
    assert credits(tx) == {
        (world.fees, "Fee"): 100, (world.fees, "Bond"): 700, (world.owner, "Refund"): 100 + 2 * 1350,
    }  # fmt: skip
    assert tx.events["Ended"]["pot"] == 1250
    assert world.claim_all(job) == {**pay_each(world, 250), **stakes(world)}
    assert world.market.job(job)["escrow"] == 0
    for party in (world.owner, world.fees, *(world.payee(i) for i in EVERYBODY)):
        world.market.withdraw(world.currency, {"from": party})
    assert world.balance() - before == world.credit(ZERO_ADDRESS) == 1250


def test_where_none_may_be_the_first_void_ends_the_job(world):
    job = all_in(world, maxVoids=0)
    tx = world.void(job, 0, 1)
    assert [e.name for e in tx.events] == ["RoundVoided", *3 * ["Credited"], "Ended"]
    assert credits(tx) == {(ZERO_ADDRESS, "Burnt"): 1250, (world.fees, "Bond"): 700, (world.owner, "Refund"): 2800}
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (ABORTED, 0)
    held = world.market.job(job)
    assert (held["state"], held["voids"], held["escrow"]) == (ABORTED, 0, 0)
    assert world.claim_all(job) == stakes(world)


def test_voids_run_out_in_the_middle_of_one_and_in_the_last_round(world):
    job = world.running(maxVoids=1, rounds=2)
    world.settled(job)
    world.submit(job, *EVERYBODY)
    world.void(job, *EVERYBODY)
    world.redeliver(job, 1)
    world.past_submitting(job)
    world.void(job, 1)
    assert delivering(world, job) == (False, 0, 1)
    assert credits(world.complete(job)) == {
        (world.fees, "Fee"): 100, (world.fees, "Bond"): 700, (world.owner, "Refund"): 100,
    }  # fmt: skip
    rest(world, job)
    first = voided(world, *EVERYBODY, maxVoids=1, rounds=1)
    world.redeliver(first, 1)
    world.past_submitting(first)
    tx = world.void(first, 1)
    assert credits(tx) == {(ZERO_ADDRESS, "Burnt"): 1250, (world.fees, "Bond"): 700, (world.owner, "Refund"): 100}
    rest(world, first)


def test_a_reward_of_nothing_is_not_burnt(world):
    tx = world.void(all_in(world, maxVoids=0, reward=0), 0, 1)
    assert (ZERO_ADDRESS, "Burnt") not in credits(tx)
    assert events(tx, "Ended")


def test_what_ended_for_want_of_voids_is_disputed_like_any_end(world):
    job = world.running(maxVoids=0)
    world.settled(job)
    world.submit(job, *EVERYBODY)
    world.void(job, 0, 1)
    assert credits(world.dispute(job, 3, 4)) == {(ZERO_ADDRESS, "Burnt"): 700 + 100}
    assert credits(world.complete(job)) == {(world.owner, "Refund"): 100 + 1350}
    assert world.claim_all(job) == {**pay_each(world, 250), **stakes(world)}


# ------------------------------------------------------------------ who gains


def taken(world, before):
    """What each party has been credited since, deposits not counted."""
    parties = [world.owner, world.fees, *(world.payee(i) for i in EVERYBODY)]
    return [world.credit(party) - had for party, had in zip(parties, before, strict=True)]


def credited(world):
    return [world.credit(party) for party in [world.owner, world.fees, *(world.payee(i) for i in EVERYBODY)]]


def played(world, *, rubbish, delivered, rounds=1, **changes):
    """Trainers that send what does not open in the last round, however often they are asked; what all end with."""
    before = credited(world)
    job = world.running(rounds=rounds, **changes)
    if rounds > 1:
        world.settled(job, rounds=rounds - 1)
    world.submit(job, *EVERYBODY)
    while world.market.job(job)["state"] == RUNNING:
        if rubbish:
            world.void(job, *rubbish)
        if rubbish and not delivered:
            world.past_submitting(job)
        if not (rubbish and delivered):
            world.settle(job, mask(*(set(EVERYBODY) - set(rubbish))))
        elif world.market.job(job)["state"] == RUNNING:
            world.redeliver(job, *rubbish)
    if world.market.job(job)["state"] == CONFIRMING:
        world.complete(job)
    world.claim_all(job)
    return taken(world, before)


def test_trainers_that_send_rubbish_for_a_bond_gain_nothing(world):
    """f + 1 of them, silent when asked again, or with rubbish again, at the end of three rounds: never part of the bond."""
    honest = played(world, rubbish=(), delivered=False, rounds=3)
    assert honest == [0, 1000, *5 * [750 + 501]]
    silent = played(world, rubbish=(0, 1), delivered=False, rounds=3)
    # The aggregator and the others lose nothing: two rounds' parts are less than three's.
    assert silent[:2] == honest[:2]
    assert all(had < would for had, would in zip(silent[2:4], honest[2:4], strict=True))
    assert all(had > would for had, would in zip(silent[4:], honest[4:], strict=True))
    again = played(world, rubbish=(0, 1), delivered=True, rounds=3)
    # The round's reward is burnt: all have less, and the aggregator keeps bond and fees but for this round's.
    assert again == [100, 900, *5 * [500 + 501]]


def test_an_owner_with_more_than_may_be_faulty_gains_nothing(world):
    """It spoils the last round: what it would have paid for it is burnt, and the bond is the aggregator's."""
    mine = [0, 2, 3]  # the owner, and trainers 0 and 1
    honest = played(world, rubbish=(), delivered=False, rounds=3)
    for delivered in (False, True):
        spoilt = played(world, rubbish=(0, 1), delivered=delivered, rounds=3)
        assert sum(spoilt[i] for i in mine) < sum(honest[i] for i in mine)
        assert spoilt[1] >= 700  # the bond


def test_an_aggregator_that_calls_good_submissions_bad_loses_by_it(world):
    """They are delivered again and again, to the end of its voids: it gets no fee for the round, nor do friends get pay."""
    friends = [1, 2, 3]  # the aggregator, and trainers 0 and 1
    honest = played(world, rubbish=(), delivered=False, rounds=3)
    burnt = played(world, rubbish=(2, 3, 4), delivered=True, rounds=3)
    assert sum(burnt[i] for i in friends) < sum(honest[i] for i in friends)
    assert all(burnt[i] <= honest[i] for i in friends)


def test_an_aggregator_judges_what_was_delivered_again_like_the_rest(world):
    """What it asks for again it cannot leave out: a void buys no more than one unopened."""
    job = voided(world, 2, 3, 4)
    world.redeliver(job, 2, 3, 4)
    with refuses("TooManyUnopened", job, 3, 1):
        world.settle(job, mask(0, 1), unopened=mask(2, 3, 4))
    world.settle(job, mask(0, 1, 2, 3), unopened=mask(4))
