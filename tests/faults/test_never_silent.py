"""Whatever keeps a trainer from submitting, it says so and leaves with its stake: it is never silent into a slash.

World: a real chain, a storage folder, real training. Each test mounts one trouble and looks at what it has cost.
"""

import errno
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from marketplace.chain.clock import skip_to
from marketplace.domain import Left, State
from marketplace.errors import ChainError, CorruptContent, InputError, Reverted, StorageError
from marketplace.keys.identity import Identity
from marketplace.replay import JobHistory
from marketplace.services import joining, training
from marketplace.services.agent import Notice, Step, run
from marketplace.services.audit import audit_job
from marketplace.services.node import job_key
from marketplace.services.owner import Base, create_job, reveal_validation
from marketplace.services.trainer import Plan, TrainerAgent, data_loader
from marketplace.services.validation import Validation
from marketplace.spec import JobFile
from tests.jobs import Play, World, blobs, job_file, new_play
from trainer.config import UpdateConfig
from trainer.data import write_npz
from trainer.measure import Measured
from trainer.models import build, flatten, load_flat, to_safetensors

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

LOW_ORDER = (1).to_bytes(32, "little")  # an X25519 key to which nothing can be sealed


def texts(play: Play, number: int, kind: str) -> list[str]:
    return [n.text for who, n in play.world.notices if who == f"trainer {number}" and n.kind == kind]


def assert_no_stake_was_lost(play: Play) -> None:
    """Nobody was ejected, and everybody's stake is credited."""
    history = play.history()
    assert len(history.enrolled) == len(play.trainers)
    for trainer, node in zip(history.enrolled, play.trainers, strict=True):
        assert history.credits[node.me.address] >= history.terms.stake + claimed(history, trainer.slot)
    assert audit_job(play.world.watcher("auditor"), play.job_id).ok


def claimed(history: JobHistory, slot: int) -> int:
    """The pay of a seat, once it is claimed."""
    return history.divided(history.pot)[slot] if slot in history.claimed else 0


def assert_left_with_its_stake(play: Play, number: int) -> None:
    history, me = play.history(), play.trainers[number].me.address
    slot = history.slot_of(me)
    assert slot is not None
    assert texts(play, number, "leaving")
    assert history.credits[me] == history.terms.stake + claimed(history, slot)
    assert isinstance(history.participants[slot].until, Left)


def start(play: Play, count: int = 3) -> list[Any]:
    """The job runs and its key is published; nobody has trained. Returns [aggregator, trainers …]."""
    judge = play.judge()
    judge.step()
    agents = [play.trainer(number) for number in range(count)]
    for agent in agents:
        agent.step()
    judge.step()
    judge.step()
    assert play.world.chain.market.job(play.job_id).key_published
    return [judge, *agents]


def into_last_part(play: Play) -> None:
    """The last quarter of the submitting phase."""
    market = play.world.chain.market
    skip_to(market.connection, market.job(play.job_id).submit_by - 100)


def broken(monkeypatch: pytest.MonkeyPatch, raised: Callable[[], Exception], times: int = 10**9) -> list[int]:
    """Training raises this many times; the rounds in which it was tried."""
    honest, tried = training.train_round, list[int]()

    def train(*args: Any, round: int, **kwargs: Any) -> Any:
        tried.append(round)
        if len(tried) <= times:
            raise raised()
        return honest(*args, round=round, **kwargs)

    monkeypatch.setattr(training, "train_round", train)
    return tried


# ---------------------------------------------------------------- base models


def huge_base(world: World, job: JobFile) -> Base:
    module = build(job.model)
    load_flat(module, np.full(len(flatten(module)), 1e30, dtype=np.float32))
    path = world.folder / "base.safetensors"
    path.write_bytes(to_safetensors(module))
    return Base(path)


def test_a_base_model_of_1e30_creates_no_job(world: World) -> None:
    aggregator = world.node("aggregator")
    job = job_file(aggregator)
    base = huge_base(world, job)
    with pytest.raises(InputError, match="base model has the parameter 1e"):
        create_job(world.node("owner"), job, None, base)
    assert world.chain.market.job_count() == 0


