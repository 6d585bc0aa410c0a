"""What an aggregator that takes a job over needs from those who were there: the job key and, from the owner, the data.

Anybody in the job may hand over, and nothing has to be believed: a job key is held to the commitment in the document
that was published before, validation data to the commitment in the job's spec.
"""

from collections import Counter
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from marketplace.chain.market import Receipt
from marketplace.errors import CorruptContent, NotFound, StorageError
from marketplace.keys.sealing import (
    MAX_JOB_KEY_BYTES,
    Purpose,
    is_job_key,
    open_sealed,
    seal_bytes_to,
)
from marketplace.replay import JobHistory
from marketplace.services.node import Node, fetch_opened, job_key
from marketplace.services.validation import (
    Validation,
    holds_validation,
    kept_validation,
    open_validation,
    seal_validation,
)
from marketplace.spec import Spec
from marketplace.storage import get_bytes, put_bytes

MAX_HANDOVER_BYTES = 4096
LOOKED_AT = 4  # hand-overs that one look fetches
DEPTH = 3  # of each sender's hand-overs, the latest


class Letter(NamedTuple):
    """A hand-over, by who announced it and where it is."""

    sender: str
    cid: str


class Handover(BaseModel):
    """What is sealed to the new aggregator; empty where the sender has it not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job_key: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    validation_cid: str = Field(default="", max_length=100)


def hand_over(node: Node, history: JobHistory, key: bytes = b"", spec: Spec | None = None) -> Receipt:
    """Gives the job key, and for the owner its validation data, to the aggregator that has taken over.

    key, spec: as `seal_handover` takes them.
    """
    cid = seal_handover(node, history, node.me.address, key, spec)
    return node.market.hand_over(node.me.account, history.created.job_id, cid)


def hand_over_all(node: Node, history: JobHistory, spec: Spec) -> Receipt:
    """Gives the aggregator that has taken over all that the job's owner, whose node this is, has for it."""
    key = job_key(node, history) if history.keys else b""
    return hand_over(node, history, key, spec if holds_validation(node, spec) else None)


def seal_handover(node: Node, history: JobHistory, sender: str, key: bytes = b"", spec: Spec | None = None) -> str:
    """Puts what is handed over into storage, sealed; the CID that `sender` is to announce.

    sender: the account that will call `handOver`, which may be an owner's wallet. key: 32 bytes, empty where none was
    published. spec: given by an owner who keeps the job's validation data.
    """
    aggregator = history.accepted
    if aggregator is None:
        raise NotFound(f"Job {history.created.job_id} has no aggregator to hand anything over to.")
    validation_cid = ""
    if spec is not None and spec.validation is not None:
        content = kept_validation(node, spec)
        validation_cid = seal_validation(node, content, aggregator.encryption_key, history.created.owner)
    document = Handover(job_key=key.hex(), validation_cid=validation_cid).model_dump_json().encode()
    context = node.context(Purpose.HANDOVER, job_id=history.created.job_id, party=sender)
    return put_bytes(node.storage, seal_bytes_to(aggregator.encryption_key, document, context))


class Inbox:
    """What is handed over to this aggregator, read fairly and in bounded time however much of it there is.

    The owner and every trainer may announce hand-overs without end. One look fetches at most LOOKED_AT of them: of each
    sender's latest DEPTH those that were fetched least, from the senders of whom least was fetched so far, so that a
    true one is found after each other sender has had its turn once. What does not open is not fetched again; what is
    missing is, in its turn, since storage may have it later.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._of: Counter[str] = Counter()  # how much was fetched of each sender
        self._tries: Counter[Letter] = Counter()
        self._opened: dict[Letter, Handover | None] = {}  # None for what does not open
        self._key = ("", b"")  # the CID of a job key document, and the key that it commits to
        self._asked: Counter[str] = Counter()  # by CID of validation data
        self._wrong: set[str] = set()  # of those, what is not what was committed to

    def key(self, history: JobHistory) -> bytes | None:
        """The job key, 32 bytes, from whoever has handed it over; None where nobody has, or not yet. StorageError."""
        aggregator, published = history.keys[-1]
        if self._key[0] == published.cid:
            return self._key[1]
        document = get_bytes(self._node.storage, published.cid, max_bytes=MAX_JOB_KEY_BYTES)
        context = self._node.context(Purpose.JOB_KEY, job_id=history.created.job_id, party=aggregator)
        for letter in self._look(history):
            found = self._opened.get(letter)
            key = bytes.fromhex(found.job_key) if found else b""
            if key and is_job_key(document, key, context):
                self._key = published.cid, key
                return key
        return None

    def validation(self, history: JobHistory, spec: Spec) -> Validation | None:
        """The validation data that the owner has handed over; None where it has not, or not yet."""
        of_owner = [letter for letter in self._look(history) if letter.sender == history.created.owner]
        named = [found.validation_cid for letter in of_owner if (found := self._opened.get(letter)) is not None]
        known = [cid for cid in named if cid and cid not in self._wrong]
        if not known:
            return None
        cid = min(known, key=lambda one: self._asked[one])  # one large file a look
        self._asked[cid] += 1
        try:
            return open_validation(self._node, history.created, spec, cid)
        except CorruptContent:
            self._wrong.add(cid)
        except (NotFound, StorageError):
            pass  # storage may have it later
        return None

    def _look(self, history: JobHistory) -> list[Letter]:
        """Opens some of what was handed over; all that counts of it, the latest of each sender first."""
        letters = _letters(history)
        self._opened = {letter: self._opened[letter] for letter in letters if letter in self._opened}
        closed = [letter for letter in letters if letter not in self._opened]
        for _ in range(min(LOOKED_AT, len(closed))):
            letter = min(closed, key=lambda one: (self._of[one.sender], self._tries[one]))
            closed.remove(letter)
            self._of[letter.sender] += 1
            self._tries[letter] += 1
            try:
                self._opened[letter] = _open(self._node, history.created.job_id, letter)
            except (CorruptContent, ValidationError):
                self._opened[letter] = None
            except (NotFound, StorageError):
                continue
        return letters


def _letters(history: JobHistory) -> list[Letter]:
    """The latest DEPTH of each sender, the owner's before the trainers', each sender's latest first."""
    found: dict[str, list[Letter]] = {history.created.owner: []}
    for event in reversed(history.handed_over):
        of = found.setdefault(event.sender, [])
        letter = Letter(event.sender, event.cid)
        if len(of) < DEPTH and letter not in of:
            of.append(letter)
    return [letter for of in found.values() for letter in of]


def _open(node: Node, job_id: int, letter: Letter) -> Handover:
    context = node.context(Purpose.HANDOVER, job_id=job_id, party=letter.sender)
    data = fetch_opened(
        node.storage,
        letter.cid,
        lambda source, sink: open_sealed(node.me.decryption_key, source, sink, context, MAX_HANDOVER_BYTES),
        max_bytes=MAX_HANDOVER_BYTES,
    )
    return Handover.model_validate_json(data)
