"""Hostile descriptions against real nodes: `python -m tests.hostile.campaign --descriptions 2000 --seed 1`.

What is tried is drawn from the seed (tests/hostile/material/): descriptions, terms, contracts, CIDs, base models, keys,
sealed files and messages at and beyond every bound, by every role, most of them past Merit's own client. They meet
processes of `merit`: a node with its page, an aggregator that serves every job naming it, trainers that are told to
join; all on a real Anvil, with a storage folder or a Kubo. Good jobs go on beside them, one after the other.

A campaign has acts of some hundred descriptions, each on a chain and with processes of its own; in every other one the
aggregator's policy names some of the hostile owners, so that their jobs get as far as they can. What must hold is in
tests/hostile/verdict.py.
"""

import argparse
import json
import logging
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty

from tests.faults.campaign import prepare, tell
from tests.faults.cast import Theatre
from tests.hostile.good import PATIENCE, GoodJobs
from tests.hostile.material.draw import draw
from tests.hostile.strangers import Strangers
from tests.hostile.verdict import Verdict
from tests.hostile.world import RULES, World
from tests.hostile.writing import Writer
from tests.ipfs_node import MISSING, kubo

ACT = 500  # descriptions of one act
BATCH = 25  # descriptions between two looks at everything
MOST_OPEN = 24  # hostile jobs at a time
ENDING = 120.0  # seconds for what goes on after the last description


@dataclass
class Tally:
    descriptions: int = 0
    tried: Counter[str] = field(default_factory=Counter)
    past_client: int = 0
    refused: int = 0  # by the client or the contract
    processes: int = 0
    good_jobs: int = 0
    good_completed: int = 0
    ended: int = 0
    lost: int = 0
    bonds: int = 0  # wei that the aggregator lost within the table, in jobs that its policy accepted
    answers: Counter[int] = field(default_factory=Counter)
    peak_mib: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Act:
    """Some of a campaign's descriptions, in a world of their own."""

    def __init__(self, theatre: Theatre, seed: int, number: int, stack: ExitStack, tally: Tally) -> None:
        self._seed, self._tally = seed, tally
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="act-", ignore_cleanup_errors=True)))
        ipfs = number % 4 == 2 and kubo() is not None
        self.world = World(theatre, folder, stack, accepting=number % 2 == 0, kubo=ipfs)
        self.strangers = Strangers(self.world)
        self.good = GoodJobs(self.world, self.strangers)
        self.verdict = Verdict(self.world, self.strangers, self.good)

    def play(self, numbers: list[int], more: Callable[[], bool]) -> None:
        """more: whether there is time for further descriptions."""
        world, strangers = self.world, self.strangers
        world.start()
        for _ in RULES:  # alone
            self.good.begin()
            self._until(lambda: not self.good.at_work)
        templates = {rule: world.template(job) for rule, job in zip(RULES, self.good.ids, strict=True)}
        strangers.learn(Writer(world, templates))
        for place, number in enumerate(numbers):
            before = len(world.problems)
            if not more() or not self._until(lambda: len(strangers.open) < MOST_OPEN):
                break
            attack = draw(self._seed, number)
            self._tally.descriptions += 1
            if attack.good:
                self.good.guests.append(attack)
            else:
                strangers.attempt(attack)
            alive = self._step()
            if (place + 1) % BATCH == 0:
                self.verdict.after_a_batch()
            self._name(before, numbers[max(0, place - BATCH) : place + 1])
            if not alive:
                break
        before = len(world.problems)
        self._finish()
        self._name(before, numbers)

    def _finish(self) -> None:
        """Everything ends, and a last good job after it."""
        world, strangers, good = self.world, self.strangers, self.good
        self._until(lambda: not (strangers.open or good.guests), ENDING + PATIENCE * len(good.guests))
        self._until(lambda: not good.at_work, 2 * PATIENCE, again=False)
        if strangers.open:  # whose deadlines are far: no good job goes on that would miss one
            world.pass_time(7 * 86400)
            self._until(lambda: not strangers.open, ENDING, again=False)
        if world.look_at_processes() and not good.at_work:
            good.begin()
            self._until(lambda: not good.at_work, 2 * PATIENCE, again=False)
        self.verdict.at_the_end()
        tally = self._tally
        tally.tried.update(strangers.tried)
        tally.past_client += strangers.past
        tally.refused += strangers.refused
        tally.processes += sum(party.starts for party in world.all_parties)
        tally.good_jobs += len(good.ids)
        tally.good_completed += good.completed
        tally.ended += world.ended
        tally.lost += self.verdict.lost
        tally.bonds += self.verdict.bonds
        tally.answers.update(self.verdict.answers)
        for name, peak in world.peak.items():
            tally.peak_mib[name] = max(tally.peak_mib.get(name, 0), peak >> 20)

    def _until(self, holds: Callable[[], bool], seconds: float = 600.0, *, again: bool = True) -> bool:
        """Goes on until it holds; False where a process is gone for good, or the time is up."""
        end = time.monotonic() + seconds
        while not holds():
            if not self._step(again=again) or time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def _step(self, *, again: bool = True) -> bool:
        """again: whether a good job is followed by another."""
        world = self.world
        while True:
            try:
                party, notice = world.news.get_nowait()
            except Empty:
                break
            world.hear(party, notice)
            values = notice.get("values") or {}
            if party.name == "aggregator" and isinstance(values.get("job"), int):
                self.strangers.heard(values["job"])
        self.strangers.send_joiners()
        self.strangers.advance()
        self.good.look()
        company = bool(self.strangers.open or self.good.guests)
        if again and company and self.good.alone.keys() == set(RULES) and not self.good.at_work:
            self.good.begin()
        return world.look_at_processes()

    def _name(self, before: int, numbers: list[int]) -> None:
        """Says what was found, and how it is repeated."""
        for problem in self.world.problems[before:]:
            found = re.search(r"attack (\d+):", problem)
            only = found[1] if found else f"{numbers[0]}-{numbers[-1]}"
            tell(f"FAILED: {problem}\n  again: python -m tests.hostile.campaign --seed {self._seed} --only {only}")
            self._tally.problems.append(f"[{only}] {problem}")


