"""What the API takes and gives where a node acts, or shows what is on its machine. Conventions as in models.py."""

from typing import Any, Literal

from pydantic import Field

from marketplace.api.models import Address, Amount, Hash, Model, RuleName, TrainerStatus
from marketplace.services.invitations import MOST_VALID, VALID_FOR
from marketplace.tickets import MAX_TEXT


class LocalFacts(Model):
    """Of this machine; needs the token."""

    folders: list[str] = Field(description="The folders whose data may be used.")
    devices: list[str] = Field(examples=[["cuda", "cpu"]])
    balance: Amount = Field(description="The node's own coin, wei.")
    samples: int = Field(description="How many sample trainers it can let join: those of a local chain.")


class DataEntry(Model):
    source: str = Field(description="What to give as `data`.")
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


class JoinRequest(Model):
    job_id: int = Field(ge=1, lt=2**63, examples=[7])
    data: str = Field(min_length=1, max_length=4096, examples=["digits", "/home/ann/data/scans"])
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
    job_id: int = Field(ge=1, lt=2**63)
    data: str = Field(min_length=1, max_length=4096)


class DataSample(Model):
    label: str
    values: list[float] = Field(description="The sample's values in order, the first 4,096 of them.")


class DataCheck(Model):
    """samples and preview never leave this machine: they are shown to loopback with the token only."""

    fits: bool
    problem: str | None
    samples: int
    shape: list[int]
    classes: dict[str, int] = Field(description="Samples by class.")
    preview: list[DataSample]


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
