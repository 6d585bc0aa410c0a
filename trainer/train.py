"""One round of local training, and what a model is worth on a data set."""

import math
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from trainer.augment import augmentation
from trainer.batches import Batch, at, chosen, passes, place, size, steps_of, tensors
from trainer.config import DataSchema, TrainingConfig
from trainer.data.dataset import Dataset
from trainer.fast import Graphed, arrange, give_back
from trainer.models.effort import batch_within
from trainer.models.vectors import trained
from trainer.programs import Program
from trainer.steps import Peers, Steps, optimizer
from trainer.tasks import Metric
from zk.encoding import Float32s

_EVALUATION_BATCH = 1024

_PARTS = 20
"""How often a round of steps tells where it stands."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a round stands: done of total, in epochs or steps, and the mean training loss since the last was told."""

    done: int
    total: int
    loss: float
    unit: Literal["epoch", "step"] = "epoch"


@dataclass(frozen=True, slots=True)
class RoundResult:
    """loss: mean over the last epoch, or twentieth of the steps, measured while it trained; seconds: of the round;
    samples: in the data set; complete: False if `should_stop` ended the round early, with the program as far as it had
    come; notice: what made it slower than it could have been, "" for nothing."""

    loss: float
    seconds: float
    samples: int
    complete: bool
    notice: str = ""


