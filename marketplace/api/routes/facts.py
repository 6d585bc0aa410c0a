"""What is known of the market: jobs, rounds, trainers, payouts. Public, and read from the index."""

from typing import Annotated

from eth_utils.address import to_checksum_address
from fastapi import APIRouter, Path, Query

from marketplace.api import present, trouble
from marketplace.api.activity import activity, seats
from marketplace.api.claims import unclaimed
from marketplace.api.models import (
    Activity,
    CreditFacts,
    FeesOwed,
    Holdings,
    JobDetail,
    JobPage,
    PayeeCredits,
    Reveal,
    RoundDetail,
    RoundSummary,
    RowsDispute,
    RuleName,
    Seat,
    StateName,
    TokenCredit,
    TokenText,
    TrainerFacts,
    TransactionFacts,
)
from marketplace.api.routes.common import ADDRESS, Account, JobId, Services, problems
from marketplace.api.transactions import transaction_facts
from marketplace.chain.tokens import token_facts
from marketplace.domain import (
    ZERO_ADDRESS,
    AggregationAccepted,
    ConfirmationOpened,
    Credited,
    Disputed,
    RoundOpened,
    State,
    Withdrawn,
    slots,
)
from marketplace.errors import ChainError, InputError, MeritError, NotFound, Reverted
from marketplace.services.index import JobQuery, Sort, sort_key

