"""Plays examples as whole jobs: `python -m examples.run [--only NAME] [--json FILE] [--seed 1]`.

Every party is a process of its own on an own Anvil, as its user would start it (marketplace.cli.demo.play). The job's
model is then held against the same training on all trainers' data together, and on each trainer's alone.
"""

import argparse
import importlib
import json
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from examples.kit import Parts
from marketplace.cli.demo.cast import Cast, player
from marketplace.cli.demo.outcome import Outcome
from marketplace.cli.demo.play import Play, Script, Stage
from marketplace.files import write_atomically
from marketplace.services.openings import LARGE, SMALL
from marketplace.services.owner import Base, take_base
from marketplace.services.programs import find_files, job_program
from marketplace.spec import JobFile, read_job_file
from marketplace.storage import get_bytes, open_storage
from marketplace.units import format_metric
from trainer.data import PLAIN, DataOptions, Dataset, load, tokenizer_files
from trainer.data.split import together
from trainer.train import evaluate, train_round

HERE = Path(__file__).parent
SAME = 1e-4  # how far apart the losses of a model in two libraries may be, relative
POINTS, PART = 0.02, 0.05  # how far from the pooled training a metric may be: of what is a part of one, and relative


def names() -> list[str]:
    """All examples, in the order of their names."""
    return sorted(path.parent.name for path in HERE.glob("*/data.py"))


@dataclass(frozen=True, slots=True)
class Measured:
    """One example's row. metric, pooled, alone: on the test data; bytes: of a trainer and round, in storage.

    audited, opened: the last loss on the validation data as the audit found it, and as another library finds it that
    has opened the model's folder; None where the example does not show that.
    """

    name: str
    metric: str
    share: bool
    value: float
    pooled: float
    alone: list[float]
    higher: bool
    parameters: int
    rounds: int
    seconds: float
    bytes_up: int
    bytes_down: int
    pay: list[int]
    audit_ok: bool
    refused: list[str]
    audited: float
    opened: float | None

    @property
    def good(self) -> bool:
        """Audited, near the training on all data, and better than who trains alone."""
        sign = 1 if self.higher else -1
        allowed = POINTS if self.share else PART * abs(self.pooled)
        near = sign * (self.value - self.pooled) >= -allowed
        same = self.opened is None or abs(self.opened - self.audited) <= SAME * self.audited
        return self.audit_ok and same and near and sign * (self.value - mean(self.alone)) > 0

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "metric_name": self.metric,
            "metric": self.value,
            "pooled": self.pooled,
            "alone": self.alone,
            "alone_mean": mean(self.alone),
            "parameters": self.parameters,
            "rounds": self.rounds,
            "seconds": round(self.seconds, 1),
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
            "pay_wei": self.pay,
            "audit_ok": self.audit_ok,
            "good": self.good,
            "refused": self.refused,
            "audited_loss": self.audited,
            "opened_loss": self.opened,
        }


