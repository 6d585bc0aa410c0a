"""What a model costs for one sample, counted before it is run: a short description may ask for terabytes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

MAX_VALUES_A_SAMPLE = 2**26
"""Most values that all operations together give for one sample: 256 MiB in float32."""

MAX_VALUES_A_BATCH = 2**30
"""Most values that all operations together give for one batch: 4 GiB in float32, and as much again for gradients."""

MAX_PRODUCTS = 2**38
"""Most multiplications in the forward pass of one sample: seconds on two cores."""

# Batch norms write to them when they train: not all signatures say so, and some say so where they do not train.
_STATISTICS = ("running_mean", "running_var")


class Effort(NamedTuple):
    """values: that all operations give; products: in matrix products, convolutions and attention. For one sample,
    forward."""

    values: int
    products: int


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


class _Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what passes torch's dispatcher, whatever modules it comes from, and notes which memory is written to."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values = self.products = 0
        self.written: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        given = {_storage(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and _storage(leaf) not in given:  # a view takes no memory
                self.values += leaf.numel()
        packet = func._overloadpacket
        if packet in flop_registry:
            self.products += int(flop_registry[packet](*args, **kwargs, out_val=result)) // 2
        named = {a.name: args[i] if i < len(args) else kwargs.get(a.name) for i, a in enumerate(func._schema.arguments)}
        norm = "running_mean" in named and "training" in named
        for argument in func._schema.arguments:
            marked = argument.alias_info is not None and argument.alias_info.is_write
            if bool(named["training"]) and argument.name in _STATISTICS if norm else marked:
                leaves = tree_leaves(named[argument.name])
                self.written |= {_storage(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor)}
        return result


def effort(module: nn.Module, inputs: Mapping[str, torch.Tensor]) -> Effort:
    """Counts a forward pass of inputs [n, …], n ≥ 1, given by position, on the module's own device.

    On "meta", nothing is computed.
    """
    with torch.no_grad(), _Count() as count:
        module(*inputs.values())
    n = len(next(iter(inputs.values())))
    return Effort(-(-count.values // n), -(-count.products // n))


def changed_buffers(module: nn.Module, inputs: Mapping[str, torch.Tensor]) -> list[str]:
    """Names of the buffers that a forward pass writes to or replaces, in the mode that the module is in.

    On "meta", nothing is computed; the module may be another one afterwards.
    """
    before = dict(module.named_buffers())
    with torch.no_grad(), _Count() as count:
        module(*inputs.values())
    after = dict(module.named_buffers())
    return sorted(
        {name for name, buffer in before.items() if _storage(buffer) in count.written}
        | {name for name in before.keys() | after.keys() if before.get(name) is not after.get(name)}
    )


def batch_within(most: int, values: int) -> int:
    """The most samples in a batch, 1 … `most`, whose layers give MAX_VALUES_A_BATCH values; `values`: one sample's."""
    return max(1, min(most, MAX_VALUES_A_BATCH // max(1, values)))
