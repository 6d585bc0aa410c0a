"""Which attack a campaign's seed and a number in it stand for. Every list is gone through, in the seed's order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from random import Random
from typing import Any

from tests.hostile.attack import Attack, Role, Seat
from tests.hostile.material import files, forms, onchain

ONE_SEAT = (("minTrainers", 1), ("maxTrainers", 1), ("maxFaulty", 0))
AT_BOUNDS = tuple((field, value) for field, values in forms.BOUNDS.items() for value in values)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:40]}… ({len(text)} characters)"


@dataclass(frozen=True)
class Kind:
    """A list and what an attack of it looks like. weight: how many of a hundred. client: how many in a hundred of them
    are written with Merit's own client. joined: in how many a trainer of ours is told to join."""

    role: Role
    name: str
    weight: int
    of: Sequence[Any]
    made: Callable[[Attack, Any], Attack]
    client: int = 0
    joined: int = 0


def _edit(attack: Attack, edit: tuple[str, str]) -> Attack:
    return replace(attack, name=f"{edit[0]} = {_short(edit[1])}", edits=(edit,))


def _terms(attack: Attack, term: tuple[str, int]) -> Attack:
    return replace(attack, name=f"{term[0]} = {_short(term[1])}", terms=(term,))


def _pair(attack: Attack, terms: tuple[tuple[str, int], ...]) -> Attack:
    return replace(attack, name=", ".join(f"{name} = {_short(value)}" for name, value in terms), terms=terms)


def _contract(attack: Attack, what: tuple[str, str]) -> Attack:
    free = (("reward", 0), ("fee", 0)) if what[1] == "token" else ()
    return replace(attack, name=f"a {what[1]} that {what[0]}", contract=what[0], part=what[1], terms=free)


def _submission(attack: Attack, what: str) -> Attack:
    return replace(attack, name=f"submits {what}", owner="listed", terms=ONE_SEAT, seats=(Seat(submits=what),))


def _values(attack: Attack, what: tuple[str, tuple[str, str]]) -> Attack:
    value, edit = what
    seats = (Seat(submits=f"values: {value}"),)
    name = f"submits {value} where {edit[0]} = {_short(edit[1])}"
    return replace(attack, name=name, owner="listed", edits=(edit,), terms=ONE_SEAT, seats=seats)


def _key(attack: Attack, key: tuple[str, bytes]) -> Attack:
    return replace(attack, name=key[0], owner="listed", terms=ONE_SEAT, seats=(Seat(key[1], "an honest update"),))


def _openings(attack: Attack, count: int) -> Attack:
    seats = (Seat(submits="random bytes", shows=count),)
    return replace(attack, name=f"{count} of them", owner="listed", terms=ONE_SEAT, seats=seats)


def _document(attack: Attack, document: str) -> Attack:
    return replace(attack, name=document, judge="theirs", document=document, joined=True)


def _validation(attack: Attack, edit: tuple[str, str]) -> Attack:
    return replace(_edit(attack, edit), reference=True, owner="listed")


def _guest(attack: Attack, what: tuple[str, tuple[str, bytes] | None]) -> Attack:
    submits, key = what
    name = f"submits {submits}" + (f", with the key {key[0]}" if key else "")
    return replace(attack, name=name, good=True, seats=(Seat(key[1] if key else None, submits, shows=3),))


SUBMITTED = (*files.SUBMISSIONS, *files.UNPUBLISHED, *(f"values: {value}" for value in files.VALUES))
TO_BE_HAD = tuple(name for name in SUBMITTED if name not in files.UNPUBLISHED)  # others are waited for, for minutes
VALIDATION = (
    *(("validation.samples", value) for value in ("1", "0", "1e30", "2147483648", "NaN")),
    *(("validation.sealed_cid", f'"{cid}"') for cid in ("NOWHERE", "RANDOM", "../../etc/passwd", "", "a\\nb", "BASE")),
    *(("validation.commitment", f'"0x{digit * 64}"') for digit in "0f"),
    ("validation", "null"),
    ("validation", '{"commitment":"0x' + "0" * 64 + '","sealed_cid":"RANDOM","samples":1,"more":1}'),
)

KINDS = (
    Kind("owner", "a number", 27, forms.NUMBERS, _edit, client=30, joined=6),
    Kind("owner", "a model", 4, forms.ARCHITECTURES, _edit, client=40, joined=6),
    Kind("owner", "text and fields", 6, forms.SCHEMAS, _edit, client=30, joined=4),
    Kind("owner", "bytes", 4, tuple(forms.FORMS), lambda a, form: replace(a, name=form, form=form), joined=10),
    Kind("owner", "a term", 11, onchain.TERMS, _terms),
    Kind("owner", "terms together", 2, onchain.PAIRS, _pair),
    Kind(
        "owner", "enrolment", 1, onchain.ENROLMENT, lambda a, after: replace(a, name=f"for {after} s", enrolment=after)
    ),
    Kind("owner", "a contract", 3, tuple(product(onchain.CONTRACTS, onchain.PARTS)), _contract, joined=10),
    Kind("owner", "a CID", 4, onchain.CIDS, lambda a, cid: replace(a, name=cid[0], cid=cid[1]), joined=10),
    Kind("owner", "a base model", 5, tuple(files.BASES), lambda a, base: replace(a, name=base, base=base), joined=25),
    Kind("owner", "a key", 2, onchain.KEYS, lambda a, key: replace(a, name=key[0], owner_key=key[1]), joined=20),
    Kind("owner", "a set-up", 2, tuple(files.PINNED), lambda a, what: replace(a, name=what, pinned=what), joined=20),
    Kind("owner", "a folder", 2, tuple(files.SHELVES), lambda a, how: replace(a, name=how, shelf=how), joined=15),
    Kind("owner", "validation data", 2, VALIDATION, _validation),
    Kind("trainer", "a key", 2, onchain.KEYS, _key),
    Kind("trainer", "a submission", 6, SUBMITTED, _submission),
    Kind("trainer", "values", 5, tuple(product(files.VALUES, AT_BOUNDS)), _values),
    Kind("trainer", "openings", 1, (1, 20, 60), _openings),
    Kind("trainer", "a seat in a good job", 3, tuple(product(TO_BE_HAD, (None, *onchain.KEYS[:3]))), _guest),
    Kind("aggregator", "a job key", 3, tuple(files.KEY_DOCUMENTS), _document),
    Kind("stranger", "a call", 5, tuple(onchain.CALLS), lambda a, call: replace(a, name=call, calls=(call,))),
)
CYCLE = sum(kind.weight for kind in KINDS)
MATERIAL = sum(len(kind.of) for kind in KINDS)


def draw(seed: int, number: int) -> Attack:
    """The attack of this number, from 0, in the campaign of this seed."""
    order = [kind for kind in KINDS for _ in range(kind.weight)]
    Random(f"{seed}").shuffle(order)
    turn, place = divmod(number, CYCLE)
    kind = order[place]
    before = turn * kind.weight + order[:place].count(kind)
    lap, index = divmod(before, len(kind.of))
    elements = list(kind.of)
    Random(f"{seed} {kind.role} {kind.name} {lap}").shuffle(elements)
    random = Random(f"{seed} {number}")
    plain = Attack(number, kind.name, kind.role, "", owner=random.choice(("listed", "stranger")))
    attack = kind.made(plain, elements[index])
    client = random.randrange(100) < kind.client
    joined = attack.joined or random.randrange(100) < kind.joined
    return replace(attack, client=client, joined=joined)