def test_a_job_written_past_merits_client_is_refused_by_aggregator_and_trainers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner's own node would not create it, so that node's checks are taken out."""
    for bound in ("marketplace.services.owner.check_new_job", "trainer.models.vectors.check_weights"):
        monkeypatch.setattr(bound, lambda *args: None)
    aggregator, owner = world.node("victim"), world.node("bad owner")
    job = job_file(aggregator, rule="krum-cosine")
    created = create_job(owner, job, None, huge_base(world, job))
    data = world.folder / "data.npz"
    write_npz(data, blobs(60, 1))
    bad = Play(world, world.node("o"), aggregator, [world.node("t")], created.job_id, [data], [None])
    with pytest.raises(CorruptContent):
        bad.judge()
    with pytest.raises(CorruptContent):
        bad.trainer(0)
    assert world.chain.market.job(created.job_id).active == 0
    # What is in the terms, the contract bounds.
    beyond = job.model_copy(update={"update": UpdateConfig.model_construct(scale=2.0**60, clip=None)})
    with pytest.raises(Reverted, match="scaleExponent is out of its bounds"):
        create_job(owner, beyond, None)


@pytest.mark.parametrize("slash", [2000, 10000])
def test_where_every_training_diverges_all_leave_with_their_stakes(
    world: World, monkeypatch: pytest.MonkeyPatch, slash: int
) -> None:
    play = new_play(world, validation=False, rounds=6, slash_bps=slash, stake="1 ether", max_missed=3)
    agents = start(play)
    broken(monkeypatch, lambda: ValueError("training diverged in round 1, epoch 1: the loss is nan"))
    play.finish(agents)
    assert_no_stake_was_lost(play)
    assert play.history().credits[play.owner.me.address] == play.history().terms.escrow
    for number in range(3):
        assert "diverged" in texts(play, number, "diverged")[0]
        assert "Misses round 1: pay is lost by it, no stake is. 1 of 3" in texts(play, number, "missed")[0]
        assert "with its stake" in texts(play, number, "leaving")[0]


def test_data_on_which_training_diverges_join_no_job(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketplace.services.joining.measure_round", lambda *_, **__: Measured(0.1, "the loss is nan"))
    play = new_play(world)
    with pytest.raises(InputError, match="nothing to submit: the loss is nan"):
        play.trainer(0).step()
    assert world.chain.market.job(play.job_id).active == 0
    plan = Plan(play.trainers[0].me.address, (torch.device("cpu"),), anyway=True)
    agent = TrainerAgent(play.trainers[0], play.job_id, data_loader(str(play.data[0])), plan, world.report("anyway"))
    assert agent.step() is Step.WORKED


# ---------------------------------------------------------------- training


def test_an_update_that_rounds_to_zero_is_no_submission(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    play = new_play(world, validation=False, max_missed=1)
    agents = start(play)
    monkeypatch.setattr(training, "to_integers", lambda delta, *_: np.zeros(len(delta), np.int16))
    assert agents[1].step() is Step.WORKED
    assert "rounded to steps" in texts(play, 0, "trouble")[0]
    assert_left_with_its_stake(play, 0)


def test_training_that_fails_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    play = new_play(world, validation=False, max_missed=1)
    agents = start(play)
    broken(monkeypatch, lambda: torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20 GiB"), times=2)
    assert agents[1].step() is Step.WAITING
    assert agents[1].step() is Step.WAITING
    assert agents[1].step() is Step.WORKED
    assert texts(play, 0, "trouble")[0] == "Round 1 cannot be submitted: OutOfMemoryError: CUDA out of memory."
    assert play.finish(agents) is State.COMPLETED
    assert_no_stake_was_lost(play)


@pytest.mark.parametrize(
    "raised", [RuntimeError("CUDA error"), MemoryError(), OSError(errno.EIO, "no device"), KeyError(1)]
)
def test_training_that_fails_whatever_it_raises_ends_in_leaving(
    world: World, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    play = new_play(world, validation=False, max_missed=1)
    agents = start(play)
    tried = broken(monkeypatch, lambda: raised)
    while not texts(play, 0, "leaving"):
        agents[1].step()
    assert len(tried) == training.ATTEMPTS
    assert_left_with_its_stake(play, 0)


def test_training_that_takes_longer_than_the_phase_is_stopped_and_the_job_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = new_play(world, validation=False, max_missed=1)
    agents = start(play)
    moments = iter(float(10_000 * k) for k in range(100))
    monkeypatch.setattr(training, "monotonic", lambda: next(moments))
    assert agents[1].step() is Step.WORKED
    assert "Training takes longer than the 3" in texts(play, 0, "trouble")[0]
    assert_left_with_its_stake(play, 0)


def test_a_round_is_missed_where_that_is_free_and_the_next_one_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = new_play(world, validation=False, max_missed=2)
    agents = start(play)
    broken(monkeypatch, lambda: ValueError("training diverged"), times=1)
    assert agents[1].step() is Step.WAITING
    assert play.finish(agents) is State.COMPLETED
    history = play.history()
    assert [sorted(entry.submissions) for entry in history.rounds] == [[1, 2], [0, 1, 2]]
    assert_no_stake_was_lost(play)


# ---------------------------------------------------------------- storage and disk


@pytest.mark.parametrize("where", ["put", "get"])
def test_a_trainer_whose_storage_is_gone_waits_and_leaves_in_time(
    world: World, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    play = new_play(world, validation=False, max_missed=1)
    agents = start(play)

    def down(*_: Any, **__: Any) -> Any:
        raise StorageError("The storage cannot be reached.")

    monkeypatch.setattr(type(world.storage), where, down)
    assert agents[1].step() is Step.WAITING
    assert any("The storage cannot be reached" in n.text for _, n in world.notices)
    into_last_part(play)
    agents[1].step()
    assert_left_with_its_stake(play, 0)


def test_a_full_disk_passes_or_the_job_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    play = new_play(world, validation=False, max_missed=1)
    agents = start(play)

    def full(*_: Any, **__: Any) -> None:
        raise InputError("A file cannot be written: No space left on device.") from OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(training, "write_atomically", full)
    assert [agents[1].step(), agents[2].step()] == [Step.WAITING, Step.WAITING]
    monkeypatch.undo()
    assert agents[2].step() is Step.WORKED
    monkeypatch.setattr(training, "write_atomically", full)
    into_last_part(play)
    assert agents[1].step() is Step.WORKED
    assert "No space left" in texts(play, 0, "trouble")[0]
    assert_left_with_its_stake(play, 0)


# ---------------------------------------------------------------- a process that is started again


def test_a_trainer_that_is_started_again_without_its_data_says_so_and_leaves_in_time(world: World) -> None:
    play = new_play(world, validation=False, max_missed=1)
    agents = start(play)
    content = play.data[0].read_bytes()
    play.data[0].unlink()
    again = play.trainer(0)
    assert again.step() is Step.WAITING
    assert "is not there" in texts(play, 0, "trouble")[0]
    assert "then this trainer leaves the job, with its stake" in texts(play, 0, "trouble")[1]
    play.data[0].write_bytes(content)
    assert again.step() is Step.WORKED, "it is put right"
    play.data[1].unlink()
    other = play.trainer(1)
    into_last_part(play)
    assert other.step() is Step.WORKED
    assert texts(play, 1, "leaving")
    play.finish([agents[0], again, other, agents[3]])
    assert_no_stake_was_lost(play)


def test_who_has_no_seat_is_refused_at_once(play: Play) -> None:
    play.data[0].unlink()
    with pytest.raises(InputError, match="is not there"):
        play.trainer(0)


@pytest.mark.parametrize("error", [RuntimeError("a defect"), InputError("a wrong option"), ChainError("no chain.")])
def test_a_process_that_ends_with_an_error_leaves_before(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    play = new_play(world, validation=False, max_missed=1)
    agents = start(play)

    def fails() -> Step:
        raise error

    monkeypatch.setattr(agents[1], "step", fails)
    notices: list[Notice] = []
    with pytest.raises(type(error)):
        run(agents[1], report=notices.append, poll=0.001, patience=0.01, stop=threading.Event())
    assert "because this process ends" in texts(play, 0, "leaving")[0]
    assert_left_with_its_stake(play, 0)


def test_a_process_that_ends_after_it_has_submitted_says_when_it_can_leave(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = new_play(world, validation=False)
    agents = start(play)
    assert agents[1].step() is Step.WORKED
    agents[1].retire(RuntimeError("a defect"))
    assert "start it again before round 2 ends" in texts(play, 0, "trouble")[0]


def test_a_process_that_cannot_even_leave_raises_its_own_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    play = new_play(world, validation=False)
    agents = start(play)

    def down(*_: Any) -> Any:
        raise ChainError("no chain.")

    monkeypatch.setattr(agents[1]._feed, "look", down)
    notices: list[Notice] = []
    with pytest.raises(ChainError, match="no chain"):
        run(agents[1], report=notices.append, poll=0.001, patience=0.01, stop=threading.Event())
    assert "could not leave its job" in notices[-1].text


def test_who_is_told_to_stop_keeps_its_seat(world: World) -> None:
    play = new_play(world, validation=False)
    agents = start(play)
    stop = threading.Event()

    class Stopping:
        retire = agents[1].retire

        def step(self) -> Step:
            stop.set()
            raise ChainError("no chain.")

    with pytest.raises(ChainError):
        run(Stopping(), report=lambda _: None, poll=0.001, patience=60, stop=stop)
    assert world.chain.market.job(play.job_id).active.bit_count() == 3


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize("max_missed", [1, 2])
def test_a_job_key_that_may_come_too_late_is_not_waited_for_where_that_would_cost_stake(
    world: World, max_missed: int
) -> None:
    """An aggregator could publish it in the last second, in which nobody can train any more."""
    play = new_play(world, validation=False, max_missed=max_missed)
    judge = play.judge()
    judge.step()
    agents = [play.trainer(number) for number in range(3)]
    for agent in agents:
        agent.step()
    judge.step()
    market = world.chain.market
    assert market.job(play.job_id).state is State.RUNNING
    assert [agent.step() for agent in agents] == [Step.WAITING] * 3
    into_last_part(play)
    for agent in agents:
        agent.step()
    if max_missed == 1:
        assert_left_with_its_stake(play, 0)
        assert "job key" in texts(play, 0, "trouble")[0]
        return
    assert market.job(play.job_id).active.bit_count() == 3
    judge.step()
    assert play.finish([judge, *agents]) is State.COMPLETED
    assert_no_stake_was_lost(play)


def with_key(identity: Identity, key: bytes) -> Any:
    """The identity, publishing this encryption key."""

    class Other(Identity):
        encryption_key = key

    return Other(identity.account.key)


def test_a_job_whose_owners_key_is_unusable_is_not_joined(world: World) -> None:
    play = new_play(world, validation=False)
    market = world.chain.market
    owner = play.owner
    terms = replace(market.terms(play.job_id), enrol_by=market.connection.now() + 3600)
    spec = play.history().created.spec_cid
    job_id, _ = market.create_job(owner.me.account, terms, LOW_ORDER, spec)
    bad = replace(play, job_id=job_id)
    with pytest.raises(InputError, match="sealed to the owner's encryption key"):
        bad.trainer(0).step()
    assert market.job(job_id).active == 0


@pytest.mark.parametrize("first", ["aggregator", "trainer"])
def test_an_aggregator_whose_key_is_unusable_gets_no_trainer(world: World, first: str) -> None:
    """It accepts before the trainer joins, or after; then the trainer leaves again."""
    play = new_play(world, validation=False)
    market, account = world.chain.market, play.aggregator.me.account
    accept = lambda: market.accept_aggregation(account, play.job_id, account.address, LOW_ORDER)  # noqa: E731
    agent = play.trainer(0)
    if first == "aggregator":
        accept()
        with pytest.raises(InputError, match="sealed to the aggregator's encryption key"):
            agent.step()
    else:
        assert agent.step() is Step.WORKED
        accept()
        assert agent.step() is Step.WORKED
        assert "Left job" in texts(play, 0, "leaving")[0]
    assert market.job(play.job_id).active == 0


def test_an_aggregator_that_takes_over_with_an_unusable_key_costs_nobody_a_stake(world: World) -> None:
    play = new_play(world, validation=False, takeover_window="1 h")
    agents = start(play)
    for agent in agents[1:]:
        agent.step()
    play.pass_deadline()
    play.pass_deadline()
    thief = world.node("thief")
    world.chain.market.take_over(thief.me.account, play.job_id, thief.me.address, LOW_ORDER)
    for number, agent in enumerate(agents[1:]):
        assert agent.step() is Step.WAITING
        assert "nothing can be sealed to the aggregator's encryption key" in texts(play, number, "trouble")[-1]
    assert play.finish(agents[1:]) is State.ABORTED
    assert_no_stake_was_lost(play)


def test_a_named_aggregator_with_an_unusable_key_creates_no_job(world: World) -> None:
    job = job_file(world.node("aggregator"))
    named = job.market.aggregator
    assert named is not None
    named = named.model_copy(update={"encryption_key": "0x" + LOW_ORDER.hex()})
    job = job.model_copy(update={"market": job.market.model_copy(update={"aggregator": named})})
    with pytest.raises(InputError, match=r"Nothing can be sealed to market\.aggregator\.encryption_key"):
        create_job(world.node("owner"), job, None)
    assert world.chain.market.job_count() == 0


def test_a_trainer_with_an_unusable_key_keeps_nobody_from_working(world: World) -> None:
    play = new_play(world, validation=False, rounds=1)
    market, bad = world.chain.market, play.trainers[2]
    judge = play.judge()
    judge.step()
    market.join(bad.me.account, play.job_id, bad.me.address, LOW_ORDER)
    agents = [judge, play.trainer(0), play.trainer(1)]
    assert play.finish(agents) is State.COMPLETED
    assert [sorted(entry.submissions) for entry in play.history().rounds] == [[1, 2]]


# ---------------------------------------------------------------- time


def test_a_job_whose_rounds_are_too_short_is_not_joined_unless_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketplace.services.joining.measure_round", lambda *_, **__: Measured(3700.0, ""))
    play = new_play(world)
    with pytest.raises(InputError, match=r"a round takes about 3700\.0 s of training") as refused:
        play.trainer(0).step()
    assert "--anyway" in str(refused.value)
    assert world.chain.market.job(play.job_id).active == 0


def test_a_job_whose_phases_are_shorter_than_a_public_chain_mines_in_is_not_joined(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "LOCAL_CHAINS", ())
    play = new_play(world, validation=False, submit_window=20)
    trainer = play.trainer(0)
    with pytest.raises(InputError, match="phase lasts 20 s, in which a transaction of this chain may not be mined"):
        trainer.step()
    assert world.chain.market.job(play.job_id).active == 0


def test_a_job_that_leaves_little_time_is_joined_with_a_warning(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketplace.services.joining.measure_round", lambda *_, **__: Measured(2000.0, ""))
    play = new_play(world)
    assert play.trainer(0).step() is Step.WORKED
    assert "There is little time: a round takes about 2000.0 s" in texts(play, 0, "warning")[0]


def test_a_job_that_leaves_time_is_joined_without_a_warning(play: Play) -> None:
    assert play.trainer(0).step() is Step.WORKED
    assert not texts(play, 0, "warning")
    assert "of training" in texts(play, 0, "measured")[0]


# ---------------------------------------------------------------- a model that diverges in the running job


def test_where_the_validation_loss_diverges_rounds_are_settled_and_the_audit_agrees(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of zeros are proved, settled and found again by auditors; nobody is selected, all have the same pay."""
    play = new_play(world, rounds=2)
    agents = start(play)
    honest = Validation.gradient
    monkeypatch.setattr(Validation, "gradient", lambda self, at: honest(self, at) * np.float32(np.nan))
    assert play.finish(agents) is State.COMPLETED
    history = play.history()
    assert sorted(history.settled) == [1, 2]
    assert [(event.settlement.selected, event.settlement.struck) for event in history.settled.values()] == [(0, 0)] * 2
    reveal_validation(play.owner, play.job_id)
    report = audit_job(world.watcher("auditor"), play.job_id, job_key=job_key(play.owner, history))
    assert report.ok, report.findings
    assert any(check.name == "reference rows" and check.ok for check in report.checks)
    for node in play.trainers:
        assert history.credits[node.me.address] == history.terms.stake + 2 * history.terms.reward // 3
    assert texts(play, 0, "warning") == [], "who sends an update has no strike for what the data do not say"


def test_a_last_strike_is_announced_before_it_is_risked(world: World) -> None:
    play = new_play(world, rounds=3, max_strikes=2, tampers={0: lambda round, update: np.zeros_like(update)})
    agents = start(play)
    market = world.chain.market
    for _ in range(40):
        for agent in agents:
            agent.step()
        if market.job(play.job_id).round == 2 and texts(play, 0, "warning"):
            break
    assert "Struck 1 times" in texts(play, 0, "warning")[0]
    assert texts(play, 1, "warning") == []
