"""The contracts that check a job's proofs: putting them on a chain, and telling whether a job has the genuine ones.

A contract that answers yes to everything and has the right `keyHash` would pay what is not proved. So nothing that a
verifier says of itself counts: its code must be Merit's to the byte, immutables included, and these are computed here
from the set-up or key that the code carries. Such code cannot change or vanish, and neither can a verifying key's,
which begins with STOP. Whether a key comes from a set-up that can be trusted is for its files to show, by its hash.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_canonical_address, to_checksum_address
from eth_utils.crypto import keccak

from marketplace.chain import abi
from marketplace.chain.connection import Connection
from marketplace.chain.deploy import create
from marketplace.chain.market import RECEIPT_WITHIN
from marketplace.domain import Terms
from marketplace.errors import ChainError, InputError
from zk.statements import circuit_id
from zk.transcript import P, word
from zk.verifier import MAX_CHUNK, GramSetup, key_hash

WORD = 32
TAU_BYTES = 128
_TAU = ("_tau0", "_tau1", "_tau2", "_tau3")
_BEFORE_IC = 14  # words of a verifying key: α β γ δ
_GENERATOR = 5  # of the multiplicative group modulo P


@dataclass(frozen=True, slots=True)
class Verifiers:
    """What a job's proofs are checked with. verifying_key: α β γ δ IC_0 … IC_l, 64·(8 + l) bytes, of `circuit`."""

    setup: GramSetup
    circuit: int
    verifying_key: bytes


def gram_key_hash(chunk: int, tau: bytes) -> bytes:
    """keccak256 of the words N and [τ]₂ (128 bytes): a Gram verifier's `keyHash`."""
    return keccak(word(chunk) + tau)


def deploy_gram(
    connection: Connection, signer: LocalAccount, chunk: int, tau: bytes, *, receipt_within: float = RECEIPT_WITHIN
) -> str:
    """Deploys a Gram verifier; returns its address. chunk: N. tau: [τ]₂, 128 bytes.

    Raises InputError for another length, Reverted for a chunk or point that the contract refuses, ChainError.
    """
    if len(tau) != TAU_BYTES:
        raise InputError(f"[τ]₂ has {TAU_BYTES} bytes, {len(tau)} were given.")
    arguments = abi.encode(["uint256", "uint256[4]"], [chunk, _words(tau)], "A Gram verifier")
    return create(connection, signer, "GramVerifier", arguments, receipt_within=receipt_within)[0]


def deploy_decision(
    connection: Connection,
    signer: LocalAccount,
    circuit: int,
    verifying_key: bytes,
    *,
    receipt_within: float = RECEIPT_WITHIN,
) -> str:
    """Deploys the verifier of a circuit's proofs; returns its address. Raises as `deploy_gram` does."""
    if not _is_key_size(len(verifying_key)):
        raise InputError(f"A verifying key has no {len(verifying_key)} bytes.")
    arguments = abi.encode(["uint256", "uint256[]"], [circuit, _words(verifying_key)], "A decision verifier")
    return create(connection, signer, "DecisionVerifier", arguments, receipt_within=receipt_within)[0]


def is_gram(connection: Connection, address: str, chunk: int, tau: bytes) -> bool:
    """Whether the contract there is Merit's Gram verifier of this set-up. Raises ChainError without an answer."""
    return _gram(connection, address) == GramSetup(chunk, tau)


def is_decision(connection: Connection, address: str, circuit: int, verifying_key: bytes) -> bool:
    """Whether the contract there is Merit's verifier of this circuit and key. Raises ChainError without an answer."""
    return _decision(connection, address) == (circuit, verifying_key)


