"""What an aggregator finds of a round's opened updates: the pay rule's decision, the sum, the reference rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from aggregator import rules
from aggregator.gram import gram, products
from aggregator.reference import first_row, second_row
from aggregator.sums import weighted_sum
from marketplace.domain import Rule
from marketplace.errors import NotFound
from marketplace.services.validation import Validation
from zk.encoding import Float32s, Int16s, Int64s


@dataclass(frozen=True, slots=True)
class Choice:
    """What fixes a round's step: by slot, who is in the sum and with which coefficient; the sum, int64[d].

    A sum is stated wherever updates are selected, also where all of them are shrunk to nothing; else `total` is None.
    """

    selected: Sequence[bool]
    coefficients: Sequence[int]
    total: Int64s | None

    @classmethod
    def of(cls, rows: Sequence[Int16s | None], selected: Sequence[bool], coefficients: Sequence[int]) -> "Choice":
        return cls(selected, coefficients, weighted_sum(rows, coefficients) if any(selected) else None)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A round's judgement before it is published. total: of its choice.

    row_exponent: one step of the second reference row is 2^row_exponent; 0 without rows.
    """

    decision: rules.Decision
    total: Int64s | None = None
    reference_rows: tuple[Int16s, Int16s] | None = None
    row_exponent: int = 0


class Steps(Protocol):
    """What makes the model after a round (services.models.Models)."""

    def step(self, base: Float32s, total: Int64s, *, round: int, selected: int) -> Float32s: ...


def judge(
    rows: Sequence[Int16s | None],
    base: Float32s,
    round: int,
    *,
    rule: Rule,
    max_faulty: int,
    models: Steps,
    validation: Validation | None,
    chosen: Callable[[Choice], None] = lambda choice: None,
) -> Judgement:
    """Runs a job's pay rule. rows: int16[d] or None, by slot, not all None; base: float32[d], the model before.

    round: its number. max_faulty: the job's f. validation: the owner's data, for the rule `reference`. chosen: told the
    step as soon as it is known; to score it takes longer. Raises NotFound where data are needed and none are here.
    """
    opened = [row is not None for row in rows]
    matrix = gram(rows)
    if rule is Rule.KRUM_COSINE:
        decision = rules.krum_cosine(matrix, opened, max_faulty)
        choice = Choice.of(rows, decision.selected, decision.coefficients)
        chosen(choice)
        return Judgement(decision, choice.total)
    if validation is None:
        raise NotFound("The job pays by reference, and its validation data are not here.")
    first, _ = first_row(validation.gradient, base)
    along = products(rows, first)
    choice = Choice.of(rows, *rules.reference_selection(matrix, opened, along))
    chosen(choice)
    end = base
    if choice.total is not None:
        end = models.step(base, choice.total, round=round, selected=sum(choice.selected))
    second, exponent = second_row(validation.gradient, base, end)
    ((squared,),) = gram([first])
    decision = rules.reference(matrix, opened, along, squared, products(rows, second))
    return Judgement(decision, choice.total, (first, second), exponent)
