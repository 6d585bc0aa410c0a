"""Sending: simulate, sign, send, wait, explain."""

import re
import threading
from collections.abc import Hashable
from typing import cast

from eth_account.datastructures import SignedTransaction
from eth_account.signers.local import LocalAccount
from eth_account.types import TransactionDictType
from eth_typing import ChecksumAddress
from tenacity import (
    RetryError,
    Retrying,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
    wait_random,
)
from web3.types import TxReceipt

from marketplace.chain.connection import Connection, Refused
from marketplace.errors import ChainError, Reverted
from marketplace.units import format_amount

ATTEMPTS = 8  # to get a nonce that no other program takes meanwhile
_TIP = 10**9  # wei per gas, where the node suggests none
_LOOKS = 3  # that must agree before a transaction counts as replaced
# In the words of geth, Erigon, Anvil; Besu; Nethermind; Ganache.
_KNOWN = re.compile(r"already (known|imported)|\bknown transaction|alreadyknown", re.IGNORECASE)
_NONCE_TAKEN = re.compile(
    r"nonce too low|oldnonce|doesn't have the correct nonce|replacement ?(transaction )?(underpriced|notallowed)",
    re.IGNORECASE,
)

_locks: dict[Hashable, threading.Lock] = {}


def lock_of(*key: Hashable) -> threading.Lock:
    """The lock that all threads of this process share for a key."""
    return _locks.setdefault(key, threading.Lock())


def transact(
    connection: Connection, signer: LocalAccount, to: str | None, data: bytes, *, value: int = 0, wait: float
) -> TxReceipt:
    """Sends a transaction with EIP-1559 fees and returns its receipt once it is mined.

    to: None deploys a contract. value: wei. wait: seconds for the receipt.
    Raises Reverted with the decoded error, before sending where the simulation shows it; ChainError for too little
    balance, a refusal by the node, or a receipt that does not come in time.

    An action is sent once. A nonce is read and used under a lock that the threads of this process share, so only
    another process with the same key can take it meanwhile. Then the signed transaction can never be mined: either
    the node refuses it ("nonce too low", "replacement underpriced"), or the other one replaces it, which shows when
    the account's mined nonce has passed it and the node no longer knows its hash. Only then is the action simulated
    again, signed with another nonce and sent. Where the answer to a sending got lost, the same bytes are sent again:
    they have one hash and one nonce, so they are mined once at most ("already known" is success). When it stays
    unknown whether a transaction will be mined, ChainError names its hash and nothing is sent in its place. Two
    processes that both mean to act, each once, are the contract's to tell apart: it refuses a second join, submission
    or settlement by name. Should their transactions be equal to the byte, they are one, and both get its receipt.
    """
    call: dict[str, object] = {"from": signer.address, "data": "0x" + data.hex(), "value": hex(value)}
    if to is not None:
        call["to"] = to

    def once() -> TxReceipt | None:
        """None when another program took the nonce."""
        fields = _priced(connection, signer.address, call, value)
        with lock_of(connection.chain_id, signer.address):
            nonce = connection.ask(lambda eth: eth.get_transaction_count(signer.address, "pending"))
            fields |= {"nonce": nonce, "chainId": connection.chain_id}
            signed = signer.sign_transaction(cast(TransactionDictType, fields))
            sent = _submit(connection, signed)
        receipt = _await(connection, signer.address, nonce, signed, wait) if sent else None
        if receipt is None or receipt["status"] == 1:
            return receipt
        raise _reason(connection, call, cast(int, fields["gas"]), receipt)

    again = Retrying(stop=stop_after_attempt(ATTEMPTS), wait=wait_random(0, 0.5), retry=retry_if_result(_is_none))
    try:
        return cast(TxReceipt, again(once))
    except RetryError as error:
        raise ChainError(
            f"Other programs keep using the key of {signer.address}: stop them, or try again later."
        ) from error


