"""A trainer's own training code: what it gets, what it gives back, and what is not taken from it."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from trainer.config import DataSchema, ModelConfig, TaskConfig, TrainingConfig
from trainer.data import Dataset
from trainer.models import flatten
from trainer.own import OwnRound, load_own, train_own
from trainer.programs import Described, Program, open_program
from trainer.tasks import task_of
from trainer.train import evaluate

SCHEMA = DataSchema.model_validate(
    {"features": {"x": {"kind": "tensor", "shape": [4]}}, "target": {"kind": "category", "classes": 3}}
)
TASK = TaskConfig(kind="classification")
MODEL = ModelConfig(architecture="mlp", parameters={"inputs": 4, "hidden": [8], "classes": 3}, seed=1)
TRAINING = TrainingConfig(learning_rate=0.05, epochs=4, batch_size=8)
EXAMPLES = Path(__file__).parents[2] / "examples" / "own_code"


def blobs(n: int = 60) -> Dataset:
    rng = np.random.default_rng(0)
    y = np.arange(n, dtype=np.int64) % 3
    return Dataset({"x": (rng.standard_normal((n, 4)) + 2 * np.eye(4)[y]).astype(np.float32)}, y)


def opened() -> Program:
    return open_program(MODEL, SCHEMA, TASK, {})


def plain(work: OwnRound) -> nn.Module:
    optimizer = torch.optim.SGD(work.module.parameters(), lr=work.training.learning_rate)
    for inputs, target in work.loader():
        optimizer.zero_grad()
        work.loss(inputs, target).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return work.module


def test_what_the_function_trains_is_taken_over() -> None:
    program, seen = opened(), list[OwnRound]()

    def function(work: OwnRound) -> nn.Module:
        seen.append(work)
        return plain(work)

    before = flatten(program.module)
    result = train_own(function, program, blobs(), TRAINING, round=2, seed=7)
    assert not torch.equal(flatten(program.module), before)
    assert torch.equal(flatten(program.module), flatten(seen[0].module))
    assert result.loss == evaluate(program, blobs()).loss < evaluate(opened(), blobs()).loss
    assert (result.samples, result.complete) == (60, True)
    assert (seen[0].round, seen[0].seed, seen[0].training) == (2, 7, TRAINING)


def test_the_data_come_as_torch_takes_them_and_in_an_order_of_their_own_each_round() -> None:
    def work(round: int) -> OwnRound:
        program = opened()
        return OwnRound(program.module, program, blobs(), TRAINING, round, 7, program.device, lambda: False)

    dataset = work(1).dataset()
    inputs, target = dataset[5]
    assert len(dataset) == 60
    assert torch.equal(inputs["x"], torch.from_numpy(blobs().inputs["x"][5]))
    assert int(target) == 5 % 3
    labels = [torch.cat([y for _, y in work(round).loader()]).tolist() for round in (1, 1, 2)]
    assert labels[0] == labels[1] != labels[2]
    assert sorted(labels[0]) == sorted(blobs().y.tolist())
    assert [len(y) for _, y in work(1).loader()] == [8] * 7 + [4]


def test_a_module_of_its_own_with_the_same_parameters_may_come_back() -> None:
    program = opened()

    def function(work: OwnRound) -> nn.Module:
        other = opened().module
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.fill_(0.25)
        return other

    train_own(function, program, blobs(), TRAINING, round=1, seed=1)
    assert bool((flatten(program.module) == 0.25).all())


class Bigger(nn.Module):
    """The layers 1 and 3 of the mlp, one part trained, and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.head = nn.Linear(4, 8), nn.Linear(8, 3)
        self.frozen.requires_grad_(False)
        self.register_buffer("constant", torch.ones(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.frozen(x))


def spoil_frozen(work: OwnRound) -> nn.Module:
    work.module.frozen.weight.data[0, 0] += 1
    return work.module


def spoil_buffer(work: OwnRound) -> nn.Module:
    work.module.constant.zero_()
    return work.module


def unfreeze_and_spoil(work: OwnRound) -> nn.Module:
    work.module.requires_grad_(True)
    return spoil_frozen(work)


def wrong_shape(work: OwnRound) -> nn.Module:
    work.module.head = nn.Linear(8, 4)
    return work.module


def wrong_dtype(work: OwnRound) -> nn.Module:
    return work.module.half()


def another_name(work: OwnRound) -> nn.Module:
    return nn.Sequential(work.module)


def not_finite(work: OwnRound) -> nn.Module:
    work.module.head.bias.data[1] = torch.nan
    return work.module


def nothing(work: OwnRound) -> None:
    return None


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (spoil_frozen, "frozen.weight is not trained"),
        (spoil_buffer, "constant is not trained"),
        (unfreeze_and_spoil, "frozen.weight is not trained"),
        (wrong_shape, r"head.weight came back as torch.float32\[4, 8\], torch.float32\[3, 8\] is expected"),
        (wrong_dtype, "came back as torch.float16"),
        (another_name, "other parameters: "),
        (not_finite, "head.bias came back with values that are not finite"),
        (nothing, "has to return the module, not NoneType"),
    ],
)
def test_what_cannot_be_submitted_is_refused_and_leaves_no_trace(
    function: Callable[[OwnRound], nn.Module], why: str
) -> None:
    program = Described(Bigger(), task_of(TASK, SCHEMA))
    before = {name: value.clone() for name, value in program.module.state_dict().items()}
    with pytest.raises(ValueError, match=why):
        train_own(function, program, blobs(), TRAINING, round=1, seed=1)
    after = program.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [name for name, p in program.module.named_parameters() if p.requires_grad] == ["head.weight", "head.bias"]


