"""A process that aggregates many jobs, among them strangers': none stops it, and none makes it post a bond unasked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

import pytest
from pydantic import BaseModel, ValidationError

from marketplace.chain.market import Market
from marketplace.domain import ZERO_ADDRESS, State, Terms, slots
from marketplace.errors import ChainError, CorruptContent, InputError, JobOver, StorageError
from marketplace.files import exclusive
from marketplace.services import aggregator
from marketplace.services import dispatcher as dispatching
from marketplace.services.agent import Agent
from marketplace.services.aggregator import AggregatorAgent
from marketplace.services.dispatcher import SERVED_LONGEST, Dispatcher
from marketplace.services.node import Node
from marketplace.services.policy import Work
from marketplace.services.requests import Request
from marketplace.storage import get_bytes, put_bytes
from tests.chain_fixtures import ONE_FAULTY, PEOPLE
from tests.jobs import ETHER, Play, World, new_play

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

NOWHERE = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
KEY = b"\x07" * 32
STRANGER = PEOPLE[5]
SMALL: dict[str, Any] = {"rule": "krum-cosine", "rounds": 1, "reward": "0.3 ether"}


class Clock:
    """Unix seconds that the test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def good(world: World) -> Play:
    return new_play(world, validation=False, **SMALL)


def serving(play: Play, clock: Callable[[], float], node: Node | None = None) -> Dispatcher:
    node = node or play.aggregator
    return Dispatcher(node, node.me.address, play.world.report("dispatcher"), hold=30.0, clock=clock)


def told(world: World, kind: str) -> list[str]:
    return [notice.text for who, notice in world.notices if who == "dispatcher" and notice.kind == kind]


def settle(dispatcher: Dispatcher, steps: int = 5) -> None:
    for _ in range(steps):
        dispatcher.step()


def of(dispatcher: Dispatcher, job_id: int) -> Request:
    return next(request for request in dispatcher.requests() if request.job_id == job_id)


def strange_job(play: Play, cid: str, **changes: Any) -> int:
    """A stranger's job that names the good one's aggregator, made without Merit's client."""
    market = play.world.chain.market
    terms: Terms = replace(market.terms(play.job_id), **changes)
    return market.create_job(STRANGER, terms, KEY, cid)[0]


def spec_of(play: Play) -> dict[str, Any]:
    cid = play.history().created.spec_cid
    document: dict[str, Any] = json.loads(get_bytes(play.world.storage, cid, 1 << 20))
    return document


def nowhere(play: Play) -> int:
    return strange_job(play, NOWHERE)


def no_cid(play: Play) -> int:
    return strange_job(play, "\x1b[2J no CID at all")


def garbage(play: Play) -> int:
    return strange_job(play, put_bytes(play.world.storage, b'{"format": ' * 2000))


def foreign_verifier(play: Play) -> int:
    chain = play.world.chain
    cid = play.history().created.spec_cid
    return strange_job(play, cid, gram_verifier=chain.gram, gram_key=b"\x0a" * 32)


def exploding(play: Play) -> int:
    spec = spec_of(play)
    spec["training"]["learning_rate"] = 100.0
    return strange_job(play, put_bytes(play.world.storage, json.dumps(spec).encode()))


def impossible_model(play: Play) -> int:
    spec = spec_of(play)
    spec["model"]["parameters"] = {"inputs": 10**9, "hidden": [10**9], "classes": 10**9}
    return strange_job(play, put_bytes(play.world.storage, json.dumps(spec).encode()))


def base_nowhere(play: Play) -> int:
    return strange_job(play, put_bytes(play.world.storage, json.dumps(spec_of(play) | {"base_cid": NOWHERE}).encode()))


