"""The transcript of a Gram proof: what its challenges depend on (docs/proofs-format.md).

The only Fiat–Shamir code in Python. The state is the keccak256 of everything that was said so far, so a challenge binds
all of it, in its order.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from eth_hash.auto import keccak

P = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""The order of BN254's G1: scalars are integers mod P."""

DOMAIN = b"merit/gram-proof/v1"


def word(value: int) -> bytes:
    """32 bytes, big endian. Raises OverflowError outside 0 … 2^256 − 1."""
    return value.to_bytes(32, "big")


@dataclass(frozen=True, slots=True)
class Context:
    """Where a proof belongs; it is worth nothing elsewhere.

    market: the contract's address, 20 bytes. round: from 1. terms_hash: 32 bytes.
    """

    chain_id: int
    market: bytes
    job_id: int
    round: int
    terms_hash: bytes

    def encoded(self) -> bytes:
        """160 bytes, as abi.encode writes them. Raises ValueError for a field of another size."""
        if len(self.market) != 20 or len(self.terms_hash) != 32:
            raise ValueError("a market has 20 bytes and a terms hash 32")
        numbers = (self.chain_id, self.job_id, self.round)
        if not all(0 <= number < 2**256 for number in numbers):
            raise ValueError("chain id, job and round are unsigned integers of 256 bits")
        return b"".join(
            (word(self.chain_id), bytes(12), self.market, word(self.job_id), word(self.round), self.terms_hash)
        )


class Transcript:
    """absorb: state ← keccak256(state ‖ words). challenge: state ← keccak256(state), its value is state mod P."""

    def __init__(self, context: bytes) -> None:
        self.state: bytes = keccak(DOMAIN + keccak(context))

    def absorb(self, words: Iterable[bytes]) -> None:
        """words: each a multiple of 32 bytes."""
        self.state = keccak(self.state + b"".join(words))

    def challenge(self) -> int:
        """An integer mod P."""
        self.state = keccak(self.state)
        return int.from_bytes(self.state, "big") % P
