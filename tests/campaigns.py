"""Plays a slice of a campaign as `make` does: a program of its own, on real processes."""

import subprocess
import sys
from pathlib import Path

WITHIN = 800.0  # seconds, on a machine that does much else; alone, a minute or two


def printed(campaign: str, *options: str) -> str:
    """What `python -m CAMPAIGN OPTIONS` prints; fails with the end of it where the campaign has found anything."""
    done = subprocess.run(
        [sys.executable, "-m", campaign, *options],
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout
