"""Tables that more than one command prints, and the same facts as documents."""

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from marketplace.chain.tokens import TokenFacts
from marketplace.domain import ZERO_ADDRESS, RoundSettled, slots
from marketplace.replay import JobHistory
from marketplace.replay.history import Round
from marketplace.services.standing import trust
from marketplace.units import format_amount


def job_document(history: JobHistory, waits_for: str) -> dict[str, Any]:
    """A job as JSON: terms, state, trainers by slot, rounds with gains by slot. waits_for: a sentence."""
    terms, parts = history.created.terms, history.divided(history.pot_so_far)
    return {
        "job": history.created.job_id,
        "state": history.state.name.lower(),
        "waits_for": waits_for,
        "trust": trust(terms, history.created.owner),
        "owner": history.created.owner,
        "aggregator": history.accepted.aggregator if history.accepted else None,
        "spec": history.created.spec_cid,
        "round": len(history.rounds),
        "voids": history.voids,
        "terms": {
            "token": terms.token,
            "reward": terms.reward,
            "fee": terms.fee,
            "stake": terms.stake,
            "bond": terms.bond,
            "gate": None if terms.gate == ZERO_ADDRESS else terms.gate,
            "rule": terms.rule.label,
            "rounds": terms.rounds,
            "min_trainers": terms.min_trainers,
            "max_trainers": terms.max_trainers,
            "enrol_by": terms.enrol_by,
            "submit_window": terms.submit_window,
            "settle_window": terms.settle_window,
            "max_faulty": terms.max_faulty,
            "max_voids": terms.max_voids,
            "min_rounds": terms.min_rounds,
            "start_delay": terms.start_delay,
            "confirm_window": terms.confirm_window,
            "reveal_window": terms.reveal_window,
        },
        "pot": history.pot_so_far,
        "trainers": {
            slot: {
                "operator": trainer.operator,
                "payee": trainer.payee,
                "balance": trainer.balance,
                "opened": trainer.opened(history.settled_rounds),
                "strikes": trainer.strikes,
                "pay": parts.get(slot, 0),
                "claimed": slot in history.claimed,
            }
            for slot, trainer in history.participants.items()
        },
        "rounds": [
            {
                "round": round,
                "submitted": list(slots(event.submitted)),
                "selected": list(slots(event.settlement.selected)),
                "unopened": list(slots(event.settlement.unopened)),
                "undelivered": sorted(history.rounds[round - 1].undelivered),
                "struck": list(slots(event.settlement.struck)),
                "gains": history.gains[round],
                "sum": event.settlement.sum_cid,
            }
            for round, event in sorted(history.settled.items())
        ],
    }


def job_tables(history: JobHistory, waits_for: str, token: TokenFacts) -> Group:
    """A job for a person. token: what it pays in."""
    terms = history.created.terms
    facts = Table.grid(padding=(0, 2))
    for name, value in (
        ("job", str(history.created.job_id)),
        ("state", f"{history.state.name.lower()}, round {len(history.rounds)} of {terms.rounds}"),
        *((("waits for", waits_for),) if waits_for else ()),
        ("reward a round", format_amount(terms.reward, *token)),
        ("fee a round", format_amount(terms.fee, *token)),
        ("stake, bond", f"{format_amount(terms.stake, *token)}, {format_amount(terms.bond, *token)}"),
        ("rule", f"{terms.rule.label}, at most {terms.max_faulty} faulty"),
        ("trust", trust(terms, history.created.owner)),
        ("who may join", "anybody" if terms.gate == ZERO_ADDRESS else f"by invitation of {terms.gate}"),
        ("owner", history.created.owner),
        ("aggregator", history.accepted.aggregator if history.accepted else "none yet"),
        ("description", ascii(history.created.spec_cid)[1:-1]),  # an owner may have written anything
    ):
        facts.add_row(name, Text(value))
    settled = history.settled
    last = "pay" if history.state.over else "pay, if the job ended now"
    people = Table("seat", "operator", *(f"round {number}" for number in sorted(settled)), "strikes", last)
    parts = history.divided(history.pot_so_far)
    for slot, trainer in sorted(history.participants.items()):
        cells = [_cell(history.rounds[number - 1], settled[number], slot) for number in sorted(settled)]
        pay = format_amount(parts.get(slot, 0), *token)
        people.add_row(str(slot), trainer.operator, *cells, str(trainer.strikes), pay)
    return Group(facts, people)


def _cell(round: Round, event: RoundSettled, slot: int) -> str:
    """What a round brought a seat, or why it brought nothing."""
    if not event.submitted >> slot & 1:
        return "not delivered" if slot in round.undelivered else "silent"
    if event.settlement.unopened >> slot & 1:
        return "unopened"
    if event.settlement.struck >> slot & 1:
        return "struck"
    if not event.settlement.selected >> slot & 1:
        return "left out"
    return f"{round.part(slot):+.1%}" if any(round.gains.values()) else "0"
