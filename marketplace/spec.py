"""A job as its owner writes it (`job.yaml`) and as it is published (the spec: JSON in storage, its CID on the chain).

`JobFile` is the YAML: the spec's content plus the money and deadlines, which become the on-chain Terms.
`Spec` is what trainers, aggregator and auditors read. Both refuse unknown fields.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from unicodedata import category

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from aggregator.points import DECAY_BITS, RATE_BITS
from marketplace.addresses import parse_address
from marketplace.documents import MAX_FILE_BYTES, canonical_json, explain, parse_yaml
from marketplace.domain import MAX_TRAINERS, ZERO_ADDRESS, Rule, Terms
from marketplace.errors import CorruptContent, InputError
from marketplace.files import read_within
from marketplace.units import parse_amount, parse_duration, parse_token_amount, parse_wait
from trainer.config import (
    MAX_CLIP,
    MIN_KEPT,
    MIN_STEP,
    DataSchema,
    ModelConfig,
    TaskConfig,
    TrainingConfig,
    UpdateConfig,
    named_files,
    task_for,
)
from zk.encoding import MAX_ENTRIES

MAX_VALIDATION_BYTES = 1 << 30
MAX_SERVER_RATE = 100.0
MAX_MOMENTUM = 0.95
"""The server's: no step is added up to more than 20 times its length."""
MIN_CHUNK = 2**10
MAX_CHUNK = 2**20
MAX_DEFAULT_CHUNK = 2**17
FEES_IN_BOND = 10  # what the default policy of an aggregator accepts (docs/aggregator-policy.md)


Decimals = Callable[[str], int | None]
"""How many decimals the token at an address has; None where it does not say. May raise ChainError."""


def _amount(value: int | str, info: ValidationInfo) -> int:
    """In the smallest unit of what the job pays in: `token` is the field before, and `coin` is none."""
    token = info.data.get("token")
    if token in (None, "coin"):
        return parse_amount(value)
    decimals: Decimals | None = (info.context or {}).get("decimals")
    return parse_token_amount(value, lambda: decimals(token) if decimals else None)


Address = Annotated[str, BeforeValidator(parse_address)]
Amount = Annotated[int, BeforeValidator(_amount)]
Duration = Annotated[int, BeforeValidator(parse_duration)]
Wait = Annotated[int, BeforeValidator(parse_wait)]
Never = Annotated[int, BeforeValidator(lambda value: 0 if value == "never" else parse_wait(value))]
Key = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]


def _printable(text: str) -> str:
    """A stranger's text is shown on terminals, to which control characters are commands."""
    if any(category(c) == "Cc" and c not in "\n\t" for c in text):
        raise ValueError("a control character is in the text")
    return text


Text = Annotated[str, AfterValidator(_printable)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AggregatorConfig(_Strict):
    """The one account that may aggregate the job."""

    address: Address = Field(description="Its account.")
    encryption_key: Key = Field(description="Its X25519 public key, as `merit key show` prints it.")


class ServerRate(_Strict):
    """The server's step: model += rate · mean update. With momentum the next round starts ahead of the model."""

    initial: float = Field(default=1.0, ge=MIN_STEP, le=MAX_SERVER_RATE, description="Rate of round 1.")
    decay: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Factor from one round to the next; the last round's rate must not fall below 2^-40.",
    )
    momentum: float = Field(
        default=0.0,
        ge=0,
        le=MAX_MOMENTUM,
        description="Nesterov's: the next round starts from the model plus this part of its last change. With 0.5 to "
        "0.7 fewer rounds do, and somewhat more updates of honest trainers are left out.",
    )

    @property
    def fixed(self) -> tuple[int, int]:
        """Initial rate and decay as the terms have them, in units of 2^-40 and of 2^-32."""
        return round(self.initial * 2**RATE_BITS), max(1, round(self.decay * 2**DECAY_BITS))


def _aggregator(value: object) -> object:
    if value is None:
        raise ValueError("name the account that may aggregate, or write `aggregator: anyone`")
    return None if value == "anyone" else value


