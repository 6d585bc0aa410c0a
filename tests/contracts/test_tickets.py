"""join where the terms name a gate: docs/security/job-market.tree. Each attack would let somebody else in."""

import pytest
from brownie import GateWallet, accounts
from eth_account import Account
from world import GATE, KEY, NO_TICKET, OPEN, USUAL, ZERO32, mask, move_to, now, refuses

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1
MODES = ("Honest", "Always", "Dirty", "Short", "Says1", "Nothing", "Huge", "Reverts", "Burns", "Reenters")
STRANGER = Account.from_key(b"no gate".rjust(32, b"\1"))
MOST = 8 + 2048


@pytest.fixture
def gated(world):
    return world.create(gate=GATE.address)


def refused(world, job, i=0):
    return refuses("TicketRefused", job, world.term(job, "gate"), world.operator(i))


def test_a_ticket_lets_its_operator_in(world, gated):
    tx = world.join(gated, 0)
    assert (tx.return_value, tx.events["Joined"]["operator"]) == (0, world.operator(0))
    assert world.join(gated, 3).return_value == 1
    assert world.market.job(gated)["active"] == mask(0, 1)


def test_without_a_ticket_nobody_joins_a_job_with_a_gate(world, gated):
    for i in range(3):
        with refuses("TicketMissing", gated, GATE.address):
            world.join(gated, i, NO_TICKET)


def test_not_even_the_owner_or_the_aggregator_joins_without_one(world, gated):
    world.accept(gated)
    for sender in (world.owner, world.aggregator):
        with refuses("TicketMissing", gated, GATE.address):
            world.market.join(gated, sender, KEY, NO_TICKET, {"from": sender, "value": world.value(USUAL["stake"])})


def test_without_a_gate_a_ticket_is_not_silently_ignored(world):
    job = world.create()
    for ticket in (world.ticket(job, 0), b"\0"):
        with refuses("TicketUnneeded", job, len(ticket)):
            world.join(job, 0, ticket)


def test_a_ticket_is_used_again_by_its_operator_alone_and_while_the_job_is_open(world, gated):
    ticket = world.ticket(gated, 0)
    for _ in range(3):
        world.join(gated, 0, ticket)
        with refuses("AlreadyJoined", gated, world.operator(0)):
            world.join(gated, 0, ticket)
        with refused(world, gated, 1):
            world.join(gated, 1, ticket)
        world.leave(gated, 0)
    world.market.cancel(gated, {"from": world.owner})
    with refuses("WrongState", gated, 5, OPEN):
        world.join(gated, 0, ticket)


def test_a_ticket_for_the_payee_or_for_who_relays_it_lets_nobody_in(world, gated):
    """The operator is who calls: a payee, or a relayer that saw the ticket on its way, is another."""
    for operator in (world.payee(0), world.stranger):
        with refused(world, gated):
            world.join(gated, 0, world.ticket(gated, 0, operator=operator.address))


def test_a_ticket_of_another_job_lets_nobody_in(world, gated):
    """Also one with the same terms, and the same gate."""
    other = world.create(gate=GATE.address, enrolBy=world.term(gated, "enrolBy"))
    assert world.market.job(other)["termsHash"] == world.market.job(gated)["termsHash"]
    with refused(world, gated):
        world.join(gated, 0, world.ticket(other, 0))
    world.join(other, 0, world.ticket(other, 0))


@pytest.mark.parametrize(
    "domain",
    [
        {"chainId": 1}, {"verifyingContract": "0x" + "22" * 20}, {"version": "1"}, {"name": "merit"},
        {"chainId": 1, "verifyingContract": "0x" + "22" * 20},
    ],
)  # fmt: skip
def test_a_ticket_of_another_chain_market_or_version_lets_nobody_in(world, gated, domain):
    with refused(world, gated):
        world.join(gated, 0, world.ticket(gated, 0, domain=domain))


def test_a_ticket_for_other_terms_lets_nobody_in(world, gated):
    """A chain that was rewritten may give the number of a job to another with a smaller reward: the gate meant one."""
    other = world.create(gate=GATE.address, reward=1)
    for terms in (world.market.job(other)["termsHash"], ZERO32):
        with refused(world, gated):
            world.join(gated, 0, world.ticket(gated, 0, termsHash=bytes.fromhex(str(terms)[2:])))


def test_a_ticket_is_good_up_to_and_including_its_last_second(world, gated):
    last = now() + 10
    ticket = world.ticket(gated, 0, expiry=last)
    move_to(last)
    world.join(gated, 0, ticket)
    world.leave(gated, 0)
    move_to(last + 1)
    with refuses("TicketExpired", gated, last):
        world.join(gated, 0, ticket)


def test_its_expiry_cannot_be_put_off(world, gated):
    old = world.ticket(gated, 0, expiry=now() - 1)
    for later in (now(), now() + 1, 2**64 - 1):
        with refused(world, gated):
            world.join(gated, 0, later.to_bytes(8) + old[8:])
    world.join(gated, 0, world.ticket(gated, 0, expiry=2**64 - 1))


