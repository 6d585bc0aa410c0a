"""Putting contracts on a chain, and remembering where they are."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_canonical_address, to_checksum_address
from eth_utils.crypto import keccak
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from marketplace.addresses import parse_address
from marketplace.chain.abi import artifact
from marketplace.chain.answers import Mined
from marketplace.chain.connection import Connection, Refused
from marketplace.chain.linking import creation_code, is_genuine, libraries
from marketplace.chain.market import RECEIPT_WITHIN
from marketplace.chain.transactions import transact
from marketplace.errors import ChainError, InputError
from marketplace.files import read_within, write_atomically

MAX_BOOK = 2**20  # bytes
FACTORY = "0x4e59b44847b379578588920cA78FbF26c0B4956C"
"""Creates by CREATE2 whatever it is sent, on nearly all chains and Anvil; nobody owns it (the deterministic deployment
proxy)."""
_FACTORY_CODE = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f580151560395781"
    "82fd5b8082525050506014600cf3"
)
SALT = bytes(32)


_Address = Annotated[str, AfterValidator(parse_address)]
_Word = Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")]


class Deployment(BaseModel):
    """Where a market is: its address (EIP-55), the block that brought it, and the transaction (0x…),
    None where it was there already.

    chain: the hash of the chain's first block, which tells a chain that was started afresh; None where it is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    market: _Address
    block: int = Field(ge=0)
    transaction: _Word | None
    chain: _Word | None = None


def is_lost(connection: Connection, deployment: Deployment) -> bool:
    """Whether a chain that has the id of the market's chain is another one, or has gone back to before it.

    So it is with local chains whose state was lost. Raises ChainError where the node does not answer.
    """
    known = deployment.chain is not None and connection.identity
    return bool(known and deployment.chain != connection.identity) or not connection.code(deployment.market)


def create(
    connection: Connection, signer: LocalAccount, contract: str, arguments: bytes = b"", *, receipt_within: float
) -> tuple[str, Mined]:
    """Deploys one of Merit's contracts, its libraries first, and waits for it; returns its address. Raises ChainError.

    arguments: the constructor's, encoded.
    """
    linked = {name: create(connection, signer, name, receipt_within=receipt_within)[0] for name in libraries(contract)}
    code = creation_code(contract, linked)
    mined = transact(connection, signer, None, code + arguments, wait=receipt_within)
    if mined.contract is None:
        raise ChainError(
            f"Transaction {mined.transaction} was mined, and the node does not say which contract it made: use another "
            "node to see it."
        )
    return mined.contract, mined


def deploy(connection: Connection, signer: LocalAccount, *, receipt_within: float = RECEIPT_WITHIN) -> Deployment:
    """Deploys a JobMarket, which nobody owns, and waits for it. Raises ChainError."""
    address, mined = create(connection, signer, "JobMarket", receipt_within=receipt_within)
    chain = connection.identity or None
    return Deployment(market=address, block=mined.block, transaction=mined.transaction, chain=chain)


