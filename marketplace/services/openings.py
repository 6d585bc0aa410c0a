"""Showing that a submission which was called unopened does open: what a trainer keeps for it, and what auditors check.

What is shown are the secrets with which the submission was sealed. They open it as the aggregator could have, and show
that it could: the file has been named on the chain since before the judgement, and HPKE is deterministic in them. That
its bytes could be had from storage at the time is not shown: nobody can show that afterwards.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from marketplace.chain.market import Receipt
from marketplace.domain import OpeningShown
from marketplace.errors import CorruptContent, InputError, NotFound
from marketplace.files import read_within
from marketplace.keys.sealing import Purpose, SealSecrets, open_shown
from marketplace.replay import JobHistory
from marketplace.replay.history import Round
from marketplace.services.node import JobFeed, Node, fetch_opened
from marketplace.spec import Spec
from marketplace.storage import get_bytes, put_bytes
from trainer.models import count_parameters
from zk.encoding import chunks, commitment_hash
from zk.files import max_update_file_bytes, unpack_update

if TYPE_CHECKING:
    from zk.setup import Srs

SUBMISSION = "submission.json"
MAX_RECORD_BYTES = 4096
_HEX = r"^[0-9a-f]{64}$"


class Opening(BaseModel):
    """What opens one sealed submission: an X25519 and a content key, 32 bytes in hex each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ephemeral: str = Field(pattern=_HEX)
    content_key: str = Field(pattern=_HEX)


class Submission(Opening):
    """What a trainer keeps of a submission, beside its sealed bytes."""

    commitment: str = Field(pattern=_HEX)
    cid: str = Field(max_length=100)


def attempt_folder(folder: Path, round: Round) -> Path:
    """Where a trainer keeps what it submits in a round to the round's aggregator."""
    return folder / (f"round-{round.number}-{round.attempts}" if round.attempts else f"round-{round.number}")


def read_submission(work: Path) -> Submission:
    """Raises InputError."""
    path = work / SUBMISSION
    try:
        return Submission.model_validate_json(read_within(path, MAX_RECORD_BYTES))
    except ValidationError as error:
        raise InputError(f"{path} is damaged; delete its folder to train the round again.") from error


def show_opening(node: Node, job_id: int, round: int) -> Receipt:
    """Publishes what opens this trainer's submission of a round: from then on everybody can read that update.

    Raises InputError where there is nothing to show.
    """
    history = JobFeed(node, job_id).refresh()
    slot = history.slot_of(node.me.address)
    if slot is None or not called_unopened(history, round, slot):
        raise InputError(f"No submission of {node.me.address} in round {round} of job {job_id} was called unopened.")
    work = attempt_folder(node.work(job_id), history.rounds[round - 1])
    record = read_submission(work)
    with (work / "sealed").open("rb") as sealed:
        node.storage.put(sealed)
    opening = Opening(ephemeral=record.ephemeral, content_key=record.content_key)
    cid = put_bytes(node.storage, opening.model_dump_json().encode())
    return node.market.show_opening(node.me.account, job_id, round, cid)


def called_unopened(history: JobHistory, round: int, slot: int) -> bool:
    """Whether the round was settled with the submission of this slot left out as unopened."""
    event = history.settled.get(round)
    return event is not None and bool(event.settlement.unopened >> slot & 1)


def check_opening(node: Node, history: JobHistory, spec: Spec, srs: "Srs", shown: OpeningShown) -> None:
    """Raises CorruptContent, StorageError or NotFound unless a submission was called unopened and does open."""
    if not called_unopened(history, shown.round, shown.slot):
        raise CorruptContent("it was not called unopened")
    entry = history.rounds[shown.round - 1]
    judge, submission = entry.judge, entry.submissions[shown.slot]
    if judge is None:
        raise NotFound("the round has no aggregator")
    try:
        opening = Opening.model_validate_json(get_bytes(node.storage, shown.cid, max_bytes=MAX_RECORD_BYTES))
    except ValidationError as error:
        raise CorruptContent("what was published is not two keys") from error
    secrets = SealSecrets(bytes.fromhex(opening.ephemeral), bytes.fromhex(opening.content_key))
    d = count_parameters(spec.model)
    c = chunks(d, spec.proofs.chunk)
    bound = max_update_file_bytes(d, c)
    context = node.context(
        Purpose.UPDATE,
        job_id=history.created.job_id,
        round=shown.round,
        party=history.participants[shown.slot].operator,
    )
    content = fetch_opened(
        node.storage,
        submission.cid,
        lambda source, sink: open_shown(judge.encryption_key, secrets, source, sink, context, bound),
        max_bytes=bound,
    )
    try:
        row, blinders, _ = unpack_update(content, d, c)
        commitment = srs.commit_sum(row.astype(np.int64), blinders)
    except ValueError as error:
        raise CorruptContent(f"{error}.") from error
    if commitment_hash(commitment) != submission.commitment:
        raise CorruptContent("the update does not open the commitment")