def campaign(seed: int, numbers: list[int], minutes: float) -> Tally:
    tally, started = Tally(), time.monotonic()
    acts: dict[int, list[int]] = {}
    for number in numbers:
        acts.setdefault(number // ACT, []).append(number)
    with tempfile.TemporaryDirectory(prefix="merit-hostile-") as shared:
        prepare(Path(shared))
        theatre = Theatre(Path(shared))
        for act, of in acts.items():
            if time.monotonic() - started > 60 * minutes:
                break
            with ExitStack() as stack:
                Act(theatre, seed, act, stack, tally).play(of, lambda: time.monotonic() - started < 60 * minutes)
            tell(f"act {act}: {tally.descriptions} descriptions, {time.monotonic() - started:.0f} s")
        theatre.rpc.close()
    tally.seconds = time.monotonic() - started
    return tally


def numbers_of(only: str, descriptions: int) -> list[int]:
    """7, or 7-31, or several of these between commas; or all."""
    numbers: list[int] = [] if only else list(range(descriptions))
    for part in only.split(",") if only else ():
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def report(tally: Tally) -> None:
    tell(f"\ndescriptions tried: {tally.descriptions}, of them past Merit's client: {tally.past_client}")
    for name, count in sorted(tally.tried.items()):
        tell(f"  {name}: {count}")
    tell(f"refused by client or contract: {tally.refused}")
    tell(f"processes: {tally.processes}; memory at most, MiB: {tally.peak_mib}")
    tell(f"good jobs beside them: {tally.good_jobs}, completed as alone: {tally.good_completed}")
    tell(f"answers of the node, by status: {dict(sorted(tally.answers.items()))}")
    tell(f"processes ended: {tally.ended}")
    tell(f"units lost within the table: {tally.bonds}")
    tell(f"units lost beyond the table: {tally.lost}")
    tell(f"problems: {len(tally.problems)}\nseconds: {tally.seconds:.0f}")


def main() -> int:
    os.environ["OMP_NUM_THREADS"] = "1"
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--descriptions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=25.0, help="after which no further description is written")
    parser.add_argument("--only", default="", help="the number of one description, or of some: 7, or 7-31,90")
    parser.add_argument("--json", type=Path, help="the totals, as a document")
    given = parser.parse_args()
    if kubo() is None:
        tell(f"{MISSING}: no act uses one")
    numbers = numbers_of(given.only, given.descriptions)
    tally = campaign(given.seed, numbers, given.minutes)
    report(tally)
    if given.json:
        given.json.write_text(json.dumps({**vars(tally), "seed": given.seed, "asked": len(numbers)}, indent=1))
    whole = tally.descriptions == len(numbers) and tally.good_completed == tally.good_jobs
    return 0 if whole and not (tally.problems or tally.ended or tally.lost) else 1


if __name__ == "__main__":
    sys.exit(main())
