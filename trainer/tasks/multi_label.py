"""Several yes-or-no answers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from trainer.config import DataSchema, LabelsTarget, TaskConfig
from trainer.tasks.task import Metric, Task, Tensors, class_weights, metered, named

if TYPE_CHECKING:
    import torchmetrics


class MultiLabel(Task):
    """Binary cross-entropy of logits float[b, k] against 0 and 1, float32[b, k]; class_weights: of each label."""

    def __init__(self, config: TaskConfig, schema: DataSchema, pads: Mapping[str, int]) -> None:
        if not isinstance(schema.target, LabelsTarget):
            raise ValueError("multi-label needs a target of kind labels")
        self.labels = len(schema.target.names)
        self._weights = class_weights(config, self.labels)
        self.metrics = named(
            Metric("f1", True, metered("Labels", self.labels, "f1")),
            Metric("auroc", True, metered("Auroc")),
            Metric("exact-match", True, metered("mean")),
        )

    def outputs(self, inputs: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        return (self.labels,)

    def losses(
        self, outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None, *, smoothing: float = 0.0
    ) -> torch.Tensor:
        assert target is not None  # noqa: S101 (the schema has one)
        smoothed = target * (1 - smoothing) + smoothing / 2 if smoothing else target
        losses = functional.binary_cross_entropy_with_logits(outputs, smoothed, reduction="none")
        return (losses if self._weights is None else losses * self._weights.to(losses)).mean(1)

    def count(
        self, meter: "torchmetrics.Metric", outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None
    ) -> None:
        from trainer.tasks import meters  # noqa: PLC0415

        assert target is not None  # noqa: S101
        given, actual = outputs.float().cpu(), target.long().cpu()
        if isinstance(meter, meters.Auroc):
            meter.update(given.sigmoid(), actual)
        elif isinstance(meter, meters.Labels):
            meter.update(given > 0, actual > 0)
        else:
            meter.update(((given > 0) == (actual > 0)).all(1).double())
