"""A round on several processes gives one process's update, and ends whatever happens to one of them."""

import os
import signal
import time
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from trainer.config import DataSchema, TaskConfig, TrainingConfig
from trainer.data import Dataset
from trainer.models import flatten
from trainer.parallel import train_on
from trainer.programs import Described
from trainer.tasks import task_of
from trainer.train import Progress, train_round

CPUS = [torch.device("cpu")] * 2
SCHEMA = DataSchema.model_validate(
    {"features": {"x": {"kind": "tensor", "shape": [4]}}, "target": {"kind": "category", "classes": 3}}
)
# 33 samples in steps of 8: the last step has one sample, and one process none.
CONFIG = TrainingConfig(
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=0.01,
    epochs=3,
    batch_size=4,
    accumulate=2,
    clip_gradient=0.5,
    proximal_mu=0.1,
)


class Partly(nn.Module):
    """One parameter is never reached."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
        self.unused = nn.Parameter(torch.ones(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Dying(Partly):
    """Kills its own process in the second process's third forward pass."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.seen = how, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += 1
        if self.seen == 3 and torch.distributed.get_rank() == 1:
            if self.how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "hung":
                os.kill(os.getpid(), signal.SIGSTOP)
            raise MemoryError("no memory is left\nin many lines")
        return super().forward(x)


def opened(kind: type[nn.Module] = Partly, *arguments: Any) -> Described:
    torch.manual_seed(0)
    return Described(kind(*arguments), task_of(TaskConfig(kind="classification"), SCHEMA))


def blobs(n: int = 33) -> Dataset:
    rng = np.random.default_rng(0)
    y = np.arange(n, dtype=np.int64) % 3
    return Dataset({"x": (rng.standard_normal((n, 4)) + 2 * np.eye(4)[y]).astype(np.float32)}, y)


def test_two_processes_train_what_one_does() -> None:
    one, two, told = opened(), opened(), list[Progress]()
    alone = train_round(one, blobs(), CONFIG, round=2, seed=5)
    both = train_on(CPUS, two, blobs(), CONFIG, round=2, seed=5, on_progress=told.append)
    assert torch.allclose(flatten(one.module), flatten(two.module), atol=1e-6)
    assert (flatten(two.module) - flatten(opened().module)).abs().max() > 0.01
    assert both.loss == pytest.approx(alone.loss, rel=1e-5)
    assert both.complete
    assert both.samples == 33
    assert [(p.done, p.total) for p in told] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("how", "why"),
    [("killed", "signal 9|closed|reset"), ("hung", "imed out|timeout"), ("failing", "no memory is left$")],
)
def test_a_process_that_is_lost_ends_the_round_in_time_and_the_program_is_as_it_was(how: str, why: str) -> None:
    program = opened(Dying, how)
    before, started = flatten(program.module), time.monotonic()
    with pytest.raises(RuntimeError, match=why):
        train_on(CPUS, program, blobs(), CONFIG, round=1, seed=1, patience=60 if how == "killed" else 15)
    assert time.monotonic() - started < 120
    assert torch.equal(flatten(program.module), before)


def test_training_that_diverges_is_the_same_error_in_parallel() -> None:
    broken = Dataset({"x": np.full((33, 4), np.nan, np.float32)}, blobs().y)
    with pytest.raises(ValueError, match="diverged in round 4, epoch 1: the loss is nan"):
        train_on(CPUS, opened(), broken, CONFIG, round=4, seed=1)


def test_all_processes_stop_when_they_are_told_to() -> None:
    long = CONFIG.model_copy(update={"epochs": 10_000})
    program, told = opened(), list[Progress]()
    before = flatten(program.module)
    found = train_on(
        CPUS, program, blobs(), long, round=1, seed=1, on_progress=told.append, should_stop=lambda: len(told) > 2
    )
    assert not found.complete
    assert len(told) < 10_000
    assert torch.equal(flatten(program.module), before)


def test_a_program_that_cannot_be_sent_is_refused_with_a_reason() -> None:
    program = opened()
    program.module.register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match="cannot be sent to another process"):
        train_on(CPUS, program, blobs(), CONFIG, round=1, seed=1)


def test_one_device_is_not_parallel() -> None:
    with pytest.raises(ValueError, match="two devices"):
        train_on(CPUS[:1], opened(), blobs(), CONFIG, round=1, seed=1)
    with pytest.raises(ValueError, match="no samples"):
        train_on(CPUS, opened(), blobs()[:0], CONFIG, round=1, seed=1)
