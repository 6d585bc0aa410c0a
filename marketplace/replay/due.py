"""What must follow a call, and how calls and their consequences are named to people."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from marketplace.domain import (
    Claimed,
    Credited,
    Disputed,
    Ejected,
    Event,
    Joined,
    Left,
    OpeningShown,
    Redelivered,
    RoundOpened,
    RoundSettled,
    RoundSkipped,
    RoundVoided,
    RowsDisputed,
    SumAnnounced,
    TakenOver,
    UpdateSubmitted,
    slots,
)

_KEYS = ("payee", "reason", "slot", "round")  # what tells events of one type from another


@dataclass(frozen=True, slots=True)
class Due:
    """An event that must follow a call: its type, its fields, and what it is for a person."""

    kind: type[Event]
    fields: Mapping[str, int | str]
    what: str

    @property
    def key(self) -> tuple[object, ...]:
        return self.kind, *(self.fields.get(name) for name in _KEYS)

    @staticmethod
    def key_of(event: Event) -> tuple[object, ...]:
        return type(event), *(getattr(event, name, None) for name in _KEYS)

    def described(self) -> str:
        return f"{self.kind.__name__}: " + ", ".join(f"{name} {plain(value)}" for name, value in self.fields.items())


def described(event: Event) -> str:
    match event:
        case Credited():
            return f"credit of {event.amount} to {event.payee} ({plain(event.reason)})"
        case (
            Ejected()
            | UpdateSubmitted()
            | Joined()
            | Left()
            | Disputed()
            | RowsDisputed()
            | Redelivered()
            | OpeningShown()
            | Claimed()
        ):
            return f"{type(event).__name__} of seat {event.slot}"
        case RoundOpened() | SumAnnounced() | RoundSettled() | RoundSkipped() | RoundVoided() | TakenOver():
            return f"{type(event).__name__} of round {event.round}"
    return type(event).__name__


def plain(value: int | str) -> int | str:
    """A value as a finding shows it: enums and booleans in words."""
    if isinstance(value, IntEnum):
        return value.name.lower()
    return str(value).lower() if isinstance(value, bool) else value


def named_slots(mask: int) -> str:
    return ", ".join(map(str, slots(mask))) or "none"