class Example(Play):
    """One example on a stage of its own."""

    def __init__(self, name: str, seed: int, out: Console, folder: Path) -> None:
        self.name, self._folder = name, HERE / name
        written = yaml.safe_load((self._folder / "job.yaml").read_text("utf-8"))
        rounds = int(written["market"]["rounds"])
        super().__init__(Script(3, rounds, "reference", "", True, "", "", seed), out, folder)
        self._written: dict[str, Any] = written
        self.parts: Parts | None = None
        self.job: JobFile | None = None
        self.refused: list[str] = []
        self.opened: float | None = None
        self._data = importlib.import_module(f"examples.{self.name}.data")

    def _outcome(self, stage: Stage, started: float) -> Outcome:
        outcome, folder = super()._outcome(stage, started), stage.folder
        if hasattr(self._data, "opened"):
            options = ["--output", str(folder / "result.safetensors"), "--folder", str(folder / "result")]
            self._call(stage.players.owner, stage.environment, "job", "model", str(stage.job_id), *options)
            self.opened = self._data.opened(folder / "result", self.read(str(stage.players.validation)))
        return outcome

    def players(self, folder: Path) -> Cast:
        data = folder / "data"
        data.mkdir()
        self.parts = parts = self._data.make(data, self._script.seed)
        trainers = []
        for number, source in enumerate(parts.trainers, start=1):
            given = player(folder, f"trainer {number}", "honest")
            arguments = as_arguments(parts.options[number - 1]) if parts.options else ()
            one = replace(given, data=Path(source), options=arguments)
            if parts.own:
                own = parts.own[number - 1]
                options = (*arguments, f"--with={own.function}")
                one = replace(one, options=options, python=own.python, path=(HERE.parent, self._folder))
            trainers.append(one)
        owner, aggregator = player(folder, "owner", "owner"), player(folder, "aggregator", "aggregator")
        for path in self._folder.iterdir():  # what job.yaml names lies beside it
            if path.suffix not in (".py", ".md", ".yaml") and path.is_file():
                (folder / path.name).write_bytes(path.read_bytes())
        cast = Cast(owner, aggregator, trainers, Dataset({}, None), Path(parts.validation))
        write = folder / "example.yaml"
        write.write_text(yaml.safe_dump(self.document(cast), sort_keys=False), "utf-8")
        self.job = job = read_job_file(write)
        self.files = find_files(job, lambda name: folder / name)
        self.refused = [_refusal(job, source) for source in parts.refused]
        self._cast = Cast(owner, aggregator, trainers, self.read(parts.test), Path(parts.validation), parts.base)
        return self._cast

    def document(self, players: Cast) -> dict[str, Any]:
        identity = players.aggregator.identity
        aggregator = {"address": identity.address, "encryption_key": "0x" + identity.encryption_key.hex()}
        seats = {"min_trainers": len(players.trainers), "max_trainers": len(players.trainers)}
        return self._written | {"market": self._written["market"] | seats | {"aggregator": aggregator}}

    def read(self, source: str, options: DataOptions = PLAIN) -> Dataset:
        """A source as a trainer's node reads it: checked and normalised."""
        assert self.job is not None  # noqa: S101 (the parties have been made)
        return load(source, self.job.data, options, tokenizer_files(self.files, self.job.data))

    def measured(self, outcome: Outcome, seconds: float) -> Measured:
        """The job's model beside the same training on all data, and on each trainer's alone."""
        assert self.parts is not None  # noqa: S101
        assert self.job is not None  # noqa: S101
        options = self.parts.options or [PLAIN] * len(self.parts.trainers)
        own = [self.read(source, how) for source, how in zip(self.parts.trainers, options, strict=True)]
        test = self.read(self.parts.test)
        last = outcome.scores[-1]
        program = job_program(self.job, self.files)
        return Measured(
            self.name,
            last.name,
            last.share,
            last.value,
            self.trained(together(own), test),
            [self.trained(part, test) for part in own],
            last.name == "loss" or program.task is None or program.task.metric(self.job.judged.metric).higher,
            outcome.parameters,
            len(outcome.history.settled),
            seconds,
            *self._bytes(outcome),
            [row["wei"] for row in outcome.payouts().values()],
            outcome.audit_ok,
            self.refused,
            outcome.audit["found"][-1]["loss"],
            self.opened,
        )

    def _bytes(self, outcome: Outcome) -> tuple[int, int]:
        """What a trainer puts into storage in a round, its update's two files; and what it gets, a round's sum."""
        assert self._keep is not None  # noqa: S101
        works = {path.parent for trainer in self._cast.trainers for path in trainer.home.rglob(LARGE)}
        up = max((work / LARGE).stat().st_size + (work / SMALL).stat().st_size for work in works)
        settlement = outcome.history.settled[max(outcome.history.settled)].settlement
        storage = open_storage(f"folder:{self._keep / 'storage'}", timeout=60)
        return up, len(get_bytes(storage, settlement.sum_cid, max_bytes=2**31))

    def trained(self, data: Dataset, test: Dataset) -> float:
        """The metric on `test` of the job's program after as many rounds of training on `data`."""
        assert self.job is not None  # noqa: S101
        program = job_program(self.job, self.files)
        if self.parts and self.parts.base:
            take_base(Base(self.parts.base), program.module)
        for round in range(1, self._script.rounds + 1):
            train_round(program, data, self.job.training, round=round, seed=self._script.seed, schema=self.job.data)
        task = program.task
        return evaluate(program, test, task.metric(self.job.judged.metric) if task else None).value


def as_arguments(options: DataOptions) -> tuple[str, ...]:
    """The same on the command line."""
    given = options.model_dump(exclude_defaults=True)
    mapped = [f"--map={name}={column}" for name, column in given.pop("map", {}).items()]
    flags = ["--skip-bad"] if given.pop("skip_bad", False) else []
    return (*mapped, *flags, *(f"--{name}={value}" for name, value in given.items()))


def _refusal(job: JobFile, source: str) -> str:
    try:
        load(source, job.data)
    except ValueError as error:
        return str(error).replace(str(Path(source).parent) + "/", "")
    return ""


def play(name: str, seed: int, out: Console) -> Measured:
    """Plays an example and measures it. Raises MeritError where it cannot be played."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="merit-example-") as folder:
        example = Example(name, seed, out, Path(folder))
        outcome = example.play()
        return example.measured(outcome, time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=names(), default=names())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    out, rows = Console(), []
    for name in chosen.only:
        out.rule(name)
        rows.append(play(name, chosen.seed, out))
        if chosen.json:  # after each: the next may fail
            write_atomically(chosen.json, json.dumps([row.document() for row in rows], indent=2).encode(), mode=0o644)
    out.print(table(rows))
    sys.exit(0 if all(row.good and all(row.refused) for row in rows) else 1)


def table(rows: list[Measured]) -> Table:
    shown = Table(title="The job's model beside the same training on all data, and on one trainer's alone")
    for header in ("example", "metric", "job", "all data", "alone", "rounds", "seconds", "up", "down", "audit"):
        shown.add_column(header)
    for row in rows:
        values = [row.value, row.pooled, mean(row.alone)]
        sizes = [f"{size / 1e6:.2f} MB" for size in (row.bytes_up, row.bytes_down)]
        told = "OK" if row.audit_ok else "FAILED"
        cells = [*(format_metric(value, share=row.share) for value in values), str(row.rounds), f"{row.seconds:.0f}"]
        shown.add_row(
            row.name, row.metric, *cells, *sizes, told if row.good else f"{told}, not as good as it should be"
        )
    return shown


if __name__ == "__main__":
    main()
