"""A class for each pixel of an image."""

from collections.abc import Mapping

import torch
from torch.nn import functional

from trainer.config import IGNORED, DataSchema, ImageFeature, MaskTarget, TaskConfig
from trainer.tasks.many import ManyAnswers
from trainer.tasks.task import Metric, metered, named


class Segmentation(ManyAnswers):
    """Cross-entropy of logits float[b, classes, height, width] against int64[b, height, width], −100 where none is
    asked for."""

    axis = 1

    def __init__(self, config: TaskConfig, schema: DataSchema, pads: Mapping[str, int]) -> None:
        if not isinstance(schema.target, MaskTarget):
            raise ValueError("segmentation needs a target of kind mask")
        (self._image,) = [name for name, feature in schema.features.items() if isinstance(feature, ImageFeature)]
        super().__init__(config, schema.target.classes)
        self.metrics = named(
            Metric("iou", True, metered("Classes", self.classes, "iou")),
            Metric("accuracy", True, metered("Classes", self.classes, "accuracy")),
        )

    def outputs(self, inputs: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        return (self.classes, *inputs[self._image][1:])

    def each(self, outputs: torch.Tensor, target: torch.Tensor, smoothing: float) -> torch.Tensor:
        return functional.cross_entropy(
            outputs, target, ignore_index=IGNORED, reduction="none", label_smoothing=smoothing
        )
