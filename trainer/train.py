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
from torch.nn import functional

from trainer.config import TrainingConfig
from trainer.data.dataset import Dataset
from trainer.models.effort import batch_within, effort
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
    """loss, accuracy: means over the last epoch, measured while it trained; seconds: of the round; samples: in the data
    set; complete: False if `should_stop` ended the round early, with the module as far as it had come."""

    loss: float
    accuracy: float
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
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            module.parameters(),
            lr=rate,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
        )
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(module.parameters(), lr=rate, betas=config.betas, eps=config.epsilon, weight_decay=config.weight_decay)


def warm_up(config: TrainingConfig) -> None:
    """Loads what torch loads with its first optimizer, which takes seconds, while there is nothing else to do."""
    _optimizer(nn.Linear(1, 1), config, 0.0)


def _tensors(data: Dataset, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The data set as tensors, on the device if it takes no more than half of a GPU's free memory there."""
    x, y = (
        torch.from_numpy(np.require(data.x, requirements="W")),
        torch.from_numpy(np.require(data.y, requirements="W")),
    )
    if device.type == "cuda" and 2 * (data.x.nbytes + data.y.nbytes) > torch.cuda.mem_get_info(device)[0]:
        return x, y
    return x.to(device), y.to(device)


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


def train_round(
    module: nn.Module,
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
    """Trains the module in place, moving it to `device` (None: stay where it is), and leaves it there.

    round: from 1, for the schedule; with `seed` it fixes the order of the samples and all dropout: on the CPU, with one
    number of threads, the same arguments give the same bits. `on_progress` is called after every epoch,
    `should_stop` before every batch. Raises ValueError if the loss is not finite, or for an empty data set.
    """
    if len(data) == 0:
        raise ValueError("there are no samples to train on")
    started = clock()
    device = device or _device(module)
    module.to(device).train()
    x, y = _tensors(data, device)
    optimizer = _optimizer(module, config, learning_rate(config, round))
    mixed = config.mixed_precision and device.type == "cuda"
    half = torch.bfloat16 if mixed and torch.cuda.is_bf16_supported() else torch.float16
    scaler = torch.amp.GradScaler("cuda", enabled=mixed and half == torch.float16)
    stream = int(np.random.SeedSequence([seed, round]).generate_state(1, np.uint64)[0])
    order = torch.Generator().manual_seed(stream)
    loss = accuracy = math.nan
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(stream)
        for epoch in range(1, config.epochs + 1):
            total = torch.zeros(2, dtype=torch.float32, device=device)
            for chosen in torch.split(torch.randperm(len(data), generator=order), config.batch_size):
                if should_stop():
                    return RoundResult(loss, accuracy, clock() - started, len(data), complete=False)
                index = chosen.to(x.device)
                inputs, labels = x[index].to(device), y[index].to(device)
                with torch.autocast("cuda", dtype=half) if mixed else nullcontext():
                    logits = module(inputs)
                    batch_loss = functional.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
                optimizer.zero_grad(set_to_none=True)
                scaler.scale(batch_loss).backward()  # type: ignore[no-untyped-call]
                scaler.step(optimizer)
                scaler.update()
                hits = (logits.detach().argmax(1) == labels).sum()
                total += torch.stack([batch_loss.detach().float() * len(chosen), hits.float()])
            loss, accuracy = (value / len(data) for value in total.tolist())
            if not math.isfinite(loss):
                raise ValueError(f"training diverged in round {round}, epoch {epoch}: the loss is {loss}")
            on_progress(Progress(epoch, config.epochs, loss))
    return RoundResult(loss, accuracy, clock() - started, len(data), complete=True)


def _batches(module: nn.Module, data: Dataset, words: int = 1) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """words: how many times the size of a float32 a value takes in what is computed of a batch."""
    device = _device(module)
    few, _ = _tensors(data[:2], device)
    size = batch_within(_EVALUATION_BATCH, words * effort(module, few).values)
    for start in range(0, len(data), size):
        yield _tensors(data[start : start + size], device)


def evaluate(module: nn.Module, data: Dataset) -> tuple[float, float]:
    """(mean cross-entropy, accuracy) on the module's device, in evaluation mode. Raises ValueError without samples."""
    if len(data) == 0:
        raise ValueError("there are no samples to evaluate on")
    module.eval()
    loss, hits = 0.0, 0
    with torch.no_grad():
        for x, y in _batches(module, data):
            logits = module(x)
            loss += float(functional.cross_entropy(logits, y, reduction="sum"))
            hits += int((logits.argmax(1) == y).sum())
    return loss / len(data), hits / len(data)


def loss_gradient(module: nn.Module, data: Dataset) -> Float32s:
    """∇L as float32[d], on the CPU, in the order of `flatten`: L is the mean cross-entropy over the data set.

    The sign is that of L: it points to where the loss grows, and a step along its negative makes the model better.
    Computed in float64, so that every machine gets the same up to the last bit of a float32: in float32 a unit or pool
    near its kink switches on one machine and not on another (docs/rules.md). In evaluation mode, on the module's
    device, which has to know float64. ValueError without samples.
    """
    return _gradient(module, data, torch.ones(len(data)))


def gradient_noise(module: nn.Module, data: Dataset, rng: np.random.Generator, draws: int = 8) -> float:
    """About √(Σ‖gᵢ‖²)/n over the gradients gᵢ of all n samples: the standard error of `loss_gradient`, where that is
    small against single gradients.

    The mean with random signs has this length on average, squared, so nobody can order the data to hide it. Takes
    `draws` passes over the data. 0 if it is not finite. ValueError without samples.
    """
    squares = []
    for _ in range(draws):
        signs = torch.from_numpy(rng.choice(np.array([-1, 1], np.float32), len(data)))
        squares.append(float(np.square(_gradient(module, data, signs), dtype=np.float64).sum()))
    noise = math.sqrt(sum(squares) / draws)
    return noise if math.isfinite(noise) else 0.0


def _gradient(module: nn.Module, data: Dataset, weights: torch.Tensor) -> Float32s:
    """The gradient of Σ weightᵢ · lossᵢ / n; weights: float32[n] on the CPU."""
    if len(data) == 0:
        raise ValueError("there are no samples to take a gradient on")
    wide, done = deepcopy(module).double().eval(), 0
    wide.zero_grad(set_to_none=True)
    for x, y in _batches(module, data, words=2):
        losses = functional.cross_entropy(wide(x.double()), y, reduction="none")
        loss = torch.dot(losses, weights[done : done + len(y)].to(losses)) / len(data)
        done += len(y)
        loss.backward()  # type: ignore[no-untyped-call]
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in wide.parameters()]
    vector: Float32s = torch.cat([part.reshape(-1) for part in parts]).float().cpu().numpy()
    return vector
