"""reveal, disputeRows, a completion without a reveal, and the disputed division: docs/security/job-market.tree.

Scores of 25, 15, 5, 5 and 0 divide a pot of 1250 into 625, 375, 125, 125 and nothing by points, and into 250 each by rounds.
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
    REFERENCE,
    SLASH,
    credits,
    events,
    mask,
    move_to,
    now,
    pay,
    refuses,
    stakes,
)

SCORES = [25, 15, 5, 5, 0]
POINTS = [625, 375, 125, 125]
LESSER = [250, 250, 125, 125]
ALL = mask(0, 1, 2, 3, 4)


def burnt(amount):
    return {(ZERO_ADDRESS, "Burnt"): amount} if amount else {}


def bonded(world, job):
    return world.market.job(job)["bonded"]


def running(world, **changes):
    return world.running(**{"rule": REFERENCE, "revealWindow": 30, **changes})


def taken_over_in_round_2(world, published=True, **changes):
    """Another aggregator settled round 1."""
    job = running(world, **{"takeoverWindow": 30, "rounds": 2, **changes})
    world.settled(job, scores=SCORES)
    world.submit(job, *range(world.usually))
    world.past_settling(job)
    world.take_over(job)
    if published:
        world.market.publishKey(job, CID, {"from": world.taker})
        world.settled(job, sender=world.taker, scores=SCORES)
    else:
        world.past_submitting(job)
        world.market.abort(job, {"from": world.stranger})
    assert world.market.job(job)["state"] == CONFIRMING
    return job


# ------------------------------------------------------------------ reveal


def test_where_points_rest_on_rows_the_confirmation_says_up_to_when_they_are_revealed(world):
    job = running(world, rounds=1)
    tx = world.settled(job, scores=SCORES)
    opened = tx.events["ConfirmationOpened"]
    assert (opened["confirmBy"], opened["revealBy"], opened["outcome"]) == (now() + 80, now() + 30, COMPLETED)
    held = world.market.job(job)
    assert (held["submitBy"], held["settleBy"], held["revealed"]) == (now() + 80, now() + 30, False)
    assert (held["disputedRows"], held["rowsDisputed"], held["ownRowsDisputed"]) == (False, 0, 0)


def test_owner_and_aggregator_reveal_as_often_as_they_like_up_to_the_last_second(world):
    job = world.revealing()
    last = world.market.job(job)["settleBy"]
    for sender, cid in ((world.owner, "x"), (world.aggregator, CID), (world.aggregator, CID)):
        tx = world.reveal(job, sender, cid)
        event = tx.events["Revealed"]
        assert (event["jobId"], event["sender"], event["cid"]) == (job, sender, cid)
        assert credits(tx) == {}
        assert world.market.job(job)["revealed"]
    move_to(last)
    world.reveal(job, world.owner, LONG_CID[:100])
    move_to(last + 1)
    for sender in (world.owner, world.aggregator):
        with refuses("RevealingClosed", job, last):
            world.reveal(job, sender)


def test_nobody_else_reveals(world):
    job = world.revealing()
    for other in (world.stranger, world.operator(0), world.fees, world.payee(0)):
        with refuses("NotRevealer", job, other):
            world.reveal(job, other)
    assert not world.market.job(job)["revealed"]


def test_the_aggregator_that_took_over_reveals_and_the_one_before_it_does_not(world):
    job = taken_over_in_round_2(world)
    with refuses("NotRevealer", job, world.aggregator):
        world.reveal(job)
    world.reveal(job, world.taker)


@pytest.mark.parametrize("cid", ["", LONG_CID])
def test_a_reveal_has_a_cid(coin_world, cid):
    job = coin_world.revealing()
    with refuses("InvalidCid", len(cid)):
        coin_world.reveal(job, cid=cid)


def test_where_no_points_rest_on_revealed_rows_nothing_is_revealed_or_disputed(world):
    """Another rule, or a job that says so."""
    for job in (world.confirming(), world.revealing(revealWindow=0)):
        assert world.market.job(job)["settleBy"] == 0
        with refuses("NothingToReveal", job):
            world.reveal(job)
        for number in (0, 1, 9):
            with refuses("NothingToReveal", job):
                world.dispute_rows(job, 0, number=number)
        tx = world.complete(job)
        assert "Unrevealed" not in tx.events
        assert credits(tx) == {(world.fees, "Fee"): 100, (world.fees, "Bond"): 700}


def test_rows_that_are_revealed_and_that_nobody_disputes_pay_by_points(world):
    job = world.revealing(scores=SCORES)
    world.reveal(job)
    tx = world.complete(job)
    assert "Unrevealed" not in tx.events
    assert credits(tx) == {(world.fees, "Fee"): 100, (world.fees, "Bond"): 700}
    assert world.claim_all(job) == {**pay(world, *POINTS), **stakes(world)}


# ------------------------------------------------------------------ disputeRows: what it does


def test_more_disputes_than_faulty_trainers_burn_bond_and_fees_and_the_lesser_division_pays(world):
    before = world.balance()
    job = world.revealing(scores=SCORES)
    world.reveal(job)
    tx = world.dispute_rows(job, 3)
    event = tx.events["RowsDisputed"]
    assert (event["jobId"], event["round"], event["slot"]) == (job, 1, 3)
    assert credits(tx) == {}
    held = world.market.job(job)
    assert (held["rowsDisputed"], held["ownRowsDisputed"], held["disputedRows"]) == (mask(3), mask(3), False)
    last = held["submitBy"]
    assert credits(world.dispute_rows(job, 1)) == burnt(700 + 100)
    held = world.market.job(job)
    assert (held["rowsDisputed"], held["ownRowsDisputed"], held["disputedRows"]) == (mask(1, 3), mask(1, 3), True)
    assert (held["state"], held["submitBy"], held["bonded"], held["escrow"]) == (CONFIRMING, last, False, 1250)
    with refuses("NotCompletable", job, last):
        world.market.complete(job, {"from": world.stranger})
    tx = world.complete(job)
    assert credits(tx) == {}
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (COMPLETED, 1250)
    assert world.claim_all(job) == {**pay(world, *LESSER), **stakes(world), **burnt(500)}
    for i in range(5):
        world.market.withdraw(world.currency, {"from": world.payee(i)})
    assert world.balance() - before == world.credit(ZERO_ADDRESS) == 800 + 500


def test_below_the_quorum_nothing_happens(world):
    job = world.revealing(scores=SCORES)
    world.reveal(job)
    world.dispute_rows(job, 3)
    assert credits(world.complete(job)) == {(world.fees, "Fee"): 100, (world.fees, "Bond"): 700}
    assert world.claim_all(job) == {**pay(world, *POINTS), **stakes(world)}


def test_past_the_quorum_disputes_are_taken_and_burn_nothing_more(world):
    job = world.revealing(scores=SCORES)
    world.dispute_rows(job, 0, 1)
    assert credits(world.dispute_rows(job, 2)) == {}
    assert world.market.job(job)["rowsDisputed"] == mask(0, 1, 2)
    assert world.credit(ZERO_ADDRESS) == 800


def test_an_aborted_job_whose_rows_are_disputed_burns_the_fees_of_who_lost_its_bond(world):
    job = running(world, rounds=3)
    world.settled(job, scores=SCORES)
    world.submit(job, *range(world.usually))
    world.past_settling(job)
    tx = world.market.abort(job, {"from": world.stranger})
    opened = tx.events["ConfirmationOpened"]
    assert (opened["revealBy"], opened["outcome"]) == (now() + 30, ABORTED)
    world.reveal(job)  # who failed may still show what it settled
    assert credits(world.dispute_rows(job, 2, 3)) == burnt(100)
    assert credits(world.complete(job)) == {(world.owner, "Refund"): 2700}
    assert world.claim_all(job) == {**pay(world, *LESSER), **stakes(world), **burnt(500)}


# ------------------------------------------------------------------ disputeRows: which rounds, and when


def test_members_name_different_rounds_and_count_together(world):
    job = running(world)
    world.settled(job, rounds=3, scores=SCORES)
    world.past_revealing(job)
    assert credits(world.dispute_rows(job, 2, number=3)) == {}
    assert credits(world.dispute_rows(job, 0, number=0)) == burnt(700 + 3 * 100)


@pytest.mark.parametrize("number", [2, 3, 2**16 - 1])
def test_a_round_that_did_not_begin_is_not_disputed(world, number):
    job = world.revealing()
    with refuses("WrongRound", job, 1, number):
        world.dispute_rows(job, 0, number=number)


def test_that_what_is_revealed_is_something_else_is_said_once_revealing_is_over(world):
    job = world.revealing()
    world.reveal(job, cid="garbage")
    last = world.market.job(job)["settleBy"]
    move_to(last)
    with refuses("RevealingOpen", job, last):
        world.dispute_rows(job, 0, number=0)
    world.dispute_rows(job, 0)
    move_to(last + 1)
    assert credits(world.dispute_rows(job, 1, number=0)) == burnt(800)


def test_rows_are_disputed_up_to_and_including_the_last_second_of_the_confirmation(world):
    job = world.revealing()
    last = world.market.job(job)["submitBy"]
    move_to(last)
    world.dispute_rows(job, 0)
    move_to(last + 1)
    with refuses("SubmittingClosed", job, last):
        world.dispute_rows(job, 1)


def test_rows_are_disputed_while_confirming_alone(world):
    job = running(world, rounds=1)
    with refuses("WrongState", job, 2, CONFIRMING):
        world.dispute_rows(job, 0)
    world.settled(job)
    world.complete(job)
    with refuses("WrongState", job, COMPLETED, CONFIRMING):
        world.dispute_rows(job, 0)


# ------------------------------------------------------------------ disputeRows: who


def test_a_member_disputes_once_over_all_rounds(world):
    job = running(world)
    world.settled(job, rounds=3)
    world.dispute_rows(job, 3, number=2)
    for number in (1, 2, 3):
        with refuses("AlreadyDisputed", job, number, 3):
            world.dispute_rows(job, 3, number=number)


def test_nobody_but_members_disputes_rows(world):
    job = world.enrolled(rule=REFERENCE, revealWindow=30, rounds=1)
    world.leave(job, 3)
    world.join(job, 5)
    world.market.start(job, {"from": world.stranger})
    world.market.publishKey(job, CID, {"from": world.aggregator})
    world.submit(job, 0, 1, 2, 4, 5)
    world.settle(job, ALL)
    for other in (world.owner, world.aggregator, world.stranger, world.payee(0), world.operator(3)):
        with refuses("NotTrainer", job, other):
            world.market.disputeRows(job, 1, {"from": other})
    assert world.dispute_rows(job, 5).events["RowsDisputed"]["slot"] == 3


def test_who_left_and_who_was_ejected_dispute_and_count(world):
    job = running(world, rounds=3, maxMissed=1)
    world.settled(job, scores=SCORES)
    world.leave(job, 0)
    world.submit(job, 2, 3, 4)
    world.past_submitting(job)
    world.settle(job, mask(2, 3))  # ejects trainer 1
    world.settled(job)
    assert world.market.job(job)["active"] == mask(2, 3, 4)
    assert credits(world.dispute_rows(job, 0)) == {}
    with refuses("AlreadyDisputed", job, 2, 0):
        world.dispute_rows(job, 0, number=2)
    assert credits(world.dispute_rows(job, 1, number=3)) == burnt(700 + 3 * 100)


def test_where_all_have_left_they_dispute_what_they_opened(world):
    job = running(world, rounds=3)
    world.settled(job, scores=SCORES)
    world.leave(job, 0, 1, 2, 3, 4)
    held = world.market.job(job)
    assert (held["state"], held["active"], held["settleBy"]) == (CONFIRMING, 0, now() + 30)
    assert credits(world.dispute_rows(job, 1, 2)) == burnt(800)
    assert credits(world.complete(job)) == {(world.owner, "Refund"): 2700}
    assert world.claim_all(job) == {**pay(world, *LESSER), **burnt(500)}


def with_so_many_faulty(world, faulty, **changes):
    """One round of a job in which so many may be faulty, with as many trainers as it takes."""
    many = 2 * faulty + 3 if faulty else 4
    return running(world, trainers=many, minTrainers=many, maxTrainers=many, maxFaulty=faulty, rounds=1, **changes)


def test_who_opened_nothing_neither_disputes_nor_counts(world):
    """Trainers 0 and 6 to 8 left before they submitted, 1 was ejected, 2 is unopened: three members have opened anything."""
    job = with_so_many_faulty(world, 3, maxMissed=1)
    world.leave(job, 0, 6, 7, 8)
    world.submit(job, 2, 3, 4, 5)
    world.past_submitting(job)
    world.settle(job, mask(3), unopened=mask(2))
    assert world.market.job(job)["active"] == mask(2, 3, 4, 5)
    for slot in (0, 1, 2, 8):
        with refuses("OpenedNothing", job, slot):
            world.dispute_rows(job, slot)
    assert credits(world.dispute_rows(job, 3, 4)) == {}
    assert credits(world.dispute_rows(job, 5)) == burnt(800)  # all there are


@pytest.mark.parametrize(
    ("faulty", "openers", "quorum"), [(0, 4, 1), (1, 4, 2), (3, 4, 4), (3, 3, 3), (3, 1, 1), (1, 2, 2), (1, 1, 1)]
)
def test_the_quorum_is_one_more_than_may_be_faulty_or_all_that_opened_anything(world, faulty, openers, quorum):
    job = with_so_many_faulty(world, faulty, maxMissed=9)
    world.submit(job, *range(openers))
    world.past_submitting(job)
    world.settle(job, mask(*range(openers)))
    for i in range(quorum):
        assert not world.market.job(job)["disputedRows"]
        tx = world.dispute_rows(job, i)
    assert credits(tx) == burnt(800)
    assert world.market.job(job)["disputedRows"]


# ------------------------------------------------------------------ takeovers


def test_rows_from_before_a_takeover_burn_all_fees_and_leave_the_bond(world):
    job = taken_over_in_round_2(world)
    world.reveal(job, world.taker)
    assert credits(world.dispute_rows(job, 0, 1)) == burnt(2 * 100)
    held = world.market.job(job)
    assert (held["disputedRows"], held["bonded"], held["owed"]) == (True, True, 0)
    assert (held["rowsDisputed"], held["ownRowsDisputed"]) == (mask(0, 1), 0)
    assert credits(world.complete(job)) == {(world.taker_fees, "Bond"): 700}
    for payee in (world.fees, world.taker_fees):
        with refuses("NothingToClaim", job, payee):
            world.claim_fees(job, payee)
    assert world.claim_all(job) == {**pay(world, *(2 * part for part in LESSER)), **stakes(world), **burnt(1000)}
    assert world.market.job(job)["escrow"] == 0


def test_the_bond_is_burnt_once_as_many_dispute_rows_of_its_own_aggregators(world):
    job = taken_over_in_round_2(world)
    world.dispute_rows(job, 0, number=2)
    assert credits(world.dispute_rows(job, 1)) == burnt(200)  # one of the two speaks of the other's rows
    assert bonded(world, job)
    assert credits(world.dispute_rows(job, 2)) == {}
    assert credits(world.dispute_rows(job, 3, number=2)) == burnt(700)
    assert not bonded(world, job)
    assert world.market.job(job)["ownRowsDisputed"] == mask(0, 3)


def test_that_nothing_revealed_is_right_is_said_of_the_aggregator_there_is(world):
    job = taken_over_in_round_2(world)
    world.reveal(job, world.taker, "garbage")
    world.past_revealing(job)
    assert credits(world.dispute_rows(job, 0, 1, number=0)) == burnt(200 + 700)


def test_who_took_over_in_turn_does_not_answer_for_the_one_before(world):
    """Round 1 is settled by the first aggregator, 2 by the second, 3 by the third."""
    job = running(world, rounds=3, takeoverWindow=30)
    world.settled(job, scores=SCORES)
    for number, (sender, payee) in ((2, (world.taker, world.taker_fees)), (3, (world.aggregator, world.fees))):
        world.submit(job, *range(world.usually))
        world.past_settling(job)
        world.take_over(job, sender, payee)
        assert world.market.job(job)["takenOverIn"] == number
        world.market.publishKey(job, CID, {"from": sender})
        world.settled(job, sender=sender, scores=SCORES)
    world.dispute_rows(job, 0, number=1)
    assert credits(world.dispute_rows(job, 1, number=2)) == burnt(300)
    assert bonded(world, job)
    world.dispute_rows(job, 2, number=3)
    assert credits(world.dispute_rows(job, 3, number=3)) == burnt(700)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_who_took_over_and_had_no_key_keeps_the_bond_whatever_is_disputed(world, number):
    """It has settled nothing, and cannot have the data: rows and reveals are others'."""
    job = taken_over_in_round_2(world, published=False)
    world.reveal(job, world.owner, "garbage")
    world.past_revealing(job)
    assert credits(world.dispute_rows(job, 0, 1, 2, number=number)) == {}
    held = world.market.job(job)
    assert (held["disputedRows"], held["ownRowsDisputed"], held["owed"]) == (True, 0, 0)
    assert world.credit(ZERO_ADDRESS) == 100
    assert credits(world.complete(job)) == {(world.taker_fees, "Bond"): 700, (world.owner, "Refund"): 1350}
    assert world.claim_all(job) == {**pay(world, *LESSER), **stakes(world), **burnt(500)}


