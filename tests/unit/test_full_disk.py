"""Where a disk is full: exit codes stay true, agents work on, and what could not be kept is one sentence."""

import errno
import io
import os
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from rich.console import Console

from marketplace.cli.main import main
from marketplace.cli.session import Session
from marketplace.errors import InputError, StorageError
from marketplace.keys.identity import Identity
from marketplace.services.agent import Notice, Step, passing, run
from marketplace.settings import Settings
from marketplace.storage import Caller, fetch_to, open_storage, put_bytes


class Full(io.StringIO):
    def write(self, text: str) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Talker:
    """An agent that says something at each of its three steps."""

    def __init__(self) -> None:
        self.left = 3

    def step(self) -> Step:
        self.left -= 1
        return Step.WORKED if self.left else Step.FINISHED


def session(*, json: bool) -> Session:
    return Session(Settings(), json, Console(file=Full()), Console(file=Full()))


def test_an_error_that_cannot_be_said_is_still_in_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["merit", "--rpc", "nowhere", "audit", "1"])
    monkeypatch.setattr(sys, "stderr", Full())
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == InputError.exit_code


@pytest.mark.parametrize("json", [True, False])
def test_an_agent_works_on_where_its_notices_find_no_room(json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    agent = Talker()
    with session(json=json).narrator() as report:
        report(Notice("said", "Hello."))
        run(agent, report=report, poll=0.001, patience=1, stop=threading.Event())
    assert agent.left == 0


@pytest.mark.parametrize("json", [True, False])
def test_a_result_that_finds_no_room_is_an_error(json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a crash's exit code, 1, would say that an audit failed."""
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(InputError, match="No space left"):
        session(json=json).show({"ok": True}, "audit: OK")


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow beyond ten bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_fetched_onto_a_full_disk_is_fetched_again_later(tmp_path: Path) -> None:
    """As a set-up is, when an agent starts."""
    storage, path = open_storage("memory:", timeout=5), tmp_path / "setup"
    cid = put_bytes(storage, bytes(100))
    with full_disk(), pytest.raises(StorageError, match="setup cannot be kept on disk") as caught:
        fetch_to(storage, cid, path, 100)
    assert passing(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert fetch_to(storage, cid, path, 100) == 100


def test_content_for_another_node_that_finds_no_room_on_its_way_is_sent_later() -> None:
    storage = open_storage(
        "node+http://127.0.0.1:9", timeout=1, caller=Caller(Identity(bytes([1]) * 32).account, 1, "")
    )
    with full_disk(), pytest.raises(StorageError, match="make room") as caught:
        put_bytes(storage, bytes(100_000))
    assert passing(caught.value)
