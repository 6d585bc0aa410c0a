"""Tables that more than one command prints, and the same facts as documents."""

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from marketplace.domain import ZERO_ADDRESS, slots
from marketplace.replay import JobHistory
from marketplace.units import format_amount


def symbol(token: str) -> str:
    return "ether" if token == ZERO_ADDRESS else "tokens"


def job_document(history: JobHistory) -> dict[str, Any]:
    """A job as JSON: terms, state, trainers by slot, rounds with pay by slot."""
    terms = history.created.terms
    return {
        "job": history.created.job_id,
        "state": history.state.name.lower(),
        "owner": history.created.owner,
        "aggregator": history.accepted.aggregator if history.accepted else None,
        "spec": history.created.spec_cid,
        "round": len(history.rounds),
        "terms": {
            "token": terms.token,
            "reward": terms.reward,
            "fee": terms.fee,
            "stake": terms.stake,
            "bond": terms.bond,
            "rule": terms.rule.label,
            "rounds": terms.rounds,
            "enrol_by": terms.enrol_by,
            "submit_window": terms.submit_window,
            "settle_window": terms.settle_window,
            "max_faulty": terms.max_faulty,
        },
        "trainers": {
            slot: {"operator": trainer.operator, "payee": trainer.payee}
            for slot, trainer in history.participants.items()
        },
        "rounds": [
            {
                "round": round,
                "submitted": list(slots(event.submitted)),
                "selected": list(slots(event.settlement.selected)),
                "unopened": list(slots(event.settlement.unopened)),
                "pot": event.pot,
                "pay": history.pays[round],
                "sum": event.settlement.sum_cid,
            }
            for round, event in sorted(history.settled.items())
        ],
    }


def job_tables(history: JobHistory) -> Group:
    """A job for a person."""
    terms, unit = history.created.terms, symbol(history.created.terms.token)
    facts = Table.grid(padding=(0, 2))
    for name, value in (
        ("job", str(history.created.job_id)),
        ("state", f"{history.state.name.lower()}, round {len(history.rounds)} of {terms.rounds}"),
        ("reward a round", format_amount(terms.reward, unit)),
        ("fee a round", format_amount(terms.fee, unit)),
        ("stake, bond", f"{format_amount(terms.stake, unit)}, {format_amount(terms.bond, unit)}"),
        ("rule", f"{terms.rule.label}, at most {terms.max_faulty} faulty"),
        ("owner", history.created.owner),
        ("aggregator", history.accepted.aggregator if history.accepted else "none yet"),
        ("description", ascii(history.created.spec_cid)[1:-1]),  # an owner may have written anything
    ):
        facts.add_row(name, Text(value))
    rounds = sorted(history.settled)
    people = Table("slot", "operator", *(f"round {round}" for round in rounds), "pay")
    pays = history.pays
    for slot, trainer in sorted(history.participants.items()):
        cells = [_cell(history, round, slot, pays[round].get(slot, 0)) for round in rounds]
        total = sum(pays[round].get(slot, 0) for round in rounds)
        people.add_row(str(slot), trainer.operator, *cells, format_amount(total, unit))
    return Group(facts, people)


def _cell(history: JobHistory, round: int, slot: int, pay: int) -> str:
    event = history.settled[round]
    if not event.submitted >> slot & 1:
        return "silent"
    if event.settlement.unopened >> slot & 1:
        return "unopened"
    return f"{pay / 10**18:.4f}" if event.settlement.selected >> slot & 1 else "left out"
