"""`merit up`: a node with its page; without --rpc, a whole market on this machine to try."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.chain import free_port
from marketplace.cli.session import Session, address, session, stop_on_signals
from marketplace.errors import NotFound
from marketplace.keys.identity import Identity
from marketplace.services.local import AGGREGATOR, ME, SAMPLES, aggregating, local_market
from marketplace.services.node import Node
from marketplace.services.running import RunningNode, announced, any_node, local_node, place_of

if TYPE_CHECKING:
    from marketplace.services.agent import Notice
    from marketplace.services.dispatcher import Dispatcher

DIST = Path(__file__).resolve().parents[2] / "frontend" / "dist"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "dist"

log = logging.getLogger("merit.up")


def up(
    context: typer.Context,
    port: Annotated[
        int, typer.Option(min=0, max=65535, envvar="MERIT_PORT", help="Port of the page; 0 takes a free one.")
    ] = 8080,
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
    chain_port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            envvar="MERIT_CHAIN_PORT",
            help="Without --rpc: port of the local chain; 0 takes a free one.",
        ),
    ] = 8545,
) -> None:
    """Run a node and its page until Ctrl-C; without --rpc, with a chain, storage, market and aggregator of its own.

    Commands that are given no --rpc, --storage and --market then use this market, from the same home folder.
    """
    from marketplace.api.folders import Folders
    from marketplace.api.guard import token_of
    from marketplace.api.hub import Hub
    from marketplace.api.logs import log_to_stderr
    from marketplace.api.node import NodeServices, Sample
    from marketplace.api.serve import listen as bind
    from marketplace.api.serve import running, server_of
    from marketplace.api.trainers import TrainerPool
    from marketplace.services.index import Index
    from marketplace.services.webhooks import FILE_NAME, read_webhooks

    here = session(context)
    alone = _alone(here)
    admitted = frozenset(address(account, "--admit") for account in admit or ())
    folders = Folders(data or [])
    if alone and (running_node := local_node(here.settings.home_folder)):
        _say_it_runs(here, running_node)
        return
    log_to_stderr()
    stop_on_signals()  # for what comes before and after the server, which has handlers of its own
    with ExitStack() as stack:
        socket = stack.enter_context(bind(listen, port))
        with here.patience("starting the node"):
            place = stack.enter_context(_local(here, chain_port)) if alone else _shared(here)
            node = place.open_node()
        market, home = node.market, node.home
        token = token_of(home)
        webhooks = read_webhooks(home / FILE_NAME)
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
            samples=tuple(
                Sample(
                    sample.me.address, TrainerPool(again, sample.home / f"{chosen}.json", hub, poll=here.settings.poll)
                )
                for sample, again in ((again(), again) for again in place.samples)
            ),
            token=token,
            folders=folders,
            version=version("merit"),
            aggregator=place.aggregator,
            dispatcher=place.dispatcher,
            local_rpc=place.rpc,
            hosts=tuple(name or ()),
            webhooks=webhooks,
            admitted=admitted,
            dist=DIST,
            docs=DOCS,
        )
        stack.enter_context(running(services, place.open_node, poll=here.settings.poll))
        shown = f"[{listen}]" if ":" in listen else listen
        url = f"http://{shown}:{socket.getsockname()[1]}/#token={token}"
        facts = {"url": url, "market": market.address, "rpc": place.rpc or "", "home": str(home)}
        runs = RunningNode(
            rpc=place.rpc or here.settings.rpc,
            market=market.address,
            block=place.first_block,
            storage=place.storage,
            home=home,
            page=url,
            pid=os.getpid(),
        )
        stack.enter_context(announced(place_of(here.settings.home_folder, local=alone), runs))
        beside = "Beside it, commands such as `merit job list` use this market without options.\n" if alone else ""
        here.show(facts, f"The page is {url}\n{beside}`merit page` says its address again. Ctrl-C stops it.")
        server_of(services).run(sockets=[socket])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node works. storage: its address. rpc: the chain's, where it is this node's own. samples: trainers to see
    a job run."""

    open_node: Callable[[], Node]
    first_block: int
    storage: str
    aggregator: Identity | None = None
    dispatcher: "Dispatcher | None" = None
    rpc: str | None = None
    samples: tuple[Callable[[], Node], ...] = ()


def page(
    context: typer.Context,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a node that is being started.")] = 0.0,
) -> None:
    """The address of the page of the node that runs from this home folder, with its token."""
    import webbrowser

    here = session(context)
    home, end = here.settings.home_folder, time.monotonic() + wait
    with here.patience("waiting for a node to start"):
        while (node := any_node(home)) is None and time.monotonic() < end:
            time.sleep(0.2)
    if node is None:
        raise NotFound(f"No node runs from {home}: `merit up` starts one.")
    here.show({"url": node.page, "pid": node.pid}, node.page)
    if open_it:
        webbrowser.open(node.page)


def _say_it_runs(here: Session, node: RunningNode) -> None:
    facts = {"url": node.page, "market": node.market, "rpc": node.rpc, "home": str(node.home), "running": node.pid}
    here.show(facts, f"It runs already, as process {node.pid}. The page is {node.page}")


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
    return Place(lambda: here.node_of(identity), first_block, settings.storage_address)


@contextmanager
def _local(here: Session, chain_port: int) -> Iterator[Place]:
    """A chain, storage, market and aggregator of its own, in a folder of their own; the chain is kept there."""
    free_port(chain_port, "--chain-port")

    def say(text: str) -> None:
        here.err.print(text, style="yellow", soft_wrap=True)

    def tell(notice: "Notice") -> None:
        facts = {"kind": notice.kind, "round": notice.round, **notice.values}
        log.info(notice.text, extra={"facts": facts})

    with local_market(here.settings, chain_port=chain_port, say=say) as local:
        me, aggregator = local.identity(ME), local.identity(AGGREGATOR)
        samples = tuple(partial(local.node, local.identity(name), local.home / name) for name in SAMPLES)
        with aggregating(local.node(aggregator), here.settings.poll, tell) as dispatcher:
            first = local.deployment.block
            yield Place(partial(local.node, me), first, local.storage, aggregator, dispatcher, local.rpc, samples)
