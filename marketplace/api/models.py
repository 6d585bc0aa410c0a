"""What the API says and takes. Amounts are decimal strings in the token's smallest unit (they pass 2^53), times Unix
seconds by the chain's clock, addresses EIP-55, bytes 0x-hex. Field names are the domain's.
"""

from typing import Annotated, Any, Literal

from eth_utils.address import is_checksum_address
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from marketplace.spec import Spec

StateName = Literal["open", "running", "confirming", "completed", "cancelled", "aborted"]
RuleName = Literal["krum-cosine", "reference"]
ReasonName = Literal["pay", "fee", "stake", "bond", "compensation", "refund", "burnt"]
CallName = Literal["start", "cancel", "abort", "skip", "complete"]
TrainerStatus = Literal["starting", "running", "paused", "finished", "failed"]


def _checksummed(value: str) -> str:
    if not is_checksum_address(value):
        raise ValueError("not an address with a correct EIP-55 checksum")
    return value


Amount = Annotated[str, BeforeValidator(lambda v: str(v) if isinstance(v, int) else v), Field(pattern=r"^[0-9]{1,78}$")]
Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$"), AfterValidator(_checksummed)]
Hash = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]


class Model(BaseModel):
    """Base of all: unknown fields are refused, and every field is there in an answer."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class Problem(BaseModel):
    """An error (RFC 9457, application/problem+json). `detail` is one sentence for a person."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:merit:reverted"])
    title: str = Field(examples=["The contract refused the call"])
    status: int = Field(examples=[409])
    detail: str = Field(examples=["Job 7 is running; this can be done only while it is open."])
    name: str | None = Field(default=None, description="The contract's error, where one was decoded.")


# ---------------------------------------------------------------- the node


class Health(Model):
    """block: the chain's latest as this node saw it; indexed: up to where the lists are current."""

    status: Literal["ok", "degraded"]
    block: int | None = Field(examples=[1234])
    indexed: int | None = Field(examples=[1234])
    problem: str = Field(default="", description="What is wrong, in a sentence; empty when all is well.")


class Party(Model):
    address: str
    encryption_key: str = Field(description="X25519 public key, 0x-hex.")


class NodeFacts(Model):
    version: str = Field(examples=["0.1.0"])
    chain_id: int = Field(examples=[31337])
    market: str
    first_block: int = Field(description="Of the market's deployment: where to read events from.")
    storage: Literal["folder", "ipfs", "node", "memory", "other"]
    local: bool = Field(description="Whether the chain is this node's own, for trying things.")
    rpc: str | None = Field(description="The chain's RPC address, where it is this node's own; else null.")
    acts_as: Party | None = Field(description="The node's own key, null where it only looks on.")
    aggregator: Party | None = Field(description="The aggregator that runs in this node, if one does.")
    now: int = Field(description="The chain's time.")


# ---------------------------------------------------------------- jobs


class ModelFacts(Model):
    architecture: str = Field(examples=["mlp"])
    parameters: int = Field(examples=[4810])


class JobSummary(Model):
    job_id: int = Field(examples=[7])
    name: str | None = Field(description="From the description; null until that could be read.", examples=["Digits"])
    state: StateName
    owner: str
    aggregator: str | None = Field(description="After a takeover, the one that took over last.")
    rule: RuleName
    token: str = Field(description="The zero address means the chain's coin.")
    reward: Amount = Field(description="Of each round.", examples=["600000000000000000"])
    fee: Amount = Field(description="Of each settled round, paid at the end of the next one, or of the job.")
    stake: Amount
    bond: Amount
    rounds: int
    round: int = Field(description="The running or last round, 0 before the start.")
    submitted: int = Field(description="How many have submitted in this round.")
    seats_taken: int
    min_trainers: int
    max_trainers: int
    max_faulty: int
    created_at: int
    enrol_by: int
    submit_by: int | None = Field(description="Of the running round.")
    settle_by: int | None
    confirm_by: int | None = Field(description="Up to when trainers can dispute the last sum; null unless confirming.")
    model: ModelFacts | None
    setup: Literal["ceremony", "development"] | None
    problem: str | None = Field(description="Why the description cannot be read, where it cannot.")


class JobPage(Model):
    items: list[JobSummary]
    next: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")
    total: int = Field(description="How many jobs match in all.")


class TermsFacts(Model):
    token: str
    reward: Amount
    fee: Amount
    stake: Amount
    bond: Amount
    escrow: Amount = Field(description="rounds × (reward + fee).")
    aggregator: str | None = Field(description="The only account that may aggregate; null: anyone.")
    enrol_by: int
    submit_window: int
    settle_window: int
    takeover_window: int = Field(description="How long another may take a failed aggregator's place; 0: not at all.")
    rule: RuleName
    rounds: int
    min_trainers: int
    max_trainers: int
    max_faulty: int
    max_missed: int
    max_strikes: int
    max_empty_rounds: int
    slash_bps: int = Field(description="Part of the stake that ejection costs, in 1/10,000.")
    gram_verifier: str
    gram_key: str
    decision_verifier: str
    decision_key: str


class Exit(Model):
    """A call that anyone may send. The contract decides: `since` is when it will take it, by the job's deadlines."""

    call: CallName
    since: int = Field(description="Chain time; in the past where it can be sent at once.")
    text: str = Field(examples=["The aggregator missed its deadline: stakes and unspent escrow go back."])


class Takeover(Model):
    """Another aggregator took the job over, and the round opened anew."""

    round: int = Field(examples=[2])
    failed: str = Field(description="The aggregator before.")
    aggregator: str
    payee: str
    timestamp: int
    transaction: str


