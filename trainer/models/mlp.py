"""Multilayer perceptron."""

from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from trainer.models.registry import Architecture, register

Width = Annotated[int, Field(ge=1, le=2**20)]


class Flat(nn.Sequential):
    """Takes any number of inputs float32[b, …], flattened and joined in their order."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        values = inputs[0] if len(inputs) == 1 else torch.cat([x.flatten(1) for x in inputs], dim=1)
        outputs: torch.Tensor = super().forward(values)  # type: ignore[no-untyped-call]
        return outputs


@register("mlp")
class Mlp(Architecture):
    inputs: Width = Field(description="Values in a sample; all inputs are flattened and joined.")
    hidden: tuple[Width, ...] = Field(default=(64,), max_length=64, description="Widths of the hidden layers.")
    classes: int = Field(ge=1, le=2**16, description="Outputs: one a class, or one a number.")

    def build(self) -> nn.Module:
        layers: list[nn.Module] = [nn.Flatten()]
        width = self.inputs
        for hidden in self.hidden:
            layers += [nn.Linear(width, hidden), nn.ReLU()]
            width = hidden
        return Flat(*layers, nn.Linear(width, self.classes))
