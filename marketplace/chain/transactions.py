"""Sending: simulate, sign, send, wait, explain."""

import re
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

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

from marketplace.chain import nonces
from marketplace.chain.answers import Mined
from marketplace.chain.connection import Connection, Refused, Unanswered
from marketplace.chain.gas import MAX_TRANSACTION_GAS, base_fee
from marketplace.chain.gas import tip as suggested_tip
from marketplace.chain.journal import Entry, Journal
from marketplace.chain.nonces import lock_of
from marketplace.errors import ChainError, InputError, Reverted
from marketplace.units import format_amount

ATTEMPTS = 8  # to get a nonce that no other program takes meanwhile
_LOOKS = 3  # that must agree before a transaction counts as replaced
PATIENCE = 30.0  # seconds that a price is given; a price that the next block refuses is given none
RAISES = 8  # of the price of one transaction
_ROOM = 100_000  # gas beyond what was estimated
CEILING = 10  # times the first price: what a transaction may come to cost per gas
_STEP = 1.125  # geth takes a replacement that pays a tenth more, in both fees
# In the words of geth, Erigon, Anvil; Besu; Nethermind; Ganache.
_KNOWN = re.compile(r"already (known|imported)|\bknown transaction|alreadyknown", re.IGNORECASE)
_NONCE_TAKEN = re.compile(
    r"nonce too low|oldnonce|doesn't have the correct nonce|replacement ?(transaction )?(underpriced|notallowed)",
    re.IGNORECASE,
)
_NO_FEES = re.compile(r"transaction type (is )?not supported|unsupported transaction type|eip-?1559", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Purpose:
    """What an action is for, so that a repeat in a later process is known to be one.

    intent: the same for each repeat. decisive: whether the one transaction that has this intent is the answer to every
    repeat. Else it is only where doing it again would be refused, as when the command that sent it died.
    """

    journal: Journal
    intent: str
    decisive: bool = False


def transact(
    connection: Connection,
    signer: LocalAccount,
    to: str | None,
    data: bytes,
    *,
    value: int = 0,
    wait: float,
    purpose: Purpose | None = None,
    most_gas: int | None = None,
    likely_gas: int | None = None,
) -> Mined:
    """Sends a transaction with EIP-1559 fees and returns its receipt once it is mined.

    to: None deploys a contract. value: wei. wait: seconds for the receipt. purpose: with it, what is sent is written
    into a journal first, and a repeat in a later process goes on with it, or gives its receipt. most_gas: that the call
    may use, where a stranger's contract is called; InputError beyond it. likely_gas: what such a call used before: one
    simulation shows whether that is enough now, where an estimate takes a node many.
    Raises Reverted with the decoded error, before sending where the simulation shows it; ChainError for too little
    balance, a refusal by the node, or a receipt that does not come in time; InputError where a decisive purpose cannot
    be written down. Once something was sent, an error names its hash.

    An action has one nonce until it is decided, so it takes effect once at most. What it is sent with may change:
    a price that blocks have risen above, or that got it mined by nobody for PATIENCE seconds, is raised by a
    replacement with the same nonce, data and value, RAISES times and to CEILING times the first price at most. A node
    that forgot it is sent the same bytes again. When it stays unknown whether it will be mined, ChainError names its
    hash; the next call for the same action in this process goes on with it, or gives its receipt.

    A nonce is read and used under a lock that the threads of this process share, so only another process with the same
    key can take it meanwhile. Then the signed transaction can never be mined: either the node refuses it ("nonce too
    low", "replacement underpriced"), or the other one replaces it, which shows when the account's mined nonce has
    passed it and the node has not known its hash for DOUBT seconds. Only then is the action simulated again and signed
    with another nonce. A stranger's transaction that holds up the account's nonces for PATIENCE seconds, left behind by
    a process that died, is replaced by one that does nothing. Where a reorganization undid what was mined before,
    ChainError says so early: the caller may want to do that again first. Two processes that both mean to act, each
    once, are the contract's to tell apart: it refuses a second join, submission or settlement by name. Should their
    transactions be equal to the byte, they are one, and both get its receipt.
    """
    call: dict[str, object] = {"from": signer.address, "data": "0x" + data.hex(), "value": hex(value)}
    if to is not None:
        call["to"] = to
    account = (connection.chain_id, signer.address)
    action = (*account, purpose.intent) if purpose and purpose.decisive else (*account, to, data, value)
    own = nonces.own.setdefault(account, set())
    taken: set[int] = set()  # nonces that another program has

    def once() -> Mined | None:
        """None when another program took the nonce."""
        sending = _undecided.pop(action, None) or begun()
        if sending is None:
            return None
        own.add(sending.nonce)
        try:
            receipt = _await(connection, signer, sending, wait)
            if receipt is not None:
                nonces.remember(connection, signer.address, sending.nonce, receipt)
        except ChainError:
            _undecided[action] = sending
            raise
        finally:
            own.discard(sending.nonce)
        sending.decided(failed=receipt is None or receipt.succeeded is False)
        if receipt is None or receipt.succeeded:
            return receipt
        if receipt.succeeded is None:
            raise ChainError(
                f"Transaction {receipt.transaction} was mined, and the node does not say whether it took effect: see "
                "before doing this again."
            )
        raise _reason(connection, call, int(sending.fields["gas"]), receipt)

    def begun() -> _Sending | None:
        kept = _kept(connection, signer, purpose, call) if purpose else None
        if kept is not None and not kept.anew:
            return kept
        fields = _priced(connection, signer.address, call, value, most_gas, likely_gas)
        with lock_of(*account):
            used = own | taken  # first: what is mined after the count was taken is in here, and not given back
            mined = nonces.mined_count(connection, signer.address)
            # What was kept may still come, so this must be in its place.
            nonce = kept.nonce if kept else nonces.free_nonce(connection, signer.address, mined, used)
            fields |= {"nonce": nonce, "chainId": connection.chain_id}
            sending = _Sending(fields, fields["maxFeePerGas"] * CEILING, mined, _noted(connection, signer, purpose))
            sending.hashes = kept.hashes if kept is not None else []
            try:
                # Who has the nonce may be what was kept, which a node that lags does not know: waiting for it shows.
                if not sending.send(connection, signer) and kept is None:
                    taken.add(nonce)
                    sending.decided(failed=True)
                    return None
            except Refused:
                if kept is None:
                    sending.decided(failed=True)
                raise
            except ChainError:
                _undecided[action] = sending  # the node may have it
                raise
            own.add(nonce)
        return sending

    again = Retrying(stop=stop_after_attempt(ATTEMPTS), wait=wait_random(0, 0.5), retry=retry_if_result(_is_none))
    try:
        return cast(Mined, again(once))
    except RetryError as error:
        raise ChainError(
            f"No transaction of {signer.address} was taken in {ATTEMPTS} tries: the node may be behind the chain, or "
            "another program uses the same key. Try again in a minute."
        ) from error


@dataclass
class _Sending:
    """One action under one nonce, and all that was signed for it: one of them is mined at most.

    ceiling: wei per gas. mined: how many of the account's transactions were mined when it began. noted: writes down
    what is about to be sent, or, given None, what became of it. hashes: of all that was signed, the last at the end.
    priced: when the price was last set, by time.monotonic; held: since when a nonce before it is not used by this
    process's own, None where all are. anew: whether it is to be simulated and signed again.
    """

    fields: dict[str, Any]
    ceiling: int
    mined: int
    noted: "Callable[[_Sending, bool | None], None]" = lambda sending, failed: None
    hashes: list[str] = field(default_factory=list)
    priced: float = field(default_factory=time.monotonic)
    held: float | None = None
    anew: bool = False

    @property
    def nonce(self) -> int:
        return int(self.fields["nonce"])

    def send(self, connection: Connection, signer: LocalAccount) -> bool:
        """Signs the fields as they are, notes that, and sends them; False when another has the nonce, or pays more.

        The same fields give the same bytes, for a node that forgot them.
        """
        signed = signer.sign_transaction(cast(TransactionDictType, self.fields))
        identity = signed.hash.to_0x_hex()
        repeated = identity in self.hashes
        if not repeated:
            self.hashes.append(identity)
            try:
                self.noted(self, None)
            except InputError:  # not written down, not sent
                self.hashes.pop()
                raise
        return _submit(connection, signed, repeated=repeated)

    def decided(self, *, failed: bool) -> None:
        self.noted(self, failed)

    def known(self, connection: Connection) -> bool:
        """Whether the node has any of them."""
        return any(connection.transaction(identity) is not None for identity in self.hashes)

    def receipt(self, connection: Connection) -> Mined | None:
        return next((found for identity in self.hashes if (found := connection.receipt(identity))), None)

    def send_again(self, connection: Connection, signer: LocalAccount) -> None:
        """For a node that forgot it, because it restarted, its chain was reorganized, or it found the price too low."""
        with suppress(Refused, InputError):
            self.send(connection, signer)

    def raise_price(self, connection: Connection, signer: LocalAccount) -> bool:
        """Sends a replacement that pays more, where the price is too low, its bounds allow it and the account can."""
        base = base_fee(connection, connection.latest())
        if base <= self.fields["maxFeePerGas"] and time.monotonic() - self.priced < PATIENCE:
            return False
        tip = max(int(self.fields["maxPriorityFeePerGas"] * _STEP) + 1, suggested_tip(connection))
        price = max(int(self.fields["maxFeePerGas"] * _STEP) + 1, 2 * base + tip)
        held = connection.balance(signer.address)
        affordable = (held - self.fields["value"]) // self.fields["gas"]
        price, least = min(price, self.ceiling, affordable), int(self.fields["maxFeePerGas"] * _STEP) + 1
        if len(self.hashes) > RAISES or price < max(least, base):
            return False
        self.fields |= {"maxFeePerGas": price, "maxPriorityFeePerGas": min(tip, price)}
        self.priced = time.monotonic()
        with suppress(Refused, InputError):
            return self.send(connection, signer)
        return False


_undecided: dict[Hashable, _Sending] = {}  # by action


def forget() -> None:
    """As in a process that has just started: for a chain of tests that goes back to an earlier state."""
    _undecided.clear()
    nonces.forget()


def _noted(
    connection: Connection, signer: LocalAccount, purpose: Purpose | None
) -> Callable[[_Sending, bool | None], None]:
    """What writes a sending into its purpose's journal.

    A full disk keeps decisive actions from being sent: they are those that the contract would take twice.
    """

    def write(sending: _Sending, failed: bool | None) -> None:
        if purpose is None:
            return
        where = (connection.chain_id, connection.identity, signer.address)
        try:
            if failed is None:
                purpose.journal.note(where, purpose.intent, sending.hashes, sending.fields)
            else:
                purpose.journal.close(where, purpose.intent, sending.nonce, failed=failed)
        except InputError:
            if purpose.decisive and failed is None:
                raise

    return write


def sent_before(connection: Connection, address: str, purpose: Purpose) -> Entry | None:
    """What an account has sent for a purpose, in this process or an earlier one. Raises InputError."""
    return purpose.journal.find((connection.chain_id, connection.identity, address), purpose.intent)


def _kept(connection: Connection, signer: LocalAccount, purpose: Purpose, call: dict[str, object]) -> _Sending | None:
    """The sending that was left in the journal, to go on with; None where there is none."""
    entry = sent_before(connection, signer.address, purpose)
    if entry is None or entry.closed:
        return None
    ceiling = int(entry.fields["maxFeePerGas"]) * CEILING
    noted = _noted(connection, signer, purpose)
    sending = _Sending(dict(entry.fields), ceiling, entry.nonce, noted, list(entry.hashes))
    if sending.receipt(connection) is not None:
        if purpose.decisive or _refused(connection, call):
            return sending
        sending.decided(failed=False)
        return None
    if not sending.known(connection) and nonces.mined_count(connection, signer.address) <= entry.nonce:
        sending.anew = True
    return sending


def finish(connection: Connection, signer: LocalAccount, purpose: Purpose, wait: float) -> Mined | None:
    """The receipt of what was sent for a decisive purpose; None where it will take no effect as it is.

    Raises ChainError, naming the transaction, where it is not mined in time, or cannot be seen.
    """
    sending = _kept(connection, signer, purpose, {})
    if sending is None or sending.anew:
        return None
    receipt = _await(connection, signer, sending, wait)
    sending.decided(failed=receipt is None or receipt.succeeded is False)
    return receipt


def _refused(connection: Connection, call: dict[str, object]) -> bool:
    try:
        connection.estimate(call)
    except Reverted:
        return True
    return False


def _priced(
    connection: Connection,
    sender: ChecksumAddress,
    call: dict[str, object],
    value: int,
    most_gas: int | None,
    likely_gas: int | None,
) -> dict[str, Any]:
    """The transaction's fields, from a simulation and the chain's fees, once the balance covers them."""
    held = connection.balance(sender, "pending")
    if held < value:
        raise ChainError(
            f"{sender} holds {format_amount(held)}, and {format_amount(value)} are needed: fund it and try again."
        )
    likely = likely_gas is not None and _suffices(connection, call, likely_gas)
    estimate = likely_gas if likely_gas is not None and likely else connection.estimate(call)
    if most_gas is not None and estimate > most_gas:
        raise InputError(
            f"This call would use {estimate} gas, in a token or a gate that is a stranger's contract, and honest ones "
            f"let it use at most {most_gas}: nothing was sent."
        )
    block = connection.latest()
    # The state may change until it is mined: a quarter, and the end of a job, where the call has become the last of it.
    # What is not used costs nothing.
    room = _with_room(estimate, _ROOM)
    gas = min(max(estimate, room), block.gas_limit or 2**63)
    tip = suggested_tip(connection)
    price = 2 * base_fee(connection, block) + tip
    if held < value + gas * price:
        raise ChainError(
            f"{sender} holds {format_amount(held)}, and {format_amount(value + gas * price)} are needed, "
            f"{format_amount(gas * price)} of them for gas at most: fund it and try again."
        )
    fields = {"type": 2, "data": call["data"], "value": value, "gas": gas, "maxFeePerGas": price}
    return {**fields, "maxPriorityFeePerGas": tip} | ({"to": call["to"]} if "to" in call else {})


def _with_room(used: int, room: int) -> int:
    return min(used * 5 // 4 + room, MAX_TRANSACTION_GAS)


def _suffices(connection: Connection, call: dict[str, object], used: int) -> bool:
    """Whether a call that used so much gas before still passes with little more. A refusal is left to the estimate."""
    try:
        connection.call({**call, "gas": hex(_with_room(used, _ROOM // 2))}, "pending")
    except ChainError:
        return False
    return True


def _submit(connection: Connection, signed: SignedTransaction, *, repeated: bool = False) -> bool:
    """Whether the node may have the transaction; False when another took its nonce, so that it never can be mined.

    repeated: whether it was sent before.
    """
    unsure = repeated

    def sent() -> bool | None:
        nonlocal unsure
        try:
            connection.request("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex())
        except Refused as refusal:
            if _KNOWN.search(refusal.message):
                return True
            if _NONCE_TAKEN.search(refusal.message):
                # Where an answer was lost, it may be by itself, and a node that lags may not know it yet.
                return unsure or connection.transaction(signed.hash.to_0x_hex()) is not None
            if _NO_FEES.search(refusal.message):
                raise Refused(
                    f"Chain {connection.chain_id} has no EIP-1559 fees, which Merit needs: use another chain."
                ) from refusal
            raise
        except ChainError:
            unsure = True
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


class _Lasting:
    """How long something holds: since it was first seen without a look between that did not see it."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._looks = 0

    def clear(self) -> None:
        self._since, self._looks = None, 0

    def holds(self) -> bool:
        """Whether it has been seen _LOOKS times at least, for DOUBT seconds at least, this look included."""
        self._since, self._looks = self._since or time.monotonic(), self._looks + 1
        return self._looks >= _LOOKS and time.monotonic() - self._since >= nonces.DOUBT


def _await(connection: Connection, signer: LocalAccount, sending: _Sending, wait: float) -> Mined | None:
    """The receipt; None when another transaction with this nonce was mined instead.

    Whatever the node answers, or does not: the transaction may be on its way, so every error names it.
    """
    absent, gap, wrong = _Lasting(), _Lasting(), _Lasting()
    found: Mined | None = None
    trouble: ChainError | None = None
    heads, seen = connection.heads, 0

    def look() -> bool:
        """Whether it is decided."""
        nonlocal trouble, seen
        seen = heads.count
        try:
            decided = step()
        except Unanswered as error:
            trouble = error
            return False
        except ChainError as error:
            trouble = error
            if isinstance(error, _Displaced) or wrong.holds():
                raise
            return False
        trouble = None
        wrong.clear()
        return decided

    def step() -> bool:
        nonlocal found
        found = sending.receipt(connection)
        if found is not None:
            return True
        mined = nonces.mined_count(connection, signer.address)
        known = sending.known(connection)
        if mined > sending.nonce:
            if not known:
                return absent.holds()
            absent.clear()
            return False
        absent.clear()
        if mined == sending.nonce or mined in nonces.own.get((connection.chain_id, signer.address), ()):
            sending.held = None
            gap.clear()
            if not sending.raise_price(connection, signer) and not known:
                sending.send_again(connection, signer)
            return False
        sending.held = sending.held or time.monotonic()
        if time.monotonic() - sending.held >= PATIENCE:
            _unblock(connection, signer, mined)
            sending.held = None
        elif mined < sending.mined and gap.holds():
            raise _Displaced(
                f"What was sent before transaction {sending.hashes[-1]} left the chain: it may have to be done again "
                "first."
            )
        return False

    def pause(seconds: float) -> None:
        heads.wait(seen, seconds)

    poll = Retrying(
        stop=stop_after_delay(wait),
        wait=wait_exponential(0.02, max=1),
        sleep=pause,
        retry=retry_if_result(lambda done: not done),
    )
    try:
        poll(look)
    except RetryError as error:
        if trouble is not None:
            raise _lost(sending, trouble) from trouble
        raise ChainError(
            f"Transaction {sending.hashes[-1]} was not mined within {wait:g} s, and still may be: "
            "see before doing this again."
        ) from error
    except _Displaced:
        raise
    except ChainError as error:
        raise _lost(sending, error) from error
    return found


class _Displaced(ChainError):
    """What came before a transaction has left the chain."""


def _lost(sending: _Sending, error: ChainError) -> ChainError:
    return ChainError(
        f"Transaction {sending.hashes[-1]} was sent, and what became of it cannot be seen: see whether it was mined "
        f"before doing this again. {error}"
    )


def _unblock(connection: Connection, signer: LocalAccount, nonce: int) -> None:
    """Replaces what holds a nonce, at a price that is not known, by a transaction that does nothing."""
    base = base_fee(connection, connection.latest())
    tip = suggested_tip(connection)
    fields = {"type": 2, "to": signer.address, "value": 0, "gas": 21_000, "nonce": nonce, "data": "0x"}
    fields |= {"chainId": connection.chain_id}
    for factor in (1, 2, 4, CEILING):
        price = (2 * base + tip) * factor
        fields |= {"maxFeePerGas": price, "maxPriorityFeePerGas": tip * factor}
        if _submit(connection, signer.sign_transaction(cast(TransactionDictType, fields))):
            return


def _reason(connection: Connection, call: dict[str, object], gas: int, receipt: Mined) -> ChainError:
    """Why a mined transaction failed: what the same call says in the state after its block, else before it."""
    for block in (receipt.block, receipt.block - 1):
        try:
            connection.call({**call, "gas": hex(gas)}, block)
        except Reverted as reason:
            return reason
        except ChainError:  # out of gas, a node without past states, or none that answers
            continue
    if receipt.gas_used == gas:
        return ChainError(f"Transaction {receipt.transaction} ran out of its {gas} gas: try again.")
    return Reverted(
        f"Transaction {receipt.transaction} was refused when it was mined, for a reason that has passed: try again."
    )
