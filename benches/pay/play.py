"""A job's rounds in one process, with the rules, rows, sums and points that a real job has, and no chain or proofs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.func import functional_call
from torch.nn import functional

from aggregator import rules
from aggregator.points import RATE_BITS, divide, gains
from aggregator.rules import UNIT
from aggregator.sums import look_ahead, next_model
from marketplace.domain import Rule
from marketplace.services import judgement
from marketplace.services.validation import Validation
from trainer.config import DataSchema, ModelConfig, TrainingConfig, UpdateConfig, task_for
from trainer.data import Dataset
from trainer.models import build, flatten, load_flat
from trainer.programs import Program, open_program
from trainer.quantize import to_integers
from trainer.train import evaluate, train_round
from zk.encoding import Float32s, Int16s, Int64s

UPDATE = UpdateConfig()
RATE = 1.0
POT = 10**18
AT_ONCE = {"cpu": 2**18, "cuda": 2**28}
"""So many values of layers, of all models together, `Learner.losses` has at once: on a CPU, what its cache holds."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is learned: the model, how trainers train, and the data that nobody trains on."""

    model: ModelConfig
    training: TrainingConfig
    validation: Dataset
    test: Dataset


@dataclass(frozen=True, slots=True)
class Round:
    """What a round was: base float32[d] that it started from, updates and gains of the balances by slot, the decision,
    end float32[d]."""

    number: int
    base: Float32s
    updates: Sequence[Int16s | None]
    decision: rules.Decision
    gains: Sequence[int]
    end: Float32s


@dataclass(slots=True)
class Played:
    """A job that is over. strikes, opened: by slot."""

    rounds: list[Round] = field(default_factory=list)
    strikes: list[int] = field(default_factory=list)
    opened: list[int] = field(default_factory=list)
    accuracy: float = 0.0

    @property
    def balances(self) -> list[int]:
        return [sum(values) for values in zip(*(entry.gains for entry in self.rounds), strict=True)]

    def pay(self) -> list[float]:
        """Each slot's part of the pot, 0 … 1."""
        return [part / POT for part in divide(POT, self.balances, self.opened)]


def program_of(model: ModelConfig, data: Dataset) -> Program:
    """A model that tells classes apart, for data with one input, `x`."""
    schema = DataSchema.model_validate(
        {
            "features": {"x": {"kind": "tensor", "shape": data.inputs["x"].shape[1:]}},
            "target": {"kind": "category", "classes": model.parameters["classes"]},
        }
    )
    return open_program(model, schema, task_for(schema), {})


class Learner:
    """Local training and validation of one task, on one program."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.program = program_of(task.model, task.validation)
        self.module = self.program.module
        self.validation = Validation(task.validation, self.program)

    def base(self) -> Float32s:
        parameters: Float32s = flatten(build(self.task.model)).numpy()
        return parameters

    def train(self, base: Float32s, data: Dataset, round: int, seed: int) -> Int16s:
        """The update int16[d] of an honest trainer with these data."""
        load_flat(self.module, base)
        train_round(self.program, data, self.task.training, round=round, seed=seed)
        return to_integers(flatten(self.module) - torch.from_numpy(base), UPDATE.scale)

    def loss(self, parameters: Float32s) -> float:
        return self.validation.evaluate(parameters).loss

    def losses(self, models: Float32s) -> list[float]:
        """The `loss` of each of float32[k, d]: many at once, on a GPU where there is one."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        validation = self.task.validation
        x, y = (torch.tensor(values, device=device) for values in (validation.inputs["x"], validation.y))
        few = {"x": torch.tensor(validation.inputs["x"][:2])}
        count = AT_ONCE[device] // (len(y) * self.program.effort(few).values)
        if count < 2 and device == "cpu":
            return [self.loss(parameters) for parameters in models]
        shapes = [(name, p.shape) for name, p in self.module.named_parameters()]

        def loss(vector: torch.Tensor) -> torch.Tensor:
            parts = torch.split(vector, [shape.numel() for _, shape in shapes])
            parameters = {name: part.view(shape) for (name, shape), part in zip(shapes, parts, strict=True)}
            return functional.cross_entropy(functional_call(self.module, parameters, (x,)), y)

        self.module.eval()
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            found = [torch.vmap(loss)(part.to(device)) for part in torch.split(torch.tensor(models), max(1, count))]
        return [float(value) for part in found for value in part.cpu()]

    def accuracy(self, parameters: Float32s) -> float:
        load_flat(self.module, parameters)
        task = self.program.task
        return evaluate(self.program, self.task.test, task.metric(None) if task else None).value


Updates = Callable[[int, Float32s], Sequence[Int16s | None]]
"""Round and where it starts → the updates by slot; None for a slot that did not open."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The model after a round of this rule."""

    rule: Rule

    def step(self, base: Float32s, total: Int64s, *, round: int, selected: int) -> Float32s:
        return next_model(base, total, rate=RATE, scale=UPDATE.scale, unit=UNIT[self.rule], selected=selected)


def judge(
    learner: Learner, rule: Rule, max_faulty: int, base: Float32s, updates: Sequence[Int16s | None], round: int
) -> tuple[rules.Decision, list[int], Float32s]:
    """(the decision, what each balance gains, the model after the round)."""
    steps = Steps(rule)
    found = judgement.judge(
        updates, base, round, rule=rule, max_faulty=max_faulty, models=steps, validation=learner.validation
    )
    decision = found.decision
    chosen = [slot for slot, inside in enumerate(decision.selected) if inside]
    end = base if found.total is None else steps.step(base, found.total, round=round, selected=len(chosen))
    units = gains(
        rule,
        [decision.scores[slot] for slot in chosen],
        rate=int(RATE * 2**RATE_BITS),
        exponent=UPDATE.exponent + found.row_exponent,
        selected=len(chosen),
    )
    by_slot = dict(zip(chosen, units, strict=True))
    return decision, [by_slot.get(slot, 0) for slot in range(len(updates))], end


def play(
    learner: Learner, rule: Rule, max_faulty: int, rounds: int, updates: Updates, *, momentum: float = 0
) -> Played:
    """Plays a job. updates: what trainers send. momentum: the server's."""
    model, played = learner.base(), Played()
    start = model
    for number in range(1, rounds + 1):
        sent = updates(number, start)
        decision, brought, end = judge(learner, rule, max_faulty, start, sent, number)
        if not played.strikes:
            played.strikes, played.opened = [0] * len(sent), [0] * len(sent)
        for slot, update in enumerate(sent):
            played.strikes[slot] += decision.struck[slot]
            played.opened[slot] += update is not None
        played.rounds.append(Round(number, start, sent, decision, brought, end))
        if any(decision.selected):
            model, start = end, look_ahead(model, end, momentum)
    played.accuracy = learner.accuracy(model)
    return played


def one_thread() -> None:
    """Small models gain nothing from more, and the same bits come out everywhere."""
    torch.set_num_threads(1)
    np.seterr(all="raise", under="ignore")
