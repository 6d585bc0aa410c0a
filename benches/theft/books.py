"""What the end of a job brings a coalition, in parts of the pot."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from aggregator.points import divide
from benches.pay.play import POT
from marketplace.domain import most_unopened


class Ending(Enum):
    """What is disputed when a job is over."""

    UNDISPUTED = "undisputed"
    SUM = "the sum is disputed"
    ROWS = "the rows are disputed, or nobody revealed the validation data"


@dataclass(frozen=True, slots=True)
class Terms:
    """The money of a job whose pot is POT. bonded: the bond is max_faulty + 1 equal parts; else there is none."""

    trainers: int
    max_faulty: int
    rounds: int
    bonded: bool = True

    @property
    def bond(self) -> int:
        return POT * (self.max_faulty + 1) // self.trainers if self.bonded else 0

    @property
    def reward(self) -> int:
        return POT // self.rounds

    @property
    def fee(self) -> int:
        """Of a round: 6 % of its reward."""
        return self.reward * 6 // 100

    @property
    def quorum(self) -> int:
        return min(self.max_faulty + 1, self.trainers)

    @property
    def unopened(self) -> int:
        """How many good submissions of all trainers' the aggregator may leave out of a round."""
        return most_unopened(self.trainers, self.max_faulty)


@dataclass(frozen=True, slots=True)
class Coalition:
    """members: slots of trainers. owner: None where the owner's part is 0, so that it is all the same.

    Stakes are left out: they come back, and a slash for strikes is burnt.
    """

    members: Sequence[int] = ()
    aggregator: bool = False
    owner: bool | None = False

    def __str__(self) -> str:
        names = ["(owner)" if self.owner is None else "owner"] * (self.owner is not False)
        names += ["aggregator"] * self.aggregator
        count = len(self.members)
        return " + ".join([*names, *([f"{count} trainer{'s' * (count > 1)}"] if count else [])])


def takes(
    terms: Terms,
    coalition: Coalition,
    balances: Sequence[int],
    opened: Sequence[int],
    ending: Ending = Ending.UNDISPUTED,
    settled: int | None = None,
) -> int:
    """What the coalition has more when the job is over than it paid in for settled rounds (all, if not said).

    Nothing of a settled round's pot goes to the owner, so its part is 0 whatever the division.
    """
    rounds = terms.rounds if settled is None else settled
    pay = divide(terms.reward * rounds, balances, opened, disputed=ending is Ending.ROWS)
    money = sum(pay[slot] for slot in coalition.members)
    if coalition.aggregator:
        money += terms.fee * rounds if ending is Ending.UNDISPUTED else -terms.bond
    return money


def percent(money: int) -> float:
    """In percent of the pot."""
    return 100 * money / POT
