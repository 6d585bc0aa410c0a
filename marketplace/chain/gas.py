"""What calls cost: the price of gas, and what a market's calls used."""

from collections import defaultdict

from eth_utils.abi import function_abi_to_4byte_selector
from eth_utils.address import is_same_address
from hexbytes import HexBytes

from marketplace.chain import abi
from marketplace.chain.answers import Block, quantity
from marketplace.chain.connection import Connection, Refused
from marketplace.errors import ChainError

_TIP = 10**9  # wei for each unit, where the node suggests none

MAX_TRANSACTION_GAS = 1 << 24
"""What one transaction may use on Ethereum, and on the chains that follow it (EIP-7825)."""


def gas_price(connection: Connection) -> int:
    """Wei that a transaction sent now would offer for each unit of gas, at most. Raises ChainError.

    For estimates; what a transaction really offers is chosen when it is sent (chain/transactions.py).
    """
    return 2 * base_fee(connection, connection.latest()) + tip(connection)


def base_fee(connection: Connection, block: Block) -> int:
    """Wei for each unit of gas; of a node that leaves it out, the price that it suggests, which is no less."""
    return block.base_fee if block.base_fee is not None else connection.gas_price()


def tip(connection: Connection) -> int:
    """Wei for each unit of gas, as the node suggests."""
    try:
        return quantity(connection.request("eth_maxPriorityFeePerGas"))
    except (Refused, ValueError):
        return _TIP


def gas_by_call(connection: Connection, market: str, first_block: int) -> dict[str, list[int]]:
    """The gas of each mined call of the market, by the call's name, from the deployment ("deploy") to the latest block.

    Reads every block: for development chains.
    """
    names = {function_abi_to_4byte_selector(e): e["name"] for e in abi.artifact()["abi"] if e["type"] == "function"}
    used: dict[str, list[int]] = defaultdict(list)
    for number in range(first_block, connection.head() + 1):
        block = connection.request("eth_getBlockByNumber", hex(number), True)
        for transaction in block["transactions"]:
            receipt, target = connection.receipt(transaction["hash"]), transaction.get("to")
            if receipt is None or receipt.gas_used is None:
                raise ChainError(
                    f"The node does not say what transaction {transaction['hash']} cost: use another node."
                )
            if target is None and receipt.contract == market:
                used["deploy"].append(receipt.gas_used)
            elif target is not None and is_same_address(target, market):
                selector = bytes(HexBytes(transaction["input"]))[:4]
                used[names.get(selector, "unknown")].append(receipt.gas_used)
    return dict(used)
