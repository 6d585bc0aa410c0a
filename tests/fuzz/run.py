"""Coverage-guided fuzzing of every decoder that reads bytes from outside.

    python -m tests.fuzz.run --seconds 60 --target all --seed 7

Each target runs in a process of its own, under atheris (libFuzzer) with the decoders' modules instrumented. Without
atheris the inputs are random changes of the seeds. A finding ends its target; the input is written to
build/fuzz/crash-… and its Python call is printed. Exits 1 if there was a finding. See docs/security/fuzzing.md.
"""

import argparse
import importlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.target import MAX_INPUT, Target, mutations

FOUND = Path("build/fuzz")
MODULES = ("formats", "proofs", "chain", "documents", "programs")
MEMORY_MIB = 3072  # torch and web3 take a fifth of it
SLOWEST = 20  # seconds for one input
# Where coverage guides: ours, and the libraries that do the decoding.
INSTRUMENTED = [
    "marketplace.api.guard",
    "marketplace.api.routes.streams",
    "marketplace.chain",
    "marketplace.keys",
    "marketplace.services.rounds",
    "marketplace.services.validation",
    "marketplace.documents",
    "marketplace.spec",
    "marketplace.storage",
    "marketplace.tickets",
    "marketplace.units",
    "trainer.config",
    "trainer.data",
    "trainer.models.vectors",
    "trainer.programs",
    "zk",
    "eth_abi",
    "yaml",
]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def targets() -> dict[str, Target]:
    found = [target for name in MODULES for target in importlib.import_module(f"tests.fuzz.{name}").TARGETS]
    return {target.name: target for target in found}


def guided(name: str, seconds: int, seed: int) -> None:
    """Does not return: libFuzzer ends the process, with 0 where nothing was found."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        target = targets()[name]
    corpus = FOUND / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(data)
    options = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-max_len={max(MAX_INPUT, *map(len, target.seeds()))}",
        f"-timeout={SLOWEST}",
        f"-rss_limit_mb={MEMORY_MIB}",
        f"-artifact_prefix={FOUND}/crash-{name}-",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.try_one)
    atheris.Fuzz()


def unguided(name: str, seconds: float, seed: int) -> None:
    target, end, runs = targets()[name], time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for data in mutations(target.seeds(), 100, seed + runs):
            try:
                target.try_one(data)
            except BaseException:
                FOUND.mkdir(parents=True, exist_ok=True)
                (FOUND / f"crash-{name}-{runs}").write_bytes(data)
                raise
            runs += 1
    _say(f"Done {runs} runs without coverage")


def _excerpt(output: str) -> str:
    """The exception, or the last that libFuzzer said."""
    lines = output.splitlines()
    first = next((at for at, line in enumerate(lines) if "Uncaught Python exception" in line), len(lines) - 20)
    return "\n".join(lines[max(0, first) :][:60])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="all", help="a target's name, or all")
    parser.add_argument("--seconds", type=int, default=5, help="for each target")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--list", action="store_true", help="print the targets' names")
    given = parser.parse_args(arguments)
    if given.here:
        fuzz = guided if importlib.util.find_spec("atheris") else unguided
        fuzz(given.target, given.seconds, given.seed)
        return 0
    names = list(targets())
    if given.list:
        _say("\n".join(names))
        return 0
    if given.target not in (*names, "all"):
        parser.error(f"there is no target {given.target}; there are {', '.join(names)}")
    failed = []
    for name in names if given.target == "all" else [given.target]:
        command = [sys.executable, "-m", "tests.fuzz.run", "--here", "--target", name]
        command += ["--seconds", str(given.seconds), "--seed", str(given.seed)]
        alone = os.environ | {"OMP_NUM_THREADS": "1"}  # inputs are tiny: torch's threads would wait for each other
        done = subprocess.run(command, env=alone, capture_output=True, text=True, errors="replace", check=False)
        runs = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Done ")]
        _say(f"{name:15} {'ok' if done.returncode == 0 else f'FOUND ({done.returncode})'}  {''.join(runs[-1:])}")
        if done.returncode:
            failed.append(name)
            _say(_excerpt(done.stdout + done.stderr))
    _say(f"{len(names) if given.target == 'all' else 1} targets, {len(failed)} with findings {' '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
