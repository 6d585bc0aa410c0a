"""What a graph costs, counted on torch's "meta" device, where tensors have shapes and no memory."""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainer.models.effort import Effort
from trainer.programs.operators import randomises

MAX_CALLS = 2**18
"""Most calls that the operators of a graph may come down to: a recurrent layer is many, one a step."""

MAX_DIMENSIONS = 16
MAX_PIECES = 2**12
"""Most tensors that one call may cut a tensor into."""

_UNBIND = torch.ops.aten.unbind.int
_SPLITS = {torch.ops.aten.split.Tensor, torch.ops.aten.unsafe_split.Tensor}
_PRODUCTS: dict[str, Callable[..., int]] = {
    "mm": lambda a, b: prod(a) * b[-1],
    "bmm": lambda a, b: prod(a) * b[-1],
    "addmm": lambda _, a, b: prod(a) * b[-1],
    "baddbmm": lambda _, a, b: prod(a) * b[-1],
    "addbmm": lambda _, a, b: prod(a) * b[-1],
    "mv": lambda a, b: prod(a),
    "addmv": lambda _, a, b: prod(a),
}
_WINDOWS = {"avg_pool2d", "avg_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices"}


class Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it, each call that torch makes is counted before its results are used.

    values: that the calls give, without views; products: multiplications of matrix products, convolutions, and of what
    a pool's windows cover. Raises ValueError beyond the bounds, and for random numbers where `random` is False.
    """

    def __init__(self, most: Effort, *, random: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most, self.random = most, random
        self.values = self.products = self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        if self.calls > MAX_CALLS:
            raise ValueError(f"its operators come down to more than {MAX_CALLS} calls")
        if not self.random and randomises(func, args):
            raise ValueError("random numbers are drawn outside training")
        kwargs = kwargs or {}
        _check_pieces(func, args, kwargs)
        given = func(*args, **kwargs)
        for tensor in tree_leaves(given):
            if isinstance(tensor, torch.Tensor):
                size = prod(tensor.shape)
                if tensor.ndim > MAX_DIMENSIONS or size > self.most.values:
                    raise ValueError(f"a tensor of shape {list(tensor.shape)[:20]} is too large")
                self.values += 0 if func.is_view else size
        self.products += _products(func, args, given)
        if self.values > self.most.values or self.products > self.most.products:
            raise ValueError(f"more than {self.most.values} values or {self.most.products} multiplications are needed")
        return given


def _check_pieces(func: Any, args: Any, named: Any) -> None:
    """Before the call: it would make all pieces at once."""
    if func not in _SPLITS and func is not _UNBIND:
        return
    place = 1 if func is _UNBIND else 2
    dim = args[place] if len(args) > place else named.get("dim", 0)
    size = 1 if func is _UNBIND else max(1, args[1])
    shape = args[0].shape
    if -len(shape) <= dim < len(shape) and shape[dim] > MAX_PIECES * size:
        raise ValueError(f"a tensor is cut into more than {MAX_PIECES} pieces")


def _products(func: Any, args: Any, given: Any) -> int:
    name = func.overloadpacket.__name__
    if name in _PRODUCTS:
        return _PRODUCTS[name](*[each.shape for each in args if isinstance(each, torch.Tensor)])
    if name == "convolution":
        # Forward, each output comes of a weight's channels and window; transposed, each input goes to one.
        each = args[0] if args[6] else given
        return int(prod(each.shape) * prod(args[1].shape[1:]))
    if name in _WINDOWS:
        first = given[0] if isinstance(given, tuple) else given
        window = args[1] if len(args[1]) > 1 else args[1] * (3 if "3d" in name else 2)
        return int(prod(first.shape) * prod(window))
    return 0
