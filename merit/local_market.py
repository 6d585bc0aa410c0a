"""A whole market on this machine, to try things and to test programs with: chain, storage, contract, aggregator."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory

from marketplace.chain.clock import skip_to
from marketplace.keys.identity import Identity
from marketplace.services import local as services
from marketplace.services.agent import Notice
from marketplace.services.node import Node
from marketplace.settings import settings_with
from marketplace.spec import AggregatorConfig
from merit.market import Market
from merit.participation import Participation

POLL = 0.25  # seconds between two looks at a chain that costs nothing
STOP_WITHIN = 60.0  # seconds that a round of training may take to end

log = logging.getLogger("merit.local")


@dataclass(frozen=True)
class _Here:
    """Doors of an account of the local market."""

    place: services.LocalMarket
    me: Identity
    aggregator: AggregatorConfig
    joined: list[Participation]

    @property
    def poll(self) -> float:
        return self.place.settings.poll

    def acting(self) -> Node:
        return self.place.node(self.me)

    looking = acting


class LocalMarket(Market):
    """A market whose accounts have play money, and whose clock can be moved. Acts as the account `node`."""

    def __init__(self, place: services.LocalMarket) -> None:
        judge = place.identity(services.AGGREGATOR)
        self._place = place
        self._joined: list[Participation] = []
        self._judge = AggregatorConfig(address=judge.address, encryption_key="0x" + judge.encryption_key.hex())
        super().__init__(_Here(place, place.identity(services.ME), self._judge, self._joined))

    def account(self, name: str) -> Market:
        """The same market for another account, of this name, which is made and given coin where there is none."""
        return Market(_Here(self._place, self._place.funded(name), self._judge, self._joined))

    def stop(self) -> None:
        """Stops all trainers of this market that still work."""
        for participation in self._joined:
            with suppress(Exception):  # whoever waits for it is told
                participation.stop(STOP_WITHIN)

    def forward(self, seconds: int) -> None:
        """Moves the chain's clock on: deadlines pass."""
        connection = self._place.connection()
        skip_to(connection, connection.now() + seconds)


@contextmanager
def local(home: str | PathLike[str] | None = None, *, poll: float = POLL) -> Iterator[LocalMarket]:
    """A market of one's own, for as long as the `with` block lasts. A job whose document names no aggregator gets its.

    Trainers that still work are stopped at its end. home: a folder to keep it in, which makes later jobs begin sooner;
    by default it is gone with the block. poll: seconds between two looks at the chain.
    Raises InputError where another process has the folder, MeritError where there is no Anvil and none can be had.
    """
    with ExitStack() as stack:
        folder = Path(fspath(home)) if home else Path(stack.enter_context(TemporaryDirectory(prefix="merit-")))
        settings = settings_with({"home": folder, "poll": poll})
        place = stack.enter_context(services.local_market(settings, chain_port=0, say=log.warning))
        judge = place.node(place.identity(services.AGGREGATOR))
        stack.enter_context(services.aggregating(judge, poll, _tell))
        market = LocalMarket(place)
        try:
            yield market
        finally:
            market.stop()


def _tell(notice: Notice) -> None:
    log.info(notice.text)
