"""A program: parameters, the loss of a batch, and predictions. What of it is trained is one vector."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import nn

from trainer.models.effort import Effort, effort
from trainer.tasks import Task
from trainer.tasks.task import Tensors


class Program(ABC):
    """module: its parameters, in their canonical order; what is trained requires a gradient, the rest is frozen.

    Buffers are constant: no training changes them. task: None where the program has its own loss. tokens: how many
    each text's embedding has rows for, where that can be seen.
    """

    module: nn.Module
    task: Task | None
    tokens: Mapping[str, int] = MappingProxyType({})

    @abstractmethod
    def losses(self, inputs: Tensors, target: torch.Tensor | None, *, smoothing: float = 0.0) -> torch.Tensor:
        """float[b], one loss a sample, as the mode of the module says: with dropout while training, without else.

        Or a scalar, the batch's mean, of a program that gives no more. smoothing: of labels.
        """

    @abstractmethod
    def predict(self, inputs: Tensors) -> torch.Tensor:
        """float[b, …], what the task's metrics and users take."""

    def judged(self, inputs: Tensors, target: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """What `losses` and `predict` give, for less where one follows from the other."""
        return self.losses(inputs, target), self.predict(inputs)

    def train(self, mode: bool = True) -> "Program":
        """Sets the mode, except of normalisations: they keep to the base's statistics, which no update carries."""
        self.module.train(mode)
        for layer in self.module.modules():
            if isinstance(layer, nn.modules.batchnorm._NormBase):
                layer.eval()
        return self

    def effort(self, inputs: Tensors) -> Effort:
        """What one sample costs, forward; on the module's own device: on "meta", nothing is computed."""
        return effort(self.module, inputs)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.module.parameters()).device


class Described(Program):
    """A module whose outputs a task judges. It takes the inputs by position, in the schema's order."""

    def __init__(self, module: nn.Module, task: Task) -> None:
        self.module = module
        self.task = task

    def losses(self, inputs: Tensors, target: torch.Tensor | None, *, smoothing: float = 0.0) -> torch.Tensor:
        return self.task.losses(self.predict(inputs), inputs, target, smoothing=smoothing)

    def judged(self, inputs: Tensors, target: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        outputs = self.predict(inputs)
        return self.task.losses(outputs, inputs, target), outputs

    def predict(self, inputs: Tensors) -> torch.Tensor:
        outputs: torch.Tensor = self.module(*inputs.values())
        return outputs

    task: Task
