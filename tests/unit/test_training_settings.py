"""Settings of a round beyond the optimizer: each does what its description says, and nothing else."""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from trainer.augment import augmentation
from trainer.batches import batches_of, steps_of
from trainer.config import IGNORED, Augmentation, DataSchema, TaskConfig, TrainingConfig
from trainer.data import Dataset
from trainer.models import flatten
from trainer.programs import Described
from trainer.tasks import task_of
from trainer.train import Progress, RoundResult, train_round

SCHEMA = DataSchema.model_validate(
    {"features": {"x": {"kind": "tensor", "shape": [4]}}, "target": {"kind": "category", "classes": 3}}
)


def blobs(n: int = 60) -> Dataset:
    rng = np.random.default_rng(0)
    y = np.arange(n, dtype=np.int64) % 3
    return Dataset({"x": (rng.standard_normal((n, 4)) + 2 * np.eye(4)[y]).astype(np.float32)}, y)


def opened() -> Described:
    torch.manual_seed(0)
    return Described(
        nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)), task_of(TaskConfig(kind="classification"), SCHEMA)
    )


@dataclass
class Trained:
    base: np.ndarray
    end: np.ndarray
    result: RoundResult
    told: list[Progress]


def trained(data: Dataset | None = None, **settings: Any) -> Trained:
    program, told = opened(), list[Progress]()
    base = flatten(program.module).numpy()
    config = TrainingConfig(**{"learning_rate": 0.1, "batch_size": 16, **settings})
    result = train_round(program, data or blobs(), config, round=1, seed=3, on_progress=told.append)
    return Trained(base, flatten(program.module).numpy(), result, told)


# ---------------------------------------------------------------- steps


def test_steps_are_as_many_as_asked_for_however_many_samples_there_are() -> None:
    for n in (5, 60, 600):
        found = trained(blobs(n), steps=50)
        assert [(p.done, p.total, p.unit) for p in found.told] == [(min(50, 3 * k), 50, "step") for k in range(1, 18)]
        assert found.result.loss == found.told[-1].loss
        assert found.result.complete


def test_steps_of_whole_passes_are_the_same_as_epochs() -> None:
    assert trained(steps=8).end.tobytes() == trained(epochs=2).end.tobytes()


def test_samples_come_in_a_new_order_in_each_pass_of_steps() -> None:
    """With one sample a step and a rate that lets only the last step count, different passes end differently."""
    ends = {trained(steps=60 * k, batch_size=1, learning_rate=1e-6).end.tobytes() for k in (1, 2)}
    assert len(ends) == 2
    again = trained(steps=120, batch_size=1)
    twice = [trained(epochs=2, batch_size=1).end.tobytes(), again.end.tobytes()]
    assert twice[0] == twice[1]


