"""A job, rebuilt from its events alone: what happened, what each rule says must have followed, and every difference.

The rules are market.md's, computed a second time, in the order in which JobMarket.sol applies them. A call that the
contract took shows as one event of its own (joined, settled, …) and the credits, ejections and openings that follow
from it; `cancel` and `abort` show as their consequences only, which end with Ended. Nothing here knows a chain or a
clock.

    history.py        what a replay yields            log.py            the walk along the log
    rules.py          which call is whose             due.py            what must follow a call
    enrolling.py, rounds.py, failing.py, claiming.py  the calls by phase; steps.py: what they share
    conservation.py   all jobs' money against the contract's balance
"""

from marketplace.replay.conservation import conservation, tokens
from marketplace.replay.history import Enrolled, Finding, JobHistory, Round
from marketplace.replay.log import replay

__all__ = ["Enrolled", "Finding", "JobHistory", "Round", "conservation", "replay", "tokens"]
