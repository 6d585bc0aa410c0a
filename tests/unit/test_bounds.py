"""The bounds of a description's numbers: what is beyond is refused, and what is within stays finite for all rounds.

docs/limits.md has the bounds with their reasons.
"""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from aggregator.points import RATE_BITS, rate_at
from aggregator.reference import first_row
from aggregator.rules import UNIT
from aggregator.sums import next_model
from marketplace.domain import ZERO_ADDRESS, Rule
from marketplace.errors import CorruptContent, InputError
from marketplace.services.judgement import judge
from marketplace.services.rows import rows_problem
from marketplace.services.safety import check_computable, check_new_job, unfit
from marketplace.services.validation import Validation
from marketplace.spec import JobFile, PinnedFile, ProofsSpec, ServerRate, Spec, VerifierTerms, terms_of
from tests.example import TEXT
from trainer.config import (
    MAX_SCALE,
    MAX_WEIGHT,
    MIN_STEP,
    DataSchema,
    ModelConfig,
    TrainingConfig,
    UpdateConfig,
    task_for,
)
from trainer.data import Dataset, normalise
from trainer.models import (
    build,
    check_weights,
    count_parameters,
    flatten,
    load_flat,
    to_safetensors,
)
from trainer.models.effort import MAX_VALUES_A_BATCH, batch_within, effort
from trainer.models.tensors import opened, read_into
from trainer.programs import check_program, open_program
from trainer.quantize import to_integers
from trainer.results import whole
from trainer.train import evaluate, learning_rate, loss_gradient
from zk.encoding import LIMIT, ONE, Float32s

CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
D = 6
SMALLEST_NORMAL = 2.0**-126
MAX_ROUNDS = 1000


def document(**changes: Any) -> dict[str, Any]:
    """The example's document; changes are by `part__field`."""
    made: dict[str, Any] = yaml.safe_load(TEXT)
    for name, value in changes.items():
        part, field = name.split("__")
        made.setdefault(part, {})[field] = value
    return made


def spec_of(job: JobFile) -> Spec:
    pinned = PinnedFile(hash="0x" + "5a" * 32, cid=CID)
    proofs = ProofsSpec(chunk=1024, srs=pinned, key=pinned, development=True)
    d = count_parameters(job.model)
    return Spec.of(job, parameters=d, files={}, base_cid=CID, proofs=proofs, validation=None)


def terms(job: JobFile, rule: Rule = Rule.KRUM_COSINE) -> Any:
    verifiers = VerifierTerms(ZERO_ADDRESS, b"\x01" * 32, ZERO_ADDRESS, b"\x02" * 32)
    return terms_of(job, owner=ZERO_ADDRESS, rule=rule, now=1_000_000, verifiers=verifiers)


# ---------------------------------------------------------------- single numbers

BEYOND: dict[str, dict[str, Any]] = {
    "a clip without end": {"update__clip": 1e308},
    "a clip of nothing": {"update__clip": 1e-300},
    "a learning rate of nothing": {"training__learning_rate": 1e-300},
    "a momentum that forgets nothing": {"training__momentum": 1 - 2.0**-53},
    "running means that forget nothing": {"training__betas": [0.9, 1 - 2.0**-53]},
    "a denominator of nothing": {"training__epsilon": 1e-45},
    "a decay by which weights grow": {"training__learning_rate": 100.0, "training__weight_decay": 10.0},
    "samples beyond float32": {"data__maximum": 1e39},
    "a mean beyond float32": {"data__mean": [1e300]},
    "a division by almost zero": {"data__std": [1e-300]},
    "a division by more than there is": {"data__std": [1e300]},
    "more samples than there are": {"data__min_samples": 10**30},
}


@pytest.mark.parametrize("name", BEYOND)
def test_a_number_beyond_its_bound_is_refused_in_a_job_file_and_in_a_spec(name: str) -> None:
    changes = BEYOND[name]
    with pytest.raises(ValidationError):
        JobFile.model_validate(document(**changes))
    written = json.loads(spec_of(JobFile.model_validate(document())).to_bytes())
    for place, value in changes.items():
        part, field = place.split("__")
        (written if part == "update" else written[part])[field] = value
    with pytest.raises(CorruptContent, match="not valid"):
        Spec.from_bytes(json.dumps(written).encode(), where="somewhere")


