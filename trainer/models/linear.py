"""Linear and logistic regression, as the task has it."""

from pydantic import Field
from torch import nn

from trainer.models.mlp import Flat, Width
from trainer.models.registry import Architecture, register


@register("linear")
class Linear(Architecture):
    inputs: Width = Field(description="Values in a sample; all inputs are flattened and joined.")
    outputs: int = Field(ge=1, le=2**16, description="One a class, or one a number.")

    def build(self) -> nn.Module:
        return Flat(nn.Flatten(), nn.Linear(self.inputs, self.outputs))
