"""A round of training: reproducible, interruptible, and good enough that averaged rounds learn the digits."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from aggregator.gram import gram, products
from aggregator.reference import first_row, second_row
from aggregator.rules import KRUM_COSINE, REFERENCE, UNIT, krum_cosine, reference, reference_selection
from aggregator.sums import next_model, weighted_sum
from trainer.config import DataSchema, ModelConfig, TaskConfig, TrainingConfig, UpdateConfig
from trainer.data import Dataset, load
from trainer.data.split import hold_out, iid
from trainer.models import flatten, load_flat
from trainer.programs import Described, Program, open_program
from trainer.quantize import to_integers
from trainer.tasks import task_of
from trainer.train import evaluate, gradient_noise, learning_rate, loss_gradient, pick_device, train_round

MODEL = ModelConfig(architecture="mlp", parameters={"inputs": 4, "hidden": [8], "classes": 3}, seed=1)
SCHEMA = DataSchema.model_validate(
    {"features": {"x": {"kind": "tensor", "shape": [4]}}, "target": {"kind": "category", "classes": 3}}
)
TASK = TaskConfig(kind="classification")
SGD = TrainingConfig(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3, epochs=3, batch_size=7)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def blobs(n: int = 60) -> Dataset:
    rng = np.random.default_rng(0)
    y = np.arange(n, dtype=np.int64) % 3
    return Dataset({"x": (rng.standard_normal((n, 4)) + 2 * np.eye(4)[y]).astype(np.float32)}, y)


def opened() -> Program:
    return open_program(MODEL, SCHEMA, TASK, {})


def trained(config=SGD, data=None, *, round=1, seed=5, program=None, **arguments):
    program = program or opened()
    result = train_round(program, blobs() if data is None else data, config, round=round, seed=seed, **arguments)
    return flatten(program.module).numpy(), result


OPTIMIZERS = {
    "sgd": SGD,
    "adam": TrainingConfig(optimizer="adam", learning_rate=0.01, betas=(0.8, 0.9), epochs=3, batch_size=7),
    "adamw": TrainingConfig(optimizer="adamw", learning_rate=0.01, weight_decay=0.1, epochs=3, batch_size=7),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_same_arguments_give_the_same_bits(name):
    torch.manual_seed(0)
    first, result = trained(OPTIMIZERS[name])
    torch.manual_seed(1)
    second, _ = trained(OPTIMIZERS[name])
    assert first.tobytes() == second.tobytes()
    assert result.samples == 60
    assert result.complete


def test_seed_and_round_change_the_order_of_the_samples():
    same, _ = trained()
    assert trained(seed=6)[0].tobytes() != same.tobytes()
    assert trained(round=2)[0].tobytes() != same.tobytes()


def test_training_leaves_the_global_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    trained()
    assert torch.equal(torch.rand(3), expected)


def test_dropout_is_seeded_in_training_and_off_in_evaluation():
    def vector(global_seed):
        torch.manual_seed(3)
        module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 3))
        program = Described(module, task_of(TASK, SCHEMA))
        torch.manual_seed(global_seed)
        train_round(program, blobs(), SGD, round=1, seed=1)
        assert evaluate(program, blobs()) == evaluate(program, blobs())
        program.train()
        gradient = loss_gradient(program, blobs())
        program.train()
        assert (gradient == loss_gradient(program, blobs())).all()
        return flatten(module)

    assert torch.equal(vector(1), vector(2))


def test_one_step_of_sgd_is_the_gradient_times_the_learning_rate():
    data = blobs(20)
    base = flatten(opened().module).numpy()
    gradient = loss_gradient(opened(), data)
    after, _ = trained(TrainingConfig(learning_rate=0.25, batch_size=20), data)
    assert after == pytest.approx(base - 0.25 * gradient, abs=1e-6)


def test_every_setting_of_the_optimizer_reaches_it():
    plain, _ = trained(TrainingConfig(learning_rate=0.1, epochs=2))
    for change in (
        {"momentum": 0.9},
        {"weight_decay": 0.5},
        {"label_smoothing": 0.3},
        {"batch_size": 5},
        {"epochs": 3},
    ):
        assert (trained(TrainingConfig(**{"learning_rate": 0.1, "epochs": 2, **change}))[0] != plain).any(), change
    momentum = TrainingConfig(learning_rate=0.1, momentum=0.9, epochs=2)
    assert (trained(momentum)[0] != trained(momentum.model_copy(update={"nesterov": True}))[0]).any()
    adam, _ = trained(TrainingConfig(optimizer="adam", learning_rate=0.1))
    for change in ({"betas": (0.5, 0.999)}, {"epsilon": 0.1}, {"optimizer": "adamw", "weight_decay": 0.5}):
        changed, _ = trained(TrainingConfig(**{"optimizer": "adam", "learning_rate": 0.1, **change}))
        assert (changed != adam).any(), change


def test_learning_rates_follow_the_schedule_from_round_to_round():
    def rates(**settings):
        config = TrainingConfig(learning_rate=1.0, schedule_rounds=4, **settings)
        return [learning_rate(config, round) for round in range(1, 8)]

    assert rates() == [1.0] * 7
    assert rates(schedule="step", schedule_factor=0.5) == [1, 1, 1, 1, 0.5, 0.5, 0.5]
    cosine = rates(schedule="cosine", schedule_factor=0.2)
    assert cosine == pytest.approx(
        [1, 0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2, 0.6, 0.2 + 0.8 * (1 - math.sqrt(0.5)) / 2] + [0.2] * 3
    )


def test_progress_and_time_are_told():
    told, ticks = [], iter([10.0, 12.5])
    _, result = trained(on_progress=told.append, clock=lambda: next(ticks))
    assert [(p.done, p.total, p.unit) for p in told] == [(1, 3, "epoch"), (2, 3, "epoch"), (3, 3, "epoch")]
    assert told[0].loss > told[2].loss == result.loss
    assert result.seconds == 2.5
    assert result.notice == ""


def test_a_round_that_is_told_to_stop_stops_before_the_next_batch():
    calls = []

    def after_twelve():
        calls.append(1)
        return len(calls) > 12

    vector, result = trained(should_stop=after_twelve)
    assert len(calls) == 13  # 9 batches of the first epoch, 3 of the second
    assert not result.complete
    assert np.isfinite(vector).all()
    whole, _ = trained()
    assert vector.tobytes() != whole.tobytes()
    untouched, nothing = trained(should_stop=lambda: True)
    assert untouched.tobytes() == flatten(opened().module).numpy().tobytes()
    assert not nothing.complete


def test_training_that_diverges_is_an_error():
    huge = Dataset({"x": blobs().inputs["x"] * 1e6}, blobs().y)
    with pytest.raises(ValueError, match="diverged in round 4, epoch"):
        trained(TrainingConfig(learning_rate=100, epochs=200, batch_size=1), huge, round=4)
    with pytest.raises(ValueError, match="diverged in round 4, step"):
        trained(TrainingConfig(learning_rate=100, steps=200, batch_size=1), huge, round=4)


def test_without_samples_there_is_nothing_to_do():
    empty = blobs()[:0]
    for work in (
        lambda: trained(data=empty),
        lambda: evaluate(opened(), empty),
        lambda: loss_gradient(opened(), empty),
        lambda: gradient_noise(opened(), empty, np.random.default_rng(0)),
    ):
        with pytest.raises(ValueError, match="no samples"):
            work()


def test_evaluation_is_the_mean_loss_and_the_share_of_hits():
    data, program = blobs(2500), opened()
    with torch.no_grad():
        logits = program.predict({"x": torch.from_numpy(data.inputs["x"])}).double()
    y = torch.from_numpy(data.y)
    expected = float(torch.nn.functional.cross_entropy(logits, y))
    found = evaluate(program, data, program.task.metric(None))
    assert found.loss == pytest.approx(expected, rel=1e-5)
    assert (found.name, found.value) == ("accuracy", float((logits.argmax(1) == y).double().mean()))
    plain = evaluate(program, data)
    assert (plain.name, plain.value, plain.loss) == ("loss", found.loss, found.loss)


def test_a_metric_that_is_not_defined_is_no_number():
    data = blobs()
    one_class = data[data.y == 0]
    program = opened()
    assert math.isnan(evaluate(program, one_class, program.task.metric("auroc")).value)
    assert 0 <= evaluate(program, data, program.task.metric("auroc")).value <= 1


def test_the_noise_of_a_gradient_is_its_standard_error():
    data, module = blobs(90), opened()
    single = [loss_gradient(module, data[at : at + 1]).astype(np.float64) for at in range(len(data))]
    expected = np.sqrt(sum(float(g @ g) for g in single)) / len(data)
    noise = gradient_noise(module, data, np.random.default_rng(0), draws=200)
    assert noise == pytest.approx(expected, rel=0.1)
    twice = data[np.tile(np.arange(90), 2)]
    assert gradient_noise(module, twice, np.random.default_rng(0), draws=200) == pytest.approx(
        expected / np.sqrt(2), rel=0.1
    )
    assert all(parameter.grad is None for parameter in module.module.parameters())


def test_gradients_that_cancel_are_noise_in_whatever_order_they_come():
    program = opened()
    with torch.no_grad():
        for parameter in program.module.parameters():
            parameter.zero_()
    data = blobs(60)  # as many samples of each class: the last layer's gradients add up to nothing
    assert np.abs(loss_gradient(program, data)).max() < 1e-7
    for order in (np.arange(60), np.argsort(data.y), np.argsort(-data.y)):
        noise = gradient_noise(program, data[order], np.random.default_rng(0))
        assert noise == pytest.approx(np.sqrt(2 / 3 / 60), rel=0.5)


def test_noise_that_is_not_finite_counts_as_none():
    program = opened()
    with torch.no_grad():
        for parameter in program.module.parameters():
            parameter.fill_(torch.inf)
    assert gradient_noise(program, blobs(), np.random.default_rng(0)) == 0


def test_the_loss_gradient_is_the_uphill_derivative_of_what_evaluate_gives():
    data, program = blobs(2100), opened()
    module = program.module
    base = flatten(module)
    gradient = loss_gradient(program, data)
    assert gradient.dtype == np.float32
    rng = np.random.default_rng(1)
    for _ in range(3):
        direction = torch.from_numpy(rng.standard_normal(len(gradient)).astype(np.float32))
        module.double()
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                torch.nn.utils.vector_to_parameters(base.double() + sign * 1e-5 * direction, module.parameters())
                logits = module(torch.from_numpy(data.inputs["x"]).double())
                values.append(float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(data.y))))
        slope = (values[0] - values[1]) / 2e-5
        assert float(np.dot(gradient, direction.numpy())) == pytest.approx(slope, rel=1e-3, abs=1e-5)
    assert all(parameter.grad is None for parameter in module.parameters())


def test_a_model_trains_on_the_device_that_is_picked():
    program = opened()
    train_round(program, blobs(), SGD, round=1, seed=1, device=pick_device())
    assert program.device.type == pick_device().type


def test_mixed_precision_is_without_effect_on_the_cpu():
    assert trained(SGD.model_copy(update={"mixed_precision": True}))[0].tobytes() == trained()[0].tobytes()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"learning_rate": 0},
        {"learning_rate": float("inf")},
        {"learning_rate": 0.1, "optimizer": "lion"},
        {"learning_rate": 0.1, "momentum": 1},
        {"learning_rate": 0.1, "nesterov": True},
        {"learning_rate": 0.1, "betas": [0.9]},
        {"learning_rate": 0.1, "epochs": 0},
        {"learning_rate": 0.1, "batch_size": 0},
        {"learning_rate": 0.1, "schedule": "warm"},
        {"learning_rate": 0.1, "label_smoothing": 1},
        {"learning_rate": 0.1, "lr": 0.1},
        {"learning_rate": 0.1, "steps": 0},
        {"learning_rate": 0.1, "steps": 10, "epochs": 2},
        {"learning_rate": 0.1, "steps": 10, "stop_after": 2},
        {"learning_rate": 0.1, "steps": 10, "warmup_steps": 11},
        {"learning_rate": 0.1, "accumulate": 0},
        {"learning_rate": 0.1, "clip_gradient": 0},
        {"learning_rate": 0.1, "proximal_mu": 11},
        {"learning_rate": 0.1, "augment": ["flip", "flip"]},
        {"learning_rate": 0.1, "augment": ["blur"]},
    ],
    ids=str,
)
def test_training_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        TrainingConfig.model_validate(wrong)


def test_a_clip_below_the_scale_is_refused():
    with pytest.raises(ValidationError, match="every update would be zero"):
        UpdateConfig(scale=0.5, clip=0.25)
    assert UpdateConfig().scale == 2.0**-15


@pytest.mark.parametrize("settings", [ModelConfig, DataSchema, TrainingConfig, UpdateConfig])
def test_every_field_of_the_settings_is_described(settings):
    assert [name for name, field in settings.model_fields.items() if not field.description] == []


# ---------------------------------------------------------------- five rounds on the digits

DIGITS_SCHEMA = DataSchema.model_validate(
    {
        "features": {
            "image": {"kind": "image", "channels": 1, "height": 8, "width": 8, "maximum": 16, "std": [16]},
        },
        "target": {"kind": "category", "classes": 10},
    }
)
DIGITS = TrainingConfig(optimizer="adam", learning_rate=0.003, epochs=3, batch_size=16, label_smoothing=0.1)
CNN = ModelConfig(
    architecture="cnn",
    parameters={"channels": 1, "height": 8, "width": 8, "filters": [16, 32], "hidden": 64, "classes": 10},
)
FLIPPER, ZERO = 4, 5


@pytest.mark.parametrize("rule", [KRUM_COSINE, REFERENCE], ids=["krum-cosine", "reference"])
@pytest.mark.parametrize("attacked", [False, True], ids=["honest", "attacked"])
def test_five_rounds_learn_the_digits(rule, attacked):
    scale = UpdateConfig().scale
    validation, test, rest = hold_out(load("digits", DIGITS_SCHEMA), (200, 497), seed=0)
    shards = iid(rest, 6, seed=0)
    program = open_program(CNN, DIGITS_SCHEMA, TASK, {})
    module = program.module
    base = flatten(module).numpy()

    def gradient(parameters):
        load_flat(module, parameters)
        return loss_gradient(program, validation)

    for round in range(1, 6):
        rows = []
        for slot, shard in enumerate(shards):
            load_flat(module, base)
            train_round(program, shard, DIGITS, round=round, seed=slot)
            delta = flatten(module) - torch.from_numpy(base)
            if attacked:
                delta *= {FLIPPER: -5.0, ZERO: 0.0}.get(slot, 1.0)
            rows.append(to_integers(delta, scale))
        G, opened = gram(rows), [True] * 6
        if rule == KRUM_COSINE:
            decision = krum_cosine(G, opened, f=2)
            selected, coefficients = decision.selected, decision.coefficients
        else:
            first, _ = first_row(gradient, base)
            v0 = products(rows, first)
            selected, coefficients = reference_selection(G, opened, v0)
        total = weighted_sum(rows, coefficients)
        end = next_model(base, total, rate=1.0, scale=scale, unit=UNIT[rule], selected=sum(selected))
        if rule == REFERENCE:
            ((vv,),) = gram([first])
            decision = reference(G, opened, v0, vv, products(rows, second_row(gradient, base, end)[0]))
        if attacked:
            assert selected == (True, True, True, True, False, False)
            assert (decision.scores[FLIPPER], decision.scores[ZERO]) == (0, 0)
            assert (any(decision.struck[:4]), decision.struck[ZERO]) == (False, True)
        assert sum(decision.scores) > 0
        base = end
    load_flat(module, base)
    assert evaluate(program, test, program.task.metric("accuracy")).value >= 0.95
