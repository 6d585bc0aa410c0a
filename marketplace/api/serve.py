"""A node as a process: its threads, its server, and the order in which they end."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from marketplace.api.app import create_app
from marketplace.api.hub import Hub
from marketplace.api.node import Describer, Follower, NodeServices, keep_running
from marketplace.errors import InputError
from marketplace.services.node import Node

CONNECTIONS = 256
ENDING = 10  # seconds that requests may take to end when the node stops
JOINING = 30.0


class Server(uvicorn.Server):
    """uvicorn's, which ends event streams when it is told to stop: nobody else would."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._hub.close()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """A socket that nobody else can take; port 0 lets the system choose. Raises InputError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(f"{host} port {port} cannot be listened on ({error.strerror}): choose another.") from error


def server_of(services: NodeServices) -> Server:
    config = uvicorn.Config(
        create_app(services),
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=ENDING,
    )
    return Server(config, services.hub)


@contextmanager
def running(services: NodeServices, open_node: Callable[[], Node], *, poll: float) -> Iterator[None]:
    """Follows the chain and goes on with this node's trainers; at the end stops trainers first, the index last."""
    stop = threading.Event()
    agents = (Follower(services, open_node()), Describer(services, open_node()))
    threads = [
        threading.Thread(
            target=keep_running, args=(agent, services, poll, stop), name=type(agent).__name__, daemon=True
        )
        for agent in agents
    ]
    for thread in threads:
        thread.start()
    try:
        services.trainers.resume_all()
        yield
    finally:
        services.hub.close()
        services.trainers.stop()
        stop.set()
        for thread in threads:
            thread.join(JOINING)
        services.index.close()
