"""claim, claimFees, and the division of a pot: docs/security/job-market.tree; and what is tried to get more of it."""

import pytest
from brownie import ZERO_ADDRESS
from model import divided
from world import (
    ABORTED,
    CID,
    COMPLETED,
    CONFIRMING,
    FAULTY,
    OPEN,
    REFERENCE,
    ROUND,
    RUNNING,
    SLASH,
    commitment,
    credits,
    mask,
    move_to,
    pay,
    refuses,
    stakes,
)

ALL = mask(0, 1, 2, 3)


# ------------------------------------------------------------------ when, and for whom


def test_nothing_is_claimed_before_a_job_is_over(world):
    job = world.enrolled()
    for state in (OPEN, RUNNING, CONFIRMING):
        with refuses("NotOver", job, state):
            world.claim(job, 0)
        with refuses("NotOver", job, state):
            world.claim_fees(job, world.fees)
        if state == OPEN:
            world.market.start(job, {"from": world.stranger})
            world.market.publishKey(job, CID, {"from": world.aggregator})
        elif state == RUNNING:
            world.settled(job, rounds=3)
    world.past_submitting(job)  # the time is over, but nobody has said so
    with refuses("NotOver", job, CONFIRMING):
        world.claim(job, 0)


def test_anybody_claims_for_a_member_and_only_its_payee_is_credited(world):
    job = world.completed()
    for slot, sender in enumerate((world.stranger, world.owner, world.operator(3), world.payee(3))):
        tx = world.market.claim(job, slot, {"from": sender})
        assert credits(tx) == {(world.payee(slot), "Pay"): 250, (world.payee(slot), "Stake"): 501}
        event = tx.events["Claimed"]
        assert [event[name] for name in ("jobId", "slot", "pay", "stake", "slashed")] == [job, slot, 250, 501, 0]
        assert world.market.job(job)["claimed"] == mask(*range(slot + 1))
    assert [world.credit(account) for account in (world.stranger, world.owner, world.operator(3))] == [0, 0, 0]


def test_a_member_claims_once(world):
    job = world.completed()
    world.claim(job, 2)
    before = world.market.job(job)
    for sender in (world.stranger, world.operator(2), world.payee(2)):
        with refuses("AlreadyClaimed", job, 2):
            world.market.claim(job, 2, {"from": sender})
    assert world.market.job(job) == before
    world.claim_all(job, (0, 1, 3))
    for slot in range(4):
        with refuses("AlreadyClaimed", job, slot):
            world.claim(job, slot)


@pytest.mark.parametrize("slot", [3, 4, 31, 32, 64, 255])
def test_who_was_no_member_at_the_start_claims_nothing(coin_world, slot):
    job = coin_world.completed(3)
    with refuses("NotMember", job, slot):
        coin_world.claim(job, slot)


def test_a_claim_leaves_other_jobs_alone(world):
    job, other = world.confirming(), world.confirming()
    world.complete(job)
    world.market.complete(other, {"from": world.stranger})
    before = world.market.job(other)
    world.claim_all(job)
    assert world.market.job(other) == before
    assert world.claim_all(other) == {**pay(world, 250, 250, 250, 250), **stakes(world, range(4))}


# ------------------------------------------------------------------ the division


