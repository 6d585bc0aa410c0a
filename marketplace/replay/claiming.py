"""Calls when the job is over: everybody takes what is theirs."""

from marketplace.domain import (
    ZERO_ADDRESS,
    Claimed,
    FeesClaimed,
    Reason,
    mask_of,
)
from marketplace.replay.due import Due, described
from marketplace.replay.steps import Steps


class Claiming(Steps):
    """When a job is over."""

    def _claim(self, event: Claimed) -> list[Due]:
        history, terms, slot = self.history, self._terms, event.slot
        self._over(event)
        member = bool(history.members >> slot & 1)
        history.must(event, member, f"member in seat {slot}", "a trainer", "nobody")
        history.must(event, slot not in history.claimed, described(event), "once", "again")
        if not member or slot in history.claimed:
            return []
        who = history.participants[slot]
        pay = history.divided(history.pot)[slot]
        stake, slashed = history.stake_of(who)
        history.claimed.add(slot)
        who.staked = False
        history.escrow -= pay
        rest = 0
        if mask_of(history.claimed) == history.members:
            rest = history.escrow - terms.fee * history.owed.total()
        history.escrow -= rest
        stated = {"pay": (pay, event.pay), "stake": (stake, event.stake), "slash": (slashed, event.slashed)}
        for name, (expected, found) in stated.items():
            history.must(event, expected == found, f"{name} of seat {slot}", expected, found)
        due = self._credit(who.payee, pay, Reason.PAY, f"pay of seat {slot}")
        due += self._credit(who.payee, stake, Reason.STAKE, f"stake of seat {slot}")
        return self._counted(due + self._credit(ZERO_ADDRESS, slashed + rest, Reason.BURNT, "what is burnt"))

    def _claim_fees(self, event: FeesClaimed) -> list[Due]:
        history = self.history
        self._over(event)
        fees = self._terms.fee * history.owed.pop(event.payee, 0)
        history.must(event, event.fees == fees, f"fees of {event.payee}", fees, event.fees)
        history.escrow -= fees
        return self._counted(self._credit(event.payee, fees, Reason.FEE, "fees of an aggregator before a takeover"))
