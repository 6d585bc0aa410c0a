"""Rounds of a real job: chain, aggregator and trainers as processes of their own, timed by what they say."""

import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import mean, median
from typing import Any

from rich.console import Console

from benches.round_cases import Case
from marketplace.cli.demo.cast import Cast, Player, job_document, player
from marketplace.cli.demo.play import Play, Script, Stage
from trainer.data import normalise, read

LONGEST = 900.0  # seconds that the rounds of one case may take
FIRST = 2
"""The first round that counts: the one before loads, and waits for those who join last."""


@dataclass(slots=True)
class Said:
    """What one party said in one round, by kind: Unix seconds, and values."""

    at: dict[str, float] = field(default_factory=dict)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)


class Rounds(Play):
    """A case as a job, played up to the settlement of its last round."""

    def __init__(self, case: Case, rounds: int, out: Console, folder: Path) -> None:
        super().__init__(Script(case.trainers, rounds, "reference", "", True, "", "", 1), out, folder)
        self._case = case
        self._folder = folder
        self._rounds = rounds
        self.said: dict[tuple[str, int], Said] = {}
        self.started: dict[str, float] = {}
        self.ready: dict[str, float] = {}
        """By trainer: seconds from its start until it has joined."""

    def players(self, folder: Path) -> Cast:
        written = self._case.write(folder)
        trainers = []
        for number, source in enumerate(written.trainers, start=1):
            made = player(folder, f"trainer {number}", "honest")
            trainers.append(Player(made.name, made.role, made.identity, made.home, source))
        owner, aggregator = player(folder, "owner", "owner"), player(folder, "aggregator", "aggregator")
        test = normalise(read(str(written.validation), self._case.schema), self._case.schema)
        return Cast(owner, aggregator, trainers, test, written.validation)

    def document(self, players: Cast) -> dict[str, Any]:
        made = job_document(players, rounds=self._rounds, rule="reference", model="cnn")
        return made | {"model": self._case.model, "data": self._case.data, "training": self._case.training}

    def play_rounds(self) -> None:
        """Raises MeritError where a process ends early, TimeoutError."""
        with self.stage() as stage:
            self.start(stage)
            end = time.monotonic() + LONGEST
            while "settled" not in self.of("aggregator", self._rounds).at:
                if time.monotonic() > end:
                    raise TimeoutError(f"{self._case.name}: not over within {LONGEST:g} s: {self._status}")
                self.listen(1.0)

    def start(self, stage: Stage) -> None:
        super().start(stage)
        self.started = {trainer.name: time.time() for trainer in stage.players.trainers}

    def of(self, name: str, round: int) -> Said:
        return self.said.setdefault((name, round), Said())

    def _hear(self, name: str, notice: dict[str, Any]) -> None:
        super()._hear(name, notice)
        said, kind = self.of(name, notice["round"]), notice["kind"]
        at = datetime.fromisoformat(notice["time"]).timestamp()
        said.at.setdefault(kind, at)
        said.values.setdefault(kind, notice["values"])
        if kind == "joined":
            self.ready[name] = at - self.started[name]


def measure(case: Case, rounds: int, out: Console) -> dict[str, Any]:
    """Seconds of a case's rounds, medians over those from FIRST on.

    A round lasts from one settlement to the next; where its sum is announced before, the next one's training begins
    with that. Training is that of the slowest trainer; idle is from the end of a trainer's training to the beginning
    of its next.
    """
    with tempfile.TemporaryDirectory(prefix="merit-round-") as folder:
        played = Rounds(case, rounds, out, Path(folder))
        played.play_rounds()
    names = [f"trainer {number}" for number in range(1, case.trainers + 1)]
    phases: dict[str, list[float]] = {}
    training, whole, overhead, idle = [], [], [], []
    for round in range(FIRST, rounds + 1):
        earlier = played.of("aggregator", round - 1).at
        before = earlier["settled"]
        judge, trainers = played.of("aggregator", round), [played.of(name, round) for name in names]
        took = [said.values["trained"]["seconds"] for said in trainers]
        begun = [said.at["trained"] - seconds for said, seconds in zip(trainers, took, strict=True)]
        marks = {
            "begin": max(begun),
            "train": max(said.at["trained"] for said in trainers),
            "submit": max(said.at["submitted"] for said in trainers),
            "deliver": max(said.at["delivered"] for said in trainers),
        }
        proved, settled = judge.at["proved"], judge.at["settled"]
        parts = judge.values["proved"]["seconds"]
        last = earlier.get("announced", before)
        for name, at in marks.items():
            if name == "submit":  # what was trained on an announced sum waits for its settlement
                phases.setdefault("wait", []).append(max(0.0, before - last))
                last = max(last, before)
            phases.setdefault(name, []).append(at - last)
            last = at
        phases.setdefault("begin to judge", []).append(proved - sum(parts.values()) - last)
        for name, seconds in parts.items():
            phases.setdefault(name, []).append(seconds)
        phases.setdefault("settle", []).append(settled - proved)
        training.append(max(took))
        whole.append(settled - before)
        overhead.append(settled - before - max(took))
        if round > FIRST:
            ended = [played.of(name, round - 1).at["trained"] for name in names]
            idle += [start - end for start, end in zip(begun, ended, strict=True)]
    return {
        "training_seconds": median(training),
        "round_seconds": median(whole),
        "overhead_seconds": median(overhead),
        "idle_seconds": mean(idle),
        "join_seconds": median(played.ready.values()),
        "phases": {name: median(seconds) for name, seconds in phases.items()},
    }
