"""What coalitions can take: `python -m benches.theft [--seeds 3] [--trainers 3 8 16] [--data digits] [--json FILE]`.

Coalitions of the owner, the aggregator and up to a minority of the trainers play what worked on the first version, and
what is left of it. Jobs are trained for real in one process each, judged and divided as on the chain; decision proofs
are checked at their constraints. A gain is compared with honest play, and with the best that was found for the same
coalition with real updates in range and true rows. Figures are percent of the pot, the largest over the seeds.
"""

import argparse
import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from benches.pay.play import one_thread
from benches.theft.games import Row, case, worst
from marketplace.domain import Rule

FAULTY = {3: 0, 8: 2, 16: 4}
"""max_faulty by trainers, of whom there are 2·max_faulty + 3 at least."""

DATA = {"wine": "wine", "breast cancer": "breast cancer", "digits": "mlp"}


def shown(rows: Sequence[Row]) -> Table:
    table = Table(title="What coalitions gain, in percent of the pot")
    for name in ("game", "rule", "n", "f", "coalition", "unstopped", "vs honest", "vs best", "dispute costs"):
        table.add_column(name)
    table.add_column("stopped by")
    table.add_column("verdict")
    for row in rows:
        cost = "" if row.dispute_costs is None else f"{row.dispute_costs:.2f}"
        figures = [f"{value:+.2f}" for value in (row.unstopped, row.vs_honest, row.vs_best)]
        by = [row.game, row.rule, str(row.trainers), str(row.max_faulty), row.coalition]
        table.add_row(*by, *figures, cost, row.stopped_by, row.verdict)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trainers", nargs="*", type=int, choices=list(FAULTY), default=list(FAULTY))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tries", type=int, default=20, help="mixtures searched in each round")
    parser.add_argument("--data", choices=list(DATA), default="wine")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if chosen.rounds < 2:
        parser.error("a job of one round has no end before its last one: --rounds 2 or more")

    cases = [
        (rule, trainers, FAULTY[trainers], chosen.rounds, DATA[chosen.data], chosen.tries, seed)
        for trainers in chosen.trainers
        for rule in Rule
        for seed in range(1, chosen.seeds + 1)
    ]
    found: dict[int, list[Row]] = {}
    bars = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        ProcessPoolExecutor(chosen.workers, initializer=one_thread) as pool,
        Progress(*bars, transient=True) as progress,
    ):
        bar = progress.add_task("jobs", total=len(cases))
        waiting = {pool.submit(case, *arguments): at for at, arguments in enumerate(cases)}
        for done in as_completed(waiting):
            found[waiting[done]] = done.result()
            progress.advance(bar)
    rows = worst([row for at in sorted(found) for row in found[at]])
    Console().print(shown(rows))
    if chosen.json:
        settings = {"data": chosen.data, "rounds": chosen.rounds, "seeds": chosen.seeds, "tries": chosen.tries}
        listed = [asdict(row) | {"verdict": row.verdict} for row in rows]
        chosen.json.write_text(json.dumps(settings | {"games": listed}, indent=2) + "\n")


if __name__ == "__main__":
    main()
