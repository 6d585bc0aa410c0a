"""Tasks: losses are torch's own, metrics are scikit-learn's, and what is not asked for counts for nothing."""

import math
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from sklearn import metrics as scores
from torch.nn import functional

from trainer.config import IGNORED, DataSchema, Feature, TaskConfig, TaskKind
from trainer.tasks import Task, task_of
from trainer.tasks.task import Tensors

N, LENGTH, CLASSES, VOCABULARY = 40, 6, 4, 257

FEATURES: dict[str, dict[str, Any]] = {
    "x": {"kind": "number"},
    "text": {"kind": "text", "length": LENGTH},
    "image": {"kind": "image", "channels": 1, "height": 5, "width": 3},
}
CASES: dict[TaskKind, tuple[str, dict[str, Any] | None]] = {
    "classification": ("x", {"kind": "category", "classes": CLASSES}),
    "multi-label": ("x", {"kind": "labels", "names": ["a", "b", "c"]}),
    "regression": ("x", {"kind": "number", "names": ["a", "b"], "mean": 1000.0, "std": 50.0}),
    "token-classification": ("text", {"kind": "tags", "classes": CLASSES}),
    "language-modelling": ("text", None),
    "segmentation": ("image", {"kind": "mask", "classes": CLASSES}),
}
KINDS = list(CASES)


def schema_of(kind: TaskKind) -> DataSchema:
    feature, target = CASES[kind]
    described = TypeAdapter(Feature).validate_python(FEATURES[feature])
    return DataSchema.model_validate({"features": {feature: described}, "target": target})


def made(kind: TaskKind, **settings: Any) -> Task:
    return task_of(TaskConfig(kind=kind, **settings), schema_of(kind))


def batch(kind: TaskKind, n: int = N) -> tuple[torch.Tensor, Tensors, torch.Tensor | None]:
    """Outputs in float64, inputs, target; some answers are not asked for, and of the first sample none."""
    draw = torch.Generator().manual_seed(7)
    shape: tuple[int, ...] = {"x": (1,), "text": (LENGTH,), "image": (1, 5, 3)}[CASES[kind][0]]
    inputs = {CASES[kind][0]: torch.randn(n, *shape, generator=draw)}
    target: torch.Tensor | None
    outputs = made(kind).outputs({name: tuple(x.shape[1:]) for name, x in inputs.items()})
    outputs = tuple(VOCABULARY if size == -1 else size for size in outputs)
    if kind == "classification":
        target = torch.randint(CLASSES, (n,), generator=draw)
    elif kind == "multi-label":
        target = torch.randint(2, (n, 3), generator=draw).float()
    elif kind == "regression":
        target = torch.randn(n, 2, generator=draw)
    elif kind == "language-modelling":
        target = None
        text = torch.randint(256, (n, LENGTH), generator=draw)
        text[torch.arange(LENGTH) > torch.randint(1, LENGTH, (n, 1), generator=draw)] = 256
        text[0, 1:] = 256
        inputs = {"text": text}
    else:
        answers = (n, LENGTH) if kind == "token-classification" else (n, 5, 3)
        target = torch.randint(CLASSES, answers, generator=draw)
        target[torch.rand(answers, generator=draw) < 0.3] = IGNORED
        target[0] = IGNORED
    return torch.randn(n, *outputs, generator=draw, dtype=torch.float64), inputs, target


