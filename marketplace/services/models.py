"""The model before and after each round, rebuilt by anyone who has the job key, from sums that open their commitments.

model after round t = start of round t + rate_t × scale × sum / (unit × number selected), and
start of round t + 1 = model after t + momentum × (model after t − model after t − 1), in float32, in a fixed order
(aggregator.sums). A round that was skipped, or in which nothing was selected, leaves both as they are. Without momentum
a round starts from the model that the one before has left.
"""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from aggregator.points import RATE_BITS, rate_at
from aggregator.rules import UNIT
from aggregator.sums import look_ahead, next_model
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


class Reached(NamedTuple):
    """What a round leaves: the model float32[d], and where the next one starts, float32[d]."""

    model: Float32s
    start: Float32s


class Models:
    """Follows a job's model forward, round by round, keeping the latest in memory and, where given, in a cache folder.

    Costs one sum of 8·d bytes fetched and one commitment computed per settled round; holds four vectors of d.
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
        self._at = self._first()
        self._next: tuple[list[Followed], Reached] | None = None  # what an announced sum leads to

    def after(self, round: int, history: JobHistory, job_key: bytes) -> Float32s:
        """The model float32[d] after `round` (0: the base), which `history` has to reach.

        Raises NotFound, StorageError or CorruptContent where a sum is missing, WrongSum where it does not open.
        """
        return self._reach(round, history, job_key).model

    def start(self, round: int, history: JobHistory, job_key: bytes) -> Float32s:
        """float32[d] that `round` (from 1 on) starts from: what is trained, and what its step is added to. Raises as
        `after` does."""
        return self._reach(round - 1, history, job_key).start

    def _reach(self, round: int, history: JobHistory, job_key: bytes) -> Reached:
        settled, path = history.settled, self.path(round, history)
        # A reorganization of the chain may have changed what was settled in rounds that were followed before.
        if round < self._round or self._followed != path[: len(self._followed)]:
            self._round, self._followed, self._at = 0, [], self._first()
        self._resume(path)
        while self._round < round:
            step = self._round + 1
            if step in settled:
                upto, settlement = path[: len(self._followed) + 1], settled[step].settlement
                if self._next is not None and self._next[0] == upto:
                    self._at = self._next[1]
                else:
                    self._at = self._advanced(upto[-1], settlement.sum_cid, history, job_key)
                self._followed, self._next = upto, None
                self._keep()
            self._round = step
        return self._at

    def announced(self, event: SumAnnounced, history: JobHistory, job_key: bytes) -> tuple[Float32s, list[Followed]]:
        """(float32[d], its path): where the next round is to start, as the aggregator says. Raises as `after` does."""
        self.after(event.round - 1, history, job_key)
        step = (event.round, event.selected, event.sum_commitment)
        path = [*self.path(event.round - 1, history), step]
        if self._next is None or self._next[0] != path:
            self._next = path, self._advanced(step, event.sum_cid, history, job_key)
        return self._next[1].start, path

    def path(self, round: int, history: JobHistory) -> list[Followed]:
        """What the model after `round` follows from."""
        settled = history.settled
        return [followed(settled[number]) for number in sorted(settled) if number <= round]

    def step(self, base: Float32s, total: Int64s, *, round: int, selected: int) -> Float32s:
        """float32[d]: the model after a round, from where it started and the round's weighted sum int64[d]."""
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

    def _first(self) -> Reached:
        base = self.base()
        return Reached(base, base)

    def _advanced(self, step: Followed, cid: str, history: JobHistory, job_key: bytes) -> Reached:
        """What one more round leaves, whose sum is at `cid`."""
        round, mask, commitment = step
        selected = mask.bit_count()
        if selected == 0:
            return self._at
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
            total, blinders, points = unpack_sum(
                data, self.parameters, self.chunks, bound=selected * self._unit * LIMIT
            )
            opens = commitment_hash(points) == commitment and self._opens(total, blinders, points)
        except WrongSum:
            raise
        except CorruptContent as error:
            raise CorruptContent(f"{where} is spoiled in storage: {error}") from error
        except ValueError as error:
            raise WrongSum(f"{where} is not valid: {error}.") from error
        if not opens:
            raise WrongSum(f"{where} does not open the commitment that was stated.")
        model = self.step(self._at.start, total, round=round, selected=selected)
        return Reached(model, look_ahead(self._at.model, model, self._spec.momentum))

    def _opens(self, total: Int64s, blinders: bytes, points: bytes) -> bool:
        """Raises ValueError for points that are none."""
        if self._srs is None:
            return True
        from zk.kzg import sum_opens  # noqa: PLC0415 (needs the compiled core)

        return sum_opens(self._srs, total, blinders, points)

    # ------------------------------------------- cache: model and start, in files named by what they follow from

    def _path(self, what: str, followed: list[Followed]) -> Path | None:
        name = sha256(repr(followed).encode()).hexdigest()[:32]
        return self._cache / f"{what}-{name}.safetensors" if self._cache else None

    def _keep(self) -> None:
        vectors = {"model": self._at.model} | ({"start": self._at.start} if self._spec.momentum else {})
        for what, vector in vectors.items():
            path = self._path(what, self._followed)
            if path is None:
                return
            write_atomically(path, pack_model(vector))
            for other in path.parent.glob(f"{what}-*.safetensors"):
                if other != path:
                    other.unlink(missing_ok=True)

    def _resume(self, followed: list[Followed]) -> None:
        for count in range(len(followed), len(self._followed), -1):
            model = self._kept("model", followed[:count])
            start = self._kept("start", followed[:count]) if self._spec.momentum else model
            if model is not None and start is not None:
                self._round, self._followed, self._at = followed[count - 1][0], followed[:count], Reached(model, start)
                return

    def _kept(self, what: str, followed: list[Followed]) -> Float32s | None:
        path = self._path(what, followed)
        if path is None or not path.exists():
            return None
        try:
            return unpack_model(read_within(path, max_model_file_bytes(self.parameters)), self.parameters)
        except ValueError:
            path.unlink()  # a damaged cache is only a cache
            return None


def followed(event: RoundSettled) -> Followed:
    return event.round, event.settlement.selected, event.settlement.sum_commitment
