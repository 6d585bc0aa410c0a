"""The market contract: typed reads, and one method for each call.

Every method that sends takes the account that signs, simulates first, waits for the receipt and returns it with its
events. All raise Reverted when the contract refuses (name and values of its error, and a sentence), ChainError for
too little money or a chain that does not answer, InputError for a value that does not fit its Solidity type.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from eth_account.signers.local import LocalAccount
from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.address import to_checksum_address
from eth_utils.hexadecimal import decode_hex
from web3.types import TxReceipt

from marketplace.chain import abi, events
from marketplace.chain.connection import Connection, Refused
from marketplace.chain.transactions import lock_of, transact
from marketplace.domain import (
    ZERO_ADDRESS,
    Event,
    Job,
    JobCreated,
    Joined,
    RoundProof,
    RoundSettled,
    Settlement,
    State,
    Terms,
    Trainer,
)
from marketplace.errors import ChainError, InputError, NotFound, Reverted

RECEIPT_WITHIN = 180.0  # seconds
E = TypeVar("E", bound=Event)
_Call = tuple[str, bytes]
"""Whom a call went to, and its data."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction. gas_used: gas units; gas_price: wei for each. events: the market's, in order."""

    transaction: str
    block: int
    gas_used: int
    gas_price: int
    events: tuple[Event, ...]


