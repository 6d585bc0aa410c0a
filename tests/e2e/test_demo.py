"""`merit demo` as a user runs it: separate processes, real data, and what its results have to show."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from tests.chain_fixtures import ganache
from tests.ipfs_node import Node

pytest_plugins = ["tests.chain_fixtures", "tests.ipfs_node"]

pytestmark = pytest.mark.slow
LIMIT_SECONDS = 240


@cache
def demo(*options: str) -> dict[str, Any]:
    """The JSON results of a run with these options."""
    file = Path(mkdtemp(prefix="merit-test-")) / "demo.json"
    done = subprocess.run(
        [sys.executable, "-m", "marketplace.cli.main", "demo", "--json", str(file), *options],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "audit: OK" in done.stdout
    return dict(json.loads(file.read_text()))


def check_payouts(results: dict[str, Any], *, rounds: int = 3) -> None:
    """Who misbehaved was never selected and got nothing; everybody else was paid."""
    for trainer in results["payouts"].values():
        if trainer["role"] in ("poisoner", "free-rider"):
            assert trainer["wei"] == 0
            assert trainer["selected"] == []
        else:
            assert trainer["wei"] > 0
            assert len(trainer["selected"]) >= rounds
    assert results["state"] == "completed"
    assert results["audit"]["ok"] is True


def test_accuracy_is_high_and_misbehaviour_earns_nothing() -> None:
    results = demo()
    assert results["accuracy"][-1] >= 0.93
    check_payouts(results)


def test_misbehaving_trainers_cost_at_most_two_points_of_accuracy() -> None:
    assert demo()["accuracy"][-1] >= demo("--honest")["accuracy"][-1] - 0.02


def test_the_silent_trainer_is_not_selected_in_its_silent_round() -> None:
    (silent,) = (row for row in demo()["payouts"].values() if row["role"] == "silent")
    assert 4 not in silent["selected"]


def test_krum_cosine_on_ganache() -> None:
    """Two rounds: Ganache computes pairings in JavaScript, half a minute for each settlement."""
    with ganache() as url:
        results = demo("--rule", "krum-cosine", "--rpc", url, "--rounds", "2")
    assert results["accuracy"][-1] >= 0.93
    check_payouts(results, rounds=1)


@pytest.mark.ipfs
def test_reference_on_a_real_ipfs_node(ipfs_node: Node) -> None:
    results = demo("--ipfs", ipfs_node.address)
    assert results["accuracy"][-1] >= 0.93
    check_payouts(results)
