"""What points under rule `reference` rest on: shown to all members while a job confirms, and recomputed by each.

Whoever has the owner's validation data announces a document that names them and each round's reference rows, all of it
sealed to the job key. Nothing of it has to be believed: the data are held to the commitment in the job's spec, the rows
to those that the rounds were proved with. docs/decisions/2026-11-27-rows.md says what a dispute does.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aggregator.reference import first_vector, second_vector
from aggregator.rows import rows_agree
from marketplace.chain.market import Receipt
from marketplace.documents import MAX_FILE_BYTES, canonical_json
from marketplace.domain import JobCreated, Revealed, RoundSettled, State
from marketplace.errors import CorruptContent, InputError, NotFound, StorageError
from marketplace.keys.sealing import Purpose, open_sealed, open_with_key, seal_bytes_with_key
from marketplace.replay import JobHistory
from marketplace.services.models import Models
from marketplace.services.node import JobFeed, Node, fetch_opened, fetch_spec, job_key
from marketplace.services.programs import fetch_program
from marketplace.services.proofs import open_setup
from marketplace.services.validation import Validation, kept_validation, unpack_validation
from marketplace.spec import MAX_VALIDATION_BYTES, Spec
from marketplace.storage import get_bytes, put_bytes
from zk import kzg
from zk.encoding import BLINDER_BYTES, Float32s, Int16s, chunks, commitment_hash
from zk.files import max_rows_file_bytes, pack_rows, unpack_rows
from zk.setup import Srs

SHOWINGS = 3  # of each sender's, the latest, that are looked at
LOOKED_AT = 4  # rounds whose rows cannot be had that one look tries


class Showing(BaseModel):
    """What is announced while Confirming. validation_cid: of the validation file; rows: by round, of its rows file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    validation_cid: str = Field(max_length=100)
    rows: dict[int, str]


# ---------------------------------------------------------------- a round's rows


def open_rows(node: Node, history: JobHistory, event: RoundSettled, d: int, srs: Srs) -> tuple[Int16s, Int16s, bytes]:
    """The owner opens a round's reference rows and checks them against their commitment. Raises CorruptContent."""
    party = history.rounds[event.round - 1].aggregator
    context = node.context(Purpose.REFERENCE, job_id=event.job_id, round=event.round, party=party)
    bound = max_rows_file_bytes(d, chunks(d, srs.size))
    data = fetch_opened(
        node.storage,
        event.settlement.reference_cid,
        lambda source, sink: open_sealed(node.me.decryption_key, source, sink, context, bound),
        max_bytes=bound,
    )
    return unpack_committed_rows(data, d, event, srs)


def unpack_committed_rows(data: bytes, d: int, event: RoundSettled, srs: Srs) -> tuple[Int16s, Int16s, bytes]:
    """(first int16[d], second int16[d], blinders) of a plain rows file, if they open the round's commitment.

    Raises CorruptContent.
    """
    c = chunks(d, srs.size)
    try:
        first, second, blinders = unpack_rows(data, d, c)
        half = c * BLINDER_BYTES
        points = kzg.commit(srs, first, blinders[:half]) + kzg.commit(srs, second, blinders[half:])
    except ValueError as error:
        raise CorruptContent(f"The reference rows of round {event.round} are not valid: {error}.") from error
    if commitment_hash(points) != event.settlement.reference_commitment:
        raise CorruptContent(f"The reference rows of round {event.round} do not open their commitment.")
    return first, second, blinders


def rows_problem(
    validation: Validation, base: Float32s, end: Float32s, first: Int16s, second: Int16s, exponent: int
) -> str:
    """Which reference row is not what the validation data give (aggregator/rows.py), or "".

    exponent: that of the second row, as the settlement states it.
    """
    stated = {
        "first": (first, None, first_vector(validation.gradient, base)),
        "second": (second, exponent, second_vector(validation.gradient, base, end)),
    }
    far = {name: case for name, case in stated.items() if not rows_agree(*case)}
    if far:  # the noise takes some more passes over the data, and matters only where the gradient all but vanishes
        noise = validation.noise(base)
        far = {name: case for name, case in far.items() if not rows_agree(*case, noise)}
    return f"the {' and '.join(far)} reference row differs from the validation data's" if far else ""


# ---------------------------------------------------------------- showing


