"""Known holes in the dependencies, by the registries' own advisories.

    python -m scripts.advisories              exits 1 where a hole is known; 0 where none is, or none could be looked up
    python -m scripts.advisories --require    exits 2, too, where something could not be looked up

Advisories are fetched at every run: pip-audit asks PyPI, npm its registry, cargo-audit the RustSec database. What
cannot be reached is said, and is no hole; `--require` is for where all can be reached. A hole that is known and does
not matter is passed with --ignore ID, and its reason stands in docs/security/supply.md.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.sbom import NODE, PYTHON, ROOT, RUST

WITHIN = 600  # seconds for one tool


@dataclass
class Answer:
    """What is known of one lock. asked, of: packages with an answer, and packages in all; 0 of 0 where not counted."""

    lock: str
    holes: list[str] = field(default_factory=list)
    asked: int = 0
    of: int = 0
    unreachable: str = ""

    @property
    def told(self) -> str:
        if self.holes:
            return "HOLES " + "; ".join(self.holes)
        return f"not looked up: {self.unreachable}" if self.unreachable else f"none known ({self.asked} packages)"


def _output(command: Sequence[str], folder: Path) -> tuple[Any, str]:
    """The JSON that a tool prints, None where it prints none; and the last that it said on standard error."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WITHIN, check=False)
    except subprocess.TimeoutExpired:
        return None, f"no answer within {WITHIN} s"
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    try:
        return json.loads(done.stdout), said[-1] if said else ""
    except ValueError:
        return None, said[-1] if said else f"{command[0]} ended with {done.returncode}"


def of_pip_audit(lock: str, document: Any, said: str, ignored: frozenset[str]) -> Answer:
    """https://github.com/pypa/pip-audit, --format json: a package has `vulns`, or a `skip_reason`."""
    if not isinstance(document, dict) or "dependencies" not in document:
        return Answer(lock, unreachable=said or "pip-audit gave no list")
    answer = Answer(lock, of=len(document["dependencies"]))
    for package in document["dependencies"]:
        answer.asked += "skip_reason" not in package
        for hole in package.get("vulns", []):
            if not ignored & {hole["id"], *hole.get("aliases", [])}:
                fixed = ", ".join(hole.get("fix_versions", [])) or "no version"
                answer.holes.append(f"{package['name']} {package['version']}: {hole['id']} (mended in {fixed})")
    if answer.asked < answer.of:
        answer.unreachable = (
            f"{answer.of - answer.asked} of {answer.of} packages are unknown to the index that was asked"
        )
    return answer


def of_npm(lock: str, document: Any, said: str, ignored: frozenset[str]) -> Answer:
    """https://docs.npmjs.com/cli/commands/npm-audit, --json, report version 2."""
    if not isinstance(document, dict) or "vulnerabilities" not in document:
        message = str(document.get("message", said) if isinstance(document, dict) else said)
        return Answer(lock, unreachable=message.partition(" - ")[0] or "npm gave no report")
    total = document.get("metadata", {}).get("dependencies", {}).get("total", 0)
    answer = Answer(lock, asked=total, of=total)
    for name, entry in document["vulnerabilities"].items():
        for cause in entry.get("via", []):
            if isinstance(cause, dict) and not ignored & {
                str(cause.get("source")),
                cause.get("url", "").split("/")[-1],
            }:
                answer.holes.append(f"{name} {cause.get('range', '')}: {cause.get('url', cause.get('title', ''))}")
    return answer


def of_cargo_audit(lock: str, document: Any, said: str, ignored: frozenset[str]) -> Answer:
    """https://github.com/rustsec/rustsec, cargo-audit --json."""
    if not isinstance(document, dict) or "vulnerabilities" not in document:
        return Answer(lock, unreachable=said or "cargo-audit gave no report")
    count = document.get("lockfile", {}).get("dependency-count", 0)
    answer = Answer(lock, asked=count, of=count)
    for hole in document["vulnerabilities"].get("list", []):
        if hole["advisory"]["id"] not in ignored:
            answer.holes.append(f"{hole['package']['name']} {hole['package']['version']}: {hole['advisory']['id']}")
    return answer


Reader = Callable[[str, Any, str, frozenset[str]], Answer]


def _asked(tools: Path, ignored: frozenset[str]) -> list[Answer]:
    answers = []

    def ask(lock: str, program: str, arguments: Sequence[str], folder: Path, read: Reader) -> None:
        found = shutil.which(program, path=str(tools)) or shutil.which(program)
        if not (folder / Path(lock).name).exists():
            return
        if found is None:
            answers.append(Answer(lock, unreachable=f"{program} is not installed"))
            return
        document, said = _output([found, *arguments], folder)
        answers.append(read(lock, document, said, ignored))

    for lock in PYTHON:
        options = ["--requirement", lock, "--disable-pip", "--require-hashes", "--format", "json"]
        ask(lock, "pip-audit", [*options, "--progress-spinner", "off"], ROOT, of_pip_audit)
    for folder in NODE.values():
        lock = str(Path(folder) / "package-lock.json")
        ask(lock, "npm", ["audit", "--json", "--package-lock-only"], ROOT / folder, of_npm)
    for folder in RUST.values():
        ask(str(Path(folder) / "Cargo.lock"), "cargo-audit", ["audit", "--json"], ROOT / folder, of_cargo_audit)
    return answers


def verdict(answers: Sequence[Answer], *, require: bool) -> int:
    """1 for holes, 2 where something that is required was not looked up, else 0."""
    if any(answer.holes for answer in answers):
        return 1
    return 2 if require and any(answer.unreachable for answer in answers) else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--require", action="store_true", help="fail where something could not be looked up")
    parser.add_argument("--ignore", action="append", default=[], metavar="ID", help="an advisory that does not matter")
    parser.add_argument("--tools", type=Path, default=ROOT / ".venv-audit" / "bin", help="where pip-audit is")
    given = parser.parse_args(arguments)
    answers = _asked(given.tools, frozenset(given.ignore))
    for answer in answers:
        print(f"{answer.lock}: {answer.told}")
    missing = sum(bool(answer.unreachable) for answer in answers)
    if missing:
        print(f"ADVISORIES OF {missing} OF {len(answers)} LOCKS COULD NOT BE HAD: this says nothing about them.")
    return verdict(answers, require=given.require)


if __name__ == "__main__":
    sys.exit(main())
