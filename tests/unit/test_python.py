"""`import merit`: what is refused before anything is sent, and that what there is, is documented."""

import inspect
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import merit
from marketplace.keys.keystore import Keystore
from marketplace.services.agent import Notice, Report
from marketplace.services.following import follow
from merit.events import AggregationAccepted, Event, JobCreated
from merit.participation import MOST_KEPT, Participation
from tests.chain_fixtures import AGGREGATOR, KEY, OWNER, Chain, terms
from tests.jobs import World, blobs, job_file, new_play
from tests.patience import PATIENCE

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

DOCS = (Path(__file__).parents[2] / "docs" / "python.md").read_text("utf-8")


@pytest.fixture
def market(world: World, monkeypatch: pytest.MonkeyPatch) -> merit.Market:
    """Connected by the environment, as the owner of a key without coin."""
    Keystore(world.folder / "home" / "keys", scrypt_n=2).create("default", "right")
    monkeypatch.setenv("MERIT_HOME", str(world.folder / "home"))
    monkeypatch.setenv("MERIT_RPC", world.chain.connection.url)
    monkeypatch.setenv("MERIT_MARKET", world.chain.market.address)
    monkeypatch.setenv("MERIT_STORAGE", f"folder:{world.folder / 'storage'}")
    return merit.connect(password="right")


def document(world: World) -> dict[str, Any]:
    made: dict[str, Any] = job_file(world.node("aggregator")).model_dump(mode="json", exclude_none=True)
    return made


def test_every_event_of_the_contract_can_be_named() -> None:
    assert set(merit.events.__all__) == {"Event", *(kind.__name__ for kind in Event.__subclasses__())}


# ---------------------------------------------------------------- connecting


