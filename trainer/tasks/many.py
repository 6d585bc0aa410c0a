"""What tasks have in common in which a sample has many answers, one of several classes each."""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch

from trainer.config import IGNORED, TaskConfig
from trainer.tasks.task import Task, Tensors, class_weights, mean_of_answers

if TYPE_CHECKING:
    import torchmetrics


class ManyAnswers(Task):
    """Cross-entropy of the answers that are asked for; −100 where none is. axis: that of the classes in the outputs."""

    axis: ClassVar[int]

    def __init__(self, config: TaskConfig, classes: int) -> None:
        self.classes = classes
        self._weights = class_weights(config, classes)

    @abstractmethod
    def each(self, outputs: torch.Tensor, target: torch.Tensor, smoothing: float) -> torch.Tensor:
        """Cross-entropy of each answer, in the target's shape, 0 where it is −100."""

    def losses(
        self, outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None, *, smoothing: float = 0.0
    ) -> torch.Tensor:
        assert target is not None  # noqa: S101 (the schema has one)
        losses, asked = self.each(outputs, target, smoothing), target != IGNORED
        if self._weights is not None:
            losses = losses * self._weights.to(losses)[target.where(asked, 0)]
        return mean_of_answers(losses, asked)

    def count(
        self, meter: "torchmetrics.Metric", outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None
    ) -> None:
        assert target is not None  # noqa: S101
        asked = target != IGNORED
        meter.update(outputs.argmax(self.axis)[asked].cpu(), target[asked].cpu())
