"""How long a round of training will take on this machine, measured before anything is promised."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from trainer.batches import batches_of
from trainer.config import DataSchema, TrainingConfig, UpdateConfig
from trainer.data.dataset import Dataset
from trainer.models import flatten, load_flat
from trainer.programs import Program
from trainer.quantize import to_integers
from trainer.train import train_round

BUDGET = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """seconds: that a whole round of training takes, measured or carried on from what was; problem: why its update
    could not be submitted, as a clause, "" where it could as far as it was seen."""

    seconds: float
    problem: str


def measure_round(
    program: Program,
    data: Dataset,
    training: TrainingConfig,
    update: UpdateConfig,
    *,
    seed: int,
    device: torch.device,
    schema: DataSchema | None = None,
    budget: float = BUDGET,
    clock: Callable[[], float] = time.perf_counter,
) -> Measured:
    """Trains round 1 from the program's parameters for about `budget` seconds, one batch at least, and restores them.

    What a later round draws at random is as if nothing had been measured. Raises what training raises, but for a loss
    that is not finite.
    """
    before = flatten(program.module)
    moments: list[float] = []

    def over() -> bool:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        moments.append(clock())
        return len(moments) > 1 and moments[-1] - moments[0] >= budget

    started, problem, complete = clock(), "", True
    try:
        complete = train_round(
            program,
            data,
            training,
            round=1,
            seed=seed,
            schema=schema,
            device=device,
            should_stop=over,
            clock=clock,
        ).complete
        after = flatten(program.module)
        delta = after.cpu() - before.cpu()
        if not bool(torch.isfinite(after).all()):
            problem = "training gives parameters that are not finite numbers"
        elif complete and not to_integers(delta, update.scale, update.clip).any():
            problem = "the update is zero once it is rounded to steps of update.scale"
    except ValueError as error:
        problem = str(error)
    finally:
        load_flat(program.module, before)
        program.module.zero_grad(set_to_none=True)
    if complete:
        return Measured(clock() - started, problem)
    batches = batches_of(training, len(data))
    first, rest = moments[1] - moments[0], moments[2:]
    each = (rest[-1] - moments[1]) / len(rest) if rest else first
    return Measured(moments[0] - started + first + each * (batches - 1), problem)
