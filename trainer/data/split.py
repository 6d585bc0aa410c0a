"""Deterministic partitions of a data set, for demonstrations, tests and benches. Nothing of it runs in a real job."""

from collections.abc import Sequence

import numpy as np

from trainer.data.dataset import Dataset


def hold_out(data: Dataset, sizes: Sequence[int], seed: int) -> list[Dataset]:
    """A random part of each size, then the rest: len(sizes) + 1 disjoint data sets that together are `data`."""
    if sum(sizes) > len(data) or min(sizes, default=0) < 0:
        raise ValueError(f"{list(sizes)} samples cannot be held out of {len(data)}")
    order = np.random.default_rng(seed).permutation(len(data))
    return [data[part] for part in np.split(order, np.cumsum(sizes))]


def iid(data: Dataset, parts: int, seed: int) -> list[Dataset]:
    """`parts` random parts whose sizes differ by at most one."""
    _check(data, parts)
    order = np.random.default_rng(seed).permutation(len(data))
    return [data[part] for part in np.array_split(order, parts)]


def label_skew(data: Dataset, parts: int, alpha: float, seed: int, minimum: int = 1) -> list[Dataset]:
    """`parts` parts in which each class is spread by Dirichlet(alpha): the smaller alpha, the more one-sided.

    Drawn again until every part has at least `minimum` samples; ValueError if 1,000 draws don't give that.
    Source: Hsu, Qi, Brown 2019, arXiv:1909.06335.
    """
    _check(data, parts)
    if data.y is None or data.y.ndim != 1:
        raise ValueError("samples are spread by their class, and these have none")
    rng = np.random.default_rng(seed)
    for _ in range(1000):
        owner = np.empty(len(data), dtype=np.int64)
        for label in np.unique(data.y):
            members = rng.permutation(np.flatnonzero(data.y == label))
            cuts = np.cumsum(rng.dirichlet(np.full(parts, alpha)))[:-1] * len(members)
            for part, chosen in enumerate(np.split(members, cuts.astype(np.int64))):
                owner[chosen] = part
        if np.bincount(owner, minlength=parts).min() >= minimum:
            return [data[owner == part] for part in range(parts)]
    raise ValueError(f"no split of {len(data)} samples with alpha {alpha} gives {parts} parts of {minimum} or more")


def together(parts: Sequence[Dataset]) -> Dataset:
    """All samples of several data sets."""
    inputs = {name: np.concatenate([part.inputs[name] for part in parts]) for name in parts[0].inputs}
    targets = [part.y for part in parts if part.y is not None]
    return Dataset(inputs, np.concatenate(targets) if targets else None)


def _check(data: Dataset, parts: int) -> None:
    if not 1 <= parts <= len(data):
        raise ValueError(f"{len(data)} samples cannot be split into {parts} parts")
