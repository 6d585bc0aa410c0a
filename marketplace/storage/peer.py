"""Storage that another Merit node offers to the participants of its market's jobs, through its API.

A request is signed by the caller's account (EIP-191, "personal message") over

    Merit content ⏎ node HOST ⏎ chain ID ⏎ market ADDRESS ⏎ METHOD CID ⏎ time SECONDS ⏎ nonce HEX

HOST being the node's name and port as in the request's Host header. So a signature serves one content, on one node, in
one market, once, for a few minutes; a node that is asked cannot ask another one with it. What a job's description names
is had without a signature, too.

As with every storage, the CID of what comes back is computed here. Nothing that a node does may hang the caller or fill
its memory: each wait is bounded by `timeout`, each transfer by a lowest rate, each answer by a number of bytes.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from tempfile import TemporaryFile
from typing import BinaryIO
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount

from marketplace.errors import InputError, NotFound, StorageError
from marketplace.overload import BUSY, retry_after
from marketplace.storage.cid import CidBuilder, parse_cid
from marketplace.storage.transfer import PIECE, Silent, Unreachable, VerifiedSink, on_disk, pace, with_retries
from marketplace.urls import shown_url

MAX_CONTENT = 256 << 20  # bytes of one content that nodes take and give
PROBLEM = 4096  # bytes that are read of an error's explanation
PREFIX = "node+"


def message(*, host: str, chain_id: int, market: str, method: str, cid: str, moment: int, nonce: str) -> str:
    """What an account signs. moment: Unix seconds; nonce: 32 hex digits, never the same twice."""
    lines = ("Merit content", f"node {host}", f"chain {chain_id}", f"market {market}", f"{method} {cid}")
    return "\n".join((*lines, f"time {moment}", f"nonce {nonce}"))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in which market."""

    account: LocalAccount
    chain_id: int
    market: str

    def headers(self, host: str, method: str, cid: str) -> dict[str, str]:
        moment, nonce = int(time.time()), secrets.token_hex(16)
        text = message(
            host=host,
            chain_id=self.chain_id,
            market=self.market,
            method=method,
            cid=cid,
            moment=moment,
            nonce=nonce,
        )
        signature = self.account.sign_message(encode_defunct(text=text)).signature.hex()
        return {
            "Merit-Time": str(moment),
            "Merit-Nonce": nonce,
            "Merit-Signature": "0x" + signature.removeprefix("0x"),
        }


