"""Measuring a round before joining: quick, close to the truth, and without a trace in what is trained later."""

from collections.abc import Iterator

import pytest
import torch

from tests.jobs import blobs
from trainer.config import DataSchema, ModelConfig, TaskConfig, TrainingConfig, UpdateConfig
from trainer.data import Dataset
from trainer.measure import measure_round
from trainer.models import flatten, load_flat
from trainer.programs import Program, open_program
from trainer.train import train_round

MODEL = ModelConfig(architecture="mlp", parameters={"inputs": 2, "hidden": [8], "classes": 2}, seed=3)
SCHEMA = DataSchema.model_validate(
    {"features": {"x": {"kind": "tensor", "shape": [2]}}, "target": {"kind": "category", "classes": 2}}
)
TRAINING = TrainingConfig(learning_rate=0.1, epochs=3, batch_size=8)
CPU = torch.device("cpu")


def opened() -> Program:
    return open_program(MODEL, SCHEMA, TaskConfig(kind="classification"), {})


class Clock:
    """Every look takes `each` seconds."""

    def __init__(self, each: float) -> None:
        self.now, self.each, self.looks = 0.0, each, 0

    def __call__(self) -> float:
        self.now += self.each
        self.looks += 1
        return self.now


def test_a_small_round_is_measured_whole() -> None:
    measured = measure_round(opened(), blobs(60, 1), TRAINING, UpdateConfig(), seed=1, device=CPU, budget=60)
    assert measured.problem == ""
    assert 0 < measured.seconds < 30


@pytest.mark.parametrize("budget", [0.0, 0.05, 60.0])
def test_what_is_trained_later_has_the_bits_it_would_have_had(budget: float) -> None:
    def trained(measured: bool) -> bytes:
        program, data = opened(), blobs(60, 1)
        module = program.module
        if measured:
            torch.manual_seed(4)
            state = torch.random.get_rng_state()
            before = flatten(module)
            measure_round(program, data, TRAINING, UpdateConfig(), seed=1, device=CPU, budget=budget)
            assert torch.equal(flatten(module), before)
            assert torch.equal(torch.random.get_rng_state(), state)
            assert all(parameter.grad is None for parameter in module.parameters())
        train_round(program, data, TRAINING, round=1, seed=1)
        return bytes(flatten(module).numpy().tobytes())

    assert trained(measured=True) == trained(measured=False)


def test_a_long_round_is_carried_on_from_a_part() -> None:
    """8 batches of 8 samples, 10,000 epochs: 80,000 batches of a second each, of which few are trained."""
    clock = Clock(1.0)
    long = TRAINING.model_copy(update={"epochs": 10_000})
    measured = measure_round(opened(), blobs(60, 1), long, UpdateConfig(), seed=1, device=CPU, budget=5, clock=clock)
    assert measured.seconds == pytest.approx(80_000, rel=0.01)
    assert clock.looks < 20


def test_a_long_round_of_steps_is_carried_on_by_its_batches() -> None:
    """A pass of 60 samples has 8 batches, and 3 steps of 3 batches, the last of 2: 30,000 steps are 80,000 batches."""
    long = TRAINING.model_copy(update={"epochs": 1, "steps": 30_000, "accumulate": 3})
    clock = Clock(1.0)
    measured = measure_round(opened(), blobs(60, 1), long, UpdateConfig(), seed=1, device=CPU, budget=5, clock=clock)
    assert measured.seconds == pytest.approx(80_000, rel=0.01)


def test_one_batch_is_enough_where_it_takes_the_whole_budget() -> None:
    clock = Clock(100.0)
    measured = measure_round(
        opened(), blobs(60, 1), TRAINING, UpdateConfig(), seed=1, device=CPU, budget=1, clock=clock
    )
    assert measured.seconds == pytest.approx(3 * 8 * 100, rel=0.1)


def broken() -> Iterator[tuple[str, TrainingConfig, UpdateConfig, float]]:
    yield "not a finite number|not finite|the loss is", TRAINING, UpdateConfig(), 1e20
    yield "rounded", TRAINING.model_copy(update={"learning_rate": 1e-12}), UpdateConfig(), 1.0


@pytest.mark.parametrize(("why", "training", "update", "weight"), list(broken()), ids=["diverges", "zero"])
def test_a_round_that_gives_nothing_to_submit_is_named(
    why: str, training: TrainingConfig, update: UpdateConfig, weight: float
) -> None:
    program = opened()
    module = program.module
    load_flat(module, flatten(module) * weight)
    before = flatten(module)
    data: Dataset = blobs(60, 1)
    measured = measure_round(program, data, training, update, seed=1, device=CPU, budget=60)
    assert any(part in measured.problem for part in why.split("|")), measured.problem
    assert torch.equal(flatten(module), before)
