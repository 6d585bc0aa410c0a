"""Where bytes are kept by content id: a folder, an IPFS node, another Merit node, or memory."""

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from marketplace.errors import InputError
from marketplace.storage.folder import FolderStorage
from marketplace.storage.kubo import KuboStorage
from marketplace.storage.memory import MemoryStorage
from marketplace.storage.peer import PREFIX as PEER
from marketplace.storage.peer import Caller, PeerStorage
from marketplace.storage.transfer import Storage, fetch_to, get_bytes, put_bytes
from marketplace.urls import shown_url

__all__ = ["PEER", "Caller", "Storage", "fetch_to", "get_bytes", "open_storage", "put_bytes"]

_MULTIADDR = ("/ip4/", "/ip6/", "/dns/", "/dns4/", "/dns6/", "/unix/")


def open_storage(address: str, *, timeout: float, caller: Caller | None = None) -> Storage:
    """The storage at `address`; nothing is contacted or made yet.

    address: `folder:PATH` or a plain path; an IPFS node's RPC as a multiaddr (`/ip4/127.0.0.1/tcp/5001`) or a URL
    (`http://127.0.0.1:5001`); another Merit node, `node+https://HOST[:PORT]`; `memory:` for an empty one that ends with
    the process. timeout: seconds that a node may keep silent. caller: who signs what a Merit node is asked for.
    Raises InputError for an address that is none of these.
    """
    if address == "memory:":
        return MemoryStorage()
    if address.startswith(PEER):
        return PeerStorage(address, timeout=timeout, caller=caller)
    if address.startswith(_MULTIADDR):
        return KuboStorage(address, timeout=timeout)
    if address.startswith(("http://", "https://")):
        return KuboStorage(_multiaddr(address), timeout=timeout)
    path = address.removeprefix("folder:")
    if not path or "://" in path or "\0" in path:
        shown = shown_url(address) if "://" in address else address
        raise InputError(
            f"{shown!r} is not a storage address; give folder:PATH, node+https://HOST, http://HOST:PORT or "
            "/ip4/HOST/tcp/PORT."
        )
    try:
        return FolderStorage(Path(path).expanduser())
    except RuntimeError as error:
        raise InputError(f"{address!r} names the home of a user that this machine does not know.") from error


def _multiaddr(url: str) -> str:
    """`http(s)://HOST[:PORT]` in the spelling of multiaddr (github.com/multiformats/multiaddr)."""
    problem = InputError(
        f"{shown_url(url)!r} is not the address of an IPFS node; give http://HOST:PORT and nothing more."
    )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise problem from error
    if not host or "/" in host or "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        raise problem
    try:
        kind = f"ip{ipaddress.ip_address(host).version}"
    except ValueError:
        kind = "dns"
    return f"/{kind}/{host}/tcp/{port}/{parts.scheme}"
