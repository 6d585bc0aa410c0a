"""What a project owner does: create a job, follow it, take the model, reveal the validation data."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from marketplace.chain.market import Receipt
from marketplace.documents import canonical_json
from marketplace.domain import JobCreated, Rule, State, slots
from marketplace.errors import CorruptContent, InputError
from marketplace.keys.sealing import usable_public_key
from marketplace.replay import JobHistory
from marketplace.services.handover import hand_over_all, seal_handover
from marketplace.services.models import Models
from marketplace.services.money import check_funds, creation_cost
from marketplace.services.node import JobFeed, Node, fetch_spec, job_key
from marketplace.services.programs import fetch_program, job_program, publish_files, publish_frozen
from marketplace.services.proofs import JobSetups, open_setup
from marketplace.services.rows import open_rows, owners_part, reveal_what_nobody_else_does, rows_problem
from marketplace.services.safety import check_new_job
from marketplace.services.scores import holds_job_key
from marketplace.services.standing import what_it_waits_for
from marketplace.services.validation import (
    Reveal,
    Validation,
    holds_validation,
    kept_validation,
    publish_validation,
    unpack_validation,
)
from marketplace.spec import JobFile, ProofsSpec, Spec, ValidationConfig, terms_of
from marketplace.storage import put_bytes
from trainer.config import Files
from trainer.data import Dataset, normalise
from trainer.data import to_safetensors as to_data_file
from trainer.models import flatten, load_flat
from trainer.models.base import load_base
from trainer.models.tensors import opened, read_into
from trainer.results import Card, Origin, pack_result, whole
from trainer.train import Evaluation
from zk.encoding import Float32s
from zk.files import pack_model
from zk.statements import circuit_id

if TYPE_CHECKING:
    import torch
    from torch import nn

    from trainer.programs import Program


@dataclass(frozen=True, slots=True)
class Base:
    """A file or folder of weights. names: what stands in the model for prefixes of the checkpoint's names.

    fresh: patterns of the model's tensors that stay as the seed has them.
    """

    path: Path
    names: Mapping[str, str] = field(default_factory=dict)
    fresh: tuple[str, ...] = ()

    def digest(self) -> bytes:
        """Of all that it says, contents included."""
        found = hashlib.sha256(repr((sorted(self.names.items()), self.fresh)).encode())
        for path in [self.path] if self.path.is_file() else sorted(self.path.glob("*.safetensors")):
            found.update(_digest(path))
        return found.digest()


@dataclass(frozen=True, slots=True)
class Created:
    job_id: int
    receipt: Receipt
    spec_cid: str
    escrow: int
    before: bool = False
    """Whether it had been told of already: nothing was sent now."""


def _digest(path: Path) -> bytes:
    """sha256 of a file, which need not fit into memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def created_before(
    node: Node,
    job: JobFile,
    validation: Dataset | None,
    base: Base | None = None,
    *,
    files: Files = MappingProxyType({}),
    again: bool = False,
) -> Created | None:
    """The job that `create_job` made of the same parts before, in this process or one that died.

    again: whether only a job counts that nobody was told of. One that is over never counts. None where there is none.
    Raises ChainError, naming the transaction, where it cannot be seen what became of it.
    """
    found = node.market.created_before(node.me.account, _intent(job, validation, base, files))
    if found is None:
        return None
    job_id, receipt, told = found
    if told and (again or node.market.job(job_id).state.over):
        return None
    (event,) = (event for event in receipt.events if isinstance(event, JobCreated))
    return Created(job_id, receipt, event.spec_cid, event.terms.escrow, before=told)


def _intent(job: JobFile, validation: Dataset | None, base: Base | None, files: Files) -> str:
    """What is asked for, the same each time: terms differ in the moment at which enrolment closes."""
    asked = hashlib.sha256(job.model_dump_json().encode())
    for part in [base.digest() if base else b"", to_data_file(validation) if validation else b""]:
        asked.update(hashlib.sha256(part).digest())
    for name in sorted(files):
        asked.update(_digest(files[name]))
    return f"createJob {asked.hexdigest()}"


