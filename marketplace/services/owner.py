"""What a project owner does: create a job, follow it, take the model, reveal the validation data."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from aggregator.reference import agrees, first_row, second_row
from marketplace.chain.market import Receipt
from marketplace.domain import ZERO_ADDRESS, JobCreated, RoundSettled, Rule, slots
from marketplace.errors import CorruptContent, InputError
from marketplace.keys.sealing import Purpose, open_sealed
from marketplace.replay import JobHistory
from marketplace.services.handover import hand_over_all, seal_handover
from marketplace.services.models import Models
from marketplace.services.node import JobFeed, Node, fetch_opened, fetch_spec, job_key
from marketplace.services.proofs import JobSetups, open_setup
from marketplace.services.scores import holds_job_key
from marketplace.services.validation import (
    Reveal,
    Validation,
    holds_validation,
    kept_validation,
    publish_validation,
    unpack_validation,
)
from marketplace.spec import JobFile, Spec, terms_of
from marketplace.storage import put_bytes
from trainer.data import Dataset, normalise
from trainer.models import build, check_fits, count_parameters, flatten, from_safetensors, load_flat, to_safetensors
from zk import kzg
from zk.encoding import BLINDER_BYTES, Float32s, Int16s, chunks, commitment_hash
from zk.files import max_rows_file_bytes, pack_model, pack_rows, unpack_rows
from zk.setup import Srs
from zk.statements import circuit_id


@dataclass(frozen=True, slots=True)
class Created:
    job_id: int
    receipt: Receipt
    spec_cid: str
    escrow: int


def create_job(node: Node, job: JobFile, validation: Dataset | None, base: bytes | None = None) -> Created:
    """Publishes the spec and creates the job on the chain, escrowing its money.

    validation: the owner's held-out data; needed by rule `reference`, and then kept in the owner's home folder, because
    only with the same file can its rows be recomputed and the data be revealed. base: a safetensors file of round 1's
    model. Deploys the contracts that check the job's proofs, unless some for its set-up are known here.
    Raises InputError before anything is sent when the parts do not fit each other.
    """
    rule = _rule(job, validation)
    try:
        check_fits(job.model, job.data.shape, job.data.classes)
    except ValueError as error:
        raise InputError(f"The model does not fit: {error}.") from error
    module = build(job.model)
    try:
        weights = flatten(module) if base is None else from_safetensors(module, base)
    except ValueError as error:
        raise InputError(f"The base model does not fit the job's architecture: {error}.") from error
    token, escrow = job.market.token or ZERO_ADDRESS, job.market.escrow
    held = node.market.balance(token, node.me.address)
    if held < escrow:
        raise InputError(
            f"The job's escrow is {escrow} smallest units, and {node.me.address} holds {held}: fund it first."
        )
    setups = JobSetups.choose(node, job.proofs, circuit_id(rule, job.market.max_trainers), len(weights))
    sealed = None
    if validation is not None and job.market.aggregator is not None:
        key = bytes.fromhex(job.market.aggregator.encryption_key[2:])
        sealed = publish_validation(node, validation, key, node.me.address)
    # Published even where a seed makes it: other versions of torch may draw other numbers from the seed.
    base_cid = put_bytes(node.storage, pack_model(weights.numpy()))
    spec = Spec.of(job, base_cid=base_cid, proofs=setups.publish(node), validation=sealed)
    cid = put_bytes(node.storage, spec.to_bytes())
    terms = terms_of(job, rule=rule, now=node.market.connection.now(), verifiers=setups.contracts(node))
    job_id, receipt = node.market.create_job(node.me.account, terms, node.me.encryption_key, cid)
    return Created(job_id=job_id, receipt=receipt, spec_cid=cid, escrow=terms.escrow)


def _rule(job: JobFile, validation: Dataset | None) -> Rule:
    if job.market.rule == "reference" and validation is None:
        raise InputError("Rule 'reference' needs the owner's validation data: give them with --validation.")
    if validation is not None and job.market.aggregator is None:
        raise InputError("Validation data are sealed to the aggregator: name it in market.aggregator.")
    if validation is not None and job.market.rule != "krum-cosine":
        return Rule.REFERENCE
    return Rule.KRUM_COSINE


@dataclass(frozen=True, slots=True)
class FinalModel:
    """The model after the last settled round, as a safetensors file of named tensors."""

    content: bytes
    rounds: int
    parameters: int


def export_model(node: Node, job_id: int, key: bytes | None = None) -> FinalModel:
    """Rebuilds the model from the settled sums."""
    history = JobFeed(node, job_id).refresh()
    spec = fetch_spec(node.storage, history.created)
    setup = open_setup(node, history.created, spec)
    models = Models(node, history.created, spec, setup.srs)
    last = max(history.settled, default=0)
    vector = models.after(last, history, key or job_key(node, history)) if last else models.base()
    module = build(spec.model)
    load_flat(module, vector)
    return FinalModel(to_safetensors(module), len(history.settled), models.parameters)


# ---------------------------------------------------------------- reference rows


@dataclass(frozen=True, slots=True)
class RoundCheck:
    """What the owner's node finds in a settled round; `problem` is "" when all is well."""

    round: int
    loss: float
    accuracy: float
    selected: list[int]
    problem: str


