"""A class for each pixel of an image."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from trainer.config import IGNORED, DataSchema, ImageFeature, MaskTarget, TaskConfig
from trainer.tasks.task import Metric, Task, Tensors, class_weights, mean_of_answers, named

if TYPE_CHECKING:
    import torchmetrics


class Segmentation(Task):
    """Cross-entropy of logits float[b, classes, height, width] against int64[b, height, width], −100 where none is
    asked for."""

    def __init__(self, config: TaskConfig, schema: DataSchema, pads: Mapping[str, int]) -> None:
        if not isinstance(schema.target, MaskTarget):
            raise ValueError("segmentation needs a target of kind mask")
        (self._image,) = [name for name, feature in schema.features.items() if isinstance(feature, ImageFeature)]
        self.classes = schema.target.classes
        self._weights = class_weights(config, self.classes)
        self.metrics = named(Metric("iou", True, self._iou), Metric("accuracy", True, self._accuracy))

    def _iou(self) -> "torchmetrics.Metric":
        from trainer.tasks import meters  # noqa: PLC0415 (takes a second)

        return meters.Classes(self.classes, meters.iou)

    def _accuracy(self) -> "torchmetrics.Metric":
        from trainer.tasks import meters  # noqa: PLC0415

        return meters.Classes(self.classes, meters.accuracy)

    def outputs(self, inputs: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        return (self.classes, *inputs[self._image][1:])

    def losses(
        self, outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None, *, smoothing: float = 0.0
    ) -> torch.Tensor:
        assert target is not None  # noqa: S101 (the schema has one)
        losses = functional.cross_entropy(
            outputs, target, ignore_index=IGNORED, reduction="none", label_smoothing=smoothing
        )
        asked = target != IGNORED
        if self._weights is not None:
            losses = losses * self._weights.to(losses)[target.where(asked, 0)]
        return mean_of_answers(losses, asked)

    def count(
        self, meter: "torchmetrics.Metric", outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None
    ) -> None:
        assert target is not None  # noqa: S101
        asked = target != IGNORED
        meter.update(outputs.argmax(1)[asked].cpu(), target[asked].cpu())
