"""What the API says and takes. Amounts are decimal strings in the token's smallest unit (they pass 2^53), times Unix
seconds by the chain's clock, addresses EIP-55, bytes 0x-hex. Field names are the domain's.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from marketplace.addresses import parse_address
from marketplace.spec import Spec

StateName = Literal["open", "running", "confirming", "completed", "cancelled", "aborted"]
RuleName = Literal["krum-cosine", "reference"]
ReasonName = Literal["pay", "fee", "stake", "bond", "compensation", "refund", "burnt"]
CallName = Literal["start", "cancel", "abort", "skip", "complete", "end"]
TrainerStatus = Literal["starting", "running", "paused", "finished", "failed"]


Amount = Annotated[str, BeforeValidator(lambda v: str(v) if isinstance(v, int) else v), Field(pattern=r"^[0-9]{1,78}$")]
Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$"), AfterValidator(parse_address)]
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
    jobs_in_trouble: int = Field(
        default=0, description="Jobs that this node serves or takes part in, and cannot work on at the moment."
    )


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
    samples: int = Field(description="How many sample trainers it can let join: those of a local chain.")
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
    fee: Amount = Field(description="Of each settled round, paid when the job is over.")
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
    startable_from: int | None = Field(
        description="From when on anybody may start it, its owner at once; null unless it is open and somebody joined."
    )
    submit_by: int | None = Field(description="Of the running round.")
    settle_by: int | None
    confirm_by: int | None = Field(description="Up to when trainers can dispute the last sum; null unless confirming.")
    spec_cid: str = Field(description="Of the description.")
    model: ModelFacts | None
    setup: Literal["ceremony", "development"] | None
    trust: str = Field(description="What the points rest on, in one sentence, for whoever decides to join.")
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
    gate: str | None = Field(description="The account whose ticket it takes to join; null: anyone may.")
    enrol_by: int
    start_delay: int = Field(description="How long after the last join only the owner may start it.")
    submit_window: int
    settle_window: int
    takeover_window: int = Field(description="How long another may take a failed aggregator's place; 0: not at all.")
    rule: RuleName
    confirm_window: int = Field(description="How long what a job leaves can be disputed before its pot is divided.")
    reveal_window: int = Field(description="How much of it there is to show members the validation data; 0: never.")
    rounds: int
    min_rounds: int = Field(description="From this round on the owner may end the job.")
    rate: int = Field(description="The server's rate in round 1, in 2^-40.")
    rate_decay: int = Field(description="Its factor from one round to the next, in 2^-32.")
    scale_exponent: int = Field(description="One integer step of an update is 2^scale_exponent.")
    min_trainers: int
    max_trainers: int
    max_faulty: int
    max_missed: int
    max_strikes: int
    max_empty_rounds: int
    max_voids: int = Field(description="So many times updates that do not open are delivered again; the next ends it.")
    slash_bps: int = Field(description="Part of the stake that ejection, or max_strikes strikes, cost, in 1/10,000.")
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
    """A trainer said that the sum before `round`, or while confirming the last one, is missing or wrong."""

    round: int
    slot: int
    operator: str
    timestamp: int
    transaction: str
    confirming: bool = Field(description="It is about the sum of the last round.")
    stands: bool = Field(description="No phase has begun since.")


class Reveal(Model):
    """The owner or the aggregator says where the validation data are, sealed to the job key, for all members."""

    sender: str
    cid: str


class RowsDispute(Model):
    """A member said that a round's reference rows do not follow from the validation data."""

    slot: int
    round: int = Field(description="0: that nothing revealed is what the description commits to.")


class FeesOwed(Model):
    """Of rounds that an aggregator settled before another took the job over."""

    payee: str
    fees: Amount


