"""What this node sends with its own key for its user: remembered from before it is sent, so that a page that was closed
or reloaded meanwhile finds it again, and the same thing is not done twice at once."""

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from marketplace.api.forms import SentFacts
from marketplace.api.models import TransactionFacts
from marketplace.api.problems import Refusal
from marketplace.chain.market import Receipt
from marketplace.errors import ChainError, MeritError

KEPT = 100
FORGOTTEN = 3600.0  # seconds after which a transaction that the chain's node does not know is given up
_HASH = re.compile(r"0x[0-9a-f]{64}")


class Sending:
    """One entry, while it is worked on."""

    def __init__(self, facts: SentFacts) -> None:
        self.facts = facts

    def mined(self, receipt: Receipt, job_id: int | None = None) -> None:
        known = {"transaction": receipt.transaction, "block": receipt.block}
        self.facts = self.facts.model_copy(update=known | ({} if job_id is None else {"job_id": job_id}))


class SentLog:
    """The latest KEPT entries. Threads of requests write to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[int, tuple[str, Sending]] = OrderedDict()
        self._number = int(time.time() * 1000)

    @contextmanager
    def sending(self, text: str, job_id: int | None = None, *, key: str = "") -> Iterator[Sending]:
        """Enters what is about to be sent, and how it ended. key: what makes it the same as another, else its text.

        Raises Refusal (409) while the same is being sent.
        """
        key = key or text
        with self._lock:
            for kept, entry in self._entries.values():
                if kept == key and entry.facts.state in ("working", "unsure"):
                    sent = f", in transaction {entry.facts.transaction}" if entry.facts.transaction else ""
                    raise Refusal(
                        409,
                        f"This node is already doing this{sent}: {text}. Wait for it; it is in the list of what was "
                        "sent.",
                    )
            self._number += 1
            facts = SentFacts(
                number=self._number,
                text=text,
                job_id=job_id,
                since=time.time(),
                state="working",
                transaction=None,
                block=None,
                problem=None,
            )
            entry = Sending(facts)
            self._entries[self._number] = (key, entry)
            for number in [n for n, (_, old) in self._entries.items() if old.facts.state in ("done", "failed")][:-KEPT]:
                del self._entries[number]
        try:
            yield entry
        except (MeritError, Refusal) as error:
            # A transaction that was not seen mined is named in the sentence: it may still be.
            named = _HASH.search(str(error)) if isinstance(error, ChainError) else None
            state = "unsure" if named else "failed"
            self._end(entry, state, problem=str(error), transaction=named[0] if named else None)
            raise
        except BaseException:
            self._end(entry, "failed", problem="An unexpected error ended it: the node's log says more.")
            raise
        self._end(entry, "done")

    def resolve(self, look: Callable[[str], TransactionFacts]) -> None:
        """Looks again at what was not seen in a block in time. Raises ChainError."""
        with self._lock:
            unsure = [entry for _, entry in self._entries.values() if entry.facts.state == "unsure"]
        for entry in unsure:
            found = look(entry.facts.transaction or "")
            if found.state == "done":
                job = {} if found.job_id is None else {"job_id": found.job_id}
                self._end(entry, "done", problem=None, block=found.block, **job)
            elif found.state == "failed":
                self._end(entry, "failed", problem=found.reason, block=found.block)
            elif found.state == "unknown" and time.time() - entry.facts.since > FORGOTTEN:
                self._end(entry, "failed")

    def all(self) -> list[SentFacts]:
        """Newest first."""
        with self._lock:
            return [entry.facts for _, entry in reversed(self._entries.values())]

    def _end(self, entry: Sending, state: str, **more: str | int | None) -> None:
        with self._lock:
            entry.facts = entry.facts.model_copy(update={"state": state} | more)
