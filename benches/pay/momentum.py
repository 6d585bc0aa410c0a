"""What the server's momentum brings and costs: `python -m benches.pay.momentum [--seeds 3] [--json FILE]`.

Eight trainers learn the digits for 20 rounds of one local epoch, by both rules, on even and on skewed data. Shown are
test accuracy by round, the first round from which it is 90 %, how many updates of honest trainers are left out, and
what two of eight trainers earn who send the last round's sum again in place of training.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from benches.pay.__main__ import table
from benches.pay.attacks import ATTACKS, Scene
from benches.pay.play import Learner, Played, one_thread, play
from benches.pay.tasks import task
from marketplace.domain import Rule
from trainer.data.split import iid, label_skew
from zk.encoding import Float32s, Int16s

TRAINERS, COPYING, ROUNDS, MAX_FAULTY, WANTED = 8, 2, 20, 2, 0.9
AGAIN = ATTACKS["last sum"]


def job(learner: Learner, rule: Rule, split: str, seed: int, momentum: float, copying: int) -> Played:
    """One job, in whose last `copying` slots trainers send the last sum again."""
    data, rng = task("mlp", "sgd", 1)[0], np.random.default_rng(seed)
    shards = iid(data, TRAINERS, seed) if split == "IID" else label_skew(data, TRAINERS, 0.3, seed, minimum=8)
    honest_count = TRAINERS - copying
    begun: list[Float32s] = []

    def updates(number: int, base: Float32s) -> Sequence[Int16s]:
        honest = [learner.train(base, shards[slot], number, 100 * seed + slot) for slot in range(honest_count)]
        last = (base - begun[-1]).astype(np.float64) if begun else np.zeros(len(base))
        begun.append(base)
        if not copying:
            return honest
        scene = Scene(learner, number, base, honest, shards[honest_count:], last, rng, seed, lambda sent: 0.0)
        return [*honest, *AGAIN(scene)[:copying]]

    return play(learner, rule, MAX_FAULTY, ROUNDS, updates, momentum=momentum)


def case(rule: Rule, split: str, optimizer: str, momentum: float, seeds: Sequence[int]) -> dict[str, Any]:
    learner = Learner(task("mlp", optimizer, 1)[1])
    jobs = [job(learner, rule, split, seed, momentum, 0) for seed in seeds]
    copied = [job(learner, rule, split, seed, momentum, COPYING) for seed in seeds]
    by_round = np.mean([[learner.accuracy(entry.end) for entry in one.rounds] for one in jobs], axis=0)
    out = [not inside for one in jobs for entry in one.rounds for inside in entry.decision.selected]
    return {
        "rule": rule.label,
        "split": split,
        "optimizer": optimizer,
        "momentum": momentum,
        **{f"accuracy_{round}": float(by_round[round - 1]) for round in (5, 10, 20)},
        "rounds_to_90_percent": int(np.argmax(by_round >= WANTED)) + 1 if by_round.max() >= WANTED else None,
        "honest_left_out_percent": 100 * mean(out),
        "last_sum_again_pay_percent": 100 * mean(sum(one.pay()[-COPYING:]) for one in copied),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--momenta", type=float, nargs="*", default=[0.0, 0.3, 0.5, 0.7, 0.9])
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    one_thread()
    seeds, console = range(1, chosen.seeds + 1), Console()
    cases = [
        (rule, split, optimizer, momentum)
        for rule in (Rule.REFERENCE, Rule.KRUM_COSINE)
        for split in ("IID", "label skew")
        for optimizer in ("sgd", "adam")
        for momentum in chosen.momenta
    ]
    found = [case(*each, seeds) for each in track(cases, console=console, transient=True)]
    console.print(table(f"the server's momentum, {chosen.seeds} seeds", found))
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
