"""One RPC endpoint: bounded reads that are retried, errors in one sentence, and the chain's own clock."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from eth_utils.address import to_checksum_address
from pydantic_core import from_json
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)
from urllib3.exceptions import HTTPError
from web3 import Web3
from web3.eth import Eth
from web3.exceptions import Web3Exception
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers.rpc import HTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from marketplace.chain import answers, reverts
from marketplace.chain.answers import Block, Fields, Log, Mined, Said
from marketplace.chain.heads import Heads
from marketplace.errors import ChainError, InputError, Reverted
from marketplace.overload import BUSY, retry_after, time_for
from marketplace.urls import shown_url

MAX_RESPONSE = 64 * 2**20  # bytes of one answer
ATTEMPTS = 5  # for a read, with up to 4 s between them, or as long as the node says
_PART = 2**16
_TOO_LARGE = 413
# How nodes and gateways say that they are overloaded, in an answer that is none by its status: -32005 is EIP-1474's.
_BUSY_CODES = {-32005, -32029, 429}
_BUSY = re.compile(
    r"rate.?limit|too many requests|(?<!gas )limit (reached|exceeded)|capacity|throttl|overload|server busy|"
    r"timed? ?out|deadline exceeded|temporarily|try again|pool is full",
    re.IGNORECASE,
)
# The same nodes refuse a question for its size with the same codes: asking for less helps, asking again does not.
_TOO_WIDE = re.compile(
    r"returned more than|response size|too (large|big|wide)|\brange\b|limited to|max.* blocks", re.IGNORECASE
)
_PRUNED = re.compile(
    r"\bpruned?\b|\bpruning\b|missing trie node|archive|(history|historical state).{0,20}(un|not )available",
    re.IGNORECASE,
)

T = TypeVar("T")


class Refused(ChainError):
    """The node answered, and the answer is an error: a limit of the node, or a request that it does not take.

    message: the node's own words. data: the revert data, None where the call was not reverted by a contract.
    """

    def __init__(self, sentence: str, message: str = "", data: bytes | None = None) -> None:
        super().__init__(sentence)
        self.message = message
        self.data = data


class Pruned(Refused):
    """The node does not keep that much of the past."""


class Unanswered(ChainError):
    """No usable answer came, though it was asked for several times: the node is away, or has too much to do."""


class _Passing(Exception):
    """No answer came, or one that asks to come again. after: seconds, where the node said how long to wait."""

    def __init__(self, sentence: str, after: float = 0.0) -> None:
        super().__init__(sentence)
        self.after = after


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    wanted = error.after if isinstance(error, _Passing) else 0.0
    return max(wanted, wait_random_exponential(0.3, max=4)(state))


class _Http(HTTPProvider):
    """web3's provider with bounded answers, and retries of what changes nothing."""

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__(url, exception_retry_configuration=None)
        self.shown = shown_url(url)
        self._url = url
        self._timeout = timeout
        self._session = requests.Session()

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        return self.answer(method, params)

    def answer(self, method: RPCEndpoint, params: Any, *, patient: bool = True) -> RPCResponse:
        """The node's answer, a result or an error that is not about its load; a read is asked for again until it comes.

        patient: whether it is asked for more than once. Raises Unanswered, and Refused for what is too large. Nothing
        of the address but its host is in any message, nor are the messages of libraries, which repeat it whole.
        """
        body = self.encode_rpc_request(method, params)
        repeatable = patient and method.startswith(("eth_", "net_", "web3_")) and not method.startswith("eth_send")
        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS if repeatable else 1) | stop_after_delay(2 * self._timeout),
            wait=_pause,
            retry=retry_if_exception_type(_Passing),
            reraise=True,
        )
        try:
            return retrying(self._tried, method, body)
        except _Passing as error:
            sentence = str(error)
        raise Unanswered(sentence)

    def _tried(self, method: str, body: bytes) -> RPCResponse:
        status, content, after = self._post(body)
        try:
            # Not the json module: its recursion is bounded by a limit that py_ecc raises until nested brackets crash.
            response = from_json(content)
        except ValueError:
            response = None
        if isinstance(response, dict):
            if isinstance(response.get("error"), dict):
                self._check_load(answers.said(response["error"]), status, after)
                return response  # type: ignore[return-value]
            if "result" in response and response.get("error") is None:
                return response  # type: ignore[return-value]
        if status == _TOO_LARGE:
            raise Refused(f"The RPC at {self.shown} refused {method} as too large (HTTP status {status}).", "too large")
        if status in BUSY or status >= 500 or _BUSY.search(content[:2000].decode("utf-8", "replace")):
            raise self._overloaded(f"HTTP status {status}", after)
        if status in (401, 403):
            raise ChainError(
                f"The RPC at {self.shown} refuses access with this address (HTTP status {status}): see whether the key "
                "in it is right."
            )
        # It may be a gateway's page all the same.
        raise _Passing(f"What answers at {self.shown} is not a chain's RPC: check the address.")

    def _check_load(self, said: Said, status: int, after: float) -> None:
        """Raises _Passing for an error that says that the node has too much to do."""
        if "revert" in said.message.lower() or said.data or _TOO_WIDE.search(said.message):
            return
        if said.codes & _BUSY_CODES or status in BUSY or _BUSY.search(said.message):
            raise self._overloaded(said.message or f"HTTP status {status}", after)

    def _overloaded(self, why: str, after: float) -> _Passing:
        return _Passing(
            f"The RPC at {self.shown} has too much to do, or is out of order ({why}): try again later.", after
        )

    def _post(self, body: bytes) -> tuple[int, bytes, float]:
        """The status, the content, and how many seconds the node wants to be left alone."""
        content, begun = bytearray(), time.monotonic()
        try:
            with self._session.post(
                self._url, body, headers=self.get_request_headers(), timeout=self._timeout, stream=True
            ) as response:
                # Not iter_content: it would wait until a part is full, however slowly it comes.
                while part := response.raw.read1(_PART, decode_content=True):
                    content += part
                    if len(content) > MAX_RESPONSE:
                        raise Refused(f"The RPC at {self.shown} sent more than {MAX_RESPONSE} bytes in one answer.")
                    if time.monotonic() - begun > time_for(len(content), self._timeout):
                        raise _Passing(f"The RPC at {self.shown} answers too slowly: use another node.")
                return response.status_code, bytes(content), retry_after(response.headers.get("Retry-After", ""))
        except (requests.RequestException, HTTPError) as error:
            kind = type(error).__name__
        raise _Passing(
            f"The chain's RPC at {self.shown} does not answer ({kind}): check the address, and that the node runs."
        )


