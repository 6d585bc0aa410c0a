"""Storage for a job's participants: who may put and get, and how much.

A request names the job and the time and is signed by an account of the job (EIP-191, "personal message") over

    Merit content ⏎ chain ID ⏎ market ADDRESS ⏎ job N ⏎ METHOD CID ⏎ time SECONDS

so that a signature serves one content, one job, one market, for a few minutes.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable

from eth_account import Account
from eth_account.messages import encode_defunct

from marketplace.api.problems import Refusal
from marketplace.domain import Left
from marketplace.errors import NotFound
from marketplace.services.index import Index

MAX_CONTENT = 256 << 20  # bytes of one content
QUOTA = 2 << 30  # bytes that a participant may put for a job while the node runs
FRESH = 300  # seconds by which a signature's time may be off


def message(*, chain_id: int, market: str, job_id: int, method: str, cid: str, moment: int) -> str:
    """What an account signs."""
    return f"Merit content\nchain {chain_id}\nmarket {market}\njob {job_id}\n{method} {cid}\ntime {moment}"


class ContentDesk:
    """Decides about requests. clock: Unix seconds."""

    def __init__(self, index: Index, chain_id: int, market: str, clock: Callable[[], float] = time.time) -> None:
        self._index = index
        self._chain_id = chain_id
        self._market = market
        self._clock = clock
        self._lock = threading.Lock()
        self._used: Counter[tuple[int, str]] = Counter()

    def participant(self, *, job_id: int, method: str, cid: str, moment: int, signature: str) -> str:
        """The account that signed, when it is of the job. Raises Refusal."""
        if abs(self._clock() - moment) > FRESH:
            raise Refusal(401, "The signature's time is too far from this node's clock.")
        text = message(
            chain_id=self._chain_id, market=self._market, job_id=job_id, method=method, cid=cid, moment=moment
        )
        try:
            account: str = Account.recover_message(encode_defunct(text=text), signature=signature)
        except Exception as error:
            raise Refusal(401, "The request's signature is none.") from error
        if account not in self._members(job_id):
            raise Refusal(403, f"{account} takes no part in job {job_id}: it may not use this node's storage.")
        return account

    def charge(self, job_id: int, account: str, size: int) -> None:
        """Counts bytes that are to be stored. Raises Refusal (507) when they are too many."""
        with self._lock:
            if self._used[job_id, account] + size > QUOTA:
                raise Refusal(507, f"{account} has put all that this node stores for a participant of job {job_id}.")
            self._used[job_id, account] += size

    def _members(self, job_id: int) -> set[str]:
        try:
            history = self._index.history(job_id)
        except NotFound:
            return set()
        trainers = {who.operator for who in history.enrolled if not isinstance(who.until, Left)}
        aggregator = {history.accepted.aggregator} if history.accepted else set()
        return {history.created.owner} | aggregator | trainers
