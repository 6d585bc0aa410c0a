"""What became of a transaction, as the node's chain tells it.

Nodes leave out what they like: nothing but the status and the block of a receipt is relied on.
"""

import re
from typing import Any, TypeGuard

from eth_utils.address import to_checksum_address

from marketplace.api.models import Log, TransactionFacts
from marketplace.chain import abi
from marketplace.chain.connection import Refused
from marketplace.chain.market import Market
from marketplace.errors import ChainError, Reverted

MOST_LOGS = 1000
GONE = "It is in a block, but failed: things changed between its simulation and its block. Try again."


def transaction_facts(market: Market, hash: str, sender: str | None, nonce: int | None) -> TransactionFacts:
    """sender, nonce: whose transaction it is, to tell whether another took its place. Raises ChainError."""
    ask = market.connection.request
    known = _dict(ask("eth_getTransactionByHash", hash))
    receipt = _dict(ask("eth_getTransactionReceipt", hash))
    found: dict[str, Any] = dict.fromkeys(TransactionFacts.model_fields) | {"logs": []} | _call_of(known)
    own = _number(known.get("nonce"))
    found["nonce"] = nonce if own is None else own
    block, status = _number(receipt.get("blockNumber")), _number(receipt.get("status"))
    if block is not None and status is not None:
        price = _number(receipt.get("effectiveGasPrice"))
        found |= {"block": block, "gas": _number(receipt.get("gasUsed")), "timestamp": _time(market, block)}
        found["logs"] = _logs(receipt.get("logs")) if status == 1 else []
        found["gas_price"] = None if price is None else str(price)
        if status == 1:
            return TransactionFacts(**found | {"state": "done", "job_id": _created(market, receipt.get("logs"))})
        return TransactionFacts(**found | {"state": "failed", "reason": _reason(market, known, block)})
    if known:
        return TransactionFacts(**found | {"state": "waiting"})
    replaced = False
    if sender is not None and nonce is not None:
        count = _number(ask("eth_getTransactionCount", to_checksum_address(sender), "latest"))
        replaced = count is not None and count > nonce
    return TransactionFacts(**found | {"state": "replaced" if replaced else "unknown"})


def _call_of(known: dict[str, Any]) -> dict[str, Any]:
    """Who called what, as far as the chain's node says it in the usual form."""
    sender, to, value, data = (known.get(name) for name in ("from", "to", "value", "input"))
    wei = _number(value)
    return {
        "sender": to_checksum_address(sender) if _is_hex(sender, 20) else None,
        "to": to_checksum_address(to) if _is_hex(to, 20) else None,
        "value": None if wei is None else str(wei),
        "input": data if _is_hex(data) else None,
    }


def _time(market: Market, block: int) -> int | None:
    header = _dict(market.connection.request("eth_getBlockByNumber", hex(block), False))
    return _number(header.get("timestamp"))


def _logs(given: object) -> list[Log]:
    """Those in the usual form, at most 1,000."""
    found = []
    for log in given[:MOST_LOGS] if isinstance(given, list) else ():
        address, topics, data = (_dict(log).get(name) for name in ("address", "topics", "data"))
        if _is_hex(address, 20) and _is_hex(data) and isinstance(topics, list) and all(_is_hex(t, 32) for t in topics):
            found.append(Log(address=to_checksum_address(address), topics=topics, data=data))
    return found


def _created(market: Market, logs: object) -> int | None:
    """The job that the logs of a receipt say was created in this market."""
    (topic,) = (topic for topic, entry in abi.events_by_topic().items() if entry["name"] == "JobCreated")
    for log in logs if isinstance(logs, list) else ():
        topics = _dict(log).get("topics")
        mine = str(_dict(log).get("address")).lower() == market.address.lower()
        if mine and isinstance(topics, list) and len(topics) > 1 and topics[0] == "0x" + topic.hex():
            return _number(topics[1])
    return None


def _reason(market: Market, sent: dict[str, Any], block: int) -> str:
    """The same call, on the block before, says why."""
    call = {name: sent[field] for name, field in _CALL.items() if sent.get(field) is not None}
    try:
        market.connection.call(call, block - 1)
    except Reverted as error:
        return str(error)
    except (Refused, ChainError):
        return "It is in a block, but failed, and the chain's node does not say why."
    return GONE


_CALL = {"from": "from", "to": "to", "data": "input", "value": "value"}


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int(str(value), 16) if str(value).startswith("0x") else None
    except ValueError:
        return None


def _is_hex(value: object, size: int | None = None) -> TypeGuard[str]:
    """size: bytes, where it matters."""
    if not isinstance(value, str) or not re.fullmatch(r"0x(?:[0-9a-fA-F]{2})*", value):
        return False
    return size is None or len(value) == 2 + 2 * size