class JobDetail(Model):
    summary: JobSummary
    terms: TermsFacts
    terms_hash: Hash = Field(description="keccak256 of the terms as the ABI encodes them: tickets and proofs name it.")
    spec_cid: str
    spec: Spec | None
    transaction: str = Field(description="That created the job.")
    key_published: bool
    revealed: str | None = Field(description="CID of the validation data that the owner has revealed.")
    escrow: Amount = Field(description="What is left of the owner's money in the job.")
    settled: int = Field(description="Rounds that were settled.")
    pot: Amount = Field(
        description="What the members would divide if the job ended now: the reward of its settled rounds, and slashed "
        "stakes. Once it is over, what they do divide."
    )
    fees: Amount = Field(description="Held for the aggregators until the job is over; 0 where they are burnt.")
    owed: list[FeesOwed] = Field(description="Of these fees, what is claimed once the job is over.")
    disputed_sum: bool = Field(description="Enough trainers disputed a sum: bond and fees are burnt.")
    disputed_rows: bool = Field(
        description="Enough members disputed reference rows, or nobody revealed in time: fees are burnt, and nobody is "
        "paid more than by rounds opened."
    )
    rows_disputes: list[RowsDispute] = Field(description="By slot.")
    rows_quorum: int = Field(description="So many are believed; 0 where no points rest on rows that are revealed.")
    reveal_by: int | None = Field(
        description="While confirming: until when the data are to be revealed to the members; null where nobody has to."
    )
    reveals: list[Reveal] = Field(description="In order.")
    delivering: bool = Field(
        description="Updates did not open, or were another aggregator's: they are delivered again."
    )
    undelivered: list[int] = Field(description="Slots that have to deliver again, and have not yet or did not in time.")
    voids: int = Field(description="How often updates that did not open were asked for again in this job.")
    voided_out: bool = Field(description="The job ended because a round was void after `max_voids` of them.")
    end_asked: bool = Field(description="The owner has asked that the job end with the next settlement.")
    outcome: StateName | None = Field(description="While confirming: what the job will be.")
    burnt: Amount = Field(description="What was burnt, which nobody can withdraw.")
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
    cid: str = Field(description="Of the file that opens it, delivered once nobody can submit in the round any more.")
    timestamp: int
    transaction: str


class Redelivery(Model):
    """A trainer delivered again what it had submitted."""

    slot: int
    operator: str
    cid: str
    timestamp: int
    transaction: str


class Void(Model):
    """More updates than may be called unopened did not open: they are delivered again, or the job ends."""

    unopened: list[int] = Field(description="Slots.")
    deliver_by: int | None = Field(description="null: the job has ended, since there were `max_voids` before.")
    settle_by: int | None
    delivered: list[Redelivery] = Field(description="In order.")
    timestamp: int
    transaction: str


class Judged(Model):
    """A submission's judgement. score, coefficient: as the pay rule gave them, 0 unless selected."""

    slot: int
    operator: str
    payee: str
    verdict: Literal["selected", "left-out", "struck", "unopened", "undelivered", "missing"] = Field(
        description="undelivered: the update was asked for again and not delivered, which is not missing."
    )
    score: str = Field(description="An integer; under rule reference negative where the update raised the loss.")
    coefficient: int | None = Field(description="Rule reference: part of the update in the sum, in 1/4096.")
    gain: str = Field(description="An integer: what the round added to the balance, docs/rules.md.")
    loss: float | None = Field(description="Rule reference: the validation loss that it took away.")


class RoundSummary(Model):
    round: int
    status: Literal["open", "delivering", "settling", "settled", "skipped", "ended"]
    aggregator: str = Field(description="Who judges it; after a takeover, the one that took over last.")
    submit_by: int
    settle_by: int
    submitted: list[int] = Field(description="Slots; of those that have to deliver again the ones that did.")
    undelivered: list[int] = Field(description="Slots that have to deliver again, and have not yet or did not in time.")
    redelivered: list[Redelivery] = Field(
        description="To the aggregator that took over last, before any void of its own; in order."
    )
    voids: list[Void] = Field(description="In order.")
    selected: list[int]
    gains: list[str] = Field(description="By selected slot: integers, what the round added to the balance.")
    struck: list[int]
    unopened: list[int]
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
    shown: list[ShownOpening]
    judged: list[Judged]
    sum_cid: str | None
    sum_commitment: str | None
    reference_cid: str | None
    row_exponent: int | None = Field(description="Rule reference: one step of the second row is 2^row_exponent.")
    gas: int | None = Field(description="Gas units of the settlement.")
    gas_price: Amount | None = Field(description="Wei for each.")
    proof: ProofFacts | None
    proof_problem: str | None = Field(description="Why there is no proof to show, where one is expected.")