def read_verifiers(connection: Connection, terms: Terms) -> Verifiers:
    """What the job's two contracts check proofs with. Who joins, aggregates or audits a job asks this first.

    Raises ChainError unless both are Merit's to the byte, with the keys that the terms name and the circuit that fits
    the terms' rule and number of trainers.
    """
    setup = _gram(connection, terms.gram_verifier)
    if setup is None:
        raise ChainError(_foreign(terms.gram_verifier, "Gram", connection))
    if gram_key_hash(setup.chunk, setup.tau) != terms.gram_key:
        raise ChainError(f"The Gram verifier at {terms.gram_verifier} has another set-up than the job's terms name.")
    decision = _decision(connection, terms.decision_verifier)
    if decision is None:
        raise ChainError(_foreign(terms.decision_verifier, "decision", connection))
    circuit, key = decision
    if key_hash(key) != terms.decision_key:
        raise ChainError(f"The decision verifier at {terms.decision_verifier} has another key than the terms name.")
    try:
        required = circuit_id(terms.rule, terms.max_trainers)
    except ValueError as error:
        raise ChainError(f"The job's terms have no circuit: {error}.") from error
    if circuit != required:
        raise ChainError(
            f"The decision verifier at {terms.decision_verifier} is for circuit {circuit}, "
            f"and the job's terms need {required}: do not take part in this job."
        )
    return Verifiers(setup, circuit, key)


def _foreign(address: str, kind: str, connection: Connection) -> str:
    return (
        f"The contract at {address} on chain {connection.chain_id} is not Merit's {kind} verifier, or of another "
        "version, and could accept anything: do not take part in this job."
    )


# ---------------------------------------------------------------- code


def _gram(connection: Connection, address: str) -> GramSetup | None:
    """The set-up of a genuine Gram verifier, from its code; None for any other account."""
    code = _code(connection, address)
    chunk, *tau = (_immutable("GramVerifier", code, name) for name in ("chunk", *_TAU))
    setup = GramSetup(int.from_bytes(chunk), b"".join(tau))
    if not 2 <= setup.chunk <= MAX_CHUNK or setup.chunk & (setup.chunk - 1):
        return None
    values = {
        "chunk": chunk,
        "_chunkInverse": word(pow(setup.chunk, -1, P)),
        "_omega": word(pow(_GENERATOR, (P - 1) // setup.chunk, P)),
        "keyHash": gram_key_hash(setup.chunk, setup.tau),
        **dict(zip(_TAU, tau, strict=True)),
    }
    return setup if code == _filled("GramVerifier", values) else None


def _decision(connection: Connection, address: str) -> tuple[int, bytes] | None:
    """Circuit and verifying key of a genuine decision verifier, from its code and its store's; None for others."""
    code = _code(connection, address)
    circuit = _immutable("DecisionVerifier", code, "circuit")
    store = _immutable("DecisionVerifier", code, "_store")[-20:]
    if len(store) != 20:
        return None
    held = _code(connection, to_checksum_address(store))
    stop, key = held[:1], held[1:]
    if stop != b"\0" or not _is_key_size(len(key)):
        return None
    values = {
        "circuit": circuit,
        "inputCount": word((len(key) // WORD - _BEFORE_IC) // 2 - 1),
        "keyHash": key_hash(key),
        "_store": to_canonical_address(store).rjust(WORD, b"\0"),
    }
    return (int.from_bytes(circuit), key) if code == _filled("DecisionVerifier", values) else None


def _code(connection: Connection, address: str) -> bytes:
    return connection.code(address)


def _immutable(contract: str, code: bytes, name: str) -> bytes:
    """The word that a contract's code has for an immutable; shorter, or any other bytes, in what is no such code."""
    at = abi.artifact(contract)["immutables"][name][0]
    return code[at : at + WORD]


def _filled(contract: str, values: Mapping[str, bytes]) -> bytes:
    """A contract's code with its immutables. Raises KeyError for one that is not given: a fault of this module."""
    built = abi.artifact(contract)
    words = {name: value.rjust(WORD, b"\0") for name, value in values.items()}
    return abi.filled(built["deployedBytecode"], built["immutables"], words)


def _is_key_size(size: int) -> bool:
    """Whether a verifying key, which has one IC point at least, can have this many bytes."""
    return size % (2 * WORD) == 0 and size >= (_BEFORE_IC + 2) * WORD


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + WORD]) for at in range(0, len(data), WORD)]
