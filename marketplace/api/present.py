"""The domain's values as the API says them."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Literal

from marketplace.api.models import (
    CreditFacts,
    JobSummary,
    Judged,
    ModelFacts,
    ProofFacts,
    RoundSummary,
    ShownOpening,
    Submission,
    TermsFacts,
    TrainerFacts,
)
from marketplace.domain import (
    ZERO_ADDRESS,
    Credited,
    Event,
    JobCreated,
    Left,
    Reason,
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


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def summary(row: JobRow) -> JobSummary:
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
            "submit_by": row.submit_by,
            "settle_by": row.settle_by,
            "confirm_by": row.confirm_by,
            "model": model,
            "setup": setup,
            "problem": row.problem,
        }
    )


def terms_facts(terms: Terms) -> TermsFacts:
    values = asdict(terms) | {"rule": terms.rule.label, "escrow": terms.escrow}
    values["aggregator"] = None if terms.aggregator == ZERO_ADDRESS else terms.aggregator
    values |= {name: hexed(values[name]) for name in ("gram_key", "decision_key")}
    return TermsFacts.model_validate(values)


def round_summary(history: JobHistory, entry: Round, now: int) -> RoundSummary:
    settled, skipped = entry.settled, entry.skipped
    status: Literal["open", "settling", "settled", "skipped", "ended"]
    if settled is not None:
        status = "settled"
    elif skipped is not None:
        status = "skipped"
    elif history.state is not State.RUNNING:
        status = "ended"
    else:
        everybody = set(entry.submissions) == set(history.holders)
        status = "settling" if now > entry.submit_by or everybody else "open"
    settlement = settled.settlement if settled else None
    ended_by = settled or skipped
    return RoundSummary(
        round=entry.number,
        status=status,
        aggregator=entry.aggregator,
        submit_by=entry.submit_by,
        settle_by=entry.settle_by,
        submitted=sorted(entry.submissions),
        selected=list(slots(settlement.selected)) if settlement else [],
        unopened=list(slots(settlement.unopened)) if settlement else [],
        pot=str(settled.pot) if settled else None,
        transaction=ended_by.transaction if ended_by else None,
    )


def operator_of(history: JobHistory, slot: int) -> str:
    who = history.participants.get(slot)
    return who.operator if who else ZERO_ADDRESS


def submissions(history: JobHistory, events: Iterable[UpdateSubmitted]) -> list[Submission]:
    return [
        Submission(
            slot=event.slot,
            operator=operator_of(history, event.slot),
            commitment=hexed(event.commitment),
            cid=event.cid,
            timestamp=event.timestamp,
            transaction=event.transaction,
        )
        for event in sorted(events, key=lambda event: event.slot)
    ]


def shown(history: JobHistory, number: int) -> list[ShownOpening]:
    return [
        ShownOpening(
            slot=event.slot,
            operator=operator_of(history, event.slot),
            cid=event.cid,
            timestamp=event.timestamp,
            transaction=event.transaction,
        )
        for event in history.shown
        if event.round == number
    ]


def judged(history: JobHistory, entry: Round) -> list[Judged]:
    """Every trainer that was there when the round was settled; nobody unless it was."""
    if entry.settled is None:
        return []
    settlement = entry.settled.settlement
    chosen = list(slots(settlement.selected))
    weights = dict(zip(chosen, settlement.weights, strict=False))
    reference = history.terms.rule is Rule.REFERENCE
    parts = dict(zip(chosen, settlement.coefficients, strict=False))
    found = []
    for slot in slots(entry.active | entry.settled.submitted):
        verdict: Literal["selected", "outlier", "unopened", "missing"] = "outlier"
        if not entry.settled.submitted >> slot & 1:
            verdict = "missing"
        elif settlement.unopened >> slot & 1:
            verdict = "unopened"
        elif slot in weights:
            verdict = "selected"
        who = history.participants.get(slot)
        found.append(
            Judged(
                slot=slot,
                operator=who.operator if who else ZERO_ADDRESS,
                payee=who.payee if who else ZERO_ADDRESS,
                verdict=verdict,
                weight=str(weights.get(slot, 0)),
                coefficient=parts.get(slot, 0) if reference else None,
                pay=str(entry.pays.get(slot, 0)),
            )
        )
    return found


def trainers(history: JobHistory, joined_at: dict[str, int]) -> list[TrainerFacts]:
    return [_trainer(history, who, joined_at.get(who.operator, 0)) for who in history.enrolled]


def _trainer(history: JobHistory, who: Enrolled, joined_at: int) -> TrainerFacts:
    status: Literal["active", "left", "ejected", "finished"]
    if isinstance(who.until, Left):
        status = "finished" if _stayed(history, who.until) else "left"
    elif who.until is not None:
        status = "ejected"
    else:
        status = "finished" if history.state.over else "active"
    # A slot that was given up before the start can be another's later.
    own = history.participants.get(who.slot) is who
    settled = [entry for entry in history.rounds if entry.settled is not None] if own else []
    selected = [e for e in settled if e.settled and e.settled.settlement.selected >> who.slot & 1]
    return TrainerFacts(
        slot=who.slot,
        operator=who.operator,
        payee=who.payee,
        status=status,
        missed=who.missed,
        strikes=who.strikes,
        joined_at=joined_at,
        submitted=[entry.number for entry in history.rounds if own and who.slot in entry.submissions],
        selected=[entry.number for entry in selected],
        pay=str(sum(entry.pays.get(who.slot, 0) for entry in settled)),
    )


def _stayed(history: JobHistory, left: Left) -> bool:
    """Whether a trainer left when the last round was settled: nothing was left to do but to check its sum."""
    last = history.settled.get(history.terms.rounds)
    return last is not None and (left.block, left.log_index) > (last.block, last.log_index)


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


_AMOUNTS = ("reward", "fee", "stake", "bond", "pot", "slashed", "amount", "weights")


def event_values(event: Event) -> dict[str, Any]:
    """An event's own fields for JSON: bytes as hex, amounts and weights as decimal strings, enums in words."""
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