class TakeoverWindow(Model):
    """When the aggregator of the running round has failed, unless it settles before, and another may take over."""

    since: int = Field(description="Chain time, the first second.")
    until: int = Field(description="The last second; `abort` comes after.")


class Dispute(Model):
    """A trainer said that the sum before `round`, or while confirming the last one, is not to be had or wrong."""

    round: int
    slot: int
    operator: str
    timestamp: int
    transaction: str
    confirming: bool = Field(description="It is about the sum of the last round.")
    stands: bool = Field(description="No phase has begun since.")


class JobDetail(Model):
    summary: JobSummary
    terms: TermsFacts
    spec_cid: str
    spec: Spec | None
    transaction: str = Field(description="That created the job.")
    key_published: bool
    revealed: str | None = Field(description="CID of the validation data that the owner has revealed.")
    escrow: Amount = Field(description="What is left of the owner's money in the job.")
    fee_due: bool = Field(description="The fee of the last settled round is still to be paid, out of escrow.")
    carry: Amount = Field(description="Slashed stakes waiting for the next pot.")
    burnt: Amount = Field(description="Bond and fee of a disputed sum, which nobody can withdraw.")
    takeovers: list[Takeover] = Field(description="In order.")
    takeover: TakeoverWindow | None = Field(description="null where nobody can take over in this round.")
    disputes: list[Dispute] = Field(description="In order.")
    quorum: int = Field(description="So many disputes in a phase end the job; 0 before the start.", examples=[3])
    exits: list[Exit]
    now: int
    findings: list[str] = Field(description="Where the events break the market's rules; empty in every honest market.")


class Submission(Model):
    slot: int
    operator: str
    commitment: str
    cid: str
    timestamp: int
    transaction: str


class Judged(Model):
    """A submission's judgement. weight, coefficient: as the pay rule gave them, 0 unless selected."""

    slot: int
    operator: str
    payee: str
    verdict: Literal["selected", "outlier", "unopened", "missing"]
    weight: Amount
    coefficient: int | None = Field(description="Rule reference: part of the update in the sum, in 1/4096.")
    pay: Amount


class RoundSummary(Model):
    round: int
    status: Literal["open", "settling", "settled", "skipped", "ended"]
    aggregator: str = Field(description="Who judges it; after a takeover, the one that took over last.")
    submit_by: int
    settle_by: int
    submitted: list[int] = Field(description="Slots.")
    selected: list[int]
    unopened: list[int]
    pot: Amount | None = Field(description="What was divided; null unless settled.")
    transaction: str | None = Field(description="That settled or skipped it.")


class ProofFacts(Model):
    """The words that the contract checked, from the transaction (docs/proofs-format.md); 0x-hex of 32 bytes each."""

    commitments: list[str]
    sums: list[str]
    gram_hash: str
    gram: list[str]
    decision: list[str]


class ShownOpening(Model):
    """A trainer says where it shows that its submission, called unopened, opens. Auditors check it."""

    slot: int
    operator: str
    cid: str
    timestamp: int
    transaction: str


class RoundDetail(Model):
    summary: RoundSummary
    submissions: list[Submission]
    failed: list[Submission] = Field(description="To aggregators that failed: they count for nothing.")
    shown: list[ShownOpening]
    judged: list[Judged]
    sum_cid: str | None
    sum_commitment: str | None
    reference_cid: str | None
    gas: int | None = Field(description="Gas units of the settlement.")
    gas_price: Amount | None = Field(description="Wei for each.")
    proof: ProofFacts | None
    proof_problem: str | None = Field(description="Why there is no proof to show, where one is expected.")


class TrainerFacts(Model):
    slot: int
    operator: str
    payee: str
    status: Literal["active", "left", "ejected", "finished"]
    missed: int = Field(description="Missed submissions in a row.")
    strikes: int
    joined_at: int
    submitted: list[int] = Field(description="Rounds.")
    selected: list[int]
    pay: Amount


class CreditFacts(Model):
    job_id: int
    round: int = Field(
        description="The round at the end of which it was credited; 0 before the start. A fee is that of the round "
        "settled before; the last one comes at the end of the job."
    )
    payee: str = Field(description="The zero address, which nobody has, for what is burnt.")
    token: str
    amount: Amount
    reason: ReasonName
    block: int
    timestamp: int
    transaction: str


class TokenCredit(Model):
    token: str
    withdrawable: Amount = Field(description="What the contract would pay out at this moment.")
    credited: Amount
    withdrawn: Amount


class PayeeCredits(Model):
    payee: str
    tokens: list[TokenCredit]
    credits: list[CreditFacts] = Field(description="The latest 1,000, newest first.")


# ---------------------------------------------------------------- audit and events


class AuditCheck(Model):
    name: str = Field(examples=["conservation"])
    ok: bool | None = Field(description="null: there was nothing to check it with.")
    detail: str


class AuditResult(Model):
    job_id: int
    ok: bool
    block: int = Field(description="The chain's block when the audit began.")
    checks: list[AuditCheck]
    findings: list[str]
    document: dict[str, Any] = Field(description="The whole report, as `merit audit --json` prints it.")


class ChainNews(Model):
    """Of an event stream: something that the chain says. `kind` is the contract's event."""

    kind: str = Field(examples=["RoundSettled"])
    job_id: int
    block: int
    timestamp: int
    transaction: str
    values: dict[str, Any]


class TrainerNews(Model):
    """Of an event stream: something that this node's own trainer says."""

    kind: str = Field(examples=["training"])
    job_id: int
    round: int
    text: str
    time: float
    values: dict[str, Any]
