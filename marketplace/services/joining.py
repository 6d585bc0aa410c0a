"""What a trainer looks at before it stakes anything: whether it can write to the parties, and do the work in time."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

from marketplace.domain import Terms
from marketplace.errors import InputError
from marketplace.keys.sealing import sealed_size, usable_public_key
from marketplace.replay import JobHistory
from marketplace.services.node import LOCAL_CHAINS
from marketplace.services.proofs import JobSetup, committed
from marketplace.spec import Spec
from trainer.config import UpdateConfig
from trainer.data import Dataset
from trainer.measure import measure_round
from trainer.programs import Program
from zk.encoding import LIMIT
from zk.files import max_update_file_bytes

COMMITTED = 2**14  # entries that are committed to, to measure
SLOW_UPLOAD = 2**20  # bytes a second that not everybody's line carries
SHORTEST_PHASE = 60  # seconds, on a public chain: to be mined may take several blocks of 12, and to leave is sent after


def unusable_key(history: JobHistory) -> str:
    """Whose published key nothing can be sealed to, as a clause; "" where all is well."""
    if not usable_public_key(history.created.encryption_key):
        return "nothing can be sealed to the owner's encryption key"
    if history.accepted is not None and not usable_public_key(history.accepted.encryption_key):
        return "nothing can be sealed to the aggregator's encryption key"
    return ""


def hasty(terms: Terms, chain_id: int) -> str:
    """Why even an update that takes no time may be mined too late, as a clause; "" where all is well."""
    if chain_id in LOCAL_CHAINS or terms.submit_window >= SHORTEST_PHASE:
        return ""
    return (
        f"a submitting phase lasts {terms.submit_window} s, in which a transaction of this chain may not be mined, and "
        f"silence costs stake; at least {SHORTEST_PHASE} s are wanted"
    )


@dataclass(frozen=True, slots=True)
class Effort:
    """Of a round, on this machine. training, committing: seconds; upload: bytes; window: of submitting, seconds."""

    training: float
    committing: float
    upload: int
    window: int

    @property
    def seconds(self) -> float:
        return self.training + self.committing

    def __str__(self) -> str:
        return (
            f"a round takes about {self.training:.1f} s of training and {self.committing:.1f} s of committing here and "
            f"uploads {self.upload / 1e6:.2f} MB; the job gives {self.window} s for it"
        )

    @property
    def warning(self) -> str:
        """What may keep a round from being submitted in time; "" for nothing."""
        if self.seconds * 2 > self.window:
            return f"There is little time: {self}. Use a faster device or fewer samples, or leave before the start."
        if self.upload > SLOW_UPLOAD * (self.window - self.seconds) / 2:
            return f"The upload needs a fast line: {self}."
        return ""


def measure_effort(
    program: Program,
    data: Dataset,
    spec: Spec,
    setup: JobSetup,
    terms: Terms,
    *,
    seed: int,
    device: torch.device,
    anyway: bool = False,
) -> Effort:
    """Measures a round from the program's parameters, in about a second.

    Raises InputError, unless `anyway`, where a round cannot be submitted in time, or has nothing that could be.
    """
    update = UpdateConfig(scale=terms.scale, clip=spec.clip)
    measured = measure_round(program, data, spec.training, update, seed=seed, device=device, schema=spec.data)
    d = spec.parameters
    probe = np.full(min(d, COMMITTED), LIMIT, np.int16)
    started = perf_counter()
    committed(setup.srs, probe)
    committing = (perf_counter() - started) * d / len(probe)
    upload = sealed_size(max_update_file_bytes(d, setup.chunks))
    effort = Effort(measured.seconds, committing, upload, terms.submit_window)
    if anyway:
        return effort
    if measured.problem:
        raise InputError(
            f"Not joined: with these data there is nothing to submit: {measured.problem}. Other data, or --anyway."
        )
    if effort.seconds > effort.window:
        raise InputError(
            f"Not joined: {effort}. A faster device or fewer samples are needed; --anyway joins all the same."
        )
    return effort