# ------------------------------------------------------------------ together with the sum


def test_sum_and_rows_disputed_together_burn_nothing_twice(world):
    for first, then in ((world.dispute, world.dispute_rows), (world.dispute_rows, world.dispute)):
        before = world.credit(ZERO_ADDRESS)
        job = world.revealing(scores=SCORES)
        assert credits(first(job, 0, 1)) == burnt(800)
        assert credits(then(job, 2, 3)) == {}
        held = world.market.job(job)
        assert (held["disputedSum"], held["disputedRows"], held["escrow"]) == (True, True, 1250)
        assert credits(world.complete(job)) == {}
        assert world.claim_all(job) == {**pay(world, *LESSER), **stakes(world), **burnt(500)}
        assert world.credit(ZERO_ADDRESS) - before == 800 + 500
        assert world.market.job(job)["escrow"] == 0


def test_who_disputes_the_sum_disputes_the_rows_too(world):
    job = world.revealing()
    world.dispute(job, 0)
    world.dispute_rows(job, 0)
    held = world.market.job(job)
    assert (held["disputed"], held["rowsDisputed"]) == (mask(0), mask(0))


def test_after_a_takeover_the_sum_burns_the_bond_that_old_rows_left(world):
    job = taken_over_in_round_2(world)
    assert credits(world.dispute_rows(job, 0, 1)) == burnt(200)
    assert credits(world.dispute(job, 0, 1)) == burnt(700)
    assert credits(world.dispute_rows(job, 2, 3, number=2)) == {}
    assert credits(world.complete(job)) == {}