def test_settings_come_from_the_environment_and_reading_needs_no_password(
    market: merit.Market, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = merit.connect()
    assert found.contract == world.chain.market.address
    assert found.jobs() == []
    with pytest.raises(
        merit.InputError, match=r"The key 'default' is locked: give its password, or set MERIT_PASSWORD"
    ):
        _ = found.address
    with pytest.raises(merit.InputError, match="password"):
        _ = merit.connect(password="wrong").address
    assert market.address.startswith("0x")
    assert (market.balance(), market.credit()) == (0, 0)
    with pytest.raises(merit.NotFound, match="There is no job 3"):
        market.job(3)


def test_a_setting_that_is_wrong_is_named() -> None:
    with pytest.raises(merit.InputError, match=r"A setting is wrong: market: 'market\.eth' is not an address"):
        merit.connect(market="market.eth")
    with pytest.raises(merit.ChainError, match=r"127\.0\.0\.1:9 does not answer"):
        merit.connect(rpc="http://127.0.0.1:9")


# ---------------------------------------------------------------- creating


def program() -> merit.Source:
    module = nn.Linear(2, 2)
    return merit.Source(module, nn.CrossEntropyLoss(), {"x": torch.zeros(2, 2)}, torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({"colour": "red"}, {}, r"^The job: colour"),
        ({}, {"program": program()}, "has a `model` and a program is given"),
        ({"model": None}, {"program": merit.Source(nn.Linear(2, 2), nn.CrossEntropyLoss(), {})}, "cannot be exported"),
        ({}, {"validation": merit.Dataset({"z": np.zeros((5, 2), np.float32)}, np.zeros(5))}, "inputs x are expected"),
        ({}, {"validation": "nothing.npz"}, r"nothing\.npz is not there"),
        ({}, {"validation": blobs(20, 1)}, "has too little"),
        ({"model": {"architecture": "program", "parameters": {"file": "own.safetensors"}}}, {}, "names the file own"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_is_sent(
    market: merit.Market, world: World, change: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    described = document(world) | change
    described = {name: value for name, value in described.items() if value is not None}
    with pytest.raises(merit.InputError, match=said):
        market.create(described, **options)
    assert market.jobs() == []


def test_a_program_takes_no_job_file(market: merit.Market, tmp_path: Path) -> None:
    with pytest.raises(merit.InputError, match="A program takes the job as a document"):
        market.create(tmp_path / "job.yaml", program=program())


# ---------------------------------------------------------------- joining and watching


def test_who_cannot_join_is_told_at_once_and_leaves_nothing_running(market: merit.Market, world: World) -> None:
    play = new_play(world)
    before = threading.active_count()
    job = market.job(play.job_id)
    with pytest.raises(merit.InputError, match="has too little; fund it first"):
        job.join(blobs(60, 3), devices="cpu")
    with pytest.raises(merit.InputError, match="'abacus' cannot be used here"):
        job.join(blobs(60, 3), devices="abacus")
    assert threading.active_count() == before
    assert job.summary().trainers == 0
    assert job.waits_for().startswith("0 of 3 seats taken")


Beginning = Callable[[], AbstractContextManager[object]]


def test_a_participation_ends_with_its_work_and_raises_what_that_raised() -> None:
    go = threading.Event()

    def work(report: Report, stop: threading.Event, beginning: Beginning) -> None:
        with beginning():
            report(Notice("hello", "Hello."))
        go.wait(PATIENCE)
        raise merit.JobOver("it is over")

    told: list[Notice] = []
    joined = Participation("trainer", work, told.append)
    assert joined.running
    assert [notice.kind for notice in joined.notices] == [notice.kind for notice in told] == ["hello"]
    with pytest.raises(TimeoutError, match=r"still works after 0 s"):
        joined.wait(0)
    go.set()
    with pytest.raises(merit.JobOver, match="it is over"):
        joined.wait(PATIENCE)
    assert not joined.running


def test_what_keeps_it_from_beginning_is_raised_where_it_was_begun() -> None:
    def work(report: Report, stop: threading.Event, beginning: Beginning) -> None:
        with beginning():
            raise merit.InputError("no data")

    with pytest.raises(merit.InputError, match="no data"):
        Participation("trainer", work, lambda notice: None)


def test_a_report_that_fails_does_not_end_a_trainer(caplog: pytest.LogCaptureFixture) -> None:
    def work(report: Report, stop: threading.Event, beginning: Beginning) -> None:
        report(Notice("hello", "Hello."))
        with beginning():
            report(Notice("joined", "Joined."))

    def broken(notice: Notice) -> None:
        raise BrokenPipeError(notice.text)

    joined = Participation("trainer", work, broken)
    joined.wait(PATIENCE)
    assert [notice.kind for notice in joined.notices] == ["hello", "joined"]
    assert "BrokenPipeError: Joined." in caplog.text


def test_it_stops_when_told_and_keeps_the_last_notices_only() -> None:
    def work(report: Report, stop: threading.Event, beginning: Beginning) -> None:
        for number in range(MOST_KEPT + 5):
            report(Notice("training", str(number)))
        with beginning():
            pass
        stop.wait(PATIENCE)

    joined = Participation("trainer", work, lambda notice: None)
    joined.stop(PATIENCE)
    assert len(joined.notices) == MOST_KEPT
    assert joined.notices[-1].text == str(MOST_KEPT + 4)


def test_what_is_watched_follows_a_chain_that_takes_blocks_back(world: World, chain: Chain) -> None:
    first, _ = chain.market.create_job(OWNER, terms(chain), KEY, "bafyspec")
    snapshot = chain.connection.request("evm_snapshot")
    chain.market.accept_aggregation(AGGREGATOR, first, AGGREGATOR.address, KEY)

    def reorganize() -> None:
        if pauses:
            pytest.fail("everything has been told")
        pauses.append(1)
        chain.connection.request("evm_revert", snapshot)
        chain.connection.request("evm_increaseTime", 5)
        chain.market.accept_aggregation(AGGREGATOR, first, OWNER.address, KEY)
        chain.market.cancel(OWNER, first)

    pauses: list[int] = []
    seen: list[Event] = list(follow(world.watcher("somebody"), first, reorganize))
    accepted = [event for event in seen if isinstance(event, AggregationAccepted)]
    assert [event.payee for event in accepted] == [AGGREGATOR.address, OWNER.address]
    assert len([event for event in seen if isinstance(event, JobCreated)]) == 1


# ---------------------------------------------------------------- models, and what there is


def test_a_model_of_ones_own_is_saved_with_the_program_that_it_needs(world: World) -> None:
    from marketplace.services.programs import job_program
    from trainer.programs.export import export
    from trainer.results import Card

    path = world.folder / "home" / "own.safetensors"
    path.parent.mkdir()
    path.write_bytes(export(program()))
    described = job_file(
        world.node("aggregator"), parts={"model": {"architecture": "program", "parameters": {"file": path.name}}}
    )
    files = {path.name: path}
    card = Card(model=described.model, data=described.data, task=described.judged)
    model = merit.Model(card, job_program(described, files), files)
    model.save(world.folder / "elsewhere" / "model.safetensors")
    same = merit.load_model(world.folder / "elsewhere" / "model.safetensors")
    data = blobs(10, 4)
    assert np.array_equal(same.predict(data).values, model.predict(merit.Dataset(data.inputs, None)).values)
    assert same.evaluate(data) == model.evaluate(data)
    same.save(world.folder / "elsewhere" / "model.safetensors")  # over itself
    (world.folder / "elsewhere" / path.name).unlink()
    with pytest.raises(merit.InputError, match=r"the file own\.safetensors, which the model names, is not there"):
        merit.load_model(world.folder / "elsewhere" / "model.safetensors")
    with pytest.raises(merit.InputError, match="does not exist"):
        merit.load_model(world.folder / "nothing.safetensors")
    with pytest.raises(merit.InputError, match="inputs x are expected"):
        model.predict(merit.Dataset({"y": data.inputs["x"]}, None))


PUBLIC = [merit.Market, merit.LocalMarket, merit.Job, merit.Participation, merit.Model]


def test_all_that_is_public_is_documented_and_typed() -> None:
    assert all(hasattr(merit, name) for name in merit.__all__)
    assert all(inspect.getdoc(getattr(merit, name)) for name in merit.__all__ if name != "COIN")
    for kind in PUBLIC:
        for name, member in vars(kind).items():
            if name.startswith("_"):
                continue
            function = member.fget if isinstance(member, property) else member
            hints = inspect.get_annotations(function)
            assert "return" in hints, (kind, name)
            assert set(inspect.signature(function).parameters) - {"self"} <= set(hints), (kind, name)
            assert f"`{name}" in DOCS or f".{name}" in DOCS, f"docs/python.md does not mention {kind.__name__}.{name}"
    for function in (merit.connect, merit.local, merit.load_model):
        assert f"merit.{function.__name__}(" in DOCS