@pytest.mark.parametrize(
    "changes",
    [
        {"update__scale": 2.0**60},
        {"update__scale": 2 * MAX_SCALE},
        {"update__scale": MIN_STEP / 2},
        {"update__scale": 0.0},
        {"update__scale": -0.5},
        {"update__clip": 2.0**-20},  # below the scale
        {"server_rate__initial": 1e9},
        {"server_rate__initial": np.nextafter(MIN_STEP, 0)},
        {"server_rate__initial": 1e-300},
        {"server_rate__decay": 0.0},
        {"server_rate__decay": 1.0001},
        {"server_rate__momentum": 0.9501},
        {"update__bits": 12},
        {"update__bits": 0},
        {"update__keep": 0.0},
        {"update__keep": 1.0001},
        {"update__keep": 9.9e-5},
        {"server_rate__momentum": -0.1},
        {"market__min_rounds": 0},
    ],
    ids=str,
)
def test_what_becomes_terms_is_bounded_in_a_job_file(changes: dict[str, Any]) -> None:
    """The contract bounds the terms themselves."""
    with pytest.raises(ValidationError):
        JobFile.model_validate(document(**changes))


@pytest.mark.parametrize("scale", [1e-4, 0.3, 3 * 2.0**-15, np.nextafter(2.0**-15, 1), np.nextafter(2.0**-15, 0)])
def test_a_scale_that_is_no_power_of_two_is_refused_and_the_next_one_named(scale: float) -> None:
    lower = max(2.0**exponent for exponent in range(-41, 1) if 2.0**exponent < scale)
    with pytest.raises(ValidationError, match=f"no power of two; the next lower one is {lower!r}"):
        JobFile.model_validate(document(update__scale=scale))


def test_every_power_of_two_within_the_bounds_is_a_scale() -> None:
    for exponent in range(-40, 1):
        job = JobFile.model_validate(document(update__scale=2.0**exponent))
        assert terms(job).scale_exponent == job.update.exponent == exponent


def test_a_clip_below_the_scale_is_refused_by_all_others_too() -> None:
    """The scale is in the terms and the clip in the spec, so that neither's own bounds tell."""
    job = JobFile.model_validate(document(update__scale=2.0**-10, update__clip=2.0**-10))
    check_computable(terms(job), spec_of(job))
    with pytest.raises(CorruptContent, match=r"clip 0\.0009765625 is below the scale"):
        check_computable(replace(terms(job), scale_exponent=-9), spec_of(job))


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_spec_has_no_number_that_is_not_finite(word: str) -> None:
    data = spec_of(JobFile.model_validate(document())).to_bytes()
    for field in (b'"clip":null', b'"learning_rate":0.003', b'"maximum":16.0'):
        assert field in data
        with pytest.raises(CorruptContent):
            Spec.from_bytes(data.replace(field, field.split(b":")[0] + b":" + word.encode()), where="somewhere")


def test_a_spec_has_chunks_of_a_power_of_two_as_a_job_file_has() -> None:
    written = json.loads(spec_of(JobFile.model_validate(document())).to_bytes())
    written["proofs"]["chunk"] = 1025
    with pytest.raises(CorruptContent, match="not a power of two"):
        Spec.from_bytes(json.dumps(written).encode(), where="somewhere")


# ---------------------------------------------------------------- what takes two parts

IMAGE = {"kind": "image", "channels": 1, "height": 8, "width": 8}
TOGETHER = {
    "the server's rate falls": {"server_rate__decay": 0.5, "market__rounds": 100},
    "the learning rate falls": {"training__schedule": "step", "training__schedule_factor": 0.0, "market__rounds": 11},
    "the learning rate falls to": {
        "training__schedule": "cosine",
        "training__schedule_factor": 0.0,
        "training__schedule_rounds": 4,
        "market__rounds": 5,
    },
    "gives outputs": {"data__target": {"kind": "category", "classes": 7}},
    "does not take samples of shape": {"data__features": {"image": IMAGE | {"height": 9}}},
    "no transaction may use more than": {
        "proofs__chunk": 1024,
        "market__max_trainers": 32,
        "model__architecture": "mlp",
        "model__parameters": {"inputs": 64, "hidden": [800], "classes": 10},
    },
    "values for a batch": {
        "training__batch_size": 2**16,
        "data__features": {"image": IMAGE | {"height": 512, "width": 512}},
    },
}


