"""A machine that loses its power: every process of a local market dies at once, and is started again."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from marketplace.chain import anvil as anvils
from marketplace.chain.anvil import Anvil
from marketplace.chain.connection import Connection
from marketplace.chain.deploy import Deployment, deploy, is_lost
from marketplace.cli.forked import Forked
from marketplace.cli.session import Session
from marketplace.errors import ChainError, InputError
from marketplace.settings import Settings
from tests.chain_fixtures import PEOPLE
from tests.jobs import share_setups
from tests.unit.test_api_up import Up, job_file_for, merit
from tests.unit.test_secrets import family, needs_proc

START = 120.0  # seconds for a process to start on a busy machine


def lose_power(process: Forked) -> None:
    """SIGKILL for a process and all that it has started, with no moment for any to see another's end."""
    members = family(process.pid)
    assert len(members) >= 3, "itself, the chain's guard, the chain"
    for stop in (signal.SIGSTOP, signal.SIGKILL):
        for member in members:
            with suppress(ProcessLookupError):  # a helper that had done its work
                os.kill(member, stop)
    process.wait(START)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + START
    while not holds():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.05)


@contextmanager
def running(folder: Path, *command: str) -> Iterator[tuple[Forked, dict[str, Any], Path]]:
    """A command that says one line when it is there; killed at the end."""
    process, log = merit(folder, *command)
    try:
        line = process.stdout.readline()
        assert line, log.read_text()
        yield process, json.loads(line), log
    finally:
        if process.poll() is None:  # else its number may be another's by now
            for member in family(process.pid):
                os.kill(member, signal.SIGKILL)
        process.wait()


def height(state: Path) -> int:
    """Of a state file, -1 for none."""
    return int(str(json.loads(state.read_bytes())["best_block_number"]), 0) if state.exists() else -1


UP = ("up", "--port", "0", "--chain-port", "0")


@needs_proc
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_market_on_this_machine_and_its_job_are_there_again(tmp_path: Path) -> None:
    home = tmp_path / "home" / "local"
    share_setups(home)
    with running(tmp_path, *UP) as (process, facts, log):
        up = Up(process, facts, log)
        job = job_file_for(up.get("/api/node")["aggregator"], min_trainers=1, max_trainers=1, max_faulty=0)
        made = up.post("/api/jobs", {"document": job})
        head = Connection(facts["rpc"]).head()
        until(lambda: height(home / "chain.json") >= head)
        lose_power(process)
    with running(tmp_path, *UP) as (process, again, log):
        up = Up(process, again, log)
        assert again["market"] == facts["market"]
        shown = up.until(f"/api/jobs/{made['job_id']}", lambda shown: shown["summary"]["aggregator"])
        assert shown["summary"]["state"] == "open"
        assert "lost" not in log.read_text()
        lose_power(process)


@needs_proc
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_market_on_this_machine_says_that_its_chain_was_lost_and_keeps_what_it_noted_apart(tmp_path: Path) -> None:
    home = tmp_path / "home" / "local"
    with running(tmp_path, *UP) as (process, facts, _):
        lose_power(process)
    (home / "chain.json").unlink(missing_ok=True)
    (home / "sample-1").mkdir(exist_ok=True)
    record = home / "sample-1" / "of the old chain.json"
    record.touch()
    with running(tmp_path, *UP) as (process, fresh, log):
        said = " ".join(log.read_text().split())
        assert f"state of the local chain was lost: the market {facts['market']}, its jobs" in said
        (aside,) = (home / "lost").iterdir()
        assert {path.name for path in aside.iterdir()} >= {"index", "markets.json"}
        assert (aside / "sample-1" / record.name).exists(), "a sample trainer does not go on in another chain's jobs"
        assert aside.name in said
        assert Connection(fresh["rpc"]).code(fresh["market"])
        lose_power(process)