class Everywhere(BaseModel):
    """A market that has the same address on every chain, as deployments/CHAIN.json keeps it.

    block: that brought it, or one before. transaction: None where it was there already. libraries: by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    chain_id: int
    market: _Address
    block: int = Field(ge=0)
    transaction: _Word | None
    libraries: dict[str, _Address]
    factory: _Address
    salt: _Word
    compiler: str


def standard_input() -> bytes:
    """The compiler's input for all of Merit's contracts (standard JSON): it compiles to exactly what is deployed."""
    return files("marketplace.chain").joinpath("artifacts", "standard-input.json").read_bytes()


def address_everywhere(code: bytes) -> str:
    """Where the factory puts what this code creates: it depends on nothing else."""
    seed = b"\xff" + to_canonical_address(FACTORY) + SALT + keccak(code)
    return to_checksum_address(keccak(seed)[12:])


def deploy_everywhere(
    connection: Connection, signer: LocalAccount, *, receipt_within: float = RECEIPT_WITHIN
) -> Everywhere:
    """Deploys a JobMarket through FACTORY, so that it has the same address on every chain; what is there stays.

    Raises InputError for a chain without the factory, ChainError.
    """
    if connection.code(FACTORY) != _FACTORY_CODE:
        raise InputError(
            f"Chain {connection.chain_id} has no CREATE2 factory at {FACTORY}: deploy without --same-address."
        )

    def placed(contract: str, linked: dict[str, str]) -> tuple[str, Mined | None]:
        code = creation_code(contract, linked)
        address = address_everywhere(code)
        if connection.code(address):
            return address, None
        return address, transact(connection, signer, FACTORY, SALT + code, wait=receipt_within)

    linked = {name: placed(name, {})[0] for name in libraries("JobMarket")}
    market, mined = placed("JobMarket", linked)
    if not is_genuine(connection, market, "JobMarket"):
        raise ChainError(f"The contract at {market} is not what was sent there: do not use it.")
    return Everywhere(
        chain_id=connection.chain_id,
        market=market,
        block=_first_block(connection, market) if mined is None else mined.block,
        transaction=None if mined is None else mined.transaction,
        libraries=linked,
        factory=FACTORY,
        salt=_hex(SALT),
        compiler=artifact("JobMarket")["compiler"],
    )


def _first_block(connection: Connection, address: str) -> int:
    """The first block with the contract; 0 where the chain's node keeps no state of before."""
    low, high = 0, connection.head()
    try:
        while low < high:
            middle = (low + high) // 2
            there = connection.request("eth_getCode", address, hex(middle)) not in ("0x", "0x0", None)
            low, high = (low, middle) if there else (middle + 1, high)
    except (Refused, ChainError):
        return 0
    return low


class _Known(BaseModel):
    """What a book knows of a chain. verifiers: their addresses by key hash."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    deployment: Deployment | None = None
    verifiers: dict[_Word, _Address] = {}


# An entry that is just a market's was written before books knew verifiers.
_BOOK: TypeAdapter[dict[int, _Known | Deployment]] = TypeAdapter(dict[int, _Known | Deployment])


class AddressBook:
    """The market of each chain, by chain id, and its verifiers, in a JSON file of a user's. Missing means empty.

    It is a list of hints: a chain may have been started afresh since. Who takes a contract from it checks its code.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, chain_id: int) -> Deployment | None:
        """Raises InputError for a file that is not an address book."""
        return self._known(chain_id).deployment

    def put(self, chain_id: int, deployment: Deployment) -> None:
        """Replaces the chain's market; at any moment the file is whole, as it was or as it will be.

        What is known of another chain with this id goes.
        """
        known = self._known(chain_id)
        same = known.deployment is None or known.deployment.chain == deployment.chain
        self._write(chain_id, _Known(deployment=deployment, verifiers=known.verifiers if same else {}))

    def verifier(self, chain_id: int, key_hash: bytes) -> str | None:
        """The address of the verifier with this key hash, if one is known. Raises InputError as `find` does."""
        return self._known(chain_id).verifiers.get(_hex(key_hash))

    def chains(self) -> set[int]:
        """The ids of the chains that a market is known on. Raises InputError as `find` does."""
        return {chain_id for chain_id, known in self._read().items() if known.deployment is not None}

    def knows_verifiers(self, chain_id: int) -> bool:
        """Whether any verifier is known there. Raises InputError as `find` does."""
        return bool(self._known(chain_id).verifiers)

    def put_verifier(self, chain_id: int, key_hash: bytes, address: str) -> None:
        """Replaces the entry of this key hash, as `put` does."""
        known = self._known(chain_id)
        self._write(chain_id, known.model_copy(update={"verifiers": {**known.verifiers, _hex(key_hash): address}}))

    def _known(self, chain_id: int) -> _Known:
        return self._read().get(chain_id, _Known())

    def _write(self, chain_id: int, known: _Known) -> None:
        book = self._read() | {chain_id: known}
        write_atomically(self.path, _BOOK.dump_json(dict(sorted(book.items())), indent=1) + b"\n")

    def _read(self) -> dict[int, _Known]:
        if not self.path.exists():
            return {}
        try:
            book = _BOOK.validate_json(read_within(self.path, MAX_BOOK))
        except ValidationError as error:
            first = error.errors()[0]
            reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
            raise InputError(f"{self.path} is not an address book ({reason}): mend or remove it.") from error
        return {chain: _Known(deployment=e) if isinstance(e, Deployment) else e for chain, e in book.items()}


def _hex(key_hash: bytes) -> str:
    return "0x" + key_hash.hex()
