"""createJob, acceptAggregation, join, leave while Open, cancel, start: docs/security/job-market.tree."""

import pytest
from brownie import ZERO_ADDRESS
from brownie.exceptions import VirtualMachineError
from world import (
    CANCELLED,
    CID,
    FAULTY,
    KEY,
    LONG_CID,
    NO_TICKET,
    OPEN,
    RUNNING,
    USUAL,
    ZERO32,
    commitment,
    credits,
    mask,
    move_to,
    now,
    refuses,
)

YEAR = 365 * 24 * 3600


# ------------------------------------------------------------------ createJob


def test_a_created_job_holds_its_terms_and_the_escrow(world):
    before = world.balance()
    terms = world.terms(aggregator=world.aggregator.address, rule=2, rate=2**39 + 1)
    tx = world.market.createJob(terms, KEY, CID, {"from": world.owner, "value": world.value(3300)})
    job = tx.return_value
    assert job == world.market.jobCount() == 1
    assert list(world.market.terms(job)) == terms
    held = world.market.job(job)
    assert (held["owner"], held["state"], held["escrow"], held["round"]) == (world.owner, OPEN, 3300, 0)
    assert (held["aggregator"], held["rate"], held["pot"], held["settled"]) == (ZERO_ADDRESS, 2**39 + 1, 0, 0)
    assert world.balance() - before == 3300
    event = tx.events["JobCreated"]
    assert (event["jobId"], event["owner"], event["specCid"]) == (1, world.owner, CID)
    assert list(event["terms"]) == terms
    assert event["encryptionKey"] == KEY
    assert world.create() == 2


@pytest.mark.parametrize(
    ("term", "value"),
    [
        ("rule", 0), ("rule", 3),
        ("rounds", 0), ("rounds", 1001),
        ("maxTrainers", 0), ("maxTrainers", 33),
        ("minTrainers", 0), ("minTrainers", 5),
        ("maxMissed", 0), ("maxStrikes", 0), ("maxEmptyRounds", 0),
        ("slashBps", 10_001),
        ("submitWindow", 0), ("submitWindow", YEAR + 1),
        ("settleWindow", 0), ("settleWindow", YEAR + 1),
        ("takeoverWindow", YEAR + 1),
        ("confirmWindow", 0), ("confirmWindow", YEAR + 1),
        ("startDelay", YEAR + 1), ("startDelay", 2**32 - 1),
        ("revealWindow", 1), ("revealWindow", 2**32 - 1),  # the usual rule reveals nothing
        ("minRounds", 0), ("minRounds", 4),
        ("rate", 0), ("rate", 100 * 2**40 + 1), ("rate", 2**64 - 1),
        ("rateDecay", 0), ("rateDecay", 2**32 + 1), ("rateDecay", 2**40 - 1),
        ("scaleExponent", -41), ("scaleExponent", 1), ("scaleExponent", -(2**15)), ("scaleExponent", 2**15 - 1),
    ],
)  # fmt: skip
def test_a_term_outside_its_bounds_is_refused(coin_world, term, value):
    with refuses("InvalidTerm", term.encode(), value % 2**256):
        coin_world.create(**{term: value})


@pytest.mark.parametrize(
    "terms",
    [
        {"rule": 1}, {"rule": 2}, {"rounds": 1}, {"rounds": 1000}, {"maxTrainers": 32}, {"minTrainers": 4},
        {"minTrainers": 1, "maxTrainers": 1, "maxFaulty": 0}, {"maxVoids": 0}, {"maxVoids": 255},
        {"minTrainers": 5, "maxTrainers": 5, "maxFaulty": 1}, {"minTrainers": 9, "maxTrainers": 12, "maxFaulty": 3},
        {"minTrainers": 31, "maxTrainers": 32, "maxFaulty": 14},
        {"maxMissed": 1}, {"maxMissed": 255}, {"maxStrikes": 1}, {"maxEmptyRounds": 255},
        {"slashBps": 0}, {"slashBps": 10_000},
        {"submitWindow": 1, "settleWindow": 1}, {"submitWindow": YEAR, "settleWindow": YEAR, "takeoverWindow": YEAR},
        {"confirmWindow": 1}, {"confirmWindow": YEAR}, {"minRounds": 1}, {"minRounds": 3},
        {"startDelay": 0}, {"startDelay": YEAR},
        {"rule": 2, "revealWindow": 0}, {"rule": 2, "revealWindow": 79}, {"rule": 2, "confirmWindow": 1},
        {"rule": 2, "confirmWindow": YEAR, "revealWindow": YEAR - 1},
        {"rate": 1, "rateDecay": 1, "scaleExponent": -40},
        {"rate": 100 * 2**40, "rateDecay": 2**32, "scaleExponent": 0},
    ],
)  # fmt: skip
def test_a_term_at_its_bound_is_accepted(coin_world, terms):
    assert coin_world.create(**terms) == 1


