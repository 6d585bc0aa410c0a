"""Anvil for a machine that has none: its npm package, downloaded once, and used only with the hash that is pinned here.

The package of a platform holds the program itself, so neither npm nor Node is needed. It comes from npm's registry, or
from the one that npm's own variable npm_config_registry names, and is kept in the user's cache (XDG_CACHE_HOME/merit).
docs/decisions/2026-11-28-anvil.md
"""

import hashlib
import os
import platform
import tarfile
from base64 import b64decode
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from marketplace.errors import ChainError, CorruptContent, NotFound
from marketplace.files import write_atomically
from marketplace.urls import shown_url

REGISTRY = "https://registry.npmjs.org"
VERSION = "1.7.1"
HASHES: Mapping[tuple[str, str], tuple[str, str]] = MappingProxyType(
    {
        ("Linux", "x86_64"): (
            "linux-amd64",
            "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==",
        ),
        ("Linux", "aarch64"): (
            "linux-arm64",
            "ykHJmFOGdBR8+9smOKBm9ZZDCCCkLQctiHOAddLvmYx9mPeBDMfq6jP51hKYsO5MG8ClPLSlWe+JpiXPjoXgBQ==",
        ),
        ("Darwin", "arm64"): (
            "darwin-arm64",
            "JNeu3+A3f/npXLn8SR8EahVcqE7BpO9VQZMcPvSIy27/RNc1GsoEBvSLR99aSvt8sGKWAgNg/EzrtjAPq6mxcA==",
        ),
        ("Darwin", "x86_64"): (
            "darwin-amd64",
            "OgwzwY+FsGrsPyDv4mmbhOwARO8s37YHrm2qaNzgSH4VlKnXgJCrnoT7bpgOhLyBPtxXjBT8L2E3b79deesXRg==",
        ),
    }
)
"""By system and machine: the package's ending, and npm's `integrity` of its archive, sha512 in base64."""

MAX_ARCHIVE, MAX_PROGRAM = 2**27, 2**28  # bytes; today's have 15 MB and 44 MB
_REGISTRY_NAME = "npm_config_registry"  # npm's own spelling
_MEMBER = "package/bin/anvil"
_PART = 2**18
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and without a byte


def downloaded_anvil() -> Path:
    """The program in the cache, downloaded where it is not there yet, with progress on standard error.

    Raises NotFound where there is none for this machine, ChainError where the registry does not give it, CorruptContent
    where what it gives is not the pinned package.
    """
    ending, pinned = _package()
    digest = b64decode(pinned)
    path = cache_folder() / f"anvil-{VERSION}-{digest.hex()[:16]}" / "anvil"
    if not path.is_file():
        registry = (os.environ.get(_REGISTRY_NAME) or REGISTRY).rstrip("/")
        url = f"{registry}/@foundry-rs/anvil-{ending}/-/anvil-{ending}-{VERSION}.tgz"
        where = shown_url(registry)
        write_atomically(path, _program(_fetched(url, where), digest, where), mode=0o755)
    return path


def cache_folder() -> Path:
    """Where what can be downloaded again is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "merit"


def _package() -> tuple[str, str]:
    machine = platform.system(), platform.machine()
    if machine not in HASHES:
        raise NotFound(
            f"Anvil is not on PATH, and npm has none for this machine ({' '.join(machine)}): install Foundry, or use "
            "another chain with --rpc."
        )
    return HASHES[machine]


def _fetched(url: str, where: str) -> bytes:
    console, content = Console(stderr=True, highlight=False), BytesIO()
    console.print(f"Downloading the chain, Anvil {VERSION}, from {where}, once …")
    columns = (TextColumn("Anvil"), BarColumn(), DownloadColumn())
    try:
        with (
            requests.get(url, stream=True, timeout=_TIMEOUT) as answer,
            Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
        ):
            answer.raise_for_status()
            length = answer.headers.get("Content-Length", "")
            bar = progress.add_task("", total=int(length) if length.isdecimal() else None)
            for part in answer.iter_content(_PART):
                content.write(part)
                if content.tell() > MAX_ARCHIVE:
                    raise CorruptContent(f"What {where} gives as Anvil {VERSION} has more than {MAX_ARCHIVE} bytes.")
                progress.advance(bar, len(part))
    except requests.RequestException as error:
        status = error.response.status_code if error.response is not None else type(error).__name__
        raise ChainError(
            f"Anvil is not on PATH, and {where} does not give it ({status}): install Foundry, name an npm registry "
            "that can be reached in npm_config_registry, or use another chain with --rpc."
        ) from error
    return content.getvalue()


def _program(archive: bytes, digest: bytes, where: str) -> bytes:
    """The program in an npm archive. Raises CorruptContent for any archive but the pinned one."""
    if hashlib.sha512(archive).digest() != digest:
        raise CorruptContent(
            f"What {where} gives as Anvil {VERSION} is not the pinned package: nothing of it was used. Use another "
            "registry (npm_config_registry), or install Foundry."
        )
    with tarfile.open(fileobj=BytesIO(archive), mode="r:gz") as tar:
        program = tar.extractfile(_MEMBER)
        if program is None:
            raise CorruptContent(f"Anvil {VERSION} has no {_MEMBER}.")
        return program.read(MAX_PROGRAM)