def test_a_sum_that_was_disputed_while_running_leaves_the_rows_to_be_disputed(world):
    job = running(world)
    world.settled(job, scores=SCORES)
    assert credits(world.dispute(job, 0, 1)) == burnt(800)
    assert world.market.job(job)["state"] == CONFIRMING
    world.reveal(job)
    assert credits(world.dispute_rows(job, 2, 3)) == {}
    assert credits(world.complete(job)) == {(world.owner, "Refund"): 2700}
    assert world.claim_all(job) == {**pay(world, *LESSER), **stakes(world), **burnt(500)}


# ------------------------------------------------------------------ nobody reveals


def test_rows_that_nobody_revealed_are_disputed_by_the_completion(world):
    job = world.revealing(scores=SCORES)
    tx = world.complete(job)
    assert [event.name for event in tx.events] == ["Unrevealed", "Credited", "Ended"]
    assert tx.events["Unrevealed"]["jobId"] == job
    assert credits(tx) == burnt(800)
    held = world.market.job(job)
    assert (held["state"], held["disputedRows"], held["bonded"], held["escrow"]) == (COMPLETED, True, False, 1250)
    assert world.claim_all(job) == {**pay(world, *LESSER), **stakes(world), **burnt(500)}


def test_who_took_over_and_had_no_key_keeps_the_bond_when_nobody_reveals(world):
    job = taken_over_in_round_2(world, published=False)
    tx = world.complete(job)
    assert "Unrevealed" in tx.events
    assert credits(tx) == {**burnt(100), (world.taker_fees, "Bond"): 700, (world.owner, "Refund"): 1350}
    with refuses("NothingToClaim", job, world.fees):
        world.claim_fees(job, world.fees)
    assert world.claim_all(job) == {**pay(world, *LESSER), **stakes(world), **burnt(500)}