@pytest.mark.parametrize(
    ("faulty", "least", "most"),
    [(1, 4, 4), (1, 4, 8), (1, 1, 32), (2, 6, 32), (14, 30, 32), (15, 32, 32), (255, 32, 32)],
)
def test_where_some_may_be_faulty_a_job_needs_twice_as_many_and_three_more(coin_world, faulty, least, most):
    with refuses("InvalidTerm", b"minTrainers", least):
        coin_world.create(maxFaulty=faulty, minTrainers=least, maxTrainers=most)


@pytest.mark.parametrize(
    ("value", "terms"),
    [
        (80, {"rule": 2}), (81, {"rule": 2}), (1, {"rule": 2, "confirmWindow": 1}),
        (YEAR, {"rule": 2, "confirmWindow": YEAR}), (79, {"rule": 1}),
    ],
)  # fmt: skip
def test_revealing_is_over_before_disputing_is_and_another_rule_reveals_nothing(coin_world, value, terms):
    with refuses("InvalidTerm", b"revealWindow", value):
        coin_world.create(revealWindow=value, **terms)


def test_enrolment_ends_not_in_the_past_nor_in_more_than_a_year(coin_world):
    with refuses("InvalidTerm", b"enrolBy", now() - 1):
        coin_world.create(enrolBy=now() - 1)
    with refuses("InvalidTerm", b"enrolBy", now() + YEAR + 1):
        coin_world.create(enrolBy=now() + YEAR + 1)
    coin_world.create(enrolBy=now())
    coin_world.create(enrolBy=now() + YEAR)


def test_a_token_without_code_is_refused(coin_world):
    account = coin_world.stranger.address
    with refuses("InvalidTerm", b"token", int(account, 16)):
        coin_world.create(token=account)


@pytest.mark.parametrize("rule", [1, 2])
@pytest.mark.parametrize(("trainers", "size"), [(1, 8), (8, 8), (9, 16), (16, 16), (17, 32), (32, 32)])
def test_a_job_takes_the_least_circuit_of_its_rule_that_holds_its_trainers(coin_world, rule, trainers, size):
    terms = {"rule": rule, "maxTrainers": trainers, "minTrainers": 1, "maxFaulty": 0}
    stubs = coin_world.verifiers.decision
    assert coin_world.create(**terms) == 1
    for circuit, stub in stubs.items():
        if circuit != 100 * rule + size:
            other = {"decisionVerifier": stub.address, "decisionKey": stub.keyHash()}
            with refuses("InvalidTerm", b"decisionVerifier", int(stub.address, 16)):
                coin_world.create(**terms, **other)


def test_a_job_names_the_set_ups_that_its_verifiers_have(coin_world):
    for term in ("gramKey", "decisionKey"):
        wrong = commitment("another key")
        with refuses("InvalidTerm", term.encode(), int(wrong, 16)):
            coin_world.create(**{term: wrong})
    keys = coin_world.verifiers.terms(1, 4)
    with refuses("InvalidTerm", b"gramKey", int(keys["decisionKey"], 16)):
        coin_world.create(gramKey=keys["decisionKey"], decisionKey=keys["gramKey"])


def test_a_verifier_without_code_is_refused_by_name(coin_world):
    account = coin_world.stranger.address
    for term in ("gramVerifier", "decisionVerifier"):
        for nothing in (account, ZERO_ADDRESS):
            with refuses("InvalidTerm", term.encode(), int(nothing, 16)):
                coin_world.create(**{term: nothing})


def test_a_contract_that_is_no_verifier_is_refused(coin_world):
    for term in ("gramVerifier", "decisionVerifier"):
        with pytest.raises(VirtualMachineError):
            coin_world.create(**{term: coin_world.token.address})