def prepare_showing(
    node: Node, history: JobHistory, key: bytes, content: bytes, rows: Iterable[tuple[int, bytes]], sender: str
) -> str:
    """Puts the validation file `content` and rows files, each with its round, into storage, sealed to the job key.

    key: 32 bytes. sender: the account that will call `reveal`, which may be an owner's wallet. Returns the CID that it
    is to announce.
    """

    def sealed(content: bytes, purpose: Purpose, round: int = 0) -> str:
        context = node.context(purpose, job_id=history.created.job_id, round=round, party=sender)
        return put_bytes(node.storage, seal_bytes_with_key(key, content, context))

    document = Showing(
        validation_cid=sealed(content, Purpose.VALIDATION),
        rows={round: sealed(file, Purpose.REFERENCE, round) for round, file in rows},
    )
    return put_bytes(node.storage, canonical_json(document))


def prepare_owners_showing(node: Node, job_id: int) -> str:
    """The same by the job's owner, who may be another account than the node's, from what is kept on this machine.

    Raises InputError where the job does not wait for it, and as `owners_part` does.
    """
    return _owners_showing(node, JobFeed(node, job_id).refresh())


def _owners_showing(node: Node, history: JobHistory) -> str:
    if history.state is not State.CONFIRMING or not history.rows_due:
        raise InputError(f"Job {history.created.job_id} waits for nothing to be revealed.")
    content, rows = owners_part(node, history)
    return prepare_showing(node, history, job_key(node, history), content, rows, history.created.owner)


def owners_part(node: Node, history: JobHistory) -> tuple[bytes, Iterator[tuple[int, bytes]]]:
    """What the owner's machine has of what points rest on: the validation file, and each round's plain rows file.

    Raises InputError where the rows are sealed to another key, NotFound where the data are not kept here; at a round's
    turn CorruptContent where its rows are not those that it was proved with.
    """
    created = history.created
    spec = fetch_spec(node.storage, created)
    content = kept_validation(node, spec)
    if created.encryption_key != node.me.encryption_key:
        raise InputError(
            f"The reference rows of job {created.job_id} are sealed to another key than {node.me.address}'s."
        )
    setup, d = open_setup(node, created, spec), spec.parameters

    def files() -> Iterator[tuple[int, bytes]]:
        for event in _with_rows(history):
            first, second, blinders = open_rows(node, history, event, d, setup.srs)
            yield event.round, pack_rows(first, second, blinders, setup.chunks)

    return content, files()


def reveal_to_members(node: Node, job_id: int) -> Receipt:
    """Shows the members what the owner's node keeps. Raises as `prepare_owners_showing` does."""
    return node.market.reveal(node.me.account, job_id, prepare_owners_showing(node, job_id))


def reveal_what_nobody_else_does(node: Node, history: JobHistory) -> bool:
    """Shows the members, once, what the job needs of the owner, whose node this is; whether it did.

    The rows of rounds before a takeover nobody else has who may reveal. Everything else it shows where the aggregator
    has revealed nothing in half of its time. Raises as `prepare_owners_showing` does.
    """
    owner = history.created.owner
    if history.state is not State.CONFIRMING or not history.rows_due or owner != node.me.address:
        return False
    now = node.market.connection.now()
    if now > history.reveal_by or any(event.sender == owner for event in history.reveals):
        return False
    last = history.accepted.aggregator if history.accepted else ""
    taken_over = any(history.rounds[event.round - 1].aggregator != last for event in _with_rows(history))
    silent = not history.reveals and now > history.reveal_by - history.terms.reveal_window // 2
    if taken_over or silent:
        node.market.reveal(node.me.account, history.created.job_id, _owners_showing(node, history))
    return taken_over or silent


# ---------------------------------------------------------------- looking


@dataclass(frozen=True, slots=True)
class Look:
    """What a member has found so far. wrong: by round, what rows differ; missing: by round, what cannot be had.

    Round 0 stands for the data. checked: the round that this look found right, 0 for none. finished: whether there is
    nothing left to look at but what is missing.
    """

    wrong: Mapping[int, str]
    missing: Mapping[int, str]
    checked: int = 0
    finished: bool = False


