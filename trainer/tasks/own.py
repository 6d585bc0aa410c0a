"""A program that has its own loss."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from trainer.config import DataSchema, TaskConfig, task_for
from trainer.tasks.task import Task, Tensors, task_of

if TYPE_CHECKING:
    import torchmetrics


class Own(Task):
    """Metrics of what the program predicts, those of the task that its target is for; none without a target or text."""

    def __init__(self, config: TaskConfig, schema: DataSchema, pads: Mapping[str, int]) -> None:
        known = schema.target is not None or len(schema.texts) == 1
        self._like = task_of(task_for(schema), schema, pads) if known else None
        self.metrics = self._like.metrics if self._like else {}

    def outputs(self, inputs: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        return self._judge().outputs(inputs)

    def losses(
        self, outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None, *, smoothing: float = 0.0
    ) -> torch.Tensor:
        raise ValueError("a job of the task own has its loss in its program: export one, or name another task")

    def count(
        self, meter: "torchmetrics.Metric", outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None
    ) -> None:
        self._judge().count(meter, outputs, inputs, target)

    def _judge(self) -> Task:
        if self._like is None:
            raise ValueError("this task has no metrics: its program has no target that Merit knows")
        return self._like
