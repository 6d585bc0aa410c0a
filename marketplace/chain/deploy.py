"""Putting a market on a chain, and remembering where it is."""

from pathlib import Path

from eth_account.signers.local import LocalAccount
from eth_utils.address import is_checksum_address
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from marketplace.chain import abi
from marketplace.chain.connection import Connection
from marketplace.chain.market import RECEIPT_WITHIN
from marketplace.chain.transactions import transact
from marketplace.errors import ChainError, InputError
from marketplace.files import read_within, write_atomically

MAX_BOOK = 2**20  # bytes


class Deployment(BaseModel):
    """Where a market is: its address (EIP-55), the block that brought it, and the transaction (0x…)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    market: str
    block: int = Field(ge=0)
    transaction: str = Field(pattern="^0x[0-9a-f]{64}$")

    @field_validator("market")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not is_checksum_address(value):
            raise ValueError("not an EIP-55 address")
        return value


def deploy(connection: Connection, signer: LocalAccount, *, receipt_within: float = RECEIPT_WITHIN) -> Deployment:
    """Deploys a JobMarket, which nobody owns, and waits for it. Raises ChainError."""
    code = bytes.fromhex(abi.artifact()["bytecode"].removeprefix("0x"))
    mined = transact(connection, signer, None, code, wait=receipt_within)
    address = mined["contractAddress"]
    if address is None:
        raise ChainError(f"Transaction {mined['transactionHash'].to_0x_hex()} was mined without making a contract.")
    return Deployment(market=address, block=mined["blockNumber"], transaction=mined["transactionHash"].to_0x_hex())


_BOOK = TypeAdapter(dict[int, Deployment])


class AddressBook:
    """The market of each chain, by chain id, in a JSON file of a user's. Missing means empty."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, chain_id: int) -> Deployment | None:
        """Raises InputError for a file that is not an address book."""
        return self._read().get(chain_id)

    def put(self, chain_id: int, deployment: Deployment) -> None:
        """Replaces the chain's entry; at any moment the file is whole, as it was or as it will be."""
        book = self._read() | {chain_id: deployment}
        write_atomically(self.path, _BOOK.dump_json(dict(sorted(book.items())), indent=1) + b"\n")

    def _read(self) -> dict[int, Deployment]:
        if not self.path.exists():
            return {}
        try:
            return _BOOK.validate_json(read_within(self.path, MAX_BOOK))
        except ValidationError as error:
            first = error.errors()[0]
            reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
            raise InputError(f"{self.path} is not an address book ({reason}): mend or remove it.") from error
