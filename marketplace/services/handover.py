"""What an aggregator that takes a job over needs from those who were there: the job key and, from the owner, the data.

Anybody in the job may hand over, and nothing has to be believed: a job key is held to the commitment in the document
that was published before, validation data to the commitment in the job's spec.
"""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from marketplace.chain.market import Receipt
from marketplace.domain import HandedOver
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


def received_key(node: Node, history: JobHistory) -> bytes | None:
    """The job key, 32 bytes, from whoever has handed it over; None where nobody has. Raises StorageError."""
    aggregator, published = history.keys[-1]
    document = get_bytes(node.storage, published.cid, max_bytes=MAX_JOB_KEY_BYTES)
    context = node.context(Purpose.JOB_KEY, job_id=history.created.job_id, party=aggregator)
    for _, handover in _received(node, history):
        key = bytes.fromhex(handover.job_key)
        if key and is_job_key(document, key, context):
            return key
    return None


def received_validation(node: Node, history: JobHistory, spec: Spec) -> Validation | None:
    """The validation data that the owner has handed over; None where it has not."""
    owner = history.created.owner
    for sender, handover in _received(node, history):
        if sender != owner or not handover.validation_cid:
            continue
        try:
            return open_validation(node, history.created, spec, handover.validation_cid)
        except (CorruptContent, NotFound, StorageError):
            continue
    return None


def _received(node: Node, history: JobHistory) -> Iterator[tuple[str, Handover]]:
    """What was sealed to this aggregator, with its sender. What does not open, or is not there, is passed over."""
    for event in history.handed_over:
        try:
            yield event.sender, _open(node, event)
        except (CorruptContent, NotFound, StorageError, ValidationError):
            continue


def _open(node: Node, event: HandedOver) -> Handover:
    context = node.context(Purpose.HANDOVER, job_id=event.job_id, party=event.sender)
    data = fetch_opened(
        node.storage,
        event.cid,
        lambda source, sink: open_sealed(node.me.decryption_key, source, sink, context, MAX_HANDOVER_BYTES),
        max_bytes=MAX_HANDOVER_BYTES,
    )
    return Handover.model_validate_json(data)
