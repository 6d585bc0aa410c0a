"""What the API takes and gives where a node acts, or shows what is on its machine. Conventions as in models.py."""

from typing import Any, Literal

from pydantic import Field, ValidationError

from marketplace.api.models import Address, Amount, Hash, Model, RuleName, TrainerStatus
from marketplace.documents import explain
from marketplace.errors import InputError
from marketplace.services.invitations import MOST_VALID, VALID_FOR
from marketplace.tickets import MAX_TEXT
from trainer.data.options import DataOptions, Encoding


class LocalFacts(Model):
    """Of this machine; needs the token."""

    folders: list[str] = Field(description="The folders whose data may be used.")
    devices: list[str] = Field(examples=[["cuda", "cpu"]])
    balance: Amount = Field(description="The node's own coin, wei.")


class DataEntry(Model):
    source: str = Field(description="What to give as `data`.")
    name: str = Field(description="Within its folder: what a job can call it as one of its files.")
    kind: Literal["built-in", "file", "folder"]
    bytes: int | None = None


class Done(Model):
    """A mined transaction. gas: null where the chain's node does not say what it used."""

    transaction: str
    block: int
    gas: int | None


class SentFacts(Model):
    """Something that this node sends, or has sent, with its own key because its user asked for it."""

    number: int = Field(description="Grows, over restarts too.")
    text: str = Field(examples=["Create the job “Digits”"])
    job_id: int | None = Field(description="The job that it is about, or has created.")
    since: float = Field(description="When it was asked for, by the node's own clock.")
    state: Literal["working", "unsure", "done", "failed"] = Field(
        description="unsure: it was sent, and was not seen in a block in time; it may still come into one."
    )
    transaction: str | None
    block: int | None
    problem: str | None = Field(description="Why it failed, or what is not known of it.")


class Reading(Model):
    """What differs between files of data, and is for who has them to say (docs/data.md)."""

    map: dict[str, str] = Field(default_factory=dict, max_length=2**10, examples=[{"age": "Alter"}])
    missing: Literal["error", "drop", "mean"] = "error"
    decimal: Literal[".", ","] = "."
    separator: Literal[",", ";", "\t", "|"] | None = None
    encoding: Encoding | None = None
    skip_bad: bool = False
    background: Literal["white", "black"] | None = None
    void: int | None = Field(default=None, ge=0, le=2**16)

    def options(self) -> DataOptions:
        """Raises InputError where two of them do not go together."""
        try:
            return DataOptions.model_validate(self.model_dump())
        except ValidationError as error:
            raise InputError(f"The data cannot be read so: {explain(error)}.") from error


class JoinRequest(Model):
    job_id: int = Field(ge=1, lt=2**63, examples=[7])
    data: str = Field(min_length=1, max_length=4096, examples=["digits", "/home/ann/data/scans"])
    reading: Reading = Reading()
    payee: Address | None = Field(default=None, description="Where pay and stake go; the node's own key by default.")
    ticket: str = Field(default="", max_length=MAX_TEXT, description="Of a job by invitation: what its gate gave.")
    device: Literal["", "cuda", "mps", "cpu"] = Field(default="", description="The best there is by default.")
    seed: int = Field(default=0, ge=0, lt=2**63)


class InviteRequest(Model):
    operator: Address = Field(description="The account that is to join: a trainer's node has its own.")
    valid_for: int = Field(default=VALID_FOR, ge=1, le=MOST_VALID, description="Seconds from now.")


class Invitation(Model):
    ticket: str = Field(description="Only the operator can join by it.")
    operator: str
    expiry: int = Field(description="The last second in which it is good, by the chain's clock.")


class LossPoint(Model):
    round: int
    done: float = Field(description="Part of the round's training that is done, 0 … 1.")
    loss: float


class RoundResult(Model):
    round: int
    loss: float
    seconds: float


class LocalTrainer(Model):
    job_id: int
    status: TrainerStatus
    data: str
    payee: str
    device: str
    seed: int
    text: str = Field(description="What it did last.")
    round: int
    done: float | None = Field(description="Part of the round's training that is done; null when it is not training.")
    problem: str | None
    losses: list[LossPoint] = Field(description="The latest 500.")
    results: list[RoundResult]


