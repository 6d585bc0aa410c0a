"""What stands between a node on a laptop and the web: strangers' pages in the same browser, programs without right.

- Host: only names that the node is known by (DNS rebinding gives a stranger's name our address).
- Origin and Sec-Fetch-Site: calls of other sites' pages are refused, whatever they carry (CSRF).
- Token: a bearer's, for all that acts or shows what is local; never in a URL that is sent, so never in a log.
- Headers: the page may load, run and frame nothing but its own.
- Time: a body that comes too slowly is not waited for.
"""

import hmac
import ipaddress
import os
import secrets
import time
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

import anyio
from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketplace.api.models import Problem
from marketplace.api.problems import Refusal, response_of
from marketplace.errors import InputError
from marketplace.files import read_within
from marketplace.overload import time_for

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_SAFE = ("GET", "HEAD")
BODY_WITHIN = 60.0  # seconds that a request's body may take beyond what its bytes take at overload.MIN_RATE
# The audit page reads the chain through an RPC of the reader's choice, so it may connect to others.
_CONNECT = "'self' https: http://127.0.0.1:* http://localhost:*"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        f"connect-src {_CONNECT}; manifest-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}

_TOO_LARGE = Problem(
    type="urn:merit:too-large", title="Too large", status=413, detail="The request is larger than this node takes."
)


class Guard:
    """ASGI middleware. hosts: names beside the loopback's, without port, that the node is known by."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = {name.lower() for name in (*LOOPBACK_NAMES, *hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        too_large = False
        received, started = 0, time.monotonic()

        async def bounded() -> Message:
            """The next message; a body that trickles is taken for one whose sender has gone."""
            nonlocal received
            if received < 0:  # the body is complete: what comes is the end of the connection, whenever it comes
                return await receive()
            left = time_for(received, BODY_WITHIN) - (time.monotonic() - started)
            with anyio.move_on_after(left):
                message = await receive()
                received += len(message.get("body", b""))
                if not message.get("more_body"):
                    received = -1
                return message
            return {"type": "http.disconnect"}

        async def guarded(message: Message) -> None:
            nonlocal too_large
            if too_large:
                return
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if message["status"] == 413 and headers.get("content-type", "").startswith("text/plain"):
                    await response_of(_TOO_LARGE)(scope, receive, guarded)  # in place of the framework's own words
                    too_large = True
                    return
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refused = self._refusal(scope["method"], scope["path"], Headers(scope=scope))
        if refused:
            problem = Problem(type="urn:merit:refused", title="Refused", status=403, detail=refused)
            await response_of(problem)(scope, receive, guarded)
        else:
            await self._app(scope, bounded, guarded)

    def _refusal(self, method: str, path: str, headers: Headers) -> str:
        host = headers.get("host", "").lower()
        if len(headers.getlist("host")) != 1 or _name(host) not in self._hosts:
            return "This node is not known by the host name in the request: use its address, or allow the name."
        origin = headers.get("origin")
        same = origin is not None and _place(origin) == host
        if method not in _SAFE and origin is not None and not same:
            return "Pages of other origins may not act through this node."
        site = headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin") and (path.startswith("/api/") or method not in _SAFE):
            return "Pages of other sites may not call this node."
        return ""


def _name(host: str) -> str:
    """A Host header without its port; "" where it is none."""
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit() and not (host.startswith("[") and host.endswith("]")):
        return name
    return host


def _place(origin: str) -> str | None:
    """The host and port that an origin names; None for an opaque or strange one."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    whole = parts.scheme in ("http", "https") and origin.lower() == f"{parts.scheme}://{parts.netloc}".lower()
    return parts.netloc.lower() if whole else None


# ---------------------------------------------------------------- token


def token_of(home: Path) -> str:
    """The node's token: made once, in a file that only its user can read. Raises InputError where it cannot be."""
    path = home / "token"
    home.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            raise InputError(f"{path} can be read by others: delete it, and another token is made.") from None
    token = read_within(path, 200).decode("ascii", "replace").strip()
    if len(token) < 32:
        raise InputError(f"{path} holds no token: delete it, and another is made.")
    return token


def holds_token(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def require_token(request: Request, token: str) -> None:
    """Raises Refusal (401)."""
    if not holds_token(request, token):
        detail = "This needs the node's token, which is in the address that `merit up` printed."
        raise Refusal(401, detail, {"WWW-Authenticate": "Bearer"})


def require_loopback(request: Request) -> None:
    """Raises Refusal (403) unless the caller is on this machine, and not behind a proxy that gives the node a name."""
    try:
        near = request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        near = False
    if not near or _name(request.headers.get("host", "").lower()) not in LOOPBACK_NAMES:
        raise Refusal(403, "This is shown on the node's own machine only.")
