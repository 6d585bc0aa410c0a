"""Breaks one check of the verifiers, or one constraint of the circuits, at a time; the tests have to notice each.

    python -m tests.soundness.mutate                        all of them: an hour on two cores
    python -m tests.soundness.mutate --only verifier.py     those of one file
    python -m tests.soundness.mutate --sample 4 --seed 7    four of the verifiers', of different files (make check)

Each is made in a copy of the tree, where what it touches is built again, and the tests that are about it run up to the
first failure. Exits 1 and names the mutations that survived. What is broken is in mutations.py; what holds a settlement
together in the market's contract is broken in tests/contracts. Circuits are compiled below build/mutants.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from tests.soundness.mutations import CONTROLS, MUTATIONS, POINTS, Mutation

ROOT = Path(__file__).parents[2]
COPIED = ("aggregator", "contracts", "marketplace", "scripts", "tests", "trainer", "zk", "pyproject.toml")
PARTS = ("python", "solidity", "circuits")
SUITE = ("gram_attacks", "decision_attacks", "honest", "zero_knowledge", "prover", "round")
SECONDS = 1800

COMPILE = """
import json
from marketplace.chain.compile import ARTIFACTS, compile_sources
names = ("GramVerifier", "DecisionVerifier")
for name, made in compile_sources([f"contracts/verifiers/{name}.sol" for name in names]).items():
    (ARTIFACTS / f"{name}.json").write_text(json.dumps(made))
"""
CARGO = ("--quiet", "--release", "--manifest-path", "zk/core/Cargo.toml")
CIRCUIT_TESTS = ("cargo", "test", *CARGO, "--no-default-features", "--package", "merit-decision", "--lib")
CORE = {"darwin": "lib_core.dylib", "win32": "_core.dll"}.get(sys.platform, "lib_core.so")

BUILDING = Lock()
"""Cargo gives the same name to what it builds of every copy: one at a time."""


class Copy:
    """A copy of the tree with a mutation in it."""

    def __init__(self, folder: Path, mutation: Mutation) -> None:
        self.folder, self.mutation = folder, mutation
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                unwanted = shutil.ignore_patterns("target", "node_modules", "__pycache__")
                shutil.copytree(source, folder / name, ignore=unwanted)
            else:
                shutil.copy(source, folder / name)
        (folder / "node_modules").symlink_to((ROOT / "node_modules").resolve())
        path = self.path = folder / mutation.file
        self.source = path.read_text()
        if self.source.count(mutation.this) != 1:
            raise SystemExit(
                f"{mutation}: what it replaces is there {self.source.count(mutation.this)} times, not once"
            )
        path.write_text(self.source.replace(mutation.this, mutation.instead))

    def run(self, *command: str, fails: Sequence[int] = ()) -> bool:
        """Whether the command succeeds. Raises SystemExit for an exit status that is not in `fails`."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"CARGO_TARGET_DIR": str(ROOT / "build" / "mutants"), "CARGO_PROFILE_RELEASE_LTO": "off"}
        environment["PYO3_BUILD_EXTENSION_MODULE"] = "1"
        ran = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, timeout=SECONDS, check=False
        )
        if ran.returncode not in (0, *fails):
            said = (ran.stdout + ran.stderr).decode(errors="replace")[-2000:]
            raise SystemExit(f"{self.mutation}: {' '.join(command[:4])} did not run\n{said}")
        return ran.returncode == 0

    def tested(self, *arguments: str) -> bool:
        return self.run(sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *arguments, fails=(1,))

    def suite(self) -> list[str]:
        """The suite, the part that is about what is mutated first."""
        mutation = self.mutation
        before = self.source.split(mutation.this)[0]
        about_decision = mutation.file == POINTS or "ecision" in mutation.file or "def verify_decision" in before
        names = sorted(SUITE, key=lambda name: about_decision and "decision" not in name)
        return [f"tests/soundness/test_{name}.py" for name in names]

    def passes(self) -> bool:
        if self.mutation.part == "python":
            return self.tested("-k", "not solidity", *self.suite())
        if self.mutation.part == "solidity":
            self.run(sys.executable, "-c", COMPILE)
            return self.tested("-k", "not python", *self.suite())
        with BUILDING:
            return self.circuits_pass()

    def circuits_pass(self) -> bool:
        self.path.touch()  # or it could be older than what was built last, of another copy
        self.run(*CIRCUIT_TESTS, "--no-run")
        # Of the gadgets first, which take seconds; a test that fails is status 101.
        for only in (("attacks",), ("--", "--skip", "ceremony")):
            if not self.run(*CIRCUIT_TESTS, *only, fails=(101,)):
                return False
        self.run("cargo", "build", *CARGO)
        shutil.copy(ROOT / "build" / "mutants" / "release" / CORE, self.folder / "zk" / "_core.abi3.so")
        return self.tested("tests/unit/test_decision.py", "tests/soundness/test_round.py")


def survives(mutation: Mutation) -> bool:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        survived = Copy(Path(folder), mutation).passes()
    verdict = "killed  " if not survived else "passed  " if mutation in CONTROLS else "SURVIVED"
    sys.stdout.write(f"{verdict} {time.monotonic() - started:4.0f} s  {mutation}\n")
    sys.stdout.flush()
    return survived


def sample(mutations: Sequence[Mutation], count: int, seed: int) -> list[Mutation]:
    """`count` mutations: one of each file in turn."""
    drawn = random.Random(seed)
    files = sorted({mutation.file for mutation in mutations})
    piles = [drawn.sample(of, len(of)) for of in ([m for m in mutations if m.file == file] for file in files)]
    drawn.shuffle(piles)
    rounds = [[pile[at] for pile in piles if at < len(pile)] for at in range(max(map(len, piles), default=0))]
    return [mutation for each in rounds for mutation in each][:count]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Do the tests notice a missing check?")
    parser.add_argument("--sample", type=int, metavar="COUNT", help="only so many, and none of the circuits'")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--part", choices=PARTS, help="only mutations of this part")
    parser.add_argument("--only", default="", help="only mutations of files whose path has this in it")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    options = parser.parse_args(arguments)
    chosen = [m for m in MUTATIONS if options.only in m.file and options.part in (None, m.part)]
    if options.sample:
        quick = [m for m in chosen if m.part != "circuits"]
        chosen = sample(quick, options.sample, options.seed)
    with ThreadPoolExecutor(options.jobs) as workers:
        parts = set() if options.sample else {mutation.part for mutation in chosen}  # a sample comes after the tests
        if not all(workers.map(survives, [control for control in CONTROLS if control.part in parts])):
            raise SystemExit("the tests fail without a mutation")
        survivors = sum(workers.map(survives, chosen))
    sys.stdout.write(f"{len(chosen) - survivors} of {len(chosen)} mutations were noticed\n")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
