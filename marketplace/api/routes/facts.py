"""What is known of the market: jobs, rounds, trainers, payouts. Public, and read from the index."""

from typing import Annotated

from eth_utils.address import to_checksum_address
from fastapi import APIRouter, Path, Query

from marketplace.api import present, trouble
from marketplace.api.models import (
    CreditFacts,
    JobDetail,
    JobPage,
    PayeeCredits,
    RoundDetail,
    RoundSummary,
    RuleName,
    StateName,
    TokenCredit,
    TrainerFacts,
)
from marketplace.api.routes.common import JobId, Services, problems
from marketplace.domain import (
    ZERO_ADDRESS,
    AggregationAccepted,
    ConfirmationOpened,
    Credited,
    Disputed,
    Joined,
    RoundOpened,
    Withdrawn,
)
from marketplace.errors import ChainError, InputError, MeritError, NotFound
from marketplace.services.index import JobQuery, Sort, sort_key
from marketplace.services.rounds import opened_slots

router = APIRouter(prefix="/api", tags=["market"])
Payee = Annotated[str, Path(pattern=r"^0x[0-9a-fA-F]{40}$", examples=["0x70997970C51812dc3A010C7d01b50e0d17dc79C8"])]
LATEST = 1000
_PHASES = (RoundOpened, ConfirmationOpened, Disputed)


