"""Set-ups for commitments: from a ceremony's `.ptau` file, or, for development, from a τ drawn here.

A set-up's size N is the length of a chunk: a power of two, 2^3 … 2^20. Its file carries its kind, and its name is
keccak256 of the file. Whoever knows τ can open a commitment to anything: a development set-up says so on every use, and
no contract on a public chain may rest on one.
"""

import logging
import os
import secrets
from pathlib import Path
from tempfile import NamedTemporaryFile

from eth_hash.auto import keccak
from filelock import FileLock

from zk._core import Srs
from zk.transcript import P, word
from zk.verifier import GramSetup

__all__ = ["DEVELOPMENT", "Srs", "development", "from_ptau", "load", "save", "verifier_setup"]

DEVELOPMENT = "development"

_log = logging.getLogger(__name__)


def _log_size(size: int) -> int:
    if size < 1 or size & (size - 1):
        raise ValueError(f"a set-up's size is a power of two, not {size}")
    return size.bit_length() - 1


def _announced(srs: Srs) -> Srs:
    if srs.kind == DEVELOPMENT:
        _log.warning("the set-up of size %d is for development only: its secret was known when it was made", srs.size)
    return srs


def development(size: int, folder: Path | None = None, seed: bytes | None = None) -> Srs:
    """A development set-up of size N = `size`. With `folder`: kept there, and made only if there is none of that size.

    seed: for tests, τ from these bytes in place of the system's randomness; such a set-up is never kept.
    Raises ValueError for another size, or a kept file that is damaged.
    """
    log_size = _log_size(size)
    if folder is None or seed is not None:
        tau = secrets.randbelow(P - 2) + 2 if seed is None else int.from_bytes(keccak(seed)) % P
        return _announced(Srs.development(log_size, word(tau)))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"development-{log_size}.srs"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            save(Srs.development(log_size, word(secrets.randbelow(P - 2) + 2)), path)
        srs = Srs.read(path)
    if (srs.kind, srs.size) != (DEVELOPMENT, size):
        raise ValueError(f"{path.name} holds a {srs.kind} set-up of size {srs.size}: remove the file")
    return _announced(srs)


def from_ptau(path: Path, size: int) -> Srs:
    """The set-up of size N = `size` in a `.ptau` file of at least as many powers. Takes minutes for 2^20: `save` it.

    Raises ValueError unless the file is whole, every point is on its curve, and the points are powers of one τ.
    """
    return Srs.read_ptau(path, _log_size(size))


def save(srs: Srs, path: Path) -> None:
    """Writes the set-up's file, whole or not at all: 192 + 64·(2N + 5) bytes."""
    with NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as part:
        partial = Path(part.name)
    try:
        srs.write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path, expected: bytes | None = None) -> Srs:
    """The set-up in a file. expected: the hash it must have; without one, its points are checked by pairings.

    Raises ValueError for a damaged file, another hash, or points that are not powers of one τ.
    """
    srs = Srs.read(path)
    if expected is None:
        srs.check()
    elif srs.hash != expected:
        raise ValueError(f"the set-up in {path.name} has hash 0x{srs.hash.hex()}, 0x{expected.hex()} is required")
    return _announced(srs)


def verifier_setup(srs: Srs) -> GramSetup:
    """What verifiers need of a set-up."""
    return GramSetup(chunk=srs.size, tau=srs.tau_g2)
