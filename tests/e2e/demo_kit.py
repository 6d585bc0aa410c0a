"""Runs `merit demo` as a user does: separate processes, real data, JSON results."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

LIMIT_SECONDS = 800  # a busy machine takes ten times as long as an idle one


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
