"""What bad trainers send. Each knows all honest updates of its round, and the base; some the validation gradient.

An attack turns a round into the updates int16[d] of its trainers. Names are those of the literature where there is one:
ALIE is Baruch et al. 2019 (arXiv:1902.06156), inner-product manipulation Xie et al. 2020 (arXiv:1903.03936).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benches.pay.play import Learner
from trainer.data import Dataset
from trainer.data.split import iid
from zk.encoding import LIMIT, Float32s, Int16s

Floats = np.ndarray


@dataclass(slots=True)
class Scene:
    """A round as its attackers see it. honest: their colleagues' updates; shards: the attackers' own data; last: the
    step of the round before, float64[d], zeros in round 1; harm: the validation loss after a round in which they send
    this."""

    learner: Learner
    number: int
    base: Float32s
    honest: Sequence[Int16s]
    shards: Sequence[Dataset]
    last: Floats
    rng: np.random.Generator
    seed: int
    harm: Callable[[Sequence[Int16s]], float]

    @property
    def mean(self) -> Floats:
        return np.mean([row.astype(np.float64) for row in self.honest], axis=0)

    @property
    def deviation(self) -> Floats:
        return np.std([row.astype(np.float64) for row in self.honest], axis=0)

    @property
    def norm(self) -> float:
        """The median norm of the honest."""
        return float(np.median([np.linalg.norm(row.astype(np.float64)) for row in self.honest]))

    @property
    def downhill(self) -> Floats:
        """The direction of v0, of length 1; zeros where there is none."""
        return unit(-self.learner.validation.gradient(self.base).astype(np.float64))

    def own(self, slot: int, data: Dataset | None = None, seed: int | None = None) -> Int16s:
        """What an attacker would send if it were honest."""
        seed = 100 * self.seed + 50 + slot if seed is None else seed
        return self.learner.train(self.base, data or self.shards[slot], self.number, seed)


Attack = Callable[[Scene], list[Int16s]]


def unit(v: Floats) -> Floats:
    length = float(np.linalg.norm(v))
    return v / length if length else v


def integers(v: Floats) -> Int16s:
    return np.clip(np.rint(v), -LIMIT, LIMIT).astype(np.int16)


def _all(scene: Scene, v: Floats) -> list[Int16s]:
    return [integers(v)] * len(scene.shards)


def _best(scene: Scene, choices: Sequence[Floats]) -> list[Int16s]:
    """The choice after which the model is worst."""
    return max((_all(scene, choice) for choice in choices), key=scene.harm)


def _alie(z: float) -> Attack:
    return lambda scene: _all(scene, scene.mean - z * scene.deviation)


def _alie_optimised(scene: Scene) -> list[Int16s]:
    return _best(scene, [scene.mean - z * scene.deviation for z in (0.25, 0.5, 1, 1.5, 2, 3, 5)])


def _inner_product(epsilon: float) -> Attack:
    return lambda scene: _all(scene, -epsilon * scene.mean)


def _inner_product_optimised(scene: Scene) -> list[Int16s]:
    return _best(scene, [-epsilon * scene.mean for epsilon in (0.1, 0.25, 0.5, 1, 2, 5, 10)])


def _sign_flip(scene: Scene) -> list[Int16s]:
    return [integers(-scene.own(slot).astype(np.float64)) for slot in range(len(scene.shards))]


def _noise(of_norm_one: bool) -> Attack:
    def send(scene: Scene) -> list[Int16s]:
        sent = []
        for _ in scene.shards:
            v = unit(scene.rng.standard_normal(len(scene.base)))
            if of_norm_one:
                row = np.zeros(len(scene.base), np.int16)
                row[int(np.abs(v).argmax())] = 1 if v[int(np.abs(v).argmax())] > 0 else -1
                sent.append(row)
            else:
                sent.append(integers(v * scene.norm))
        return sent

    return send


def _label_flip(scene: Scene) -> list[Int16s]:
    most = int(scene.learner.task.validation.y.max())
    return [scene.own(slot, Dataset(data.inputs, most - data.y)) for slot, data in enumerate(scene.shards)]


def _mimic(scene: Scene) -> list[Int16s]:
    return [scene.honest[0]] * len(scene.shards)


def _adaptive(scene: Scene) -> list[Int16s]:
    """Against the mean, and turned just far enough along v0 to be selected."""
    away, downhill = -scene.mean, scene.downhill
    across = unit(away - (away @ downhill) * downhill)
    return _best(scene, [scene.norm * (across + along * downhill) for along in (0.01, 0.05, 0.2)])


def _threefold(scene: Scene) -> list[Int16s]:
    return [integers(3.0 * scene.own(slot).astype(np.float64)) for slot in range(len(scene.shards))]


def _zeros(scene: Scene) -> list[Int16s]:
    return _all(scene, np.zeros(len(scene.base)))


def _last_sum(scene: Scene) -> list[Int16s]:
    if not scene.last.any():
        return [scene.own(slot) for slot in range(len(scene.shards))]
    return _all(scene, scene.norm * unit(scene.last))


def _validation_gradient(scene: Scene) -> list[Int16s]:
    return _all(scene, scene.norm * scene.downhill)


def _one_vector(scene: Scene) -> list[Int16s]:
    return [scene.own(0)] * len(scene.shards)


def _one_shard(scene: Scene) -> list[Int16s]:
    return [scene.own(0, seed=1000 * scene.seed + slot) for slot in range(len(scene.shards))]


def _shard_in_parts(scene: Scene) -> list[Int16s]:
    parts = iid(scene.shards[0], len(scene.shards), scene.seed)
    return [scene.own(slot, part) for slot, part in enumerate(parts)]


ATTACKS: Mapping[str, Attack | None] = {
    "none": None,
    "ALIE 1.5": _alie(1.5),
    "ALIE optimised": _alie_optimised,
    "inner product 0.5": _inner_product(0.5),
    "inner product 5": _inner_product(5),
    "inner product optimised": _inner_product_optimised,
    "sign flip": _sign_flip,
    "noise of norm 1": _noise(True),
    "noise of the median norm": _noise(False),
    "label flip": _label_flip,
    "mimic": _mimic,
    "adaptive on v0": _adaptive,
    "three times": _threefold,
    "zeros": _zeros,
    "last sum": _last_sum,
    "validation gradient": _validation_gradient,
    "one vector, four times": _one_vector,
    "one shard, four times, own seeds": _one_shard,
    "one shard in four": _shard_in_parts,
}
