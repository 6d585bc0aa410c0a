"""What only a CUDA device shows: graphs of steps, half precision, and memory that is given back. `make gpu-check`."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from trainer.config import DataSchema, TaskConfig, TrainingConfig
from trainer.data import Dataset
from trainer.fast import Graphed
from trainer.models import flatten
from trainer.programs import Described
from trainer.tasks import task_of
from trainer.train import evaluate, train_round

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CUDA = torch.device("cuda")
SCHEMA = DataSchema.model_validate(
    {
        "features": {"image": {"kind": "image", "channels": 3, "height": 16, "width": 16}},
        "target": {"kind": "category", "classes": 3},
    }
)


@pytest.fixture(autouse=True)
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def images(n: int = 300) -> Dataset:
    rng = np.random.default_rng(0)
    y = np.arange(n, dtype=np.int64) % 3
    x = rng.standard_normal((n, 3, 16, 16)).astype(np.float32)
    x[np.arange(n), y] += 1
    return Dataset({"image": x}, y)


def opened(*more: nn.Module) -> Described:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), *more, nn.Flatten(), nn.Linear(64 * 144, 3)
    )
    return Described(module, task_of(TaskConfig(kind="classification"), SCHEMA))


def config(**settings: Any) -> TrainingConfig:
    return TrainingConfig(**{"learning_rate": 0.01, "batch_size": 32, "epochs": 3, **settings})


def end(device: torch.device, settings: TrainingConfig, program: Described | None = None) -> torch.Tensor:
    program = program or opened()
    result = train_round(program, images(), settings, round=1, seed=1, device=device)
    assert result.notice == ""
    return flatten(program.module).cpu()


SETTINGS: list[dict[str, Any]] = [
    {},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"optimizer": "adam", "learning_rate": 0.001},
    {"optimizer": "adamw", "learning_rate": 0.001, "weight_decay": 0.1},
    {"clip_gradient": 0.1},
    {"proximal_mu": 1.0},
    {"warmup_steps": 7},
    {"accumulate": 2},
    {"label_smoothing": 0.1, "epochs": 1, "steps": 25},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_graph_trains_what_plain_steps_on_the_cpu_do(settings: dict[str, Any]) -> None:
    """300 samples in batches of 32: the last of a pass has 12, and runs plainly."""
    gpu, cpu = end(CUDA, config(**settings)), end(torch.device("cpu"), config(**settings))
    moved = (cpu - flatten(opened().module)).norm()
    assert float((gpu - cpu).norm() / moved) < 0.02


def test_steps_are_captured_once_and_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    captured, replayed = [], []
    capture, replay = Graphed._captured, torch.cuda.CUDAGraph.replay
    monkeypatch.setattr(Graphed, "_captured", lambda self, batch: captured.append(1) or capture(self, batch))
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", lambda self: replayed.append(1) or replay(self))
    end(CUDA, config())
    assert len(captured) == 1
    assert len(replayed) == 3 * 9 - 3


def test_dropout_draws_anew_at_each_replay_and_is_seeded() -> None:
    drops = [end(CUDA, config(), opened(nn.Dropout(0.5))) for _ in range(2)]
    assert torch.allclose(drops[0], drops[1], atol=1e-4)

    class Count(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(64, device=CUDA))
            self.register_buffer("at", torch.zeros((), dtype=torch.int64, device=CUDA))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                self.seen.index_copy_(0, self.at.reshape(1), nn.functional.dropout(torch.ones_like(x)).mean().view(1))
                self.at += 1
            return x

    counted = Count()
    end(CUDA, config(), opened(counted))
    steps = int(counted.at)
    assert steps == 30
    assert len(counted.seen[:steps].unique()) > 25


def test_a_program_that_fits_no_graph_trains_plainly_and_says_why() -> None:
    class Looks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if float(x.sum()) > -1e30 else x * 2

    program = opened(Looks())
    result = train_round(program, images(), config(), round=1, seed=1, device=CUDA)
    assert "fit no CUDA graph" in result.notice
    plain = end(torch.device("cpu"), config())
    assert float((flatten(program.module).cpu() - plain).norm() / (plain - flatten(opened().module)).norm()) < 0.02
    again = train_round(opened(), images(), config(), round=1, seed=1, device=CUDA)  # CUDA works on
    assert again.notice == ""


def test_half_precision_learns_and_leaves_float32_in_the_usual_order() -> None:
    program = opened()
    train_round(program, images(), config(mixed_precision=True, epochs=20), round=1, seed=1, device=CUDA)
    assert program.task is not None
    assert evaluate(program, images(), program.task.metric("accuracy")).value > 0.8
    assert flatten(program.module).dtype == torch.float32
    assert all(parameter.is_contiguous() for parameter in program.module.parameters())


def test_memory_is_given_back_between_rounds() -> None:
    program = opened()
    program.module.to(CUDA)
    used = []
    for _ in range(4):
        train_round(program, images(3000), config(batch_size=256, epochs=1), round=1, seed=1, device=CUDA)
        used.append((torch.cuda.memory_allocated(), torch.cuda.memory_reserved()))
    assert used[1] == used[3]
    # What is left are the workspaces of CUDA's libraries: 130 MiB on an H200, however many rounds there were.
    assert used[3][0] < 256 * 2**20
    assert used[3][1] < 256 * 2**20


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_gpus_train_what_one_does() -> None:
    from trainer.parallel import train_on

    program, devices = opened(), [torch.device("cuda", at) for at in range(2)]
    train_on(devices, program, images(), config(), round=1, seed=1)
    alone = end(CUDA, config())
    assert float((flatten(program.module).cpu() - alone).norm() / (alone - flatten(opened().module)).norm()) < 0.02