def test_a_pot_is_divided_by_balance_times_rounds_opened(world):
    """Trainer 1 misses a round that others open, trainer 2 two; trainer 3 is unopened once; trainer 4 brings nothing."""
    job = world.running(5, rounds=3, maxMissed=9, **FAULTY)
    balances, opened = [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]
    for submitters, unopened, scores in (
        ((0, 1, 2, 3, 4), (), {0: 5, 1: 3, 2: 1, 3: 1}),
        ((0, 1, 3, 4), (3,), {0: 1, 1: 1}),
        ((0, 3), (), {0: 2, 3: 5}),
    ):
        world.submit(job, *submitters)
        world.past_submitting(job)
        selected, listed = mask(*scores), [scores[slot] for slot in sorted(scores)]
        world.settle(job, selected, unopened=mask(*unopened), scores=listed)
        for slot in set(submitters) - set(unopened):
            opened[slot] += 1
            balances[slot] += ROUND * scores.get(slot, 0) // sum(listed)
    assert opened == [3, 2, 1, 2, 2]
    tx = world.complete(job)
    assert tx.events["Ended"]["pot"] == 3000
    amounts = divided(3000, balances, opened)
    assert sum(amounts) < 3000
    rest = {(ZERO_ADDRESS, "Burnt"): 3000 - sum(amounts)}
    assert world.claim_all(job) == {**pay(world, *amounts), **stakes(world, range(5)), **rest}


def test_who_has_a_balance_below_zero_has_no_points_and_takes_from_nobody(world):
    job = world.running(rule=REFERENCE, rounds=2)
    world.settled(job, scores=[3, -100, 1, 0])
    world.settled(job, scores=[1, 50, 1, -1])  # trainer 1 stays below zero
    world.complete(job)
    assert [balance > 0 for balance in world.balances(job)] == [True, False, True, False]
    first, _, third, _ = world.balances(job)
    amounts = divided(2000, [first, 0, third, 0], [2, 2, 2, 2])
    assert (amounts[0], amounts[2]) == (1333, 666)
    assert world.claim_all(job) == {**pay(world, *amounts), **stakes(world, range(4)), (ZERO_ADDRESS, "Burnt"): 1}


def test_a_balance_that_comes_back_from_below_zero_counts_in_full(world):
    """Also where its member was absent while it was below."""
    job = world.running(rule=REFERENCE, rounds=4, maxMissed=9)
    world.settled(job, scores=[1, -7, 0, 0])
    world.submit(job, 0, 2, 3)
    world.past_submitting(job)
    world.settle(job, mask(0), scores=[1])
    world.settled(job, scores=[1, 9, 0, 0])
    world.settled(job, scores=[1, 4, 0, 0])
    world.complete(job)
    first, second, *_ = world.balances(job)
    # All in units of one eighth of the score by four who are selected; the second round's only has one.
    unit = 2**40 // 2**7 // 4
    assert (first, second) == (unit * (1 + 4 + 1 + 1), unit * (-7 + 9 + 4))
    assert world.claim_all(job, [0, 1])[world.payee(1), "Pay"] == 4000 * (6 * 3) // (6 * 3 + 7 * 4)


def test_where_nobody_has_points_the_pot_is_divided_by_rounds_opened(world):
    job = world.running(rule=REFERENCE, rounds=2, maxMissed=9)
    world.settled(job, scores=[-1, 0, -(2**90), 0])
    world.submit(job, 0, 1)
    world.past_submitting(job)
    world.settle(job, mask(0), scores=[-5])
    world.complete(job)
    assert 2000 * 2 // 6 == 666
    assert world.claim_all(job) == {
        **pay(world, 666, 666, 333, 333), **stakes(world, range(4)), (ZERO_ADDRESS, "Burnt"): 2,
    }  # fmt: skip


def test_who_opened_nothing_is_not_paid_where_nobody_has_points(world):
    job = world.running(rounds=1)
    world.submit(job, 0, 1)
    world.past_submitting(job)
    world.settle(job)
    world.complete(job)
    assert world.claim_all(job) == {**pay(world, 500, 500), **stakes(world, range(4))}


def test_what_does_not_divide_is_burnt_with_the_last_claim(world):
    job = world.running(3, rounds=1)
    world.settled(job)
    world.complete(job)
    assert credits(world.claim(job, 1)) == {(world.payee(1), "Pay"): 333, (world.payee(1), "Stake"): 501}
    world.claim(job, 2)
    assert world.market.job(job)["escrow"] == 334
    assert credits(world.claim(job, 0)) == {
        (world.payee(0), "Pay"): 333, (world.payee(0), "Stake"): 501, (ZERO_ADDRESS, "Burnt"): 1,
    }  # fmt: skip
    assert world.market.job(job)["escrow"] == 0


