"""Coin of a development chain, for whoever wants to try things there."""

from marketplace.chain.anvil import dev_accounts
from marketplace.chain.connection import Connection
from marketplace.chain.transactions import transact

AMOUNT = 100 * 10**18


def fund(connection: Connection, *addresses: str) -> None:
    """Sends AMOUNT wei to each address from the account whose key every development chain prints.

    Raises ChainError, above all where that account has nothing: on every chain that is not for development.
    """
    banker = dev_accounts(1)[0]
    for address in addresses:
        transact(connection, banker, address, b"", value=AMOUNT, wait=60)