def answers(kind: TaskKind, n: int = N) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What was asked for: outputs [m, classes], the answers given and the true ones [m], for tasks with classes."""
    outputs, inputs, target = batch(kind, n)
    if kind == "segmentation":
        outputs = outputs.permute(0, 2, 3, 1)
    if kind == "language-modelling":
        outputs, target = outputs[:, :-1], inputs["text"][:, 1:].clone()
        target[target == 256] = IGNORED
    assert target is not None
    asked = (target != IGNORED).numpy()
    found = outputs.numpy()[asked]
    return found, found.argmax(1), target.numpy()[asked]


def measured(task: Task, name: str, parts: list[tuple[torch.Tensor, Tensors, torch.Tensor | None]]) -> float | None:
    meter = task.metric(name).meter()
    for outputs, inputs, target in parts:
        task.count(meter, outputs, inputs, target)
    return task.value(meter)


def slices(kind: TaskKind, *sizes: int) -> list[tuple[torch.Tensor, Tensors, torch.Tensor | None]]:
    outputs, inputs, target = batch(kind)
    found, start = [], 0
    for size in sizes:
        cut = slice(start, start + size)
        named = {name: x[cut] for name, x in inputs.items()}
        found.append((outputs[cut], named, None if target is None else target[cut]))
        start += size
    assert start == N
    return found


# ---------------------------------------------------------------- losses


def plain(kind: TaskKind, smoothing: float = 0.0) -> float:
    """torch's own mean over all answers of all samples but the first."""
    outputs, inputs, target = batch(kind)
    outputs = outputs[1:]
    if kind == "language-modelling":
        target = inputs["text"][1:, 1:]
        return float(
            functional.cross_entropy(
                outputs[:, :-1].permute(0, 2, 1), target, ignore_index=256, label_smoothing=smoothing
            )
        )
    assert target is not None
    target = target[1:]
    if kind == "multi-label":
        return float(functional.binary_cross_entropy_with_logits(outputs, target.double()))
    if kind == "regression":
        return float(functional.mse_loss(outputs, target.double()))
    at = outputs.permute(0, 2, 1) if kind == "token-classification" else outputs
    return float(functional.cross_entropy(at, target, label_smoothing=smoothing))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_mean_over_all_answers_is_torchs_own(kind: TaskKind, smoothing: float) -> None:
    if smoothing and kind in ("multi-label", "regression"):
        pytest.skip("torch has none")
    outputs, inputs, target = batch(kind)
    if target is not None and target.is_floating_point():
        target = target.double()
    losses = made(kind).losses(outputs, inputs, target, smoothing=smoothing)
    assert losses.shape == (N,)
    if kind == "language-modelling":
        asked = (inputs["text"][:, 1:] != 256).sum(1)
    elif target is not None and kind in ("token-classification", "segmentation"):
        asked = (target != IGNORED).flatten(1).sum(1)
    else:
        asked = torch.ones(N)
    assert float((losses * asked)[1:].sum() / asked[1:].sum()) == pytest.approx(plain(kind, smoothing), rel=1e-9)


@pytest.mark.parametrize("kind", ["token-classification", "language-modelling", "segmentation"])
def test_a_sample_without_any_answer_counts_nothing_and_has_no_gradient(kind: TaskKind) -> None:
    outputs, inputs, target = batch(kind)
    outputs.requires_grad_()
    losses = made(kind).losses(outputs, inputs, target, smoothing=0.1)
    losses.sum().backward()
    assert outputs.grad is not None
    assert float(losses[0].detach()) == 0
    assert float(outputs.grad[0].abs().sum()) == 0
    assert float(outputs.grad[1].abs().sum()) > 0


def test_a_language_model_never_learns_from_padding_or_the_last_position() -> None:
    outputs, inputs, _ = batch("language-modelling")
    outputs.requires_grad_()
    made("language-modelling").losses(outputs, inputs, None).sum().backward()
    assert outputs.grad is not None
    reached = outputs.grad.abs().sum(2) > 0
    following = torch.cat([inputs["text"][:, 1:], torch.full((N, 1), 256)], 1)
    assert torch.equal(reached, following != 256)


def test_padding_of_another_tokenizer_is_given_and_without_it_there_is_none() -> None:
    schema = DataSchema.model_validate(
        {"features": {"text": {"kind": "text", "length": 3, "tokenizer": "words.json"}}, "target": None}
    )
    text, outputs = {"text": torch.tensor([[5, 2, 0]])}, torch.randn(1, 3, 9, dtype=torch.float64)
    first, second = (float(functional.cross_entropy(outputs[0, at], torch.tensor(2 - 2 * at))) for at in (0, 1))
    config = TaskConfig(kind="language-modelling")
    assert float(task_of(config, schema, {"text": 0}).losses(outputs, text, None)) == pytest.approx(first)
    assert float(task_of(config, schema).losses(outputs, text, None)) == pytest.approx((first + second) / 2)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_the_losses_derivatives(kind: TaskKind) -> None:
    outputs, inputs, target = batch(kind, 3)
    if kind == "language-modelling":
        outputs = outputs[..., :7]
        inputs = {"text": torch.where(inputs["text"] == 256, 256, inputs["text"] % 7)}
    if target is not None and target.is_floating_point():
        target = target.double()
    task = made(kind, **({"class_weights": (0.5, 1.0, 2.0, 3.0)} if kind in WEIGHTED else {}))

    def of(values: torch.Tensor) -> torch.Tensor:
        return task.losses(values, inputs, target, smoothing=0.1)

    assert torch.autograd.gradcheck(of, (outputs.detach().requires_grad_(),), fast_mode=True)


WEIGHTED: list[TaskKind] = ["classification", "token-classification", "segmentation"]


