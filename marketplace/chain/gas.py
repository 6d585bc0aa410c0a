"""What a market's calls cost, read from the chain."""

from collections import defaultdict
from typing import Any

from eth_utils.abi import function_abi_to_4byte_selector
from eth_utils.address import is_same_address
from hexbytes import HexBytes

from marketplace.chain import abi
from marketplace.chain.connection import Connection


def gas_by_call(connection: Connection, market: str, first_block: int) -> dict[str, list[int]]:
    """The gas of each mined call of the market, by the call's name, from the deployment ("deploy") to the latest block.

    Reads every block: for development chains.
    """
    names = {function_abi_to_4byte_selector(e): e["name"] for e in abi.artifact()["abi"] if e["type"] == "function"}
    used: dict[str, list[int]] = defaultdict(list)
    for number in range(first_block, connection.ask(lambda eth: eth.block_number) + 1):
        for transaction in _transactions(connection, number):
            identity = transaction["hash"]
            receipt = connection.ask(lambda eth, identity=identity: eth.get_transaction_receipt(identity))  # type: ignore[misc]
            target = transaction.get("to")
            if target is None and receipt["contractAddress"] == market:
                used["deploy"].append(receipt["gasUsed"])
            elif target is not None and is_same_address(target, market):
                selector = bytes(HexBytes(transaction["input"]))[:4]
                used[names.get(selector, "unknown")].append(receipt["gasUsed"])
    return dict(used)


def _transactions(connection: Connection, number: int) -> list[dict[str, Any]]:
    block = connection.ask(lambda eth: eth.get_block(number, full_transactions=True))
    return list(block["transactions"])  # type: ignore[arg-type]