@pytest.mark.parametrize(
    "strange", [nowhere, no_cid, garbage, foreign_verifier, exploding, impossible_model, base_nowhere]
)
def test_a_job_that_is_served_ends_as_if_alone_beside_a_strangers(
    world: World, good: Play, clock: Clock, strange: Callable[[Play], int]
) -> None:
    dispatcher = serving(good, clock)
    agents: list[Agent] = [dispatcher, *(good.trainer(number) for number in range(3))]
    market = world.chain.market
    while market.job(good.job_id).submitted != 0b111:
        for agent in agents:
            agent.step()
    bad = strange(good)
    assert good.finish(agents) is State.COMPLETED
    assert "settled" in world.kinds("dispatcher")
    troubles = {trouble.job_id: trouble for trouble in dispatcher.troubles()}
    assert good.job_id not in troubles
    if strange is not exploding:  # which may be refused, or wait for trainers that never come
        assert bad in troubles
        texts = [text for text in told(world, "trouble") if text.startswith(f"Job {bad}:")]
        assert len(texts) == len(set(texts)) == 1, "told once, however often it is tried"
        assert "\x1b" not in texts[0]
        # It is tried again on its own clock, and never forgotten while it is open.
        first = troubles[bad].again_at
        assert first is not None
        clock.now = first + 1
        settle(dispatcher, 2)
        again = next(trouble for trouble in dispatcher.troubles() if trouble.job_id == bad)
        assert again.again_at is not None
        assert again.since == troubles[bad].since
        assert again.again_at - clock.now > first - troubles[bad].since, "with a longer pause"


class _Panic(BaseException):
    """As the core raises where it finds its own mistake: no Exception."""


def _invalid() -> ValidationError:
    class Model(BaseModel):
        number: int

    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"number": "none"})
    return caught.value


ERRORS: list[BaseException] = [
    ValueError("x"),
    KeyError("x"),
    MemoryError(),
    RecursionError(),
    OverflowError("x"),
    AssertionError(),
    _invalid(),
    _Panic("x"),
    CorruptContent("Other bytes."),
    StorageError("No answer."),
    ChainError("No answer."),
    InputError("A damaged file."),
    JobOver("It is not served."),
]


