"""Tickets: their text, what the gate signs, and what is looked at before anybody stakes by one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_abi import encode
from eth_account import Account
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from marketplace.chain.clock import skip_to
from marketplace.domain import ZERO_ADDRESS, State
from marketplace.errors import InputError, JobOver, Reverted
from marketplace.services.agent import Step
from marketplace.services.invitations import admission, door, invite, link
from marketplace.services.trainer import Plan
from marketplace.tickets import MAX_TEXT, Door, Ticket, parse_ticket
from tests.chain_fixtures import OWNER, PEOPLE, TRAINERS, Chain, new_contract, terms
from tests.e2e.command_line import ME, Merit
from tests.jobs import Play, World, new_play

pytest_plugins = ["tests.chain_fixtures", "tests.jobs", "tests.e2e.command_line"]

VECTOR: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "ticket.json").read_text())
GATE = Account.from_key(b"gate".rjust(32, b"\1"))
KEY = bytes(31) + b"\1"
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
GOOD = Ticket(7, PEOPLE[3].address, 1_764_000_000, bytes(range(65)))


# ---------------------------------------------------------------- the text


def test_the_vector_that_the_page_reads_too() -> None:
    of = Door(VECTOR["chain_id"], VECTOR["market"], VECTOR["job_id"], bytes.fromhex(VECTOR["terms_hash"][2:]))
    ticket = of.invite(GATE, VECTOR["operator"], VECTOR["expiry"])
    assert str(ticket) == VECTOR["text"]
    assert parse_ticket(VECTOR["text"]) == ticket
    assert of.digest(ticket.operator, ticket.expiry).hex() == VECTOR["digest"][2:]
    assert of.signer(ticket) == GATE.address == VECTOR["gate"]


@given(
    st.integers(1, 10**15 - 1),
    st.binary(min_size=20, max_size=20),
    st.integers(1, 10**15 - 1),
    st.binary(max_size=200) | st.just(bytes(2048)),
)
def test_every_ticket_is_one_word_that_reads_back(job_id: int, operator: bytes, expiry: int, signature: bytes) -> None:
    ticket = Ticket(job_id, to_checksum_address("0x" + operator.hex()), expiry, signature)
    assert len(str(ticket)) <= MAX_TEXT
    assert parse_ticket(f"  {ticket}\n") == ticket
    assert ticket.call_data == expiry.to_bytes(8) + signature


@pytest.mark.parametrize(
    "text",
    [
        "",
        "merit1_",
        "merit2" + str(GOOD)[6:],
        str(GOOD)[:-1],
        str(GOOD) + "0",
        str(GOOD).upper(),
        str(GOOD).replace("merit1_7", "merit1_07"),
        str(GOOD).replace("merit1_7", "merit1_0"),
        str(GOOD).replace("merit1_7", "merit1_" + "9" * 16),
        str(GOOD).replace("merit1_7", "merit1_٧"),
        str(GOOD).replace("_1764", "_-1764"),
        str(GOOD) + "\n" + str(GOOD),
        str(replace(GOOD, signature=bytes(2049))),
        "merit1_7_" + "0" * 10**6,
        str(GOOD)[: len("merit1_7_") + 39],
    ],
)
def test_a_text_that_is_no_ticket_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="this is not a ticket"):
        parse_ticket(text)


def test_no_other_form_of_a_signature_is_anybody_s() -> None:
    of = Door(1, ZERO_ADDRESS, 7, bytes(32))
    good = of.invite(GATE, PEOPLE[3].address, 99)
    r, s, v = good.signature[:32], int.from_bytes(good.signature[32:64]), good.signature[64]
    assert of.signer(good) == GATE.address
    for signature in (
        r + (ORDER - s).to_bytes(32) + bytes([55 - v]),
        good.signature[:64] + bytes([v - 27]),
        good.signature[:64],
        good.signature + b"\0",
        bytes(64) + b"\x1b",
        b"\xff" * 32 + bytes(32) + b"\x1b",
        b"",
    ):
        assert of.signer(replace(good, signature=signature)) == ""


def test_a_link_holds_nothing_of_the_page_but_where_it_is() -> None:
    page = "http://127.0.0.1:8420/?x=1#token=secret"
    assert link(page, GOOD) == f"http://127.0.0.1:8420/job/7/join?ticket={GOOD}"


# ---------------------------------------------------------------- by the chain


def gated(chain: Chain, gate: str = GATE.address, **changes: Any) -> int:
    return chain.market.create_job(OWNER, terms(chain, gate=gate, **changes), KEY, "bafyspec")[0]


def test_what_is_made_here_lets_in_by_the_contract(any_chain: Chain) -> None:
    market, job_id = any_chain.market, gated(any_chain)
    me = TRAINERS[0]
    with pytest.raises(Reverted, match="by invitation") as missing:
        market.join(me, job_id, me.address, KEY)
    assert missing.value.name == "TicketMissing"
    (ticket,) = invite(market, GATE, job_id, [me.address], 300)
    data = admission(market, me.address, job_id, market.terms(job_id), str(ticket))
    with pytest.raises(Reverted, match=f"has given {TRAINERS[1].address} no such ticket"):
        market.join(TRAINERS[1], job_id, me.address, KEY, data)
    assert market.join(me, job_id, me.address, KEY, data)[0] == 0
    market.leave(me, job_id)
    any_chain.forward(301)
    with pytest.raises(Reverted, match=r"expired at 2\d{3}-"):
        market.join(me, job_id, me.address, KEY, data)


def test_a_ticket_that_does_not_fit_is_told_before_anything_is_sent(chain: Chain) -> None:
    market, me = chain.market, TRAINERS[0].address
    job_id, other, free = gated(chain), gated(chain), gated(chain, ZERO_ADDRESS)
    held = market.terms(job_id)

    def refuses(sentence: str, text: str, job_id: int = job_id, who: str = me) -> None:
        with pytest.raises(InputError, match=sentence):
            admission(market, who, job_id, market.terms(job_id), text)

    def made(gate: Any = GATE, job_id: int = job_id, **changes: Any) -> str:
        of = replace(door(market, job_id, held), **changes)
        return str(of.invite(gate, me, market.connection.now() + 60))

    good = made()
    assert admission(market, me, job_id, held, good) == parse_ticket(good).call_data
    assert admission(market, me, free, market.terms(free), "") == b""
    refuses("takes trainers by invitation: ask 0x", "")
    refuses("leave the ticket out", good, free)
    refuses("cannot be read: this is not a ticket", good[:40] + "…")
    refuses(f"for job {job_id}, not for job {other}", good, other)
    refuses("you join as", good, who=TRAINERS[1].address)
    for forged in (
        made(TRAINERS[0]),
        made(chain_id=1),
        made(market=PEOPLE[0].address),
        made(terms_hash=bytes(32)),
        str(replace(parse_ticket(good), expiry=parse_ticket(good).expiry + 1)),
        str(replace(parse_ticket(good), signature=b"")),
    ):
        refuses("has not signed this ticket", forged)
    skip_to(market.connection, parse_ticket(good).expiry + 1)
    refuses("has expired", good)


def test_a_gate_that_is_a_contract_is_asked(chain: Chain) -> None:
    market, me = chain.market, TRAINERS[0].address
    wallet = to_checksum_address(new_contract(chain.connection, "GateWallet", encode(["address"], [GATE.address])))
    job_id = gated(chain, wallet)
    of = door(market, job_id, market.terms(job_id))
    expiry = market.connection.now() + 60
    good = of.invite(GATE, me, expiry)
    data = admission(market, me, job_id, market.terms(job_id), str(good))
    assert market.join(TRAINERS[0], job_id, me, KEY, data)[0] == 0
    with pytest.raises(InputError, match="has not signed"):
        admission(market, me, job_id, market.terms(job_id), str(of.invite(TRAINERS[1], me, expiry)))


def test_only_the_gate_invites_and_only_while_somebody_can_join(chain: Chain) -> None:
    market, me = chain.market, TRAINERS[0].address
    job_id = gated(chain)
    with pytest.raises(InputError, match=f"{GATE.address} invites to job {job_id}, not {OWNER.address}"):
        invite(market, OWNER, job_id, [me], 60)
    with pytest.raises(InputError, match="takes no invitation"):
        invite(market, OWNER, gated(chain, ZERO_ADDRESS), [me], 60)
    with pytest.raises(InputError, match="good for 1 s to 366 d"):
        invite(market, GATE, job_id, [me], 367 * 86400)
    market.cancel(OWNER, job_id)
    with pytest.raises(JobOver, match="takes no trainers any more"):
        invite(market, GATE, job_id, [me], 60)


# ---------------------------------------------------------------- nodes


def invited(play: Play, number: int, text: str | None = None) -> Any:
    """A trainer of a job by invitation of its owner, with its ticket or this text."""
    market, me = play.world.chain.market, play.trainers[number].me
    (ticket,) = invite(market, play.owner.me.account, play.job_id, [me.address], 3600)
    agent = play.trainer(number)
    plan = agent._plan
    agent._plan = Plan(plan.payee, plan.devices, plan.seed, ticket=str(ticket) if text is None else text)
    return agent


def test_a_job_by_invitation_is_played_to_its_end(world: World) -> None:
    play = new_play(world, validation=False, gate="owner", min_trainers=2, max_trainers=2)
    assert play.history().terms.gate == play.owner.me.address
    assert play.finish([play.judge(), invited(play, 0), invited(play, 1)]) is State.COMPLETED


def test_a_trainer_without_a_good_ticket_sends_nothing(world: World) -> None:
    play = new_play(world, validation=False, gate=GATE.address)
    market, me = world.chain.market, play.trainers[0].me
    nonce = market.connection.request("eth_getTransactionCount", me.address, "latest")
    for text, sentence in (("", "by invitation"), ("x", "cannot be read"), (str(GOOD), "for job 7")):
        agent = play.trainer(0)
        agent._plan = replace(agent._plan, ticket=text)
        with pytest.raises(InputError, match=sentence):
            agent.step()
    assert market.connection.request("eth_getTransactionCount", me.address, "latest") == nonce


def test_who_has_a_seat_needs_no_ticket_to_go_on(world: World) -> None:
    play = new_play(world, validation=False, gate="owner")
    assert invited(play, 0).step() is Step.WORKED
    again = play.trainer(0)
    assert again._plan.ticket == ""
    assert again.step() is Step.WAITING


# ---------------------------------------------------------------- the command line


def test_the_gate_s_key_makes_one_ticket_an_address(world: World, merit: Merit) -> None:
    play = new_play(world, validation=False, gate=ME.address)
    market, addresses = world.chain.market, [node.me.address for node in play.trainers[:2]]
    code, out, said = merit("--json", "job", "invite", play.job_id, *addresses, addresses[0], "--valid", "2 h")
    assert code == 0, said
    made = json.loads(out)
    assert [each["operator"] for each in made] == addresses
    for each in made:
        assert admission(market, each["operator"], play.job_id, market.terms(play.job_id), each["ticket"])
        assert (each["link"], each["expiry"]) == (None, made[0]["expiry"])
    assert abs(made[0]["expiry"] - market.connection.now() - 7200) < 60
    code, out, _ = merit("job", "invite", play.job_id, addresses[0])
    assert code == 0
    assert f"For {addresses[0]}, good until" in out
    assert f"merit1_{play.job_id}_" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nobody",), "ADDRESS: 'nobody' is not an address"),
        ((ME.address, "--valid", "soon"), "--valid: 'soon' is not understood"),
        ((ME.address, "--valid", "2 years"), "--valid: unknown unit 'years'"),
        ((ME.address,), "invites to job"),
    ],
)
def test_what_cannot_be_invited_is_one_sentence(
    world: World, merit: Merit, arguments: tuple[str, ...], sentence: str
) -> None:
    play = new_play(world, validation=False, gate=GATE.address)
    code, _, said = merit("job", "invite", play.job_id, *arguments)
    assert code == 2
    assert sentence in said


def test_a_join_without_its_ticket_is_refused_before_the_data_are_read(world: World, merit: Merit) -> None:
    play = new_play(world, validation=False, gate=GATE.address)
    (ticket,) = invite(world.chain.market, GATE, play.job_id, [TRAINERS[0].address], 60)
    for option, sentence in (((), "ask " + GATE.address), (("--ticket", ticket), "and you join as " + ME.address)):
        code, _, said = merit("trainer", "join", play.job_id, "--data", "/nowhere.npz", *option)
        assert code == 2
        assert sentence in said


def test_who_may_join_is_told(world: World, merit: Merit) -> None:
    play = new_play(world, validation=False, gate="owner")
    owner = play.owner.me.address
    _, out, _ = merit("--json", "job", "show", play.job_id)
    shown = json.loads(out)
    assert shown["terms"]["gate"] == owner
    assert "whom its owner invites, who can invite itself" in shown["trust"]
    _, out, _ = merit("job", "show", play.job_id)
    assert f"by invitation of {owner}" in out