class SampleRequest(Model):
    data: str = Field(default="digits", min_length=1, max_length=4096)


class DataCheckRequest(Model):
    """Of a job, or of one that is not created yet: its document."""

    job_id: int | None = Field(default=None, ge=1, lt=2**63)
    document: dict[str, Any] | None = None
    data: str = Field(min_length=1, max_length=4096)
    reading: Reading = Reading()


class RangeFacts(Model):
    lowest: float
    highest: float
    mean: float
    minimum: float = Field(description="That the job allows.")
    maximum: float
    unusual: bool = Field(description="The mean is far from the one that the job states.")


class DataReport(Model):
    """What is in the data, as `merit data check` says it."""

    samples: int
    classes: dict[str, int] = Field(description="Samples by class, or yeses by label.")
    categories: dict[str, dict[str, int]] = Field(description="Samples by value, by feature.")
    ranges: dict[str, RangeFacts] = Field(description="By feature or target.")
    missing: dict[str, int] = Field(description="Gaps by column.")
    dropped: int = Field(description="Samples left out.")
    ignored_columns: list[str]
    ignored_files: list[str]
    bad: dict[str, str] = Field(description="Files left out, and why.")
    remarks: dict[str, int] = Field(description="What else was met, and how often.")


class PictureFacts(Model):
    channels: int
    height: int
    width: int
    pixels: list[int] = Field(description="0 … 255, by channel, row, column; a side has 64 at most.")


class DataSample(Model):
    cells: dict[str, str] = Field(description="Each feature and target in words.")
    picture: PictureFacts | None = Field(description="Of the first image.")


class DataCheck(Model):
    """report and samples never leave this machine: they are shown to loopback with the token only."""

    fits: bool
    problem: str | None = Field(
        description="Why they do not: file, row and column.",
        examples=["The data do not fit: patients.csv: row 7, column 'age': a number is expected, 'n/a' was found."],
    )
    report: DataReport | None
    samples: list[DataSample]


class ColumnsRequest(Model):
    data: str = Field(min_length=1, max_length=4096)
    reading: Reading = Reading()


class NumberFacts(Model):
    lowest: float
    highest: float
    mean: float
    std: float
    whole: bool = Field(description="All are whole numbers.")


class ColumnFacts(Model):
    name: str
    gaps: int = Field(description="Cells without a value.")
    numbers: NumberFacts | None = Field(description="null where a cell is no number.")
    names: list[str] | None = Field(description="The different texts; null where they are too many for categories.")


class TableFacts(Model):
    """A table that no job describes yet. Never leaves this machine."""

    columns: list[ColumnFacts]
    rows: int = Field(description="So many were looked at.")


class WithdrawRequest(Model):
    token: Address = Field(default="0x0000000000000000000000000000000000000000")


class FundRequest(Model):
    address: Address


class JobRequest(Model):
    """A job as its YAML says it: a document, or the YAML's text."""

    document: dict[str, Any] | None = None
    yaml: str | None = Field(default=None, max_length=262_144)


class JobPreview(Model):
    yaml: str = Field(description="The same job as a file for `merit job create`.")
    document: dict[str, Any] = Field(description="The same as JSON; amounts are texts in the smallest unit.")
    parameters: int = Field(description="Of the model.")
    escrow: Amount = Field(description="What creating the job takes: rounds × (reward + fee).")
    escrow_text: str = Field(examples=["3.1 ether"])
    token: str
    rule: RuleName


class PrepareRequest(JobRequest):
    """owner: the wallet that will create the job. encryption_key: to seal the job key to; the node's by default."""

    owner: Address
    encryption_key: Hash | None = None
    validation: str | None = Field(default=None, max_length=4096, description="The owner's held-out data.")
    reading: Reading = Field(default=Reading(), description="Of these data.")


class UnsignedCall(Model):
    """A transaction for a wallet to send, in this order."""

    text: str = Field(examples=["Create the job"])
    to: str
    data: str
    value: Amount


