"""Attacks on what an audit reads: a lying RPC, damaged storage, a settlement that is not what it should be."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.reference import second_row
from marketplace.chain.events import EventReader
from marketplace.chain.verifiers import read_verifiers
from marketplace.domain import Credited, Event, Reason, RoundProof, RoundSettled, UpdateSubmitted
from marketplace.services.audit import AuditReport, audit_job
from marketplace.services.node import JobFeed, Node, job_key
from marketplace.services.owner import Watcher, reveal_validation
from marketplace.services.rounds import proof_context, proof_problem
from marketplace.storage import open_storage, put_bytes
from tests.chain_fixtures import Chain, untouched
from tests.jobs import Play, World, new_play
from zk import files

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]


D = 2 * 4 + 4 + 4 * 2 + 2  # parameters of the small model


@pytest.fixture(scope="module")
def finished(_anvil_chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """A job that is over, played once."""
    with untouched(_anvil_chain) as chain:
        folder = tmp_path_factory.mktemp("finished")
        play = new_play(World(chain, folder, open_storage(f"folder:{folder / 'storage'}", timeout=5)))
        play.finish()
        yield play


@pytest.fixture
def done(finished: Play, tmp_path: Path) -> Iterator[Play]:
    """The finished job on a chain and with storage of the test's own."""
    shutil.copytree(finished.world.folder / "storage", tmp_path / "storage")
    storage = open_storage(f"folder:{tmp_path / 'storage'}", timeout=5)
    with untouched(finished.world.chain) as chain:
        world = World(chain, tmp_path, storage)
        yield replace(finished, world=world, owner=replace(finished.owner, storage=storage))


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
    return play.history().settled[round]


def test_an_audit_says_what_each_seat_is_paid_and_by_what(done: Play) -> None:
    report = audit_job(done.world.watcher("auditor"), done.job_id)
    log = done.world.chain.events(done.job_id)
    credited = {
        event.payee: event.amount for event in log if isinstance(event, Credited) and event.reason is Reason.PAY
    }
    assert report.over
    assert {paid.payee: paid.pay for paid in report.pay.values() if paid.claimed and paid.pay} == credited
    assert report.pot - len(report.pay) < sum(paid.pay for paid in report.pay.values()) <= report.pot
    points = {seat: max(0, paid.balance) * paid.opened for seat, paid in report.pay.items()}
    for seat, paid in report.pay.items():
        assert paid.pay == report.pot * points[seat] // sum(points.values())


# ---------------------------------------------------------------- the event log


def test_a_pay_changed_by_one_wei_is_named(done: Play) -> None:
    def lie(events: list[Event]) -> list[Event]:
        index, pay = next((i, e) for i, e in enumerate(events) if isinstance(e, Credited) and e.reason is Reason.PAY)
        return [*events[:index], replace(pay, amount=pay.amount + 1), *events[index + 1 :]]

    report = audit_with(done, lie)
    assert not report.ok
    assert {"events", "credits"} <= wrong(report)


def test_a_dropped_submission_is_named(done: Play) -> None:
    def lie(events: list[Event]) -> list[Event]:
        victim = next(event for event in events if isinstance(event, UpdateSubmitted))
        return [event for event in events if event is not victim]

    report = audit_with(done, lie)
    assert "events" in wrong(report)


def test_a_changed_score_is_named(done: Play) -> None:
    def lie(events: list[Event]) -> list[Event]:
        result = []
        for event in events:
            if isinstance(event, RoundSettled) and event.round == 1:
                scores = (event.settlement.scores[0] * 2 + 1, *event.settlement.scores[1:])
                event = replace(event, settlement=replace(event.settlement, scores=scores))  # noqa: PLW2901
            result.append(event)
        return result

    report = audit_with(done, lie)
    assert {"events", "state"} <= wrong(report), "pay and balance follow from it"
    assert any("pay of seat" in finding for finding in report.findings), report.findings


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


def test_a_sum_that_does_not_open_its_commitment_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published file is whole and well formed, but not the sum that the contract checked."""
    honest = files.pack_sum
    off = np.eye(1, D, dtype=np.int64)[0]
    monkeypatch.setattr("marketplace.services.settlements.pack_sum", lambda total, *rest: honest(total + off, *rest))
    play = new_play(world, rounds=1)
    play.finish()
    key = job_key(play.owner, play.history())
    report = audit_job(world.watcher("auditor"), play.job_id, job_key=key)
    assert wrong(report) == {"models", "reference rows"}, "which cannot be computed from such a model"
    assert any("sum of round 1" in finding and "does not open" in finding for finding in report.findings)


def test_reference_rows_that_do_not_follow_from_the_data_are_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def biased(*args: Any) -> tuple[Any, int]:
        row, exponent = second_row(*args)
        return np.roll(row, 1), exponent

    _rows_are_named(world, monkeypatch, biased)


def test_a_scale_of_the_second_row_that_is_wrong_by_two_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would pay a round twice as much as it brought."""

    def doubled(*args: Any) -> tuple[Any, int]:
        row, exponent = second_row(*args)
        return row, exponent + 1

    _rows_are_named(world, monkeypatch, doubled)


