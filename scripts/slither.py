"""Runs Slither over the contracts and holds its findings to the answers in docs/security/slither.md.

    python -m scripts.slither [SLITHER]      SLITHER: the program, by default build/slither/venv/bin/slither

Exits 1 where something is found that is not answered there, as often as it is found, or answered but not found.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ANSWERS = ROOT / "docs" / "security" / "slither.md"
FOUND = ROOT / "build" / "slither" / "findings.json"
SLITHER = "build/slither/venv/bin/slither"
BUILD = ("node_modules/.bin/forge", "build", "--build-info", "--skip", "tests/**")
# Slither would have forge clean the project before it builds.
LOOK = ("--compile-force-framework", "Foundry", "--ignore-compile", "--foundry-out-directory", "build/slither/out")
SECONDS = 900

Finding = tuple[str, str]
"""A detector and where it found something, such as ("timestamp", "JobMarket.join")."""


def run(*command: str, fails: Sequence[int] = ()) -> None:
    """Raises SystemExit with what was said for an exit status that is neither zero nor in `fails`."""
    search = os.pathsep.join([str(ROOT / "node_modules" / ".bin"), os.environ.get("PATH", "")])
    environment = {**os.environ, "FOUNDRY_PROFILE": "slither", "PATH": search}
    ran = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if ran.returncode not in (0, *fails):
        raise SystemExit(f"{command[0]} failed:\n{(ran.stdout + ran.stderr)[-4000:]}")


def place(element: Mapping[str, Any]) -> str:
    """Contract, function and variable, without types and lines: they change more often than findings."""
    parent = element.get("type_specific_fields", {}).get("parent")
    above = f"{place(parent)}." if parent and parent["type"] in ("contract", "function") else ""
    return above + str(element["name"])


def found(slither: str) -> dict[Finding, str]:
    """Slither's findings, numbered where there are several of a kind in one place, with what it says of each."""
    run(*BUILD)
    FOUND.unlink(missing_ok=True)
    # With findings the exit status is 255.
    run(slither, ".", *LOOK, "--filter-paths", "node_modules|contracts/test", "--json", str(FOUND), fails=(255,))
    answer = json.loads(FOUND.read_text())
    if not answer["success"]:
        raise SystemExit(f"Slither failed: {answer['error']}")
    findings: dict[Finding, str] = {}
    times: Counter[Finding] = Counter()
    for result in answer["results"].get("detectors", []):
        key = (result["check"], place(result["elements"][0]))
        times[key] += 1
        name = key[1] if times[key] == 1 else f"{key[1]} {times[key]}"
        findings[key[0], name] = result["description"].strip()
    return findings


def answered() -> set[Finding]:
    """The places in the table: its first column names a detector, its second the places, each in backticks."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+?) \|", ANSWERS.read_text(), re.MULTILINE)
    return {(detector, where) for detector, places in rows for where in re.findall(r"`([^`]+)`", places)}


def main(arguments: Sequence[str] | None = None) -> str | None:
    parser = argparse.ArgumentParser(description="Hold Slither's findings to docs/security/slither.md.")
    parser.add_argument("slither", nargs="?", default=str(ROOT / SLITHER), help="the program")
    findings, answers = found(parser.parse_args(arguments).slither), answered()
    unanswered = sorted(findings.keys() - answers)
    gone = sorted(answers - findings.keys())
    lines = [f"not answered: {detector} in {where}\n{findings[detector, where]}" for detector, where in unanswered]
    lines += [f"answered, but not found: {detector} in {where}" for detector, where in gone]
    if lines:
        return "\n".join([*lines, f"Fix the contracts, or answer in {ANSWERS.relative_to(ROOT)}."])
    sys.stdout.write(f"{len(findings)} findings, all answered in {ANSWERS.relative_to(ROOT)}\n")
    return None


if __name__ == "__main__":
    sys.exit(main())