def pick_device() -> torch.device:
    """CUDA where there is a GPU, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def learning_rate(config: TrainingConfig, round: int) -> float:
    """The learning rate of a round; rounds count from 1."""
    done = round - 1
    if config.schedule == "step":
        return config.learning_rate * config.schedule_factor ** (done // config.schedule_rounds)
    if config.schedule == "cosine":
        half = (1 + math.cos(math.pi * min(1.0, done / config.schedule_rounds))) / 2
        return config.learning_rate * (config.schedule_factor + (1 - config.schedule_factor) * half)
    return config.learning_rate


def warm_up(config: TrainingConfig) -> None:
    """Loads what torch loads with its first optimizer, which takes seconds, while there is nothing else to do."""
    optimizer(nn.Linear(1, 1), config, 0.0)


def train_round(
    program: Program,
    data: Dataset,
    config: TrainingConfig,
    *,
    round: int,
    seed: int,
    schema: DataSchema | None = None,
    device: torch.device | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
    peers: Peers | None = None,
) -> RoundResult:
    """Trains the program in place, moving it to `device` (None: stay where it is), and leaves it there.

    round: from 1, for the schedule; with `seed` it fixes the order of the samples, all dropout and augmentation: on the
    CPU, with one number of threads, the same arguments give the same bits. schema: needed by augmentations alone.
    `on_progress` is called after every epoch, or twentieth of the steps; `should_stop` before every batch. peers: other
    processes, which call this with the same arguments. Raises ValueError if the loss is not finite, for an empty data
    set, and for augmentations of what are no images.
    """
    if len(data) == 0:
        raise ValueError("there are no samples to train on")
    started = clock()
    device = device or program.device
    program.module.to(device)
    program.train()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            work = _Round(program, data, config, round, seed, schema, device, peers)
            loss, complete = work.run(on_progress, should_stop)
            return RoundResult(loss, clock() - started, len(data), complete, work.graphed.problem)
    finally:
        work = None  # type: ignore[assignment] # its graph holds memory
        give_back(program.module, device)


class _Round:
    """What one round holds on to. torch's global random state is its own."""

    def __init__(
        self,
        program: Program,
        data: Dataset,
        config: TrainingConfig,
        round: int,
        seed: int,
        schema: DataSchema | None,
        device: torch.device,
        peers: Peers | None,
    ) -> None:
        self._round, self._config, self._device, self._peers = round, config, device, peers
        self._augment = augmentation(config, schema)
        if device.type == "cuda":
            arrange(program.module, config.mixed_precision)
        self._samples = tensors(data, device)
        self._steps = Steps(program, config, learning_rate(config, round), device)
        self.graphed = Graphed(self._steps, config.batch_size)
        stream = np.random.SeedSequence([seed, round])
        word = int(stream.generate_state(1, np.uint64)[0])
        self._order = torch.Generator().manual_seed(word)
        # Every process goes through the same order, and draws what it drops by itself.
        torch.manual_seed(word if not peers or not peers.rank else word ^ peers.rank)

    def run(self, on_progress: Callable[[Progress], None], should_stop: Callable[[], bool]) -> tuple[float, bool]:
        """The last part's mean loss, and whether the round is complete."""
        config, n = self._config, size(self._samples)
        a_step = config.batch_size * config.accumulate
        total = steps_of(config, n)
        part = -(-n // a_step) if config.steps is None else -(-total // _PARTS)
        order = passes(n, a_step, self._order, place(self._samples))
        loss, best, worse, seen = math.nan, math.inf, 0, 0
        running = torch.zeros((), dtype=torch.float32, device=self._device)
        for step in range(1, total + 1):
            index = next(order)
            of_step = self._take(index, should_stop)
            if of_step is None:
                return loss, False
            running += of_step * len(index)
            seen += len(index)
            if step % part and step != total:
                continue
            loss, seen = running.item() / seen, 0
            running.zero_()
            where = Progress(step, total, loss, "step") if config.steps else Progress(step // part, config.epochs, loss)
            if not math.isfinite(loss):
                raise ValueError(
                    f"training diverged in round {self._round}, {where.unit} {where.done}: the loss is {loss}"
                )
            on_progress(where)
            best, worse = (loss, 0) if loss < best else (best, worse + 1)
            if config.stop_after and worse >= config.stop_after:
                break
        return loss, True

    def _take(self, index: torch.Tensor, should_stop: Callable[[], bool]) -> torch.Tensor | None:
        """One step of the samples at these positions: its mean loss, None if it was stopped before its end."""
        if self._config.accumulate == 1 and self._peers is None:
            return None if should_stop() else self.graphed.step(self._batch(index))
        loss, stop = torch.zeros((), device=self._device), False
        for part in torch.split(index, self._config.batch_size):
            stop = should_stop()
            if stop:
                break
            mine = part[self._peers.rank :: self._peers.world] if self._peers else part
            if len(mine):
                loss = loss + self._steps.add(self._batch(mine), len(index))
        if stop and self._peers is None:
            return None
        loss, stop = self._steps.finish(loss, self._peers, stop)
        return None if stop else loss

    def _batch(self, index: torch.Tensor) -> Batch:
        batch = at(chosen(self._samples, index), self._device)
        return self._augment(batch) if self._augment else batch


def _batches(program: Program, data: Dataset, words: int = 1) -> Iterator[Batch]:
    """words: how many times the size of a float32 a value takes in what is computed of a batch."""
    few, _ = at(tensors(data[:2], program.device), program.device)
    most = batch_within(_EVALUATION_BATCH, words * program.effort(few).values)
    for start in range(0, len(data), most):
        yield at(tensors(data[start : start + most], program.device), program.device)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model is worth on a data set. loss: the mean. name, value: of the metric, NaN where it is not defined;
    "loss" where there is none. share: whether the value is a part of one, which people read in percent."""

    loss: float
    name: str
    value: float
    share: bool


def evaluate(program: Program, data: Dataset, metric: Metric | None = None) -> Evaluation:
    """On the program's device, in evaluation mode. Raises ValueError without samples."""
    if len(data) == 0:
        raise ValueError("there are no samples to evaluate on")
    program.train(False)
    task, meter = program.task, metric.meter() if metric and program.task else None
    loss = 0.0
    with torch.no_grad():
        for inputs, y in _batches(program, data):
            if task is None or meter is None:
                losses = program.losses(inputs, y)
            else:
                losses, outputs = program.judged(inputs, y)
                task.count(meter, outputs, inputs, y)
            loss += float(losses.double().mean()) * size((inputs, y))
    mean = loss / len(data)
    if metric is None or meter is None or task is None:
        return Evaluation(mean, "loss", mean, share=False)
    value = task.value(meter)
    return Evaluation(mean, metric.name, math.nan if value is None else value, share=metric.unit == "share")


def loss_gradient(program: Program, data: Dataset) -> Float32s:
    """∇L as float32[d], on the CPU, in the order of `flatten`: L is the mean loss over the data set.

    The sign is that of L: it points to where the loss grows, and a step along its negative makes the model better.
    Computed in float64, so that every machine gets the same up to the last bit of a float32: in float32 a unit or pool
    near its kink switches on one machine and not on another (docs/rules.md). In evaluation mode, on the program's
    device, which has to know float64. ValueError without samples.
    """
    return _gradient(program, data, torch.ones(len(data)))


def gradient_noise(program: Program, data: Dataset, rng: np.random.Generator, draws: int = 8) -> float:
    """About √(Σ‖gᵢ‖²)/n over the gradients gᵢ of all n samples: the standard error of `loss_gradient`, where that is
    small against single gradients.

    The mean with random signs has this length on average, squared, so nobody can order the data to hide it. Takes
    `draws` passes over the data. 0 if it is not finite. ValueError without samples.
    """
    squares = []
    for _ in range(draws):
        signs = torch.from_numpy(rng.choice(np.array([-1, 1], np.float32), len(data)))
        squares.append(float(np.square(_gradient(program, data, signs), dtype=np.float64).sum()))
    noise = math.sqrt(sum(squares) / draws)
    return noise if math.isfinite(noise) else 0.0


def _gradient(program: Program, data: Dataset, weights: torch.Tensor) -> Float32s:
    """The gradient of Σ weightᵢ · lossᵢ / n; weights: float32[n] on the CPU."""
    if len(data) == 0:
        raise ValueError("there are no samples to take a gradient on")
    wide, done = deepcopy(program), 0
    wide.module.double()
    wide.train(False)
    wide.module.zero_grad(set_to_none=True)
    for inputs, y in _batches(program, data, words=2):
        n = size((inputs, y))
        doubled = {name: x.double() if x.is_floating_point() else x for name, x in inputs.items()}
        target = y.double() if y is not None and y.is_floating_point() else y
        losses = wide.losses(doubled, target)
        signs = weights[done : done + n].to(losses)
        # A program that gives only a batch's mean has one sign a batch.
        loss = torch.dot(losses, signs) if losses.ndim else losses * n * signs[0]
        done += n
        (loss / len(data)).backward()  # type: ignore[no-untyped-call]
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained(wide.module).values()]
    vector: Float32s = torch.cat([part.reshape(-1) for part in parts]).float().cpu().numpy()
    return vector
