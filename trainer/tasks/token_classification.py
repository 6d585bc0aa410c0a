"""A class for each token of a text."""

from collections.abc import Mapping

import torch
from torch.nn import functional

from trainer.config import IGNORED, DataSchema, TagsTarget, TaskConfig
from trainer.tasks.many import ManyAnswers
from trainer.tasks.task import Metric, metered, named


class TokenClassification(ManyAnswers):
    """Cross-entropy of logits float[b, length, classes] against int64[b, length], −100 where none is asked for."""

    axis = 2

    def __init__(self, config: TaskConfig, schema: DataSchema, pads: Mapping[str, int]) -> None:
        if not isinstance(schema.target, TagsTarget):
            raise ValueError("token-classification needs a target of kind tags")
        (self._text,) = schema.texts
        super().__init__(config, schema.target.classes)
        self.metrics = named(
            Metric("accuracy", True, metered("Classes", self.classes, "accuracy")),
            Metric("f1", True, metered("Classes", self.classes, "f1")),
        )

    def outputs(self, inputs: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        return (*inputs[self._text], self.classes)

    def each(self, outputs: torch.Tensor, target: torch.Tensor, smoothing: float) -> torch.Tensor:
        return functional.cross_entropy(
            outputs.flatten(0, 1), target.flatten(), ignore_index=IGNORED, reduction="none", label_smoothing=smoothing
        ).view(target.shape)
