"""A node's API on a real server, for tests.

PYTEST_DONT_REWRITE: test modules import from here before pytest registers the plugin.
"""

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from marketplace.api.folders import Folders
from marketplace.api.hub import Hub
from marketplace.api.node import NodeServices
from marketplace.api.serve import listen, running, server_of
from marketplace.api.trainers import TrainerPool
from marketplace.services.index import Index
from marketplace.services.node import Node
from tests.jobs import World
from tests.patience import PATIENCE

TOKEN = "a-token-of-more-than-thirty-two-characters"
POLL = 0.05


@dataclass
class Api:
    """A running node. `web` sends as the page would; `bare` without the token."""

    services: NodeServices
    url: str

    def __post_init__(self) -> None:
        self.bare = httpx.Client(base_url=self.url, timeout=PATIENCE)
        self.web = httpx.Client(base_url=self.url, timeout=PATIENCE, headers={"Authorization": f"Bearer {TOKEN}"})

    def until(self, holds: Callable[[], Any], what: str, within: float = PATIENCE) -> Any:
        """What `holds` gives once it is true; fails when that takes too long."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            if found := holds():
                return found
            time.sleep(POLL)
        pytest.fail(f"not within {within} s: {what}; {self.services.problem} {self.services.trainers.all()}")

    def caught_up(self) -> None:
        """Waits until the index has the chain's latest block."""

        def is_current() -> bool:
            head = self.services.node.market.connection.ask(lambda eth: int(eth.block_number))
            return self.services.index.indexed == head and not self.services.index.undescribed(1)

        self.until(is_current, "the index is current")


@contextmanager
def api_of(
    node: Node,
    first_block: int,
    *,
    open_node: Callable[[], Node] | None = None,
    folders: list[Path] | None = None,
    **more: Any,
) -> Iterator[Api]:
    """The API of a node on a free port of the loopback, until the block ends."""
    market = node.market
    again = open_node or (lambda: node)
    hub = Hub()
    node.home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        index = Index(
            f"sqlite:///{node.home / 'index.sqlite'}",
            chain_id=market.connection.chain_id,
            market=market.address,
            first_block=first_block,
        )
        services = NodeServices(
            node=node,
            index=index,
            hub=hub,
            trainers=TrainerPool(again, node.home / "trainers.json", hub, poll=POLL),
            token=TOKEN,
            folders=Folders(folders or []),
            version="0",
            **more,
        )
        socket = stack.enter_context(listen("127.0.0.1", 0))
        server = server_of(services)
        stack.enter_context(running(services, again, poll=POLL))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
        thread.start()

        def stop() -> None:
            hub.close()
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()

        stack.callback(stop)
        made = Api(services, f"http://127.0.0.1:{socket.getsockname()[1]}")
        made.until(lambda: server.started, "the server has started")
        yield made


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    """Of a node that has a key, some money and an allowed folder `data`."""
    (world.folder / "data").mkdir()
    with api_of(world.node("node"), world.chain.first_block, folders=[world.folder / "data"]) as made:
        yield made


@dataclass(frozen=True)
class Told:
    """One server-sent event."""

    event: str
    id: str
    data: Any


def told(client: httpx.Client, path: str, **headers: str) -> Generator[Told]:
    """The events of a stream as they come; it ends with the caller's loop, or with the stream."""
    with client.stream("GET", path, headers=headers, timeout=PATIENCE) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            if not line and "data" in fields:
                yield Told(fields.get("event", ""), fields.get("id", ""), json.loads(fields["data"]))
            if not line:
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
