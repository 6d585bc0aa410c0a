"""How fairly, and how safely, a job pays: `python -m benches.pay [--seeds 5] [--models mlp cnn] [--json FILE]`.

(a) fidelity: pay against exact Shapley values along the trajectory, 8 trainers, 20 rounds. (b) robustness: attacks by 4
of 16 trainers on the digits, 30 rounds. (c) honest: who would be slashed without any attack. Real training and the
rules, rows, sums and points of a real job, in one process each; the CNN's fidelity takes most of the time.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
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


def run(title: str, work: Callable[..., dict[str, Any]], cases: Sequence[tuple[Any, ...]], workers: int) -> Rows:
    """The rows of all cases, in their order, worked on by so many processes."""
    rows: list[dict[str, Any] | None] = [None] * len(cases)
    bars = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ProcessPoolExecutor(workers, initializer=one_thread) as pool, Progress(*bars, transient=True) as progress:
        bar = progress.add_task(title, total=len(cases))
        waiting = {pool.submit(work, *arguments): at for at, arguments in enumerate(cases)}
        for done in as_completed(waiting):
            rows[waiting[done]] = done.result()
            progress.advance(bar)
    return [row for row in rows if row is not None]


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
            document[name] = averaged(run(name, work, cases, chosen.workers), by)
            console.print(table(f"{name}, {chosen.seeds} seeds", document[name]))
    if chosen.json:
        chosen.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
