"""The owner's validation data: committed when the job is created, sealed to the aggregator, revealed at the end.

The file is 32 random bytes, the salt, and then a safetensors file of "x" float32[n, …] and "y" int64[n], before any
normalisation. The commitment is the keccak256 of the whole, so data that could be guessed stay hidden.
"""

import os
from dataclasses import dataclass

import torch
from eth_utils.crypto import keccak
from pydantic import BaseModel, ConfigDict

from marketplace.domain import JobCreated
from marketplace.errors import CorruptContent, InputError
from marketplace.keys.sealing import Purpose, open_sealed, seal_bytes_to
from marketplace.services.node import Node, fetch_opened
from marketplace.spec import MAX_VALIDATION_BYTES, Spec, ValidationConfig
from marketplace.storage import put_bytes
from trainer import data as datasets
from trainer.config import DataSchema
from trainer.data import Dataset, from_safetensors, normalise, to_safetensors
from trainer.models import build, load_flat
from trainer.train import evaluate, loss_gradient
from zk.encoding import SALT_BYTES, Float32s


@dataclass(frozen=True, slots=True)
class Validation:
    """Opened validation data with the job's model, ready to be asked."""

    data: Dataset
    module: torch.nn.Module

    def gradient(self, parameters: Float32s) -> Float32s:
        """The gradient float32[d] of the mean validation loss at `parameters` float32[d]."""
        load_flat(self.module, parameters)
        return loss_gradient(self.module, self.data)

    def evaluate(self, parameters: Float32s) -> tuple[float, float]:
        """(mean loss, accuracy in 0 … 1) of the model with these parameters."""
        load_flat(self.module, parameters)
        return evaluate(self.module, self.data)


class Reveal(BaseModel):
    """What the owner publishes at the end, so that every auditor can repeat the reference rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    validation_cid: str
    rows: dict[int, str]  # round → CID of the plain rows file


def read_data(source: str, schema: DataSchema) -> Dataset:
    """Data as they are in their source, checked against a job's schema. Raises InputError."""
    try:
        return datasets.read(source, schema)
    except ValueError as error:
        raise InputError(f"The data do not fit: {error}.") from error


def pack_validation(data: Dataset) -> bytes:
    """The validation file of a data set as `trainer.data.read` gives it, with a fresh salt."""
    return os.urandom(SALT_BYTES) + to_safetensors(data)


def unpack_validation(content: bytes, spec: Spec) -> Validation:
    """Checks the file against the spec's commitment and data schema. Raises InputError, CorruptContent."""
    if spec.validation is None:
        raise InputError("This job has no validation data.")
    if "0x" + keccak(content).hex() != spec.validation.commitment:
        raise CorruptContent("The validation data are not those that the owner committed to.")
    try:
        data = from_safetensors(content[SALT_BYTES:], spec.data, "the committed validation data")
    except ValueError as error:
        raise CorruptContent(f"{error}.") from error
    return Validation(normalise(data, spec.data), build(spec.model))


def publish_validation(node: Node, content: bytes, samples: int, aggregator_key: bytes) -> ValidationConfig:
    """Seals the validation file to the aggregator's X25519 key and stores it; what the spec says of it.

    The seal names the owner, so that nobody else's job can make the aggregator answer questions about these data.
    """
    if len(content) > MAX_VALIDATION_BYTES:
        raise InputError(f"The validation data take {len(content)} bytes; at most {MAX_VALIDATION_BYTES} are allowed.")
    context = node.context(Purpose.VALIDATION, job_id=0, party=node.me.address)  # the job has no number yet
    cid = put_bytes(node.storage, seal_bytes_to(aggregator_key, content, context))
    return ValidationConfig(commitment="0x" + keccak(content).hex(), sealed_cid=cid, samples=samples)


def open_validation(node: Node, created: JobCreated, spec: Spec) -> Validation:
    """The aggregator's way to the validation data. Raises StorageError, CorruptContent."""
    if spec.validation is None:
        raise CorruptContent(f"Job {created.job_id} pays by reference, but its spec names no validation data.")
    context = node.context(Purpose.VALIDATION, job_id=0, party=created.owner)
    content = fetch_opened(
        node.storage,
        spec.validation.sealed_cid,
        lambda source, sink: open_sealed(node.me.decryption_key, source, sink, context, MAX_VALIDATION_BYTES),
        max_bytes=MAX_VALIDATION_BYTES,
    )
    return unpack_validation(content, spec)
