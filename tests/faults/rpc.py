"""A faulting RPC between agents and a chain: it answers late, twice, wrongly or not at all, as a seeded generator says.

One of its lies stays out: a receipt with a wrong status. Who chooses the RPC trusts it to show the chain as some honest
node sees it, sooner or later; what it can do short of that is here.
"""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlsplit

FAULTS = ("silent", "late", "drop before", "drop after", "twice", "503", "429", "cut", "no receipt", "stale", "garbage")
SILENCE = 1.5  # seconds that nothing is said before the connection is closed; clients here wait for one
LATE = 0.3
CALM = 8  # requests that are served well after a "silent" one, so that a burst stays short
_BAD_STATUS = {"503": b"HTTP/1.1 503 Service Unavailable", "429": b"HTTP/1.1 429 Too Many Requests"}
_OK = b"HTTP/1.1 200 OK"


@dataclass
class Weather:
    """What befalls the next requests. left: how many; share: of them, the part that a fault befalls."""

    kinds: tuple[str, ...] = ()
    left: int = 0
    share: float = 0.5


@dataclass
class FaultyRpc:
    """Serves at `url` what the chain at `target` answers; `target` may change while it runs.

    on_sent: is given every raw transaction that an agent sends (bytes), once a sending.
    """

    random: Random
    target: str = ""
    on_sent: Callable[[bytes], None] = lambda raw: None
    weather: Weather = field(default_factory=Weather)
    injected: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._seen: dict[bytes, bytes] = {}  # the last answer to each question
        self._calm = 0
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**24))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        async def stop() -> None:
            self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def forget(self) -> None:
        """For the next chain: its answers are its own."""
        self._seen.clear()
        self.weather = Weather()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (body := await _message(reader))[0]:
                if not await self._answer(body[1], writer):
                    break
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass  # either side hung up, which is part of the tests
        finally:
            writer.close()

    async def _answer(self, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        request = json.loads(body)
        method = request["method"]
        if method == "eth_sendRawTransaction":
            self.on_sent(bytes.fromhex(request["params"][0][2:]))
        fault = self._next(method)
        if fault:
            self.injected[f"rpc {fault}"] += 1
        if fault == "silent":
            await asyncio.sleep(SILENCE)
            return False
        if fault == "drop before":
            return False
        if fault == "late":
            await asyncio.sleep(LATE)
        status = _OK
        if fault in _BAD_STATUS:
            status, answer = _BAD_STATUS[fault], b""
        elif fault == "stale" and (key := _question(request)) in self._seen:
            answer = _renumbered(self._seen[key], request["id"])
        else:
            answer = await self._forward(body)
            if fault == "twice":
                answer = await self._forward(body)
            self._remember(request, answer)
        if fault == "drop after":
            return False
        if fault == "cut":
            answer = answer[: len(answer) // 2]
        if fault == "garbage":
            answer = b"<html>busy</html>"
        if fault == "no receipt" and method == "eth_getTransactionReceipt":
            answer = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": None}).encode()
        head = status + b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer)
        writer.write(head + answer)
        await writer.drain()
        return True

    def _next(self, method: str) -> str:
        """The fault that befalls this request, "" for none."""
        weather = self.weather
        self._calm = max(0, self._calm - 1)
        if weather.left <= 0 or self._calm:
            return ""
        weather.left -= 1
        if self.random.random() >= weather.share:
            return ""
        fault = self.random.choice(weather.kinds)
        if fault == "stale" and method.startswith("eth_send"):
            return ""
        if fault in ("silent", "late"):
            self._calm = CALM
        return fault

    def _remember(self, request: dict[str, Any], answer: bytes) -> None:
        self._seen.setdefault(_question(request), answer)
        if self.random.random() < 0.2:  # so that a stale answer is now old, now just behind
            self._seen[_question(request)] = answer

    async def _forward(self, body: bytes) -> bytes:
        parts = urlsplit(self.target)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**24)
        try:
            head = b"POST / HTTP/1.1\r\nHost: chain\r\nContent-Type: application/json\r\nConnection: close\r\n"
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            return (await _message(reader))[1]
        finally:
            writer.close()


async def _message(reader: asyncio.StreamReader) -> tuple[bool, bytes]:
    """(whether there was one, its body): an HTTP/1.1 request or answer with a Content-Length."""
    length, first = 0, True
    while line := await reader.readline():
        if first and not line.strip():
            continue
        first = False
        if not line.strip():
            return True, await reader.readexactly(length)
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    return False, b""


def _question(request: dict[str, Any]) -> bytes:
    return json.dumps([request["method"], request["params"]]).encode()


def _renumbered(answer: bytes, number: object) -> bytes:
    return json.dumps({**json.loads(answer), "id": number}).encode()
