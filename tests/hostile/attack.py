"""What one hostile description is: who writes it, what is wrong with it, and what its author does afterwards.

An attack is a job whose one part is hostile and whose other parts are right, so that it gets as far as it can; or calls
that a stranger makes. The lists that attacks are drawn from are in tests/hostile/material/.
"""

from dataclasses import dataclass
from typing import Literal

Role = Literal["owner", "aggregator", "trainer", "stranger"]
Edit = tuple[str, str]
"""Where in the description, keys and indices between dots, and what stands there: JSON as it is written."""


@dataclass(frozen=True)
class Seat:
    """A hostile trainer of the job. key: X25519, 32 bytes; None for a usable one. submits: of files.SUBMISSIONS; "" for
    nothing at all. shows: how many openings it shows once the job is over."""

    key: bytes | None = None
    submits: str = ""
    shows: int = 0


@dataclass(frozen=True)
class Attack:
    """number: in its campaign. kind, name: what is hostile, for people.

    client: written with Merit's own `create_job`, else past it: straight to chain and storage. owner: whether it is
    "listed", one that the aggregator's policy names, or a "stranger". edits: of the description. form: of
    forms.FORMS, what becomes of its bytes. terms: those that differ, by their Solidity name. contract: of
    onchain.CONTRACTS, one of the attacker's own that stands in for `part`. cid: on the chain in place of the
    description's. shelf: of files.SHELVES, what is done to the description's file in the storage folder. base: of
    files.BASES. pinned: of files.PINNED, in place of a set-up or key. owner_key: X25519. seats: the attacker's own
    trainers. judge: who aggregates, "ours" or, with the job key document of files.KEY_DOCUMENTS, "theirs". joined:
    whether a trainer of ours is told to join. calls: what a stranger calls, by name in onchain.CALLS. reference:
    whether the job pays by the owner's data. enrolment: seconds from now. good: the seat is one of a good job.
    """

    number: int
    kind: str
    role: Role
    name: str
    client: bool = False
    owner: Literal["listed", "stranger"] = "stranger"
    edits: tuple[Edit, ...] = ()
    form: str = ""
    terms: tuple[tuple[str, int], ...] = ()
    contract: str = ""
    part: str = ""
    cid: bytes | None = None
    shelf: str = ""
    base: str = ""
    pinned: str = ""
    owner_key: bytes | None = None
    seats: tuple[Seat, ...] = ()
    judge: Literal["ours", "theirs"] = "ours"
    document: str = ""
    joined: bool = False
    calls: tuple[str, ...] = ()
    reference: bool = False
    enrolment: int | None = None
    good: bool = False

    def __str__(self) -> str:
        return f"{self.number}: {self.role}, {self.kind}: {self.name}"