def test_all_that_a_job_can_ever_hold_fits_in_128_bits(coin_world):
    limit = 2**128 - 1
    rest = 4 * USUAL["stake"] + USUAL["bond"]

    def create(**terms):
        coin_world.market.createJob(coin_world.terms(**terms), KEY, CID, {"from": coin_world.owner})

    with refuses("InvalidTerm", b"total", limit + 1):
        create(rounds=1, reward=limit - rest, fee=1)
    with refuses("InvalidTerm", b"total", 1000 * (2 * limit) + 32 * limit + limit):
        create(rounds=1000, reward=limit, fee=limit, stake=limit, bond=limit, maxTrainers=32)
    with refuses("WrongPayment", 0, limit - rest):  # at the limit it is only the payment that is missed
        create(rounds=1, reward=limit - rest, fee=0)


def test_a_job_needs_a_key_and_a_spec(coin_world):
    sender = {"from": coin_world.owner, "value": 3300}
    with refuses("ZeroKey"):
        coin_world.market.createJob(coin_world.terms(), ZERO32, CID, sender)
    with refuses("InvalidCid", 0):
        coin_world.market.createJob(coin_world.terms(), KEY, "", sender)
    with refuses("InvalidCid", 101):
        coin_world.market.createJob(coin_world.terms(), KEY, LONG_CID, sender)
    coin_world.market.createJob(coin_world.terms(), KEY, LONG_CID[:100], sender)


def test_the_escrow_is_paid_exactly(world):
    required = world.value(3300)
    for sent in (0, 1, 3299, 3300, 3301):
        if sent != required:
            with refuses("WrongPayment", sent, required):
                world.market.createJob(world.terms(), KEY, CID, {"from": world.owner, "value": sent})


def test_a_job_without_money_moves_none(world):
    job = world.started(reward=0, fee=0, stake=0, bond=0)
    assert world.balance() == 0
    assert world.market.job(job)["escrow"] == 0


# ------------------------------------------------------------------ acceptAggregation


def test_an_aggregator_pays_its_bond_and_is_named(world):
    job = world.create()
    before = world.balance()
    tx = world.accept(job)
    assert world.balance() - before == USUAL["bond"]
    held = world.market.job(job)
    assert (held["aggregator"], held["aggregatorPayee"], held["bonded"]) == (world.aggregator, world.fees, True)
    event = tx.events["AggregationAccepted"]
    assert (event["aggregator"], event["payee"], event["encryptionKey"]) == (world.aggregator, world.fees, KEY)


def test_a_second_aggregator_is_refused(world):
    job = world.create()
    world.accept(job)
    with refuses("AggregatorTaken", job, world.aggregator):
        world.accept(job, sender=world.stranger)


def test_where_the_terms_name_an_aggregator_no_other_may_accept(world):
    job = world.create(aggregator=world.aggregator.address)
    with refuses("NotAggregator", job, world.stranger):
        world.accept(job, sender=world.stranger)
    world.accept(job)


def test_an_aggregator_needs_a_payee_and_a_key(coin_world):
    job = coin_world.create()
    sender = {"from": coin_world.aggregator, "value": USUAL["bond"]}
    with refuses("ZeroAddress"):
        coin_world.market.acceptAggregation(job, ZERO_ADDRESS, KEY, sender)
    with refuses("ZeroKey"):
        coin_world.market.acceptAggregation(job, coin_world.fees, ZERO32, sender)


@pytest.mark.parametrize("sent", [0, 699, 701])
def test_the_bond_is_paid_exactly(coin_world, sent):
    job = coin_world.create()
    with refuses("WrongPayment", sent, 700):
        coin_world.market.acceptAggregation(job, coin_world.fees, KEY, {"from": coin_world.aggregator, "value": sent})


# ------------------------------------------------------------------ join and leave


def test_trainers_take_the_lowest_free_slot(world):
    job = world.create()
    before = world.balance()
    for i in range(3):
        tx = world.join(job, i)
        assert tx.return_value == i
        event = tx.events["Joined"]
        assert (event["slot"], event["operator"], event["payee"]) == (i, world.operator(i), world.payee(i))
        assert event["encryptionKey"] == KEY
    assert world.balance() - before == 3 * USUAL["stake"]
    world.market.leave(job, {"from": world.operator(1)})
    assert world.market.job(job)["active"] == mask(0, 2)
    assert world.join(job, 3).return_value == 1
    assert world.trainer(job, 1) == (world.operator(3).address, world.payee(3).address, 0, 0)
    assert world.join(job, 1).return_value == 3


def test_leaving_an_open_job_credits_the_stake_to_the_payee(world):
    job = world.enrolled(2)
    tx = world.market.leave(job, {"from": world.operator(1)})
    assert tx.events["Left"]["slot"] == 1
    assert credits(tx) == {(world.payee(1), "Stake"): USUAL["stake"]}
    assert world.credit(world.payee(1)) == USUAL["stake"]
    assert world.trainer(job, 1) == (ZERO_ADDRESS, ZERO_ADDRESS, 0, 0)
    assert world.market.job(job)["state"] == OPEN
    with refuses("NotTrainer", job, world.operator(1)):
        world.market.leave(job, {"from": world.operator(1)})


