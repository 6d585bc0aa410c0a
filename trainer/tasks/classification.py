"""One of several classes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from trainer.config import ClassTarget, DataSchema, TaskConfig
from trainer.tasks.task import Metric, Task, Tensors

if TYPE_CHECKING:
    import torchmetrics


class Classification(Task):
    """Cross-entropy of logits float[b, classes] against int64[b]."""

    def __init__(self, config: TaskConfig, schema: DataSchema) -> None:
        if not isinstance(schema.target, ClassTarget):
            raise ValueError("classification needs a target of kind category")
        self.classes = schema.target.classes
        if config.class_weights and len(config.class_weights) != self.classes:
            raise ValueError(f"class_weights has {len(config.class_weights)} numbers, there are {self.classes} classes")
        self._weights = torch.tensor(config.class_weights) if config.class_weights else None
        self.metrics = {"accuracy": Metric("accuracy", True, self._accuracy)}

    def _accuracy(self) -> "torchmetrics.Metric":
        from torchmetrics.classification import MulticlassAccuracy  # noqa: PLC0415 (takes a second)

        return MulticlassAccuracy(self.classes, average="micro")

    def outputs(self, inputs: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        return (self.classes,)

    def losses(
        self, outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None, *, smoothing: float = 0.0
    ) -> torch.Tensor:
        assert target is not None  # noqa: S101 (the schema has one)
        losses = functional.cross_entropy(outputs, target, reduction="none", label_smoothing=smoothing)
        return losses if self._weights is None else losses * self._weights.to(losses)[target]

    def count(
        self, meter: "torchmetrics.Metric", outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None
    ) -> None:
        meter.update(outputs, target)