def _rows_are_named(world: World, monkeypatch: pytest.MonkeyPatch, lie: Callable[..., tuple[Any, int]]) -> None:
    play = new_play(world)
    monkeypatch.setattr("marketplace.services.judgement.second_row", lie)
    play.finish()
    assert all("second reference row" in check.problem for check in Watcher(play.owner, play.job_id, None).news())
    reveal_validation(play.owner, play.job_id)
    key = job_key(play.owner, play.history())
    report = audit_job(world.watcher("auditor"), play.job_id, job_key=key)
    assert wrong(report) == {"reference rows"}


def test_other_validation_data_than_were_committed_to_are_named(done: Play) -> None:
    document = {"validation_cid": put_bytes(done.world.storage, b"\0" * 100), "rows": {}}
    cid = put_bytes(done.world.storage, json.dumps(document).encode())
    done.world.chain.market.reveal_validation(done.owner.me.account, done.job_id, cid)
    assert "validation" in wrong(audit_job(done.world.watcher("auditor"), done.job_id))


# ---------------------------------------------------------------- the proofs, had a contract let them through


def problem(play: Play, event: RoundSettled, proof: RoundProof, **changes: Any) -> str:
    node = play.world.watcher("auditor")
    history = JobFeed(node, play.job_id).refresh()
    where: dict[str, Any] = {
        "chain_id": node.market.connection.chain_id,
        "market": node.market.address,
        "job_id": play.job_id,
        "round": event.round,
        "terms_hash": node.market.job(play.job_id).terms_hash,
    }
    return proof_problem(
        event,
        proof,
        terms=history.terms,
        submissions=history.rounds[event.round - 1].submissions,
        operators={slot: who.operator for slot, who in history.participants.items()},
        verifiers=read_verifiers(node.market.connection, history.terms),
        context=proof_context(**where | changes),
    )


def test_every_change_to_a_settlement_or_its_proof_is_named(done: Play) -> None:
    event = settled(done)
    proof = done.world.chain.market.round_proof(event)
    said = event.settlement
    assert problem(done, event, proof) == ""
    changed = {
        "scores": replace(said, scores=(said.scores[0] + 1, *said.scores[1:])),
        "a score's sign": replace(said, scores=(-said.scores[0], *said.scores[1:])),
        "struck": replace(said, struck=said.struck ^ 1),
        "coefficients": replace(said, coefficients=(said.coefficients[0] ^ 1, *said.coefficients[1:])),
        "selected": replace(
            said, selected=said.selected & ~1, scores=said.scores[1:], coefficients=said.coefficients[1:]
        ),
        "unopened": replace(said, unopened=1),
        "sum": replace(said, sum_commitment=bytes(32)),
        "reference": replace(said, reference_commitment=bytes(32)),
    }
    for name, settlement in changed.items():
        assert problem(done, replace(event, settlement=settlement), proof), name
    for field in fields(RoundProof):
        value = getattr(proof, field.name)
        for wrong_value in (value + 1,) if isinstance(value, int) else ((*value[:-1], value[-1] ^ 1), value[:-1], ()):
            assert problem(done, event, replace(proof, **{field.name: wrong_value})), field.name


@pytest.mark.parametrize(
    "elsewhere",
    [{"chain_id": 1}, {"market": "0x" + "11" * 20}, {"job_id": 9}, {"round": 2}, {"terms_hash": bytes(32)}],
    ids=lambda change: next(iter(change)),
)
def test_a_proof_made_for_elsewhere_is_named(done: Play, elsewhere: dict[str, Any]) -> None:
    event = settled(done)
    assert (
        problem(done, event, done.world.chain.market.round_proof(event), **elsewhere) == "the Gram proof does not hold"
    )


WITHOUT_CORE = """
import sys
sys.modules["zk._core"] = None  # as if it were not installed
from marketplace.cli.main import main
main()
"""


def test_proofs_are_checked_where_the_compiled_core_is_not_installed(done: Play) -> None:
    market = done.world.chain.market
    environment = os.environ | {
        "MERIT_RPC": market.connection.url,
        "MERIT_MARKET": market.address,
        "MERIT_STORAGE": f"folder:{done.world.folder / 'storage'}",
        "MERIT_HOME": str(done.world.folder / "auditor"),
    }
    command = [sys.executable, "-c", WITHOUT_CORE, "--json", "audit", str(done.job_id)]
    finished = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr.decode()
    report = json.loads(finished.stdout)
    assert report["proofs"] == 4
    (set_up,) = (check for check in report["checks"] if check["name"] == "set-up")
    assert set_up["ok"] is None