def test_enrolment_ends_for_who_has_a_ticket_too(world, gated):
    ticket = world.ticket(gated, 0, expiry=2**64 - 1)
    last = world.term(gated, "enrolBy")
    move_to(last + 1)
    with refuses("EnrolmentClosed", gated, last):
        world.join(gated, 0, ticket)


def test_a_ticket_of_somebody_who_is_not_the_gate_lets_nobody_in(world, gated):
    """Nor one that the operator signs for itself."""
    own = Account.from_key(b"own".rjust(32, b"\1"))
    for signer in (STRANGER, own):
        with refused(world, gated):
            world.join(gated, 0, world.ticket(gated, 0, gate=signer))


def test_a_signature_that_nobody_made_is_not_of_the_gate(world, gated):
    """What recovers to the zero address, or to anybody, is no ticket; the zero address is no gate anyway."""
    expiry = (now() + 9).to_bytes(8)
    for rest in (bytes(65), bytes(64) + b"\x1b", b"\xff" * 65, b"\1" * 64 + b"\x1c"):
        with refused(world, gated):
            world.join(gated, 0, expiry + rest)


def test_the_other_form_of_a_signature_is_refused(world, gated):
    """(r, n − s) recovers to the same key; one ticket is one string of bytes."""
    good = world.ticket(gated, 0)
    r, s, v = good[8:40], int.from_bytes(good[40:72]), good[72]
    other = good[:8] + r + (ORDER - s).to_bytes(32) + bytes([55 - v])
    bare = good[:72] + bytes([v - 27])
    compact = good[:40] + ((v - 27 << 255) | s).to_bytes(32)
    for ticket in (other, bare, compact):
        with refused(world, gated):
            world.join(gated, 0, ticket)
    world.join(gated, 0, good)


def test_shorter_and_longer_tickets_are_refused(world, gated):
    good = world.ticket(gated, 0)
    for length in (1, 7, MOST + 1, 5000):
        with refuses("TicketLength", gated, length):
            world.join(gated, 0, good.ljust(length, b"\0")[:length])
    for length in (8, 9, 72, 74, MOST):
        with refused(world, gated):
            world.join(gated, 0, good.ljust(length, b"\0")[:length])


# ------------------------------------------------------------------ a gate that is a contract


@pytest.fixture
def wallet(world):
    return GateWallet.deploy(GATE.address, {"from": world.stranger})


def set_to(wallet, mode):
    wallet.set(MODES.index(mode), {"from": accounts[0]})


def test_a_contract_lets_in_by_what_it_takes_for_its_signature(world, wallet):
    job = world.create(gate=wallet.address)
    with refused(world, job):
        world.join(job, 0, world.ticket(job, 0, gate=STRANGER))
    with refused(world, job, 1):
        world.join(job, 1, world.ticket(job, 0))
    world.join(job, 0, world.ticket(job, 0))
    set_to(wallet, "Always")
    for i, length in ((1, 8), (2, 8 + 3), (3, MOST)):
        world.join(job, i, now().to_bytes(8).ljust(length, b"\7"))


def test_its_owner_s_key_is_not_the_contract(world, wallet):
    """And the other way round: what has code is asked, whoever signed."""
    job = world.create(gate=wallet.address)
    set_to(wallet, "Reverts")
    with refused(world, job):
        world.join(job, 0, world.ticket(job, 0))
    job = world.create(gate=GATE.address)
    set_to(wallet, "Always")
    with refused(world, job):
        world.join(job, 0, world.ticket(job, 0, gate=STRANGER))


@pytest.mark.parametrize("mode", ["Dirty", "Short", "Says1", "Nothing", "Huge", "Reverts"])
def test_a_contract_that_answers_anything_else_lets_nobody_in(coin_world, wallet, mode):
    job = coin_world.create(gate=wallet.address)
    set_to(wallet, mode)
    with refused(coin_world, job):
        coin_world.join(job, 0)


def test_a_contract_that_burns_its_gas_costs_who_joins_and_nobody_else(coin_world, wallet):
    job = coin_world.create(gate=wallet.address)
    set_to(wallet, "Burns")
    with refused(coin_world, job):
        coin_world.join(job, 0)
    assert coin_world.market.job(job)["active"] == 0


def test_a_contract_can_change_nothing_while_it_is_asked(coin_world, wallet):
    """It is asked by a static call: what would start, cancel or join from within, for it, fails."""
    world, market = coin_world, coin_world.market
    job = world.create(gate=wallet.address)
    world.accept(job)
    free = world.create(stake=0)
    for data in (
        market.join.encode_input(free, wallet, KEY, NO_TICKET),
        market.leave.encode_input(job),
        market.cancel.encode_input(job),
        market.start.encode_input(job),
        market.withdraw.encode_input(world.currency),
    ):
        wallet.prepare(market, data, {"from": world.stranger})
        with refused(world, job):
            world.join(job, 0)
    wallet.prepare(market, market.job.encode_input(job), {"from": world.stranger})
    world.join(job, 0)
    assert market.job(job)["active"] == mask(0)
