"""Multilayer perceptron."""

from typing import Annotated

from pydantic import Field
from torch import nn

from trainer.models.registry import Architecture, register

Width = Annotated[int, Field(ge=1, le=2**20)]


@register("mlp")
class Mlp(Architecture):
    inputs: Width = Field(description="Values in a sample; a sample of any shape is flattened.")
    hidden: tuple[Width, ...] = Field(default=(64,), max_length=64, description="Widths of the hidden layers.")
    classes: int = Field(ge=2, le=2**16, description="Number of classes.")

    def build(self) -> nn.Module:
        layers: list[nn.Module] = [nn.Flatten()]
        width = self.inputs
        for hidden in self.hidden:
            layers += [nn.Linear(width, hidden), nn.ReLU()]
            width = hidden
        return nn.Sequential(*layers, nn.Linear(width, self.classes))
