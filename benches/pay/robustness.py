"""What attacks do to accuracy, to the honest, and what they are paid: 16 trainers of which 4 are bad."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benches.pay.attacks import ATTACKS, Scene
from benches.pay.play import Learner, judge, play
from benches.pay.tasks import task
from marketplace.domain import Rule
from trainer.data.split import iid, label_skew
from zk.encoding import Float32s, Int16s

TRAINERS, BAD, ROUNDS, MAX_FAULTY, MAX_STRIKES, EPOCHS = 16, 4, 30, 4, 3, 3
HONEST = TRAINERS - BAD
SPLITS = ("IID", "label skew")


def case(split: str, attack: str, rule: Rule, seed: int) -> dict[str, Any]:
    """One job on the digits; the bad have the last slots, and data of their own as the honest have."""
    data, wanted = task("mlp", "adam", EPOCHS)
    learner, rng = Learner(wanted), np.random.default_rng(seed)
    shards = iid(data, TRAINERS, seed) if split == "IID" else label_skew(data, TRAINERS, 0.3, seed, minimum=8)
    behave = ATTACKS[attack]
    last: list[Float32s] = []

    def updates(number: int, base: Float32s) -> list[Int16s]:
        honest = [learner.train(base, shards[slot], number, 100 * seed + slot) for slot in range(HONEST)]
        scene = Scene(
            learner=learner,
            number=number,
            base=base,
            honest=honest,
            shards=shards[HONEST:],
            last=(base - last[-1]).astype(np.float64) if last else np.zeros(len(base)),
            rng=rng,
            seed=seed,
            harm=lambda sent: learner.loss(judge(learner, rule, MAX_FAULTY, base, [*honest, *sent], number)[2]),
        )
        last.append(base)
        return honest + (behave(scene) if behave else [scene.own(slot) for slot in range(BAD)])

    played = play(learner, rule, MAX_FAULTY, ROUNDS, updates)
    pay = played.pay()
    out = [not inside for entry in played.rounds for inside in entry.decision.selected[:HONEST]]
    struck = [strikes >= MAX_STRIKES for strikes in played.strikes[:HONEST]]
    return {
        "rule": rule.label,
        "split": split,
        "attack": attack,
        "seed": seed,
        "accuracy": played.accuracy,
        "honest_left_out_percent": 100 * float(np.mean(out)),
        "honest_ejected_percent": 100 * float(np.mean(struck)),
        "attackers_pay_percent": 100 * sum(pay[HONEST:]),
    }


def honest_case(name: str, split: str, optimizer: str, seed: int) -> dict[str, Any]:
    """Four honest trainers by the rule `reference`: whether anybody reaches the strikes of the default terms."""
    data, wanted = task("mlp" if name == "digits" else name, optimizer, 1)
    learner = Learner(wanted)
    shards = iid(data, 4, seed) if split == "IID" else label_skew(data, 4, 0.3, seed, minimum=4)
    played = play(
        learner,
        Rule.REFERENCE,
        0,
        ROUNDS,
        lambda number, base: [learner.train(base, part, number, 100 * seed + slot) for slot, part in enumerate(shards)],
    )
    struck = [strikes >= MAX_STRIKES for strikes in played.strikes]
    return {
        "data": name,
        "split": split,
        "optimizer": optimizer,
        "seed": seed,
        "accuracy": played.accuracy,
        "honest_ejected_percent": 100 * float(np.mean(struck)),
    }


def cases(attacks: Sequence[str], seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """The arguments of `case`, seed by seed."""
    for seed in seeds:
        for rule in Rule:
            for split in SPLITS:
                for attack in attacks:
                    yield split, attack, rule, seed


def honest_cases(seeds: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """The arguments of `honest_case`, seed by seed."""
    for seed in seeds:
        for name in ("breast cancer", "wine", "digits"):
            for split in SPLITS:
                for optimizer in ("sgd", "adam"):
                    yield name, split, optimizer, seed
