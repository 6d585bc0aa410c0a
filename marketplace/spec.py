"""A job as its owner writes it (`job.yaml`) and as it is published (the spec: JSON in storage, its CID on the chain).

`JobFile` is the YAML: the spec's content plus the money and deadlines, which become the on-chain Terms.
`Spec` is what trainers, aggregator and auditors read. Both refuse unknown fields.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from unicodedata import category

from eth_utils.address import is_checksum_address
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from marketplace.documents import MAX_FILE_BYTES, explain, parse_yaml
from marketplace.domain import MAX_TRAINERS, ZERO_ADDRESS, Rule, Terms
from marketplace.errors import CorruptContent, InputError
from marketplace.files import read_within
from marketplace.units import parse_amount, parse_duration, parse_wait
from trainer.config import DataSchema, ModelConfig, TrainingConfig, UpdateConfig

MOST_STRIKES = 255
MAX_VALIDATION_BYTES = 1 << 30
MIN_CHUNK = 2**10
MAX_DEFAULT_CHUNK = 2**17


def _checked_address(value: object) -> object:
    if not (isinstance(value, str) and is_checksum_address(value)):
        raise ValueError(f"{value!r} is not an address with a correct EIP-55 checksum")
    return value


Address = Annotated[str, BeforeValidator(_checked_address)]
Amount = Annotated[int, BeforeValidator(parse_amount)]
Duration = Annotated[int, BeforeValidator(parse_duration)]
Wait = Annotated[int, BeforeValidator(parse_wait)]
Key = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]


def _printable(text: str) -> str:
    """A stranger's text is shown on terminals, to which control characters are commands."""
    if any(category(c) == "Cc" and c not in "\n\t" for c in text):
        raise ValueError("a control character is in the text")
    return text