def test_the_order_of_claims_changes_nothing_and_no_claim_changes_anothers(world):
    """Points, strikes, an ejected member, one that left, and fees that wait: in every order the same."""

    def over():
        job = world.running(takeoverWindow=30, rounds=3, maxMissed=1, maxStrikes=1, minTrainers=4)
        world.settled(job, selected=mask(0, 1, 3), scores=[5, 3, 2], struck=mask(2))
        world.leave(job, 3)
        world.submit(job, 0, 2)
        world.past_settling(job)
        world.take_over(job)
        world.market.publishKey(job, CID, {"from": world.taker})
        world.redeliver(job, 0, 2)
        world.settle(job, mask(0), sender=world.taker)
        world.settled(job, selected=mask(0, 2), scores=[1, 2], sender=world.taker)
        world.complete(job)
        return job

    def claims(job, order):
        found = {}
        for who in order:
            tx = world.claim_fees(job, world.fees) if who == "fees" else world.claim(job, who)
            found[who] = {key: amount for key, amount in credits(tx).items() if key[0] != ZERO_ADDRESS}
        assert world.market.job(job)["escrow"] == 0
        return found

    everyone = [0, 1, 2, 3, "fees"]
    orders = [everyone[last:] + everyone[:last] for last in range(1, 5)] + [everyone[::-1], [2, "fees", 3, 1, 0]]
    before = world.credit(ZERO_ADDRESS)
    first = claims(over(), everyone)
    burnt = world.credit(ZERO_ADDRESS) - before
    assert burnt >= SLASH
    assert first["fees"] == {(world.fees, "Fee"): 100}
    assert first[2][world.payee(2), "Stake"] == 501 - SLASH
    for count, order in enumerate(orders, 2):
        assert claims(over(), order) == first
        assert world.credit(ZERO_ADDRESS) - before == count * burnt


def test_a_reward_of_nothing_is_divided_into_nothing(world):
    job = world.completed(reward=0)
    assert world.claim_all(job) == stakes(world, range(4))


def test_members_of_a_job_that_was_never_settled_claim_their_stakes(world):
    job = world.running(maxMissed=9, maxEmptyRounds=1)
    world.skip(job)
    assert world.market.job(job)["state"] == ABORTED
    assert world.claim_all(job) == stakes(world, range(4))
    assert world.market.job(job)["escrow"] == 0


# ------------------------------------------------------------------ who leaves, who strikes


def test_who_leaves_after_the_rounds_that_brought_most_is_paid_by_the_rounds_that_it_opened(world):
    """Two of equal balance: the one that stays for four rounds gets four times as much."""
    job = world.running(2, rule=REFERENCE, rounds=4)
    world.settled(job, scores=[1000, 1000])
    world.leave(job, 1)
    world.settled(job, rounds=3, selected=0, scores=[])
    world.complete(job)
    assert world.balances(job, [0])[0] == world.balances(job, [1])[0]
    assert world.claim_all(job) == {**pay(world, 3200, 800), (world.payee(0), "Stake"): 501}


