"""Whether a job can be carried out: asked by its owner, its aggregator and its trainers before their money moves.

The bounds of single numbers are where the numbers are (trainer.config, marketplace.spec); here is what takes two parts
of a job. docs/limits.md has all of them with their reasons.
"""

from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING

from aggregator.points import rate_at
from marketplace.domain import Rule, Terms
from marketplace.errors import CorruptContent, InputError
from marketplace.services.dearest import too_dear
from marketplace.spec import JobFile, Spec
from trainer.config import MIN_STEP, Files
from trainer.models import check_weights
from trainer.programs import check_program
from trainer.train import learning_rate
from zk.encoding import Float32s, chunks

if TYPE_CHECKING:
    from marketplace.services.validation import Validation

GRADIENTS_A_ROUND = 5  # of the validation loss, by rule `reference`: at both ends and the quarters of the step
PROBED = 64  # validation samples that are measured before all are asked
TRIES = 3  # at measuring, on a machine that may be busy


def check_computable(
    terms: Terms,
    spec: Spec,
    files: Files = MappingProxyType({}),
    base: Float32s | None = None,
    validation: "Validation | None" = None,
) -> None:
    """Raises CorruptContent, in one sentence, for a job that cannot be carried out in all of its rounds.

    files: what the job names, where it is at hand: without, its model is not looked at. base: float32[d], the model of
    round 1. validation: the owner's data, where they are at hand.
    """
    problem = _misdescribed(spec, files) or unfit(
        spec, terms.rounds, (terms.rate, terms.rate_decay), base, validation, settle_window=terms.settle_window
    )
    if not problem and spec.clip is not None and spec.clip < terms.scale:
        problem = f"clip {spec.clip} is below the scale of updates, so that every update would be zero"
    if not problem:
        problem = too_dear(terms.rule, terms.max_trainers, chunks(spec.parameters, spec.proofs.chunk))
    if problem:
        raise CorruptContent(f"The job cannot be carried out: {problem}.")


def check_new_job(
    job: JobFile, rule: Rule, files: Files, base: Float32s | None = None, validation: "Validation | None" = None
) -> int:
    """The same for a job that is about to be created, and pays by `rule`. Raises InputError.

    d, how many numbers are trained.
    """
    market = job.market
    try:
        d = check_program(job.model, job.data, job.judged, job.training.batch_size, files)
    except ValueError as error:
        raise InputError(f"The job cannot be carried out: {error}.") from error
    problem = unfit(job, market.rounds, job.server_rate.fixed, base, validation, settle_window=market.settle_window)
    if not problem:
        problem = too_dear(rule, market.max_trainers, chunks(d, job.proofs.chunk_for(d)))
    if problem:
        raise InputError(f"The job cannot be carried out: {problem}.")
    return d


def _misdescribed(spec: Spec, files: Files) -> str:
    """What is wrong with a description's model, where all that it names is at hand, as a clause; "" for nothing."""
    if set(files) != set(spec.files):
        return ""
    try:
        d = check_program(spec.model, spec.data, spec.task, spec.training.batch_size, files)
    except ValueError as error:
        return str(error)
    return "" if d == spec.parameters else f"its description says {spec.parameters} parameters, its model has {d}"


def unfit(
    described: JobFile | Spec,
    rounds: int,
    server_rate: tuple[int, int],
    base: Float32s | None = None,
    validation: "Validation | None" = None,
    *,
    settle_window: int = 0,
) -> str:
    """What beside its model keeps a job from being carried out, as a clause; "" for nothing.

    server_rate: that of round 1 and its decay, as the terms have them. settle_window: in seconds.
    """
    try:
        if base is not None:
            check_weights(base)
    except ValueError as error:
        return str(error)
    if rate_at(*server_rate, rounds) < 1:
        return f"the server's rate falls below {MIN_STEP:.3g} by round {rounds}; at least that is possible"
    for round in range(1, rounds + 1):
        rate = learning_rate(described.training, round)
        if rate < MIN_STEP:
            return f"the learning rate falls to {rate:.3g} in round {round}; at least {MIN_STEP:.3g} is possible"
    return "" if base is None or validation is None else _unanswered(base, validation, settle_window)


def _unanswered(base: Float32s, validation: "Validation", settle_window: int) -> str:
    """Whether the validation data give what rule `reference` selects and pays by, and soon enough."""
    count = len(validation.data)
    validation.first(1).gradient(base)  # what is loaded with the first is no measure
    for _ in range(TRIES):
        few = validation.first(PROBED)  # which has computed nothing yet
        started = perf_counter()
        few.gradient(base)
        seconds = (perf_counter() - started) * max(1.0, count / PROBED) * GRADIENTS_A_ROUND
        if seconds * 2 <= settle_window:
            break
    else:
        return (
            f"judging a round by {count} validation samples takes about {seconds:.0f} s here, more than half of the "
            f"settling phase of {settle_window} s"
        )
    gradient = validation.gradient(base)
    largest = float(abs(gradient).max())
    if not largest < float("inf"):
        return "the base model's loss on the validation data has a gradient that is not a finite number"
    if largest == 0:
        return "the base model's loss on the validation data has no slope, so that no update could be told from another"
    return ""