@router.get("/jobs", responses=problems(400))
def list_jobs(
    services: Services,
    search: Annotated[str, Query(max_length=100, description="Part of a name, a number, or an address.")] = "",
    state: StateName | None = None,
    rule: RuleName | None = None,
    sort: Annotated[Sort, Query(description="newest and reward: highest first; enrol_by: soonest first.")] = "newest",
    cursor: Annotated[str | None, Query(max_length=80, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> JobPage:
    """Jobs, page by page."""
    query = JobQuery(search, state, rule, sort, _place(cursor, sort), limit)
    rows, total = services.index.jobs(query)
    following = f"{sort}.{sort_key(rows[-1], sort)}.{rows[-1].job_id}" if len(rows) == limit else None
    return JobPage(items=[present.summary(row) for row in rows], next=following, total=total)


def _place(cursor: str | None, sort: Sort) -> tuple[str | int, int] | None:
    if cursor is None:
        return None
    parts = cursor.split(".")
    if len(parts) != 3 or parts[0] != sort or not all(p.isascii() and p.isdigit() and len(p) < 40 for p in parts[1:]):
        raise InputError("The cursor is not one of this list: begin at its first page.")
    job_id = min(int(parts[2]), 2**63 - 1)
    return (parts[1] if sort == "reward" else min(int(parts[1]), 2**63 - 1)), job_id


@router.get("/jobs/{job_id}", responses=problems(404))
def show_job(job_id: JobId, services: Services) -> JobDetail:
    """A job's terms, state, seats, deadlines and description."""
    row, history = services.index.job(job_id), services.index.history(job_id)
    shown = present.summary(row)
    spec, problem = None, shown.problem
    if row.architecture is not None:  # it has been read once: it will not be waited for
        try:
            spec = services.spec(history.created)
        except MeritError as error:
            problem = str(error)
    return JobDetail(
        summary=shown.model_copy(update={"problem": problem}),
        terms=present.terms_facts(history.terms),
        spec_cid=history.created.spec_cid,
        spec=spec,
        transaction=history.created.transaction,
        key_published=history.key_published is not None,
        revealed=history.revealed[-1].cid if history.revealed else None,
        escrow=str(history.escrow),
        fee_due=history.fee_due,
        carry=str(history.carry),
        burnt=str(history.credits[ZERO_ADDRESS]),
        takeovers=trouble.takeovers(history, _first_aggregator(services, job_id)),
        takeover=trouble.takeover_window(history),
        disputes=trouble.disputes(history, services.index.events(job_id=job_id, kinds=_PHASES)),
        quorum=history.quorum,
        exits=trouble.exits(history),
        now=services.now(),
        findings=[str(finding) for finding in history.findings],
    )


@router.get("/jobs/{job_id}/rounds", responses=problems(404))
def list_rounds(job_id: JobId, services: Services) -> list[RoundSummary]:
    """The rounds that have been opened, in order."""
    history, now = services.index.history(job_id), services.now()
    return [present.round_summary(history, entry, now) for entry in history.rounds]


@router.get("/jobs/{job_id}/rounds/{number}", responses=problems(404))
def show_round(job_id: JobId, number: Annotated[int, Path(ge=1, le=65535)], services: Services) -> RoundDetail:
    """A round: who submitted, how it was judged and paid, what it cost, and the proof."""
    history = services.index.history(job_id)
    if number > len(history.rounds):
        raise NotFound(f"Round {number} of job {job_id} has not been opened.")
    entry = history.rounds[number - 1]
    settled = entry.settled
    gas, price, proof, problem = None, None, None, None
    if settled is not None:
        try:
            gas, price = _cost(services, settled.transaction)
            if opened_slots(settled):
                proof = present.proof_facts(services.node.market.round_proof(settled))
        except MeritError as error:
            problem = str(error)
    settlement = settled.settlement if settled else None
    return RoundDetail(
        summary=present.round_summary(history, entry, services.now()),
        submissions=present.submissions(history, entry.submissions.values()),
        failed=present.submissions(history, entry.failed),
        shown=present.shown(history, number),
        judged=present.judged(history, entry),
        sum_cid=(settlement.sum_cid or None) if settlement else None,
        sum_commitment=present.hexed(settlement.sum_commitment) if settlement and settlement.sum_cid else None,
        reference_cid=(settlement.reference_cid or None) if settlement else None,
        gas=gas,
        gas_price=str(price) if price is not None else None,
        proof=proof,
        proof_problem=problem,
    )


def _first_aggregator(services: Services, job_id: int) -> str:
    for _, _, event in services.index.events(job_id=job_id, kinds=[AggregationAccepted], limit=1):
        if isinstance(event, AggregationAccepted):
            return event.aggregator
    return ZERO_ADDRESS


def _cost(services: Services, transaction: str) -> tuple[int, int]:
    found = services.node.market.connection.request("eth_getTransactionReceipt", transaction)
    if not isinstance(found, dict):
        raise NotFound(f"The chain's node has no receipt of {transaction} any more.")
    try:
        return int(found["gasUsed"], 16), int(found["effectiveGasPrice"], 16)
    except (KeyError, TypeError, ValueError) as error:
        raise ChainError(f"The chain's node gave no usable receipt of {transaction}.") from error


@router.get("/jobs/{job_id}/trainers", responses=problems(404))
def list_trainers(job_id: JobId, services: Services) -> list[TrainerFacts]:
    """Everybody who ever had a seat, in order of joining."""
    joined = services.index.events(job_id=job_id, kinds=[Joined])
    times = {news.event.operator: news.event.timestamp for news in joined if isinstance(news.event, Joined)}
    return present.trainers(services.index.history(job_id), times)


@router.get("/jobs/{job_id}/payouts", responses=problems(404))
def list_payouts(
    job_id: JobId,
    services: Services,
    limit: Annotated[int, Query(ge=1, le=10_000)] = LATEST,
) -> list[CreditFacts]:
    """What the job has credited to anybody, newest first."""
    services.index.job(job_id)
    return present.credits(services.index.events(job_id=job_id, kinds=[Credited], limit=limit, newest_first=True))


@router.get("/credits/{payee}", responses=problems(400))
def show_credits(payee: Payee, services: Services) -> PayeeCredits:
    """What a payee was credited, has withdrawn, and can withdraw."""
    address = to_checksum_address(payee)
    credited: dict[str, int] = {ZERO_ADDRESS: 0}
    withdrawn: dict[str, int] = {}
    news = services.index.events(party=address, kinds=[Credited, Withdrawn], newest_first=True)
    for _, _, event in news:
        if isinstance(event, Credited):
            credited[event.token] = credited.get(event.token, 0) + event.amount
        elif isinstance(event, Withdrawn):
            withdrawn[event.token] = withdrawn.get(event.token, 0) + event.amount
    tokens = [
        TokenCredit(
            token=token,
            withdrawable=str(services.node.market.credit(address, token)),
            credited=str(amount),
            withdrawn=str(withdrawn.get(token, 0)),
        )
        for token, amount in credited.items()
    ]
    return PayeeCredits(payee=address, tokens=tokens, credits=present.credits(news)[:LATEST])