@pytest.mark.parametrize("where", ["__init__", "step"])
def test_whatever_a_job_raises_is_that_jobs_trouble_alone(
    world: World, good: Play, clock: Clock, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = put_bytes(world.storage, json.dumps(spec_of(good)).encode())
    bad = strange_job(good, spec)
    dispatcher = serving(good, clock)
    honest: Callable[..., Any] = getattr(AggregatorAgent, where)
    raised: list[BaseException] = []
    steps: list[int] = []

    def spoiled(agent: AggregatorAgent, *arguments: Any, **options: Any) -> Any:
        job_id = arguments[1] if where == "__init__" else agent._job_id
        steps.append(job_id)
        if job_id == bad and raised:
            raise raised[-1]
        return honest(agent, *arguments, **options)

    monkeypatch.setattr(AggregatorAgent, where, spoiled)
    good_steps = AggregatorAgent.step

    def counted(agent: AggregatorAgent) -> Any:
        steps.append(-agent._job_id)
        return good_steps(agent)

    if where == "__init__":
        monkeypatch.setattr(AggregatorAgent, "step", counted)
    for error in ERRORS:
        raised.append(error)
        clock.now += 10_000
        steps.clear()
        settle(dispatcher, 3)
        (trouble,) = dispatcher.troubles()
        assert (trouble.job_id, trouble.again_at is not None) == (bad, True)
        assert str(error) in trouble.text or type(error).__name__ in trouble.text
        assert steps.count(bad) >= 1, "it was tried"
        assert steps.count(-good.job_id if where == "__init__" else good.job_id) >= 3, "the other went on meanwhile"
        assert of(dispatcher, good.job_id).decision == "served"
    raised.clear()
    clock.now += 10_000
    settle(dispatcher)
    assert dispatcher.troubles() == []
    assert of(dispatcher, bad).decision == "served"


def test_jobs_that_storage_keeps_waiting_hold_up_no_other(world: World, good: Play, clock: Clock) -> None:
    with hanging(good, NOWHERE) as (node, waited):
        for number in range(20):
            strange_job(good, NOWHERE, reward=number + 1)
        dispatcher = Dispatcher(node, node.me.address, world.report("dispatcher"), hold=0.2, clock=clock)
        agents: list[Agent] = [dispatcher, *(good.trainer(number) for number in range(3))]
        assert good.finish(agents) is State.COMPLETED
        assert waited, "storage was asked for theirs"


def test_a_job_that_is_served_and_waits_for_storage_holds_up_no_other(world: World, good: Play, clock: Clock) -> None:
    """Its trainers name content that storage looks for as long as it may."""
    with hanging(good, NOWHERE) as (node, waited):
        market = world.chain.market
        bad = strange_job(
            good,
            put_bytes(world.storage, json.dumps(spec_of(good)).encode()),
            min_trainers=1,
            max_trainers=1,
            max_faulty=0,
        )
        dispatcher = Dispatcher(node, node.me.address, world.report("dispatcher"), hold=0.5, clock=clock)
        trainers = [good.trainer(number) for number in range(3)]
        thief = PEOPLE[6]
        while market.job(bad).aggregator == ZERO_ADDRESS:
            dispatcher.step()
        market.join(thief, bad, thief.address, KEY)
        while not market.job(bad).key_published:
            dispatcher.step()
        market.submit_update(thief, bad, 1, b"\x01" * 32, NOWHERE)
        assert good.finish([dispatcher, *trainers]) is State.COMPLETED
        assert waited


def test_trainers_whose_content_never_comes_cost_the_others_no_more_than_half_of_settling(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Storage looks for it as long as it may, which is longer than a round has; the others' updates open meanwhile."""
    monkeypatch.setattr(aggregator, "FETCHED_WITHIN", 2.0)
    good = new_play(world, validation=False, **SMALL, **ONE_FAULTY)
    market, late = world.chain.market, good.trainers[2]
    with hanging(good, NOWHERE) as (node, waited):
        dispatcher = serving(good, clock, node)
        agents: list[Agent] = [dispatcher, *(good.trainer(number) for number in (0, 1, 3, 4))]
        market.join(late.me.account, good.job_id, late.me.address, late.me.encryption_key)
        while not market.job(good.job_id).key_published:
            for agent in agents:
                agent.step()
        market.submit_update(late.me.account, good.job_id, 1, b"\x01" * 32, NOWHERE)
        while market.job(good.job_id).submitted != 0b11111:
            for agent in agents[1:]:
                agent.step()
        for agent in agents[1:]:
            agent.step()  # and delivers
        settle(dispatcher, 2)
        assert market.job(good.job_id).round == 1, "it is waited for"
        job = market.job(good.job_id)
        world.chain.forward(job.settle_by - market.connection.now() - 20)  # seconds, of which half are waited
        settle(dispatcher, 3)
        assert waited == [NOWHERE], "it is asked for once, not anew at each look"
        history = good.history()
        assert list(slots(history.settled[1].settlement.unopened)) == [0]
        assert len(list(slots(history.settled[1].submitted))) == 5


@contextmanager
def hanging(play: Play, missing: str) -> Iterator[tuple[Node, list[str]]]:
    """The aggregator's node with a storage that does not answer for one content until the block ends."""
    inner, release = play.world.storage, threading.Event()
    waited: list[str] = []

    class Hanging:
        def put(self, source: BinaryIO) -> str:
            return inner.put(source)

        def get(self, cid: str, sink: BinaryIO, *, max_bytes: int) -> int:
            if cid == missing:
                waited.append(cid)
                release.wait(280)
            return inner.get(cid, sink, max_bytes=max_bytes)

        def has(self, cid: str) -> bool:
            return inner.has(cid)

    try:
        yield replace(play.aggregator, storage=Hanging()), waited
    finally:
        release.set()


def test_a_bond_of_all_it_has_for_three_wei_waits_for_the_operator(world: World, clock: Clock) -> None:
    greedy = new_play(
        world, validation=False, rule="krum-cosine", reward="3 wei", fee="0", stake="0", bond="19 ether", rounds=1
    )
    market, me = world.chain.market, greedy.aggregator.me.address
    before = market.balance(ZERO_ADDRESS, me)
    dispatcher = serving(greedy, clock)
    settle(dispatcher)
    assert market.balance(ZERO_ADDRESS, me) == before
    assert market.job(greedy.job_id).aggregator == ZERO_ADDRESS
    (text,) = told(world, "declined")
    assert "Its bond is 19 ether; the policy allows at most 10 ether." in text
    assert f"merit aggregator accept {greedy.job_id}" in text
    request = of(dispatcher, greedy.job_id)
    assert (request.decision, len(request.objections)) == ("open", 1)
    assert dispatcher.decide(greedy.job_id, "declined").decision == "declined"
    settle(dispatcher, 2)
    assert market.job(greedy.job_id).aggregator == ZERO_ADDRESS
    assert dispatcher.decide(greedy.job_id, "accepted").decision == "accepted"
    settle(dispatcher)
    assert market.job(greedy.job_id).aggregator == me
    assert of(dispatcher, greedy.job_id).decision == "served"
    with pytest.raises(JobOver, match="bond is posted"):
        dispatcher.decide(greedy.job_id, "declined")


def test_a_policy_that_is_changed_is_in_force_at_once_and_not_for_jobs_that_are_served(
    world: World, good: Play, clock: Clock
) -> None:
    home, market = good.aggregator.home, world.chain.market
    (home / "policy.yaml").write_text("owners: []\nbond_for_fees: null\n")
    dispatcher = serving(good, clock)
    settle(dispatcher)
    assert len(told(world, "declined")) == 1
    assert f"Its owner {good.owner.me.address} is not among" in told(world, "declined")[0]
    (home / "policy.yaml").write_text("owners: [")
    settle(dispatcher, 2)
    assert len([text for text in told(world, "trouble") if "policy.yaml" in text]) == 1
    assert market.job(good.job_id).aggregator == ZERO_ADDRESS
    (home / "policy.yaml").write_text(f"owners: ['{good.owner.me.address}']\nbond_for_fees: null\n")
    settle(dispatcher)
    assert market.job(good.job_id).aggregator == good.aggregator.me.address
    dispatcher.close()
    (home / "policy.yaml").write_text("owners: []\n")
    again = serving(good, clock)
    assert good.finish([again, *(good.trainer(number) for number in range(3))]) is State.COMPLETED


def test_a_policy_that_is_changed_before_the_bond_is_posted_holds_for_a_job_that_was_taken_up(
    world: World, good: Play, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node without funds takes a job up, and once it is funded, its operator has thought otherwise."""
    home, market = good.aggregator.home, world.chain.market

    def poor(*_: object) -> object:
        raise ChainError("It holds too little.")

    dispatcher = serving(good, clock)
    with monkeypatch.context() as during:
        during.setattr(Market, "accept_aggregation", poor)
        settle(dispatcher)
        (trouble,) = dispatcher.troubles()
        assert "too little" in trouble.text
    (home / "policy.yaml").write_text("owners: []\n")
    clock.now += 10_000
    settle(dispatcher)
    assert market.job(good.job_id).aggregator == ZERO_ADDRESS
    assert of(dispatcher, good.job_id).decision == "open"
    (home / "policy.yaml").write_text("owners: any\nbond_for_fees: null\ngas_price: 0\n")
    clock.now += 10_000
    settle(dispatcher)
    assert market.job(good.job_id).aggregator == good.aggregator.me.address


def test_a_job_with_another_description_than_the_policy_was_asked_about_is_not_accepted(
    world: World, good: Play, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reorganization may leave its number, its owner and its terms as they were to the byte."""
    home, market = good.aggregator.home, world.chain.market
    (home / "policy.yaml").write_text("owners: any\nbond_for_fees: null\ngas_price: 0\nparameters_at_most: 10\n")
    honest, asked = dispatching.read_work, []

    def small_at_first(node: Node, job_id: int) -> Work:
        asked.append(job_id)
        return Work(10, 1024) if len(asked) == 1 else honest(node, job_id)

    monkeypatch.setattr(dispatching, "read_work", small_at_first)
    dispatcher = serving(good, clock)
    for _ in range(4):
        settle(dispatcher, 2)
        clock.now += 10_000
    assert len(asked) == 2
    assert market.job(good.job_id).aggregator == ZERO_ADDRESS
    assert "parameters; the policy allows 10" in of(dispatcher, good.job_id).objections[0]


def test_a_decision_is_of_one_job_and_not_of_its_number(world: World, good: Play, clock: Clock) -> None:
    """A reorganization may put another job in its place."""
    snapshot = world.chain.connection.request("evm_snapshot")
    accepted = strange_job(good, NOWHERE, bond=2 * ETHER)
    dispatcher = serving(good, clock)
    settle(dispatcher)
    assert dispatcher.decide(accepted, "accepted").decision == "accepted"
    assert world.chain.connection.request("evm_revert", snapshot)
    assert strange_job(good, NOWHERE, bond=3 * ETHER) == accepted
    clock.now += 10_000
    settle(dispatcher)
    assert of(dispatcher, accepted).decision == "open"


def test_a_job_that_nobody_may_accept_any_more_is_forgotten_without_a_transaction(
    world: World, good: Play, clock: Clock
) -> None:
    """A stranger must not spend an aggregator's gas, either: what is left is for its owner to cancel."""
    bad = strange_job(good, NOWHERE)
    dispatcher, market = serving(good, clock), world.chain.market
    settle(dispatcher)
    assert {request.job_id for request in dispatcher.requests()} == {good.job_id, bad}
    world.chain.forward(market.terms(bad).enrol_by - market.connection.now() + 1)
    clock.now += 10_000
    settle(dispatcher, 3)
    assert {request.job_id for request in dispatcher.requests()} <= {good.job_id}
    assert dispatcher.troubles() == []
    assert market.job(bad).state is State.OPEN


def test_two_processes_of_one_key_do_not_both_serve_a_job(world: World, good: Play, clock: Clock) -> None:
    with exclusive(good.aggregator.work(good.job_id)):
        dispatcher = serving(good, clock)
        settle(dispatcher)
        (trouble,) = dispatcher.troubles()
        assert "Another process works" in trouble.text
        assert world.chain.market.job(good.job_id).aggregator == ZERO_ADDRESS
    clock.now += 10_000
    settle(dispatcher)
    assert (dispatcher.troubles(), of(dispatcher, good.job_id).decision) == ([], "served")


def test_a_job_in_trouble_is_tried_again_long_before_its_bond_is_lost(
    world: World, good: Play, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher, market = serving(good, clock), world.chain.market
    agents: list[Agent] = [dispatcher, *(good.trainer(number) for number in range(3))]
    while not market.job(good.job_id).submitted:
        for agent in agents:
            agent.step()
    good.pass_deadline()
    monkeypatch.setattr(AggregatorAgent, "_prepare", lambda *_: 1 // 0)
    pauses = []
    for _ in range(12):
        dispatcher.step()
        (trouble,) = dispatcher.troubles()
        assert trouble.again_at is not None
        pauses.append(trouble.again_at - clock.now)
        clock.now = trouble.again_at
    assert pauses == sorted(pauses)
    assert pauses[-1] == SERVED_LONGEST
    job = market.job(good.job_id)
    world.chain.forward(job.settle_by - market.connection.now() - 20)
    dispatcher.step()
    (trouble,) = dispatcher.troubles()
    assert trouble.again_at is not None
    assert trouble.again_at - clock.now <= 20 / 4


def test_a_chain_that_does_not_answer_is_an_outage_of_all(
    good: Play, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher = serving(good, clock)
    settle(dispatcher, 2)

    def silent(market: Market) -> int:
        raise ChainError("No answer.")

    monkeypatch.setattr(Market, "job_count", silent)
    with pytest.raises(ChainError):
        dispatcher.step()
    assert dispatcher.troubles() == []