def _who(aggregator: AggregatorConfig | None) -> object:
    return "anyone" if aggregator is None else aggregator.model_dump(mode="json")


Given = dict[str, int]
"""The fields of a market above the one that has no value, all of them good; only numbers are read."""


def _of_reward(given: Given, parts: int, of: int) -> int:
    """`parts` / `of` of a round's reward, rounded up: never nothing, however few decimals a token has."""
    return -(-given["reward"] * parts // of)


def _equal_part(given: Given) -> int:
    return _of_reward(given, 1, given["min_trainers"])


def _bond(given: Given) -> int:
    """As much as the aggregator and those in league with it can gain by a lie that is disputed, or by silence.

    f + 1 of n trainers who are given points by false rows get an equal part each of the pot of all rounds; where the
    aggregator fails in the end they get (f + 1) / n of its bond back too. pot · (f + 1) / (n − f − 1) takes back both.
    An owner in league with it saves a round's reward where it fails in the last (docs/security/griefing.md, theft.md).
    """
    liars = given["max_faulty"] + 1
    return max(given["reward"], _of_reward(given, given["rounds"] * liars, max(1, given["min_trainers"] - liars)))


def _fee(given: Given) -> int:
    return -(-_bond(given) // (FEES_IN_BOND * given["rounds"]))


class MarketConfig(_Strict):
    """Money and deadlines; amounts are per round where not said otherwise."""

    token: Address | None = Field(default=None, description="ERC-20 to pay in; absent means the chain's coin.")
    aggregator: Annotated[AggregatorConfig | None, BeforeValidator(_aggregator), PlainSerializer(_who)] = Field(
        description="The one account that may aggregate, or `anyone`."
    )
    gate: Literal["owner"] | Address | None = Field(
        default=None,
        description="The account that invites the trainers, or `owner`: it takes its ticket (`merit job invite`) to "
        "join. By default anybody can, in as many seats as there are. An owner that is the gate can invite itself.",
    )
    rule: Literal["krum-cosine", "reference"] | None = Field(
        default=None, description="Pay rule; the default is reference with validation data, else krum-cosine."
    )
    rounds: int = Field(ge=1, le=1000, description="How many rounds.")
    min_rounds: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="From this round on the owner may end the job; by default the last one.",
    )
    min_trainers: int = Field(default=3, ge=1, le=MAX_TRAINERS, description="Enough to start when enrolment ends.")
    max_trainers: int = Field(default=3, ge=1, le=MAX_TRAINERS, description="Seats; once all are taken it starts.")
    max_faulty: int = Field(
        default=0,
        ge=0,
        le=(MAX_TRAINERS - 3) // 2,
        description="f: trainers assumed faulty; unless it is 0, min_trainers is at least 2f + 3.",
    )
    reward: Amount = Field(
        gt=0,
        description="For the trainers of each round, e.g. '0.6 ether'; with `token`, '5 tokens' or its smallest units.",
    )
    stake: Amount = Field(
        default_factory=_equal_part,
        description="What a trainer deposits; by default reward / min_trainers, an equal part of a round's reward.",
    )
    bond: Amount = Field(
        default_factory=_bond,
        description="What the aggregator deposits; by default rounds · reward · (f + 1) / (min_trainers − f − 1), with "
        "f = max_faulty, or a round's reward where that is more: as much as a lie could bring to a league of it, owner "
        "and f + 1 trainers.",
    )
    fee: Amount = Field(
        default_factory=_fee,
        description="For the aggregator of each settled round, paid when the job is over; by default so much that "
        f"the default bond is {FEES_IN_BOND} times the fees of all rounds.",
    )
    enrol_for: Duration = Field(default=86400, description="How long trainers can join, from creation, e.g. '1 d'.")
    start_delay: Wait = Field(
        default=60,
        description="How long after the last join anybody but the owner has to wait before starting it: time to see "
        "who has taken the seats.",
    )
    submit_window: Duration = Field(default=3600, description="Submitting phase of each round.")
    settle_window: Duration = Field(
        default=3600,
        description="Settling phase of each round. What opens updates is delivered at its beginning, and waited for "
        "during half of it.",
    )
    takeover_window: Wait = Field(
        default=0,
        description="How long, after an aggregator has failed, another that posts the bond may take over; 0 means that "
        "the job is aborted. It then sees the updates, and the owner's node seals validation data to it.",
    )
    confirm_window: Duration = Field(
        default=3600,
        description="How long, after the last round, trainers can dispute what the job has left them with. Under "
        "reference, let it be enough to recompute two gradients of the validation loss for each round.",
    )
    reveal_window: Never | None = Field(
        default=None,
        description="Under reference, the part of it in which the validation data are shown to all members, who then "
        "recompute what points rest on; by default half. Every member can keep a copy. `never`: points rest on the "
        "aggregator's word alone.",
    )
    max_missed: int = Field(default=3, ge=1, le=255, description="Missed submissions in a row that eject.")
    max_strikes: int = Field(
        default=3,
        ge=1,
        le=255,
        description="So many strikes in the whole job cost `slash_bps` of the stake at its end. A strike is an update "
        "that is zero or, under reference, points clearly away from where the validation data say.",
    )
    max_voids: int = Field(
        default=3,
        ge=0,
        le=255,
        description="How often, in the whole job, updates that do not open are asked for again; the next time ends it.",
    )
    max_empty_rounds: int = Field(default=3, ge=1, le=255, description="Empty rounds in a row that abort the job.")
    slash_bps: int = Field(
        default=2000,
        ge=0,
        le=10_000,
        description="Part of the stake that ejection, or max_strikes strikes, cost, in 1/10,000.",
    )

    def revealing(self, rule: Rule) -> int:
        """The term `revealWindow` of a job that pays by `rule`, in seconds. Raises InputError where no time is left."""
        if rule is not Rule.REFERENCE:
            return 0
        if self.reveal_window is not None:
            return self.reveal_window
        if self.confirm_window < 2:
            raise InputError("A market.confirm_window of 1 s leaves no time to reveal: make it longer.")
        return self.confirm_window // 2

    @property
    def escrow(self) -> int:
        """What creating the job takes from its owner, in the token's smallest unit."""
        return self.rounds * (self.reward + self.fee)

    @model_validator(mode="after")
    def _consistent(self) -> "MarketConfig":
        if self.min_trainers > self.max_trainers:
            raise ValueError(f"min_trainers is {self.min_trainers}, more than max_trainers, {self.max_trainers}")
        if self.reward < self.max_trainers:
            raise ValueError(
                f"reward is {self.reward} of the smallest unit, less than one for each of max_trainers, "
                f"{self.max_trainers}: an equal part of it would be nothing"
            )
        if self.min_rounds is not None and self.min_rounds > self.rounds:
            raise ValueError(f"min_rounds is {self.min_rounds}, more than rounds, {self.rounds}")
        if self.max_faulty and self.min_trainers < (least := 2 * self.max_faulty + 3):
            raise ValueError(
                f"max_faulty is {self.max_faulty}, which takes min_trainers of {least} or more, not {self.min_trainers}"
            )
        if (self.reveal_window or 0) >= self.confirm_window:
            raise ValueError(
                f"reveal_window is {self.reveal_window} s, not less than confirm_window, {self.confirm_window} s"
            )
        if self.rule == "krum-cosine" and self.reveal_window:
            raise ValueError("rule 'krum-cosine' has nothing to reveal: leave market.reveal_window out")
        if self.rule == "reference" and self.aggregator is None:
            raise ValueError("rule 'reference' needs market.aggregator: the validation data are sealed to its key")
        return self


def _power_of_two(chunk: int | None) -> int | None:
    if chunk is not None and chunk & (chunk - 1):
        raise ValueError(f"chunk is {chunk}, which is not a power of two")
    return chunk


class ProofsConfig(_Strict):
    """The set-up that the job's rounds are proved with (docs/setups.md)."""

    chunk: int | None = Field(
        default=None,
        ge=MIN_CHUNK,
        le=MAX_CHUNK,
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

    _power = field_validator("chunk")(_power_of_two)

    def chunk_for(self, d: int) -> int:
        """N for a model of d parameters."""
        return self.chunk or min(MAX_DEFAULT_CHUNK, max(MIN_CHUNK, 1 << (d - 1).bit_length()))


class JobFile(_Strict):
    """`job.yaml`."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    name: Text = Field(min_length=1, max_length=100, description="Shown in lists.")
    description: Text = Field(default="", max_length=10_000, description="What the model is for and what data fit.")
    model: ModelConfig = Field(description="The architecture and its parameters.")
    data: DataSchema = Field(description="What trainers' data have to look like.")
    task: TaskConfig | None = Field(default=None, description="What is learned; by default what the target is for.")
    continued: int | None = Field(
        default=None, ge=1, alias="continue", description="Number of a job whose final model this one starts from."
    )
    training: TrainingConfig = Field(description="How trainers train in a round.")
    update: UpdateConfig = Field(default=UpdateConfig(), description="How an update becomes integers.")
    server_rate: ServerRate = Field(default=ServerRate(), description="How far the model follows the mean update.")
    market: MarketConfig = Field(description="Money, deadlines, pay rule.")
    proofs: ProofsConfig = Field(default=ProofsConfig(), description="The set-up of its proofs.")

    @property
    def judged(self) -> TaskConfig:
        """The task, named or not."""
        return self.task or task_for(self.data)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that it needs beside itself."""
        return named_files(self.model, self.data)

    def rule(self, *, validated: bool) -> Rule:
        """By what it pays. validated: whether its owner has validation data."""
        named = self.market.rule or ("reference" if validated else "krum-cosine")
        return Rule.REFERENCE if named == "reference" else Rule.KRUM_COSINE


class ValidationConfig(_Strict):
    """The owner's committed validation data."""

    commitment: Key = Field(description="keccak256 of the validation file (it holds its own salt).")
    sealed_cid: str = Field(max_length=100, description="The file, sealed to the aggregator.")
    samples: int = Field(ge=1, le=MAX_VALIDATION_BYTES)


class PinnedFile(_Strict):
    """A file that is fetched from storage, and used only if it has this hash."""

    hash: Key = Field(description="keccak256 of the file.")
    cid: str = Field(max_length=100)


class ProofsSpec(_Strict):
    """What a job's rounds are proved with; the contracts that verify are in its terms."""

    chunk: int = Field(ge=MIN_CHUNK, le=MAX_CHUNK, description="N, the entries of a chunk, a power of two.")
    srs: PinnedFile = Field(description="Powers of τ, to commit.")
    key: PinnedFile = Field(description="The proving key of the pay rule's circuit.")
    development: bool = Field(description="One of them was made by a single party, who could forge proofs.")

    _power = field_validator("chunk")(_power_of_two)


class Spec(_Strict):
    """What is published of a job beside its terms, which have the server's rate and the scale of updates too."""

    format: Literal["merit/job/v4"] = "merit/job/v4"
    name: Text = Field(min_length=1, max_length=100)
    description: Text = Field(max_length=10_000)
    model: ModelConfig
    parameters: int = Field(ge=1, le=MAX_ENTRIES, description="d, how many numbers are trained.")
    data: DataSchema
    task: TaskConfig
    files: dict[str, PinnedFile] = Field(max_length=16, description="What model and data name, by those names.")
    frozen: PinnedFile | None = Field(description="Values of the model that no round changes, where it has any.")
    training: TrainingConfig
    clip: float | None = Field(ge=MIN_STEP, le=MAX_CLIP, description="Largest L2 norm of an update.")
    bits: Literal[16, 8, 4] = Field(description="Of an update's entry, as it is sent.")
    keep: float = Field(ge=MIN_KEPT, le=1, description="The part of an update's entries that is sent.")
    momentum: float = Field(ge=0, le=MAX_MOMENTUM, description="The server's: how far ahead of the model rounds start.")
    base_cid: str = Field(max_length=100, description="Model file of round 1's base, public.")
    proofs: ProofsSpec
    validation: ValidationConfig | None

    @staticmethod
    def of(
        job: JobFile,
        *,
        parameters: int,
        files: dict[str, PinnedFile],
        frozen: PinnedFile | None = None,
        base_cid: str,
        proofs: ProofsSpec,
        validation: ValidationConfig | None,
    ) -> "Spec":
        """What a job file publishes."""
        return Spec(
            name=job.name,
            description=job.description,
            model=job.model,
            parameters=parameters,
            data=job.data,
            task=job.judged,
            files=files,
            frozen=frozen,
            training=job.training,
            clip=job.update.clip,
            bits=job.update.bits,
            keep=job.update.keep,
            momentum=job.server_rate.momentum,
            base_cid=base_cid,
            proofs=proofs,
            validation=validation,
        )

    @model_validator(mode="after")
    def _named(self) -> "Spec":
        if set(self.files) != set(named_files(self.model, self.data)):
            raise ValueError(f"files {sorted(self.files)} are not those that model and data name")
        return self

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical_json(self)

    @staticmethod
    def from_bytes(data: bytes, *, where: str) -> "Spec":
        """Raises CorruptContent, naming `where`, when the bytes are not a spec."""
        if len(data) > MAX_FILE_BYTES:
            raise CorruptContent(f"The spec at {where} has {len(data)} bytes, more than {MAX_FILE_BYTES}.")
        try:
            return Spec.model_validate_json(data)
        except ValidationError as error:
            raise CorruptContent(f"The spec at {where} is not valid: {explain(error)}.") from error


def read_job_file(path: Path, decimals: Decimals | None = None) -> JobFile:
    """Reads `job.yaml`. Raises InputError with one sentence that names its mistakes.

    decimals: reads amounts such as '5 tokens' of a job that pays in a token; without it they are refused.
    """
    data = read_within(path, MAX_FILE_BYTES)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not YAML: {error}.") from error
    return job_of(parse_yaml(text, where=str(path)), where=str(path), decimals=decimals)


def job_of(document: object, *, where: str, decimals: Decimals | None = None) -> JobFile:
    """The same from plain values. Raises InputError, which begins with `where`."""
    try:
        return JobFile.model_validate(document, context={"decimals": decimals})
    except ValidationError as error:
        raise InputError(f"{where}: {explain(error)}.") from error


@dataclass(frozen=True, slots=True)
class VerifierTerms:
    """The contracts that check a job's proofs, and the hashes (32 bytes) of what they check with."""

    gram_verifier: str
    gram_key: bytes
    decision_verifier: str
    decision_key: bytes


def terms_of(job: JobFile, *, owner: str, rule: Rule, now: int, verifiers: VerifierTerms) -> Terms:
    """The on-chain terms of a job that `owner`'s account creates at Unix time `now`."""
    market = job.market
    rate, rate_decay = job.server_rate.fixed
    return Terms(
        token=market.token or ZERO_ADDRESS,
        reward=market.reward,
        fee=market.fee,
        stake=market.stake,
        bond=market.bond,
        aggregator=market.aggregator.address if market.aggregator else ZERO_ADDRESS,
        gate=owner if market.gate == "owner" else market.gate or ZERO_ADDRESS,
        enrol_by=now + market.enrol_for,
        start_delay=market.start_delay,
        submit_window=market.submit_window,
        settle_window=market.settle_window,
        takeover_window=market.takeover_window,
        confirm_window=market.confirm_window,
        reveal_window=market.revealing(rule),
        rule=rule,
        rounds=market.rounds,
        min_rounds=market.min_rounds or market.rounds,
        rate=rate,
        rate_decay=rate_decay,
        scale_exponent=job.update.exponent,
        min_trainers=market.min_trainers,
        max_trainers=market.max_trainers,
        max_faulty=market.max_faulty,
        max_missed=market.max_missed,
        max_strikes=market.max_strikes,
        max_empty_rounds=market.max_empty_rounds,
        max_voids=market.max_voids,
        slash_bps=market.slash_bps,
        gram_verifier=verifiers.gram_verifier,
        gram_key=verifiers.gram_key,
        decision_verifier=verifiers.decision_verifier,
        decision_key=verifiers.decision_key,
    )
