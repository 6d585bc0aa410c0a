"""A trainer's own training in place of Merit's: a function of its own, on its own machine, with its own rights.

The function takes an `OwnRound` and returns the module that it trained. What it may change is what is trained of the
module; the job's other parameters, its buffers and all shapes have to come back as they were.
"""

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from trainer.batches import at, tensors
from trainer.config import TrainingConfig
from trainer.data.dataset import Dataset
from trainer.models.vectors import flatten, load_flat, trained
from trainer.programs import Program
from trainer.train import RoundResult, evaluate

Sample = tuple[dict[str, torch.Tensor], torch.Tensor]


class Samples(TorchDataset[Sample]):
    """The trainer's data one by one: inputs by name as the job's schema has them, normalised, and the target.

    Where a job has no target, an empty tensor stands for it.
    """

    def __init__(self, data: Dataset) -> None:
        self._inputs, self._y = tensors(data, torch.device("cpu"))
        self._length = len(data)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        y = torch.empty(0) if self._y is None else self._y[index]
        return {name: values[index] for name, values in self._inputs.items()}, y


@dataclass(frozen=True)
class OwnRound:
    """What a function gets. module: on `device`, in training mode, to be trained in place or not; takes the inputs by
    position, in the schema's order. training: what the owner asks for, with the rate before its schedule."""

    module: nn.Module
    program: Program
    data: Dataset
    training: TrainingConfig
    round: int
    seed: int
    device: torch.device
    should_stop: Callable[[], bool]

    def dataset(self) -> Samples:
        """The data as a torch data set."""
        return Samples(self.data)

    def loader(self, *, shuffle: bool = True) -> "DataLoader[Sample]":
        """The data in batches of the job's size, in an order that round and seed give."""
        order = torch.Generator().manual_seed(
            int(np.random.SeedSequence([self.seed, self.round]).generate_state(1, np.uint64)[0])
        )
        return DataLoader(self.dataset(), batch_size=self.training.batch_size, shuffle=shuffle, generator=order)

    def loss(self, inputs: dict[str, torch.Tensor], target: torch.Tensor) -> torch.Tensor:
        """float[]: the job's mean loss of a batch, as the job wants it in training, of the module as it is now."""
        here, y = at((inputs, target), self.program.device)
        given = None if self.data.y is None else y
        return self.program.losses(here, given, smoothing=self.training.label_smoothing).mean()


OwnTraining = Callable[[OwnRound], nn.Module]


def load_own(name: str) -> OwnTraining:
    """The function behind `package.module:function`, installed or in the current folder. Imports its module.

    Raises ValueError where there is none.
    """
    module_name, colon, function_name = name.partition(":")
    if not (colon and module_name and function_name):
        raise ValueError(f"--with takes package.module:function, not {name!r}")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.append(here)  # at the end: what is installed comes first
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(f"--with {name}: {error}") from error
    finally:
        if added:
            sys.path.remove(here)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ValueError(f"--with {name}: {module_name} has no function {function_name!r}")
    found: OwnTraining = function
    return found


def train_own(
    function: OwnTraining,
    program: Program,
    data: Dataset,
    training: TrainingConfig,
    *,
    round: int,
    seed: int,
    device: torch.device | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
) -> RoundResult:
    """A round by the function, on a copy of the program: what is trained is taken over once it is found to be in order.

    The loss is that of the new parameters on the trainer's own data. Raises ValueError for what cannot be submitted;
    what the function raises passes as it is. A function that was told to stop has not completed its round.
    """
    if len(data) == 0:
        raise ValueError("there are no samples to train on")
    started = clock()
    program.module.to(device or program.device)
    own = deepcopy(program)
    own.train()
    work = OwnRound(own.module, own, data, training, round, seed, program.device, should_stop)
    try:
        with torch.random.fork_rng(devices=[program.device] if program.device.type == "cuda" else []):
            torch.manual_seed(int(np.random.SeedSequence([seed, round]).generate_state(1, np.uint64)[0]))
            returned = function(work)
        load_flat(program.module, _checked(program.module, returned))
        complete = not should_stop()
        loss = evaluate(program, data).loss
    finally:
        del own, work
        if program.device.type == "cuda":
            torch.cuda.empty_cache()
    if not np.isfinite(loss):
        raise ValueError(f"training diverged in round {round}: the loss of the module that came back is {loss}")
    return RoundResult(loss, clock() - started, len(data), complete)


def _checked(before: nn.Module, after: object) -> torch.Tensor:
    """What is trained of the module that came back, float32[d]. Raises ValueError."""
    if not isinstance(after, nn.Module):
        raise ValueError(f"the own training has to return the module, not {type(after).__name__}")
    known, found = dict(_all(before)), dict(_all(after))
    if list(known) != list(found):
        other = sorted(known.keys() ^ found.keys())[:3] or ["their order"]
        raise ValueError(f"the module that came back has other parameters: {', '.join(other)}")
    free = trained(before)
    parts = []
    for name, old in known.items():
        new = found[name].detach().to(old.device)
        if new.shape != old.shape or new.dtype != old.dtype:
            raise ValueError(
                f"{name} came back as {new.dtype}{list(new.shape)}, {old.dtype}{list(old.shape)} is expected"
            )
        if name not in free:
            if not torch.equal(new, old):
                raise ValueError(f"{name} is not trained in this job, and came back changed")
        elif not bool(new.isfinite().all()):
            raise ValueError(f"{name} came back with values that are not finite numbers")
        else:
            parts.append(new.reshape(-1))
    vector = torch.cat(parts) if parts else flatten(before)
    return vector


def _all(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()