def test_who_took_over_and_published_the_key_answers_for_all_rows_when_nobody_reveals(world):
    job = taken_over_in_round_2(world)
    assert credits(world.dispute_rows(job, 0, 1)) == burnt(200)
    tx = world.complete(job)
    assert "Unrevealed" in tx.events
    assert credits(tx) == burnt(700)
    assert world.claim_all(job) == {**pay(world, *(2 * part for part in LESSER)), **stakes(world), **burnt(1000)}


def test_what_is_burnt_for_sum_or_rows_is_not_burnt_again_when_nobody_reveals(world):
    for disputed in (world.dispute, world.dispute_rows):
        job = world.revealing(scores=SCORES)
        assert credits(disputed(job, 0, 1)) == burnt(800)
        tx = world.complete(job)
        assert "Unrevealed" in tx.events
        assert credits(tx) == {}
        assert world.claim_all(job) == {**pay(world, *LESSER), **stakes(world), **burnt(500)}


# ------------------------------------------------------------------ the disputed division


def test_no_order_of_claims_changes_the_disputed_division_and_the_last_burns_the_rest(world):
    for order in ((0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 4, 0, 3, 1)):
        job = world.revealing(scores=SCORES)
        world.complete(job)
        for slot in order[:-1]:
            found = credits(world.claim(job, slot))
            assert found.get((world.payee(slot), "Pay"), 0) == [*LESSER, 0][slot]
            assert (ZERO_ADDRESS, "Burnt") not in found
        assert credits(world.claim(job, order[-1]))[ZERO_ADDRESS, "Burnt"] == 500
        assert world.market.job(job)["escrow"] == 0


