"""`merit up`: a node with its page; without --rpc, a whole market on this machine to try."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from eth_utils.address import is_checksum_address

from marketplace.chain.anvil import Anvil
from marketplace.chain.connection import Connection
from marketplace.chain.deploy import AddressBook, Deployment, deploy
from marketplace.chain.events import EventReader
from marketplace.chain.fund import fund
from marketplace.chain.market import Market
from marketplace.cli.session import Session, session, stop_on_signals
from marketplace.errors import ChainError, InputError, NotFound
from marketplace.files import exclusive
from marketplace.keys.identity import Identity
from marketplace.keys.keystore import Keystore
from marketplace.services.node import Node
from marketplace.storage import Caller, open_storage

if TYPE_CHECKING:
    from marketplace.services.agent import Notice

DIST = Path(__file__).resolve().parents[2] / "frontend" / "dist"
LOCAL_PASSWORD = "local"  # noqa: S105 - keys of a throwaway chain
LOCAL_SCRYPT = 4096
POCKET = 10 * 10**18  # wei below which a key of the local chain is filled up

log = logging.getLogger("merit.up")


def up(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 8080,
    data: Annotated[
        list[Path] | None, typer.Option(help="A folder whose data the page may use; can be given again.")
    ] = None,
    listen: Annotated[str, typer.Option(help="Address to listen on; others than loopback show the market to all.")] = (
        "127.0.0.1"
    ),
    name: Annotated[
        list[str] | None, typer.Option(help="A host name that this node is known by; can be given again.")
    ] = None,
    index: Annotated[
        str,
        typer.Option(envvar="MERIT_INDEX", help="SQLAlchemy URL of the index; a file in the home folder by default."),
    ] = "",
    admit: Annotated[
        list[str] | None,
        typer.Option(help="An account that may use this node's storage before it is in a job; can be given again."),
    ] = None,
    chain_port: Annotated[int, typer.Option(help="Without --rpc: port of the local chain; 0 takes a free one.")] = 8545,
) -> None:
    """Run a node and its page until Ctrl-C; without --rpc, with a chain, storage, market and aggregator of its own."""
    from marketplace.api.folders import Folders
    from marketplace.api.guard import token_of
    from marketplace.api.hub import Hub
    from marketplace.api.logs import log_to_stderr
    from marketplace.api.node import NodeServices
    from marketplace.api.serve import listen as bind
    from marketplace.api.serve import running, server_of
    from marketplace.api.trainers import TrainerPool
    from marketplace.services.index import Index

    here = session(context)
    log_to_stderr()
    stop_on_signals()  # for what comes before and after the server, which has handlers of its own
    with ExitStack() as stack:
        place = stack.enter_context(_local(here, chain_port)) if _alone(here) else _shared(here)
        node = place.open_node()
        market, home = node.market, node.home
        token = token_of(home)
        socket = stack.enter_context(bind(listen, port))
        chosen = f"{market.connection.chain_id}-{market.address}"
        (home / "index").mkdir(parents=True, exist_ok=True)
        index_url = index or f"sqlite:///{home / 'index' / f'{chosen}-{place.first_block}.sqlite'}"
        hub = Hub()
        services = NodeServices(
            node=node,
            index=Index(
                index_url,
                chain_id=market.connection.chain_id,
                market=market.address,
                first_block=place.first_block,
            ),
            hub=hub,
            trainers=TrainerPool(place.open_node, home / "trainers" / f"{chosen}.json", hub, poll=here.settings.poll),
            token=token,
            folders=Folders(data or []),
            version=version("merit"),
            aggregator=place.aggregator,
            local_rpc=place.rpc,
            hosts=tuple(name or ()),
            admitted=frozenset(_account(address) for address in admit or ()),
            dist=DIST,
        )
        stack.enter_context(running(services, place.open_node, poll=here.settings.poll))
        shown = f"[{listen}]" if ":" in listen else listen
        url = f"http://{shown}:{socket.getsockname()[1]}/#token={token}"
        facts = {"url": url, "market": market.address, "rpc": place.rpc or "", "home": str(home)}
        here.show(facts, f"The page is {url}\nCtrl-C stops it.")
        server_of(services).run(sockets=[socket])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node works. rpc: the chain's address, where it is this node's own."""

    open_node: Callable[[], Node]
    first_block: int
    aggregator: Identity | None = None
    rpc: str | None = None