class Recomputing:
    """A member's own look at what it is paid by, a round at a time, in bounded time whatever was announced.

    Costs, for each round, a sum of 8·d bytes, rows of 4·d bytes, and four gradients of the validation loss.
    """

    def __init__(self, node: Node, created: JobCreated, spec: Spec, srs: Srs) -> None:
        self._node = node
        self._job_id = created.job_id
        self._spec = spec
        self._srs = srs
        self._models = Models(node, created, spec, srs)
        self._validation: Validation | None = None
        self._spoiled: dict[str, str] = {}  # by CID of a file that is not what it should be
        self._right: set[int] = set()
        self._wrong: dict[int, str] = {}
        self._missing: dict[int, str] = {}
        self._tries: Counter[int] = Counter()  # by round

    def look(self, history: JobHistory, key: bytes) -> Look:
        """Looks at the next round. key: the job key. Raises StorageError where storage cannot be reached."""
        left = [event for event in _with_rows(history) if event.round not in self._right | self._wrong.keys()]
        if self._validation is not None and not left:
            return Look(self._wrong, self._missing, finished=True)
        showings, problem = self._showings(history), "nothing that was revealed can be fetched"
        if self._validation is None:
            try:
                self._validation = self._open_validation(history, showings, key)
            except (NotFound, CorruptContent) as error:
                problem = str(error)
        if self._validation is None:
            return Look({}, {0: problem}, finished=True)
        for event in sorted(left, key=lambda one: self._tries[one.round])[:LOOKED_AT]:
            self._tries[event.round] += 1
            try:
                right = self._compare(event, history, showings, key, self._validation)
            except (NotFound, CorruptContent) as error:
                self._missing[event.round] = str(error)
                continue
            self._missing.pop(event.round, None)
            return Look(self._wrong, self._missing, event.round if right else 0)
        return Look(self._wrong, self._missing, finished=all(self._tries[event.round] for event in left))

    def _compare(
        self,
        event: RoundSettled,
        history: JobHistory,
        showings: list[tuple[str, Showing]],
        key: bytes,
        data: Validation,
    ) -> bool:
        first, second = self._open_rows(event, showings, key)
        base = self._models.start(event.round, history, key)
        end = self._models.after(event.round, history, key)
        problem = rows_problem(data, base, end, first, second, event.settlement.row_exponent)
        if problem:
            self._wrong[event.round] = problem
        else:
            self._right.add(event.round)
        return not problem

    def _showings(self, history: JobHistory) -> list[tuple[str, Showing]]:
        """Of each sender the latest SHOWINGS that are well formed, with who announced them."""
        found = []
        for event in latest(history.reveals):
            try:
                document = Showing.model_validate_json(
                    get_bytes(self._node.storage, event.cid, max_bytes=MAX_FILE_BYTES)
                )
            except (NotFound, CorruptContent, ValidationError):
                continue
            found.append((event.sender, document))
        return found

    def _open_validation(self, history: JobHistory, showings: list[tuple[str, Showing]], key: bytes) -> Validation:
        """The validation data that any of them names. Raises NotFound, CorruptContent, StorageError."""
        program = fetch_program(self._node, self._spec)
        problem: StorageError | NotFound = NotFound("What was revealed cannot be fetched, or is no such document.")
        for sender, document in showings:
            cid = document.validation_cid
            if cid in self._spoiled:
                problem = CorruptContent(self._spoiled[cid])
                continue
            try:
                content = self._open(cid, key, Purpose.VALIDATION, 0, sender, MAX_VALIDATION_BYTES)
                return unpack_validation(content, self._spec, program)
            except CorruptContent as error:
                self._spoiled[cid], problem = str(error), error
            except NotFound as error:
                problem = error
        raise problem

    def _open_rows(self, event: RoundSettled, showings: list[tuple[str, Showing]], key: bytes) -> tuple[Int16s, Int16s]:
        """The rows that a round was proved with. Raises NotFound, CorruptContent, StorageError."""
        d = self._models.parameters
        bound = max_rows_file_bytes(d, chunks(d, self._srs.size))
        problem: StorageError | NotFound = NotFound(f"The rows of round {event.round} were not shown.")
        for sender, document in showings:
            cid = document.rows.get(event.round, "")
            if not cid or cid in self._spoiled:
                continue
            try:
                file = self._open(cid, key, Purpose.REFERENCE, event.round, sender, bound)
                first, second, _ = unpack_committed_rows(file, d, event, self._srs)
                return first, second
            except CorruptContent as error:
                self._spoiled[cid], problem = str(error), error
            except NotFound as error:
                problem = error
        raise problem

    def _open(self, cid: str, key: bytes, purpose: Purpose, round: int, sender: str, bound: int) -> bytes:
        context = self._node.context(purpose, job_id=self._job_id, round=round, party=sender)
        return fetch_opened(
            self._node.storage,
            cid,
            lambda source, sink: open_with_key(key, source, sink, context, bound),
            max_bytes=bound,
        )


def latest(reveals: list[Revealed]) -> list[Revealed]:
    """Of each sender's the last SHOWINGS, the latest first: who announces without end hides nobody else's."""
    counted: Counter[str] = Counter()
    found = []
    for event in reversed(reveals):
        counted[event.sender] += 1
        if counted[event.sender] <= SHOWINGS:
            found.append(event)
    return found


def _with_rows(history: JobHistory) -> list[RoundSettled]:
    """The settled rounds, in order, in which something was opened."""
    return [event for _, event in sorted(history.settled.items()) if event.settlement.reference_cid]
