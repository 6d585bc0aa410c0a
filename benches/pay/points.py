"""At how many points of a step the second row should be taken: `python -m benches.pay.points --model cnn --split
"Dirichlet 0.3" --optimizer adam --epochs 5 [--seed 1] [--points 3 5 9 17 33] [--json FILE]`.

One job is played once; pay by the loss decrease along each step, integrated by Simpson's rule at so many points, is
held against exact Shapley values of the same rounds (benches/pay/fidelity.py).
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from aggregator.rules import UNIT
from benches.pay import fidelity
from benches.pay.__main__ import table
from benches.pay.play import RATE, UPDATE, Learner, Round, one_thread
from marketplace.domain import Rule

RULE = Rule.REFERENCE
Floats = np.ndarray


def weights(points: int) -> Floats:
    """Simpson's rule on 0 … 1 at an odd number of points, float64."""
    found = np.where(np.arange(points) % 2, 4.0, 2.0)
    found[[0, -1]] = 1
    return found / found.sum()


def brought(learner: Learner, entry: Round, points: int) -> Floats:
    """The loss that each slot's part of a round's step takes away, integrated at so many points; float64[slots]."""
    chosen = [slot for slot, inside in enumerate(entry.decision.selected) if inside]
    base, end = entry.base.astype(np.float64), entry.end.astype(np.float64)
    u = np.zeros(len(base))
    for at, weight in zip(np.linspace(0, 1, points), weights(points), strict=True):
        u -= weight * learner.validation.gradient((base + at * (end - base)).astype(np.float32))
    found = np.zeros(len(entry.updates))
    for slot in chosen:
        step = np.asarray(entry.updates[slot], np.float64) * entry.decision.coefficients[slot]
        found[slot] = step @ u * RATE * UPDATE.scale / (UNIT[RULE] * len(chosen))
    return found


def rows(learner: Learner, rounds: list[Round], points: list[int]) -> list[dict[str, Any]]:
    """By number of points, misallocated_percent."""
    truth = sum(fidelity.shapley(fidelity.worths(learner, RULE, entry), fidelity.TRAINERS) for entry in rounds)
    shown = []
    for count in points:
        paid = np.maximum(0, sum(brought(learner, entry, count) for entry in rounds))
        shown.append({"points": count, "misallocated_percent": fidelity.misallocated(paid / paid.sum(), list(truth))})
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=["mlp", "cnn"], default="mlp")
    parser.add_argument("--split", choices=fidelity.SPLITS, default="Dirichlet 0.3")
    parser.add_argument("--optimizer", choices=["sgd", "adam"], default="adam")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--points", type=int, nargs="*", default=[3, 5, 9, 17])
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    one_thread()
    learner, played = fidelity.job(chosen.model, chosen.split, chosen.optimizer, chosen.epochs, RULE, chosen.seed)
    found = rows(learner, played.rounds, chosen.points)
    Console().print(table(f"{chosen.model}, {chosen.split}, {chosen.optimizer}, {chosen.epochs} epochs", found))
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
