"""Putting contracts on a chain, and remembering where they are."""

from pathlib import Path
from typing import Annotated

from eth_account.signers.local import LocalAccount
from eth_utils.address import is_checksum_address
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from web3.types import TxReceipt

from marketplace.chain import abi
from marketplace.chain.connection import Connection
from marketplace.chain.market import RECEIPT_WITHIN
from marketplace.chain.transactions import transact
from marketplace.errors import ChainError, InputError
from marketplace.files import read_within, write_atomically

MAX_BOOK = 2**20  # bytes


def _is_an_address(value: str) -> str:
    if not is_checksum_address(value):
        raise ValueError("not an EIP-55 address")
    return value


_Address = Annotated[str, AfterValidator(_is_an_address)]
_Word = Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")]


class Deployment(BaseModel):
    """Where a market is: its address (EIP-55), the block that brought it, and the transaction (0x…)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    market: _Address
    block: int = Field(ge=0)
    transaction: _Word


def create(
    connection: Connection, signer: LocalAccount, contract: str, arguments: bytes = b"", *, receipt_within: float
) -> tuple[str, TxReceipt]:
    """Deploys one of Merit's contracts and waits for it; returns its address. Raises ChainError.

    arguments: the constructor's, encoded.
    """
    code = bytes.fromhex(abi.artifact(contract)["bytecode"].removeprefix("0x"))
    mined = transact(connection, signer, None, code + arguments, wait=receipt_within)
    address = mined["contractAddress"]
    if address is None:
        raise ChainError(f"Transaction {mined['transactionHash'].to_0x_hex()} was mined without making a contract.")
    return address, mined


def deploy(connection: Connection, signer: LocalAccount, *, receipt_within: float = RECEIPT_WITHIN) -> Deployment:
    """Deploys a JobMarket, which nobody owns, and waits for it. Raises ChainError."""
    address, mined = create(connection, signer, "JobMarket", receipt_within=receipt_within)
    return Deployment(market=address, block=mined["blockNumber"], transaction=mined["transactionHash"].to_0x_hex())


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
        """Replaces the chain's market; at any moment the file is whole, as it was or as it will be."""
        self._write(chain_id, self._known(chain_id).model_copy(update={"deployment": deployment}))

    def verifier(self, chain_id: int, key_hash: bytes) -> str | None:
        """The address of the verifier with this key hash, if one is known. Raises InputError as `find` does."""
        return self._known(chain_id).verifiers.get(_hex(key_hash))

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