class TrainerFacts(Model):
    slot: int
    operator: str
    payee: str
    status: Literal["active", "left", "ejected", "finished"]
    member: bool = Field(description="It held its seat at the start (of a cancelled job: at the end).")
    missed: int = Field(description="Missed submissions in a row.")
    strikes: int
    joined_at: int
    submitted: list[int] = Field(description="Rounds.")
    selected: list[int]
    struck: list[int]
    opened: int = Field(description="Settled rounds in which its submission opened.")
    balance: str = Field(description="An integer: the sum of its gains.")
    pay: Amount = Field(
        description="Its part of the pot: what it would get if the job ended now; once over, what it gets."
    )
    staked: bool = Field(description="Its stake is still held.")
    stake: Amount = Field(description="What a claim gives back of a stake that is held: less a slash for strikes.")
    claimed: bool = Field(description="Its pay and stake were claimed.")


class CreditFacts(Model):
    job_id: int
    round: int = Field(description="The job's round when it was credited; 0 before the start.")
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


class Unclaimed(Model):
    """What waits for a claim in a job that is over: pay and stake of a seat, or fees from before a takeover."""

    job_id: int
    name: str | None = Field(description="From the description; null until that could be read.")
    slot: int | None = Field(description="null: fees.")
    payee: str
    token: str
    pay: Amount
    stake: Amount
    fees: Amount


class Seat(Model):
    """A seat, with the job that it is in."""

    job: JobSummary
    seat: TrainerFacts


class PayeeCredits(Model):
    payee: str
    tokens: list[TokenCredit]
    unclaimed: list[Unclaimed] = Field(
        description="What waits for claims, where this is the payee or who holds the seat; of its latest 200 jobs."
    )
    credits: list[CreditFacts] = Field(description="The latest 1,000, newest first.")


class Holdings(Model):
    """What an account has, as the chain says."""

    account: str
    coin: Amount = Field(description="Wei.")
    token: str
    held: Amount | None = Field(
        description="Of the token, in its smallest unit (of the zero address: the coin); null where it is no token."
    )


class TokenText(Model):
    """How people read amounts of a token. The token chooses this itself: nothing but what is shown follows from it."""

    token: str
    symbol: str
    decimals: int | None = Field(description="null where the token does not say: amounts are in its smallest unit.")


class Log(Model):
    """What a contract said in a transaction: 0x-hex, by its ABI."""

    address: str
    topics: list[str]
    data: str


class TransactionFacts(Model):
    """What the node's chain knows of a transaction. unknown: nothing, which it may still come to know."""

    state: Literal["unknown", "waiting", "done", "failed", "replaced"]
    nonce: int | None = Field(description="Of its sender, where it is known.")
    block: int | None = Field(description="That it is in.")
    gas: int | None
    gas_price: Amount | None = Field(description="Wei for each.")
    job_id: int | None = Field(description="The job that it created.")
    reason: str | None = Field(description="Why it failed.", examples=["All 8 seats of job 7 are taken."])
    timestamp: int | None = Field(description="Of its block.")
    sender: str | None
    to: str | None = Field(description="null: it deployed a contract, or is unknown.")
    value: Amount | None = Field(description="Wei that it sent.")
    input: str | None = Field(description="The call, 0x-hex by the ABI of `to`.")
    logs: list[Log] = Field(description="In order; none where it failed.")


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


class Happened(ChainNews):
    """An event of the past, with what a reader needs to understand it."""

    seq: int = Field(description="Its place in this node's index.")
    name: str | None = Field(description="The job's, from its description.")
    token: str = Field(description="The job's: what its amounts are in.")
    round: int = Field(description="The job's when it happened.")
    who: str | None = Field(description="Who did it or is paid by it; null where anybody may have.")


class Activity(Model):
    items: list[Happened]
    next: int | None = Field(description="Give it as `before` for the next page; null on the last.")


class TrainerNews(Model):
    """Of an event stream: something that this node's own trainer says."""

    kind: str = Field(examples=["training"])
    job_id: int
    round: int
    text: str
    time: float
    values: dict[str, Any]
