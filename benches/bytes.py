"""Accuracy by bytes: `python -m benches.bytes [--seeds 5] [--cases digits MNIST] [--json FILE]`.

A job of 4 trainers by rule `reference`, with the rules, rows and sums of a real one, whose updates have 16, 8 or 4 bits
an entry, or only the largest of them. Shown are test accuracy, and the bytes of the files that a trainer sends and
fetches in a round, the median over trainers and rounds; --million adds the same for a model of a million parameters,
for a few rounds. JSON: list of {case, bits, keep, parameters, accuracy, up_bytes, down_bytes}.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from aggregator.sums import weighted_sum
from benches.pay.__main__ import table
from benches.pay.play import UPDATE, Learner, one_thread, play
from benches.pay.tasks import task
from marketplace.domain import Rule
from trainer.config import ModelConfig
from trainer.data.split import iid
from trainer.models import flatten, load_flat
from trainer.quantize import carry_over, lighten, to_integers
from trainer.train import train_round
from zk.encoding import BLINDER_BYTES, POINT_BYTES, Float32s, Int16s, chunks
from zk.files import pack_sum, pack_update

TRAINERS, ROUNDS, MAX_FAULTY, CHUNK = 4, 20, 0, 2**17
WAYS = ((16, 1.0), (8, 1.0), (4, 1.0), (8, 0.1), (4, 0.1), (8, 0.01))
"""Bits and part kept."""


def learner_of(case: str) -> tuple[Any, Learner]:
    data, wanted = task({"digits": "mlp", "MNIST": "cnn", "million": "mlp"}[case], "adam", 1)
    if case == "million":
        wide = ModelConfig(
            architecture="mlp", parameters={"inputs": 64, "hidden": [960, 960], "classes": 10}, seed=wanted.model.seed
        )
        wanted = type(wanted)(wide, wanted.training, wanted.validation, wanted.test)
    return data, Learner(wanted)


def measure(case: str, bits: int, keep: float, seed: int, rounds: int) -> dict[str, Any]:
    data, learner = learner_of(case)
    shards, up, down = iid(data, TRAINERS, seed), list[int](), list[int]()
    left: list[Int16s | None] = [None] * TRAINERS

    def updates(number: int, base: Float32s) -> Sequence[Int16s]:
        sent = []
        for slot, shard in enumerate(shards):
            load_flat(learner.module, base)
            train_round(learner.program, shard, learner.task.training, round=number, seed=100 * seed + slot)
            update = to_integers(flatten(learner.module) - torch.from_numpy(base), UPDATE.scale)
            before = left[slot]
            made = lighten(update if before is None else carry_over(update, before, UPDATE.scale), bits, keep)
            left[slot] = made.left
            sent.append(made.sent)
        return sent

    played = play(learner, Rule.REFERENCE, MAX_FAULTY, rounds, updates)
    d = len(learner.base())
    c = chunks(d, CHUNK)
    opening = bytes(BLINDER_BYTES * c), bytes(POINT_BYTES * c)
    for entry in played.rounds:
        rows = [update for update in entry.updates if update is not None]
        up += [len(pack_update(row, *opening, c)) for row in rows]
        if any(entry.decision.selected):
            down.append(len(pack_sum(weighted_sum(rows, entry.decision.coefficients), *opening, c)))
    return {"parameters": d, "accuracy": played.accuracy, "up_bytes": median(up), "down_bytes": median(down)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cases", nargs="*", choices=["digits", "MNIST"], default=["digits", "MNIST"])
    parser.add_argument("--million", action="store_true", help="also a model of a million parameters, for 5 rounds")
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    one_thread()
    plans = [(case, chosen.seeds, ROUNDS) for case in chosen.cases]
    plans += [("million", 1, 5)] if chosen.million else []
    console, rows = Console(), []
    every = [(*plan, *way) for plan in plans for way in WAYS]
    for case, seeds, rounds, bits, keep in track(every, console=console, transient=True):
        found = [measure(case, bits, keep, seed, rounds) for seed in range(1, seeds + 1)]
        spread = float(np.std([each["accuracy"] for each in found]))
        means = {name: mean(each[name] for each in found) for name in ("parameters", "accuracy")}
        sizes = {name: round(mean(each[name] for each in found)) for name in ("up_bytes", "down_bytes")}
        rows.append({"case": case, "bits": bits, "keep": keep, **means, "spread": spread, **sizes})
    console.print(table(f"accuracy by bytes, {chosen.seeds} seeds", rows))
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
