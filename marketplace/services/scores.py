"""How well a job's model does after each round, as far as this machine can know it.

The models follow from the base, which is public, and from sums that the job key opens; they are measured with the
owner's validation data, which are kept on the owner's machine, and public once they are revealed.
"""

from dataclasses import dataclass
from typing import Literal

from marketplace.errors import NotFound
from marketplace.replay import JobHistory
from marketplace.services.models import Models
from marketplace.services.node import Node, job_key
from marketplace.services.programs import fetch_program
from marketplace.services.proofs import open_setup
from marketplace.services.validation import (
    Validation,
    holds_validation,
    kept_validation,
    revealed,
    unpack_validation,
)
from marketplace.spec import Spec
from trainer.train import Evaluation

Source = Literal["kept", "revealed"]


@dataclass(frozen=True, slots=True)
class Score:
    """Of the model after a round, 0 being the base."""

    round: int
    found: Evaluation


@dataclass(frozen=True, slots=True)
class Scores:
    """source: where the validation data are from. problem: a sentence where some or all cannot be known, else ""."""

    scores: tuple[Score, ...] = ()
    source: Source | None = None
    problem: str = ""


def holds_job_key(node: Node, history: JobHistory) -> bool:
    """Whether the published job key is sealed to this node's identity."""
    if node.identity is None or not history.keys:
        return False
    me, created = node.identity, history.created
    trainers = {who.operator for who in history.participants.values()}
    aggregator, _ = history.keys[-1]
    return created.encryption_key == me.encryption_key or me.address in trainers | {aggregator}


def job_scores(node: Node, history: JobHistory, spec: Spec) -> Scores:
    """Measures the base and the model after every settled round. Raises StorageError, CorruptContent, ChainError."""
    if spec.validation is None:
        return Scores(problem="This job has no validation data to measure its models with.")
    source = validation_source(node, history, spec)
    if source is None:
        return Scores(problem="The owner has not revealed the validation data, and they are not kept here.")
    data = _data(node, history, spec, source)
    models = Models(node, history.created, spec, open_setup(node, history.created, spec).srs)
    scores = [Score(0, data.evaluate(models.base()))]
    if not history.settled:
        return Scores(tuple(scores), source)
    if not holds_job_key(node, history):
        problem = "The models after the base are sealed to the job's parties, and this node's key is not one of them."
        return Scores(tuple(scores), source, problem)
    key = job_key(node, history)
    scores += [Score(number, data.evaluate(models.after(number, history, key))) for number in sorted(history.settled)]
    return Scores(tuple(scores), source)


def validation_source(node: Node, history: JobHistory, spec: Spec) -> Source | None:
    if holds_validation(node, spec):
        return "kept"
    return "revealed" if history.revealed else None


def _data(node: Node, history: JobHistory, spec: Spec, source: Source) -> Validation:
    if source == "kept":
        return unpack_validation(kept_validation(node, spec), spec, fetch_program(node, spec))
    try:
        return revealed(node, history, spec).validation
    except NotFound as error:
        raise NotFound(f"The revealed validation data cannot be fetched: {error}") from error
