"""The interface of a task, and the one that a job names."""

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch

from trainer.config import DataSchema, TaskConfig

if TYPE_CHECKING:
    import torchmetrics

Tensors = Mapping[str, torch.Tensor]

Unit = Literal["share", "target", ""]

PAD_OF_BYTES = 256
"""Padding of the tokenizer `bytes`."""

NO_PAD = -1
"""Where no token is padding."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure by which people judge a model. higher: whether more is better. meter: counts it over batches, on the
    CPU. unit: `share` of 0 … 1, `target` for the target's own units, "" for a number without one."""

    name: str
    higher: bool
    meter: "Callable[[], torchmetrics.Metric]"
    unit: Unit = "share"


class Task(ABC):
    """Losses and metrics of a model's outputs. metrics: by name, the default one first."""

    metrics: Mapping[str, Metric]

    @abstractmethod
    def outputs(self, inputs: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        """Shape of a sample's outputs, as the model has to give them; −1 where it is free. inputs: shapes by name."""

    @abstractmethod
    def losses(
        self, outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None, *, smoothing: float = 0.0
    ) -> torch.Tensor:
        """float[b], one loss a sample: the mean over its answers, 0 where it has none.

        smoothing: of labels, in training, where there are classes.
        """

    @abstractmethod
    def count(
        self, meter: "torchmetrics.Metric", outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None
    ) -> None:
        """Adds a batch to a metric's meter."""

    def value(self, meter: "torchmetrics.Metric") -> float | None:
        """What was counted; None where it is not defined, as AUROC is where all samples are of one class."""
        value = float(meter.compute())
        return value if math.isfinite(value) else None

    def metric(self, name: str | None) -> Metric:
        """The metric of this name, or the task's first. Raises ValueError."""
        if not self.metrics:
            raise ValueError("this task has no metrics: its program has no target that Merit knows")
        if name is None:
            return next(iter(self.metrics.values()))
        if name not in self.metrics:
            raise ValueError(f"there is no metric {name!r} for this task; there are {', '.join(self.metrics)}")
        return self.metrics[name]


def metered(kind: str, *given: object) -> "Callable[[], torchmetrics.Metric]":
    """Makes meters of a kind of trainer/tasks/meters.py, which takes a second to import, out of what is given.

    Texts are names of that file. A task can be sent to another process, and so this is no function within another.
    """
    return partial(_meter, kind, given)


def _meter(kind: str, given: tuple[object, ...]) -> "torchmetrics.Metric":
    from trainer.tasks import meters  # noqa: PLC0415

    made: torchmetrics.Metric = getattr(meters, kind)(
        *(getattr(meters, one) if isinstance(one, str) else one for one in given)
    )
    return made


def named(*metrics: Metric) -> dict[str, Metric]:
    """Metrics by name."""
    return {metric.name: metric for metric in metrics}


def class_weights(config: TaskConfig, classes: int) -> torch.Tensor | None:
    """float32[classes], or None where all count the same. Raises ValueError for another number of them."""
    if not config.class_weights:
        return None
    if len(config.class_weights) != classes:
        raise ValueError(f"class_weights has {len(config.class_weights)} numbers, there are {classes} classes")
    return torch.tensor(config.class_weights)


def no_class_weights(config: TaskConfig) -> None:
    """Raises ValueError if there are weights of classes: for tasks that have no classes of their own."""
    if config.class_weights:
        raise ValueError(f"class_weights are for classes, and {config.kind} has none: leave them out")


def mean_of_answers(losses: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """float[b] of float[b, …]: the mean where `asked`, bool[b, …]; 0 without any. Losses that are not asked are 0."""
    return losses.flatten(1).sum(1) / asked.flatten(1).sum(1).clamp(min=1)


_KINDS = {
    "classification": ("classification", "Classification"),
    "multi-label": ("multi_label", "MultiLabel"),
    "regression": ("regression", "Regression"),
    "token-classification": ("token_classification", "TokenClassification"),
    "language-modelling": ("language_modelling", "LanguageModelling"),
    "segmentation": ("segmentation", "Segmentation"),
    "own": ("own", "Own"),
}


def task_of(config: TaskConfig, schema: DataSchema, pads: Mapping[str, int] | None = None) -> Task:
    """The task of a job. Raises ValueError where it does not go with the target.

    pads: the token that is padding, by text feature, of tokenizers other than `bytes`; without it, none is.
    """
    module, name = _KINDS[config.kind]
    kind: Any = getattr(importlib.import_module(f"trainer.tasks.{module}"), name)
    known = {
        text: PAD_OF_BYTES if feature.tokenizer == "bytes" else (pads or {}).get(text, NO_PAD)
        for text, feature in schema.texts.items()
    }
    task: Task = kind(config, schema, known)
    if task.metrics or config.metric is not None:
        task.metric(config.metric)
    return task
