"""Whole rounds, and what they take beside training: `python -m benches.round [--flower] [--json FILE]`.

Merit's chain, storage, aggregator and trainers are real processes of one job for each case, proofs and settlements
included; with --flower the same model, data and local training are then run by Flower's simulation with as many
clients, in the environment of requirements-flower.lock. Overhead is the time of a round less the training of its
slowest trainer, the median over all rounds but the first. The JSON is a list of {case, training_seconds,
overhead_seconds: {merit, flower}, ratio, ...}.
"""

import argparse
import json
import os
import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benches import round_merit
from benches.round_cases import CASES, Case

ROOT = Path(__file__).parent.parent
FLOWER = ROOT / ".venv-flower" / "bin" / "python"


def flower(case: Case, rounds: int) -> dict[str, float]:
    """Seconds of Flower's rounds, as `round_merit.measure` has Merit's."""
    with tempfile.TemporaryDirectory(prefix="merit-flower-") as folder:
        written, result = case.write(Path(folder)), Path(folder) / "result.json"
        command = [str(FLOWER), "-m", "benches.round_flower", str(written.case), str(rounds), str(result)]
        environment = os.environ | {"RAY_worker_niceness": "0", "FLWR_TELEMETRY_ENABLED": "0", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode or not result.exists():
            raise RuntimeError(f"Flower's rounds of {case.name} failed:\n{done.stderr[-3000:]}")
        seen = json.loads(result.read_text())
    begun, slowest = seen["begun"], seen["slowest"]
    whole = [later - earlier for earlier, later in pairwise(begun)]
    rest = slice(round_merit.FIRST - 1, None)
    return {
        "training_seconds": median(slowest[rest]),
        "round_seconds": median(whole[rest]),
        "overhead_seconds": median(all - trained for all, trained in zip(whole[rest], slowest[rest], strict=True)),
    }


def measure(case: Case, rounds: int, beside: bool, out: Console) -> dict[str, Any]:
    merit = round_merit.measure(case, rounds, out)
    row: dict[str, Any] = {"case": case.name, "trainers": case.trainers, "rounds": rounds}
    row |= {"training_seconds": merit["training_seconds"], "overhead_seconds": {"merit": merit["overhead_seconds"]}}
    if beside:
        found = flower(case, rounds)
        row["overhead_seconds"]["flower"] = found["overhead_seconds"]
        row["flower_training_seconds"] = found["training_seconds"]
        row["ratio"] = merit["overhead_seconds"] / found["overhead_seconds"]
    return row | {name: merit[name] for name in ("round_seconds", "idle_seconds", "join_seconds", "phases")}


def tables(rows: list[dict[str, Any]]) -> list[Table]:
    whole = Table(title="seconds of a round")
    for header in ("case", "trainers", "training", "overhead", "Flower's", "ratio", "idle", "until joined"):
        whole.add_column(header, justify="left" if header == "case" else "right")
    parts = Table(title="seconds by phase")
    parts.add_column("case")
    for header in rows[0]["phases"]:
        parts.add_column(header, justify="right")
    for row in rows:
        overhead = row["overhead_seconds"]
        beside = [f"{overhead['flower']:.2f}", f"{row['ratio']:.1f}"] if "flower" in overhead else ["", ""]
        told = [f"{row['training_seconds']:.2f}", f"{overhead['merit']:.2f}", *beside]
        told += [f"{row['idle_seconds']:.2f}", f"{row['join_seconds']:.1f}"]
        whole.add_row(row["case"], str(row["trainers"]), *told)
        parts.add_row(row["case"], *(f"{seconds:.2f}" for seconds in row["phases"].values()))
    return [whole, parts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--flower", action="store_true", help="beside Flower's simulation (make .venv-flower/.ready)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    if options.flower and not FLOWER.exists():
        parser.error("Flower is not installed: make .venv-flower/.ready")
    out = Console()
    rows = []
    for name in options.cases:
        out.rule(name)
        rows.append(measure(CASES[name], options.rounds, options.flower, out))
    for table in tables(rows):
        out.print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