class Watcher:
    """Follows a job with the owner's validation data, recomputing each round's reference rows."""

    def __init__(self, node: Node, job_id: int, data: Dataset | None) -> None:
        self._node = node
        self._feed = JobFeed(node, job_id)
        history = self._feed.refresh()
        self._created = history.created
        self._spec = fetch_spec(node.storage, history.created)
        self._validation = _own_validation(node, history.created, self._spec, data)
        self._srs = open_setup(node, history.created, self._spec).srs
        self._models = Models(node, history.created, self._spec, self._srs)
        self._seen = 0

    def news(self) -> Iterator[RoundCheck]:
        """Checks the rounds that were settled since the last call, in order."""
        history = self._feed.refresh()
        for round in sorted(number for number in history.settled if number > self._seen):
            yield self._check(history, round)
            self._seen = round

    def hand_over(self) -> str:
        """Gives an aggregator that has taken over what it needs, once; its address, "" where there is none."""
        history = self._feed.refresh()
        if history.accepted is None or not history.waits_for(self._node.me.address):
            return ""
        hand_over_all(self._node, history, self._spec)
        return history.accepted.aggregator

    def over(self) -> bool:
        return self._feed.refresh().state.over

    def _check(self, history: JobHistory, round: int) -> RoundCheck:
        key, event = job_key(self._node, history), history.settled[round]
        base = self._models.after(round - 1, history, key)
        end = self._models.after(round, history, key)
        problem = ""
        if event.settlement.reference_cid:
            try:
                first, second, _ = open_rows(self._node, history, event, self._models.parameters, self._srs)
            except CorruptContent as error:
                problem = str(error)
            else:
                problem = rows_problem(self._validation, base, end, first, second)
        loss, accuracy = self._validation.evaluate(end)
        return RoundCheck(round, loss, accuracy, list(slots(event.settlement.selected)), problem)


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


def rows_problem(validation: Validation, base: Float32s, end: Float32s, first: Int16s, second: Int16s) -> str:
    """Which reference row is off (cosine below 0.999 to the recomputed one), or ""."""
    own_first, _ = first_row(validation.gradient, base)
    own_second, _ = second_row(validation.gradient, base, end)
    wrong = [
        name for name, row, own in (("first", first, own_first), ("second", second, own_second)) if not agrees(row, own)
    ]
    return f"the {' and '.join(wrong)} reference row differs from the validation data's" if wrong else ""


# ---------------------------------------------------------------- owners who sign in a wallet


def can_hand_over(node: Node, history: JobHistory, spec: Spec) -> bool:
    """Whether an aggregator that has taken over waits for the job's owner, and what it waits for is on this machine.

    That is the validation data where the job pays by them, else the job key. The owner may be another account than
    the node's.
    """
    if not history.waits_for(history.created.owner):
        return False
    return holds_validation(node, spec) if history.terms.rule is Rule.REFERENCE else holds_job_key(node, history)


def prepare_hand_over(node: Node, job_id: int) -> str:
    """Seals what this node holds to the aggregator that has taken over; the CID that the job's owner is to announce.

    Raises InputError where nobody waits for it, the owner has handed over already, or nothing to give is kept here.
    """
    history = JobFeed(node, job_id).refresh()
    spec = fetch_spec(node.storage, history.created)
    if not can_hand_over(node, history, spec):
        raise InputError(
            f"There is nothing to hand over in job {job_id}: nobody who has taken it over waits for its owner, or this "
            "is not the machine that it was created on."
        )
    key = job_key(node, history) if holds_job_key(node, history) else b""
    kept = spec if holds_validation(node, spec) else None
    return seal_handover(node, history, history.created.owner, key, kept)


# ---------------------------------------------------------------- revealing


def reveal_validation(node: Node, job_id: int) -> Receipt:
    """Publishes the validation data and the opened reference rows of a job that is over."""
    cid = prepare_reveal(node, job_id)
    return node.market.reveal_validation(node.me.account, job_id, cid)


def prepare_reveal(node: Node, job_id: int) -> str:
    """Puts the data and the opened rows of a job that is over into storage; the CID that its owner is to announce.

    Raises InputError while the job runs, when its data would be in the open, and where the rows are sealed to another
    key; NotFound where the data are not kept here.
    """
    history = JobFeed(node, job_id).refresh()
    created = history.created
    if not history.state.over:
        raise InputError(f"Job {job_id} is not over: its validation data are revealed afterwards only.")
    spec = fetch_spec(node.storage, created)
    content = kept_validation(node, spec)
    if created.encryption_key != node.me.encryption_key:
        raise InputError(f"The reference rows of job {job_id} are sealed to another key than {node.me.address}'s.")
    d = count_parameters(spec.model)
    setup = open_setup(node, created, spec)
    rows = {}
    for round, event in sorted(history.settled.items()):
        if not event.settlement.reference_cid:
            continue  # nothing was opened in it
        first, second, blinders = open_rows(node, history, event, d, setup.srs)
        rows[round] = put_bytes(node.storage, pack_rows(first, second, blinders, setup.chunks))
    document = Reveal(validation_cid=put_bytes(node.storage, content), rows=rows)
    body = json.dumps(document.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()
    return put_bytes(node.storage, body)


def _own_validation(node: Node, created: JobCreated, spec: Spec, data: Dataset | None) -> Validation:
    """The committed file from the owner's home folder; else the given data, for jobs that committed none."""
    if holds_validation(node, spec):
        return unpack_validation(kept_validation(node, spec), spec)
    if data is None:
        raise InputError(f"Job {created.job_id} needs --validation DATA to be watched.")
    return Validation(normalise(data, spec.data), build(spec.model))
