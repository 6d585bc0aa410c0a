"""A data set as tensors, and the order in which a round goes through it."""

from collections.abc import Iterator

import numpy as np
import torch

from trainer.config import TrainingConfig
from trainer.data.dataset import Dataset

Batch = tuple[dict[str, torch.Tensor], torch.Tensor | None]
"""Inputs by name, [b, …] each, and the target, [b, …] or None."""


def tensors(data: Dataset, device: torch.device) -> Batch:
    """The data set as tensors, on the device if it takes no more than half of a GPU's free memory there."""
    inputs = {name: torch.from_numpy(np.require(x, requirements="W")) for name, x in data.inputs.items()}
    y = None if data.y is None else torch.from_numpy(np.require(data.y, requirements="W"))
    if device.type == "cuda" and 2 * data.nbytes > torch.cuda.mem_get_info(device)[0]:
        return inputs, y
    return at((inputs, y), device)


def at(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device."""
    inputs, y = batch
    return {name: x.to(device) for name, x in inputs.items()}, None if y is None else y.to(device)


def place(batch: Batch) -> torch.device:
    """The device that a batch is on."""
    return next(iter(batch[0].values())).device


def size(batch: Batch) -> int:
    """The number of samples in a batch."""
    return len(next(iter(batch[0].values())))


def chosen(batch: Batch, index: torch.Tensor) -> Batch:
    """The samples at these positions, int64[m] on the batch's device."""
    inputs, y = batch
    return {name: x[index] for name, x in inputs.items()}, None if y is None else y[index]


def passes(samples: int, a_step: int, order: torch.Generator, device: torch.device) -> Iterator[torch.Tensor]:
    """Positions of the samples of each step, int64[≤ a_step] on the device, without end: every pass in a new order."""
    while True:
        yield from torch.split(torch.randperm(samples, generator=order).to(device), a_step)


def steps_of(config: TrainingConfig, samples: int) -> int:
    """Steps of a whole round."""
    return config.steps or config.epochs * -(-samples // (config.batch_size * config.accumulate))


def batches_of(config: TrainingConfig, samples: int) -> int:
    """Batches of a whole round: the steps' batches, of which the last step of a pass may have fewer."""
    a_pass = -(-samples // config.batch_size)
    whole, rest = divmod(steps_of(config, samples), -(-a_pass // config.accumulate))
    return whole * a_pass + min(a_pass, rest * config.accumulate)
