"""Honest play, and the best that a coalition was found to do with real updates in range and true reference rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from aggregator.points import divide
from benches.pay.attacks import ATTACKS, Attack, Scene, integers, unit
from benches.pay.play import POT, UPDATE, Learner, Played, judge, play
from benches.pay.tasks import task
from marketplace.domain import Rule
from trainer.data import Dataset
from trainer.data.split import iid, together
from zk.encoding import Float32s, Int16s

Floats = np.ndarray

BY_TRAINERS = ("last sum", "three times", "one vector, four times", "one shard, four times, own seeds")
"""What trainers can do by themselves; with the aggregator they also know the others' updates and the data."""

BY_ALL = ("mimic", "validation gradient")


@dataclass(slots=True)
class Stage:
    """One job, to be played again and again. The coalition's trainers have the last slots."""

    rule: Rule
    trainers: int
    max_faulty: int
    rounds: int
    data: str
    seed: int
    learner: Learner = field(init=False)
    shards: Sequence[Dataset] = field(init=False)

    def __post_init__(self) -> None:
        data, wanted = task(self.data, "adam", 1)
        self.learner = Learner(wanted)
        self.shards = iid(data, self.trainers, self.seed)

    def judge(self, base: Float32s, sent: Sequence[Int16s | None], number: int) -> tuple[list[int], Float32s]:
        """(what each balance gains, the model after the round)."""
        _, gains, end = judge(self.learner, self.rule, self.max_faulty, base, sent, number)
        return gains, end

    def play(self, members: int = 0, behave: Attack | None = None, unopened: Sequence[int] = ()) -> Played:
        """behave: what the coalition's trainers send. unopened: slots that the aggregator calls so in every round."""
        honest_count = self.trainers - members
        rng, last = np.random.default_rng(self.seed), list[Float32s]()

        def updates(number: int, base: Float32s) -> list[Int16s | None]:
            honest = [
                self.learner.train(base, self.shards[slot], number, 100 * self.seed + slot)
                for slot in range(honest_count)
            ]
            scene = Scene(
                learner=self.learner,
                number=number,
                base=base,
                honest=honest,
                shards=self.shards[honest_count:],
                last=(base - last[-1]).astype(np.float64) if last else np.zeros(len(base)),
                rng=rng,
                seed=self.seed,
                harm=lambda _: 0.0,
            )
            last.append(base)
            sent = honest + (behave(scene) if behave else [scene.own(slot) for slot in range(members)])
            return [None if slot in unopened else update for slot, update in enumerate(sent)]

        return play(self.learner, self.rule, self.max_faulty, self.rounds, updates)


def responses(stage: Stage, members: int, tries: int) -> Iterator[tuple[bool, Callable[[], Attack | None]]]:
    """(whether it takes the aggregator, what makes the behaviour). Behaviours may keep state: one for each play."""
    yield False, lambda: None
    yield False, lambda: pooled
    for name in BY_TRAINERS:
        yield False, lambda name=name: ATTACKS[name]
    for name in BY_ALL:
        yield True, lambda name=name: ATTACKS[name]
    yield True, lambda: searched(stage, members, tries)


@dataclass(frozen=True, slots=True)
class Best:
    """The response that brought most, to be played again: `make` gives its behaviour anew."""

    played: Played
    make: Callable[[], Attack | None]


def best(stage: Stage, members: int, tries: int) -> tuple[Best, Best]:
    """(of the trainers alone, of them with the aggregator or the owner's data)."""

    def brought(found: Best) -> float:
        return sum(found.played.pay()[stage.trainers - members :])

    alone, together = list[Best](), list[Best]()
    for informed, make in responses(stage, members, tries):
        found = Best(stage.play(members, make()), make)
        together.append(found)
        if not informed:
            alone.append(found)
    return max(alone, key=brought), max(together, key=brought)


def pooled(scene: Scene) -> list[Int16s]:
    """All of them send what one trainer with all their data would."""
    whole = together(scene.shards)
    return [scene.own(0, whole)] * len(scene.shards)


def searched(stage: Stage, members: int, tries: int) -> Attack:
    """In each round, of random mixtures of all that is known, what leaves the coalition with most of the points."""
    balances = [0] * stage.trainers

    def send(scene: Scene) -> list[Int16s]:
        ahead = (scene.base + np.float32(UPDATE.scale) * scene.mean.astype(np.float32)).astype(np.float32)
        known = [
            scene.downhill,
            -unit(scene.learner.validation.gradient(ahead).astype(np.float64)),
            unit(scene.mean),
            unit(scene.own(0).astype(np.float64)),
            unit(scene.last),
        ]
        choices = []
        for number in range(max(tries, len(known))):
            if number < len(known):
                v, length = known[number], 1.0
            else:
                v = unit(sum(x * part for x, part in zip(scene.rng.dirichlet([0.5] * len(known)), known, strict=True)))
                length = 10 ** scene.rng.uniform(-0.5, 1)
            sent = [integers(v * length * scene.norm)] * members
            if sent[0].any():
                gains, _ = stage.judge(scene.base, [*scene.honest, *sent], scene.number)
                after = [balance + gain for balance, gain in zip(balances, gains, strict=True)]
                choices.append((sum(divide(POT, after, [1] * len(after))[-members:]), sent, after))
        _, sent, after = max(choices, key=lambda choice: choice[0])
        balances[:] = after
        return sent

    return send
