"""One RPC endpoint: bounded reads that are retried, errors in one sentence, and the chain's own clock."""

import time
from collections.abc import Callable
from operator import index
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from eth_utils.hexadecimal import decode_hex
from pydantic_core import from_json
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential
from web3 import Web3
from web3.eth import Eth
from web3.exceptions import Web3Exception
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers.rpc import HTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from marketplace.chain import reverts
from marketplace.errors import ChainError, InputError

MAX_RESPONSE = 64 * 2**20  # bytes of one answer
ATTEMPTS = 4  # for a read, with up to 2 s between them
_PART = 2**16
_TOO_MANY_REQUESTS, _SERVER_ERRORS = 429, 500

T = TypeVar("T")


class Refused(ChainError):
    """The node answered, and the answer is an error: a limit of the node, or a request that it does not take.

    message: the node's own words. data: the revert data, None where the call was not reverted by a contract.
    """

    def __init__(self, sentence: str, message: str = "", data: bytes | None = None) -> None:
        super().__init__(sentence)
        self.message = message
        self.data = data


class _Unreached(Exception):
    """No answer came, or one that asks to come again: a read may be repeated."""


class _Http(HTTPProvider):
    """web3's provider with bounded answers, and retries of what changes nothing."""

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__(url, exception_retry_configuration=None)
        parts = urlsplit(url)
        self.shown = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        self._url = url
        self._timeout = timeout
        self._session = requests.Session()

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Raises ChainError. A path or query of the address, which may hold a secret, stays out of messages."""
        body = self.encode_rpc_request(method, params)
        repeatable = method.startswith(("eth_", "net_", "web3_")) and not method.startswith("eth_send")
        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS if repeatable else 1),
            wait=wait_random_exponential(0.2, max=2),
            retry=retry_if_exception_type(_Unreached),
            reraise=True,
        )
        try:
            # Not the json module: its recursion is bounded by a limit that py_ecc raises until nested brackets crash.
            response = from_json(retrying(self._post, body))
        except _Unreached as error:
            raise ChainError(
                f"The chain's RPC at {self.shown} does not answer ({error}): check the address, and that the node runs."
            ) from error
        except ValueError as error:
            raise ChainError(f"What answers at {self.shown} is not a chain's RPC: check the address.") from error
        if not isinstance(response, dict) or not ("result" in response or isinstance(response.get("error"), dict)):
            raise ChainError(f"What answers at {self.shown} is not a chain's RPC: check the address.")
        return response  # type: ignore[return-value]

    def _post(self, body: bytes) -> bytes:
        content = bytearray()
        try:
            with self._session.post(
                self._url, body, headers=self.get_request_headers(), timeout=self._timeout, stream=True
            ) as response:
                status = response.status_code
                if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERRORS:
                    raise _Unreached(f"HTTP status {status}")
                for part in response.iter_content(_PART):
                    content += part
                    if len(content) > MAX_RESPONSE:
                        raise Refused(f"The RPC at {self.shown} sent more than {MAX_RESPONSE} bytes in one answer.")
        except requests.RequestException as error:
            raise _Unreached(type(error).__name__) from error
        return bytes(content)


class Connection:
    """A chain, through one node's HTTP RPC.

    url: http:// or https://. chain_id: what the node must serve, None takes what it serves. timeout: seconds for an
    answer to begin, and between its parts.
    Raises InputError for another kind of address, ChainError when the node is out of reach or on another chain.
    """

    def __init__(self, url: str, *, chain_id: int | None = None, timeout: float = 10.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{url!r} is not an RPC address: give one that starts with http:// or https://.")
        self.url = url
        self._provider = _Http(url, timeout)
        self.web3 = Web3(self._provider)
        # Without it web3 refuses the blocks of chains that authorities sign.
        self.web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        self.chain_id = self.ask(lambda eth: index(eth.chain_id))
        if chain_id not in (None, self.chain_id):
            raise ChainError(
                f"The RPC at {self._provider.shown} serves chain {self.chain_id}, not {chain_id}: "
                f"give the address of a node of chain {chain_id}."
            )
        self._is_ganache = str(self.request("web3_clientVersion")).startswith("Ganache/")
        self._mined: object = None

    def ask(self, question: Callable[[Eth], T]) -> T:
        """What web3's `eth` answers to a question that no contract can revert, such as a block. Raises ChainError.

        Items are taken from the answer within the question: an answer without them is an error of the node's too.
        """
        try:
            return question(self.web3.eth)
        except Web3Exception as error:
            raise Refused(f"The RPC at {self._provider.shown} refused a question: {error}", str(error)) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ChainError(f"The RPC at {self._provider.shown} gave no usable answer: {error!r}") from error

    def request(self, method: str, *params: object) -> Any:
        """The bare result of a JSON-RPC method. Raises Refused with the node's words and any revert data."""
        response = self._provider.make_request(RPCEndpoint(method), list(params))
        if "error" not in response:
            return response["result"]
        error: Any = response["error"]
        message = str(error.get("message", ""))
        raise Refused(f"The RPC at {self._provider.shown} refused {method}: {message}", message, _revert_data(error))

    def call(self, transaction: dict[str, object], block: int | str = "latest") -> bytes:
        """What a call returns, in the state after a block. Raises Reverted with the decoded error, ChainError."""
        return _bytes(self._simulated("eth_call", transaction, block))

    def estimate(self, transaction: dict[str, object]) -> int:
        """The gas that a transaction would use in the next block: a simulation that says why when it would revert.

        Raises Reverted with the decoded error, ChainError.
        """
        self._advance_ganache()
        return int(str(self._simulated("eth_estimateGas", transaction, "pending")), 16)

    def now(self) -> int:
        """The time in Unix seconds by which the contract would judge a call sent at this moment: block.timestamp.

        It is the pending block's time: on Anvil that includes every shift of its clock; a public chain's node gives its
        estimate, or the latest block again, which lags by a block's time at most. Ganache alone knows no pending block:
        it judges even simulated calls by its latest block's time, however old. There an empty block is mined first, at
        most one a second and one for each shift of its clock, much as its own option --miner.blockTime=1 would.
        """
        self._advance_ganache()
        latest = self.ask(lambda eth: eth.get_block("latest")["timestamp"])
        try:
            return max(latest, self.ask(lambda eth: eth.get_block("pending")["timestamp"]))
        except Refused:  # some public nodes serve no pending block
            return latest

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


def _bytes(text: object) -> bytes:
    try:
        return decode_hex(str(text))
    except ValueError as error:
        raise ChainError("The chain's RPC gave something else than bytes as the result of a call.") from error


def _revert_data(error: dict[str, Any]) -> bytes | None:
    """Where nodes put it: `data` (geth, Anvil), in it `result` (Ganache) or behind "Reverted " (Nethermind)."""
    data = error.get("data")
    if isinstance(data, dict):
        data = data.get("result")
    if not isinstance(data, str):
        return None
    try:
        return decode_hex(data.removeprefix("Reverted "))
    except ValueError:
        return None
