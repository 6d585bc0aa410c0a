"""Tells the receivers of `webhooks.yaml` what happens in the market's jobs.

The index is the queue: of each receiver only the place is kept up to which it has taken events, in a file that is
written after each. So nothing is held in memory, a node that was off sends what it missed, and an event that was taken
just before a crash is sent twice, with the same id. Each receiver has a thread of its own: a slow one delays nobody.
"""

import logging
import threading
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from marketplace.api import present
from marketplace.api.node import NodeServices
from marketplace.errors import InputError
from marketplace.files import read_within, write_atomically
from marketplace.services.agent import Notice, Step
from marketplace.services.index import Index, News
from marketplace.services.webhooks import Outcome, Sender, Webhook, message_of

BATCH = 200  # events that are read at once
OVERLAP = 256  # blocks before its place from which a receiver is told again after a reorganization
MAX_PLACE = 4096  # bytes of the file

log = logging.getLogger("merit.webhooks")


class Place(BaseModel):
    """How far a receiver is. generation, seq: of the index; "" and 0 before the first look. block: the last event's."""

    model_config = ConfigDict(extra="forbid")

    generation: str = ""
    seq: int = Field(default=0, ge=0)
    block: int = Field(ge=0)
    gone: bool = False


class Teller:
    """Tells one receiver: an agent of services.agent. accounts: the node's, for `jobs: own`."""

    def __init__(
        self, hook: Webhook, index: Index, sender: Sender, path: Path, *, chain_id: int, market: str, head: int,
        accounts: Collection[str],
    ) -> None:  # fmt: skip
        """head: the chain's last block: a receiver that is new is told what comes after. Raises InputError."""
        self.name = hook.name
        self.counts: Counter[str] = Counter()
        self._hook = hook
        self._index = index
        self._sender = sender
        self._path = path
        self._market = chain_id, market
        self._accounts = accounts
        self._place = _read(path) or Place(block=head)
        self._keep()

    @property
    def waiting(self) -> int:
        """How many events of the index lie after its place, whether or not they are for it."""
        return 0 if self._place.gone else max(0, self._index.last_seq - self._place.seq)

    def step(self) -> Step:
        """Sends what is there. A receiver that takes nothing holds up its own thread only."""
        generation = self._index.generation
        if self._place.gone or (generation != self._place.generation and not self._found(generation)):
            return Step.WAITING
        batch = self._index.events(after=self._place.seq, limit=BATCH)
        chosen = self._chosen(batch)
        for news in batch:
            if self._index.generation != generation:
                return Step.WORKED
            if news.seq in chosen and not self._tell(news):
                return Step.WAITING
            self._place.seq, self._place.block = news.seq, news.event.block
            if news.seq in chosen:
                self._keep()
        if batch:
            self._keep()
        return Step.WORKED if batch else Step.WAITING

    def report(self, notice: Notice) -> None:
        log.warning(notice.text)

    def _found(self, generation: str) -> bool:
        """Finds its place in an index that was built again, or lost its last blocks; False while it is behind."""
        new = not self._place.generation
        if (self._index.indexed or 0) < self._place.block:
            return False
        self._place.seq = self._index.seq_at(self._place.block if new else self._place.block - OVERLAP)
        self._place.generation = generation
        return True

    def _chosen(self, batch: list[News]) -> set[int]:
        """The sequence numbers of those that are for this receiver."""
        kinds, jobs = self._hook.events, self._hook.jobs
        found = [news for news in batch if not kinds or type(news.event).__name__ in kinds]
        if jobs == "all" or not found:
            return {news.seq for news in found}
        numbers = set(jobs) if jobs != "own" else self._index.jobs_of(self._accounts)
        return {news.seq for news in found if news.event.job_id in numbers}

    def _tell(self, news: News) -> bool:
        """False where it was stopped, or is gone for good: its place stays."""
        event = news.event
        chain_id, market = self._market
        document = {
            "type": type(event).__name__,
            "timestamp": datetime.fromtimestamp(event.timestamp, UTC).isoformat().replace("+00:00", "Z"),
            "data": present.chain_news(news).model_dump(mode="json") | {"chain_id": chain_id, "market": market},
        }
        outcome = self._sender.send(message_of(market, chain_id, event.place, event.transaction, document))
        self.counts[outcome.value] += 1
        if outcome is Outcome.GONE:
            log.warning("Webhook %s is gone, as its receiver says (410): nothing is sent to it any more.", self.name)
            self._place.gone = True
            self._keep()
        elif outcome is Outcome.GIVEN_UP:
            log.warning("Webhook %s never took an event of job %d: it is left out.", self.name, event.job_id)
        return outcome in (Outcome.TAKEN, Outcome.GIVEN_UP)

    def _keep(self) -> None:
        write_atomically(self._path, self._place.model_dump_json().encode())


def _read(path: Path) -> Place | None:
    try:
        return Place.model_validate_json(read_within(path, MAX_PLACE)) if path.exists() else None
    except ValidationError as error:
        raise InputError(f"{path} says no place: delete it, and its webhook is told what comes from now on.") from error


def tellers(services: NodeServices, stop: threading.Event) -> list[Teller]:
    """One for each of the node's webhooks; places are kept in its home folder. Raises InputError, ChainError."""
    if not services.webhooks:
        return []
    market = services.node.market
    chain_id, head = market.connection.chain_id, market.connection.head()
    folder = services.node.home / "webhooks" / f"{chain_id}-{market.address}"
    found = [
        Teller(
            hook, services.index, Sender(hook, stop, log.warning), folder / f"{hook.name}.json", chain_id=chain_id,
            market=market.address, head=head, accounts=services.accounts(),
        )
        for hook in services.webhooks
    ]  # fmt: skip
    services.metrics.tellers = found
    return found