@pytest.mark.parametrize("kind", WEIGHTED)
def test_an_answer_counts_what_its_class_weighs(kind: TaskKind) -> None:
    outputs, inputs, target = batch(kind)
    assert target is not None
    even = made(kind, class_weights=(1.0,) * CLASSES).losses(outputs, inputs, target)
    assert torch.allclose(even, made(kind).losses(outputs, inputs, target), rtol=1e-12)
    weighted = made(kind, class_weights=(1e-9, 1e-9, 3.0, 1e-9)).losses(outputs, inputs, target)
    only = made(kind).losses(outputs, inputs, target)
    asked = (target != IGNORED).reshape(N, -1).sum(1).clamp(min=1)
    logits = outputs if outputs.ndim != 3 else outputs.permute(0, 2, 1)
    each = functional.cross_entropy(logits, target, reduction="none").reshape(N, -1)
    third = (each * (target.reshape(N, -1) == 2)).sum(1) * 3 / asked
    assert torch.allclose(weighted, third, atol=1e-7)
    assert not torch.allclose(weighted, only)


def test_a_label_counts_what_it_weighs() -> None:
    outputs, inputs, target = batch("multi-label")
    assert target is not None
    each = functional.binary_cross_entropy_with_logits(outputs, target.double(), reduction="none")
    found = made("multi-label", class_weights=(1.0, 2.0, 3.0)).losses(outputs, inputs, target.double())
    assert torch.allclose(found, (each * torch.tensor([1, 2, 3])).mean(1))


def test_smoothing_pulls_labels_to_the_middle() -> None:
    outputs, inputs, _ = batch("multi-label")
    task, middle = made("multi-label"), torch.full((N, 3), 0.5, dtype=torch.float64)
    for target in (torch.zeros(N, 3).double(), torch.ones(N, 3).double()):
        half = (task.losses(outputs, inputs, target) + task.losses(outputs, inputs, middle)) / 2
        assert torch.allclose(task.losses(outputs, inputs, target, smoothing=0.5), half)


# ---------------------------------------------------------------- metrics


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.asarray(torch.from_numpy(logits).softmax(1))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def expected(kind: TaskKind, name: str) -> float:
    if kind in ("multi-label", "regression"):
        outputs, _, target = batch(kind)
        assert target is not None
        given, true = outputs.numpy(), target.double().numpy()
        known: dict[str, Callable[[], Any]] = {
            "f1": lambda: scores.f1_score(true, given > 0, average="macro"),
            "auroc": lambda: scores.roc_auc_score(true, sigmoid(given), average="macro"),
            "exact-match": lambda: scores.accuracy_score(true, given > 0),
            "rmse": lambda: scores.root_mean_squared_error((1000 + 50 * true).ravel(), (1000 + 50 * given).ravel()),
            "mae": lambda: scores.mean_absolute_error(1000 + 50 * true, 1000 + 50 * given),
            "r2": lambda: scores.r2_score(1000 + 50 * true, 1000 + 50 * given),
        }
    else:
        logits, guess, truth = answers(kind)
        known = {
            "accuracy": lambda: scores.accuracy_score(truth, guess),
            "f1": lambda: scores.f1_score(truth, guess, average="macro"),
            "auroc": lambda: scores.roc_auc_score(truth, softmax(logits), multi_class="ovr"),
            "iou": lambda: scores.jaccard_score(truth, guess, average="macro"),
            "perplexity": lambda: np.exp(scores.log_loss(truth, softmax(logits), labels=np.arange(VOCABULARY))),
        }
    return float(known[name]())


ALL = [(kind, name) for kind in KINDS for name in made(kind).metrics]


