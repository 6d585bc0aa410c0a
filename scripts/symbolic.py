"""Runs halmos over tests/symbolic: each check for all values at once (docs/security/symbolic.md).

    python -m scripts.symbolic [--only PREFIX] [--halmos PROGRAM]      PREFIX: of the checks' names

Prints each check with its paths and seconds. Exits 1 where one fails, is not decided in time, leaves part of a loop
out, follows only paths that revert, or does not run.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CHECKS = ROOT / "tests" / "symbolic"
FOUND = ROOT / "build" / "symbolic" / "results.json"
HALMOS = ROOT / "build" / "symbolic" / "venv" / "bin" / "halmos"
LOOPS = 33
"""One more than there are slots: no loop over them is cut short."""
ONE, ALL = 60, 1200
"""Seconds for one question to the solver, and for everything."""
EXITS = ("proved", "FAILS", "NOT DECIDED", "STUCK", "ONLY REVERTS", "BROKE OFF")
"""What halmos's exit codes mean."""


def declared(only: str) -> set[str]:
    """The names of the checks in the sources."""
    text = "".join(path.read_text() for path in CHECKS.glob("*.t.sol"))
    return {name for name in re.findall(r"function (check_\w+)\(", text) if name.startswith(only)}


def run(halmos: Path, only: str) -> str:
    """Has halmos write its results, and returns what it said. A run without an end leaves results of what ended."""
    search = os.pathsep.join([str(ROOT / "node_modules" / ".bin"), os.environ.get("PATH", "")])
    environment = {**os.environ, "FOUNDRY_PROFILE": "symbolic", "PATH": search}
    command = [str(halmos), "--root", str(ROOT), "--forge-build-out", "build/symbolic/out", "--function", only]
    command += ["--loop", str(LOOPS), "--solver-timeout-assertion", f"{ONE}s", "--no-status"]
    command += ["--json-output", str(FOUND)]
    FOUND.parent.mkdir(parents=True, exist_ok=True)
    FOUND.unlink(missing_ok=True)
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=ALL)
    except subprocess.TimeoutExpired:
        process.terminate()  # it writes what it has
        try:
            said, _ = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
    return said


def verdict(result: dict[str, Any]) -> str:
    if result["exitcode"] == 0 and result["num_bounded_loops"]:
        return "A LOOP IS CUT SHORT"
    return EXITS[result["exitcode"]] if result["exitcode"] < len(EXITS) else "FAILS"


def lines(results: dict[str, list[dict[str, Any]]], missing: set[str]) -> Iterator[tuple[bool, str]]:
    """(whether it is proved, what to print) for each check."""
    for result in (each for tests in results.values() for each in tests):
        name = result["name"].partition("(")[0]
        missing.discard(name)
        said = verdict(result)
        paths, seconds = (result["num_paths"] or [0])[0], (result["time"] or [0])[0]
        yield said == "proved", f"{said:12} {name}  {paths} paths  {seconds:.1f} s"
    for name in sorted(missing):
        yield False, f"{'DID NOT RUN':12} {name}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check the contracts for all values at once.")
    parser.add_argument("--only", default="check_", metavar="PREFIX", help="only the checks whose names begin so")
    parser.add_argument("--halmos", type=Path, default=HALMOS, help="the program")
    options = parser.parse_args(arguments)
    said = run(options.halmos, options.only)
    results = json.loads(FOUND.read_text())["test_results"] if FOUND.exists() else {}
    found = list(lines(results, declared(options.only)))
    sys.stdout.write("\n".join(line for _, line in found) + "\n")
    proved = sum(good for good, _ in found)
    sys.stdout.write(f"{proved} of {len(found)} checks are proved\n")
    if proved == len(found) and found:
        return 0
    sys.stdout.write(said[-4000:])
    return 1


if __name__ == "__main__":
    sys.exit(main())