class PreparedJob(Model):
    preview: JobPreview
    spec_cid: str
    calls: list[UnsignedCall]


class CreateRequest(JobRequest):
    """Creates the job with the node's own key."""

    validation: str | None = Field(default=None, max_length=4096)
    reading: Reading = Reading()


class CreatedJob(Model):
    job_id: int
    transaction: str
    block: int
    spec_cid: str
    escrow: Amount


class Architecture(Model):
    name: str
    parameters: dict[str, Any] = Field(description="JSON Schema of its parameters.")


class Stored(Model):
    cid: str
    bytes: int


# ---------------------------------------------------------------- what this node holds


class SetupEntry(Model):
    """A set-up (`srs`: what updates are committed with) or a proving key of a pay rule's circuit."""

    hash: Hash = Field(
        description="For `proofs.srs` or `proofs.key` of a job.",
        examples=["0x2c5a1f0b1f6f4a9d8f3f0d5b6a7c8e9f00112233445566778899aabbccddeeff"],
    )
    what: Literal["srs", "key"]
    development: bool = Field(description="Made by a single party, who could forge proofs.")
    chunk: int | None = Field(description="Of a set-up: for `proofs.chunk`.", examples=[16384])
    rule: RuleName | None = Field(description="Of a key.")
    seats: int | None = Field(description="Of a key: the most trainers that it serves.", examples=[8])
    bytes: int = Field(description="The file's size.", examples=[1048704])


class OwnPart(Model):
    """What this node could do with a job."""

    owner: bool = Field(description="The node's own key created the job.")
    job_key: bool = Field(description="The node's key opens the job's models.")
    validation: bool = Field(description="The owner's validation data are kept on this machine.")
    can_reveal: bool = Field(description="They are, and the job is over.")
    can_reveal_to_members: bool = Field(description="They are, and the job confirms and waits for them.")
    can_hand_over: bool = Field(
        description="An aggregator that has taken over waits for the owner, and what it waits for is on this machine."
    )


class RoundScore(Model):
    round: int = Field(description="0: the base model.", examples=[1])
    loss: float = Field(examples=[0.41])
    value: float | None = Field(description="Of the metric; none where it cannot be computed.", examples=[0.87])


class JobScores(Model):
    metric: str = Field(description="The job's main metric; loss where it has no other.", examples=["accuracy"])
    share: bool = Field(description="Its values are parts of one, which people read in percent.")
    rounds: list[RoundScore] = Field(description="Those that can be known, in order.")
    source: Literal["kept", "revealed"] | None = Field(description="Of the validation data.")
    problem: str = Field(
        description="Why there are not all, or none; else empty.",
        examples=["The owner has not revealed the validation data, and they are not kept here."],
    )


class PreparedAnnouncement(Model):
    cid: str = Field(description="What was put into storage, for the owner to announce.")
    calls: list[UnsignedCall]


# ---------------------------------------------------------------- the node's aggregator, and what is in trouble


class RequestEntry(Model):
    """A job that names this node's aggregator."""

    job_id: int = Field(examples=[7])
    owner: str
    name: str | None = Field(description="From the description; null until that could be read.")
    bond: Amount
    fee: Amount = Field(description="Of a round.")
    reward: Amount = Field(description="Of a round.")
    token: str = Field(description="The zero address means the chain's coin.")
    rounds: int
    decision: Literal["open", "accepted", "declined", "served"] = Field(
        description="open: waits for the operator. accepted: by operator or policy. served: the bond is posted."
    )
    objections: list[str] = Field(description="What the policy has against it, in sentences.")
    created: int = Field(description="Unix seconds.")


class TroubleEntry(Model):
    """A job that cannot be worked on at the moment. It is tried again by itself."""

    job_id: int = Field(examples=[7])
    role: Literal["aggregator", "trainer", "node"] = Field(
        description="What this node is in the job; node: its owner's."
    )
    since: int = Field(description="Unix seconds.")
    text: str
    again_at: int | None = Field(description="When it is tried again, Unix seconds; null: not by itself.")
