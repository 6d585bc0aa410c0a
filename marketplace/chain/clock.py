"""A development chain's clock, which can be moved."""

from marketplace.chain.connection import Connection


def skip_to(connection: Connection, moment: int) -> None:
    """Lets time pass until the chain's next block is at or past `moment` (Unix seconds), and mines it.

    For Anvil and Ganache. Raises ChainError on a chain whose clock cannot be moved.
    """
    ahead = moment - connection.now()
    if ahead > 0:
        connection.request("evm_increaseTime", ahead)
    connection.request("evm_mine")
