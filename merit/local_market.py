"""A whole market on this machine, to try things and to test programs with: chain, storage, contract, aggregator."""

import logging
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

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
    """A market whose accounts have play money, and whose clock can be moved. Acts as the account `node`.

    A job whose document names no aggregator gets the one that works here. It ends with `close`, or its `with` block.
    """

    def __init__(self, home: str | PathLike[str] | None = None, *, poll: float = POLL) -> None:
        with ExitStack() as stack:
            folder = Path(fspath(home)) if home else Path(stack.enter_context(TemporaryDirectory(prefix="merit-")))
            settings = settings_with({"home": folder, "poll": poll})
            self._place = stack.enter_context(services.local_market(settings, chain_port=0, say=log.warning))
            judge = self._place.identity(services.AGGREGATOR)
            stack.enter_context(services.aggregating(self._place.node(judge), poll, _tell))
            self._joined: list[Participation] = []
            stack.callback(self._stop_trainers)
            self._judge = AggregatorConfig(address=judge.address, encryption_key="0x" + judge.encryption_key.hex())
            self._open = stack.pop_all()
        super().__init__(self._doors_of(self._place.identity(services.ME)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops the trainers that still work, the aggregator and the chain."""
        self._open.close()

    def account(self, name: str) -> Market:
        """The same market for another account, of this name, which is made and given coin where there is none."""
        return Market(self._doors_of(self._place.funded(name)))

    def forward(self, seconds: int) -> None:
        """Moves the chain's clock on: deadlines pass."""
        connection = self._place.connection()
        skip_to(connection, connection.now() + seconds)

    def _doors_of(self, identity: Identity) -> _Here:
        return _Here(self._place, identity, self._judge, self._joined)

    def _stop_trainers(self) -> None:
        for participation in self._joined:
            with suppress(Exception):  # whoever waits for it is told
                participation.stop(STOP_WITHIN)


def local(home: str | PathLike[str] | None = None, *, poll: float = POLL) -> LocalMarket:
    """A market of one's own on this machine.

    home: a folder to keep it in, which makes later jobs begin sooner; by default it is gone afterwards. poll: seconds
    between two looks at the chain.
    Raises InputError where another process has the folder, MeritError where there is no Anvil and none can be had.
    """
    return LocalMarket(home, poll=poll)


def _tell(notice: Notice) -> None:
    log.info(notice.text)
