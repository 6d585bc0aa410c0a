"""Sending: simulate, sign, send, wait, explain."""

import re
import threading
import time
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from eth_account.datastructures import SignedTransaction
from eth_account.signers.local import LocalAccount
from eth_account.types import TransactionDictType
from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from tenacity import (
    RetryError,
    Retrying,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
    wait_random,
)
from web3.eth import Eth
from web3.types import TxReceipt

from marketplace.chain.connection import Connection, Refused
from marketplace.errors import ChainError, Reverted
from marketplace.units import format_amount

ATTEMPTS = 8  # to get a nonce that no other program takes meanwhile
_TIP = 10**9  # wei per gas, where the node suggests none
_LOOKS = 3  # that must agree before a transaction counts as replaced
PATIENCE = 30.0  # seconds that a price is given; a price that the next block refuses is given none
RAISES = 8  # of the price of one transaction
CEILING = 10  # times the first price: what a transaction may come to cost per gas
_STEP = 1.125  # geth takes a replacement that pays a tenth more, in both fees
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

    An action has one nonce until it is decided, so it takes effect once at most. What it is sent with may change:
    a price that blocks have risen above, or that got it mined by nobody for PATIENCE seconds, is raised by a
    replacement with the same nonce, data and value, RAISES times and to CEILING times the first price at most. A node
    that forgot it is sent the same bytes again. When it stays unknown whether it will be mined, ChainError names its
    hash; the next call for the same action in this process goes on with it, or gives its receipt.

    A nonce is read and used under a lock that the threads of this process share, so only another process with the same
    key can take it meanwhile. Then the signed transaction can never be mined: either the node refuses it ("nonce too
    low", "replacement underpriced"), or the other one replaces it, which shows when the account's mined nonce has
    passed it and the node no longer knows its hash. Only then is the action simulated again and signed with another
    nonce. A stranger's transaction that holds up the account's nonces for PATIENCE seconds, left behind by a process
    that died, is replaced by one that does nothing. Where a reorganization undid what was mined before, ChainError
    says so early: the caller may want to do that again first. Two processes that both mean to act, each once, are the
    contract's to tell apart: it refuses a second join, submission or settlement by name. Should their transactions be
    equal to the byte, they are one, and both get its receipt.
    """
    call: dict[str, object] = {"from": signer.address, "data": "0x" + data.hex(), "value": hex(value)}
    if to is not None:
        call["to"] = to
    account = (connection.chain_id, signer.address)
    action = (*account, to, data, value)
    own = _own.setdefault(account, set())

    def once() -> TxReceipt | None:
        """None when another program took the nonce."""
        sending = _undecided.pop(action, None) or begun()
        if sending is None:
            return None
        own.add(sending.nonce)
        try:
            receipt = _await(connection, signer, sending, wait)
        except ChainError:
            _undecided[action] = sending
            raise
        finally:
            own.discard(sending.nonce)
        if receipt is not None:
            _reached[account] = max(_reached.get(account, 0), sending.nonce + 1)
        if receipt is None or receipt["status"] == 1:
            return receipt
        raise _reason(connection, call, sending.fields["gas"], receipt)

    def begun() -> _Sending | None:
        fields = _priced(connection, signer.address, call, value)
        with lock_of(*account):
            mined = connection.ask(lambda eth: eth.get_transaction_count(signer.address, "latest"))
            # Nonces that a reorganization gave back, which nodes with later ones in their pool pass over.
            given_back = (n for n in range(mined, _reached.get(account, 0)) if n not in own)
            nonce = next(given_back, None)
            if nonce is None:
                nonce = connection.ask(lambda eth: eth.get_transaction_count(signer.address, "pending"))
            fields |= {"nonce": nonce, "chainId": connection.chain_id}
            sending = _Sending(fields, fields["maxFeePerGas"] * CEILING, mined)
            try:
                if not sending.send(connection, signer):
                    return None
            except Refused:
                raise
            except ChainError:
                _undecided[action] = sending  # the node may have it
                raise
            own.add(nonce)
        return sending

    again = Retrying(stop=stop_after_attempt(ATTEMPTS), wait=wait_random(0, 0.5), retry=retry_if_result(_is_none))
    try:
        return cast(TxReceipt, again(once))
    except RetryError as error:
        raise ChainError(
            f"Other programs keep using the key of {signer.address}: stop them, or try again later."
        ) from error


@dataclass
class _Sending:
    """One action under one nonce, and all that was signed for it: one of them is mined at most.

    ceiling: wei per gas. mined: how many of the account's transactions were mined when it began. priced: when the
    price was last set, by time.monotonic; held: since when a nonce before it is not used by this process's own, None
    where all are.
    """

    fields: dict[str, Any]
    ceiling: int
    mined: int
    signed: list[SignedTransaction] = field(default_factory=list)
    priced: float = field(default_factory=time.monotonic)
    held: float | None = None

    @property
    def nonce(self) -> int:
        return int(self.fields["nonce"])

    def send(self, connection: Connection, signer: LocalAccount) -> bool:
        """Signs the fields as they are and sends them; False when another has the nonce, or pays more for it."""
        signed = signer.sign_transaction(cast(TransactionDictType, self.fields))
        self.signed.append(signed)
        return _submit(connection, signed)

    def known(self, connection: Connection) -> bool:
        """Whether the node has any of them."""
        return any(_is_known(connection, signed) for signed in self.signed)

    def receipt(self, connection: Connection) -> TxReceipt | None:
        for hash in [signed.hash for signed in self.signed]:
            if connection.request("eth_getTransactionReceipt", hash.to_0x_hex()) is not None:
                return connection.ask(partial(_receipt, hash=hash))
        return None

    def send_again(self, connection: Connection) -> None:
        """For a node that forgot it, because it restarted, its chain was reorganized, or it found the price too low."""
        with suppress(Refused):
            _submit(connection, self.signed[-1])

    def raise_price(self, connection: Connection, signer: LocalAccount) -> bool:
        """Sends a replacement that pays more, where the price is too low, its bounds allow it and the account can."""
        base = connection.ask(lambda eth: eth.get_block("latest")["baseFeePerGas"])
        if base <= self.fields["maxFeePerGas"] and time.monotonic() - self.priced < PATIENCE:
            return False
        tip = max(int(self.fields["maxPriorityFeePerGas"] * _STEP) + 1, _tip(connection))
        price = max(int(self.fields["maxFeePerGas"] * _STEP) + 1, 2 * base + tip)
        held = connection.ask(lambda eth: eth.get_balance(signer.address, "latest"))
        affordable = (held - self.fields["value"]) // self.fields["gas"]
        price, least = min(price, self.ceiling, affordable), int(self.fields["maxFeePerGas"] * _STEP) + 1
        if len(self.signed) > RAISES or price < max(least, base):
            return False
        self.fields |= {"maxFeePerGas": price, "maxPriorityFeePerGas": min(tip, price)}
        self.priced = time.monotonic()
        with suppress(Refused):
            return self.send(connection, signer)
        return False


_undecided: dict[Hashable, _Sending] = {}  # by action
_own: dict[Hashable, set[int]] = {}  # nonces that this process uses at the moment, by account
_reached: dict[Hashable, int] = {}  # how many transactions this process has seen mined, by account


def _priced(connection: Connection, sender: ChecksumAddress, call: dict[str, object], value: int) -> dict[str, Any]:
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
    # The state may change until it is mined: a quarter, and the end of a job, where the call has become the last of it.
    # What is not used costs nothing.
    gas = min(estimate * 5 // 4 + 100_000, block["gasLimit"])
    tip = _tip(connection)
    price = 2 * block["baseFeePerGas"] + tip
    if held < value + gas * price:
        raise ChainError(
            f"{sender} holds {format_amount(held)}, and {format_amount(value + gas * price)} are needed, "
            f"{format_amount(gas * price)} of them for gas at most: fund it and try again."
        )
    fields = {"type": 2, "data": call["data"], "value": value, "gas": gas, "maxFeePerGas": price}
    return {**fields, "maxPriorityFeePerGas": tip} | ({"to": call["to"]} if "to" in call else {})


def _receipt(eth: Eth, hash: HexBytes) -> TxReceipt:
    return eth.get_transaction_receipt(hash)


def _tip(connection: Connection) -> int:
    """Wei per gas."""
    try:
        return int(connection.request("eth_maxPriorityFeePerGas"), 16)
    except Refused:
        return _TIP


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


def _await(connection: Connection, signer: LocalAccount, sending: _Sending, wait: float) -> TxReceipt | None:
    """The receipt; None when another transaction with this nonce was mined instead."""
    absent, gaps, found = 0, 0, None

    def look() -> bool:
        """Whether it is decided."""
        nonlocal absent, gaps, found
        found = sending.receipt(connection)
        if found is not None:
            return True
        mined = connection.ask(lambda eth: eth.get_transaction_count(signer.address, "latest"))
        known = sending.known(connection)
        if mined > sending.nonce:
            absent = 0 if known else absent + 1
            return absent == _LOOKS
        absent = 0
        if mined == sending.nonce or mined in _own.get((connection.chain_id, signer.address), ()):
            sending.held = None
            if not sending.raise_price(connection, signer) and not known:
                sending.send_again(connection)
            return False
        sending.held = sending.held or time.monotonic()
        if time.monotonic() - sending.held >= PATIENCE:
            _unblock(connection, signer, mined)
            sending.held = None
        elif mined < sending.mined:
            gaps += 1
            if gaps == _LOOKS:
                raise ChainError(
                    f"What was sent before transaction {sending.signed[-1].hash.to_0x_hex()} left the chain: it may "
                    "have to be done again first."
                )
        return False

    poll = Retrying(
        stop=stop_after_delay(wait), wait=wait_exponential(0.05, max=1), retry=retry_if_result(lambda done: not done)
    )
    try:
        poll(look)
    except RetryError as error:
        raise ChainError(
            f"Transaction {sending.signed[-1].hash.to_0x_hex()} was not mined within {wait:g} s, and still may be: "
            "see before doing this again."
        ) from error
    return found


def _unblock(connection: Connection, signer: LocalAccount, nonce: int) -> None:
    """Replaces what holds a nonce, at a price that is not known, by a transaction that does nothing."""
    base = connection.ask(lambda eth: eth.get_block("latest")["baseFeePerGas"])
    tip = _tip(connection)
    fields = {"type": 2, "to": signer.address, "value": 0, "gas": 21_000, "nonce": nonce, "data": "0x"}
    fields |= {"chainId": connection.chain_id}
    for factor in (1, 2, 4, CEILING):
        price = (2 * base + tip) * factor
        fields |= {"maxFeePerGas": price, "maxPriorityFeePerGas": tip * factor}
        if _submit(connection, signer.sign_transaction(cast(TransactionDictType, fields))):
            return


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
