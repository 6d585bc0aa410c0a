"""Addresses of services as they may be shown: without what lets one in.

Providers put keys into every part of an address: user and password, a piece of the path, the query. So scheme, host and
port are shown, and nothing else.
"""

import logging
import re
from urllib.parse import unquote, urlsplit

# At DEBUG it writes the path and query of every request, in which keys are.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)

_HOST = re.compile(r"[A-Za-z0-9_.\-]+|\[[0-9A-Fa-f:.]+\]")
_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*://", re.IGNORECASE)
_MULTIADDR = re.compile(r"/(ip4|ip6|dns|dns4|dns6)/[^/]+/tcp/[0-9]+(/https?)?")


def shown_url(url: str) -> str:
    """`scheme://host[:port]` of an address, well formed or not; a path on this machine (`sqlite:///…`) is kept.

    A multiaddr is shown up to its port.
    """
    if match := _MULTIADDR.match(url):
        return match[0]
    if url.startswith("sqlite:///"):
        return url.partition("?")[0]
    scheme = match[0] if (match := _SCHEME.match(url)) else ""
    # Whatever comes before the last @ before a path may be a password, even one that has a slash in it.
    place = url[len(scheme) :].rpartition("@")[2]
    host = _HOST.match(place)
    port = re.match(r":[0-9]{1,5}(?![^/?#])", place[host.end() :]) if host else None
    return f"{scheme}{host[0] if host else '…'}{port[0] if port else ''}"


def without_secrets(text: str, url: str) -> str:
    """What a library says about a service at `url`, each part of the address that is not shown replaced by …"""
    parts = _secrets(url)
    for secret in sorted(parts | {unquote(part) for part in parts}, key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _secrets(url: str) -> set[str]:
    found = {url.rpartition("@")[0].partition("://")[2], url}
    try:
        split = urlsplit(url)
        found |= {split.username or "", split.password or "", split.query, split.fragment, split.path}
        found |= set(split.path.split("/")) | set(re.split(r"[&=;]", split.query))
    except ValueError:
        found |= set(re.split(r"[/?&=@#;]", url.partition("://")[2]))
    return {part for part in found if len(part) > 1 and part not in shown_url(url)}
