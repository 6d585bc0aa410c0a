"""First commit, then deliver: nothing of a round can be opened before nobody can submit in it any more."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from marketplace.chain.clock import skip_to
from marketplace.domain import State
from marketplace.errors import CorruptContent, Reverted, StorageError
from marketplace.keys.sealing import KEY, Purpose, open_bytes_with_key, open_sealed_bytes
from marketplace.services.agent import Agent, Step
from marketplace.services.aggregator import AggregatorAgent
from marketplace.services.openings import read_submission
from marketplace.services.submissions import FETCHES
from marketplace.services.trainer import TrainerAgent
from marketplace.storage import get_bytes
from tests.chain_fixtures import ONE_FAULTY
from tests.jobs import Play, World, new_play, step_until

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

POINTS = {"validation": False, "rule": "krum-cosine"}
HUGE = 1 << 24


def nearly_all(world: World, **terms: Any) -> tuple[Play, list[Any]]:
    """A job in whose first round all have submitted but the last trainer; its agents."""
    play = new_play(world, **POINTS, **terms)
    agents, market = play.agents(), world.chain.market
    last = len(play.trainers) - 1
    step_until(agents, lambda: market.job(play.job_id).state is State.RUNNING)
    step_until(agents[:-1], lambda: market.job(play.job_id).submitted.bit_count() == last)
    return play, agents


def cids(play: Play) -> dict[int, str]:
    """By seat, what this round's submissions name."""
    return {slot: event.cid for slot, event in play.history().rounds[-1].submissions.items()}


def there(play: Play) -> int:
    """How many submissions of this round are delivered."""
    return sum(play.world.storage.has(cid) for cid in cids(play).values())


def files(play: Play) -> list[bytes]:
    """All that is in storage."""
    return [path.read_bytes() for path in (play.world.folder / "storage").glob("*/*")]


def opened(play: Play, made: bytes) -> list[bytes]:
    """What the aggregator's key, or anything that it opens, makes of a file in any trainer's name."""
    found, node = [], play.aggregator
    for trainer in play.trainers:
        context = node.context(Purpose.UPDATE, job_id=play.job_id, round=1, party=trainer.me.address)
        for purpose in (Purpose.UPDATE, Purpose.DELIVERY):
            with suppress(CorruptContent):
                found.append(open_sealed_bytes(node.me.decryption_key, made, replace(context, purpose=purpose), HUGE))
    return found


def with_key(play: Play, key: bytes, number: int) -> list[bytes]:
    """What a key opens of all that is in storage, in a trainer's name."""
    found, party = [], play.trainers[number].me.address
    context = play.aggregator.context(Purpose.UPDATE, job_id=play.job_id, round=1, party=party)
    for made in files(play):
        with suppress(CorruptContent):
            found.append(open_bytes_with_key(key, made, context, HUGE))
    return found


def number_of(play: Play, slot: int) -> int:
    operator = play.history().participants[slot].operator
    return [trainer.me.address for trainer in play.trainers].index(operator)


def test_a_friend_that_submits_last_finds_nothing_of_the_others_that_its_aggregator_could_open(world: World) -> None:
    """All of storage and the aggregator's key open nothing; what the chain shows is of no use in another's name."""
    play, agents = nearly_all(world, **ONE_FAULTY)
    market, friend = world.chain.market, play.trainers[-1]
    for _ in range(3):
        for agent in agents[:-1]:
            agent.step()
    for trainer in play.trainers[:-1]:
        record = read_submission(trainer.work(play.job_id) / "round-1")
        assert world.storage.has(record.content), "what is large is up before the phase ends"
    assert there(play) == 0
    assert [found for made in files(play) for found in opened(play, made)] == []
    assert not list(play.aggregator.work(play.job_id).glob("**/update"))
    victim = next(iter(play.history().rounds[0].submissions.values()))
    market.submit_update(friend.me.account, play.job_id, 1, victim.commitment, victim.cid)
    step_until(agents[1:-1], lambda: there(play) == 5)
    (delivery,) = opened(play, get_bytes(world.storage, victim.cid, HUGE))
    assert with_key(play, delivery[:KEY], number_of(play, victim.slot)), "now it opens, in its sender's name"
    assert with_key(play, delivery[:KEY], len(play.trainers) - 1) == []
    step_until(agents[:-1], lambda: 1 in play.history().settled)
    (slot,) = (slot for slot in range(5) if number_of(play, slot) == 4)
    assert play.history().settled[1].settlement.unopened == 1 << slot
    assert slot not in play.history().rounds[0].gains