def test_what_the_function_raises_passes_and_leaves_no_trace() -> None:
    program = opened()
    before = flatten(program.module)

    def function(work: OwnRound) -> nn.Module:
        plain(work)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        train_own(function, program, blobs(), TRAINING, round=1, seed=1)
    assert torch.equal(flatten(program.module), before)


def test_a_function_that_was_told_to_stop_has_not_completed_its_round() -> None:
    assert not train_own(plain, opened(), blobs(), TRAINING, round=1, seed=1, should_stop=lambda: True).complete


def test_a_function_is_found_by_its_name_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_of_a_test.py").write_text("def train(work):\n    return work.module\n\nnumber = 1\n")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    assert callable(load_own("mine_of_a_test:train"))
    assert sys.path == path
    for wrong, why in (
        ("mine_of_a_test", "takes package.module:function"),
        ("mine_of_a_test:", "takes package.module:function"),
        ("mine_of_a_test:fit", "has no function 'fit'"),
        ("mine_of_a_test:number", "has no function 'number'"),
        ("no_such_module_anywhere:train", "No module named"),
    ):
        with pytest.raises(ValueError, match=why):
            load_own(wrong)


@pytest.mark.parametrize("name", ["lightning", "transformers", "flower", "flower_app"])
def test_examples_train_a_round(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower's run in Flower's environment: `make test-flower`."""
    pytest.importorskip("flwr" if "flower" in name else name, reason=f"{name} is not installed")
    monkeypatch.chdir(EXAMPLES)
    program = opened()
    result = train_own(load_own(f"with_{name}:train"), program, blobs(), TRAINING, round=1, seed=1)
    assert result.loss < evaluate(opened(), blobs()).loss - 0.05
    assert program.device.type == "cpu"


@pytest.mark.parametrize("name", ["with_flower", "with_flower_app"])
def test_flower_examples_say_what_they_need_where_flower_is_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.delitem(sys.modules, name, raising=False)
    for module in ("flwr", "flwr.app", "flwr.client"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match="needs Flower: pip install flwr"):
        load_own(f"{name}:train")
