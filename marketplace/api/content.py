"""Storage for a market's participants: who may put and get, and how much.

Requests are signed as storage/peer.py says. Who is of any job of the market may put and get, also after leaving one
that had started; not an aggregator that was taken over from before it had judged a round. What a job's description
names, anybody may get: whoever thinks of joining has to look at it first.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from eth_account import Account
from eth_account.messages import encode_defunct

from marketplace.api.problems import Refusal
from marketplace.domain import AggregationAccepted, JobCreated, Joined, TakenOver
from marketplace.errors import NotFound
from marketplace.services.index import Index
from marketplace.storage.peer import message

QUOTA = 2 << 30  # bytes that an account may put while the node runs
FRESH = 300  # seconds by which a signature's time may be off
MOST_SIGNED = 20_000  # requests of an account in the time that its signatures are remembered
MOST_JOBS = 100  # an account's latest, that are looked through for one that it has not left


@dataclass(frozen=True, slots=True)
class Signed:
    """What came with a request. host: its Host header; moment: Unix seconds."""

    host: str
    method: str
    cid: str
    moment: int
    nonce: str
    signature: str


class ContentDesk:
    """Decides about requests. admitted: accounts that need not take part in a job. clock: Unix seconds."""

    def __init__(
        self,
        index: Index,
        chain_id: int,
        market: str,
        admitted: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._index = index
        self._chain_id = chain_id
        self._market = market
        self._admitted = admitted
        self._clock = clock
        self._lock = threading.Lock()
        self._used: Counter[str] = Counter()
        self._seen: dict[str, _Recent] = {}

    def is_open(self, cid: str) -> bool:
        """Whether anybody may have it."""
        return self._index.is_named(cid)

    def participant(self, signed: Signed) -> str:
        """The account that signed, when it is of a job. Raises Refusal."""
        now = self._clock()
        if abs(now - signed.moment) > FRESH:
            raise Refusal(401, "The signature's time is too far from this node's clock.")
        text = message(
            host=signed.host,
            chain_id=self._chain_id,
            market=self._market,
            method=signed.method,
            cid=signed.cid,
            moment=signed.moment,
            nonce=signed.nonce,
        )
        try:
            account: str = Account.recover_message(encode_defunct(text=text), signature=signed.signature)
        except Exception as error:
            raise Refusal(401, "The request has no usable signature.") from error
        if account not in self._admitted and not self._takes_part(account):
            raise Refusal(403, f"{account} takes part in no job of this market: it may not use this node's storage.")
        with self._lock:
            self._seen.setdefault(account, _Recent()).add(signed.nonce, now)
        return account

    @contextmanager
    def charged(self, account: str, size: int) -> Iterator[None]:
        """Counts bytes that are stored in this block, unless it fails. Raises Refusal (507) when they are too many."""
        with self._lock:
            if self._used[account] + size > QUOTA:
                raise Refusal(507, f"{account} has put all that this node stores for one account.")
            self._used[account] += size
        try:
            yield
        except BaseException:
            with self._lock:
                self._used[account] -= size
            raise

    def _takes_part(self, account: str) -> bool:
        kinds = [JobCreated, AggregationAccepted, TakenOver, Joined]
        news = self._index.events(party=account, kinds=kinds, limit=MOST_JOBS, newest_first=True)
        return any(self._is_of(account, entry.event.job_id) for entry in news)

    def _is_of(self, account: str, job_id: int) -> bool:
        try:
            history = self._index.history(job_id)
        except NotFound:
            return False
        others = {history.created.owner} | {entry.aggregator for entry in history.rounds}
        if history.accepted is not None:
            others.add(history.accepted.aggregator)
        return account in others or history.slot_of(account) is not None


class _Recent:
    """An account's nonces, for as long as a signature with them would be taken."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._in_order: deque[tuple[float, str]] = deque()

    def add(self, nonce: str, now: float) -> None:
        """Raises Refusal (401) for one that is known, 429 for too many."""
        while self._in_order and self._in_order[0][0] < now - 2 * FRESH:
            self._known.discard(self._in_order.popleft()[1])
        if nonce in self._known:
            raise Refusal(401, "The signature was used before: sign each request anew.")
        if len(self._known) >= MOST_SIGNED:
            raise Refusal(429, "This account asks too often: wait some minutes.", {"Retry-After": "60"})
        self._known.add(nonce)
        self._in_order.append((now, nonce))
