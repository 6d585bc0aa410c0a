"""Storage on an IPFS node, Kubo or another that speaks its RPC, through ipfshttpclient.

The node is asked to import with the parameters of `cid.py`, and every CID, given or got, is recomputed here. Nothing
that a node does may hang the caller or fill its memory: each wait is bounded by `timeout`, each transfer by a lowest
rate, and each answer by a number of bytes. Reference: docs.ipfs.tech/reference/kubo/rpc.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import ipfshttpclient  # type: ignore[import-untyped]
import requests
import urllib3.exceptions
from ipfshttpclient import exceptions as ipfs_errors

from marketplace.errors import InputError, MeritError, NotFound, StorageError
from marketplace.overload import BUSY, retry_after
from marketplace.storage.cid import CHUNK, CidBuilder, parse_cid
from marketplace.storage.transfer import PIECE, Silent, Unreachable, VerifiedSink, pace, with_retries
from marketplace.urls import shown_url

_TOO_LARGE = 413
ANSWER = PIECE  # bytes that an answer may have beyond the content asked for

warnings.filterwarnings("ignore", "The 'strict' parameter", FutureWarning)  # one a call, for ipfshttpclient's sake


class KuboStorage:
    """Storage on the node whose RPC is at the multiaddr `address`.

    timeout: seconds to wait for a connection, for an answer, and for each next piece of it; a node is given a little
    less to find content elsewhere in its network.
    """

    def __init__(self, address: str, *, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._shown = shown_url(address)
        self._name = f"IPFS node at {self._shown}"
        with self._client(ANSWER):
            pass  # raises InputError for an address that is none

    def put(self, source: BinaryIO) -> str:
        """As `Storage.put`; the content is pinned, so that the node's garbage collection keeps it."""
        start = source.tell() if source.seekable() else None
        cid, stored = "", ""

        def add() -> None:
            nonlocal cid, stored
            if start is not None:
                source.seek(start)
            reader = _Reader(source, self._pace())
            with self._client(ANSWER) as client:
                stored = str(self._answer(client.add, reader, pin=True, **options).get("Hash"))
            cid = str(reader.builder.finish())

        options = {"cid_version": 1, "raw_leaves": True, "chunker": f"size-{CHUNK}", "opts": {"cid-base": "base32"}}
        if start is None:
            add()
        else:
            with_retries(add)
        if stored != cid:
            raise StorageError(
                f"The {self._name} stored {stored[:80]!r} in place of {cid}; "
                "its import settings differ (UnixFSFileMaxLinks must be 174), or it stored other bytes."
            )
        return cid

    def get(self, cid: str, sink: BinaryIO, *, max_bytes: int) -> int:
        checked = VerifiedSink(cid, sink, max_bytes, f"the {self._name}")

        def read_on() -> None:
            """Reads from where an earlier attempt broke off."""
            check = self._pace()
            # One byte more than allowed tells content that is too large from content that just fits.
            options = {"offset": checked.size, "length": max_bytes + 1 - checked.size, "timeout": self._node_timeout()}
            with self._client(max_bytes + ANSWER) as client, client.cat(cid, opts=options, stream=True) as pieces:
                for piece in pieces:
                    check(checked.size + len(piece))
                    checked.write(piece)

        with_retries(read_on)
        return checked.finish()

    def has(self, cid: str) -> bool:
        """Whether the node finds the root block of `cid` within the timeout; other blocks may still be missing."""
        parse_cid(cid)

        def look() -> None:
            with self._client(ANSWER) as client:
                self._answer(client.block.stat, cid, opts={"timeout": self._node_timeout()})

        try:
            with_retries(look)
        except NotFound:
            return False
        return True

    @contextmanager
    def _client(self, max_bytes: int) -> Iterator[Any]:
        """A client whose answers have at most `max_bytes` bytes and whose failures are errors of this package."""
        try:
            # Not connect(), which asks for the node's version first and warns about every node of the last years.
            with ipfshttpclient.Client(self._address, chunk_size=PIECE, timeout=self._timeout) as client:
                client._client._session.hooks["response"] = [self._as_it_arrives(max_bytes)]
                yield client
        except ipfs_errors.AddressError:
            raise InputError(
                f"{self._shown!r} is not the address of an IPFS node; give http://HOST:PORT or /ip4/HOST/tcp/PORT."
            ) from None  # the library's error repeats the address, in which there may be a key
        except ipfs_errors.ErrorResponse as error:
            raise self._refusal(str(error)[:200]) from error
        except ipfs_errors.StatusError as error:
            status = getattr(getattr(error.original, "response", None), "status_code", 0)
            raise self._busy(status) if status >= 500 else self._stranger(error) from error
        except ipfs_errors.EncoderError as error:
            raise self._stranger(error) from error
        except (ipfs_errors.Error, requests.exceptions.RequestException) as error:
            raise self._failure(error) from error

    def _answer(self, call: Callable[..., Any], *arguments: object, **options: object) -> dict[str, object]:
        """The JSON object that a node answers with; ipfshttpclient takes its shape for granted."""
        try:
            return dict(call(*arguments, **options))
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._stranger(error) from error

    def _as_it_arrives(self, max_bytes: int) -> Callable[..., None]:
        """A hook for requests: bodies are handed on as the network brings them, up to `max_bytes` in all.

        ipfshttpclient asks requests for a body in pieces of any size, which for some encodings is one piece in memory.
        """

        def hook(response: requests.Response, *_args: object, **_options: object) -> None:
            if response.is_redirect:
                raise StorageError(
                    f"The {self._name} sends its callers elsewhere; give the address of the node itself."
                )

            if response.status_code in BUSY:
                raise self._busy(response.status_code, retry_after(response.headers.get("Retry-After", "")))
            if response.status_code == _TOO_LARGE:
                raise StorageError(f"The {self._name} does not take so much at once (HTTP status {_TOO_LARGE}).")

            def pieces(*_args: object, **_options: object) -> Iterator[bytes]:
                left = max_bytes
                while piece := self._read(response):
                    left -= len(piece)
                    if left < 0:
                        raise StorageError(f"The {self._name} sends more than was asked for; use another one.")
                    yield piece

            response.iter_content = pieces  # type: ignore[method-assign]

        return hook

    def _read(self, response: requests.Response) -> bytes:
        try:
            piece: bytes = response.raw.read1(PIECE, decode_content=True)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._failure(error) from error
        return piece

    def _node_timeout(self) -> str:
        """Shorter than our own, so that a node which looks for absent content says so before it counts as silent."""
        return f"{max(1, int(self._timeout * 800))}ms"

    def _pace(self) -> Callable[[int], None]:
        return pace(self._timeout, f"the {self._name}")

    def _refusal(self, message: str) -> MeritError:
        signs = ("not found", "could not find", "timed out", "deadline exceeded")
        if any(sign in message.lower() for sign in signs):
            return NotFound(f"The {self._name} did not find the content within {self._timeout:g} s ({message}).")
        return StorageError(f"The {self._name} refused the request ({message}).")

    def _busy(self, status: int, after: float = 0.0) -> Unreachable:
        what = f"The {self._name} has too much to do, or is out of order (HTTP status {status}): try again later."
        return Unreachable(what, after)

    def _stranger(self, error: Exception) -> StorageError:
        return StorageError(f"What is at {self._shown} does not answer like an IPFS node ({_brief(error)}).")

    def _failure(self, error: Exception) -> StorageError:
        timeouts = (
            ipfs_errors.TimeoutError,
            requests.exceptions.Timeout,
            urllib3.exceptions.TimeoutError,
            TimeoutError,
        )
        if isinstance(error, timeouts):
            return Silent(
                f"The {self._name} kept silent for {self._timeout:g} s; start it again, or allow it more time."
            )
        return Unreachable(
            f"The {self._name} cannot be reached ({_brief(error)}); start it, or give the right address."
        )


class _Reader:
    """A source that computes the CID of what is read from it; it hides the file's name, which would be sent along."""

    def __init__(self, source: BinaryIO, pace: Callable[[int], None]) -> None:
        self.builder = CidBuilder()
        self._source = source
        self._pace = pace

    def read(self, size: int) -> bytes:
        piece = self._source.read(size)
        self.builder.update(piece)
        self._pace(self.builder.size)
        return piece


def _brief(error: BaseException) -> str:
    """The innermost cause, which names the fact, in one short line."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return " ".join(str(error).split())[:200] or type(error).__name__
