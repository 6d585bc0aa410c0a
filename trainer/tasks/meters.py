"""Meters of the metrics, on the CPU. Imported when a metric is first counted, since torchmetrics takes a second.

Where torchmetrics answers 0 for what is not defined, or keeps classes² counts, the meter is one of this file. A
value that is not defined is NaN.
"""

from collections.abc import Callable

import torch
from torchmetrics import MeanMetric, Metric
from torchmetrics.functional.classification import binary_auroc
from torchmetrics.utilities.data import dim_zero_cat


def accuracy(hits: torch.Tensor, predicted: torch.Tensor, actual: torch.Tensor) -> torch.Tensor:
    """The share of answers that are right; of int64[classes] each: right ones, those given, those there are."""
    return hits.sum() / actual.sum()


def f1(hits: torch.Tensor, predicted: torch.Tensor, actual: torch.Tensor) -> torch.Tensor:
    """Macro F1: the mean over the classes that were given or are there."""
    both = predicted + actual
    return (2 * hits[both > 0] / both[both > 0]).mean()


def iou(hits: torch.Tensor, predicted: torch.Tensor, actual: torch.Tensor) -> torch.Tensor:
    """Intersection over union: the mean over the classes that were given or are there."""
    union = predicted + actual - hits
    return (hits[union > 0] / union[union > 0]).mean()


class Classes(Metric):
    """A figure of how often each class was given, is there, and was given rightly."""

    hits: torch.Tensor
    predicted: torch.Tensor
    actual: torch.Tensor

    def __init__(
        self, classes: int, figure: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
    ) -> None:
        super().__init__()
        self.classes, self.figure = classes, figure
        for name in ("hits", "predicted", "actual"):
            self.add_state(name, torch.zeros(classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predicted: torch.Tensor, actual: torch.Tensor) -> None:
        """int64[n] each, of answers that are asked for."""
        self.hits += torch.bincount(actual[actual == predicted], minlength=self.classes)
        self.predicted += torch.bincount(predicted, minlength=self.classes)
        self.actual += torch.bincount(actual, minlength=self.classes)

    def compute(self) -> torch.Tensor:
        return self.figure(self.hits.double(), self.predicted.double(), self.actual.double())


class Labels(Classes):
    """The same of labels, of which several may be given and be there."""

    def update(self, predicted: torch.Tensor, actual: torch.Tensor) -> None:
        """bool[n, k] each."""
        self.hits += (predicted & actual).sum(0)
        self.predicted += predicted.sum(0)
        self.actual += actual.sum(0)


class Auroc(Metric):
    """Area under the ROC curve, each class or label against the rest: the mean over those that have both kinds."""

    scores: list[torch.Tensor]
    actual: list[torch.Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("actual", [], dist_reduce_fx="cat")

    def update(self, scores: torch.Tensor, actual: torch.Tensor) -> None:
        """scores: float[n, k] of 0 … 1; actual: int64[n] of classes, or 0 and 1 of labels [n, k]."""
        self.scores.append(scores)
        self.actual.append(actual)

    def compute(self) -> torch.Tensor:
        scores, actual = dim_zero_cat(self.scores), dim_zero_cat(self.actual)
        areas = []
        for k in range(scores.shape[1]) if actual.ndim > 1 else actual.unique().tolist():  # type: ignore[no-untyped-call]
            positive = actual[:, k] > 0 if actual.ndim > 1 else actual == k
            if 0 < int(positive.sum()) < len(positive):
                areas.append(binary_auroc(scores[:, k], positive.long(), validate_args=False))
        return torch.stack(areas).mean() if areas else torch.tensor(torch.nan)


class R2(Metric):
    """R² of k numbers, the mean over them; a number that is the same in all samples has none. Sums are float64."""

    n: torch.Tensor
    mean: torch.Tensor
    spread: torch.Tensor
    wrong: torch.Tensor

    def __init__(self, k: int) -> None:
        super().__init__()
        self.add_state("n", torch.zeros((), dtype=torch.int64), dist_reduce_fx=None)
        for name in ("mean", "spread", "wrong"):
            self.add_state(name, torch.zeros(k, dtype=torch.float64), dist_reduce_fx=None)

    def update(self, outputs: torch.Tensor, target: torch.Tensor) -> None:
        """float[b, k] each. The spread is added up around the means, so that large ones cost no digits."""
        target = target.double()
        mean, n, m = target.mean(0), int(self.n), len(target)
        away = mean - self.mean
        self.spread += (target - mean).square().sum(0) + away.square() * (n * m / (n + m))
        self.mean += away * (m / (n + m))
        self.n += m
        self.wrong += (outputs.double() - target).square().sum(0)

    def compute(self) -> torch.Tensor:
        varies = self.spread > 0
        return (1 - self.wrong[varies] / self.spread[varies]).mean()


class Perplexity(MeanMetric):
    """exp of the mean loss of a token."""

    def compute(self) -> torch.Tensor:
        return super().compute().exp()


class RootMean(MeanMetric):
    """The root of the mean of squares."""

    def compute(self) -> torch.Tensor:
        return super().compute().sqrt()


def mean(kind: type[MeanMetric] = MeanMetric) -> MeanMetric:
    """A mean whose sums are float64."""
    meter = kind(nan_strategy="disable")
    meter.set_dtype(torch.float64)
    return meter
