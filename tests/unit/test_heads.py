"""Nodes look at the chain when a block comes, and ask for little when they look."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from websockets.sync.server import Server, ServerConnection, serve

from marketplace.chain import heads as heads_module
from marketplace.chain.connection import Connection
from marketplace.chain.heads import Heads
from marketplace.domain import State
from marketplace.services.agent import Step, run
from marketplace.services.node import JobFeed
from tests.chain_fixtures import Chain
from tests.jobs import Play
from tests.patience import PATIENCE

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads_module, "PAUSES", (0.01, 0.01))


def served(server: Server | ThreadingHTTPServer) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(PATIENCE)


def listening(chain: Chain) -> Heads:
    """Of a chain that tells of blocks: it has told of one."""
    heads = Heads(chain.connection.url, PATIENCE)
    heads.listen()
    while not heads.count:
        chain.connection.request("evm_mine")
        heads.wait(0, 0.05)
    return heads


def test_a_block_is_told_of(chain: Chain) -> None:
    heads = listening(chain)
    before = heads.count
    chain.connection.request("evm_mine")
    assert heads.wait(before, PATIENCE)


def test_who_waits_is_stopped_at_once(chain: Chain) -> None:
    stop = threading.Event()
    stop.set()
    assert not Heads("http://nobody", 1).wait(0, PATIENCE, stop)


def test_an_agent_that_waits_looks_again_at_a_block_and_not_by_its_clock(chain: Chain) -> None:
    heads, looks = listening(chain), list[Step]()

    class Looking:
        def step(self) -> Step:
            looks.append(Step.WAITING if len(looks) < 2 else Step.FINISHED)
            chain.connection.request("evm_mine")
            return looks[-1]

    run(Looking(), report=lambda notice: None, poll=10 * PATIENCE, patience=1, stop=threading.Event(), heads=heads)
    assert len(looks) == 3


@pytest.fixture
def breaking() -> Iterator[Server]:
    """A node that tells of one block and hangs up, every time."""

    def tell(socket: ServerConnection) -> None:
        socket.recv(PATIENCE)
        socket.send("{}")

    with serve(tell, "127.0.0.1", 0) as server:
        yield from served(server)


def test_a_node_that_hangs_up_is_listened_to_again(breaking: Server) -> None:
    heads = Heads(f"http://127.0.0.1:{breaking.socket.getsockname()[1]}", PATIENCE)
    heads.listen()
    for heard in range(3):
        assert heads.wait(heard, PATIENCE)


@pytest.fixture
def plain() -> Iterator[tuple[ThreadingHTTPServer, list[str]]]:
    """A node that only answers requests, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    for made in served(server):
        yield made, asked
    server.server_close()


def test_a_node_that_tells_nothing_is_looked_at_by_the_clock(plain: tuple[ThreadingHTTPServer, list[str]]) -> None:
    server, asked = plain
    heads = Heads(f"http://127.0.0.1:{server.server_port}/key", PATIENCE)
    heads.listen()
    while len(asked) < 2:
        assert not heads.wait(0, 0.01)
    assert set(asked) == {"/key"}


def test_a_look_at_an_unchanged_chain_asks_one_question(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = JobFeed(play.owner, play.job_id)
    history, job = feed.look()
    asked: list[str] = []
    honest = Connection.request

    def request(self: Connection, method: str, *rest: Any, **options: Any) -> Any:
        asked.append(method)
        return honest(self, method, *rest, **options)

    monkeypatch.setattr(Connection, "request", request)
    assert feed.look() == (history, job)
    assert asked == ["eth_getBlockByNumber"]
    play.world.chain.connection.request("evm_mine")
    assert feed.look()[1] == job
    assert len(asked) <= 7
    assert feed.now() == feed.now()
    assert asked.count("eth_getBlockByNumber") <= 6


def test_what_changed_without_an_event_of_the_job_is_seen(play: Play) -> None:
    """As the time by which the contract judges."""
    feed, judge = JobFeed(play.owner, play.job_id), play.judge()
    judge.step()
    history, job = feed.look()
    assert job.state is State.OPEN
    before = feed.now()
    play.pass_deadline()
    feed.look()
    assert feed.now() > before
    assert history.created.terms.enrol_by < feed.now()