@pytest.mark.parametrize("name", TOGETHER)
def test_parts_that_do_not_go_together_are_refused_by_owner_and_by_all_others(name: str) -> None:
    made = document(**TOGETHER[name])
    if "512" in str(made["data"]["features"]):
        made["model"]["parameters"] |= {"height": 512, "width": 512}
    job = JobFile.model_validate(made)
    with pytest.raises(InputError, match=name):
        check_new_job(job, Rule.KRUM_COSINE, {})
    with pytest.raises(CorruptContent, match=name):
        check_computable(terms(job), spec_of(job))


def test_a_job_is_held_to_what_its_own_rule_costs() -> None:
    """56 chunks for each of 32 seats: two rows more than what one transaction bears."""
    made = document(proofs__chunk=1024, market__max_trainers=32)
    made["model"] = {"architecture": "mlp", "parameters": {"inputs": 64, "hidden": [760], "classes": 10}}
    made["data"]["features"] = {"x": {"kind": "tensor", "shape": [64]}}
    job = JobFile.model_validate(made)
    check_new_job(job, job.rule(validated=False), {})
    with pytest.raises(InputError, match="no transaction may use more than"):
        check_new_job(job, job.rule(validated=True), {})


def test_the_example_can_be_carried_out() -> None:
    job = JobFile.model_validate(document())
    check_new_job(job, Rule.KRUM_COSINE, {}, flatten(build(job.model)).numpy())
    check_computable(terms(job), spec_of(job), base=flatten(build(job.model)).numpy())


@pytest.mark.parametrize("value", [np.nextafter(np.float32(MAX_WEIGHT), np.float32(2e9)), 1e30, np.inf, np.nan])
def test_a_base_model_beyond_its_bound_is_refused(value: float) -> None:
    job = JobFile.model_validate(document())
    weights = flatten(build(job.model)).numpy()
    weights[3] = value
    with pytest.raises(ValueError, match="base model"):
        check_weights(weights)
    with pytest.raises(InputError, match="base model"):
        check_new_job(job, Rule.KRUM_COSINE, {}, weights)
    with pytest.raises(CorruptContent, match="base model"):
        check_computable(terms(job), spec_of(job), base=weights)


# ---------------------------------------------------------------- sizes