def test_nobody_is_paid_more_than_by_points_or_than_by_rounds_opened(world):
    """Members that left and that were ejected, one below zero, slashes in the pot, and strikes."""
    job = running(world, rounds=3, maxMissed=1, maxStrikes=1, slashBps=10_000)
    world.settled(job, selected=mask(0, 1, 3), scores=[4, 4, -1], struck=mask(2))
    world.leave(job, 0)
    world.submit(job, 2, 3, 4)
    world.past_submitting(job)
    world.settle(job, mask(2, 3), scores=[1, -1])  # ejects trainer 1
    world.settled(job, scores=[2, 0, 0])
    world.reveal(job)
    world.dispute_rows(job, 0, 3)
    tx = world.complete(job)
    pot = 3 * 1250 + 501
    assert tx.events["Ended"]["pot"] == pot
    # Of a score a round brings a third, a half, and a third, as many as were selected.
    opened = (1, 1, 3, 3, 3)
    points = [8 * 1, 8 * 1, 7 * 3, 0, 0]
    parts = [min(pot * mine // sum(points), pot * part // 11) for mine, part in zip(points, opened, strict=True)]
    assert parts == [386, 386, 1159, 0, 0]
    found = world.claim_all(job)
    assert {who: amount for who, amount in found.items() if who[1] == "Pay"} == pay(world, *parts)
    assert found[ZERO_ADDRESS, "Burnt"] == 501 + pot - sum(parts)
    assert world.market.job(job)["escrow"] == 0


def test_where_nobody_has_points_disputed_rows_change_nothing_but_bond_and_fees(world):
    job = world.revealing(scores=[-1, 0, -5, 0, 0])
    world.dispute_rows(job, 0, 1)
    world.complete(job)
    assert world.claim_all(job) == {**pay(world, 250, 250, 250, 250, 250), **stakes(world)}


def test_one_who_alone_opened_anything_is_paid_all_of_it_disputed_or_not(world):
    job = running(world, rounds=1)
    world.submit(job, 2)
    world.past_submitting(job)
    world.settle(job, mask(2))
    assert credits(world.complete(job)) == burnt(800)
    assert world.claim_all(job) == {(world.payee(2), "Pay"): 1250, **stakes(world)}


def test_disputed_rows_of_one_job_leave_others_alone(world):
    job, other = world.revealing(scores=SCORES), world.revealing(scores=SCORES)
    before = world.market.job(other)
    world.dispute_rows(job, 0, 1)
    assert world.market.job(other) == before
    world.reveal(other)
    world.complete(other)
    assert world.claim_all(other) == {**pay(world, *POINTS), **stakes(world)}


def test_slashes_for_missed_rounds_stay_in_the_disputed_pot(world):
    job = running(world, rounds=1, maxMissed=1)
    world.submit(job, 0, 1)
    world.past_submitting(job)
    world.settle(job, mask(0, 1), scores=[3, 1])
    tx = world.complete(job)
    pot = 1250 + 3 * SLASH
    assert tx.events["Ended"]["pot"] == pot
    assert events(tx, "Unrevealed")
    assert world.claim_all(job) == {
        **pay(world, pot // 2, pot // 4),
        **stakes(world, (0, 1)),
        **burnt(pot - pot // 2 - pot // 4),
    }