@needs_proc
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_command_says_that_a_chain_was_lost(tmp_path: Path) -> None:
    state, home = tmp_path / "chain.json", tmp_path / "home"

    def session(facts: dict[str, Any]) -> Session:
        return Session(Settings(home=home, rpc=facts["rpc"]), True, Console(), Console())

    def put(facts: dict[str, Any]) -> Deployment:
        connection = Connection(facts["rpc"])
        made = deploy(connection, PEOPLE[0])
        session(facts).address_book().put(connection.chain_id, made)
        return made

    command = ("chain", "--port", "0", "--state", str(state))
    with running(tmp_path, *command) as (process, facts, _):
        made = put(facts)
        until(lambda: height(state) >= made.block)
        lose_power(process)
    with running(tmp_path, *command) as (process, facts, _):
        assert session(facts).market().address == made.market
        lose_power(process)
    state.unlink()
    with running(tmp_path, *command) as (_, facts, _):
        # A market at the same address does not make it the same chain.
        assert deploy(Connection(facts["rpc"]), PEOPLE[0]).market == made.market
        with pytest.raises(ChainError, match="that chain's state was lost, or a new chain was started in its place"):
            session(facts).market()
        put(facts)
        session(facts).market()


# ---------------------------------------------------------------- the state's file


def kept(state: Path, blocks: int) -> str:
    """Runs a chain that mines, until all is kept, and kills it; the last block's hash."""
    with Anvil(state=state) as chain:
        connection = Connection(chain.url)
        for _ in range(blocks):
            connection.request("evm_mine")
        head, latest = connection.head(), connection.latest().hash
        until(lambda: height(state) >= head)
        for member in family(chain._process.pid):
            os.kill(member, signal.SIGKILL)
    return latest


def goes_on(state: Path) -> str:
    with Anvil(state=state) as chain:
        return Connection(chain.url).latest().hash


@needs_proc
def test_a_chain_goes_on_from_its_last_block_after_it_was_killed(tmp_path: Path) -> None:
    state = tmp_path / "chain.json"
    latest = kept(state, 3)
    assert goes_on(state) == latest
    assert goes_on(state) == latest


@needs_proc
@pytest.mark.parametrize("half", [b"", b'{"block": {"num', b"[]", b"null", b"\xff"])
def test_what_a_kill_cut_short_does_not_replace_what_was_kept(tmp_path: Path, half: bytes) -> None:
    state = tmp_path / "chain.json"
    latest = kept(state, 2)
    anvils._at_exit(state).write_bytes(half)
    assert goes_on(state) == latest


def test_what_a_chain_writes_at_its_end_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where only the process that started it was killed: the guard lets the chain write."""
    monkeypatch.setattr(anvils, "KEPT_EVERY", 3600.0)
    state = tmp_path / "chain.json"
    with Anvil(state=state) as chain:
        connection = Connection(chain.url)
        connection.request("evm_mine")
        latest = connection.latest().hash
    assert goes_on(state) == latest
    assert not anvils._at_exit(state).exists()


def test_a_state_that_is_damaged_is_said_and_left_as_it_is(tmp_path: Path) -> None:
    state = tmp_path / "chain.json"
    state.write_bytes(b'{"block"')
    with pytest.raises(InputError, match="is not a chain's whole state: move it away"), Anvil(state=state):
        pytest.fail("it started")
    assert state.read_bytes() == b'{"block"'


def test_a_chain_is_told_from_another_with_its_id_and_from_itself_before_the_market(tmp_path: Path) -> None:
    another = Anvil()
    another._command += ["--timestamp", "1700000000"]  # of one second, the first block would be the same
    with Anvil() as one, another as other:
        first, second = Connection(one.url), Connection(other.url)
        snapshot = first.request("evm_snapshot")
        market = deploy(first, PEOPLE[0])
        assert deploy(second, PEOPLE[0]).market == market.market
        assert not is_lost(first, market)
        assert is_lost(second, market)
        old = Deployment(market=market.market, block=market.block, transaction=market.transaction)
        assert not is_lost(second, old), "an address book from before chains were told apart"
        first.request("evm_revert", snapshot)
        assert is_lost(first, market)