def create_job(
    node: Node,
    job: JobFile,
    validation: Dataset | None,
    base: Base | None = None,
    *,
    files: Files = MappingProxyType({}),
    again: bool = False,
    progress: Callable[[str], None] = lambda doing: None,
) -> Created:
    """Publishes the spec and creates the job on the chain, escrowing its money.

    Where the same was asked for before and its job is not over, that job is given, and nothing is sent. again: create
    another one all the same, unless nobody was told of the first, as when a process died that had sent it.

    validation: the owner's held-out data; needed by rule `reference`, and then kept in the owner's home folder, because
    only with the same file can its rows be recomputed and the data be revealed. base: round 1's model, or a checkpoint.
    files: what the job names. progress: told what is being done. Deploys the contracts that check the job's proofs,
    unless some for its set-up are known here.
    Raises InputError before anything is sent when the parts do not fit each other.
    """
    if made := created_before(node, job, validation, base, files=files, again=again):
        return made
    rule = rule_of(job, validation)
    check_new_job(job, rule, files)
    key = aggregator_key(job)
    program = job_program(job, files)
    weights = base_weights(node, job, program, base)
    measured = Validation(normalise(validation, job.data), program) if rule is Rule.REFERENCE and validation else None
    check_new_job(job, rule, files, weights.numpy(), measured)
    check_funds(node.market, node.me.address, creation_cost(node, job))
    progress("preparing the set-up of its proofs; where it has to be made, that takes half a minute")
    setups = JobSetups.choose(node, job.proofs, circuit_id(rule, job.market.max_trainers), len(weights))
    sealed = None
    if validation is not None and key:
        sealed = publish_validation(node, validation, key, node.me.address)
    progress("storing its description, base model and set-up")
    cid = publish_spec(node, job, program, weights.numpy(), files, setups.publish(node), sealed)
    progress("looking for the contracts that check its proofs, or deploying them")
    contracts = setups.contracts(node)
    terms = terms_of(job, owner=node.me.address, rule=rule, now=node.market.connection.now(), verifiers=contracts)
    progress("waiting for the transaction that creates it to be mined")
    job_id, receipt = node.market.create_job(
        node.me.account, terms, node.me.encryption_key, cid, intent=_intent(job, validation, base, files)
    )
    return Created(job_id=job_id, receipt=receipt, spec_cid=cid, escrow=terms.escrow)


def publish_spec(
    node: Node,
    job: JobFile,
    program: "Program",
    weights: Float32s,
    files: Files,
    proofs: ProofsSpec,
    validation: ValidationConfig | None,
) -> str:
    """Stores a job's description and what it names; its CID. weights: float32[d], the base of round 1."""
    # The base is published even where a seed makes it: other versions of torch may draw other numbers from the seed.
    spec = Spec.of(
        job,
        parameters=len(weights),
        files=publish_files(node, files),
        frozen=publish_frozen(node, job, program),
        base_cid=put_bytes(node.storage, pack_model(weights)),
        proofs=proofs,
        validation=validation,
    )
    return put_bytes(node.storage, spec.to_bytes())


def base_weights(node: Node, job: JobFile, program: "Program", base: Base | None = None) -> "torch.Tensor":
    """float32[d]: round 1's model, from a file, from the job that this one continues, or from the seed.

    The program then has them too. Raises InputError, and as `export_model` does.
    """
    if job.continued is not None and base is not None:
        raise InputError(f"The job continues job {job.continued}: leave --base out, or `continue`.")
    try:
        if job.continued is not None:
            with opened(export_model(node, job.continued).content) as file:
                read_into(file, whole(program.module))
        elif base is not None:
            take_base(base, program.module)
    except ValueError as error:
        raise InputError(f"The base model does not fit the job's architecture: {error}.") from error
    return flatten(program.module)


def take_base(base: Base, module: "nn.Module") -> None:
    """From a file of exactly the model's own tensors, as `merit job model` writes, or else from a checkpoint."""
    if base.path.is_file():
        with opened(base.path) as file:
            if file.tensors.keys() == whole(module).keys():
                read_into(file, whole(module))
                return
    load_base(module, base.path, base.names, base.fresh)


def aggregator_key(job: JobFile) -> bytes:
    """The named aggregator's X25519 key, 32 bytes; b"" where none is named. Raises InputError for an unusable key."""
    if job.market.aggregator is None:
        return b""
    key = bytes.fromhex(job.market.aggregator.encryption_key[2:])
    if not usable_public_key(key):
        raise InputError(
            f"Nothing can be sealed to market.aggregator.encryption_key, 0x{key.hex()}: ask the aggregator for the one "
            "that `merit key show` prints."
        )
    return key


def rule_of(job: JobFile, validation: Dataset | None) -> Rule:
    """By what a new job pays. Raises InputError where its parts do not fit each other."""
    if job.market.rule == "reference" and validation is None:
        raise InputError("Rule 'reference' needs the owner's validation data: give them with --validation.")
    if validation is not None and job.market.aggregator is None:
        raise InputError("Validation data are sealed to the aggregator: name it in market.aggregator.")
    return job.rule(validated=validation is not None)


@dataclass(frozen=True, slots=True)
class FinalModel:
    """The model after the last settled round."""

    program: "Program"
    card: Card
    rounds: int
    parameters: int

    @property
    def content(self) -> bytes:
        """A safetensors file of named tensors that says how to use it."""
        return pack_result(self.program, self.card)


