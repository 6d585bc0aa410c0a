"""A node as a process: its threads, its server, and the order in which they end."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from marketplace.api.app import create_app
from marketplace.api.hub import Hub
from marketplace.api.node import Describer, Follower, NodeServices, Reporting, keep_running
from marketplace.api.provider import Provider
from marketplace.api.webhooks import tellers
from marketplace.errors import InputError
from marketplace.services.node import Node

CONNECTIONS = 256
HEAD_WITHIN = 20.0  # seconds until a request's head is complete
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
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(
            f"{host} port {port} cannot be listened on for the page ({reason}): choose another port with --port, or "
            "--port 0 for any that is free."
        ) from error


def server_of(services: NodeServices) -> Server:
    config = uvicorn.Config(
        create_app(services),
        http=Impatient,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=ENDING,
    )
    return Server(config, services.hub)


class Impatient(H11Protocol):
    """Hangs up on who does not finish a request's head in time: uvicorn would wait for it without end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._waits_since = self.loop.time()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        now = self.loop.time()
        if self.cycle is not None and not self.cycle.response_complete:
            self._waits_since = now
        elif now - self._waits_since > HEAD_WITHIN:
            self.transport.close()
            return
        self._timer = self.loop.call_later(HEAD_WITHIN / 4, self._look)


@contextmanager
def running(services: NodeServices, open_node: Callable[[], Node], *, poll: float) -> Iterator[None]:
    """Follows the chain and goes on with this node's trainers; at the end stops trainers first, the index last."""
    stop = threading.Event()
    pools = [services.trainers, *(sample.trainers for sample in services.samples)]
    agents: list[Reporting] = [kind(services, open_node()) for kind in (Follower, Describer, Provider)]
    agents += tellers(services, stop)
    threads = [
        threading.Thread(
            target=keep_running, args=(agent, services, poll, stop), name=type(agent).__name__, daemon=True
        )
        for agent in agents
    ]
    for thread in threads:
        thread.start()
    try:
        for trainers in pools:
            trainers.resume_all()
        yield
    finally:
        services.hub.close()
        for trainers in pools:
            trainers.stop()
        stop.set()
        for thread in threads:
            thread.join(JOINING)
        services.index.close()
