"""What a trainer keeps of a submission, and how it shows, where that was called unopened, that it opens.

What is shown are the secrets with which the small file was sealed (services/deliveries.py). They open it as the
aggregator could have, and show that it could: it has been named on the chain since before the judgement, and HPKE is
deterministic in them; it names the large one. That their bytes could be had from storage at the time is not shown:
nobody can show that afterwards.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from marketplace.chain.market import Receipt
from marketplace.domain import OpeningShown, State, UpdateSubmitted
from marketplace.errors import CorruptContent, InputError, MeritError, NotFound
from marketplace.files import read_within, write_atomically
from marketplace.keys.sealing import Purpose, SealSecrets, open_shown, sealed_size
from marketplace.replay import JobHistory
from marketplace.replay.history import Round
from marketplace.services.deliveries import DELIVERY, Sealed, fetch_update, open_delivery
from marketplace.services.node import JobFeed, Node
from marketplace.spec import Spec
from marketplace.storage import Storage, get_bytes, put_bytes
from marketplace.storage.cid import cid_of
from zk.encoding import chunks, submission_hash
from zk.files import max_update_file_bytes, unpack_update

if TYPE_CHECKING:
    from zk.setup import Srs

SUBMISSION, LARGE, SMALL = "submission.json", "sealed", "delivery"
MAX_RECORD_BYTES = 4096
_HEX = r"^[0-9a-f]{64}$"


class Opening(BaseModel):
    """What opens a submission's small file: an X25519 and a content key, 32 bytes in hex each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ephemeral: str = Field(pattern=_HEX)
    content_key: str = Field(pattern=_HEX)


class Submission(Opening):
    """What a trainer keeps of a submission, beside its two sealed files. content: the large one's CID."""

    commitment: str = Field(pattern=_HEX)
    cid: str = Field(max_length=100)
    content: str = Field(max_length=100)


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


def keep_submission(work: Path, sealed: Sealed, commitment: bytes) -> None:
    """Writes both files and what is noted of them, which comes last: where it is, the files are. Raises InputError."""
    write_atomically(work / LARGE, sealed.large)
    write_atomically(work / SMALL, sealed.small)
    record = Submission(
        commitment=commitment.hex(),
        cid=sealed.cid,
        content=sealed.content,
        ephemeral=sealed.secrets.ephemeral.hex(),
        content_key=sealed.secrets.content_key.hex(),
    )
    write_atomically(work / SUBMISSION, record.model_dump_json().encode())


def put_content(storage: Storage, work: Path) -> Submission:
    """Puts the large file of a submission that is kept in `work` into storage; what was noted of it.

    Raises InputError where either file was changed on disk or is gone.
    """
    record = read_submission(work)
    _kept_small(work, record)
    try:
        with (work / LARGE).open("rb") as file:
            cid = storage.put(file)
    except FileNotFoundError as error:
        raise _spoiled(work / LARGE) from error
    if cid != record.content:
        raise _spoiled(work / LARGE)
    return record


def deliver(storage: Storage, work: Path) -> Submission:
    """As `put_content`, for the small file: from then on the aggregator opens the submission."""
    record = read_submission(work)
    put_bytes(storage, _kept_small(work, record))
    return record


def _kept_small(work: Path, record: Submission) -> bytes:
    data = read_within(work / SMALL, sealed_size(DELIVERY))
    if cid_of(data) != record.cid:
        raise _spoiled(work / SMALL)
    return data


def _spoiled(path: Path) -> InputError:
    return InputError(f"{path} is gone, or was changed on disk; delete its folder.")


def show_opening(node: Node, job_id: int, round: int) -> Receipt:
    """Publishes what opens this trainer's submission of a round: from then on everybody can read that update.

    Raises InputError where there is nothing to show.
    """
    history = JobFeed(node, job_id).refresh()
    slot = history.slot_of(node.me.address)
    if slot is None or not history.called_unopened(round, slot):
        raise InputError(f"No submission of {node.me.address} in round {round} of job {job_id} was called unopened.")
    entry = history.rounds[round - 1]
    if history.state is State.RUNNING and not entry.settled and not entry.skipped:
        raise InputError(f"Round {round} of job {job_id} is not over: whoever read the update could still copy it.")
    work = attempt_folder(node.work(job_id), entry)
    put_content(node.storage, work)
    record = deliver(node.storage, work)
    opening = Opening(ephemeral=record.ephemeral, content_key=record.content_key)
    cid = put_bytes(node.storage, opening.model_dump_json().encode())
    return node.market.show_opening(node.me.account, job_id, round, cid)


def check_opening(node: Node, history: JobHistory, spec: Spec, srs: "Srs", shown: OpeningShown) -> None:
    """Raises CorruptContent, StorageError or NotFound unless a submission was called unopened and does open."""
    problem: MeritError = CorruptContent("it was not called unopened")
    for submission in {event.cid: event for event in history.called_unopened(shown.round, shown.slot)}.values():
        try:
            return _check_opening(node, history, spec, srs, shown, submission)
        except MeritError as error:
            problem = error
    raise problem


def _check_opening(
    node: Node, history: JobHistory, spec: Spec, srs: "Srs", shown: OpeningShown, submission: UpdateSubmitted
) -> None:
    judge = history.rounds[shown.round - 1].judge
    if judge is None:
        raise NotFound("the round has no aggregator")
    try:
        opening = Opening.model_validate_json(get_bytes(node.storage, shown.cid, max_bytes=MAX_RECORD_BYTES))
    except ValidationError as error:
        raise CorruptContent("what was published is not two keys") from error
    secrets = SealSecrets(bytes.fromhex(opening.ephemeral), bytes.fromhex(opening.content_key))
    d = spec.parameters
    c = chunks(d, spec.proofs.chunk)
    bound = max_update_file_bytes(d, c)
    operator = history.participants[shown.slot].operator
    context = node.context(Purpose.UPDATE, job_id=history.created.job_id, round=shown.round, party=operator)
    delivery = open_delivery(node.storage, submission.cid, partial(open_shown, judge.encryption_key, secrets), context)
    content = fetch_update(node.storage, delivery, context, bound)
    try:
        row, blinders, _ = unpack_update(content, d, c)
        commitment = srs.commit_sum(row.astype(np.int64), blinders)
    except ValueError as error:
        raise CorruptContent(f"{error}.") from error
    if submission_hash(commitment, operator) != submission.commitment:
        raise CorruptContent("the update does not open the commitment")