def test_trainers_that_die_after_they_submitted_deliver_once_they_are_started_again(world: World) -> None:
    """Not before the phase is over, and without a second submission."""
    play, _ = nearly_all(world)
    market, before = world.chain.market, cids(play)
    for _ in range(2):
        for number in range(2):
            assert play.trainer(number).step() is Step.WAITING
    assert there(play) == 0
    skip_to(market.connection, market.job(play.job_id).submit_by + 1)
    again: list[Agent] = [play.trainer(number) for number in range(2)]
    assert [agent.step() for agent in again] == [Step.WORKED] * 2
    assert [agent.step() for agent in again] == [Step.WAITING] * 2
    assert there(play) == 2
    assert cids(play) == before
    assert [world.kinds(f"trainer {number}").count("submitted") for number in range(2)] == [1, 1]
    assert [world.kinds(f"trainer {number}").count("delivered") for number in range(2)] == [1, 1]
    step_until([play.judge()], lambda: 1 in play.history().settled)
    assert play.history().settled[1].settlement.unopened == 0


def test_where_blocks_may_leave_the_chain_a_full_round_is_delivered_once_it_is_past_undoing(world: World) -> None:
    """Otherwise a friend's submission could fall out and be made anew; nor does the aggregator look before."""
    play = new_play(world, **POINTS, submit_window="2 h", settle_window="2 h")
    agents, market = play.agents(), world.chain.market
    step_until(agents, lambda: market.job(play.job_id).state is State.RUNNING)
    play.aggregator = replace(play.aggregator, finality=900)
    play.trainers = [replace(trainer, finality=900) for trainer in play.trainers]
    agents = play.agents()
    step_until(agents, lambda: market.job(play.job_id).complete)
    for _ in range(2):
        assert [agent.step() for agent in agents] == [Step.WAITING] * 4
    world.chain.forward(800)
    assert [agent.step() for agent in agents] == [Step.WAITING] * 4
    assert there(play) == 0
    world.chain.forward(101)
    assert [agent.step() for agent in agents[1:]] == [Step.WORKED] * 3
    assert there(play) == 3
    step_until(agents, lambda: 1 in play.history().settled)
    assert "missing" not in world.kinds("aggregator")


def test_where_blocks_may_leave_the_chain_the_phase_is_over_with_the_first_block_after_it(world: World) -> None:
    """A clock says too early that it is: a block of before may come yet."""
    play, _ = nearly_all(world)
    connection, market = world.chain.connection, world.chain.market
    trainer = replace(play.trainers[0], finality=900)
    play.trainers[0] = trainer
    agent, end = play.trainer(0), market.job(play.job_id).submit_by
    connection.request("evm_increaseTime", end - connection.now() + 1)
    assert connection.now() > end >= connection.latest().timestamp
    assert agent.step() is Step.WAITING
    connection.request("evm_mine")
    assert agent.step() is Step.WORKED
    assert there(play) == 1


def test_in_a_round_that_was_taken_over_a_friend_of_either_aggregator_has_nothing_to_submit(world: World) -> None:
    """The one that failed has opened all, and may be the newcomer too; what was submitted is delivered at once."""
    play = new_play(world, takeover_window="1 h", **POINTS)
    agents, market = play.agents(), world.chain.market
    step_until(agents, lambda: market.job(play.job_id).state is State.RUNNING)
    step_until(agents[:3], lambda: market.job(play.job_id).submitted.bit_count() == 2)
    skip_to(market.connection, market.job(play.job_id).submit_by + 1)
    step_until(agents[1:3], lambda: there(play) == 2)
    before = cids(play)
    skip_to(market.connection, market.job(play.job_id).settle_by + 1)
    node = world.node("rescuer")
    rescuer = AggregatorAgent(node, play.job_id, node.me.address, world.report("rescuer"), take_over=True)
    step_until([rescuer], lambda: market.job(play.job_id).aggregator == node.me.address)
    step_until([rescuer, agents[1]], lambda: market.job(play.job_id).key_published)
    friend = play.trainers[2].me
    for call in (
        lambda: market.submit_update(friend.account, play.job_id, 1, bytes([7] * 32), "bafyfriend"),
        lambda: market.redeliver(friend.account, play.job_id, 1, "bafyfriend"),
    ):
        with pytest.raises(Reverted, match=r"closed at|Nobody asks"):
            call()
    step_until(agents[1:3], lambda: market.job(play.job_id).complete)
    assert there(play) == 2
    assert not set(cids(play).values()) & set(before.values())
    step_until([rescuer], lambda: 1 in play.history().settled)
    assert play.history().settled[1].submitted.bit_count() == 2


