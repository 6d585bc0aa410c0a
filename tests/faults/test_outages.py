"""Machines and services that fail for a while: a full disk, a storage that loses what it had."""

import errno
from typing import Any

import pytest

from marketplace.domain import State
from marketplace.errors import ChainError, CorruptContent, InputError, StorageError
from marketplace.services import node as nodes
from marketplace.services.agent import passing
from marketplace.services.audit import audit_job
from tests.jobs import World, new_play

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]


def failed_with(number: int) -> InputError:
    error = InputError("A file cannot be written.")
    error.__cause__ = OSError(number, "no")
    return error


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ChainError("no answer"), True),
        (StorageError("no answer"), True),
        (CorruptContent("other bytes"), False),
        (InputError("a wrong option"), False),
        (failed_with(errno.ENOSPC), True),
        (failed_with(errno.EFBIG), True),
        (failed_with(errno.EACCES), False),
    ],
)
def test_what_may_pass_by_itself_is_borne(error: Exception, passes: bool) -> None:
    assert passing(error) is passes


def test_a_disk_without_room_for_a_download_is_an_outage_of_storage(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = new_play(world)
    agents = play.agents()

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as during:
        during.setattr(nodes, "TemporaryFile", full)
        for _ in range(20):
            for agent in agents:
                agent.step()
        assert "missing" in world.kinds("aggregator"), "no crash: what cannot be opened is waited for"
    assert play.finish(agents) is State.COMPLETED
    assert not any(e.settlement.unopened for e in play.history().settled.values())


def test_an_aggregator_puts_a_sum_again_that_storage_has_spoiled(world: World) -> None:
    play = new_play(world)
    agents, market = play.agents(), world.chain.market
    for _ in range(100):
        for agent in agents:
            agent.step()
        if market.job(play.job_id).round == 2 and market.job(play.job_id).submitted.bit_count() == 3:
            break
        if market.job(play.job_id).round == 2:
            agents[0] = play.judge()  # started again: it has to follow the models from storage
            for cache in play.aggregator.work(play.job_id).glob("model-*"):
                cache.unlink()
            agents[1:] = [one for one in agents[1:] if one.step()]
    cid = play.history().settled[1].settlement.sum_cid
    path = world.folder / "storage" / cid[-3:-1] / cid
    path.write_bytes(path.read_bytes()[:-1])
    agents[0] = play.judge()
    for cache in play.aggregator.work(play.job_id).glob("model-*"):
        cache.unlink()
    assert play.finish(agents) is State.COMPLETED
    assert audit_job(world.watcher("auditor"), play.job_id).ok