@pytest.mark.parametrize("n", [1, 16, 60, 61])
@pytest.mark.parametrize("accumulate", [1, 2, 3, 100])
@pytest.mark.parametrize("length", [{"epochs": 3}, {"steps": 7}], ids=str)
def test_batches_are_counted_as_they_come(n: int, accumulate: int, length: dict[str, int]) -> None:
    config = TrainingConfig(learning_rate=0.01, batch_size=16, accumulate=accumulate, **length)
    calls = []

    def count() -> bool:
        calls.append(1)
        return False

    train_round(opened(), blobs(n), config, round=1, seed=3, should_stop=count)
    assert len(calls) == batches_of(config, n)
    assert steps_of(config, n) == (config.steps or 3 * -(-n // (16 * accumulate)))


# ---------------------------------------------------------------- gradients


@pytest.mark.parametrize("n", [60, 64, 65])
@pytest.mark.parametrize("extra", [{}, {"momentum": 0.9}, {"clip_gradient": 0.1}, {"proximal_mu": 1.0}], ids=str)
def test_two_batches_of_16_are_one_of_32(n: int, extra: dict[str, float]) -> None:
    two = trained(blobs(n), batch_size=16, accumulate=2, epochs=3, **extra)
    one = trained(blobs(n), batch_size=32, epochs=3, **extra)
    assert np.abs(two.end - one.end).max() < 1e-6
    assert two.result.loss == pytest.approx(one.result.loss, rel=1e-5)
    assert np.abs(trained(blobs(n), batch_size=16, epochs=3, **extra).end - one.end).max() > 1e-4


def test_a_program_that_gives_only_a_mean_accumulates_like_one_that_gives_each() -> None:
    class Mean(Described):
        def losses(self, *arguments: Any, **settings: Any) -> torch.Tensor:
            return super().losses(*arguments, **settings).mean()

    config = TrainingConfig(learning_rate=0.1, batch_size=16, accumulate=2, epochs=2)
    plain, program = opened(), opened()
    mean = Mean(program.module, program.task)
    losses = [train_round(p, blobs(), config, round=1, seed=1).loss for p in (plain, mean)]
    assert torch.allclose(flatten(plain.module), flatten(mean.module), atol=1e-6)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_clipped_step_is_as_long_as_the_clip_allows() -> None:
    short = trained(batch_size=60, clip_gradient=0.01)
    assert np.linalg.norm(short.end - short.base) == pytest.approx(0.1 * 0.01, rel=1e-3)
    free = trained(batch_size=60)
    assert np.linalg.norm(free.end - free.base) > 0.1 * 0.01 * 2
    assert trained(batch_size=60, clip_gradient=1e6).end == pytest.approx(free.end, abs=1e-7)


def test_the_learning_rate_grows_to_what_it_is() -> None:
    """One batch holds all samples, so a first step is the rate times the same gradient."""
    whole = trained(batch_size=60)
    quarter = trained(batch_size=60, warmup_steps=4)
    assert quarter.end - quarter.base == pytest.approx((whole.end - whole.base) / 4, abs=1e-7)

    class Rates(Described):
        seen: list[float]

        def losses(self, *arguments: Any, **settings: Any) -> torch.Tensor:
            self.seen.append(float(flatten(self.module)[0]))
            loss: torch.Tensor = self.module[0].bias.sum() + 0 * super().losses(*arguments, **settings).mean()
            return loss

    program = Rates(*vars(opened()).values())
    program.seen = []
    config = TrainingConfig(learning_rate=0.5, steps=6, warmup_steps=4, batch_size=60)
    train_round(program, blobs(), config, round=1, seed=1)
    biases = program.module[0].bias.detach()
    start = opened().module[0].bias.detach()
    assert torch.allclose(start - biases, torch.tensor(0.5 * (0.25 + 0.5 + 0.75 + 1 + 1 + 1)), atol=1e-6)


def test_the_proximal_term_pulls_to_the_base_by_mu_times_the_distance() -> None:
    """Two steps of the whole data set: the second one's gradient is the loss's plus mu · (w − base)."""
    one = trained(batch_size=60, epochs=1)
    plain, pulled = (trained(batch_size=60, epochs=2, proximal_mu=mu) for mu in (0.0, 2.0))
    assert plain.end - pulled.end == pytest.approx(0.1 * 2.0 * (one.end - one.base), abs=1e-6)


def test_frozen_parameters_stay_and_unreached_ones_do_not_fail() -> None:
    program = opened()
    program.module.register_parameter("unused", nn.Parameter(torch.ones(3)))
    program.module[0].weight.requires_grad_(False)
    before = {name: p.detach().clone() for name, p in program.module.named_parameters()}
    config = TrainingConfig(learning_rate=0.1, weight_decay=0.1, proximal_mu=0.5, clip_gradient=1.0, accumulate=2)
    train_round(program, blobs(), config, round=1, seed=1)
    moved = {name for name, p in program.module.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"0.bias", "2.weight", "2.bias"}


def test_gradients_of_before_do_not_count_and_none_remain() -> None:
    clean, dirty = opened(), opened()
    for parameter in dirty.module.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    config = TrainingConfig(learning_rate=0.1)
    for program in (clean, dirty):
        train_round(program, blobs(), config, round=1, seed=1)
    assert torch.equal(flatten(clean.module), flatten(dirty.module))
    assert all(parameter.grad is None for parameter in dirty.module.parameters())


# ---------------------------------------------------------------- early stopping


def test_a_round_ends_once_the_loss_has_not_fallen_for_so_many_epochs() -> None:
    """A rate of 2^-40 changes no float32 weight: the loss stays as it is, but for the order of its sum."""
    still = trained(blobs(16), learning_rate=2.0**-40, epochs=50, stop_after=3, batch_size=16)
    assert 4 <= len(still.told) < 50
    losses = [p.loss for p in still.told]
    assert min(losses[-3:]) >= min(losses[:-3])
    assert still.result.complete
    falling = trained(learning_rate=0.05, epochs=10, stop_after=1, batch_size=60)
    assert len(falling.told) == 10


# ---------------------------------------------------------------- augmentations


def images(
    channels: int = 3, *, target: dict[str, Any] | None = None, mean: float = 0.0, std: float = 1.0
) -> DataSchema:
    feature = {"kind": "image", "channels": channels, "height": 16, "width": 12, "maximum": 255.0}
    described = {**feature, "mean": [mean], "std": [std]}
    return DataSchema.model_validate(
        {"features": {"image": described}, "target": target or {"kind": "category", "classes": 3}}
    )


def augmented(
    name: Augmentation, schema: DataSchema, x: torch.Tensor, y: torch.Tensor, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    work = augmentation(TrainingConfig(learning_rate=0.1, augment=(name,)), schema)
    assert work is not None
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inputs, target = work(({"image": x}, y))
    assert target is not None
    return inputs["image"], target


NAMES: list[Augmentation] = ["flip", "vertical-flip", "crop", "rotate", "colour", "erase"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_augmentation_changes_samples_each_in_its_own_way_and_is_seeded(name: Augmentation, channels: int) -> None:
    schema = images(channels, mean=127.0, std=64.0)
    same = torch.rand(channels, 16, 12, generator=torch.Generator().manual_seed(1)).expand(24, -1, -1, -1)
    x, y = (same * 255 - 127) / 64, torch.arange(24)
    found, labels = augmented(name, schema, x, y)
    assert found.shape == x.shape
    assert found.dtype == torch.float32
    assert torch.equal(labels, y)
    assert len({sample.numpy().tobytes() for sample in found}) > 1
    assert torch.equal(found, augmented(name, schema, x, y)[0])
    assert not torch.equal(found, augmented(name, schema, x, y, seed=1)[0])
    low, high = (0 - 127) / 64, (255 - 127) / 64
    assert low - 1e-4 <= float(found.min()) <= float(found.max()) <= high + 1e-4


def test_a_mirrored_image_is_mirrored() -> None:
    x = torch.rand(40, 3, 16, 12) * 255
    for name, axis in (("flip", 3), ("vertical-flip", 2)):
        found, _ = augmented(name, images(), x, torch.zeros(40))
        for before, after in zip(x, found, strict=True):
            mirrored = before.flip(axis - 1)
            assert torch.allclose(after, before, atol=1e-3) or torch.allclose(after, mirrored, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_masks_go_with_their_images(name: Augmentation) -> None:
    """The mask's class is written into the image: where anything is asked for, both still agree."""
    schema = images(1, target={"kind": "mask", "classes": 200})
    mask = torch.arange(16 * 12).view(1, 16, 12).expand(20, -1, -1).clone()
    found, moved = augmented(name, schema, mask.unsqueeze(1).float(), mask)
    assert moved.dtype == torch.int64
    if name in ("colour", "erase"):
        assert torch.equal(moved, mask)
        return
    assert not torch.equal(moved, mask)
    asked = moved != IGNORED
    if name == "rotate":  # one is interpolated, the other is not
        assert 0.7 < float(asked.float().mean()) < 1
        return
    assert torch.allclose(found[:, 0][asked], moved[asked].float(), atol=1e-2)
    assert (name == "crop") == bool((~asked).any())
    assert not found[:, 0][~asked].any()


def test_augmentation_is_refused_where_there_are_no_images_or_no_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainingConfig(learning_rate=0.1, augment=("flip",))
    with pytest.raises(ValueError, match="no feature that is one"):
        train_round(opened(), blobs(), config, round=1, seed=1, schema=SCHEMA)
    with pytest.raises(ValueError, match="needs the schema"):
        train_round(opened(), blobs(), config, round=1, seed=1)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ValueError, match=r"install merit\[vision\]"):
        augmentation(config, images())


def test_an_augmented_round_is_seeded_and_leaves_the_data_as_they_are() -> None:
    schema = images(1)
    rng = np.random.default_rng(0)
    data = Dataset({"image": rng.uniform(0, 255, (20, 1, 16, 12)).astype(np.float32)}, np.arange(20) % 3)
    kept = data.inputs["image"].copy()

    def end(augment: tuple[Augmentation, ...]) -> bytes:
        torch.manual_seed(0)
        module = nn.Sequential(nn.Flatten(), nn.Linear(16 * 12, 3))
        program = Described(module, task_of(TaskConfig(kind="classification"), schema))
        config = TrainingConfig(learning_rate=1e-6, augment=augment, epochs=2, batch_size=8)
        train_round(program, data, config, round=1, seed=1, schema=schema)
        return flatten(module).numpy().tobytes()

    assert end(("flip", "crop")) == end(("flip", "crop"))
    assert len({end(()), end(("flip",)), end(("flip", "crop"))}) == 3
    assert (data.inputs["image"] == kept).all()
