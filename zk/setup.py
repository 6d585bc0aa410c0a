"""Set-ups for commitments and keys for decision proofs: for development, from a ceremony's `.ptau`, or from a file.

A set-up's size N is the length of a chunk: a power of two, 2^3 … 2^20. Every file says in its header whether it is for
development, and its name is keccak256 of its bytes. Whoever knows τ can open a commitment to anything, and whoever
knows a key's secrets can prove anything: what is made for development says so on every use, and no contract on a public
chain may rest on it. Formats and trust: docs/setups.md.
"""

import logging
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal, TypeVar

from eth_hash.auto import keccak

from zk._core import DecisionKey, Srs
from zk.transcript import P, word
from zk.verifier import GramSetup

__all__ = [
    "CEREMONY",
    "DEVELOPMENT",
    "Facts",
    "Progress",
    "Srs",
    "contribute",
    "development",
    "development_key",
    "facts",
    "file_bytes",
    "from_ptau",
    "initial_key",
    "load",
    "load_key",
    "save",
    "verifier_setup",
    "verify_key",
]

DEVELOPMENT = "development"
CEREMONY = "ceremony"

_SRS_MAGIC = b"merit/kzg-srs/v1"
_SRS_HEADER = 64
_KEY_MAGIC = b"merit/decision-key/v1"
_KEY_HEADER = len(_KEY_MAGIC) + 7

Progress = Callable[[str, int, int], object]
"""Called with (phase, done, total) from time to time; what it raises ends the work."""

_Made = TypeVar("_Made", Srs, DecisionKey)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file's header says.

    what: a set-up or a key. size: N, or the key's circuit. kind: DEVELOPMENT or CEREMONY.
    """

    what: Literal["srs", "key"]
    size: int
    kind: str


def _log_size(size: int) -> int:
    if size < 1 or size & (size - 1):
        raise ValueError(f"a set-up's size is a power of two, not {size}")
    return size.bit_length() - 1


def file_bytes(size: int) -> int:
    """The length in bytes of the file of a set-up of size N = `size`. Raises ValueError for no such size."""
    if not 3 <= _log_size(size) <= 20:
        raise ValueError(f"a set-up's size is 2^3 … 2^20, not {size}")
    return _SRS_HEADER + 128 + 64 * (2 * size + 5)


def _announced(made: _Made) -> _Made:
    if made.kind == DEVELOPMENT:
        named = f"The set-up of size {made.size}" if isinstance(made, Srs) else f"The key of circuit {made.circuit}"
        _log.warning("%s is for development only: whoever made it could forge proofs.", named)
    return made


def development(size: int, seed: bytes | None = None) -> Srs:
    """A development set-up of size N = `size`; seed: for tests, τ from these bytes in place of the system's randomness.

    Raises ValueError for a size that there is not.
    """
    log_size = _log_size(size)
    tau = secrets.randbelow(P - 2) + 2 if seed is None else int.from_bytes(keccak(seed)) % P
    return _announced(Srs.development(log_size, word(tau)))


def development_key(circuit: int) -> DecisionKey:
    """A development key of a circuit (zk.statements.circuit_id). Raises ValueError for a circuit that there is not."""
    return _announced(DecisionKey.development(circuit))


def from_ptau(path: Path, size: int, progress: Progress | None = None) -> Srs:
    """The set-up of size N = `size` in a `.ptau` file of at least as many powers. Takes minutes for 2^20: `save` it.

    Raises ValueError unless the file is whole, somebody contributed to it, every point is on its curve, and the points
    are powers of one τ.
    """
    return Srs.read_ptau(path, _log_size(size), progress)


def initial_key(path: Path, circuit: int, progress: Progress | None = None) -> DecisionKey:
    """The key of a circuit that follows from the powers in a `.ptau` file alone: worth nothing until `contribute`.

    Raises ValueError as `from_ptau` does, and where the file has fewer powers than the circuit needs.
    """
    return DecisionKey.from_ptau(path, circuit, progress)


def contribute(key: DecisionKey, name: str) -> DecisionKey:
    """The key with a contribution of somebody called `name`, by a secret that is drawn here and forgotten.

    Raises ValueError for a key that one party made, and a name that is not 1 … 64 bytes without control characters.
    """
    return key.contribute(name, secrets.token_bytes(32))


def verify_key(key: DecisionKey, path: Path, progress: Progress | None = None) -> None:
    """Raises ValueError unless the key follows from the `.ptau` file's powers by its contributions, at least one."""
    key.verify(path, progress)


def save(made: Srs | DecisionKey, path: Path) -> None:
    """Writes the file of a set-up or key, whole or not at all. Raises ValueError, OSError."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}", delete=False) as part:
        partial = Path(part.name)
    try:
        made.write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _expected(made: _Made, path: Path, expected: bytes | None) -> _Made:
    if expected is not None and made.hash != expected:
        raise ValueError(f"the content of {path.name} has hash 0x{made.hash.hex()}, 0x{expected.hex()} is required")
    return _announced(made)


def load(path: Path, expected: bytes | None = None, *, check: bool | None = None) -> Srs:
    """The set-up in a file. expected: the hash it must have.

    check: whether its points are held to be powers of one τ, by pairings; by default only where no hash is expected.
    Raises ValueError for a damaged file, another hash, or points that are not powers of one τ.
    """
    srs = _expected(Srs.read(path), path, expected)
    if check or (check is None and expected is None):
        srs.check()
    return srs


def load_key(path: Path, expected: bytes | None = None, *, check: bool | None = None) -> DecisionKey:
    """The decision key in a file. expected, check: as for `load`; checked is that every point is in its group.

    Raises ValueError for a damaged file, or another hash.
    """
    checked = expected is None if check is None else check
    return _expected(DecisionKey.read(path, check=checked), path, expected)


def facts(path: Path) -> Facts:
    """What the file's header says; nothing behind it is read. Raises ValueError for another file, OSError."""
    with path.open("rb") as file:
        header = file.read(_SRS_HEADER)
    if header.startswith(_SRS_MAGIC) and len(header) == _SRS_HEADER:
        kind, log_size = header[len(_SRS_MAGIC) : -1].rstrip(b"\0"), header[-1]
        if kind in (DEVELOPMENT.encode(), CEREMONY.encode()) and 3 <= log_size <= 20:
            return Facts("srs", 1 << log_size, kind.decode())
    if header.startswith(_KEY_MAGIC) and len(header) >= _KEY_HEADER:
        fields = header[len(_KEY_MAGIC) :]
        circuit, alone, contributions = (int.from_bytes(part) for part in (fields[:4], fields[4:5], fields[5:7]))
        return Facts("key", circuit, DEVELOPMENT if alone or not contributions else CEREMONY)
    raise ValueError(f"{path.name} is neither a set-up nor a key")


def verifier_setup(srs: Srs) -> GramSetup:
    """What verifiers need of a set-up."""
    return GramSetup(chunk=srs.size, tau=srs.tau_g2)
