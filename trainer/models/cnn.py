"""Convolutional network with group normalisation, which has no running statistics."""

from typing import Annotated

from pydantic import Field
from torch import nn

from trainer.models.registry import Architecture, register


@register("cnn")
class Cnn(Architecture):
    channels: int = Field(ge=1, le=1024, description="Channels of an image.")
    height: int = Field(ge=1, le=4096, description="Pixels.")
    width: int = Field(ge=1, le=4096, description="Pixels.")
    filters: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        default=(16, 32),
        min_length=1,
        max_length=16,
        description="Filters of each 3 × 3 block; a block halves the image.",
    )
    hidden: int = Field(default=64, ge=1, le=2**16, description="Width of the hidden layer behind the blocks.")
    classes: int = Field(ge=1, le=2**16, description="Outputs: one a class, or one a number.")

    def build(self) -> nn.Module:
        layers: list[nn.Module] = []
        channels, height, width = self.channels, self.height, self.width
        for filters in self.filters:
            layers += [
                nn.Conv2d(channels, filters, kernel_size=3, padding=1),
                nn.GroupNorm(1, filters),
                nn.ReLU(),
                nn.MaxPool2d(2, ceil_mode=True),
            ]
            channels, height, width = filters, -(-height // 2), -(-width // 2)
        return nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(channels * height * width, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, self.classes),
        )
