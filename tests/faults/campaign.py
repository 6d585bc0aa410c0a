"""Seeded faults against whole jobs: `python -m tests.faults.campaign --runs 200 --seed 1 [--minutes 20]`.

Each run is a small real job: an aggregator, trainers and a node (`merit up`), each a process; a real Anvil, in
some runs a Ganache, behind an RPC that can misbehave; a storage folder or a real Kubo. While it runs, its plan, drawn
from its seed, kills processes, reorganizes the chain, spoils answers and blocks. Time is the chain's: once nothing
happens any more, it is moved past the next deadline. The plan repeats with the seed; which step a fault meets also
depends on how fast the machine is.

What must hold after every run is in `tests/faults/verdict.py`; what is drawn, in `tests/faults/plan.py`.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from marketplace.cli.demo.cast import data_schema
from marketplace.services.setups import Setups
from tests.faults.cast import Theatre
from tests.faults.plan import draw
from tests.faults.run import Result, perform
from tests.ipfs_node import MISSING, kubo
from trainer.data import read, write_npz
from trainer.data.split import hold_out, iid

KUBO_EVERY, EXECUTED_EVERY, GANACHE_EVERY = 20, 10, 50
SAMPLES = 60  # of each trainer


@dataclass
class Tally:
    runs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    failed: list[int] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.runs += 1
        self.faults.update(result.faults)
        self.ends[result.end] += 1
        self.lost += result.lost
        self.doubled += result.doubled
        self.stuck += result.stuck
        if result.problems:
            self.failed.append(result.seed)


def prepare(folder: Path) -> None:
    """What all runs share: the development set-up and keys, and everybody's data."""
    setups = Setups(folder / "setups")
    setups.development_srs(1024)
    for circuit in (108, 208):
        setups.development_key(circuit)
    validation, rest = hold_out(read("digits", data_schema("mlp")), [80], 1)
    write_npz(folder / "validation.npz", validation)
    for number, shard in enumerate(iid(rest, len(rest.y) // SAMPLES, 1)[:5]):
        write_npz(folder / f"data-{number}.npz", shard)


_theatre: list[Theatre] = []  # this worker's, once it has one


def _open(shared: str) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    logging.disable(logging.WARNING)  # that set-ups are for development
    _theatre.append(Theatre(Path(shared)))


def _one(seed: int) -> Result:
    of = {
        "kubo": kubo() is not None and seed % KUBO_EVERY == 0,
        "executed": seed % EXECUTED_EVERY == 5,
        "ganache": seed % GANACHE_EVERY == 7,
    }
    return perform(_theatre[0], draw(seed, **of))


def campaign(seeds: list[int], *, workers: int, minutes: float, out: "Path | None" = None) -> Tally:
    """Plays the seeds, in parallel, until all are played or the time is up; says each run in a line."""
    tally, started = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="merit-faults-") as shared:
        prepare(Path(shared))
        with ProcessPoolExecutor(workers, get_context("spawn"), _open, (shared,)) as pool:
            waiting = {pool.submit(_one, seed): seed for seed in seeds}
            for done in as_completed(waiting):
                if done.cancelled():
                    continue
                result = done.result()
                tally.add(result)
                say(result)
                if out is not None:
                    with out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(vars(result)) + "\n")
                if time.monotonic() - started > 60 * minutes:
                    for other in waiting:
                        other.cancel()
    if kubo() is None:
        tell(f"{MISSING}: no run used one")
    return tally


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def say(result: Result) -> None:
    what = ", ".join(f"{count}x {kind}" if count > 1 else kind for kind, count in sorted(result.faults.items()))
    tell(f"run {result.seed}: {result.end} in {result.seconds:.1f} s; {what or 'no fault'}; {result.story}")
    for problem in result.problems:
        tell(f"run {result.seed} FAILED: {problem}")
    if result.problems:
        tell(f"  again: python -m tests.faults.campaign --runs 1 --seed {result.seed}")


def main() -> int:
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; each next run has the next")
    parser.add_argument("--minutes", type=float, default=20.0, help="after which no further run is begun")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="the totals, as a document")
    parser.add_argument("--log", type=Path, help="each run, as a line of JSON")
    given = parser.parse_args()
    started = time.monotonic()
    seeds = list(range(given.seed, given.seed + given.runs))
    tally = campaign(seeds, workers=min(given.workers, given.runs), minutes=given.minutes, out=given.log)
    seconds = time.monotonic() - started
    finished = tally.ends["completed"]
    tell(f"\nruns: {tally.runs} of {given.runs} in {seconds:.0f} s ({seconds / max(1, tally.runs):.1f} s a run)")
    tell(f"faults injected: {tally.faults.total()}")
    for kind, count in sorted(tally.faults.items()):
        tell(f"  {kind}: {count}")
    others = ", ".join(f"{end} {count}" for end, count in sorted(tally.ends.items()) if end != "completed")
    tell(f"jobs finished: {finished}" + (f" (others: {others})" if others else ""))
    tell(f"units lost: {tally.lost}\nsubmissions doubled: {tally.doubled}\nparties stuck: {tally.stuck}")
    if tally.failed:
        tell(f"failed seeds: {sorted(tally.failed)}")
    if given.json:
        given.json.write_text(json.dumps({**vars(tally), "asked": given.runs, "seconds": seconds}, indent=1))
    return 1 if tally.failed or not tally.runs else 0


if __name__ == "__main__":
    sys.exit(main())