def test_who_was_ejected_keeps_its_points_and_has_no_stake_to_claim(world):
    job = world.running(rounds=2, maxMissed=1)
    world.settled(job)
    world.submit(job, 0, 1, 2)
    world.past_submitting(job)
    world.settle(job, mask(0, 1, 2))
    world.complete(job)
    balances = [ROUND // 4 + ROUND // 3] * 3 + [ROUND // 4]
    amounts = divided(2000 + SLASH, balances, [2, 2, 2, 1])
    assert credits(world.claim(job, 3)) == {(world.payee(3), "Pay"): amounts[3]}


def test_who_leaves_before_any_round_is_settled_has_nothing_more_to_claim(world):
    job = world.running(rounds=1)
    world.leave(job, 3)
    world.settled(job)
    world.complete(job)
    assert credits(world.claim(job, 3)) == {}
    assert world.claim_all(job, range(3)) == {
        **pay(world, 333, 333, 333), **stakes(world, range(3)), (ZERO_ADDRESS, "Burnt"): 1,
    }  # fmt: skip


def test_too_many_strikes_cost_their_slash_at_the_claim_and_it_is_burnt(world):
    job = world.running(rounds=3, maxStrikes=2)
    world.settled(job, selected=mask(0, 1), struck=mask(2, 3))
    world.settled(job, selected=mask(0, 1, 2), struck=mask(3))
    assert credits(world.settled(job)) == {}
    assert credits(world.complete(job)) == {(world.fees, "Fee"): 300, (world.fees, "Bond"): 700}
    tx = world.claim(job, 3)
    event = tx.events["Claimed"]
    assert (event["stake"], event["slashed"]) == (501 - SLASH, SLASH)
    amounts = divided(3000, world.balances(job), [3, 3, 3, 3])
    assert credits(tx) == {
        (world.payee(3), "Pay"): amounts[3],  # points stay
        (world.payee(3), "Stake"): 501 - SLASH,
        (ZERO_ADDRESS, "Burnt"): SLASH,
    }
    assert credits(world.claim(job, 2))[world.payee(2), "Stake"] == 501  # one strike too few


def test_a_striker_that_leaves_does_not_save_its_stake(world):
    """The stake waits: neither leaving, nor leaving again, nor the end of the job gives back what strikes cost."""
    job = world.running(rounds=2, maxStrikes=1)
    world.settled(job, selected=mask(0, 1, 2), struck=mask(3))
    tx = world.leave(job, 3)
    assert credits(tx) == {}
    assert world.market.trainer(job, 3)["staked"]
    with refuses("NotTrainer", job, world.operator(3)):
        world.leave(job, 3)
    world.settled(job)
    assert credits(world.complete(job)) == {(world.fees, "Fee"): 200, (world.fees, "Bond"): 700}
    assert credits(world.claim(job, 3)) == {(world.payee(3), "Stake"): 501 - SLASH, (ZERO_ADDRESS, "Burnt"): SLASH}
    with refuses("AlreadyClaimed", job, 3):
        world.claim(job, 3)


def test_the_last_striker_to_leave_ends_the_job_and_its_stake_waits(world):
    job = world.running(rounds=2, maxStrikes=1)
    world.settled(job, selected=mask(0, 1, 2), struck=mask(3))
    tx = world.leave(job, 0, 1, 2, 3)
    assert credits(tx) == {}
    world.complete(job)
    assert credits(world.claim(job, 3)) == {(world.payee(3), "Stake"): 501 - SLASH, (ZERO_ADDRESS, "Burnt"): SLASH}


@pytest.mark.parametrize("end", ["dispute", "abort", "skip", "askEnd"])
def test_whatever_ends_the_job_a_striker_is_slashed_and_a_stake_comes_back_once(world, end):
    job = world.running(rounds=4, minRounds=1, maxStrikes=1, maxEmptyRounds=1, maxMissed=9)
    world.settled(job, selected=mask(0, 1, 2), struck=mask(3))
    if end == "dispute":
        world.dispute(job, 2)
    elif end == "abort":
        world.submit(job, 3)
        world.past_settling(job)
        world.market.abort(job, {"from": world.stranger})
    elif end == "skip":
        world.skip(job)
    else:
        world.market.askEnd(job, {"from": world.owner})
        world.settled(job)
    held = world.balance()
    world.complete(job)
    assert world.balance() == held
    paid = world.claim_all(job)
    assert {key: amount for key, amount in paid.items() if key[1] == "Stake"} == {
        **stakes(world, range(3)), (world.payee(3), "Stake"): 501 - SLASH,
    }  # fmt: skip
    assert paid[ZERO_ADDRESS, "Burnt"] >= SLASH
    assert world.market.job(job)["escrow"] == 0


# ------------------------------------------------------------------ fees of who lost the job


def settled_by_two(world, **changes):
    """Two rounds settled by the aggregator, one by who took over from it; over."""
    job = world.running(takeoverWindow=30, **{"rounds": 3, **changes})
    world.settled(job, rounds=2)
    world.submit(job, 0, 1, 2, 3)
    world.past_settling(job)
    world.take_over(job)
    world.market.publishKey(job, CID, {"from": world.taker})
    world.settled(job, sender=world.taker)
    return job


def test_who_lost_the_job_claims_the_fees_of_the_rounds_that_it_settled(world):
    job = settled_by_two(world)
    tx = world.complete(job)
    assert credits(tx) == {(world.taker_fees, "Fee"): 100, (world.taker_fees, "Bond"): 700}
    assert world.market.job(job)["owed"] == 2
    for nobody in (world.taker_fees, world.aggregator, world.owner, ZERO_ADDRESS):
        with refuses("NothingToClaim", job, nobody):
            world.claim_fees(job, nobody)
    tx = world.claim_fees(job, world.fees)
    assert credits(tx) == {(world.fees, "Fee"): 200}
    event = tx.events["FeesClaimed"]
    assert (event["jobId"], event["payee"], event["fees"]) == (job, world.fees, 200)
    assert world.market.job(job)["owed"] == 0
    with refuses("NothingToClaim", job, world.fees):
        world.claim_fees(job, world.fees)
    assert world.claim_all(job) == {**pay(world, 750, 750, 750, 750), **stakes(world, range(4))}
    assert world.market.job(job)["escrow"] == 0


def test_the_last_claim_does_not_burn_fees_that_wait(world):
    job = settled_by_two(world)
    world.complete(job)
    assert world.claim_all(job) == {**pay(world, 750, 750, 750, 750), **stakes(world, range(4))}
    assert world.market.job(job)["escrow"] == 200
    assert credits(world.claim_fees(job, world.fees)) == {(world.fees, "Fee"): 200}


def test_fees_of_several_who_lost_the_job_wait_for_each_and_add_up_for_one_payee(world):
    job = world.running(takeoverWindow=30, rounds=4)
    turns = [(world.aggregator, world.fees), (world.taker, world.taker_fees), (world.aggregator, world.fees)]
    for turn, (sender, _) in enumerate(turns):
        if turn:
            world.market.publishKey(job, CID, {"from": sender})
        world.settled(job, sender=sender)
        world.submit(job, 0, 1, 2, 3)
        world.past_settling(job)
        world.take_over(job, *((*turns, (world.stranger, world.stranger))[turn + 1]))
    world.market.publishKey(job, CID, {"from": world.stranger})
    world.settled(job, sender=world.stranger)
    assert credits(world.complete(job)) == {(world.stranger, "Fee"): 100, (world.stranger, "Bond"): 700}
    assert credits(world.claim_fees(job, world.fees)) == {(world.fees, "Fee"): 200}
    assert credits(world.claim_fees(job, world.taker_fees)) == {(world.taker_fees, "Fee"): 100}
    world.claim_all(job)
    assert world.market.job(job)["escrow"] == 0


def test_a_payee_that_lost_the_job_and_has_it_again_is_paid_both_ways_once(world):
    job = world.running(takeoverWindow=30, rounds=2)
    world.settled(job)
    world.submit(job, 0, 1, 2, 3)
    world.past_settling(job)
    world.take_over(job, world.aggregator, world.fees)
    world.market.publishKey(job, CID, {"from": world.aggregator})
    world.settled(job)
    assert credits(world.complete(job)) == {(world.fees, "Fee"): 100, (world.fees, "Bond"): 700}
    assert credits(world.claim_fees(job, world.fees)) == {(world.fees, "Fee"): 100}


def test_a_fee_of_nothing_waits_for_nobody_longer_than_for_a_claim(world):
    job = settled_by_two(world, fee=0)
    world.complete(job)
    assert credits(world.claim_fees(job, world.fees)) == {}
    with refuses("NothingToClaim", job, world.fees):
        world.claim_fees(job, world.fees)


def test_disputed_fees_of_who_lost_the_job_are_burnt_with_the_others(world):
    job = settled_by_two(world)
    assert credits(world.dispute(job, 0)) == {(ZERO_ADDRESS, "Burnt"): 700 + 300}
    assert credits(world.complete(job)) == {}
    with refuses("NothingToClaim", job, world.fees):
        world.claim_fees(job, world.fees)
    assert world.claim_all(job) == {**pay(world, 750, 750, 750, 750), **stakes(world, range(4))}
    assert world.market.job(job)["escrow"] == 0


# ------------------------------------------------------------------ the owner


@pytest.mark.parametrize("way", ["nobody scored", "all left", "all ejected", "disputed", "aborted", "ended early"])
def test_an_owner_gets_back_what_no_round_was_settled_for_and_nothing_else(world, way):
    """Whatever it does with its aggregator: neither a slash nor the reward of a settled round is ever its."""
    job = world.running(rounds=4, minRounds=1, maxMissed=1, maxEmptyRounds=9, maxStrikes=1, bond=701)
    world.submit(job, 0, 1, 2)
    world.past_submitting(job)
    world.settle(job, struck=mask(0, 1, 2))  # ejects trainer 3
    settled, fees = 1, 100
    if way == "nobody scored":
        world.settled(job, rounds=3, selected=0, scores=[])
        settled, fees = 4, 400
    elif way == "all left":
        world.leave(job, 0, 1, 2)
    elif way == "all ejected":
        world.skip(job)
    elif way == "disputed":
        world.dispute(job, 0)
        fees = 0
    elif way == "aborted":
        world.submit(job, 0, 1)
        world.past_settling(job)
        world.market.abort(job, {"from": world.stranger})
    else:
        world.market.askEnd(job, {"from": world.owner})
        world.settled(job, selected=0, scores=[])
        settled, fees = 2, 200
    found = credits(world.complete(job))
    assert found.get((world.owner, "Refund"), 0) == (4 - settled) * 1100
    assert found.get((world.fees, "Fee"), 0) == fees
    slashed = 4 * SLASH if way == "all ejected" else SLASH
    pot = world.market.job(job)["pot"]
    assert pot == settled * 1000 + slashed + (1 if way == "aborted" else 0)
    paid = world.claim_all(job)
    assert sum(amount for (_, reason), amount in paid.items() if reason == "Pay") > pot - 4
    assert world.credit(world.owner) == found.get((world.owner, "Refund"), 0)


def test_who_joins_after_somebody_left_the_open_job_has_its_own_record(world):
    job = world.enrolled(3, rounds=1)
    world.leave(job, 1)
    world.join(job, 3)
    world.join(job, 1)
    world.market.start(job, {"from": world.stranger})
    world.market.publishKey(job, CID, {"from": world.aggregator})
    for i, name in ((0, "a"), (3, "b"), (2, "c"), (1, "d")):
        world.market.submitUpdate(job, 1, commitment(name, world.operator(i)), CID, {"from": world.operator(i)})
    move_to(world.market.job(job)["submitBy"] + 1)
    world.settle(job, ALL)
    tx = world.complete(job)
    assert tx.events["Ended"]["state"] == COMPLETED
    assert credits(world.claim(job, 1)) == {(world.payee(3), "Pay"): 250, (world.payee(3), "Stake"): 501}
    assert credits(world.claim(job, 3)) == {(world.payee(1), "Pay"): 250, (world.payee(1), "Stake"): 501}
