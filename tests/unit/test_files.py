"""Files on the own disk: bounded reads, whole writes, one process a folder."""

import errno
import multiprocessing
import os
import tempfile
from pathlib import Path

import pytest

from marketplace.errors import InputError
from marketplace.files import exclusive, read_within, write_atomically
from marketplace.services.agent import passing
from tests.patience import PATIENCE


def test_a_file_over_its_bound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_within(tmp_path / "file", 5) == b"12345"
    with pytest.raises(InputError, match="longer than the 4 bytes"):
        read_within(tmp_path / "file", 4)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere cannot be read"):
        read_within(tmp_path / "nowhere", 4)


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fails(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(InputError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["mkdir", "mkstemp", "open"])
def test_a_full_disk_is_one_sentence_wherever_it_is_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Folders and empty files need room too, not only content."""

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr({"mkdir": Path, "mkstemp": tempfile, "open": os}[call], call, fails)
    with pytest.raises(InputError, match="work/file cannot be written: No space left") as caught:
        write_atomically(tmp_path / "work/file", b"new")
    assert passing(caught.value)
    if call == "open":
        with pytest.raises(InputError, match="cannot be worked in: No space left"), exclusive(tmp_path):
            pytest.fail("it was held")


def test_a_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"secret")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def _try(folder: Path, answers: "multiprocessing.Queue[str]") -> None:
    try:
        with exclusive(folder):
            answers.put("held")
    except InputError as error:
        answers.put(str(error))


def test_a_second_process_is_kept_out_while_the_first_works(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[str] = processes.Queue()

    def ask() -> str:
        other = processes.Process(target=_try, args=(tmp_path, answers))
        other.start()
        answer = answers.get(timeout=PATIENCE)
        other.join(30)
        return answer

    with exclusive(tmp_path):
        assert "Another process works in" in ask()
    assert ask() == "held"
