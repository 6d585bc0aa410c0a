"""One round of local training, and what a model is worth on a data set."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from trainer.config import TrainingConfig
from trainer.data.dataset import Dataset
from trainer.models.effort import batch_within
from trainer.models.vectors import trained
from trainer.programs import Program
from trainer.tasks import Metric
from zk.encoding import Float32s

_EVALUATION_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a round stands: epochs done of `epochs`, and the mean training loss of the last one."""

    epoch: int
    epochs: int
    loss: float


@dataclass(frozen=True, slots=True)
class RoundResult:
    """loss: mean over the last epoch, measured while it trained; seconds: of the round; samples: in the data set;
    complete: False if `should_stop` ended the round early, with the program as far as it had come."""

    loss: float
    seconds: float
    samples: int
    complete: bool


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


def _optimizer(module: nn.Module, config: TrainingConfig, rate: float) -> torch.optim.Optimizer:
    parameters = trained(module).values()
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=rate,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
        )
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=rate, betas=config.betas, eps=config.epsilon, weight_decay=config.weight_decay)


def warm_up(config: TrainingConfig) -> None:
    """Loads what torch loads with its first optimizer, which takes seconds, while there is nothing else to do."""
    _optimizer(nn.Linear(1, 1), config, 0.0)


Batch = tuple[dict[str, torch.Tensor], torch.Tensor | None]


def _tensors(data: Dataset, device: torch.device) -> Batch:
    """The data set as tensors, on the device if it takes no more than half of a GPU's free memory there."""
    inputs = {name: torch.from_numpy(np.require(x, requirements="W")) for name, x in data.inputs.items()}
    y = None if data.y is None else torch.from_numpy(np.require(data.y, requirements="W"))
    if device.type == "cuda" and 2 * data.nbytes > torch.cuda.mem_get_info(device)[0]:
        return inputs, y
    return _at((inputs, y), device)


def _at(batch: Batch, device: torch.device) -> Batch:
    inputs, y = batch
    return {name: x.to(device) for name, x in inputs.items()}, None if y is None else y.to(device)


def _chosen(batch: Batch, index: torch.Tensor) -> Batch:
    inputs, y = batch
    index = index.to(next(iter(inputs.values())).device)
    return {name: x[index] for name, x in inputs.items()}, None if y is None else y[index]


def train_round(
    program: Program,
    data: Dataset,
    config: TrainingConfig,
    *,
    round: int,
    seed: int,
    device: torch.device | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
) -> RoundResult:
    """Trains the program in place, moving it to `device` (None: stay where it is), and leaves it there.

    round: from 1, for the schedule; with `seed` it fixes the order of the samples and all dropout: on the CPU, with one
    number of threads, the same arguments give the same bits. `on_progress` is called after every epoch,
    `should_stop` before every batch. Raises ValueError if the loss is not finite, or for an empty data set.
    """
    if len(data) == 0:
        raise ValueError("there are no samples to train on")
    started = clock()
    device = device or program.device
    program.module.to(device)
    program.train()
    samples = _tensors(data, device)
    optimizer = _optimizer(program.module, config, learning_rate(config, round))
    mixed = config.mixed_precision and device.type == "cuda"
    half = torch.bfloat16 if mixed and torch.cuda.is_bf16_supported() else torch.float16
    scaler = torch.amp.GradScaler("cuda", enabled=mixed and half == torch.float16)
    stream = int(np.random.SeedSequence([seed, round]).generate_state(1, np.uint64)[0])
    order = torch.Generator().manual_seed(stream)
    loss = math.nan
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(stream)
        for epoch in range(1, config.epochs + 1):
            total = torch.zeros((), dtype=torch.float32, device=device)
            for chosen in torch.split(torch.randperm(len(data), generator=order), config.batch_size):
                if should_stop():
                    return RoundResult(loss, clock() - started, len(data), complete=False)
                inputs, y = _at(_chosen(samples, chosen), device)
                with torch.autocast("cuda", dtype=half) if mixed else nullcontext():
                    batch_loss = program.losses(inputs, y, smoothing=config.label_smoothing).mean()
                optimizer.zero_grad(set_to_none=True)
                scaler.scale(batch_loss).backward()  # type: ignore[no-untyped-call]
                scaler.step(optimizer)
                scaler.update()
                total += batch_loss.detach().float() * len(chosen)
            loss = total.item() / len(data)
            if not math.isfinite(loss):
                raise ValueError(f"training diverged in round {round}, epoch {epoch}: the loss is {loss}")
            on_progress(Progress(epoch, config.epochs, loss))
    return RoundResult(loss, clock() - started, len(data), complete=True)


def _batches(program: Program, data: Dataset, words: int = 1) -> Iterator[Batch]:
    """words: how many times the size of a float32 a value takes in what is computed of a batch."""
    few, _ = _at(_tensors(data[:2], program.device), program.device)
    size = batch_within(_EVALUATION_BATCH, words * program.effort(few).values)
    for start in range(0, len(data), size):
        yield _at(_tensors(data[start : start + size], program.device), program.device)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model is worth on a data set. loss: the mean. name, value: of the metric; "loss" where there is none."""

    loss: float
    name: str
    value: float


def evaluate(program: Program, data: Dataset, metric: Metric | None = None) -> Evaluation:
    """On the program's device, in evaluation mode. Raises ValueError without samples."""
    if len(data) == 0:
        raise ValueError("there are no samples to evaluate on")
    program.train(False)
    meter = metric.meter().to(program.device) if metric and program.task else None
    loss = 0.0
    with torch.no_grad():
        for inputs, y in _batches(program, data):
            n = len(next(iter(inputs.values())))
            loss += float(program.losses(inputs, y).double().mean()) * n
            if meter is not None and program.task is not None:
                program.task.count(meter, program.predict(inputs), inputs, y)
    mean = loss / len(data)
    return (
        Evaluation(mean, "loss", mean)
        if metric is None or meter is None
        else Evaluation(mean, metric.name, float(meter.compute()))
    )


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
        n = len(next(iter(inputs.values())))
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
