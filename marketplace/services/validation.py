"""The owner's validation data: committed when the job is created, sealed to the aggregator, revealed at the end.

The file is 32 random bytes, the salt, and then a safetensors file of "x" float32[n, …] and "y" int64[n], before any
normalisation. The commitment is the keccak256 of the whole, so data that could be guessed stay hidden.
"""

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from eth_utils.crypto import keccak
from pydantic import BaseModel, ConfigDict, ValidationError

from marketplace.documents import MAX_FILE_BYTES, explain
from marketplace.domain import JobCreated
from marketplace.errors import CorruptContent, InputError, MeritError, NotFound, StorageError
from marketplace.files import read_within, write_atomically
from marketplace.keys.sealing import Purpose, open_sealed, seal_bytes_to
from marketplace.replay import JobHistory
from marketplace.services.node import Node, fetch_opened
from marketplace.services.programs import fetch_program
from marketplace.spec import MAX_VALIDATION_BYTES, Spec, ValidationConfig
from marketplace.storage import get_bytes, put_bytes
from trainer import data as datasets
from trainer.config import DataSchema, Files
from trainer.data import PLAIN, DataOptions, Dataset, from_safetensors, normalise, to_safetensors, tokenizer_files
from trainer.data.dataset import check
from trainer.models import load_flat
from trainer.programs import Program, check_tokens
from trainer.train import Evaluation, evaluate, gradient_noise, loss_gradient
from zk.encoding import SALT_BYTES, Float32s

REVEALS = 3  # of an owner's, the latest, that are looked at
REMEMBERED = 2  # gradients: a round ends where the next begins, which asks for the same one


@dataclass(frozen=True, slots=True)
class Validation:
    """Opened validation data with the job's program, ready to be asked. metric: name of what is measured beside the
    loss, by default the task's first. content: the file that the spec commits to."""

    data: Dataset
    program: Program
    metric: str | None = None
    content: bytes = b""
    _known: deque[tuple[Float32s, Float32s]] = field(
        default_factory=lambda: deque(maxlen=REMEMBERED), repr=False, compare=False
    )

    def gradient(self, parameters: Float32s) -> Float32s:
        """The gradient float32[d] of the mean validation loss at `parameters` float32[d]."""
        for at, found in self._known:
            if np.array_equal(at, parameters):
                return found
        load_flat(self.program.module, parameters)
        found = loss_gradient(self.program, self.data)
        self._known.append((parameters.copy(), found))
        return found

    def noise(self, parameters: Float32s) -> float:
        """The standard error of that gradient: how far those of other samples would be from it. 0 if not finite."""
        load_flat(self.program.module, parameters)
        return gradient_noise(self.program, self.data, np.random.default_rng())

    def first(self, count: int) -> "Validation":
        """The same with no more than `count` samples."""
        return Validation(self.data[:count], self.program)

    def evaluate(self, parameters: Float32s) -> Evaluation:
        """The mean loss and the main metric of the model with these parameters."""
        load_flat(self.program.module, parameters)
        task = self.program.task
        return evaluate(self.program, self.data, task.metric(self.metric) if task else None)


class Reveal(BaseModel):
    """What the owner publishes at the end, so that every auditor can repeat the reference rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    validation_cid: str
    rows: dict[int, str]  # round → CID of the plain rows file


def read_data(source: str | Dataset, schema: DataSchema, files: Files, options: DataOptions = PLAIN) -> Dataset:
    """Data as they are in their source, or as they were given, checked against a job's schema. Raises InputError.

    files: what the job names, tokenizers among it.
    """
    try:
        if isinstance(source, Dataset):
            return check(source, schema, "what was given")
        return datasets.read(source, schema, options, tokenizer_files(files, schema))
    except ValueError as error:
        raise InputError(f"The data do not fit: {error}.") from error


def pack_validation(data: Dataset) -> bytes:
    """The validation file of a data set as `trainer.data.read` gives it, with a fresh salt."""
    return os.urandom(SALT_BYTES) + to_safetensors(data)


def unpack_validation(content: bytes, spec: Spec, program: Program) -> Validation:
    """Checks the file against the spec's commitment and data schema. Raises InputError, CorruptContent."""
    if spec.validation is None:
        raise InputError("This job has no validation data.")
    if "0x" + keccak(content).hex() != spec.validation.commitment:
        raise CorruptContent("The validation data are not those that the owner committed to.")
    try:
        data = from_safetensors(content[SALT_BYTES:], spec.data, "the committed validation data")
        check_tokens(program, data)
    except ValueError as error:
        raise CorruptContent(f"{error}.") from error
    return Validation(normalise(data, spec.data), program, spec.task.metric, content)


