"""Forked processes are what started ones are: their output, errors, environment, end."""

import os
import signal
from pathlib import Path

import pytest

from marketplace.cli.forked import Forked

MERIT = "marketplace.cli.main"
WITHIN = 120.0  # seconds, on a machine that does much else


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "MERIT_HOME": str(folder)}


def test_output_errors_and_exit_code_are_the_command_s(tmp_path: Path) -> None:
    done = Forked(MERIT, ["--version"], environment(tmp_path))
    said, problem = done.communicate(WITHIN)
    assert (done.poll(), said.startswith(b"merit "), problem) == (0, True, b"")
    done = Forked(MERIT, ["audit", "one"], environment(tmp_path))
    said, problem = done.communicate(WITHIN)
    assert (done.returncode, said) == (2, b"")
    assert b"Usage" in problem


def test_the_environment_is_the_one_that_is_given_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("MERIT_HOME", str(tmp_path / "elsewhere"))
    Forked(MERIT, ["key", "new"], environment(tmp_path / "here") | {"MERIT_PASSWORD": "right"}).communicate(WITHIN)
    assert [path.name for path in tmp_path.iterdir() if any(path.iterdir())] == ["here"]


def test_errors_are_added_to_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    assert Forked(MERIT, ["audit", "one"], environment(tmp_path), log).communicate(WITHIN) == (b"", b"")
    assert log.read_text().startswith("before\n")
    assert "Usage" in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_by_a_signal(tmp_path: Path, number: int) -> None:
    process = Forked(MERIT, ["--json", "chain", "--port", "0"], environment(tmp_path))
    assert process.stdout.readline()
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait(WITHIN) == (-number if number == signal.SIGKILL else 0)


def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    process = Forked(MERIT, ["--json", "chain", "--port", "0"], environment(tmp_path))
    with pytest.raises(TimeoutError, match="longer"):
        process.communicate(0.1)
    assert process.wait(WITHIN) == -signal.SIGKILL
