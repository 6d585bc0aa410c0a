"""How fairly, and how safely, a job pays: `python -m benches.pay [--seeds 5] [--models mlp cnn] [--json FILE]
[--finished FILE]`.

(a) fidelity: pay against exact Shapley values along the trajectory, 8 trainers, 20 rounds. (b) robustness: attacks by 4
of 16 trainers on the digits, 30 rounds. (c) honest: who would be slashed without any attack. Real training and the
rules, rows, sums and points of a real job, in one process each; the CNN's fidelity takes most of the time.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from benches.pay import fidelity, robustness
from benches.pay.attacks import ATTACKS
from benches.pay.play import one_thread

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Finished:
    """Cases that are done, a JSON line each in a file, so that a run goes on where another was cut off."""

    path: Path | None

    def rows(self, part: str) -> dict[str, dict[str, Any]]:
        """By the `key` of the case."""
        lines = self.path.read_text().splitlines() if self.path and self.path.is_file() else []
        done = [json.loads(line) for line in lines]
        return {self.key(each["arguments"]): each["row"] for each in done if each["part"] == part}

    def add(self, part: str, arguments: tuple[Any, ...], row: dict[str, Any]) -> None:
        if self.path:
            with self.path.open("a") as file:
                file.write(json.dumps({"part": part, "arguments": arguments, "row": row}) + "\n")

    @staticmethod
    def key(arguments: Sequence[Any]) -> str:
        return json.dumps(arguments)


def run(
    part: str, work: Callable[..., dict[str, Any]], cases: Sequence[tuple[Any, ...]], workers: int, finished: Finished
) -> Rows:
    """The rows of all cases, in their order, worked on by so many processes."""
    done = finished.rows(part)
    bars = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ProcessPoolExecutor(workers, initializer=one_thread) as pool, Progress(*bars, transient=True) as progress:
        left = [arguments for arguments in cases if Finished.key(arguments) not in done]
        waiting = {pool.submit(work, *arguments): arguments for arguments in left}
        bar = progress.add_task(part, total=len(waiting))
        for each in as_completed(waiting):
            done[Finished.key(waiting[each])] = each.result()
            finished.add(part, waiting[each], each.result())
            progress.advance(bar)
    return [done[Finished.key(arguments)] for arguments in cases]


def averaged(rows: Rows, by: Sequence[str]) -> Rows:
    """One row for each combination of `by`: the means of all figures over the seeds."""
    groups: dict[tuple[Any, ...], Rows] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    figures = [name for name in (rows[0] if rows else {}) if name not in (*by, "seed")]
    return [
        dict(zip(by, key, strict=True)) | {name: mean(row[name] for row in group) for name in figures}
        for key, group in groups.items()
    ]


def table(title: str, rows: Rows) -> Table:
    shown = Table(title=title)
    for name in rows[0] if rows else ():
        shown.add_column(name.replace("_", " "))
    for row in rows:
        shown.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", nargs="*", choices=["mlp", "cnn"], default=["mlp", "cnn"])
    parser.add_argument("--attacks", nargs="*", choices=list(ATTACKS), default=list(ATTACKS))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--finished", type=Path, help="a line for each finished case; those that are there are not run")
    chosen = parser.parse_args()
    seeds, console = range(1, chosen.seeds + 1), Console()

    parts = {
        "fidelity": (fidelity.case, list(fidelity.cases(chosen.models, seeds)), ("case", "rule")),
        "robustness": (robustness.case, list(robustness.cases(chosen.attacks, seeds)), ("rule", "split", "attack")),
        "honest": (robustness.honest_case, list(robustness.honest_cases(seeds)), ("data", "split", "optimizer")),
    }
    document: dict[str, Rows] = {}
    for name, (work, cases, by) in parts.items():
        if cases:
            document[name] = averaged(run(name, work, cases, chosen.workers, Finished(chosen.finished)), by)
            console.print(table(f"{name}, {chosen.seeds} seeds", document[name]))
    if chosen.json:
        chosen.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
