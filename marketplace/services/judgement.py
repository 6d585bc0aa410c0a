"""What an aggregator finds of a round's opened updates: the pay rule's decision, the sum, the reference rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from aggregator import rules
from aggregator.gram import gram, products
from aggregator.reference import first_row, second_row
from aggregator.sums import weighted_sum
from marketplace.domain import Rule, Terms
from marketplace.errors import NotFound
from marketplace.services.models import Models
from marketplace.services.validation import Validation
from zk.encoding import Float32s, Int16s, Int64s


@dataclass(frozen=True, slots=True)
class Judgement:
    """A round's judgement before it is published. `total`: int64[d], None when nothing is selected."""

    decision: rules.Decision
    total: Int64s | None
    reference_rows: tuple[Int16s, Int16s] | None


def judge(
    rows: Sequence[Int16s | None],
    base: Float32s,
    round: int,
    *,
    terms: Terms,
    models: Models,
    validation: Validation | None,
) -> Judgement:
    """Runs the job's pay rule. rows: int16[d] or None, by slot; base: float32[d], the model before the round.

    validation: the owner's data, for the rule `reference`. Raises NotFound where it needs them and has none.
    """
    opened = [row is not None for row in rows]
    if not any(opened):
        none = (0,) * len(rows)
        return Judgement(rules.Decision((False,) * len(rows), none, none), None, None)
    matrix = gram(rows)
    if terms.rule is Rule.KRUM_COSINE:
        decision = rules.krum_cosine(matrix, opened, terms.max_faulty)
        return Judgement(decision, _total(rows, decision), None)
    if validation is None:
        raise NotFound("The job pays by reference, and its validation data are not here.")
    first, _ = first_row(validation.gradient, base)
    along = products(rows, first)
    selected, coefficients = rules.reference_selection(matrix, opened, along)
    total = _total(rows, rules.Decision(selected, coefficients, coefficients))
    end = base if total is None else models.step(base, total, round=round, selected=sum(selected))
    second, _ = second_row(validation.gradient, base, end)
    decision = rules.reference(matrix, opened, along, products(rows, second))
    return Judgement(decision, total, (first, second))


def _total(rows: Sequence[Int16s | None], decision: rules.Decision) -> Int64s | None:
    return weighted_sum(rows, decision.coefficients) if any(decision.selected) else None