def _priced(connection: Connection, sender: ChecksumAddress, call: dict[str, object], value: int) -> dict[str, object]:
    """The transaction's fields, from a simulation and the chain's fees, once the balance covers them."""
    held = connection.ask(lambda eth: eth.get_balance(sender, "pending"))
    if held < value:
        raise ChainError(
            f"{sender} holds {format_amount(held)}, and {format_amount(value)} are needed: fund it and try again."
        )
    estimate = connection.estimate(call)
    block = connection.ask(lambda eth: eth.get_block("latest"))
    if "baseFeePerGas" not in block:
        raise ChainError(f"Chain {connection.chain_id} has no EIP-1559 fees, which Merit needs: use another chain.")
    # The state may change until it is mined: a quarter, and one slot that is first written by then.
    gas = min(estimate * 5 // 4 + 30_000, block["gasLimit"])
    try:
        tip = int(connection.request("eth_maxPriorityFeePerGas"), 16)
    except Refused:
        tip = _TIP
    price = 2 * block["baseFeePerGas"] + tip
    if held < value + gas * price:
        raise ChainError(
            f"{sender} holds {format_amount(held)}, and {format_amount(value + gas * price)} are needed, "
            f"{format_amount(gas * price)} of them for gas at most: fund it and try again."
        )
    fields = {"type": 2, "data": call["data"], "value": value, "gas": gas, "maxFeePerGas": price}
    return {**fields, "maxPriorityFeePerGas": tip} | ({"to": call["to"]} if "to" in call else {})


def _submit(connection: Connection, signed: SignedTransaction) -> bool:
    """Whether the node has the transaction; False when another took its nonce, so that it never can be mined."""

    def sent() -> bool | None:
        try:
            connection.request("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex())
        except Refused as refusal:
            if _KNOWN.search(refusal.message):
                return True
            if _NONCE_TAKEN.search(refusal.message):
                return _is_known(connection, signed)  # by itself, where only the answer to its first sending was lost
            raise
        except ChainError:
            return None
        return True

    again = Retrying(stop=stop_after_attempt(3), wait=wait_exponential(0.2), retry=retry_if_result(_is_none))
    try:
        return bool(again(sent))
    except RetryError as error:
        raise ChainError(
            f"The chain's RPC stopped answering while transaction {signed.hash.to_0x_hex()} was sent: "
            "see whether it was mined before doing this again."
        ) from error


def _is_none(value: object) -> bool:
    return value is None


def _is_known(connection: Connection, signed: SignedTransaction) -> bool:
    return connection.request("eth_getTransactionByHash", signed.hash.to_0x_hex()) is not None


def _await(
    connection: Connection, sender: ChecksumAddress, nonce: int, signed: SignedTransaction, wait: float
) -> TxReceipt | None:
    """The receipt; None when another transaction with this nonce was mined instead."""
    identity = signed.hash.to_0x_hex()
    absent = 0

    def look() -> bool:
        """Whether it is decided."""
        nonlocal absent
        if connection.request("eth_getTransactionReceipt", identity) is not None:
            return True
        passed = connection.ask(lambda eth: eth.get_transaction_count(sender, "latest")) > nonce
        absent = absent + 1 if passed and not _is_known(connection, signed) else 0
        return absent == _LOOKS

    poll = Retrying(
        stop=stop_after_delay(wait), wait=wait_exponential(0.05, max=1), retry=retry_if_result(lambda done: not done)
    )
    try:
        poll(look)
    except RetryError as error:
        raise ChainError(
            f"Transaction {identity} was not mined within {wait:g} s, and still may be: see before doing this again."
        ) from error
    return None if absent else connection.ask(lambda eth: eth.get_transaction_receipt(signed.hash))


def _reason(connection: Connection, call: dict[str, object], gas: int, receipt: TxReceipt) -> ChainError:
    """Why a mined transaction failed: what the same call says in the state after its block, else before it."""
    for block in (receipt["blockNumber"], receipt["blockNumber"] - 1):
        try:
            connection.call({**call, "gas": hex(gas)}, block)
        except Reverted as reason:
            return reason
        except Refused:  # out of gas, or a node without past states
            continue
    identity = receipt["transactionHash"].to_0x_hex()
    if receipt["gasUsed"] == gas:
        return ChainError(f"Transaction {identity} ran out of its {gas} gas: try again.")
    return Reverted(f"Transaction {identity} was refused when it was mined, for a reason that has passed: try again.")