def test_the_last_to_leave_an_open_job_leaves_it_open(world):
    job = world.enrolled(1)
    world.market.leave(job, {"from": world.operator(0)})
    assert world.market.job(job)["state"] == OPEN


def test_an_operator_joins_once(world):
    job = world.enrolled(1)
    with refuses("AlreadyJoined", job, world.operator(0)):
        world.join(job, 0)


def test_a_full_job_takes_nobody(world):
    job = world.enrolled(4)
    with refuses("JobFull", job, 4):
        world.join(job, 4)


def test_a_trainer_needs_a_payee_and_a_key(coin_world):
    job = coin_world.create()
    sender = {"from": coin_world.operator(0), "value": USUAL["stake"]}
    with refuses("ZeroAddress"):
        coin_world.market.join(job, ZERO_ADDRESS, KEY, NO_TICKET, sender)
    with refuses("ZeroKey"):
        coin_world.market.join(job, coin_world.payee(0), ZERO32, NO_TICKET, sender)


@pytest.mark.parametrize("sent", [0, 500, 502])
def test_the_stake_is_paid_exactly(coin_world, sent):
    job = coin_world.create()
    with refuses("WrongPayment", sent, 501):
        sender = {"from": coin_world.operator(0), "value": sent}
        coin_world.market.join(job, coin_world.payee(0), KEY, NO_TICKET, sender)


def test_enrolment_is_open_up_to_and_including_its_last_second(world):
    job = world.create()
    last = world.term(job, "enrolBy")
    move_to(last)
    world.accept(job)
    world.join(job, 0)
    late = world.create(enrolBy=last)
    move_to(last + 1)
    with refuses("EnrolmentClosed", late, last):
        world.accept(late)
    with refuses("EnrolmentClosed", job, last):
        world.join(job, 1)
    world.market.leave(job, {"from": world.operator(0)})


def test_32_trainers_can_join(coin_world):
    job = coin_world.enrolled(32, maxTrainers=32)
    assert coin_world.market.job(job)["active"] == 2**32 - 1
    with refuses("JobFull", job, 32):
        coin_world.join(job, 32)


# ------------------------------------------------------------------ cancel


def test_the_owner_cancels_an_open_job_and_all_money_goes_back(world):
    job = world.enrolled(2)
    tx = world.market.cancel(job, {"from": world.owner})
    assert credits(tx) == {(world.owner, "Refund"): 3300, (world.fees, "Bond"): 700}
    assert (tx.events["Ended"]["state"], tx.events["Ended"]["pot"]) == (CANCELLED, 0)
    held = world.market.job(job)
    assert (held["state"], held["escrow"], held["pot"], held["bonded"]) == (CANCELLED, 0, 0, False)
    assert credits(world.claim(job, 1)) == {(world.payee(1), "Stake"): 501}
    assert credits(world.claim(job, 0)) == {(world.payee(0), "Stake"): 501}


def test_who_left_before_a_job_was_cancelled_has_nothing_to_claim(world):
    job = world.enrolled(3)
    world.leave(job, 1)
    world.market.cancel(job, {"from": world.owner})
    for slot in (1, 3, 31, 32, 255):
        with refuses("NotMember", job, slot):
            world.claim(job, slot)
    assert world.claim_all(job) == {(world.payee(i), "Stake"): 501 for i in (0, 2)}


def test_anyone_cancels_a_job_that_nobody_wanted_once_enrolment_is_over(world):
    job = world.create()
    last = world.term(job, "enrolBy")
    move_to(last)
    with refuses("NotCancellable", job, world.stranger):
        world.market.cancel(job, {"from": world.stranger})
    move_to(last + 1)
    tx = world.market.cancel(job, {"from": world.stranger})
    assert credits(tx) == {(world.owner, "Refund"): 3300}


def test_anyone_cancels_a_job_with_too_few_trainers(world):
    job = world.enrolled(1)
    move_to(world.term(job, "enrolBy") + 1)
    world.market.cancel(job, {"from": world.stranger})
    assert world.market.job(job)["state"] == CANCELLED


