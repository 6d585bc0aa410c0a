"""How far pay is from what each trainer brought: exact Shapley values along the trajectory that was played.

The game of a round: a trainer that is absent adds a zero update. v(S) is the validation loss that the round's step
takes away when only S's updates are in it, all else (selection, coefficients, number selected, base) being as it was.
"""

from collections.abc import Iterator, Sequence
from math import factorial
from typing import Any

import numpy as np

from aggregator.rules import UNIT
from benches.pay.play import RATE, UPDATE, Learner, Played, Round, play
from benches.pay.tasks import task
from marketplace.domain import Rule
from trainer.data import Dataset
from trainer.data.split import iid, label_skew

TRAINERS = 8
ROUNDS = 20
MAX_FAULTY = 2
SPLITS = ("IID unequal", "Dirichlet 0.3", "label noise")
NOISE = 0.1  # more in each trainer's labels than in those of the one before


def shards(split: str, data: Dataset, seed: int) -> list[Dataset]:
    """The trainers' data."""
    rng = np.random.default_rng(seed)
    if split == "IID unequal":
        sizes = np.cumsum(np.arange(1, TRAINERS) * len(data) // sum(range(1, TRAINERS + 1)))
        return [data[part] for part in np.split(rng.permutation(len(data)), sizes)]
    if split == "Dirichlet 0.3":
        return label_skew(data, TRAINERS, 0.3, seed, minimum=8)
    classes = int(data.y.max()) + 1
    noisy = []
    for number, part in enumerate(iid(data, TRAINERS, seed)):
        wrong = rng.random(len(part)) < NOISE * number
        labels = np.where(wrong, rng.integers(0, classes, len(part)), part.y)
        noisy.append(Dataset(part.inputs, labels.astype(np.int64)))
    return noisy


def shapley(worth: Sequence[float], players: int) -> np.ndarray:
    """Exact Shapley values float64[players]. worth: of each coalition, by its mask."""
    v, members = np.asarray(worth), np.arange(1 << players)
    sizes = np.array([mask.bit_count() for mask in range(1 << players)])
    weight = np.array([factorial(s) * factorial(players - s - 1) / factorial(players) for s in range(players)])
    values = np.empty(players)
    for player in range(players):
        without = members[members >> player & 1 == 0]
        values[player] = (weight[sizes[without]] * (v[without | 1 << player] - v[without])).sum()
    return values


def worths(learner: Learner, rule: Rule, entry: Round) -> list[float]:
    """v(S) by mask."""
    chosen = [slot for slot, inside in enumerate(entry.decision.selected) if inside]
    factor = RATE * UPDATE.scale / (UNIT[rule] * max(1, len(chosen)))
    steps = [np.zeros(len(entry.base))]  # by the mask of those of the selected that are in the coalition
    for slot in chosen:
        own = np.asarray(entry.updates[slot], np.float64) * entry.decision.coefficients[slot] * factor
        steps += [step + own for step in steps]
    losses = learner.losses(np.array([entry.base + step for step in steps], np.float32))
    return [
        losses[0] - losses[sum((mask >> slot & 1) << at for at, slot in enumerate(chosen))]
        for mask in range(1 << len(entry.updates))
    ]


def misallocated(paid: Sequence[float], brought: Sequence[float]) -> float:
    """The part of the pot, in percent, that is with others than those who brought it."""
    fair = np.maximum(0, brought)
    if fair.sum() == 0:
        return 0.0
    return float(50 * np.abs(np.asarray(paid) - fair / fair.sum()).sum())


def job(model: str, split: str, optimizer: str, epochs: int, rule: Rule, seed: int) -> tuple[Learner, Played]:
    """One job of honest trainers."""
    data, wanted = task(model, optimizer, epochs)
    learner, parts = Learner(wanted), shards(split, data, seed)
    return learner, play(
        learner,
        rule,
        MAX_FAULTY,
        ROUNDS,
        lambda round, base: [learner.train(base, part, round, 100 * seed + slot) for slot, part in enumerate(parts)],
    )


def case(model: str, split: str, optimizer: str, epochs: int, rule: Rule, seed: int) -> dict[str, Any]:
    """One job; misallocated_percent by points, and by equal pots for all rounds, as version 1 had them."""
    learner, played = job(model, split, optimizer, epochs, rule, seed)
    brought = sum(shapley(worths(learner, rule, entry), TRAINERS) for entry in played.rounds)
    equal = np.zeros(TRAINERS)
    for entry in played.rounds:
        gains = np.maximum(0, np.array(entry.gains, float))
        equal += gains / gains.sum() / ROUNDS if gains.sum() else 0
    return {
        "case": f"{model}, {split}, {optimizer}, {epochs} local epoch{'s' * (epochs > 1)}",
        "rule": rule.label,
        "seed": seed,
        "misallocated_percent": misallocated(played.pay(), list(brought)),
        "equal_pots_percent": misallocated(list(equal), list(brought)),
        "accuracy": played.accuracy,
    }


def cases(models: Sequence[str], seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """The arguments of `case`, seed by seed."""
    for seed in seeds:
        for model in models:
            for split in SPLITS:
                for optimizer in ("sgd", "adam"):
                    for epochs in (1, 5):
                        for rule in Rule:
                            yield model, split, optimizer, epochs, rule, seed