def test_a_large_file_that_two_name_is_fetched_a_few_times_however_long_a_round_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attacker names another's large file, and a friend of its keeps the round waiting for a small one."""
    from marketplace.keys.sealing import seal_bytes_to
    from marketplace.services.deliveries import Delivery
    from marketplace.storage import put_bytes
    from tests.faults.test_submissions import committed

    play, agents = nearly_all(world, **ONE_FAULTY)
    market, thief = world.chain.market, play.trainers[-1]
    record = read_submission(play.trainers[0].work(play.job_id) / "round-1")
    size = len(get_bytes(world.storage, record.content, HUGE))
    context = thief.context(Purpose.DELIVERY, job_id=play.job_id, round=1, party=thief.me.address)
    named = bytes(Delivery(bytes(32), size, record.content))
    cid = put_bytes(world.storage, seal_bytes_to(play.aggregator.me.encryption_key, named, context))
    market.submit_update(thief.me.account, play.job_id, 1, committed(play), cid)
    for agent in agents[1:4]:
        agent.step()
    assert there(play) == 4, "one does not come"
    honest, fetched = type(world.storage).get, list[str]()

    def get(self: Any, cid: str, sink: Any, *, max_bytes: int) -> int:
        fetched.append(cid)
        return int(honest(self, cid, sink, max_bytes=max_bytes))

    monkeypatch.setattr(type(world.storage), "get", get)
    for _ in range(10):
        assert agents[0].step() is Step.WAITING
    assert fetched.count(record.content) == 1 + FETCHES
    assert "Not delivered yet: the updates of seats" in agents[0].waiting()[play.job_id]
    agents[4].step()
    step_until(agents[:1], lambda: 1 in play.history().settled)
    assert play.history().settled[1].settlement.unopened.bit_count() == 1
    assert fetched.count(record.content) == 1 + FETCHES


def test_storage_that_fails_while_a_trainer_delivers_is_tried_again_and_ends_no_process(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    play, _ = nearly_all(world)
    market, agent = world.chain.market, play.trainer(0)
    skip_to(market.connection, market.job(play.job_id).submit_by + 1)

    def down(*_: Any, **__: Any) -> str:
        raise StorageError("The storage cannot be reached.")

    with monkeypatch.context() as during:
        during.setattr(type(world.storage), "put", down)
        for _ in range(3):
            assert agent.step() is Step.WAITING
    assert [n.text for _, n in world.notices].count(
        "What opens the update of round 1 cannot be delivered: The storage cannot be reached. Trying again."
    ) == 1
    assert agent.step() is Step.WORKED
    assert there(play) == 1


def test_a_small_file_that_was_changed_or_lost_on_disk_is_not_delivered_and_that_is_said(world: World) -> None:
    play, _ = nearly_all(world)
    market = world.chain.market
    skip_to(market.connection, market.job(play.job_id).submit_by + 1)
    changed, gone = (trainer.work(play.job_id) / "round-1" / "delivery" for trainer in play.trainers[:2])
    changed.write_bytes(changed.read_bytes()[:-1])
    gone.unlink()
    before = len(files(play))
    for number in range(2):
        assert play.trainer(number).step() is Step.WAITING
        assert any("not kept on this machine" in n.text for who, n in world.notices if who == f"trainer {number}")
    assert len(files(play)) == before


def test_a_small_file_that_was_changed_on_disk_before_its_submission_is_not_submitted(world: World) -> None:
    """What it says could never be delivered."""
    play = new_play(world, **POINTS)
    agents, market = play.agents(), world.chain.market
    step_until(agents, lambda: market.job(play.job_id).key_published)
    kept = play.trainers[0].work(play.job_id) / "round-1" / "delivery"
    step_until([Dying(play, agents[1])], kept.exists)
    kept.write_bytes(bytes(len(kept.read_bytes())))
    agent = play.trainer(0)
    assert agent.step() is Step.WAITING
    assert market.job(play.job_id).submitted == 0
    assert any("changed on disk" in n.text for who, n in world.notices if who == "trainer 0")


class Dying:
    """A trainer that dies when it sends its submission."""

    def __init__(self, play: Play, agent: TrainerAgent) -> None:
        self._agent = agent
        agent._node = replace(agent._node, market=Deaf(agent._node.market))  # type: ignore[arg-type]

    def step(self) -> Step:
        with suppress(KeyboardInterrupt):
            return self._agent.step()
        return Step.WAITING


class Deaf:
    def __init__(self, market: Any) -> None:
        self._market = market

    def __getattr__(self, name: str) -> Any:
        if name == "submit_update":
            raise KeyboardInterrupt
        return getattr(self._market, name)


def test_a_process_that_ends_with_an_error_delivers_before_or_says_that_it_has_not(world: World) -> None:
    play, _ = nearly_all(world)
    market = world.chain.market
    early, late = play.trainer(0), play.trainer(1)
    early.retire(RuntimeError("any"))
    assert there(play) == 0
    assert any("is not delivered yet: start it again" in n.text for who, n in world.notices if who == "trainer 0")
    skip_to(market.connection, market.job(play.job_id).submit_by + 1)
    late.retire(RuntimeError("any"))
    assert there(play) == 1
    assert not any("is not delivered yet" in n.text for who, n in world.notices if who == "trainer 1")