Text = Annotated[str, AfterValidator(_printable)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AggregatorConfig(_Strict):
    """The one account that may aggregate the job."""

    address: Address = Field(description="Its account.")
    encryption_key: Key = Field(description="Its X25519 public key, as `merit key show` prints it.")


class ServerRate(_Strict):
    """The server's step: model += rate · mean update."""

    initial: float = Field(default=1.0, gt=0, le=100, description="Rate of round 1.")
    decay: float = Field(default=1.0, gt=0, le=1, description="Factor from one round to the next.")

    def at(self, round: int) -> float:
        """The rate of a round (from 1): repeated float64 products, so that it is the same bits everywhere."""
        rate = self.initial
        for _ in range(round - 1):
            rate *= self.decay
        return rate


class MarketConfig(_Strict):
    """Money and deadlines; amounts are per round where not said otherwise."""

    token: Address | None = Field(default=None, description="ERC-20 to pay in; absent means the chain's coin.")
    reward: Amount = Field(gt=0, description="For the trainers of each round, e.g. '0.6 ether'.")
    fee: Amount = Field(default=0, description="For the aggregator of each settled round.")
    stake: Amount = Field(default=0, description="What a trainer deposits.")
    bond: Amount = Field(default=0, description="What the aggregator deposits.")
    aggregator: AggregatorConfig | None = Field(default=None, description="Absent means that anyone may aggregate.")
    rule: Literal["krum-cosine", "reference"] | None = Field(
        default=None, description="Pay rule; the default is reference with validation data, else krum-cosine."
    )
    rounds: int = Field(ge=1, le=1000, description="How many rounds.")
    min_trainers: int = Field(default=3, ge=1, le=MAX_TRAINERS, description="Needed to start.")
    max_trainers: int = Field(default=8, ge=1, le=MAX_TRAINERS, description="Seats.")
    max_faulty: int = Field(
        default=2, ge=0, le=MAX_TRAINERS - 1, description="Trainers assumed faulty, and the most unopened a round."
    )
    enrol_for: Duration = Field(default=86400, description="How long trainers can join, from creation, e.g. '1 d'.")
    submit_window: Duration = Field(default=3600, description="Submitting phase of each round.")
    settle_window: Duration = Field(default=3600, description="Settling phase of each round.")
    takeover_window: Wait = Field(
        default=0,
        description="How long, after an aggregator has failed, another that posts the bond may take over; 0 means that "
        "the job is aborted. It then sees the updates, and the owner's node seals validation data to it.",
    )
    max_missed: int = Field(default=3, ge=1, le=255, description="Missed submissions in a row that eject.")
    max_strikes: int | None = Field(
        default=None,
        ge=1,
        le=255,
        description="Rounds as an outlier that eject; 3 by default under reference, and never under krum-cosine, which "
        "leaves out honest trainers too.",
    )
    max_empty_rounds: int = Field(default=3, ge=1, le=255, description="Empty rounds in a row that abort the job.")
    slash_bps: int = Field(
        default=2000, ge=0, le=10_000, description="Part of the stake that ejection costs, in 1/10,000."
    )

    @property
    def escrow(self) -> int:
        """What creating the job takes from its owner, in the token's smallest unit."""
        return self.rounds * (self.reward + self.fee)

    @model_validator(mode="after")
    def _consistent(self) -> "MarketConfig":
        if self.min_trainers > self.max_trainers:
            raise ValueError(f"min_trainers is {self.min_trainers}, more than max_trainers, {self.max_trainers}")
        if self.max_faulty >= self.max_trainers:
            raise ValueError(f"max_faulty is {self.max_faulty}; it must be less than max_trainers, {self.max_trainers}")
        if self.rule == "reference" and self.aggregator is None:
            raise ValueError("rule 'reference' needs market.aggregator: the validation data are sealed to its key")
        return self


class ProofsConfig(_Strict):
    """The set-up that the job's rounds are proved with (docs/setups.md)."""

    chunk: int | None = Field(
        default=None,
        ge=MIN_CHUNK,
        le=2**20,
        description="Entries of an update that share a commitment, a power of two: larger ones cost the prover, "
        "smaller ones gas. By default the least one that holds the model, at most 131072.",
    )
    srs: Key | None = Field(
        default=None,
        description="Hash of the powers of τ, from `merit setup list`; by default made here, for development.",
    )
    key: Key | None = Field(
        default=None,
        description="Hash of the pay rule's key, from `merit setup list`; by default made here, for development.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "ProofsConfig":
        if self.chunk is not None and self.chunk & (self.chunk - 1):
            raise ValueError(f"chunk is {self.chunk}, which is no power of two")
        return self

    def chunk_for(self, d: int) -> int:
        """N for a model of d parameters."""
        return self.chunk or min(MAX_DEFAULT_CHUNK, max(MIN_CHUNK, 1 << (d - 1).bit_length()))


class JobFile(_Strict):
    """`job.yaml`."""

    name: Text = Field(min_length=1, max_length=100, description="Shown in lists.")
    description: Text = Field(default="", max_length=10_000, description="What the model is for and what data fit.")
    model: ModelConfig = Field(description="The architecture and its parameters.")
    data: DataSchema = Field(description="What trainers' data have to look like.")
    training: TrainingConfig = Field(description="How trainers train in a round.")
    update: UpdateConfig = Field(default=UpdateConfig(), description="How an update becomes integers.")
    server_rate: ServerRate = Field(default=ServerRate(), description="How far the model follows the mean update.")
    market: MarketConfig = Field(description="Money, deadlines, pay rule.")
    proofs: ProofsConfig = Field(default=ProofsConfig(), description="The set-up of its proofs.")


class ValidationConfig(_Strict):
    """The owner's committed validation data."""

    commitment: Key = Field(description="keccak256 of the validation file (it holds its own salt).")
    sealed_cid: str = Field(max_length=100, description="The file, sealed to the aggregator.")
    samples: int = Field(ge=1)


class PinnedFile(_Strict):
    """A file that is fetched from storage, and used only if it has this hash."""

    hash: Key = Field(description="keccak256 of the file.")
    cid: str = Field(max_length=100)


class ProofsSpec(_Strict):
    """What a job's rounds are proved with; the contracts that verify are in its terms."""

    chunk: int = Field(ge=MIN_CHUNK, le=2**20, description="N, the entries of a chunk.")
    srs: PinnedFile = Field(description="Powers of τ, to commit.")
    key: PinnedFile = Field(description="The proving key of the pay rule's circuit.")
    development: bool = Field(description="One of them was made by a single party, who could forge proofs.")


class Spec(_Strict):
    """What is published of a job."""

    format: Literal["merit/job/v1"] = "merit/job/v1"
    name: Text = Field(min_length=1, max_length=100)
    description: Text = Field(max_length=10_000)
    model: ModelConfig
    data: DataSchema
    training: TrainingConfig
    update: UpdateConfig
    server_rate: ServerRate
    base_cid: str = Field(max_length=100, description="Model file of round 1's base, public.")
    proofs: ProofsSpec
    validation: ValidationConfig | None

    @staticmethod
    def of(job: JobFile, *, base_cid: str, proofs: ProofsSpec, validation: ValidationConfig | None) -> "Spec":
        """What a job file publishes."""
        return Spec(
            name=job.name,
            description=job.description,
            model=job.model,
            data=job.data,
            training=job.training,
            update=job.update,
            server_rate=job.server_rate,
            base_cid=base_cid,
            proofs=proofs,
            validation=validation,
        )

    def to_bytes(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, UTF-8."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(data: bytes, *, where: str) -> "Spec":
        """Raises CorruptContent, naming `where`, when the bytes are not a spec."""
        if len(data) > MAX_FILE_BYTES:
            raise CorruptContent(f"The spec at {where} has {len(data)} bytes, more than {MAX_FILE_BYTES}.")
        try:
            return Spec.model_validate_json(data)
        except ValidationError as error:
            raise CorruptContent(f"The spec at {where} is not valid: {explain(error)}.") from error


def read_job_file(path: Path) -> JobFile:
    """Reads `job.yaml`. Raises InputError with one sentence that names its mistakes."""
    data = read_within(path, MAX_FILE_BYTES)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not YAML: {error}.") from error
    try:
        return JobFile.model_validate(parse_yaml(text, where=str(path)))
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}.") from error


@dataclass(frozen=True, slots=True)
class VerifierTerms:
    """The contracts that check a job's proofs, and the hashes (32 bytes) of what they check with."""

    gram_verifier: str
    gram_key: bytes
    decision_verifier: str
    decision_key: bytes


def terms_of(job: JobFile, *, rule: Rule, now: int, verifiers: VerifierTerms) -> Terms:
    """The on-chain terms of a job created at Unix time `now`."""
    market = job.market
    return Terms(
        token=market.token or ZERO_ADDRESS,
        reward=market.reward,
        fee=market.fee,
        stake=market.stake,
        bond=market.bond,
        aggregator=market.aggregator.address if market.aggregator else ZERO_ADDRESS,
        enrol_by=now + market.enrol_for,
        submit_window=market.submit_window,
        settle_window=market.settle_window,
        takeover_window=market.takeover_window,
        rule=rule,
        rounds=market.rounds,
        min_trainers=market.min_trainers,
        max_trainers=market.max_trainers,
        max_faulty=market.max_faulty,
        max_missed=market.max_missed,
        max_strikes=market.max_strikes or (3 if rule is Rule.REFERENCE else MOST_STRIKES),
        max_empty_rounds=market.max_empty_rounds,
        slash_bps=market.slash_bps,
        gram_verifier=verifiers.gram_verifier,
        gram_key=verifiers.gram_key,
        decision_verifier=verifiers.decision_verifier,
        decision_key=verifiers.decision_key,
    )
