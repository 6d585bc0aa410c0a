"""What a model costs for one sample, counted before it is run: a short description may ask for terabytes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

MAX_VALUES_A_SAMPLE = 2**26
"""Most values that all layers together give for one sample: 256 MiB in float32."""

MAX_VALUES_A_BATCH = 2**30
"""Most values that all layers together give for one batch: 4 GiB in float32, and as much again for gradients."""

MAX_PRODUCTS = 2**38
"""Most multiplications in the forward pass of one sample: seconds on two cores."""


class Effort(NamedTuple):
    """values: that all layers give; products: multiplications by weights. Both for one sample, forward."""

    values: int
    products: int


def effort(module: nn.Module, inputs: Mapping[str, torch.Tensor]) -> Effort:
    """Counts a forward pass of inputs [n, …], n ≥ 1, given by position, on the module's own device.

    On "meta", nothing is computed.
    """
    values = products = 0

    def count(layer: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        nonlocal values, products
        values += output.numel()
        weights = [p for p in layer.parameters(recurse=False) if p.ndim > 1]
        products += sum(output.numel() * weight[0].numel() for weight in weights)

    leaves = [layer for layer in module.modules() if not list(layer.children())]
    handles = [layer.register_forward_hook(count) for layer in leaves]
    try:
        with torch.no_grad():
            module(*inputs.values())
    finally:
        for handle in handles:
            handle.remove()
    n = len(next(iter(inputs.values())))
    return Effort(-(-values // n), -(-products // n))


def batch_within(most: int, values: int) -> int:
    """The most samples in a batch, 1 … `most`, whose layers give MAX_VALUES_A_BATCH values; `values`: one sample's."""
    return max(1, min(most, MAX_VALUES_A_BATCH // max(1, values)))