def test_a_job_that_can_start_is_cancelled_by_its_owner_alone(world):
    job = world.enrolled(2)
    move_to(world.term(job, "enrolBy") + 1)
    with refuses("NotCancellable", job, world.stranger):
        world.market.cancel(job, {"from": world.stranger})
    world.market.cancel(job, {"from": world.owner})


# ------------------------------------------------------------------ start


def test_a_full_job_with_an_aggregator_starts_at_once(world):
    job = world.enrolled(5, **FAULTY)
    tx = world.market.start(job, {"from": world.stranger})
    assert "Started" in tx.events
    opened = tx.events["RoundOpened"]
    assert (opened["round"], opened["submitBy"], opened["settleBy"]) == (1, now() + 100, now() + 150)
    held = world.market.job(job)
    assert (held["state"], held["round"], held["submitBy"], held["settleBy"]) == (RUNNING, 1, now() + 100, now() + 150)
    assert (held["submitted"], held["members"], held["active"], held["quorum"]) == (0, 31, 31, 2)
    assert not held["keyPublished"]


def test_a_job_that_is_not_full_starts_after_enrolment_with_enough_trainers(world):
    job = world.enrolled(2)
    move_to(world.term(job, "enrolBy"))
    with refuses("NotStartable", job, True, 2):
        world.market.start(job, {"from": world.owner})
    move_to(world.term(job, "enrolBy") + 1)
    world.market.start(job, {"from": world.stranger})
    assert world.market.job(job)["state"] == RUNNING


def test_a_job_does_not_start_without_an_aggregator(world):
    job = world.create()
    for i in range(4):
        world.join(job, i)
    with refuses("NotStartable", job, False, 4):
        world.market.start(job, {"from": world.owner})
    move_to(world.term(job, "enrolBy") + 1)
    with refuses("NotStartable", job, False, 4):
        world.market.start(job, {"from": world.owner})
    world.market.cancel(job, {"from": world.stranger})


def test_a_job_does_not_start_with_too_few_trainers(world):
    job = world.enrolled(1)
    move_to(world.term(job, "enrolBy") + 1)
    with refuses("NotStartable", job, True, 1):
        world.market.start(job, {"from": world.owner})


# ------------------------------------------------------------------ the delay before a start


def test_anyone_starts_a_full_job_once_the_delay_since_the_last_join_is_over(world):
    job = world.create(startDelay=60)
    world.accept(job)
    for i in range(4):
        move_to(now() + 10)
        world.join(job, i)
        assert world.market.job(job)["submitBy"] == now() + 60
    first = now() + 60
    for wait in (0, 59):
        move_to(first - 60 + wait)
        for sender in (world.stranger, world.aggregator, world.operator(3)):
            with refuses("StartDelayed", job, first):
                world.market.start(job, {"from": sender})
    move_to(first)
    opened = world.market.start(job, {"from": world.stranger}).events["RoundOpened"]
    assert (opened["submitBy"], opened["settleBy"]) == (now() + 100, now() + 150)


def test_the_owner_starts_a_job_that_can_start_whatever_the_delay(world):
    job = world.create(startDelay=YEAR)
    for i in range(3):
        world.join(job, i)
    owner = {"from": world.owner}
    with refuses("NotStartable", job, False, 3):
        world.market.start(job, owner)
    world.accept(job)
    with refuses("NotStartable", job, True, 3):
        world.market.start(job, owner)
    world.join(job, 3)
    world.market.start(job, owner)
    assert world.market.job(job)["state"] == RUNNING


def test_who_leaves_delays_nothing_and_who_takes_the_slot_does(world):
    job = world.enrolled(4, startDelay=60)
    first = world.market.job(job)["submitBy"]
    move_to(now() + 30)
    world.leave(job, 2)
    assert world.market.job(job)["submitBy"] == first
    world.join(job, 4)
    assert world.market.job(job)["submitBy"] == now() + 60
    move_to(first)
    with refuses("StartDelayed", job, first + 30):
        world.market.start(job, {"from": world.stranger})


def test_the_delay_holds_past_enrolment_and_keeps_others_from_cancelling(world):
    job = world.create(startDelay=60)
    world.accept(job)
    move_to(world.term(job, "enrolBy"))
    for i in range(2):
        world.join(job, i)
    first = now() + 60
    move_to(first - 1)
    with refuses("StartDelayed", job, first):
        world.market.start(job, {"from": world.stranger})
    with refuses("NotCancellable", job, world.stranger):
        world.market.cancel(job, {"from": world.stranger})
    move_to(first)
    world.market.start(job, {"from": world.stranger})
    assert world.market.job(job)["state"] == RUNNING
