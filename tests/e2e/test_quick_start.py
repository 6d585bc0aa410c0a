"""The commands of README, docs/quick-start.md and docs/tutorial.md, word for word, in a real shell."""

import os
import re
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 1500.0  # a hundred on two idle cores, nine hundred at a load of twenty


def commands(page: str) -> list[str]:
    """Every line of a page's shell blocks, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    assert blocks, f"{page} has no commands"
    return [line for block in blocks for line in block.splitlines()]


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


def play(page: str, tmp_path: Path) -> tuple[str, dict[str, str]]:
    """Runs the commands of README, then a page's: what they said, and what went to log files, by name.

    Keys, files and ports are the test's own, by the environment alone: the commands stay as they are.
    """
    for name in (".venv", "node_modules", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    keep = {name: value for name, value in os.environ.items() if not name.startswith("MERIT_")}
    environment = keep | {"HOME": str(tmp_path / "me"), "MERIT_PORT": "0", "MERIT_CHAIN_PORT": free_port()}
    lines = [line for line in commands("README.md") if not line.startswith("make ")] + commands(page)
    script = tmp_path / "script"
    script.write_text("set -ex -o pipefail\n" + "\n".join(lines) + "\n")
    output = tmp_path / "output"  # not a pipe, which what runs in the background would hold open
    with output.open("w") as file:
        shell = subprocess.Popen(
            [shutil.which("bash") or "bash", str(script)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            shell.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            pass  # its return code says so
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
    said = output.read_text()
    logs = {log.stem: log.read_text() for log in (*tmp_path.glob("*.log"), *tmp_path.glob("clinics/*.log"))}
    assert shell.returncode == 0, f"within {LIMIT_SECONDS:.0f} s:\n{said[-4000:]}\n{logs}"
    return said, logs


@pytest.mark.timeout(LIMIT_SECONDS + 20)
def test_a_newcomer_comes_from_a_key_to_an_audited_job(tmp_path: Path) -> None:
    said, logs = play("docs/quick-start.md", tmp_path)
    assert "audit: OK" in said
    assert "Job 1 is open, with 1.89 ether in escrow." in said
    assert re.search(r"[0-3] of 3 seats taken", said)
    assert re.search(r"Round 3: accuracy (9[0-9]|100)\.\d%", said)
    assert re.search(r"Withdrew [0-9.]+ ether", said)
    for name in ("trainer-1", "trainer-2", "trainer-3"):
        assert re.search(r"^\d\d:\d\d:\d\d Joined job 1", logs[name], re.MULTILINE)
        assert "Job 1 is completed." in logs[name] or "left" in logs[name]


@pytest.mark.timeout(LIMIT_SECONDS + 20)
def test_the_tutorial_leads_from_a_table_to_paid_trainers_and_predictions(tmp_path: Path) -> None:
    said, logs = play("docs/tutorial.md", tmp_path)
    assert "audit: OK" in said
    assert re.search(r"Round 3: accuracy ([89][0-9]|100)\.\d%", said)
    assert re.search(r"Withdrew [0-9.]+ ether", said)
    assert all("Joined job 1" in logs[name] for name in ("clinic-1", "clinic-2", "clinic-3"))
    predictions = (tmp_path / "clinics" / "predictions.csv").read_text().splitlines()
    assert len(predictions) == 151
