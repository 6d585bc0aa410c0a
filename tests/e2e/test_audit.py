"""Attacks on what an audit reads: a lying RPC, damaged storage, a settlement that is not what it should be."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from marketplace.chain.events import EventReader
from marketplace.domain import Credited, Event, Reason, RoundSettled, UpdateSubmitted
from marketplace.services.aggregator import AggregatorAgent, Judgement
from marketplace.services.audit import AuditReport, audit_job
from marketplace.services.node import JobFeed, Node, job_key
from marketplace.services.owner import Watcher, reveal_validation
from marketplace.storage import put_bytes
from tests.jobs import Play, World, new_play

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]


@pytest.fixture
def done(world: World) -> Play:
    play = new_play(world)
    play.finish()
    return play


class LyingEvents(EventReader):
    """An event log that somebody on the way has changed."""

    def __init__(self, honest: EventReader, lie: Callable[[list[Event]], list[Event]]) -> None:
        self._honest = honest
        self._lie = lie

    def read(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        events, following = self._honest.read(*args, **kwargs)
        return self._lie(events), following


def audit_with(play: Play, lie: Callable[[list[Event]], list[Event]]) -> AuditReport:
    node = play.world.watcher("auditor")
    lying = Node(node.market, LyingEvents(node.events, lie), node.storage, node.home)
    return audit_job(lying, play.job_id)


def wrong(report: AuditReport) -> set[str]:
    return {check.name for check in report.checks if check.ok is False}


def blob(play: Play, cid: str) -> Path:
    (found,) = (path for path in (play.world.folder / "storage").rglob("*") if path.is_file() and cid in str(path))
    return found


def settled(play: Play, round: int = 1) -> RoundSettled:
    return JobFeed(play.owner, play.job_id).refresh().settled[round]


# ---------------------------------------------------------------- the event log


def test_a_pay_changed_by_one_wei_is_named(done: Play) -> None:
    def lie(events: list[Event]) -> list[Event]:
        index = next(i for i, event in enumerate(events) if isinstance(event, Credited) and event.reason is Reason.PAY)
        return [*events[:index], replace(events[index], amount=events[index].amount + 1), *events[index + 1 :]]

    report = audit_with(done, lie)
    assert not report.ok
    assert {"events", "credits"} <= wrong(report)


def test_a_dropped_submission_is_named(done: Play) -> None:
    def lie(events: list[Event]) -> list[Event]:
        victim = next(event for event in events if isinstance(event, UpdateSubmitted))
        return [event for event in events if event is not victim]

    report = audit_with(done, lie)
    assert "events" in wrong(report)


def test_a_changed_weight_is_named(done: Play) -> None:
    def lie(events: list[Event]) -> list[Event]:
        result = []
        for event in events:
            if isinstance(event, RoundSettled) and event.round == 1:
                weights = (event.settlement.weights[0] * 2 + 1, *event.settlement.weights[1:])
                event = replace(event, settlement=replace(event.settlement, weights=weights))  # noqa: PLW2901
            result.append(event)
        return result

    report = audit_with(done, lie)
    assert "events" in wrong(report)
    assert any("round 1" in finding for finding in report.findings), report.findings


def test_an_invented_credit_is_named(done: Play) -> None:
    def lie(events: list[Event]) -> list[Event]:
        last = next(event for event in reversed(events) if isinstance(event, Credited))
        return [*events, replace(last, log_index=last.log_index + 100, amount=5)]

    assert not audit_with(done, lie).ok


# ---------------------------------------------------------------- storage


@pytest.mark.parametrize("what", ["update", "sum", "reference rows", "job key"])
def test_a_lost_file_is_named(done: Play, what: str) -> None:
    history = JobFeed(done.owner, done.job_id).refresh()
    cid = {
        "update": history.rounds[0].submissions[0].cid,
        "sum": history.settled[1].settlement.sum_cid,
        "reference rows": history.settled[1].settlement.reference_cid,
        "job key": history.key_published.cid,
    }[what]
    blob(done, cid).unlink()
    report = audit_job(done.world.watcher("auditor"), done.job_id)
    assert wrong(report) == {"content"}
    assert any(what in finding and cid in finding for finding in report.findings)


def test_a_flipped_bit_in_a_sum_is_named(done: Play) -> None:
    path = blob(done, settled(done).settlement.sum_cid)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    report = audit_job(done.world.watcher("auditor"), done.job_id)
    assert wrong(report) == {"content"}
    assert any("the sum of round 1" in finding for finding in report.findings)


def test_a_lost_description_is_named(done: Play) -> None:
    blob(done, JobFeed(done.owner, done.job_id).refresh().created.spec_cid).unlink()
    assert wrong(audit_job(done.world.watcher("auditor"), done.job_id)) == {"description"}


# ---------------------------------------------------------------- the settlement


def test_a_sum_that_does_not_open_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = AggregatorAgent._publish

    def garbled(self: AggregatorAgent, *args: object):  # type: ignore[no-untyped-def]
        return replace(honest(self, *args), sum_cid=put_bytes(world.storage, b"not a sum"))  # type: ignore[arg-type]

    play = new_play(world, rounds=1)
    monkeypatch.setattr(AggregatorAgent, "_publish", garbled)
    play.finish()
    key = job_key(play.owner, JobFeed(play.owner, play.job_id).refresh())
    report = audit_job(world.watcher("auditor"), play.job_id, job_key=key)
    assert wrong(report) == {"models"}
    assert any("sum of round 1" in finding for finding in report.findings)


def test_reference_rows_that_do_not_follow_from_the_data_are_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = AggregatorAgent.judge

    def biased(self: AggregatorAgent, *args: object):  # type: ignore[no-untyped-def]
        judgement: Judgement = honest(self, *args)  # type: ignore[arg-type]
        first, second = judgement.reference_rows
        return replace(judgement, reference_rows=(first, np.roll(second, 1)))

    play = new_play(world)
    monkeypatch.setattr(AggregatorAgent, "judge", biased)
    play.finish()
    assert all("second reference row" in check.problem for check in Watcher(play.owner, play.job_id, None).news())
    reveal_validation(play.owner, play.job_id)
    key = job_key(play.owner, JobFeed(play.owner, play.job_id).refresh())
    report = audit_job(world.watcher("auditor"), play.job_id, job_key=key)
    assert wrong(report) == {"reference rows"}


def test_other_validation_data_than_were_committed_to_are_named(done: Play) -> None:
    document = {"validation_cid": put_bytes(done.world.storage, b"\0" * 100), "rows": {}}
    cid = put_bytes(done.world.storage, json.dumps(document).encode())
    done.world.chain.market.reveal_validation(done.owner.me.account, done.job_id, cid)
    assert "validation" in wrong(audit_job(done.world.watcher("auditor"), done.job_id))