class Connection:
    """A chain, through one node's HTTP RPC.

    url: http:// or https://. chain_id: what the node must serve, None takes what it serves. timeout: seconds for an
    answer to begin, and between its parts; the whole may take as much more as its size allows (overload.time_for).
    Raises InputError for another kind of address, ChainError when the node is out of reach or on another chain.
    """

    def __init__(self, url: str, *, chain_id: int | None = None, timeout: float = 10.0) -> None:
        self._shown = shown_url(url)
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        except ValueError:
            usable = False
        if not usable:
            raise InputError(f"{self._shown!r} is not an RPC address: give one that starts with http:// or https://.")
        self.url = url
        self.heads = Heads(url, timeout)
        self._provider = _Http(url, timeout)
        self.web3 = Web3(self._provider)
        # Without it web3 refuses the blocks of chains that authorities sign.
        self.web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        self.chain_id = self._read("eth_chainId", answers.quantity)
        if chain_id not in (None, self.chain_id):
            raise ChainError(
                f"The RPC at {self._shown} serves chain {self.chain_id}, not {chain_id}: "
                f"give the address of a node of chain {chain_id}."
            )
        self._is_ganache = self._runs_ganache()
        self._mined: object = None
        self._no_pending: set[str] = set()

    @cached_property
    def identity(self) -> str:
        """The hash of the chain's first block (0x…), which tells it from every other chain with its id.

        "" where the node does not have that block.
        """
        try:
            genesis = self.block(0)
        except Refused:
            return ""
        return genesis.fields.maybe("hash", answers.word) or "" if genesis else ""

    def _runs_ganache(self) -> bool:
        try:
            return str(self.request("web3_clientVersion")).startswith("Ganache/")
        except Refused:  # providers that do not tell
            return False

    def ask(self, question: Callable[[Eth], T]) -> T:
        """What web3's `eth` answers to a question that no contract can revert, such as a block. Raises ChainError.

        Items are taken from the answer within the question: an answer without them is an error of the node's too.
        """
        try:
            return question(self.web3.eth)
        except Web3Exception as error:
            raise Refused(f"The RPC at {self._shown} refused a question: {error}", str(error)) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ChainError(f"The RPC at {self._shown} gave no usable answer: {error!r}") from error

    def request(self, method: str, *params: object, patient: bool = True) -> Any:
        """The bare result of a JSON-RPC method. patient: whether a read is asked for again where no answer comes.

        Raises Refused with the node's words and any revert data, Pruned, Unanswered.
        """
        response = self._provider.answer(RPCEndpoint(method), list(params), patient=patient)
        if response.get("error") is None:
            return response["result"]
        said = answers.said(response["error"])
        if said.data is None and _PRUNED.search(said.message):
            raise Pruned(
                f"The RPC at {self._shown} no longer keeps what {method} asks for ({said.message}): use a node that "
                "keeps the chain's history.",
                said.message,
            )
        raise Refused(f"The RPC at {self._shown} refused {method}: {said.message}", said.message, said.data)

    # ------------------------------------------------------------ reads

    def head(self) -> int:
        """The number of the latest block."""
        return self._read("eth_blockNumber", answers.quantity)

    def block(self, at: int | str) -> Block | None:
        """The header of a block, by number, hash (0x…), "latest" or "pending"; None where there is none."""
        method = "eth_getBlockByHash" if isinstance(at, str) and at.startswith("0x") else "eth_getBlockByNumber"
        answer = self.request(method, hex(at) if isinstance(at, int) else at, False)
        fields = Fields.of(self._shown, method, answer)
        return None if fields is None else Block(fields)

    def latest(self) -> Block:
        """The header of the latest block."""
        found = self.block("latest")
        if found is None:
            raise answers.unusable(self._shown, "eth_getBlockByNumber", "it has no latest block")
        return found

    def receipt(self, transaction: str) -> Mined | None:
        """The receipt of a transaction (0x…), None where it is not mined. Its price may be the transaction's own."""
        found = answers.mined(self._shown, transaction, self.request("eth_getTransactionReceipt", transaction))
        if found is None or found.gas_price is not None:
            return found
        try:
            sent = Fields.of(self._shown, "eth_getTransactionByHash", self.transaction(transaction))
        except ChainError:  # it does without
            return found
        return found if sent is None else replace(found, gas_price=sent.maybe("gasPrice", answers.quantity))

    def transaction(self, transaction: str) -> object:
        """A transaction as the node's JSON, None where it knows none of this hash."""
        return self.request("eth_getTransactionByHash", transaction)

    def logs(self, address: str, first: int, last: int, topics: list[str | None] | None = None) -> list[Log]:
        """The logs of an address in the blocks from first to last. A wide range is asked for only once."""
        wanted: dict[str, object] = {"address": address, "fromBlock": hex(first), "toBlock": hex(last)}
        if topics:
            wanted["topics"] = topics
        return answers.logs(self._shown, "eth_getLogs", self.request("eth_getLogs", wanted, patient=first == last))

    def count(self, address: str, block: str = "latest") -> int:
        """How many transactions an account has sent, as of the latest or the pending block."""
        return self._at_block("eth_getTransactionCount", address, block=block)

    def balance(self, address: str, block: int | str = "latest") -> int:
        """Wei that an account holds after a block."""
        return self._at_block("eth_getBalance", address, block=block)

    def code(self, address: str) -> bytes:
        """The code at an address; empty where there is no contract."""
        return self._read("eth_getCode", answers.octets, to_checksum_address(address), "latest")

    def gas_price(self) -> int:
        """Wei for each unit of gas, as the node suggests."""
        return self._read("eth_gasPrice", answers.quantity)

    def _at_block(self, method: str, *params: object, block: int | str) -> int:
        at = hex(block) if isinstance(block, int) else block
        if at != "pending":
            return self._read(method, answers.quantity, *params, at)
        return self._at_pending(method, lambda at: self._read(method, answers.quantity, *params, at))

    def _at_pending(self, method: str, ask: Callable[[str], T]) -> T:
        """What the pending block answers; the latest one where the node serves no pending state."""
        if method not in self._no_pending:
            try:
                return ask("pending")
            except (Unanswered, Reverted):
                raise
            except ChainError:
                answer = ask("latest")
                self._no_pending.add(method)
                return answer
        return ask("latest")

    def _read(self, method: str, read: Callable[[object], T], *params: object) -> T:
        answer = self.request(method, *params)
        try:
            return read(answer)
        except ValueError as error:
            raise answers.unusable(self._shown, method, f"{answers.printable(repr(answer), 60)}") from error

    # ------------------------------------------------------------ simulations

    def call(self, transaction: dict[str, object], block: int | str = "latest") -> bytes:
        """What a call returns, in the state after a block. Raises Reverted with the decoded error, ChainError."""
        try:
            return answers.octets(self._simulated("eth_call", transaction, block))
        except ValueError as error:
            raise answers.unusable(self._shown, "eth_call", "it is not bytes") from error

    def estimate(self, transaction: dict[str, object]) -> int:
        """The gas that a transaction would use in the next block: a simulation that says why when it would revert.

        Raises Reverted with the decoded error, ChainError.
        """
        self._advance_ganache()

        def asked(block: str) -> int:
            answer = self._simulated("eth_estimateGas", transaction, block)
            try:
                return answers.quantity(answer)
            except ValueError as error:
                raise answers.unusable(self._shown, "eth_estimateGas", "it is not a number") from error

        return self._at_pending("eth_estimateGas", asked)

    def now(self) -> int:
        """The time in Unix seconds by which the contract would judge a call sent at this moment: block.timestamp.

        It is the pending block's time: on Anvil that includes every shift of its clock; a public chain's node gives its
        estimate, or the latest block again, which lags by a block's time at most. Ganache alone knows no pending block:
        it judges even simulated calls by its latest block's time, however old. There an empty block is mined first, at
        most one a second and one for each shift of its clock, much as its own option --miner.blockTime=1 would.
        """
        self._advance_ganache()
        latest = self.latest().timestamp
        try:
            pending = self.block("pending")
        except Refused:  # some public nodes serve no pending block
            return latest
        return latest if pending is None else max(latest, pending.timestamp)

    def _advance_ganache(self) -> None:
        if not self._is_ganache:
            return
        moment = self.request("evm_increaseTime", 0), int(time.monotonic())  # its whole shift so far, and our second
        if moment != self._mined:
            self.request("evm_mine")
            self._mined = moment

    def _simulated(self, method: str, transaction: dict[str, object], block: int | str) -> object:
        at = hex(block) if isinstance(block, int) else block
        try:
            return self.request(method, transaction, at)
        except Refused as refusal:
            if refusal.data is None and "revert" not in refusal.message.lower():
                raise
            raise reverts.decode(refusal.data or b"", refusal.message) from refusal
