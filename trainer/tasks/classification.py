"""One of several classes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from trainer.config import ClassTarget, DataSchema, TaskConfig
from trainer.tasks.task import Metric, Task, Tensors, class_weights, metered, named

if TYPE_CHECKING:
    import torchmetrics


class Classification(Task):
    """Cross-entropy of logits float[b, classes] against int64[b]."""

    def __init__(self, config: TaskConfig, schema: DataSchema, pads: Mapping[str, int]) -> None:
        if not isinstance(schema.target, ClassTarget):
            raise ValueError("classification needs a target of kind category")
        self.classes = schema.target.classes
        self._weights = class_weights(config, self.classes)
        self.metrics = named(
            Metric("accuracy", True, metered("Classes", self.classes, "accuracy")),
            Metric("f1", True, metered("Classes", self.classes, "f1")),
            Metric("auroc", True, metered("Auroc")),
        )

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
        from trainer.tasks import meters  # noqa: PLC0415

        assert target is not None  # noqa: S101
        # Scores are made here: torchmetrics would take logits that happen to lie in 0 … 1 for probabilities.
        given = outputs.float().softmax(1) if isinstance(meter, meters.Auroc) else outputs.argmax(1)
        meter.update(given.cpu(), target.cpu())
