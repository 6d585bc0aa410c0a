"""The interface of a task, and the one that a job names."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from trainer.config import DataSchema, TaskConfig

if TYPE_CHECKING:
    import torchmetrics

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure by which people judge a model. higher: whether more is better. meter: counts it over batches."""

    name: str
    higher: bool
    meter: "Callable[[], torchmetrics.Metric]"


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
        """float[b], one loss a sample. smoothing: of labels, in training, where there are classes."""

    @abstractmethod
    def count(
        self, meter: "torchmetrics.Metric", outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None
    ) -> None:
        """Adds a batch to a metric's meter."""

    def metric(self, name: str | None) -> Metric:
        """The metric of this name, or the task's first. Raises ValueError."""
        if name is None:
            return next(iter(self.metrics.values()))
        if name not in self.metrics:
            raise ValueError(f"there is no metric {name!r} for this task; there are {', '.join(self.metrics)}")
        return self.metrics[name]


def task_of(config: TaskConfig, schema: DataSchema) -> Task:
    """The task of a job. Raises ValueError where it does not go with the target."""
    from trainer.tasks.classification import Classification  # noqa: PLC0415 (a task imports this file)

    kinds: dict[str, Any] = {"classification": Classification}
    if config.kind not in kinds:
        raise ValueError(f"there is no task {config.kind!r}; there are {', '.join(kinds)}")
    task: Task = kinds[config.kind](config, schema)
    task.metric(config.metric)
    return task