def _account(address: str) -> str:
    if not is_checksum_address(address):
        raise InputError(f"--admit {address!r} is no address with a correct EIP-55 checksum.")
    return address


def _alone(here: Session) -> bool:
    return "rpc" not in here.settings.model_fields_set


def _shared(here: Session) -> Place:
    """A chain that others use too, with the chosen key where there is one, else to look on."""
    settings = here.settings
    try:
        here.keystore().path_of(settings.key)
        identity = here.identity()
    except NotFound:
        identity = None
        here.err.print(f"There is no key {settings.key!r}: this node only looks on. `merit key new` makes one.")
    first = here.node_of(identity)
    entry = here.address_book().find(first.market.connection.chain_id)
    first_block = entry.block if entry is not None and entry.market == first.market.address else 0
    return Place(lambda: here.node_of(identity), first_block)


@contextmanager
def _local(here: Session, chain_port: int) -> Iterator[Place]:
    """A chain, storage, market and aggregator of its own, in a folder of their own; the chain is kept there."""
    settings = here.settings
    home = settings.home_folder / "local"
    home.mkdir(parents=True, exist_ok=True)
    keys = Keystore(home / "keys", scrypt_n=LOCAL_SCRYPT)
    me, aggregator = _local_key(keys, "node"), _local_key(keys, "aggregator")
    storage = settings.storage or f"folder:{home / 'storage'}"
    with ExitStack() as stack:
        stack.enter_context(exclusive(home))
        anvil = stack.enter_context(Anvil(port=chain_port, state=home / "chain.json"))
        connection = Connection(anvil.url, timeout=settings.rpc_timeout)
        for identity in (me, aggregator):
            if connection.ask(lambda eth, who=identity.account.address: eth.get_balance(who)) < POCKET:  # type: ignore[misc]
                fund(connection, identity.address)
        entry = _market(AddressBook(home / "markets.json"), connection, me)

        def opened(identity: Identity) -> Node:
            reached = Connection(anvil.url, timeout=settings.rpc_timeout)
            market = Market(reached, entry.market, receipt_within=settings.receipt_timeout)
            events = EventReader(reached, entry.market, entry.block)
            caller = Caller(identity.account, reached.chain_id, market.address)
            kept = open_storage(storage, timeout=settings.storage_timeout, caller=caller)
            return Node(market, events, kept, home, identity)

        with _aggregating(opened(aggregator), settings.poll):
            yield Place(lambda: opened(me), entry.block, aggregator, anvil.url)


def _local_key(keys: Keystore, name: str) -> Identity:
    try:
        return keys.load(name, LOCAL_PASSWORD)
    except NotFound:
        return keys.create(name, LOCAL_PASSWORD)


def _market(book: AddressBook, connection: Connection, me: Identity) -> Deployment:
    """The local market; deployed where the chain does not have it (any more)."""
    entry = book.find(connection.chain_id)
    if entry is not None:
        try:
            Market(connection, entry.market)
        except ChainError:
            entry = None
    if entry is None:
        entry = deploy(connection, me.account)
        book.put(connection.chain_id, entry)
    return entry


@contextmanager
def _aggregating(node: Node, poll: float) -> Iterator[None]:
    """Serves every job that names the local aggregator."""
    from marketplace.services.agent import run
    from marketplace.services.dispatcher import Dispatcher

    stop = threading.Event()

    def tell(notice: "Notice") -> None:
        facts = {"kind": notice.kind, "round": notice.round, **notice.values}
        log.info(notice.text, extra={"facts": facts})

    def serve() -> None:
        while not stop.is_set():
            try:
                dispatcher = Dispatcher(node, node.me.address, tell)
                run(dispatcher, report=tell, poll=poll, patience=float("inf"), stop=stop)
            except Exception:
                if not stop.is_set():
                    log.exception("the aggregator")
                stop.wait(5.0)

    thread = threading.Thread(target=serve, name="aggregator", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
