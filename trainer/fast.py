"""What makes a round fast on a GPU: a step as one CUDA graph, and channels last where it pays.

For small models the time of a step is that of launching its hundreds of kernels. A graph launches them as one: half
the time of a plain loop, without a compiler's seconds before the first step.
"""

from functools import cache

import torch
from torch import nn

from trainer.batches import Batch, size
from trainer.steps import Steps

_BEFORE = 3
"""Steps that run plainly before one is captured: the optimizer and cuDNN make their buffers in the first ones."""

_WIDE = 64
"""Channels from which a half-precision convolution gains more from channels last than a reordering costs."""


class Graphed:
    """Steps of one batch of a fixed size as one graph; other batches, and all if capture fails, run plainly.

    problem: why it failed, "" while it has not.
    """

    def __init__(self, steps: Steps, batch_size: int) -> None:
        self._steps, self._size = steps, batch_size
        self._graph: torch.cuda.CUDAGraph | None = None
        self._static: Batch = {}, None
        self._loss = torch.empty(0)
        self._seen = 0
        self.problem = ""

    def step(self, batch: Batch) -> torch.Tensor:
        """Takes a step of a batch on the GPU. Its loss, float32[], which the next step may overwrite."""
        if self.problem or not self._steps.one_graph or size(batch) != self._size:
            return self._steps.whole(batch)
        if self._graph is None and self._seen < _BEFORE:
            return self._aside(batch)
        if self._graph is None and not self._captured(batch):
            return self._steps.whole(batch)
        assert self._graph is not None  # noqa: S101 (captured above)
        inputs, y = self._static
        torch._foreach_copy_([*inputs.values()], [batch[0][name] for name in inputs])
        if y is not None and batch[1] is not None:
            y.copy_(batch[1])
        self._graph.replay()
        return self._loss

    def _aside(self, batch: Batch) -> torch.Tensor:
        """A plain step on a stream of its own, as a capture wants it."""
        self._seen += 1
        here, aside = torch.cuda.current_stream(), _side_stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            loss = self._steps.whole(batch)
        here.wait_stream(aside)
        loss.record_stream(here)
        return loss

    def _captured(self, batch: Batch) -> bool:
        inputs, y = batch
        self._static = {name: x.clone() for name, x in inputs.items()}, None if y is None else y.clone()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=_side_stream()):
                self._loss = self._steps.whole(self._static)
        except Exception as error:  # noqa: BLE001 (whatever a program does that a graph cannot hold)
            torch.cuda.synchronize()
            self._steps.forget()
            self._static = {}, None
            self.problem = f"steps run one kernel at a time, since they fit no CUDA graph: {str(error).splitlines()[0]}"
            return False
        self._graph = graph
        return True


def _side_stream() -> torch.cuda.Stream:
    """The stream of all captures on the current device: libraries keep memory for each stream that they have seen."""
    return _stream(torch.cuda.current_device())


@cache
def _stream(device: int) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def arrange(module: nn.Module, mixed: bool) -> None:
    """Channels last, for wide convolutions in half precision: the only ones that are faster for it."""
    convolutions = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    flat = all(parameter.ndim < 5 for parameter in module.parameters())  # volumes have an order of their own
    if mixed and flat and any(min(layer.in_channels, layer.out_channels) >= _WIDE for layer in convolutions):
        module.to(memory_format=torch.channels_last)


def give_back(module: nn.Module, device: torch.device) -> None:
    """After a round: gradients go, the order of memory is as it was, and what is cached is the system's again."""
    module.zero_grad(set_to_none=True)
    if device.type == "cuda":
        module.to(memory_format=torch.contiguous_format)
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
