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
from eth_utils.crypto import keccak
from eth_utils.hexadecimal import decode_hex

from marketplace.chain import abi, events
from marketplace.chain.answers import Mined
from marketplace.chain.connection import Connection, Refused
from marketplace.chain.journal import Journal
from marketplace.chain.linking import is_genuine
from marketplace.chain.nonces import lock_of
from marketplace.chain.tokens import TokenFacts, token_facts
from marketplace.chain.transactions import Purpose, finish, sent_before, transact
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
APPROVAL_GAS, DEPOSIT_GAS = 500_000, 1_500_000  # that calls may use in which a stranger's code runs; many times enough
_IS_VALID = function_signature_to_4byte_selector("isValidSignature(bytes32,bytes)")  # its answer too, as a bytes4
_WORD = 32
E = TypeVar("E", bound=Event)
_Call = tuple[str, bytes]
"""Whom a call went to, and its data."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction. gas_used: gas units; gas_price: wei for each; None where the node does not say.

    events: the market's, in order.
    """

    transaction: str
    block: int
    gas_used: int | None
    gas_price: int | None
    events: tuple[Event, ...]


class Market:
    """The JobMarket at an address. receipt_within: seconds to wait for each transaction to be mined.

    journal: where what is sent is written down first, so that a repeat in a later process goes on with it.
    Raises ChainError unless the code there is the JobMarket that this version of Merit was built with: a contract that
    only looks like it could keep the money.
    """

    def __init__(
        self,
        connection: Connection,
        address: str,
        *,
        receipt_within: float = RECEIPT_WITHIN,
        journal: Journal | None = None,
    ) -> None:
        try:
            self.address = to_checksum_address(address)
        except ValueError as error:
            raise InputError(f"{address!r} is not an address: it needs 0x and 40 hexadecimal digits.") from error
        self.connection = connection
        self._receipt_within = receipt_within
        self._journal = journal
        self._tokens: dict[str, TokenFacts] = {}
        self._settling: dict[int, int] = {}  # gas of the last settlement, by job
        if not is_market(connection, self.address):
            what = "another contract, or another version" if connection.code(self.address) else "no contract"
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
            raise NotFound(
                f"There is no job {job_id} in the market at {self.address}; `merit job list` shows what there is."
            )
        return found

    def terms(self, job_id: int) -> Terms:
        """Raises NotFound."""
        self.job(job_id)
        terms: Terms = self._read("terms", job_id)[0]
        return terms

    def trainer(self, job_id: int, slot: int) -> Trainer | None:
        """Who holds a slot, or held it since the start; None where nobody does."""
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
            return self.connection.balance(who, block)
        return self._token_read(token, "balanceOf(address)", who, block=block)

    def token(self, address: str) -> TokenFacts:
        """The symbol and decimals of a token, or of the chain's coin; asked for once. Raises ChainError."""
        if address not in self._tokens:
            self._tokens[address] = token_facts(self.connection, address)
        return self._tokens[address]

    def round_proof(self, event: RoundSettled) -> RoundProof:
        """The proof with which a round was settled: the contract does not keep it, the transaction's call data do.

        Where another contract called the market, the node must be one that traces (debug_traceTransaction).
        Raises ChainError when the call that the event is of cannot be fetched.
        """
        called = _called(self.connection.transaction(event.transaction))
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
        self, signer: LocalAccount, terms: Terms, encryption_key: bytes, spec_cid: str, *, intent: str = ""
    ) -> tuple[int, Receipt]:
        """Escrows `terms.escrow` from the signer; returns the job's id too.

        intent: what is asked for, where terms differ in each repeat of it: with a journal, what an earlier process sent
        for it and did not see mined is gone on with in place of sending this.
        """
        receipt = self._pay(
            signer, terms.token, terms.escrow, "createJob", terms, encryption_key, spec_cid, intent=intent
        )
        return _one(receipt, JobCreated).job_id, receipt

    def created_before(self, signer: LocalAccount, intent: str) -> tuple[int, Receipt, bool] | None:
        """The job that an earlier `create_job` of this intent made, its receipt, and whether that was given before.

        Waits for a transaction that is still on its way. None where none took effect. Raises ChainError, naming the
        transaction, where it cannot be seen what became of it.
        """
        if self._journal is None:
            return None
        purpose = self._purpose(self._journal, intent)
        entry = sent_before(self.connection, signer.address, purpose)
        if entry is None:
            return None
        if not entry.closed:
            mined = finish(self.connection, signer, purpose, self._receipt_within)
        else:
            mined = next((found for each in entry.hashes if (found := self.connection.receipt(each))), None)
            if mined is None:
                raise ChainError(
                    f"Transaction {entry.hashes[-1]} created this job, and the node does not show it: it may be "
                    "behind, or the chain has lost it. Look for the job before it is created again."
                )
        if mined is None or mined.succeeded is False:
            return None
        receipt = self._receipt(mined)
        return _one(receipt, JobCreated).job_id, receipt, entry.closed

    def accept_aggregation(self, signer: LocalAccount, job_id: int, payee: str, encryption_key: bytes) -> Receipt:
        """Deposits the bond from the signer."""
        terms = self.terms(job_id)
        return self._pay(signer, terms.token, terms.bond, "acceptAggregation", job_id, payee, encryption_key)

    def join(
        self, signer: LocalAccount, job_id: int, payee: str, encryption_key: bytes, ticket: bytes = b""
    ) -> tuple[int, Receipt]:
        """Deposits the stake from the signer; returns the slot too. ticket: where the job has a gate."""
        terms = self.terms(job_id)
        receipt = self._pay(signer, terms.token, terms.stake, "join", job_id, payee, encryption_key, ticket)
        return _one(receipt, Joined).slot, receipt

    def takes(self, gate: str, digest: bytes, signature: bytes) -> bool:
        """Whether a contract takes this signature of a 32-byte digest for its own (ERC-1271). Raises ChainError."""
        arguments = abi.encode(["bytes32", "bytes"], [digest, signature], "A ticket")
        try:
            answer = self.connection.call({"to": gate, "data": "0x" + (_IS_VALID + arguments).hex()})
        except Reverted:
            return False
        return answer[:_WORD] == _IS_VALID.ljust(_WORD, b"\0")

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

    def announce_sum(
        self, signer: LocalAccount, job_id: int, round_: int, selected: int, commitment: bytes, cid: str
    ) -> Receipt:
        """selected: mask of slots. commitment: 32 bytes, as the settlement will state it."""
        return self._send(signer, "announceSum", job_id, round_, selected, commitment, cid)

    def settle_round(
        self, signer: LocalAccount, job_id: int, round_: int, settlement: Settlement, proof: RoundProof
    ) -> Receipt:
        arguments, likely = (job_id, round_, settlement, proof), self._settling.get(job_id)
        receipt = self._send(signer, "settleRound", *arguments, likely_gas=likely)
        if receipt.gas_used is not None:
            self._settling[job_id] = receipt.gas_used
        return receipt

    def void_round(self, signer: LocalAccount, job_id: int, round_: int, unopened: int) -> Receipt:
        """unopened: mask of the slots whose submissions do not open."""
        return self._send(signer, "voidRound", job_id, round_, unopened)

    def redeliver(self, signer: LocalAccount, job_id: int, round_: int, cid: str) -> Receipt:
        return self._send(signer, "redeliver", job_id, round_, cid)

    def skip_round(self, signer: LocalAccount, job_id: int) -> Receipt:
        return self._send(signer, "skipRound", job_id)

    def ask_end(self, signer: LocalAccount, job_id: int) -> Receipt:
        return self._send(signer, "askEnd", job_id)

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

    def reveal(self, signer: LocalAccount, job_id: int, cid: str) -> Receipt:
        """States where the validation data, sealed to the job key, are, as the owner or the aggregator."""
        return self._send(signer, "reveal", job_id, cid)

    def dispute_rows(self, signer: LocalAccount, job_id: int, round: int) -> Receipt:
        """Says that the reference rows of a round are wrong; 0: that nothing revealed is what was committed to."""
        return self._send(signer, "disputeRows", job_id, round)

    def show_opening(self, signer: LocalAccount, job_id: int, round_: int, cid: str) -> Receipt:
        return self._send(signer, "showOpening", job_id, round_, cid)

    # ------------------------------------------------------------ over

    def claim(self, signer: LocalAccount, job_id: int, slot: int) -> Receipt:
        """Credits a member's pay and stake to its payee, whoever asks for it."""
        return self._send(signer, "claim", job_id, slot)

    def claim_fees(self, signer: LocalAccount, job_id: int, payee: str) -> Receipt:
        return self._send(signer, "claimFees", job_id, payee)

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

    def _send(
        self,
        signer: LocalAccount,
        function: str,
        *arguments: object,
        value: int = 0,
        intent: str = "",
        most_gas: int | None = None,
        likely_gas: int | None = None,
    ) -> Receipt:
        data = abi.encode_call(function, arguments)
        purpose = None
        if self._journal is not None:
            purpose = (
                self._purpose(self._journal, intent)
                if intent
                else Purpose(self._journal, f"{self.address} {function} {keccak(data + value.to_bytes(32)).hex()}")
            )
        mined = transact(
            self.connection,
            signer,
            self.address,
            data,
            value=value,
            wait=self._receipt_within,
            purpose=purpose,
            most_gas=most_gas,
            likely_gas=likely_gas,
        )
        return self._receipt(mined)

    def _purpose(self, journal: Journal, intent: str) -> Purpose:
        """Of what the contract would do twice."""
        return Purpose(journal, f"{self.address} {intent}", decisive=True)

    def _receipt(self, mined: Mined) -> Receipt:
        """Raises ChainError, naming the transaction, where the node does not show what it did."""
        try:
            logs = mined.logs
            if logs is None:
                found = self.connection.logs(self.address, mined.block, mined.block)
                logs = tuple(log for log in found if log.transaction == mined.transaction)
            block = self.connection.block(mined.block)
            own = [log for log in logs if log.address == self.address]
            time = block.timestamp if block is not None else self.connection.now()
            decoded = tuple(events.decode(log, time) for log in own)
        except ChainError as error:
            raise ChainError(
                f"Transaction {mined.transaction} was mined in block {mined.block}, and the node does not show what it "
                f"did: see before doing this again. {error}"
            ) from error
        return Receipt(mined.transaction, mined.block, mined.gas_used, mined.gas_price, decoded)

    def _pay(
        self, signer: LocalAccount, token: str, amount: int, function: str, *arguments: object, intent: str = ""
    ) -> Receipt:
        """Sends a call that takes `amount` from the signer: as the call's value, or by an allowance of just that.

        Threads that pay with one key take turns, so that an allowance is used by the call that it was given for.
        """
        if token == ZERO_ADDRESS:
            # Of what is paid in coin, only a gate's contract is a stranger's.
            most = DEPOSIT_GAS if function == "join" else None
            return self._send(signer, function, *arguments, value=amount, intent=intent, most_gas=most)
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
            return self._send(signer, function, *arguments, intent=intent, most_gas=DEPOSIT_GAS)

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
        data = _token_call(signature, *arguments)
        transact(self.connection, signer, token, data, wait=self._receipt_within, most_gas=APPROVAL_GAS)

    def _token_read(self, token: str, signature: str, *arguments: object, block: int | str = "latest") -> int:
        data = "0x" + _token_call(signature, *arguments).hex()
        result = self.connection.call({"to": token, "data": data}, block)
        return int(abi.decode(["uint256"], result, f"The answer of {token} as an ERC-20 token")[0])


def is_market(connection: Connection, address: str) -> bool:
    """Whether the code there is the JobMarket of this version. Raises ChainError where the node does not answer."""
    return is_genuine(connection, address, "JobMarket")


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
    found = [event for event in receipt.events if isinstance(event, kind)]
    if len(found) != 1:
        raise ChainError(
            f"Transaction {receipt.transaction} was mined, and the node shows {len(found)} events {kind.__name__} of "
            "it where there is one: use another node to see what it did."
        )
    return found[0]