HUGE = {
    "a gigabyte of values for one sample": (
        {"channels": 1, "height": 2048, "width": 2048, "filters": [64], "hidden": 1, "classes": 2},
        (1, 2048, 2048),
        "values for one sample",
    ),
    "hours for one sample": (
        {"channels": 1024, "height": 60, "width": 61, "filters": [4096, 4096], "hidden": 1, "classes": 2},
        (1024, 60, 61),
        "multiplications for one sample",
    ),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_model_that_costs_too_much_for_a_sample_is_refused_without_being_run(name: str) -> None:
    parameters, shape, why = HUGE[name]
    image = {"kind": "tensor", "shape": shape}
    schema = DataSchema.model_validate({"features": {"image": image}, "target": {"kind": "category", "classes": 2}})
    with pytest.raises(ValueError, match=why):
        check_program(ModelConfig(architecture="cnn", parameters=parameters), schema, task_for(schema), 1, {})


def test_effort_is_what_operations_give_and_multiply() -> None:
    module = build(ModelConfig(architecture="mlp", parameters={"inputs": 4, "hidden": [3], "classes": 2}))
    found = effort(module, {"x": torch.zeros(5, 4)})
    assert found.values == 3 + 3 + 2  # linear, relu, linear; what is flattened takes no memory
    assert found.products == 4 * 3 + 3 * 2


def test_batches_to_measure_with_are_bounded_by_what_the_layers_give() -> None:
    assert batch_within(1024, 100) == 1024
    assert batch_within(1024, MAX_VALUES_A_BATCH // 8) == 8
    assert batch_within(1024, 2 * MAX_VALUES_A_BATCH) == 1


# ---------------------------------------------------------------- all that follows is finite

steps = st.integers(-40, 0).map(lambda exponent: 2.0**exponent)
server_rates = st.builds(
    ServerRate,
    initial=st.floats(MIN_STEP, 100.0) | st.sampled_from([MIN_STEP, 100.0]),
    decay=st.floats(0.5, 1.0) | st.just(1.0),
)


@settings(max_examples=50, deadline=None)
@given(scale=steps, rate=server_rates, rounds=st.integers(1, MAX_ROUNDS), rule=st.sampled_from(list(Rule)))
def test_the_model_stays_finite_in_all_rounds_whatever_trainers_send(
    scale: float, rate: ServerRate, rounds: int, rule: Rule
) -> None:
    """The worst: every trainer sends the largest update in every round, from the largest base model."""
    job = JobFile.model_validate(document(market__rounds=rounds)).model_copy(update={"server_rate": rate})
    rates = rate.fixed
    if unfit(job, rounds, rates):
        assert rate_at(*rates, rounds) < 1
        return

    def at(round: int) -> float:
        return rate_at(*rates, round) / 2**RATE_BITS

    model = np.full(2, MAX_WEIGHT, np.float32)
    for selected in (1, 32):
        factor = np.float32(at(rounds) * scale / (UNIT[rule] * selected))
        assert factor >= SMALLEST_NORMAL
    for round in {1, min(2, rounds), rounds}:
        total = np.array([32 * UNIT[rule] * LIMIT, -1], np.int64)
        after = next_model(model, total, rate=at(round), scale=scale, unit=UNIT[rule], selected=32)
        # Rounds only add: no round moves a parameter by more than the first one.
        assert np.isfinite(model + MAX_ROUNDS * (after - model)).all()


GRADIENTS = {
    "not a number": lambda p: np.full_like(p, np.nan),
    "infinite": lambda p: np.full_like(p, -np.inf),
    "one entry infinite": lambda p: np.where(np.arange(len(p)) == 0, np.inf, p).astype(np.float32),
    "infinities of both signs along the step": lambda p: np.full_like(p, np.inf if p[0] > 0 else -np.inf),
    "the largest": lambda p: np.full_like(p, np.finfo(np.float32).max),
    "the least": lambda p: np.full_like(p, np.finfo(np.float32).smallest_subnormal),
    "nothing": np.zeros_like,
    "uphill": lambda p: p,
}


class Steps:
    """What a judgement takes of a job's models."""

    def __init__(self, rate: float, scale: float) -> None:
        self._rate, self._scale = rate, scale

    def step(self, base: Any, total: Any, *, round: int, selected: int) -> Any:
        return next_model(base, total, rate=self._rate, scale=self._scale, unit=ONE, selected=selected)


class Asked:
    """Validation data that answer as they are told."""

    def __init__(self, name: str) -> None:
        self.gradient = GRADIENTS[name]


entries = st.integers(-LIMIT, LIMIT) | st.sampled_from([0, 1, LIMIT, -LIMIT])
rows = st.lists(entries, min_size=D, max_size=D).map(lambda r: np.array(r, np.int16))


@settings(max_examples=300, deadline=None)
@given(
    updates=st.lists(st.none() | rows, min_size=1, max_size=8),
    name=st.sampled_from(sorted(GRADIENTS)),
    scale=steps,
    rate=st.sampled_from([MIN_STEP, 1.0, 100.0]),
    base=st.lists(st.floats(-MAX_WEIGHT, MAX_WEIGHT, width=32), min_size=D, max_size=D),
    rule=st.sampled_from(list(Rule)),
)
def test_every_round_of_an_accepted_job_is_judged(
    updates: Any, name: str, scale: float, rate: float, base: list[float], rule: Rule
) -> None:
    job = JobFile.model_validate(document(market__rule=None))
    model = np.array(base, np.float32)
    asked: Any = Asked(name)
    models: Any = Steps(rate, scale)
    found = judge(updates, model, 1, rule=rule, max_faulty=job.market.max_faulty, models=models, validation=asked)
    assert len(found.decision.selected) == len(updates)
    if found.reference_rows is None:
        return
    total = found.total if found.total is not None else np.zeros(D, np.int64)
    end = (
        models.step(model, total, round=1, selected=sum(found.decision.selected)) if found.total is not None else model
    )
    assert (found.total is not None) == any(found.decision.selected), "a sum is stated wherever somebody is selected"
    problem = rows_problem(asked, model, end, *found.reference_rows, found.row_exponent)
    assert not problem, "an auditor finds the same"
    assert -(2**15) <= found.row_exponent < 2**15
    assert all(-(2**95) <= score < 2**95 for score in found.decision.scores)


def test_updates_that_are_all_shrunk_to_nothing_still_have_a_sum() -> None:
    """The median may be so short that what is selected enters the sum with a coefficient of 0."""
    d = 64  # ⟨w, w⟩ beyond ONE² · median
    updates: Any = [np.eye(1, d, 1, np.int16)[0] * -1, np.eye(1, d, 1, np.int16)[0] * -1, np.full(d, LIMIT, np.int16)]
    asked: Any = Asked("uphill")
    models: Any = Steps(1.0, MAX_SCALE)
    rule = Rule.REFERENCE
    base = np.full(d, -1, np.float32)
    found = judge(updates, base, 1, rule=rule, max_faulty=0, models=models, validation=asked)
    assert found.decision.selected == (False, False, True)
    assert found.decision.coefficients == (0, 0, 0)
    assert found.total is not None
    assert not found.total.any()


@pytest.mark.parametrize("name", ["not a number", "infinite", "one entry infinite"])
def test_where_the_validation_loss_has_diverged_nobody_is_selected_or_paid(name: str) -> None:
    row, _ = first_row(GRADIENTS[name], np.ones(D, np.float32))
    assert not row.any()
    updates: Any = [np.full(D, k + 1, np.int16) for k in range(3)]
    asked: Any = Asked(name)
    models: Any = Steps(1.0, MAX_SCALE)
    found = judge(
        updates,
        np.ones(D, np.float32),
        1,
        rule=Rule.REFERENCE,
        max_faulty=0,
        models=models,
        validation=asked,
    )
    assert found.total is None
    assert not any(found.decision.selected)
    assert not any(found.decision.scores)
    assert not any(found.decision.struck)
    assert found.row_exponent == 0


@settings(max_examples=200, deadline=None)
@given(
    x=st.floats(-1e30, 1e30).map(np.float32),
    mean=st.floats(-1e30, 1e30),
    std=st.floats(1e-6, 1e30) | st.just(1e-6),
)
def test_samples_within_their_bounds_are_finite_once_normalised(x: float, mean: float, std: float) -> None:
    for feature in (
        {"kind": "tensor", "shape": [1], "mean": [mean], "std": [std]},
        {"kind": "number", "mean": mean, "std": std},
    ):
        schema = DataSchema.model_validate(
            {"features": {"a": feature}, "target": {"kind": "number", "mean": mean, "std": std}}
        )
        (name,) = schema.inputs
        data = normalise(Dataset({name: np.array([[x]], np.float32)}, np.array([[x]], np.float32)), schema)
        assert data.y is not None
        assert np.isfinite(data.inputs[name]).all()
        assert np.isfinite(data.y).all()


@settings(max_examples=100, deadline=None)
@given(
    delta=st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=4),
    scale=steps,
    clip=st.none() | st.floats(MIN_STEP, 2.0**30),
)
def test_every_finite_difference_becomes_integers(delta: list[float], scale: float, clip: float | None) -> None:
    if clip is not None and clip < scale:
        return
    config = UpdateConfig(scale=scale, clip=clip)
    update = to_integers(torch.tensor(delta, dtype=torch.float32), config.scale, config.clip)
    assert int(np.abs(update.astype(int)).max()) <= LIMIT


optimizers = st.builds(
    TrainingConfig,
    learning_rate=st.floats(MIN_STEP, 100.0),
    schedule=st.sampled_from(["constant", "cosine", "step"]),
    schedule_rounds=st.integers(1, 2**16),
    schedule_factor=st.floats(0, 1),
)


@settings(max_examples=100, deadline=None)
@given(training=optimizers, rounds=st.integers(1, MAX_ROUNDS))
def test_a_job_that_is_accepted_learns_in_all_rounds(training: TrainingConfig, rounds: int) -> None:
    job = JobFile.model_validate(document(market__rounds=rounds)).model_copy(update={"training": training})
    rates = [learning_rate(training, round) for round in range(1, rounds + 1)]
    assert (unfit(job, rounds, job.server_rate.fixed) == "") is (min(rates) >= MIN_STEP)


# ---------------------------------------------------------------- validation data

MLP = ModelConfig(architecture="mlp", parameters={"inputs": 2, "hidden": [4] * 8, "classes": 2}, seed=1)


PLANE = {"features": {"x": {"kind": "tensor", "shape": [2]}}, "target": {"kind": "category", "classes": 2}}


def measured(x: float, weight: float | None = None) -> tuple[Any, Validation]:
    schema = DataSchema.model_validate(PLANE)
    program = open_program(MLP, schema, task_for(schema), {})
    base = flatten(program.module).numpy()
    if weight is not None:
        base[:] = weight
    return base, Validation(Dataset({"x": np.full((3, 2), x, np.float32)}, np.array([0, 1, 0])), program)


def job_of(settle_window: int = 600) -> JobFile:
    made = document(market__settle_window=settle_window)
    made["model"] = MLP.model_dump()
    made["data"] = PLANE
    return JobFile.model_validate(made)


def test_validation_data_on_which_the_base_model_has_diverged_are_refused() -> None:
    base, validation = measured(1e30, MAX_WEIGHT)
    with pytest.raises(InputError, match="not a finite number"):
        check_new_job(job_of(), Rule.REFERENCE, {}, base, validation)


def test_validation_data_that_tell_nothing_apart_are_refused() -> None:
    base, validation = measured(1.0, 0.0)
    validation = Validation(validation.data[:2], validation.program)
    with pytest.raises(CorruptContent, match="no slope"):
        check_computable(terms(job_of()), spec_of(job_of()), base=base, validation=validation)


def test_validation_data_that_take_longer_than_the_settling_phase_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    base, validation = measured(1.0)
    clock = iter([0.0, 1000.0, 1000.0, 1090.0, 2000.0, 2080.0])
    monkeypatch.setattr("marketplace.services.safety.perf_counter", lambda: next(clock))
    with pytest.raises(CorruptContent, match="takes about 400 s here, more than half of the settling phase of 600 s"):
        check_computable(terms(job_of()), spec_of(job_of()), base=base, validation=validation)
    clock = iter([0.0, 1000.0, 1000.0, 1010.0])
    check_computable(
        terms(job_of()), spec_of(job_of()), base=base, validation=validation
    )  # it was busy with something else


def test_each_try_at_measuring_computes_and_none_is_given_a_gradient_that_was_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base, validation = measured(1.0)
    seconds = 0.0

    def slow(*given: Any) -> Float32s:
        nonlocal seconds
        seconds += 100.0
        return loss_gradient(*given)

    monkeypatch.setattr("marketplace.services.validation.loss_gradient", slow)
    monkeypatch.setattr("marketplace.services.safety.perf_counter", lambda: seconds)
    with pytest.raises(CorruptContent, match="takes about 500 s here"):
        check_computable(terms(job_of()), spec_of(job_of()), base=base, validation=validation)


def test_a_diverged_model_is_measured_and_not_an_error() -> None:
    base, validation = measured(1e30, MAX_WEIGHT)
    load_flat(validation.program.module, base)
    assert not np.isfinite(evaluate(validation.program, validation.data).loss)
    assert len(loss_gradient(validation.program, validation.data)) == len(base)


def test_a_base_model_from_a_file_is_the_models_own() -> None:
    module = build(MLP)
    other = build(MLP)
    with opened(to_safetensors(module)) as file:
        read_into(file, whole(other))
    assert torch.equal(flatten(other), flatten(module))