class PeerStorage:
    """Storage of the node at `node+https://HOST[:PORT]`; `node+http://…` on this machine only.

    caller: None for whoever only reads what jobs' descriptions name.
    timeout: seconds to wait for a connection, for an answer, and for each next piece of it.
    Raises InputError for an address that is none.
    """

    def __init__(self, address: str, *, timeout: float, caller: Caller | None = None) -> None:
        self._url, self._host = _place(address)
        self._timeout = timeout
        self._caller = caller
        self._name = f"the node at {self._url}"

    def put(self, source: BinaryIO) -> str:
        """As `Storage.put`. Raises InputError without a caller, and for content that no node takes."""
        if self._caller is None:
            raise InputError(f"To store content, {self._name} wants a key's signature: choose one with --key.")
        builder = CidBuilder()
        with on_disk("Content on its way"), TemporaryFile() as kept:
            while piece := source.read(PIECE):
                builder.update(piece)
                if builder.size > MAX_CONTENT:
                    raise InputError(f"Nodes take at most {MAX_CONTENT} bytes of content: use an IPFS node for more.")
                kept.write(piece)
            cid = str(builder.finish())

            def send() -> None:
                kept.seek(0)
                with self._asked("PUT", cid, body=_Body(kept, builder.size, self._pace())):
                    pass

            with_retries(send)
        return cid

    def get(self, cid: str, sink: BinaryIO, *, max_bytes: int) -> int:
        checked = VerifiedSink(cid, sink, max_bytes, self._name)

        def read_on() -> None:
            """Reads from where an earlier attempt broke off."""
            check = self._pace()
            with self._asked("GET", cid, offset=checked.size) as answer:
                length = answer.headers.get("Content-Length", "")
                if length.isdecimal() and len(length) < 20:
                    checked.expect(checked.size + int(length))
                for piece in self._pieces(answer):
                    check(checked.size + len(piece))
                    checked.write(piece)

        with_retries(read_on)
        return checked.finish()

    def has(self, cid: str) -> bool:
        parse_cid(cid)

        def look() -> None:
            with self._asked("HEAD", cid):
                pass

        try:
            with_retries(look)
        except NotFound:
            return False
        return True

    # ---------------------------------------------------------------- one request

    @contextmanager
    def _asked(
        self, method: str, cid: str, *, offset: int = 0, body: "_Body | None" = None
    ) -> Iterator[requests.Response]:
        """The node's answer, when it is what was asked for; signed afresh, since a signature serves once."""
        headers = {"Accept-Encoding": "identity"}
        if self._caller is not None:
            headers |= self._caller.headers(self._host, method, cid)
        if offset:
            headers["Range"] = f"bytes={offset}-"
        try:
            with (
                requests.Session() as session,
                session.request(
                    method,
                    f"{self._url}/api/content/{cid}",
                    headers=headers,
                    data=body,
                    timeout=self._timeout,
                    stream=True,
                    allow_redirects=False,
                    auth=_no_password,
                ) as answer,
            ):
                self._check(answer, cid, offset)
                yield answer
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._failure(error) from error

    def _check(self, answer: requests.Response, cid: str, offset: int) -> None:
        """Raises NotFound or StorageError unless the node did what was asked."""
        status = answer.status_code
        if status in (200, 201) and not offset:
            return
        if status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            return
        if status == 404:
            raise NotFound(
                f"{cid} is not in {self._name}; use the storage that it was published to, or have it published again."
            )
        if answer.is_redirect:
            raise StorageError(f"{self._name} sends its callers elsewhere; give the address of the node itself.")
        said = self._problem(answer)
        if status in BUSY or status >= 500:
            after = retry_after(answer.headers.get("Retry-After", ""))
            raise Unreachable(f"{self._name} could not do it ({status}: {said}); try again later.", after)
        if 400 <= status < 500:
            raise StorageError(f"{self._name} refused the request ({status}: {said}).")
        raise StorageError(f"What is at {self._url} does not answer like a Merit node ({status}).")

    def _problem(self, answer: requests.Response) -> str:
        """The sentence of a problem document, made harmless; the status' name where there is none."""
        data, check = b"", self._pace()
        for piece in self._pieces(answer):
            data += piece
            check(len(data))
            if len(data) > PROBLEM:
                break
        try:
            said = str(json.loads(data[:PROBLEM])["detail"])
        except (ValueError, KeyError, TypeError, RecursionError):
            said = answer.reason or HTTPStatus.BAD_REQUEST.phrase
        return "".join(letter if letter.isprintable() else " " for letter in said[:300])

    def _pieces(self, answer: requests.Response) -> Iterator[bytes]:
        """The body as the network brings it. It is not decoded: a body that inflates is not the content."""
        while piece := answer.raw.read1(PIECE, decode_content=False):
            yield piece

    def _pace(self) -> Callable[[int], None]:
        return pace(self._timeout, self._name)

    def _failure(self, error: Exception) -> StorageError:
        timeouts = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
        if isinstance(error, timeouts):
            return Silent(f"{self._name} kept silent for {self._timeout:g} s; start it again, or allow it more time.")
        brief = " ".join(str(error).split())[:200] or type(error).__name__
        return Unreachable(f"{self._name} cannot be reached ({brief}); start it, or give the right address.")


class _Body:
    """What is sent, with its length, so that requests says the size instead of sending chunks."""

    def __init__(self, file: BinaryIO, size: int, pace: Callable[[int], None]) -> None:
        self._file = file
        self._size = size
        self._pace = pace

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(PIECE):
            yield piece

    def read(self, size: int = -1) -> bytes:
        self._pace(self._file.tell())
        return self._file.read(size)


def _no_password(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """In place of what requests would send along from the user's .netrc."""
    return request


def _place(address: str) -> tuple[str, str]:
    """(the node's URL, its Host header) of `node+https://HOST[:PORT]`. Raises InputError."""
    shown = shown_url(address)
    problem = InputError(f"{shown!r} is not the address of a node; give node+https://HOST[:PORT] and nothing more.")
    try:
        parts = urlsplit(address.removeprefix(PREFIX))
        name, port = parts.hostname, parts.port
    except ValueError as error:
        raise problem from error
    extra = "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment
    if not address.startswith(PREFIX) or parts.scheme not in ("http", "https") or not name or extra:
        raise problem
    if not name.isascii() or not all(letter.isalnum() or letter in ".-:" for letter in name):
        raise problem
    if parts.scheme == "http" and not _is_here(name):
        raise InputError(f"{shown!r} is not on this machine: a node elsewhere is asked by https.")
    host = f"[{name}]" if ":" in name else name
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        host += f":{port}"
    return f"{parts.scheme}://{host}", host


def _is_here(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
