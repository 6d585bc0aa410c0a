"""A program that was exported is the owner's module: the same losses, gradients, predictions and training."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.programs import mixed_source, opened, recurrent_source, small, small_source
from trainer.config import TrainingConfig
from trainer.data.dataset import Dataset
from trainer.models.vectors import flatten, trained
from trainer.programs.export import Source, export, load_source, set_mode
from trainer.programs.exported import Exported
from trainer.programs.operators import GROUPS, NAMES, operator
from trainer.train import evaluate, loss_gradient, train_round


def _exported(source: Callable[[], Source]) -> tuple[Source, Exported]:
    made = source()
    return made, opened(export(made))


@pytest.fixture(scope="module")
def mixed() -> tuple[Source, Exported]:
    return _exported(mixed_source)


@pytest.fixture(scope="module")
def recurrent() -> tuple[Source, Exported]:
    return _exported(recurrent_source)


def _batch(source: Source, n: int) -> tuple[dict[str, torch.Tensor], torch.Tensor | None]:
    inputs = {name: torch.as_tensor(value)[:n] for name, value in source.inputs.items()}
    return inputs, None if source.target is None else torch.as_tensor(source.target)[:n]


def _own_loss(source: Source, inputs: dict[str, torch.Tensor], target: torch.Tensor | None) -> torch.Tensor:
    return source.loss(source.module(*inputs.values()), *([] if target is None else [target]))


@pytest.mark.parametrize("which", ["mixed", "recurrent"])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_losses_and_predictions_are_the_modules_own_in_any_batch(
    which: str, n: int, request: pytest.FixtureRequest
) -> None:
    source, program = request.getfixturevalue(which)
    inputs, target = _batch(source, n)
    for training in (True, False):
        program.train(training)
        set_mode(source.module, training)
        torch.testing.assert_close(program.losses(inputs, target), _own_loss(source, inputs, target))
    outputs = source.module(*inputs.values())
    wanted = source.predict(outputs) if source.predict else outputs
    torch.testing.assert_close(program.predict(inputs), wanted)


@pytest.mark.parametrize("which", ["mixed", "recurrent"])
def test_training_is_the_modules_own_training(which: str, request: pytest.FixtureRequest) -> None:
    source, program = copy.deepcopy(request.getfixturevalue(which))
    program.train()
    set_mode(source.module, True)
    inputs, target = _batch(source, 6)
    curves: list[list[float]] = []
    for module, loss in (
        (source.module, lambda: _own_loss(source, inputs, target)),
        (program.module, lambda: program.losses(inputs, target)),
    ):
        optimizer = torch.optim.SGD(trained(module).values(), lr=0.2)
        curve = []
        for _ in range(10):
            optimizer.zero_grad()
            step = loss().mean()
            step.backward()
            optimizer.step()
            curve.append(step.item())
        curves.append(curve)
    assert curves[0][-1] < 0.95 * curves[0][0]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-4)


def test_what_is_trained_frozen_and_constant_keeps_its_name_and_order(mixed: tuple[Source, Exported]) -> None:
    source, program = mixed
    assert list(trained(program.module)) == list(trained(source.module))
    assert torch.equal(flatten(program.module), flatten(source.module))
    frozen = {name: p.dtype for name, p in program.module.named_parameters() if not p.requires_grad}
    assert frozen == {
        "attention.linear1.weight": torch.float32,
        "attention.linear1.bias": torch.float32,
        "narrow": torch.bfloat16,
    }
    assert {"places", "norm.running_mean", "norm.running_var"} <= set(dict(program.module.named_buffers()))
    assert program.untrained == ()


@pytest.mark.parametrize("which", ["mixed", "recurrent"])
def test_gradients_in_float64_are_the_modules_own(which: str, request: pytest.FixtureRequest) -> None:
    source, program = copy.deepcopy(request.getfixturevalue(which))
    inputs, target = _batch(source, 4)
    data = Dataset({name: value.numpy() for name, value in inputs.items()}, None if target is None else target.numpy())
    found = loss_gradient(program, data)
    set_mode(source.module.double(), False)
    doubled = {name: value.double() if value.is_floating_point() else value for name, value in inputs.items()}
    _own_loss(source, doubled, target).mean().backward()
    wanted = torch.cat([p.grad.reshape(-1) for p in trained(source.module).values()]).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)


def test_losses_of_a_copy_in_float64_are_of_that_precision(mixed: tuple[Source, Exported]) -> None:
    source, program = mixed
    wide = copy.deepcopy(program)
    wide.module.double()
    inputs, target = _batch(source, 3)
    doubled = {name: value.double() if value.is_floating_point() else value for name, value in inputs.items()}
    losses = wide.train(False).losses(doubled, target)
    assert losses.dtype == torch.float64
    single = program.train(False).losses(inputs, target)
    difference = float((losses - single).detach().abs().max())
    assert 0 < difference < 1e-5, "equal bits would say that somewhere float32 was kept"
    assert next(iter(trained(program.module).values())).dtype == torch.float32


def test_dropout_is_drawn_anew_in_training_and_never_in_evaluation() -> None:
    program = opened(small())
    inputs = {"x": torch.ones(1, 3).repeat(4000, 1)}
    target = torch.zeros(4000, dtype=torch.int64)
    torch.manual_seed(5)
    first = program.train().losses(inputs, target)
    again = program.losses(inputs, target)
    torch.manual_seed(5)
    assert torch.equal(program.losses(inputs, target), first)
    assert not torch.equal(first, again)
    source = small_source()
    set_mode(source.module, True)
    torch.manual_seed(6)
    own = source.loss(source.module(inputs["x"]), target)
    assert abs(float(first.mean() - own.mean())) < 4 * float(own.std()) / 4000**0.5
    assert torch.equal(program.train(False).losses(inputs, target), program.losses(inputs, target))
    assert float(program.losses(inputs, target).std()) < 1e-6


def test_a_round_of_training_gives_the_same_bits_twice_and_a_better_model() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(37, 3)).astype(np.float32)
    data = Dataset({"x": x}, (x[:, 0] > 0).astype(np.int64))
    vectors = []
    for _ in range(2):
        program = opened(small())
        before = evaluate(program, data).loss
        config = TrainingConfig(learning_rate=0.5, epochs=8, batch_size=6)
        train_round(program, data, config, round=1, seed=3)
        assert evaluate(program, data).loss < 0.8 * before
        vectors.append(flatten(program.module))
    assert torch.equal(*vectors)


def test_a_batch_of_another_shape_or_dtype_is_refused() -> None:
    program = opened(small())
    one, target = torch.ones(2, 3), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"takes x of float32\[2, 3\], not float32\[2, 1\]"):
        program.losses({"x": one[:, :1]}, target)
    with pytest.raises(ValueError, match="takes x of float32"):
        program.predict({"x": one.long()})
    with pytest.raises(ValueError, match="takes target of int64"):
        program.losses({"x": one}, target[:1])
    with pytest.raises(ValueError, match="inputs x; y were given"):
        program.predict({"y": one})
    with pytest.raises(ValueError, match="label_smoothing"):
        program.losses({"x": one}, target, smoothing=0.1)


class _Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += 1
        outputs: torch.Tensor = self.layer(x)
        return outputs


class _Deciding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.layer(x)
        return outputs if x.sum() > 0 else -outputs


@pytest.mark.parametrize(
    ("module", "why"), [(_Counting(), "training changes seen"), (_Deciding(), "torch.export does not take the module")]
)
def test_a_module_whose_buffers_change_or_that_decides_by_values_is_refused(module: nn.Module, why: str) -> None:
    example = small_source()
    with pytest.raises(ValueError, match=why):
        export(Source(module, example.loss, example.inputs, example.target))


def test_a_source_comes_from_a_file_of_the_owners(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from tests.programs import small_source as build\nother = len\nwrong = dict\n")
    assert isinstance(load_source(f"{file}:build"), Source)
    for place, why in ((f"{file}:none", "no function"), (f"{file}:wrong", "gives a dict"), ("mine.py:build", "exists")):
        with pytest.raises(ValueError, match=why):
            load_source(place)


def test_the_operators_that_are_allowed_change_nothing_and_have_shapes_of_their_own() -> None:
    checked = {"aten.index.Tensor", "aten.one_hot.default"}  # no mask, and a number of classes: meta refuses others
    random = {f"aten.{name}" for name in GROUPS["random, in training only"].split()}
    inner = {f"aten.{name}.input" for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")}
    for name in NAMES:
        found = operator(name)
        assert not found._schema.is_mutable, name
        assert torch.Tag.data_dependent_output not in found.tags, name
        assert torch.Tag.dynamic_output_shape not in found.tags or name in checked, name
        draws = torch.Tag.nondeterministic_seeded in found.tags
        assert not draws or name in random | inner | {"aten.scaled_dot_product_attention.default"}, name


def test_the_page_lists_the_operators() -> None:
    page = (Path(__file__).parents[2] / "docs/programs.md").read_text()
    listed = {word for line in page.splitlines() if line.startswith("| ") for word in line.split("|")[2].split()}
    missing = {name.removeprefix("aten.").split(".")[0] for name in NAMES} - listed
    assert missing == set()
