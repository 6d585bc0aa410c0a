"""Numbers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from trainer.config import DataSchema, NumberTarget, TaskConfig
from trainer.tasks.task import Metric, Task, Tensors, metered, named, no_class_weights

if TYPE_CHECKING:
    import torchmetrics


class Regression(Task):
    """Mean squared error of float[b, k] against float32[b, k], both as (value − mean) / std of the schema.

    rmse and mae are in the target's own units; all numbers of a target have the same scale.
    """

    def __init__(self, config: TaskConfig, schema: DataSchema, pads: Mapping[str, int]) -> None:
        if not isinstance(schema.target, NumberTarget):
            raise ValueError("regression needs a target of kind number")
        no_class_weights(config)
        self.numbers, self.std = len(schema.target.names), schema.target.std
        self.metrics = named(
            Metric("rmse", False, metered("mean", "RootMean"), "target"),
            Metric("mae", False, metered("mean"), "target"),
            Metric("r2", True, metered("R2", self.numbers), ""),
        )

    def outputs(self, inputs: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        return (self.numbers,)

    def losses(
        self, outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None, *, smoothing: float = 0.0
    ) -> torch.Tensor:
        assert target is not None  # noqa: S101 (the schema has one)
        return (outputs - target).square().mean(1)

    def count(
        self, meter: "torchmetrics.Metric", outputs: torch.Tensor, inputs: Tensors, target: torch.Tensor | None
    ) -> None:
        from trainer.tasks import meters  # noqa: PLC0415

        assert target is not None  # noqa: S101
        given, actual = outputs.cpu().double(), target.cpu().double()
        if isinstance(meter, meters.R2):
            meter.update(given, actual)
            return
        # The mean falls out of a difference, and is left out: adding a large one would cost digits.
        away = (given - actual) * self.std
        meter.update(away.square() if isinstance(meter, meters.RootMean) else away.abs())