router = APIRouter(prefix="/api", tags=["market"])
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
    ids: Annotated[
        str | None,
        Query(max_length=4000, pattern=r"^[0-9]{1,18}(,[0-9]{1,18}){0,199}$", description="Of these jobs only."),
    ] = None,
) -> JobPage:
    """Jobs, page by page."""
    chosen = None if ids is None else tuple(int(number) for number in ids.split(","))
    query = JobQuery(search, state, rule, sort, _place(cursor, sort), limit, chosen)
    rows, total = services.index.jobs(query)
    following = f"{sort}.{sort_key(rows[-1], sort)}.{rows[-1].job_id}" if len(rows) == limit else None
    items = [present.summary(row, services.unread.get(row.job_id)) for row in rows]
    return JobPage(items=items, next=following, total=total)


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
    terms, job, running = history.terms, history.job(), history.state is State.RUNNING
    shown = present.summary(row, services.unread.get(job_id))
    spec, problem = None, shown.problem
    if row.architecture is not None:  # it has been read once: it will not be waited for
        try:
            spec = services.spec(history.created)
        except MeritError as error:
            problem = str(error)
    return JobDetail(
        summary=shown.model_copy(update={"problem": problem}),
        terms=present.terms_facts(terms),
        terms_hash=present.hexed(job.terms_hash),
        spec_cid=history.created.spec_cid,
        spec=spec,
        transaction=history.created.transaction,
        key_published=history.key_published is not None,
        revealed=history.revealed[-1].cid if history.revealed else None,
        escrow=str(history.escrow),
        settled=history.settled_rounds,
        pot=str(history.pot_so_far),
        fees=str(history.fees_held),
        owed=[FeesOwed(payee=payee, fees=str(terms.fee * rounds)) for payee, rounds in sorted(history.owed.items())],
        disputed_sum=history.disputed_sum,
        disputed_rows=history.disputed_rows,
        rows_disputes=[RowsDispute(slot=slot, round=round) for slot, round in sorted(history.rows_disputed.items())],
        rows_quorum=history.rows_quorum if history.rows_due else 0,
        reveal_by=(history.reveal_by or None) if history.state is State.CONFIRMING else None,
        reveals=[Reveal(sender=event.sender, cid=event.cid) for event in history.reveals],
        delivering=running and job.delivering,
        undelivered=list(slots(job.undelivered)) if running else [],
        voids=job.voids,
        voided_out=any(not void.deliver_by for entry in history.rounds for void, _ in entry.voids),
        end_asked=history.end_asked,
        outcome=present.state_name(history.outcome) if history.state is State.CONFIRMING else None,
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
            proof = present.proof_facts(services.node.market.round_proof(settled))
        except MeritError as error:
            problem = str(error)
    settlement = settled.settlement if settled else None
    return RoundDetail(
        summary=present.round_summary(history, entry, services.now()),
        submissions=present.submissions(history, entry.submissions.values()),
        shown=present.shown(history, number),
        judged=present.judged(history, entry),
        sum_cid=(settlement.sum_cid or None) if settlement else None,
        sum_commitment=present.hexed(settlement.sum_commitment) if settlement and settlement.sum_cid else None,
        reference_cid=(settlement.reference_cid or None) if settlement else None,
        row_exponent=settlement.row_exponent if settlement and settlement.reference_cid else None,
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


def _cost(services: Services, transaction: str) -> tuple[int | None, int | None]:
    receipt = services.node.market.connection.receipt(transaction)
    if receipt is None:
        raise NotFound(f"The chain's node has no receipt of {transaction} any more.")
    return receipt.gas_used, receipt.gas_price


@router.get("/jobs/{job_id}/trainers", responses=problems(404))
def list_trainers(job_id: JobId, services: Services) -> list[TrainerFacts]:
    """Everybody who ever had a seat, in order of joining."""
    return present.trainers(services.index.history(job_id))


@router.get("/jobs/{job_id}/payouts", responses=problems(404))
def list_payouts(
    job_id: JobId,
    services: Services,
    limit: Annotated[int, Query(ge=1, le=10_000)] = LATEST,
) -> list[CreditFacts]:
    """What the job has credited to anybody, newest first."""
    services.index.job(job_id)
    return present.credits(services.index.events(job_id=job_id, kinds=[Credited], limit=limit, newest_first=True))


@router.get("/activity", responses=problems(404))
def list_activity(
    services: Services,
    job_id: Annotated[int | None, Query(ge=1, lt=2**63, description="Only this job's.")] = None,
    before: Annotated[int | None, Query(ge=1, lt=2**63, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Activity:
    """What happened in the market, or in one job, newest first."""
    return activity(services.index, job_id, before, limit)


@router.get("/seats/{account}", responses=problems(400))
def list_seats(account: Account, services: Services) -> list[Seat]:
    """The seats that an account holds or is paid for, in its latest 50 jobs, newest job first."""
    return seats(services.index, to_checksum_address(account))


@router.get("/holdings/{account}", responses=problems(400, 503))
def show_holdings(
    account: Account,
    services: Services,
    token: Annotated[str, Query(pattern=ADDRESS, description="The chain's coin by default.")] = ZERO_ADDRESS,
) -> Holdings:
    """What an account has of the chain's coin and of a token."""
    whose, what, balance = to_checksum_address(account), to_checksum_address(token), services.node.market.balance
    coin = balance(ZERO_ADDRESS, whose)
    held: int | None = coin
    if what != ZERO_ADDRESS:
        try:
            held = balance(what, whose)
        except (ChainError, Reverted):  # the chain has just answered: it is the token that does not
            held = None
    return Holdings(account=whose, coin=str(coin), token=what, held=None if held is None else str(held))


@router.get("/tokens/{token}", responses=problems(400, 503))
def show_token(token: Account, services: Services) -> TokenText:
    """What a token says of itself, bounded."""
    address = to_checksum_address(token)
    symbol, decimals = token_facts(services.node.market.connection, address)  # kept by nobody: strangers ask
    return TokenText(token=address, symbol=symbol, decimals=decimals)


@router.get("/transactions/{hash}", responses=problems(503))
def show_transaction(
    hash: Annotated[str, Path(pattern=r"^0x[0-9a-fA-F]{64}$")],
    services: Services,
    sender: Annotated[str | None, Query(pattern=ADDRESS)] = None,
    nonce: Annotated[int | None, Query(ge=0, lt=2**53, description="Of the sender, to tell what was replaced.")] = None,
) -> TransactionFacts:
    """What became of a transaction, whoever sent it: its block, why it failed, the job that it created."""
    return transaction_facts(services.node.market, hash.lower(), sender, nonce)


@router.get("/credits/{payee}", responses=problems(400))
def show_credits(payee: Account, services: Services) -> PayeeCredits:
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
    return PayeeCredits(
        payee=address,
        tokens=tokens,
        unclaimed=unclaimed(services.index, address),
        credits=present.credits(news)[:LATEST],
    )
