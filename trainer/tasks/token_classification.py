"""A class for each token of a text."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from trainer.config import IGNORED, DataSchema, TagsTarget, TaskConfig
from trainer.tasks.task import Metric, Task, Tensors, class_weights, mean_of_answers, named

if TYPE_CHECKING:
    import torchmetrics


class TokenClassification(Task):
    """Cross-entropy of logits float[b, length, classes] against int64[b, length], −100 where none is asked for."""

    def __init__(self, config: TaskConfig, schema: DataSchema, pads: Mapping[str, int]) -> None:
        if not isinstance(schema.target, TagsTarget):
            raise ValueError("token-classification needs a target of kind tags")
        (self._text,) = schema.texts
        self.classes = schema.target.classes
        self._weights = class_weights(config, self.classes)
        self.metrics = named(Metric("accuracy", True, self._accuracy), Metric("f1", True, self._f1))

    def _accuracy(self) -> "torchmetrics.Metric":
        from trainer.tasks import meters  # noqa: PLC0415 (takes a second)

        return meters.Classes(self.classes, meters.accuracy)

    def _f1(self) -> "torchmetrics.Metric":
        from trainer.tasks import meters  # noqa: PLC0415

        return meters.Classes(self.classes, meters.f1)

    def outputs(self, inputs: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        return (*inputs[self._text], self.classes)

    def losses(
        self, outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None, *, smoothing: float = 0.0
    ) -> torch.Tensor:
        assert target is not None  # noqa: S101 (the schema has one)
        losses = functional.cross_entropy(
            outputs.flatten(0, 1), target.flatten(), ignore_index=IGNORED, reduction="none", label_smoothing=smoothing
        ).view(target.shape)
        asked = target != IGNORED
        if self._weights is not None:
            losses = losses * self._weights.to(losses)[target.where(asked, 0)]
        return mean_of_answers(losses, asked)

    def count(
        self, meter: "torchmetrics.Metric", outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None
    ) -> None:
        assert target is not None  # noqa: S101
        asked = target != IGNORED
        meter.update(outputs.argmax(2)[asked].cpu(), target[asked].cpu())
