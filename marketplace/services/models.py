"""The model before and after each round, rebuilt by anyone who has the job key, from sums that open their commitments.

model after round t = model before + rate_t × scale × sum / (unit × number selected), in float32, in a fixed order
(aggregator.sums.next_model); a round that was skipped, or in which nothing was selected, leaves the model as it is.
"""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from aggregator.points import RATE_BITS, rate_at
from aggregator.rules import UNIT
from aggregator.sums import next_model
from marketplace.domain import JobCreated, RoundSettled, SumAnnounced
from marketplace.errors import CorruptContent, WrongSum
from marketplace.files import read_within, write_atomically
from marketplace.keys.sealing import Purpose, open_with_key
from marketplace.replay import JobHistory
from marketplace.services.node import Node, fetch_opened
from marketplace.spec import Spec
from marketplace.storage import get_bytes
from trainer.models import check_weights
from zk.encoding import LIMIT, Float32s, Int64s, chunks, commitment_hash
from zk.files import max_model_file_bytes, max_sum_file_bytes, pack_model, unpack_model, unpack_sum

if TYPE_CHECKING:
    from zk.setup import Srs


Followed = tuple[int, int, bytes]
"""A settled round by all that its step depends on: its number, the selected slots, the sum's commitment."""


class Models:
    """Follows a job's model forward, round by round, keeping the latest in memory and, where given, in a cache folder.

    Costs one sum of 8·d bytes fetched and one commitment computed per settled round; holds three vectors of d.
    srs: the job's set-up; None only for an auditor without the compiled core, who then does not learn whether the sums
    open their commitments.
    """

    def __init__(
        self, node: Node, created: JobCreated, spec: Spec, srs: "Srs | None", cache: Path | None = None
    ) -> None:
        self._node = node
        self._srs = srs
        self._job_id = created.job_id
        self._terms = created.terms
        self._unit = UNIT[created.terms.rule]
        self._spec = spec
        self._cache = cache
        self.parameters = spec.parameters
        self.chunks = chunks(self.parameters, spec.proofs.chunk)
        self._round = 0
        self._followed: list[Followed] = []
        self._model = self.base()
        self._next: tuple[list[Followed], Float32s] | None = None  # what an announced sum leads to

    def after(self, round: int, history: JobHistory, job_key: bytes) -> Float32s:
        """float32[d] after `round` (0: the base), which `history` has to reach.

        Raises NotFound, StorageError or CorruptContent where a sum is missing, WrongSum where it does not open.
        """
        settled, path = history.settled, self.path(round, history)
        # A reorganization of the chain may have changed what was settled in rounds that were followed before.
        if round < self._round or self._followed != path[: len(self._followed)]:
            self._round, self._followed, self._model = 0, [], self.base()
        self._resume(path)
        while self._round < round:
            step = self._round + 1
            if step in settled:
                upto, settlement = path[: len(self._followed) + 1], settled[step].settlement
                if self._next is not None and self._next[0] == upto:
                    self._model = self._next[1]
                else:
                    self._model = self._advanced(upto[-1], settlement.sum_cid, history, job_key)
                self._followed, self._next = upto, None
                self._keep()
            self._round = step
        return self._model

    def announced(self, event: SumAnnounced, history: JobHistory, job_key: bytes) -> tuple[Float32s, list[Followed]]:
        """(float32[d], its path): what a round is going to leave, as its aggregator says. Raises as `after` does."""
        self.after(event.round - 1, history, job_key)
        step = (event.round, event.selected, event.sum_commitment)
        path = [*self.path(event.round - 1, history), step]
        if self._next is None or self._next[0] != path:
            self._next = path, self._advanced(step, event.sum_cid, history, job_key)
        return self._next[1], path

    def path(self, round: int, history: JobHistory) -> list[Followed]:
        """What the model after `round` follows from."""
        settled = history.settled
        return [followed(settled[number]) for number in sorted(settled) if number <= round]

    def step(self, base: Float32s, total: Int64s, *, round: int, selected: int) -> Float32s:
        """float32[d]: the model after a round, from the one before and the round's weighted sum int64[d]."""
        return next_model(
            base,
            total,
            rate=rate_at(self._terms.rate, self._terms.rate_decay, round) / 2**RATE_BITS,
            scale=self._terms.scale,
            unit=self._unit,
            selected=selected,
        )

    def base(self) -> Float32s:
        """float32[d]: round 1's base, within what a base model may be. Raises StorageError, CorruptContent."""
        data = get_bytes(self._node.storage, self._spec.base_cid, max_bytes=max_model_file_bytes(self.parameters))
        try:
            base = unpack_model(data, self.parameters)
            check_weights(base)
            return base
        except ValueError as error:
            raise CorruptContent(f"The base model at {self._spec.base_cid} is not valid: {error}.") from error

    def _advanced(self, step: Followed, cid: str, history: JobHistory, job_key: bytes) -> Float32s:
        """The model after one more round, whose sum is at `cid`."""
        round, mask, commitment = step
        selected = mask.bit_count()
        if selected == 0:
            return self._model
        party = history.rounds[round - 1].aggregator
        context = self._node.context(Purpose.SUM, job_id=self._job_id, round=round, party=party)
        max_bytes = max_sum_file_bytes(self.parameters, self.chunks)
        where = f"The sum of round {round} of job {self._job_id} ({cid})"

        def opener(source: BinaryIO, sink: BinaryIO) -> None:
            try:
                open_with_key(job_key, source, sink, context, max_bytes)
            except CorruptContent as error:
                raise WrongSum(f"{where} cannot be opened: {error}") from error

        try:
            data = fetch_opened(self._node.storage, cid, opener, max_bytes=max_bytes)
            total, blinders = unpack_sum(data, self.parameters, self.chunks, bound=selected * self._unit * LIMIT)
            opens = self._srs is None or commitment_hash(self._srs.commit_sum(total, blinders)) == commitment
        except WrongSum:
            raise
        except CorruptContent as error:
            raise CorruptContent(f"{where} is spoiled in storage: {error}") from error
        except ValueError as error:
            raise WrongSum(f"{where} is not valid: {error}.") from error
        if not opens:
            raise WrongSum(f"{where} does not open the commitment that was stated.")
        return self.step(self._model, total, round=round, selected=selected)

    # ---------------------------------------------------------------- cache: one file, named by what it follows from

    def _path(self, followed: list[Followed]) -> Path | None:
        name = sha256(repr(followed).encode()).hexdigest()[:32]
        return self._cache / f"model-{name}.safetensors" if self._cache else None

    def _keep(self) -> None:
        path = self._path(self._followed)
        if path is None:
            return
        write_atomically(path, pack_model(self._model))
        for other in path.parent.glob("model-*.safetensors"):
            if other != path:
                other.unlink(missing_ok=True)

    def _resume(self, followed: list[Followed]) -> None:
        for count in range(len(followed), len(self._followed), -1):
            path = self._path(followed[:count])
            if path is None or not path.exists():
                continue
            try:
                model = unpack_model(read_within(path, max_model_file_bytes(self.parameters)), self.parameters)
            except ValueError:
                path.unlink()  # a damaged cache is only a cache
                continue
            self._round, self._followed, self._model = followed[count - 1][0], followed[:count], np.asarray(model)
            return


def followed(event: RoundSettled) -> Followed:
    return event.round, event.settlement.selected, event.settlement.sum_commitment
