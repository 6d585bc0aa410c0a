"""The compiled core (zk/core). zk.setup, zk.kzg, zk.gram and zk.decision are its faces; call those.

Scalars are words of 32 bytes, big endian, < P; points are 64 bytes (docs/proofs-format.md). Arrays are one-dimensional,
contiguous, in native byte order, and must not be written to while a call runs. Every call raises ValueError for inputs
that are not what is said here, and runs without the interpreter's lock.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import final

import numpy as np
from numpy.typing import NDArray

__all__ = ["DecisionCircuit", "DecisionKey", "Srs", "Transcript", "combine", "gram_hash", "write_known_ptau"]

@final
class Srs:
    """Powers of τ in G1 up to τ^(N+4), their Lagrange basis, and [τ]₂."""

    @staticmethod
    def development(log_n: int, tau: bytes) -> Srs: ...
    @staticmethod
    def read(path: str | PathLike[str]) -> Srs: ...
    @staticmethod
    def read_ptau(
        path: str | PathLike[str], log_n: int, progress: Callable[[str, int, int], object] | None = None
    ) -> Srs: ...
    def write(self, path: str | PathLike[str]) -> None: ...
    def check(self) -> None:
        """Raises ValueError unless the points are powers of one τ and their Lagrange basis."""

    @property
    def size(self) -> int:
        """N."""
    @property
    def kind(self) -> str:
        """`development` or `ceremony`."""
    @property
    def hash(self) -> bytes:
        """keccak256 of the set-up's file, 32 bytes."""
    @property
    def tau_g2(self) -> bytes:
        """[τ]₂, 128 bytes."""
    def commit(self, w: NDArray[np.int16], blinders: bytes) -> bytes: ...
    def commit_sum(self, w: NDArray[np.int64], blinders: bytes) -> bytes: ...
    def check_sum(self, w: NDArray[np.int64], blinders: bytes, commitment: bytes, seed: bytes) -> bool: ...
    def check_openings(
        self,
        rows: Sequence[NDArray[np.int16]],
        blinders: Sequence[bytes],
        commitments: Sequence[bytes],
        seed: bytes,
    ) -> bool: ...
    def prove_gram(
        self,
        context: bytes,
        positions: int,
        rows: Sequence[NDArray[np.int16]],
        blinders: Sequence[bytes],
        commitments: Sequence[bytes],
        stated_sum: bytes,
        gram_hash: bytes,
        mask: bytes,
        running: bytes,
        progress: Callable[[str, int, int], object] | None = None,
    ) -> list[bytes]:
        """[proof, r, s, y]. mask: 3 words; running: 4 words, the running sum's blinders. Both serve one proof only."""

    def floor(self, chunks: int) -> None:
        """The sums and transforms that a Gram proof about so many chunks cannot do without, for benches."""

@final
class Transcript:
    """The Gram proof's transcript, for tests that hold it to the other implementations."""

    def __new__(cls, context: bytes) -> Transcript: ...
    def absorb(self, words: bytes) -> None: ...
    def challenge(self) -> bytes: ...

def combine(commitments: Sequence[bytes], coefficients: bytes) -> bytes: ...

@final
class DecisionCircuit:
    """The constraints of a circuit, to check a statement without a key."""

    def __new__(cls, circuit: int) -> DecisionCircuit: ...
    @property
    def circuit(self) -> int:
        """rule · 100 + n_max."""
    @property
    def constraints(self) -> int: ...
    def check(self, inputs: bytes, entries: Sequence[int], mu: bytes, salt: bytes) -> None:
        """Raises ValueError unless the public inputs (words) follow from the witness (zk.decision.Secret.entries)."""

@final
class DecisionKey:
    """A Groth16 proving key, with its verifying key."""

    @staticmethod
    def development(circuit: int, seed: bytes | None = None) -> DecisionKey:
        """Made here, by one party; the same for the same 32-byte seed."""
    @staticmethod
    def from_ptau(
        path: str | PathLike[str], circuit: int, progress: Callable[[str, int, int], object] | None = None
    ) -> DecisionKey:
        """The initial key, which follows from the powers: development until somebody contributes."""
    def contribute(self, name: str, seed: bytes) -> DecisionKey:
        """One contribution more, by a secret drawn from 32 bytes that nobody may learn. name: 1 … 64 bytes of text."""
    def verify(self, path: str | PathLike[str], progress: Callable[[str, int, int], object] | None = None) -> None:
        """Raises ValueError unless the key follows from the `.ptau` file's powers by contributions, at least one."""
    @property
    def contributions(self) -> list[tuple[str, bytes]]:
        """Each contributor's name, and the 32 bytes that everything up to its contribution hashes to."""
    @staticmethod
    def read(path: str | PathLike[str], check: bool) -> DecisionKey:
        """check: whether every point is tested: takes longer than a proof, needless if the file's hash is known."""
    def write(self, path: str | PathLike[str]) -> None: ...
    @staticmethod
    def max_file_bytes(circuit: int) -> int:
        """No key file of this circuit has more bytes."""

    @property
    def circuit(self) -> int: ...
    @property
    def file_bytes(self) -> int: ...
    @property
    def hash(self) -> bytes:
        """keccak256 of the key's file, 32 bytes."""
    @property
    def kind(self) -> str:
        """`development` or `ceremony`."""
    @property
    def verifying_key(self) -> bytes:
        """alpha beta gamma delta IC_0 … IC_l."""
    def prove(self, inputs: bytes, entries: Sequence[int], mu: bytes, salt: bytes) -> bytes:
        """256 bytes: A B C."""

def gram_hash(circuit: int, entries: Sequence[int], mu: bytes, salt: bytes) -> bytes: ...
def write_known_ptau(path: str | PathLike[str], power: int, secrets: bytes) -> None:
    """A `.ptau` file of 2^power powers, for tests: secrets are τ, α and β, a word each."""
