"""A whole market on this machine, to try things: a chain of its own, storage, the contract, and an aggregator at work.

For `merit up` and `merit.local()`. Its keys and its coin are worth nothing.
"""

import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from marketplace.chain.anvil import Anvil
from marketplace.chain.connection import Connection
from marketplace.chain.deploy import AddressBook, Deployment, deploy, is_lost
from marketplace.chain.events import EventReader
from marketplace.chain.fund import fund
from marketplace.chain.journal import Journal
from marketplace.chain.market import Market, is_market
from marketplace.errors import NotFound
from marketplace.files import exclusive
from marketplace.keys.identity import Identity
from marketplace.keys.keystore import Keystore
from marketplace.services.agent import Report, run
from marketplace.services.node import Node
from marketplace.settings import Settings
from marketplace.storage import Caller, open_storage

if TYPE_CHECKING:
    from marketplace.services.dispatcher import Dispatcher

LOCAL_PASSWORD = "local"  # noqa: S105 - keys of a throwaway chain
LOCAL_SCRYPT = 4096
ME, AGGREGATOR = "node", "aggregator"  # names of keys
SAMPLES = ("sample-1", "sample-2")  # with the node's own key as many as a first job asks for
POCKET = 10 * 10**18  # wei below which a key of the local chain is filled up

log = logging.getLogger("merit.local")


@dataclass(frozen=True, slots=True)
class LocalMarket:
    """rpc: the chain's address. storage: its own. home: of the market and all who act in it."""

    settings: Settings
    rpc: str
    deployment: Deployment
    storage: str
    home: Path

    def identity(self, name: str) -> Identity:
        """Of a party by name; its key is made where there is none."""
        return _key(self.home, name)

    def funded(self, name: str) -> Identity:
        """The same, with coin to act with."""
        identity = self.identity(name)
        _fill_pocket(self.connection(), identity)
        return identity

    def connection(self) -> Connection:
        """For one thread."""
        return Connection(self.rpc, timeout=self.settings.rpc_timeout)

    def node(self, identity: Identity, home: Path | None = None) -> Node:
        """With connections of its own, for one thread. home: the market's by default."""
        home, connection, place = home or self.home, self.connection(), self.deployment
        journal = Journal(home / "sent")
        market = Market(connection, place.market, receipt_within=self.settings.receipt_timeout, journal=journal)
        events = EventReader(connection, place.market, place.block)
        caller = Caller(identity.account, connection.chain_id, market.address)
        storage = open_storage(self.storage, timeout=self.settings.storage_timeout, caller=caller)
        return Node(market, events, storage, home, identity)


@contextmanager
def local_market(settings: Settings, *, chain_port: int, say: Callable[[str], object]) -> Iterator[LocalMarket]:
    """For as long as the block lasts; its chain and all else is kept in the folder `local` of the home folder.

    chain_port: 0 for any that is free. say: told what was lost since the last time. Raises InputError where another
    process has this market, and as `Anvil` does.
    """
    home = settings.home_folder / "local"
    home.mkdir(parents=True, exist_ok=True)
    with exclusive(home):
        me, aggregator = _key(home, ME), _key(home, AGGREGATOR)
        with Anvil(port=chain_port, state=home / "chain.json") as anvil:
            connection = Connection(anvil.url, timeout=settings.rpc_timeout)
            for identity in (me, aggregator):
                _fill_pocket(connection, identity)
            entry = _market(home, connection, me, say)
            yield LocalMarket(settings, anvil.url, entry, settings.storage or f"folder:{home / 'storage'}", home)


@contextmanager
def aggregating(node: Node, poll: float, tell: Report) -> Iterator["Dispatcher"]:
    """Serves the jobs that name the node's account, as its policy and its user accept them, in a thread of its own."""
    from marketplace.services.dispatcher import Dispatcher  # noqa: PLC0415 (torch takes seconds)

    stop = threading.Event()
    dispatcher, heads = Dispatcher(node, node.me.address, tell), node.market.connection.heads

    def serve() -> None:
        while not stop.is_set():
            try:
                run(dispatcher, report=tell, poll=poll, patience=float("inf"), stop=stop, heads=heads)
            except Exception:
                if not stop.is_set():
                    log.exception("the aggregator")
                stop.wait(5.0)
        dispatcher.close()

    thread = threading.Thread(target=serve, name="aggregator", daemon=True)
    thread.start()
    try:
        yield dispatcher
    finally:
        stop.set()
        thread.join(60)


def _key(home: Path, name: str) -> Identity:
    keys = Keystore(home / "keys", scrypt_n=LOCAL_SCRYPT)
    try:
        return keys.load(name, LOCAL_PASSWORD)
    except NotFound:
        return keys.create(name, LOCAL_PASSWORD)


def _fill_pocket(connection: Connection, identity: Identity) -> None:
    if connection.balance(identity.address) < POCKET:
        fund(connection, identity.address)


def _market(home: Path, connection: Connection, me: Identity, say: Callable[[str], object]) -> Deployment:
    """The local market; a new one where the chain has none, and where it has lost it, which is said."""
    book = AddressBook(home / "markets.json")
    entry = book.find(connection.chain_id)
    if entry is not None and is_lost(connection, entry):
        aside = _set_aside(home)
        say(
            f"The state of the local chain was lost: the market {entry.market}, its jobs and their money are gone. "
            f"A new market starts on a new chain. What this node had noted of the old one is in {aside}."
        )
        entry = None
    elif entry is not None and not is_market(connection, entry.market):
        say(f"The market {entry.market} is of another version of Merit: a new one is deployed.")
        entry = None
    if entry is None:
        entry = deploy(connection, me.account)
        book.put(connection.chain_id, entry)
    return entry


def _set_aside(home: Path) -> Path:
    """Moves what is known of a chain that is lost out of the way: its jobs' numbers will be those of other jobs."""
    lost = home / "lost"
    lost.mkdir(exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=lost, prefix=datetime.now(UTC).strftime("%Y-%m-%d-")))
    for name in ("index", "trainers", "work", "sent", "markets.json", *SAMPLES):
        if (home / name).exists():
            (home / name).rename(aside / name)
    return aside
