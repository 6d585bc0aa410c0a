"""The domain's values as the API says them."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Literal, cast

from aggregator.points import LOSS_BITS
from marketplace.api.models import (
    ChainNews,
    CreditFacts,
    JobSummary,
    Judged,
    ModelFacts,
    ProofFacts,
    Redelivery,
    RoundSummary,
    ShownOpening,
    StateName,
    Submission,
    TermsFacts,
    TrainerFacts,
    Void,
)
from marketplace.domain import (
    ZERO_ADDRESS,
    Credited,
    Event,
    JobCreated,
    Left,
    OpeningShown,
    Reason,
    Redelivered,
    RoundProof,
    Rule,
    State,
    Terms,
    UpdateSubmitted,
    slots,
)
from marketplace.replay import Enrolled, JobHistory
from marketplace.replay.history import Round
from marketplace.services.index import News
from marketplace.services.index_tables import JobRow
from marketplace.services.standing import trust


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def summary(row: JobRow, unread: str | None = None) -> JobSummary:
    """unread: why the description could not be had yet."""
    created: JobCreated = row.creation
    terms = created.terms
    model = None
    if row.architecture is not None and row.parameters is not None:
        model = ModelFacts(architecture=row.architecture, parameters=row.parameters)
    setup: Literal["ceremony", "development"] | None = None
    if row.development is not None:
        setup = "development" if row.development else "ceremony"
    return JobSummary.model_validate(
        {
            "job_id": row.job_id,
            "name": row.name,
            "state": row.state,
            "owner": row.owner,
            "aggregator": row.aggregator,
            "rule": row.rule,
            "token": terms.token,
            "reward": terms.reward,
            "fee": terms.fee,
            "stake": terms.stake,
            "bond": terms.bond,
            "rounds": terms.rounds,
            "round": row.round,
            "submitted": row.submitted,
            "seats_taken": row.seats,
            "min_trainers": terms.min_trainers,
            "max_trainers": terms.max_trainers,
            "max_faulty": terms.max_faulty,
            "created_at": created.timestamp,
            "enrol_by": row.enrol_by,
            "startable_from": row.startable_from,
            "submit_by": row.submit_by,
            "settle_by": row.settle_by,
            "confirm_by": row.confirm_by,
            "spec_cid": created.spec_cid,
            "model": model,
            "setup": setup,
            "trust": trust(terms, row.owner),
            "problem": row.problem or unread,
        }
    )


def state_name(state: State) -> StateName:
    return cast(StateName, state.name.lower())


def terms_facts(terms: Terms) -> TermsFacts:
    values = asdict(terms) | {"rule": terms.rule.label, "escrow": terms.escrow}
    for name in ("aggregator", "gate"):
        values[name] = None if values[name] == ZERO_ADDRESS else values[name]
    values |= {name: hexed(values[name]) for name in ("gram_key", "decision_key")}
    return TermsFacts.model_validate(values)


def round_summary(history: JobHistory, entry: Round, now: int) -> RoundSummary:
    settled, skipped = entry.settled, entry.skipped
    status: Literal["open", "delivering", "settling", "settled", "skipped", "ended"]
    if settled is not None:
        status = "settled"
    elif skipped is not None:
        status = "skipped"
    elif history.state is not State.RUNNING:
        status = "ended"
    elif now > entry.submit_by or history.job().complete:
        status = "settling"
    else:
        status = "delivering" if entry.delivering else "open"
    settlement = settled.settlement if settled else None
    ended_by = settled or skipped
    selected = list(slots(settlement.selected)) if settlement else []
    return RoundSummary(
        round=entry.number,
        status=status,
        aggregator=entry.aggregator,
        submit_by=entry.submit_by,
        settle_by=entry.settle_by,
        submitted=sorted(entry.delivered),
        undelivered=sorted(entry.undelivered),
        redelivered=redeliveries(history, entry.redelivered),
        voids=voids(history, entry),
        selected=selected,
        gains=[str(entry.gains.get(slot, 0)) for slot in selected],
        struck=list(slots(settlement.struck)) if settlement else [],
        unopened=list(slots(settlement.unopened)) if settlement else [],
        transaction=ended_by.transaction if ended_by else None,
    )


def operator_of(history: JobHistory, slot: int) -> str:
    who = history.participants.get(slot)
    return who.operator if who else ZERO_ADDRESS


def _stated(history: JobHistory, event: UpdateSubmitted | Redelivered | OpeningShown) -> dict[str, Any]:
    """Who stated a content id, and where."""
    return {
        "slot": event.slot,
        "operator": operator_of(history, event.slot),
        "cid": event.cid,
        "timestamp": event.timestamp,
        "transaction": event.transaction,
    }


def submissions(history: JobHistory, events: Iterable[UpdateSubmitted]) -> list[Submission]:
    ordered = sorted(events, key=lambda event: event.slot)
    return [Submission(commitment=hexed(event.commitment), **_stated(history, event)) for event in ordered]


def redeliveries(history: JobHistory, events: Iterable[Redelivered]) -> list[Redelivery]:
    return [Redelivery(**_stated(history, event)) for event in events]


def voids(history: JobHistory, entry: Round) -> list[Void]:
    return [
        Void(
            unopened=list(slots(void.unopened)),
            deliver_by=void.deliver_by or None,
            settle_by=void.settle_by or None,
            delivered=redeliveries(history, delivered),
            timestamp=void.timestamp,
            transaction=void.transaction,
        )
        for void, delivered in entry.voids
    ]


def shown(history: JobHistory, number: int) -> list[ShownOpening]:
    return [
        ShownOpening(**_stated(history, event))
        for (round, _), (event, *_) in history.showings.items()
        if round == number
    ]


def judged(history: JobHistory, entry: Round) -> list[Judged]:
    """Every trainer that was there when the round was settled; nobody unless it was."""
    if entry.settled is None:
        return []
    settlement = entry.settled.settlement
    chosen = list(slots(settlement.selected))
    scores = dict(zip(chosen, settlement.scores, strict=False))
    reference = history.terms.rule is Rule.REFERENCE
    parts = dict(zip(chosen, settlement.coefficients, strict=False))
    found = []
    for slot in slots(entry.active | entry.settled.submitted):
        verdict: Literal["selected", "left-out", "struck", "unopened", "undelivered", "missing"] = "left-out"
        if not entry.settled.submitted >> slot & 1:
            verdict = "undelivered" if slot in entry.undelivered else "missing"
        elif settlement.unopened >> slot & 1:
            verdict = "unopened"
        elif slot in scores:
            verdict = "selected"
        elif settlement.struck >> slot & 1:
            verdict = "struck"
        who, gain = history.participants.get(slot), entry.gains.get(slot, 0)
        found.append(
            Judged(
                slot=slot,
                operator=who.operator if who else ZERO_ADDRESS,
                payee=who.payee if who else ZERO_ADDRESS,
                verdict=verdict,
                score=str(scores.get(slot, 0)),
                coefficient=parts.get(slot, 0) if reference else None,
                gain=str(gain),
                loss=gain / 2**LOSS_BITS if reference else None,
            )
        )
    return found


def trainers(history: JobHistory) -> list[TrainerFacts]:
    parts = history.divided(history.pot_so_far)
    return [_trainer(history, who, parts) for who in history.enrolled]


def _trainer(history: JobHistory, who: Enrolled, parts: dict[int, int]) -> TrainerFacts:
    status: Literal["active", "left", "ejected", "finished"]
    if isinstance(who.until, Left):
        status = "left"
    elif who.until is not None:
        status = "ejected"
    else:
        status = "finished" if history.state.over else "active"
    # A slot that was given up before the start can be another's later.
    own = history.participants.get(who.slot) is who
    settled = [entry.settled for entry in history.rounds if entry.settled is not None] if own else []
    return TrainerFacts(
        slot=who.slot,
        operator=who.operator,
        payee=who.payee,
        status=status,
        member=own and bool(history.members >> who.slot & 1),
        missed=who.missed,
        strikes=who.strikes,
        joined_at=who.joined_at,
        submitted=[entry.number for entry in history.rounds if own and who.slot in entry.submissions],
        selected=[event.round for event in settled if event.settlement.selected >> who.slot & 1],
        struck=[event.round for event in settled if event.settlement.struck >> who.slot & 1],
        opened=who.opened(history.settled_rounds) if own else 0,
        balance=str(who.balance),
        pay=str(parts.get(who.slot, 0) if own else 0),
        staked=who.staked,
        stake=str(history.stake_of(who)[0]),
        claimed=own and who.slot in history.claimed,
    )


def credits(news: Iterable[News]) -> list[CreditFacts]:
    return [
        CreditFacts(
            job_id=event.job_id,
            round=round,
            payee=event.payee,
            token=event.token,
            amount=str(event.amount),
            reason=event.reason.name.lower(),
            block=event.block,
            timestamp=event.timestamp,
            transaction=event.transaction,
        )
        for _, round, event in news
        if isinstance(event, Credited)
    ]


def proof_facts(proof: RoundProof) -> ProofFacts:
    return ProofFacts(
        commitments=_words(proof.commitments),
        sums=_words(proof.sums),
        gram_hash=f"0x{proof.gram_hash:064x}",
        gram=_words(proof.gram),
        decision=_words(proof.decision),
    )


def _words(numbers: Sequence[int]) -> list[str]:
    return [f"0x{number:064x}" for number in numbers]


_AMOUNTS = ("reward", "fee", "stake", "bond", "pot", "slashed", "amount", "scores", "pay", "fees")


def event_values(event: Event) -> dict[str, Any]:
    """An event's own fields for JSON: bytes as hex, amounts and scores as decimal strings, enums in words."""
    common = ("block", "log_index", "transaction", "timestamp", "job_id")
    return {name: _plain(name, value) for name, value in asdict(event).items() if name not in common}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return hexed(value)
    if isinstance(value, dict):
        return {part: _plain(part, inner) for part, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(name, part) for part in value]
    if isinstance(value, State | Rule | Reason):
        return value.name.lower().replace("_", "-")
    return str(value) if name in _AMOUNTS else value


def chain_news(item: News) -> ChainNews:
    event = item.event
    return ChainNews(
        kind=type(event).__name__,
        job_id=event.job_id,
        block=event.block,
        timestamp=event.timestamp,
        transaction=event.transaction,
        values=event_values(event),
    )