def export_model(node: Node, job_id: int, key: bytes | None = None) -> FinalModel:
    """Rebuilds the model from the settled sums."""
    history = JobFeed(node, job_id).refresh()
    spec = fetch_spec(node.storage, history.created)
    setup = open_setup(node, history.created, spec)
    models = Models(node, history.created, spec, setup.srs)
    last = max(history.settled, default=0)
    vector = models.after(last, history, key or job_key(node, history)) if last else models.base()
    program = fetch_program(node, spec)
    load_flat(program.module, vector)
    # Without the metric's value, which not everybody can know: who has the job key gets the same file.
    metric = program.task.metric(spec.task.metric).name if program.task and program.task.metrics else ""
    origin = Origin(job=f"{node.market.address}/{job_id}", round=last, metric=metric)
    card = Card(model=spec.model, data=spec.data, task=spec.task, origin=origin)
    return FinalModel(program, card, len(history.settled), models.parameters)


# ---------------------------------------------------------------- reference rows


@dataclass(frozen=True, slots=True)
class RoundCheck:
    """What the owner's node finds in a settled round; `problem` is "" when all is well."""

    round: int
    found: Evaluation
    selected: list[int]
    problem: str


@dataclass(frozen=True, slots=True)
class HandedOver:
    """An aggregator that has taken over was given what it needs."""

    aggregator: str


@dataclass(frozen=True, slots=True)
class Shown:
    """The members were shown the validation data."""


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing more will happen."""

    state: State


News = HandedOver | Shown | RoundCheck | Over


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

    def look(self) -> Iterator[News]:
        """Does what is an owner's to do at this moment, and tells it as it is done."""
        state = self.state()
        if aggregator := self.hand_over():
            yield HandedOver(aggregator)
        if self.reveal():
            yield Shown()
        yield from self.news()
        if state.over:
            yield Over(state)

    def news(self) -> Iterator[RoundCheck]:
        """Checks the rounds that were settled since the last call, in order."""
        history = self._feed.refresh()
        for round in sorted(number for number in history.settled if number > self._seen):
            yield self._check(history, round)
            self._seen = round

    def waiting(self) -> dict[int, str]:
        """What the job waits for. Raises ChainError."""
        history = self._feed.refresh()
        text = what_it_waits_for(history.terms, history.job(), self._node.market.connection.now())
        return {history.created.job_id: text}

    def hand_over(self) -> str:
        """Gives an aggregator that has taken over what it needs, once; its address, "" where there is none.

        To a key that nothing can be sealed to nothing is given: who published it harms only itself.
        """
        history = self._feed.refresh()
        if history.accepted is None or not history.waits_for(self._node.me.address):
            return ""
        if not usable_public_key(history.accepted.encryption_key):
            return ""
        hand_over_all(self._node, history, self._spec)
        return history.accepted.aggregator

    def reveal(self) -> bool:
        """Shows the members the validation data and rows that nobody else shows them; whether it did, which is once."""
        return reveal_what_nobody_else_does(self._node, self._feed.refresh())

    def state(self) -> State:
        return self._feed.refresh().state

    def _check(self, history: JobHistory, round: int) -> RoundCheck:
        key, event = job_key(self._node, history), history.settled[round]
        base = self._models.start(round, history, key)
        end = self._models.after(round, history, key)
        problem = ""
        if event.settlement.reference_cid:
            try:
                first, second, _ = open_rows(self._node, history, event, self._models.parameters, self._srs)
            except CorruptContent as error:
                problem = str(error)
            else:
                exponent = event.settlement.row_exponent
                problem = rows_problem(self._validation, base, end, first, second, exponent)
        return RoundCheck(round, self._validation.evaluate(end), list(slots(event.settlement.selected)), problem)


# ---------------------------------------------------------------- owners who sign in a wallet


def can_hand_over(node: Node, history: JobHistory, spec: Spec) -> bool:
    """Whether an aggregator that has taken over waits for the job's owner, and what it waits for is on this machine.

    That is the validation data where the job pays by them, else the job key. The owner may be another account than
    the node's.
    """
    taken = history.accepted
    if taken is None or not history.waits_for(history.created.owner) or not usable_public_key(taken.encryption_key):
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

    Raises InputError while the job runs, when its data would be in the open, and as `owners_part` does.
    """
    history = JobFeed(node, job_id).refresh()
    if not history.state.over:
        raise InputError(
            f"Job {job_id} is not over: its validation data are made public afterwards only. "
            f"While it confirms, `merit job reveal {job_id} --members` shows them to its members alone."
        )
    content, rows = owners_part(node, history)
    published = {round: put_bytes(node.storage, file) for round, file in rows}
    document = Reveal(validation_cid=put_bytes(node.storage, content), rows=published)
    return put_bytes(node.storage, canonical_json(document))


def _own_validation(node: Node, created: JobCreated, spec: Spec, data: Dataset | None) -> Validation:
    """The committed file from the owner's home folder; else the given data, for jobs that committed none."""
    if holds_validation(node, spec):
        return unpack_validation(kept_validation(node, spec), spec, fetch_program(node, spec))
    if data is None:
        raise InputError(f"Job {created.job_id} needs --validation DATA to be watched.")
    return Validation(normalise(data, spec.data), fetch_program(node, spec), spec.task.metric)