@pytest.mark.parametrize(("kind", "name"), ALL)
@pytest.mark.parametrize("sizes", [(N,), (1, 15, 23, 1)], ids=["whole", "batches"])
def test_a_metric_is_what_scikit_learn_says_however_the_samples_come(
    kind: TaskKind, name: str, sizes: tuple[int, ...]
) -> None:
    found = measured(made(kind), name, slices(kind, *sizes))
    assert found == pytest.approx(expected(kind, name), rel=1e-6)


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_one_sample_is_enough_to_count_and_no_answer_gives_none(kind: TaskKind, name: str) -> None:
    """Of the first sample of texts and masks nothing is asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = measured(made(kind), name, [batch(kind, 1)])
    nothing = kind in ("token-classification", "language-modelling", "segmentation") or name in ("auroc", "r2")
    assert (found is None) == nothing


def test_auroc_is_not_defined_where_all_samples_are_of_one_class() -> None:
    outputs, inputs, _ = batch("classification")
    assert measured(made("classification"), "auroc", [(outputs, inputs, torch.full((N,), 2))]) is None
    outputs, inputs, target = batch("multi-label")
    assert measured(made("multi-label"), "auroc", [(outputs, inputs, torch.zeros(N, 3))]) is None
    assert target is not None
    target[:, 1] = 1  # one label that all samples have: the other two remain
    given, true = outputs.numpy()[:, [0, 2]], target.numpy()[:, [0, 2]]
    found = measured(made("multi-label"), "auroc", [(outputs, inputs, target)])
    assert found == pytest.approx(scores.roc_auc_score(true, sigmoid(given), average="macro"))


def test_auroc_of_two_classes_is_the_usual_one_also_where_logits_look_like_probabilities() -> None:
    schema = DataSchema.model_validate(
        {"features": {"x": {"kind": "number"}}, "target": {"kind": "category", "classes": 2}}
    )
    rng = np.random.default_rng(3)
    logits, truth = rng.uniform(0, 1, (N, 2)), rng.integers(0, 2, N)
    task = task_of(TaskConfig(kind="classification"), schema)
    meter = task.metric("auroc").meter()
    logits[20:] *= 8  # the first batch lies in 0 … 1, the second does not
    for cut in (slice(0, 20), slice(20, N)):
        task.count(meter, torch.from_numpy(logits[cut]), {}, torch.from_numpy(truth[cut]))
    assert task.value(meter) == pytest.approx(scores.roc_auc_score(truth, softmax(logits)[:, 1]))


def test_r2_keeps_its_digits_where_the_target_is_large() -> None:
    rng = np.random.default_rng(0)
    true = 1e7 + rng.standard_normal((N, 2))
    given = true + 0.5 * rng.standard_normal((N, 2))
    task = made("regression")
    parts = [(torch.from_numpy(given[a:b]), {}, torch.from_numpy(true[a:b])) for a, b in ((0, 7), (7, N))]
    assert measured(task, "r2", parts) == pytest.approx(scores.r2_score(true, given), rel=1e-9)


def test_every_metric_says_where_better_is_and_in_what_unit() -> None:
    found = {(kind, name): (made(kind).metrics[name].higher, made(kind).metrics[name].unit) for kind, name in ALL}
    down = {("regression", "rmse"), ("regression", "mae"), ("language-modelling", "perplexity")}
    assert {key for key, (higher, _) in found.items() if not higher} == down
    assert {key for key, (_, unit) in found.items() if unit == "target"} == {
        ("regression", "rmse"),
        ("regression", "mae"),
    }


# ---------------------------------------------------------------- what fits what


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_refuses_a_target_that_is_not_its_own(kind: TaskKind) -> None:
    for other in KINDS:
        if other == kind:
            continue
        with pytest.raises(ValueError, match=kind):
            task_of(TaskConfig(kind=kind), schema_of(other))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_another_number_of_classes_are_refused(kind: TaskKind) -> None:
    with pytest.raises(ValueError, match="class_weights"):
        made(kind, class_weights=(1.0,) * 9)


def test_a_metric_that_a_task_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no metric 'rmse' for this task; there are accuracy, f1, auroc"):
        made("classification", metric="rmse")


@pytest.mark.parametrize("kind", KINDS)
def test_an_own_program_has_the_metrics_of_its_target_and_no_loss(kind: TaskKind) -> None:
    task, like = task_of(TaskConfig(kind="own"), schema_of(kind)), made(kind)
    assert list(task.metrics) == list(like.metrics)
    name = next(iter(like.metrics))
    assert measured(task, name, [batch(kind)]) == measured(like, name, [batch(kind)])
    with pytest.raises(ValueError, match="export one"):
        task.losses(*batch(kind))


def test_an_own_program_without_a_known_target_has_no_metrics() -> None:
    schema = DataSchema.model_validate({"features": {"x": {"kind": "number"}}, "target": None})
    task = task_of(TaskConfig(kind="own"), schema)
    assert task.metrics == {}
    for wrong in (lambda: task.metric(None), lambda: task.outputs({}), lambda: task.count(None, None, {}, None)):
        with pytest.raises(ValueError, match="no metrics"):
            wrong()
    with pytest.raises(ValueError, match="no metrics"):
        task_of(TaskConfig(kind="own", metric="accuracy"), schema)


def test_perplexity_that_no_number_holds_is_none() -> None:
    outputs, inputs, _ = batch("language-modelling")
    assert measured(made("language-modelling"), "perplexity", [(outputs * 1e6, inputs, None)]) is None
    assert math.isfinite(measured(made("language-modelling"), "perplexity", [(outputs * 0, inputs, None)]) or math.nan)


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_can_be_sent_to_another_process_with_its_metrics(kind: TaskKind) -> None:
    task = made(kind)
    sent = pickle.loads(pickle.dumps(task))
    outputs, inputs, target = batch(kind)
    for name, metric in task.metrics.items():
        values = []
        for judge, meter in ((task, metric.meter()), (sent, sent.metrics[name].meter())):
            judge.count(meter, outputs, inputs, target)
            values.append(judge.value(meter))
        assert values[0] == values[1]


def test_tasks_are_known_without_loading_torchmetrics() -> None:
    code = "import sys, trainer.tasks, trainer.train; print(sorted({'torchmetrics', 'torchvision'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip() == "[]"