class Market:
    """The JobMarket at an address. receipt_within: seconds to wait for each transaction to be mined.

    Raises ChainError unless the code there is the JobMarket that this version of Merit was built with: a contract that
    only looks like it could keep the money.
    """

    def __init__(self, connection: Connection, address: str, *, receipt_within: float = RECEIPT_WITHIN) -> None:
        try:
            self.address = to_checksum_address(address)
        except ValueError as error:
            raise InputError(f"{address!r} is not an address: it needs 0x and 40 hexadecimal digits.") from error
        self.connection = connection
        self._receipt_within = receipt_within
        code = connection.ask(lambda eth: eth.get_code(self.address)).to_0x_hex()
        if code != abi.artifact()["deployedBytecode"]:
            what = "another contract, or another version" if len(code) > len("0x") else "no contract"
            raise ChainError(
                f"At {self.address} on chain {connection.chain_id} there is {what}: "
                "give the address of a market that this version of Merit deployed."
            )

    # ------------------------------------------------------------ reads

    def job_count(self) -> int:
        return int(self._read("jobCount")[0])

    def job(self, job_id: int) -> Job:
        """Raises NotFound."""
        found: Job = self._read("job", job_id)[0]
        if found.state is State.NONE:
            raise NotFound(f"There is no job {job_id} in the market at {self.address}.")
        return found

    def terms(self, job_id: int) -> Terms:
        """Raises NotFound."""
        self.job(job_id)
        terms: Terms = self._read("terms", job_id)[0]
        return terms

    def trainer(self, job_id: int, slot: int) -> Trainer | None:
        """Who holds a slot; None where it is free."""
        found: Trainer = self._read("trainer", job_id, slot)[0]
        return None if found.operator == ZERO_ADDRESS else found

    def commitment(self, job_id: int, slot: int) -> bytes:
        """What a slot submitted last, 32 bytes; zeros where it has not."""
        return bytes(self._read("commitment", job_id, slot)[0])

    def credit(self, payee: str, token: str, *, block: int | str = "latest") -> int:
        """What a payee can withdraw, in units of the token, after a block."""
        return int(self._read("credit", payee, token, block=block)[0])

    def balance(self, token: str, holder: str | None = None, *, block: int | str = "latest") -> int:
        """What a holder (None: the market itself) has of a token, or of the chain's coin, after a block; in units."""
        who = to_checksum_address(holder or self.address)
        if token == ZERO_ADDRESS:
            return self.connection.ask(lambda eth: eth.get_balance(who, block))  # type: ignore[arg-type]
        return self._token_read(token, "balanceOf(address)", who, block=block)

    def round_proof(self, event: RoundSettled) -> RoundProof:
        """The proof with which a round was settled: the contract does not keep it, the transaction's call data do.

        Where another contract called the market, the node must be one that traces (debug_traceTransaction).
        Raises ChainError when the call that the event is of is not to be had.
        """
        called = _called(self.connection.request("eth_getTransactionByHash", event.transaction))
        if called is None:
            raise ChainError(f"The node has no transaction {event.transaction}, in which a round was settled.")
        # Else another contract called the market, or the market called one that called it back.
        calls = [called] if self._settles(called) else self._traced(event.transaction)
        unread: ChainError | None = None
        for _, data in filter(self._settles, calls):
            try:
                job_id, round_, settlement, proof = abi.decode_call("settleRound", data)
            except ChainError as error:  # it may be of another job, whose settlement shares the transaction
                unread = error
                continue
            if (job_id, round_, settlement) == (event.job_id, event.round, event.settlement):
                return cast(RoundProof, proof)
        raise unread or ChainError(
            f"Transaction {event.transaction} does not settle round {event.round} of job {event.job_id} as the event "
            "of its settlement says: use another node."
        )

    # ------------------------------------------------------------ enrolling

    def create_job(
        self, signer: LocalAccount, terms: Terms, encryption_key: bytes, spec_cid: str
    ) -> tuple[int, Receipt]:
        """Escrows `terms.escrow` from the signer; returns the job's id too."""
        receipt = self._pay(signer, terms.token, terms.escrow, "createJob", terms, encryption_key, spec_cid)
        return _one(receipt, JobCreated).job_id, receipt

    def accept_aggregation(self, signer: LocalAccount, job_id: int, payee: str, encryption_key: bytes) -> Receipt:
        """Deposits the bond from the signer."""
        terms = self.terms(job_id)
        return self._pay(signer, terms.token, terms.bond, "acceptAggregation", job_id, payee, encryption_key)

    def join(self, signer: LocalAccount, job_id: int, payee: str, encryption_key: bytes) -> tuple[int, Receipt]:
        """Deposits the stake from the signer; returns the slot too."""
        terms = self.terms(job_id)
        receipt = self._pay(signer, terms.token, terms.stake, "join", job_id, payee, encryption_key)
        return _one(receipt, Joined).slot, receipt

    def leave(self, signer: LocalAccount, job_id: int) -> Receipt:
        return self._send(signer, "leave", job_id)

    def cancel(self, signer: LocalAccount, job_id: int) -> Receipt:
        return self._send(signer, "cancel", job_id)

    def start(self, signer: LocalAccount, job_id: int) -> Receipt:
        return self._send(signer, "start", job_id)

    # ------------------------------------------------------------ rounds

    def publish_key(self, signer: LocalAccount, job_id: int, cid: str) -> Receipt:
        return self._send(signer, "publishKey", job_id, cid)

    def submit_update(self, signer: LocalAccount, job_id: int, round_: int, commitment: bytes, cid: str) -> Receipt:
        return self._send(signer, "submitUpdate", job_id, round_, commitment, cid)

    def settle_round(
        self, signer: LocalAccount, job_id: int, round_: int, settlement: Settlement, proof: RoundProof
    ) -> Receipt:
        return self._send(signer, "settleRound", job_id, round_, settlement, proof)

    def skip_round(self, signer: LocalAccount, job_id: int) -> Receipt:
        return self._send(signer, "skipRound", job_id)

    def complete(self, signer: LocalAccount, job_id: int) -> Receipt:
        return self._send(signer, "complete", job_id)

    # ------------------------------------------------------------ when the aggregator fails

    def abort(self, signer: LocalAccount, job_id: int) -> Receipt:
        return self._send(signer, "abort", job_id)

    def take_over(self, signer: LocalAccount, job_id: int, payee: str, encryption_key: bytes) -> Receipt:
        """Deposits the bond from the signer."""
        terms = self.terms(job_id)
        return self._pay(signer, terms.token, terms.bond, "takeOver", job_id, payee, encryption_key)

    def hand_over(self, signer: LocalAccount, job_id: int, cid: str) -> Receipt:
        return self._send(signer, "handOver", job_id, cid)

    def dispute(self, signer: LocalAccount, job_id: int) -> Receipt:
        return self._send(signer, "dispute", job_id)

    def show_opening(self, signer: LocalAccount, job_id: int, round_: int, cid: str) -> Receipt:
        return self._send(signer, "showOpening", job_id, round_, cid)

    # ------------------------------------------------------------ over

    def withdraw(self, signer: LocalAccount, token: str) -> Receipt:
        return self._send(signer, "withdraw", token)

    def reveal_validation(self, signer: LocalAccount, job_id: int, cid: str) -> Receipt:
        return self._send(signer, "revealValidation", job_id, cid)

    # ------------------------------------------------------------ how

    def _read(self, function: str, *arguments: object, block: int | str = "latest") -> tuple[Any, ...]:
        data = abi.encode_call(function, arguments)
        return abi.decode_result(function, self.connection.call({"to": self.address, "data": "0x" + data.hex()}, block))

    def _settles(self, call: _Call) -> bool:
        to, data = call
        return to == self.address and data[:4] == abi.selector("settleRound")

    def _traced(self, transaction: str) -> list[_Call]:
        """The calls that a transaction made of any contract, those that failed left out (geth's callTracer)."""
        try:
            trace = self.connection.request("debug_traceTransaction", transaction, {"tracer": "callTracer"})
        except Refused as refusal:
            raise ChainError(
                f"Transaction {transaction} called the market through another contract, and this node shows no such "
                "calls: use one that has debug_traceTransaction."
            ) from refusal
        return list(_calls(trace))

    def _send(self, signer: LocalAccount, function: str, *arguments: object, value: int = 0) -> Receipt:
        data = abi.encode_call(function, arguments)
        mined = transact(self.connection, signer, self.address, data, value=value, wait=self._receipt_within)
        return self._receipt(mined)

    def _receipt(self, mined: TxReceipt) -> Receipt:
        time = self.connection.ask(lambda eth: eth.get_block(mined["blockNumber"])["timestamp"])
        logs = self.connection.ask(lambda _: [events.taken(log) for log in mined["logs"]])
        return Receipt(
            transaction=mined["transactionHash"].to_0x_hex(),
            block=mined["blockNumber"],
            gas_used=mined["gasUsed"],
            gas_price=mined["effectiveGasPrice"],
            events=tuple(events.decode(log, time) for log in logs if log.address == self.address),
        )

    def _pay(self, signer: LocalAccount, token: str, amount: int, function: str, *arguments: object) -> Receipt:
        """Sends a call that takes `amount` from the signer: as the call's value, or by an allowance of just that.

        Threads that pay with one key take turns, so that an allowance is used by the call that it was given for.
        """
        if token == ZERO_ADDRESS:
            return self._send(signer, function, *arguments, value=amount)
        with lock_of("allowance", self.connection.chain_id, signer.address, token):
            held = self.balance(token, signer.address)
            if held < amount:
                raise ChainError(
                    f"{signer.address} holds {held} units of the token {token}, and {amount} are needed: "
                    "fund it and try again."
                )
            allowed = self._token_read(token, "allowance(address,address)", signer.address, self.address)
            if allowed < amount:
                self._approve(signer, token, amount, had=allowed)
            return self._send(signer, function, *arguments)

    def _approve(self, signer: LocalAccount, token: str, amount: int, *, had: int) -> None:
        signature = "approve(address,uint256)"
        try:
            self._token_send(signer, token, signature, self.address, amount)
        except Reverted:
            if not had:
                raise
            # Some tokens (USDT) change an allowance only from zero or to zero.
            self._token_send(signer, token, signature, self.address, 0)
            self._token_send(signer, token, signature, self.address, amount)

    def _token_send(self, signer: LocalAccount, token: str, signature: str, *arguments: object) -> None:
        transact(self.connection, signer, token, _token_call(signature, *arguments), wait=self._receipt_within)

    def _token_read(self, token: str, signature: str, *arguments: object, block: int | str = "latest") -> int:
        data = "0x" + _token_call(signature, *arguments).hex()
        result = self.connection.call({"to": token, "data": data}, block)
        return int(abi.decode(["uint256"], result, f"The answer of {token} as an ERC-20 token")[0])


def _token_call(signature: str, *arguments: object) -> bytes:
    types = signature[signature.index("(") + 1 : -1].split(",")
    return function_signature_to_4byte_selector(signature) + abi.encode(types, arguments, signature)


def _called(frame: object) -> _Call | None:
    """The call that a transaction or a tracer's frame is, both a node's JSON; None for what is none."""
    if not isinstance(frame, dict):
        return None
    try:
        return to_checksum_address(frame["to"]), decode_hex(frame["input"])
    except (KeyError, ValueError, TypeError):
        return None


def _calls(trace: object) -> Iterator[_Call]:
    """Every successful CALL in a tracer's tree."""
    frames = [trace]
    while frames:
        frame = frames.pop()
        if not isinstance(frame, dict) or "error" in frame:
            continue
        if frame.get("type") == "CALL" and (called := _called(frame)):
            yield called
        within = frame.get("calls")
        frames += within if isinstance(within, list) else []


def _one(receipt: Receipt, kind: type[E]) -> E:
    (event,) = (e for e in receipt.events if isinstance(e, kind))
    return event