def publish_validation(node: Node, data: Dataset, aggregator_key: bytes, owner: str) -> ValidationConfig:
    """Seals the owner's validation file to the aggregator's X25519 key and stores it; what the spec says of it.

    The seal names the owner, so that nobody else's job can make the aggregator answer questions about these data. The
    file is kept in the home folder: only with it can reference rows be recomputed and the data be revealed.
    """
    content = pack_validation(data)
    if len(content) > MAX_VALIDATION_BYTES:
        raise InputError(f"The validation data take {len(content)} bytes; at most {MAX_VALIDATION_BYTES} are allowed.")
    cid = seal_validation(node, content, aggregator_key, owner)
    commitment = "0x" + keccak(content).hex()
    write_atomically(_path(node, commitment), content)
    return ValidationConfig(commitment=commitment, sealed_cid=cid, samples=len(data))


def seal_validation(node: Node, content: bytes, aggregator_key: bytes, owner: str) -> str:
    """Stores a validation file sealed to an aggregator's X25519 key; its CID."""
    context = node.context(Purpose.VALIDATION, job_id=0, party=owner)  # the job may have no number yet
    return put_bytes(node.storage, seal_bytes_to(aggregator_key, content, context))


def holds_validation(node: Node, spec: Spec) -> bool:
    """Whether the job's validation data are kept on this machine."""
    return spec.validation is not None and _path(node, spec.validation.commitment).is_file()


def kept_validation(node: Node, spec: Spec) -> bytes:
    """The validation file from the owner's home folder. Raises InputError, NotFound."""
    if spec.validation is None:
        raise InputError("This job has no validation data.")
    if not holds_validation(node, spec):
        raise NotFound("This job's validation data are not kept here: use the machine that the job was created on.")
    return read_within(_path(node, spec.validation.commitment), MAX_VALIDATION_BYTES)


def _path(node: Node, commitment: str) -> Path:
    return node.home / "validation" / f"{commitment}.safetensors"


@dataclass(frozen=True, slots=True)
class Revealed:
    """The committed validation data, and by round the CID of the plain rows file that came with them."""

    validation: Validation
    rows: dict[int, str]


def revealed(node: Node, history: JobHistory, spec: Spec) -> Revealed:
    """What the owner has revealed last that is what it committed to. Raises NotFound, CorruptContent, StorageError.

    An owner may reveal without end: of what it has revealed the latest REVEALS are looked at.
    """
    problem: MeritError = NotFound("The owner has not revealed the validation data.")
    for event in history.revealed[: -REVEALS - 1 : -1]:
        try:
            document = _reveal(node, event.cid)
            content = get_bytes(node.storage, document.validation_cid, max_bytes=MAX_VALIDATION_BYTES)
            return Revealed(unpack_validation(content, spec, fetch_program(node, spec)), document.rows)
        except (NotFound, StorageError) as error:
            problem = error
    raise problem


def _reveal(node: Node, cid: str) -> Reveal:
    try:
        return Reveal.model_validate_json(get_bytes(node.storage, cid, max_bytes=MAX_FILE_BYTES))
    except ValidationError as error:
        raise CorruptContent(f"What the owner revealed at {cid} is not valid: {explain(error)}.") from error


def open_validation(node: Node, created: JobCreated, spec: Spec, cid: str = "") -> Validation:
    """The aggregator's way to the validation data. Raises StorageError, CorruptContent.

    cid: of the file that is sealed to this aggregator; by default the one that the spec names.
    """
    if spec.validation is None:
        raise CorruptContent(f"Job {created.job_id} pays by reference, but its spec names no validation data.")
    context = node.context(Purpose.VALIDATION, job_id=0, party=created.owner)
    content = fetch_opened(
        node.storage,
        cid or spec.validation.sealed_cid,
        lambda source, sink: open_sealed(node.me.decryption_key, source, sink, context, MAX_VALIDATION_BYTES),
        max_bytes=MAX_VALIDATION_BYTES,
    )
    return unpack_validation(content, spec, fetch_program(node, spec))
