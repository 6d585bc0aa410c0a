"""What nodes leave out, wrap or refuse: what nothing needs stops nobody, and no transaction that was sent is lost."""

import json
import re
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from marketplace.chain import answers, connection, nonces, transactions
from marketplace.chain.connection import ATTEMPTS, Connection, Pruned, Refused, Unanswered
from marketplace.chain.events import EventReader
from marketplace.chain.market import Market
from marketplace.domain import ZERO_ADDRESS
from marketplace.errors import ChainError, Reverted
from marketplace.overload import MAX_PAUSE, retry_after
from tests.chain_fixtures import KEY, OWNER, PEOPLE, TRAINERS, Chain, Proxy, terms
from tests.patience import PATIENCE

pytest_plugins = ["tests.chain_fixtures"]

RECEIPT = (
    "transactionHash", "transactionIndex", "blockHash", "blockNumber", "from", "to", "cumulativeGasUsed", "gasUsed",
    "effectiveGasPrice", "contractAddress", "logs", "logsBloom", "status", "type",
)  # fmt: skip
LOG = (
    "address", "topics", "data", "blockNumber", "transactionHash", "transactionIndex", "blockHash", "logIndex",
    "removed",
)  # fmt: skip
BLOCK = (
    "number", "hash", "parentHash", "nonce", "sha3Uncles", "logsBloom", "transactionsRoot", "stateRoot", "receiptsRoot",
    "miner", "difficulty", "totalDifficulty", "extraData", "size", "gasLimit", "gasUsed", "timestamp", "transactions",
    "uncles", "baseFeePerGas", "mixHash", "withdrawals",
)  # fmt: skip
TRANSACTION = (
    "hash", "nonce", "blockHash", "blockNumber", "transactionIndex", "from", "to", "value", "gas", "gasPrice",
    "maxFeePerGas", "maxPriorityFeePerGas", "input", "type", "chainId", "v", "r", "s", "accessList",
)  # fmt: skip
KINDS = {
    "eth_getTransactionReceipt": ("receipt", RECEIPT),
    "eth_getBlockByNumber": ("block", BLOCK),
    "eth_getTransactionByHash": ("transaction", TRANSACTION),
}
CASES = [(method, field, "") for method, (_, fields) in KINDS.items() for field in fields]
CASES += [("eth_getTransactionReceipt", field, "logs") for field in LOG]
NEEDED = {("block", "timestamp")}
"""Without these no job can be created: they are asked for before anything is sent."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes here are wrong for ever: nothing is gained by believing that they may mend."""
    monkeypatch.setattr(nonces, "DOUBT", 0.3)
    monkeypatch.setattr(connection, "_pause", lambda state: 0.01)


def without(method: str, field: str, within: str, change: Callable[[dict[str, Any]], object]) -> Proxy.Hook:
    """A node that leaves a field out of every answer to a method, or out of all that is in a list of it."""

    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        answer = forward()
        if request["method"] == method and isinstance(answer.get("result"), dict):
            for part in answer["result"][within] if within else [answer["result"]]:
                change(part)
        return answer

    return hook


def told(act: Callable[[], Any]) -> Any:
    """What it returns, or the sentence with which it fails."""
    try:
        return act()
    except ChainError as error:
        return str(error)


@pytest.mark.parametrize("how", ["missing", "null"])
@pytest.mark.parametrize(("method", "field", "within"), CASES, ids=lambda value: value or "-")
def test_a_field_that_is_left_out_loses_no_transaction(
    chain: Chain, proxy: Proxy, method: str, field: str, within: str, how: str
) -> None:
    market = Market(Connection(proxy.url), chain.market.address, receipt_within=4)
    proxy.hook = without(
        method, field, within, lambda part: part.pop(field, None) if how == "missing" else part.update({field: None})
    )
    wanted = terms(chain)
    for step, act in enumerate(
        (
            lambda: market.create_job(OWNER, wanted, KEY, "bafy")[0],
            lambda: market.join(TRAINERS[0], 1, TRAINERS[0].address, KEY)[0],
            lambda: market.leave(TRAINERS[0], 1).events and 2,
            lambda: market.withdraw(TRAINERS[0], ZERO_ADDRESS).events and 3,
        )
    ):
        before = sum(chain.connection.count(who.address) for who in (OWNER, TRAINERS[0]))
        outcome = told(act)
        sent = sum(chain.connection.count(who.address) for who in (OWNER, TRAINERS[0])) - before
        assert sent in (0, 1)
        if isinstance(outcome, str) and not sent:
            assert (KINDS[method][0], field) in NEEDED, outcome
            return
        assert outcome == (1, 0, 2, 3)[step] or re.search(r"ransaction 0x[0-9a-f]{64}", str(outcome)), outcome
    assert chain.market.job_count() == 1
    assert chain.market.credit(TRAINERS[0].address, ZERO_ADDRESS) == 0


def test_a_price_that_a_receipt_lacks_is_the_transaction_s_own(chain: Chain, proxy: Proxy) -> None:
    market = Market(Connection(proxy.url), chain.market.address, receipt_within=PATIENCE)
    proxy.hook = without(
        "eth_getTransactionReceipt", "effectiveGasPrice", "", lambda part: part.pop("effectiveGasPrice")
    )
    before = chain.market.balance(ZERO_ADDRESS, OWNER.address)
    job, receipt = market.create_job(OWNER, terms(chain), KEY, "bafy")
    assert receipt.gas_used is not None
    assert receipt.gas_price is not None
    spent = before - chain.market.balance(ZERO_ADDRESS, OWNER.address)
    assert (job, spent) == (1, 2_140_000 + receipt.gas_used * receipt.gas_price)


def test_a_price_that_nobody_tells_is_left_out(chain: Chain, proxy: Proxy) -> None:
    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        answer = forward()
        if request["method"] in ("eth_getTransactionReceipt", "eth_getTransactionByHash") and answer["result"]:
            for name in ("effectiveGasPrice", "gasPrice", "gasUsed"):
                answer["result"].pop(name, None)
        return answer

    market = Market(Connection(proxy.url), chain.market.address, receipt_within=PATIENCE)
    proxy.hook = hook
    job, receipt = market.create_job(OWNER, terms(chain), KEY, "bafy")
    assert (job, receipt.gas_price, receipt.gas_used) == (1, None, None)


# ---------------------------------------------------------------- no pending state, nodes behind, pruning


def refusing(holds: Callable[[dict[str, Any]], bool], **error: Any) -> Proxy.Hook:
    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        return {"jsonrpc": "2.0", "id": request["id"], "error": error} if holds(request) else forward()

    return hook


@pytest.mark.parametrize(
    "methods",
    [
        ("eth_getBalance", "eth_getTransactionCount", "eth_estimateGas", "eth_getBlockByNumber", "eth_call"),
        ("eth_getTransactionCount",),
        ("eth_estimateGas",),
    ],
    ids=lambda methods: str(len(methods)) + methods[0],
)
@pytest.mark.parametrize("answer", ["refused", "null"])
def test_a_node_without_a_pending_state_is_asked_for_the_latest(
    chain: Chain, proxy: Proxy, methods: tuple[str, ...], answer: str
) -> None:
    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        if "pending" in request["params"] and request["method"] in methods:
            told = {"error": {"code": -32000, "message": "pending is not available"}}
            return {"jsonrpc": "2.0", "id": request["id"], **(told if answer == "refused" else {"result": None})}
        return forward()

    market = Market(Connection(proxy.url), chain.market.address, receipt_within=PATIENCE)
    proxy.hook = hook
    for number in (1, 2):
        assert market.create_job(OWNER, terms(chain), KEY, "bafy")[0] == number
    with pytest.raises(Reverted, match="There is no job 77"):
        market.start(OWNER, 77)


def lagging(chain: Chain, methods: tuple[str, ...], answers_behind: int) -> Proxy.Hook:
    """Several nodes behind one address: to these methods one answers that is so many blocks behind."""

    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        answer = forward()
        if request["method"] not in methods or "error" in answer:
            return answer
        old = hex(max(0, chain.connection.head() - answers_behind))
        if request["method"] == "eth_getTransactionCount":
            answer["result"] = chain.connection.request("eth_getTransactionCount", request["params"][0], old)
        elif request["method"] == "eth_blockNumber":
            answer["result"] = old
        elif isinstance(answer["result"], dict):
            block = answer["result"].get("blockNumber") or answer["result"].get("number")
            if block and int(block, 16) > int(old, 16):
                answer["result"] = None
        return answer

    return hook


@pytest.mark.parametrize(
    "methods",
    [
        ("eth_getTransactionCount",),
        ("eth_getTransactionCount", "eth_blockNumber", "eth_getTransactionByHash"),
        ("eth_getTransactionByHash",),
    ],
    ids=len,
)
def test_a_node_that_is_behind_the_others_is_no_reorganization_and_no_rival(
    chain: Chain, proxy: Proxy, methods: tuple[str, ...]
) -> None:
    market = Market(Connection(proxy.url), chain.market.address, receipt_within=PATIENCE)
    proxy.hook = lagging(chain, methods, 2)
    before = chain.connection.count(OWNER.address)
    assert [market.create_job(OWNER, terms(chain), KEY, "bafy")[0] for _ in range(4)] == [1, 2, 3, 4]
    assert chain.connection.count(OWNER.address) == before + 4


def test_a_new_process_behind_a_lagging_node_finds_a_free_nonce(chain: Chain, proxy: Proxy) -> None:
    for _ in range(3):
        chain.market.create_job(OWNER, terms(chain), KEY, "bafy")
    transactions.forget()
    market = Market(Connection(proxy.url), chain.market.address, receipt_within=PATIENCE)
    proxy.hook = lagging(chain, ("eth_getTransactionCount",), 3)
    # Another specification, since at the same price equal bytes would be one transaction.
    assert market.create_job(OWNER, terms(chain), KEY, "bafy2")[0] == 4


@pytest.mark.parametrize(
    "error",
    [
        {"code": 4444, "message": "pruned history unavailable"},
        {"code": -32000, "message": "missing trie node 0abc (path ) state 0x0 is not available"},
        {"code": -32000, "message": "this request needs an archive node"},
        {"code": -32603, "message": "Internal error", "data": {"message": "history is not available"}},
    ],
    ids=lambda error: error["message"][:12],
)
def test_what_a_node_has_pruned_is_said_with_the_node_that_is_needed(
    chain: Chain, proxy: Proxy, error: dict[str, Any]
) -> None:
    connection = Connection(proxy.url)
    proxy.hook = refusing(lambda request: request["method"] in ("eth_getLogs", "eth_call", "eth_getBalance"), **error)
    proxy.methods = []
    with pytest.raises(Pruned, match=r"no longer keeps what eth_getLogs asks for .*: use a node that keeps"):
        EventReader(connection, chain.market.address).read()
    assert proxy.methods.count("eth_getLogs") == 1
    with pytest.raises(Pruned):
        connection.balance(OWNER.address, 1)
    with pytest.raises(Pruned):
        connection.call({"to": chain.market.address, "data": "0x"}, 1)


# ---------------------------------------------------------------- overload in any dress

BUSY: list[Any] = [
    429, 502, 503, 504, 408, 500,
    {"error": {"code": -32005, "message": "limit exceeded"}},
    {"error": {"code": -32000, "message": "Too Many Requests"}},
    {"error": {"code": 429, "message": "Your app has exceeded its compute units per second capacity"}},
    {"error": {"code": -32603, "message": "Internal error", "data": {"error": {"message": "rate limit reached"}}}},
    {"error": {"code": -32000, "message": "request timed out"}},
    {"error": "rate limited"},
    {"message": "API rate limit exceeded"},
    b"<html><title>Just a moment</title></html>",
    b"upstream connect error",
    b"",
]  # fmt: skip


def dressed(request: dict[str, Any], what: Any) -> Any:
    return {"jsonrpc": "2.0", "id": request["id"], **what} if isinstance(what, dict) else what


@pytest.mark.parametrize("what", BUSY, ids=repr)
def test_a_busy_node_s_reads_are_asked_again(chain: Chain, proxy: Proxy, what: Any) -> None:
    connection, left = Connection(proxy.url), [3]

    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        left[0] -= 1
        return forward() if left[0] < 0 else dressed(request, what)

    proxy.hook, proxy.methods = hook, []
    assert connection.head() == chain.connection.head()
    assert proxy.methods == ["eth_blockNumber"] * 4


@pytest.mark.parametrize("what", BUSY[:-3], ids=repr)
def test_a_node_that_stays_busy_is_called_busy(chain: Chain, proxy: Proxy, what: Any) -> None:
    connection = Connection(proxy.url)
    proxy.hook, proxy.methods = lambda request, forward: dressed(request, what), []
    with pytest.raises(Unanswered, match=r"has too much to do, or is out of order .*: try again later"):
        connection.head()
    assert len(proxy.methods) == ATTEMPTS


@pytest.mark.parametrize("what", BUSY, ids=repr)
def test_what_a_busy_node_does_not_take_is_not_given_up(chain: Chain, proxy: Proxy, what: Any) -> None:
    left = [2]

    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        if request["method"] != "eth_sendRawTransaction" or left[0] <= 0:
            return forward()
        left[0] -= 1
        return dressed(request, what)

    market = Market(Connection(proxy.url), chain.market.address, receipt_within=PATIENCE)
    proxy.hook = hook
    assert market.create_job(OWNER, terms(chain), KEY, "bafy")[0] == 1
    assert chain.market.job_count() == 1


WIDE: list[Any] = [
    *BUSY, 413,
    {"error": {"code": -32005, "message": "query returned more than 10000 results"}},
    {"error": {"code": -32602, "message": "block range is too wide"}},
    {"error": {"code": -32000, "message": "response size exceeded"}},
]  # fmt: skip


@pytest.mark.parametrize("most", [0, 7])
@pytest.mark.parametrize("what", WIDE, ids=repr)
def test_a_wide_range_of_logs_is_halved_whatever_the_refusal(chain: Chain, proxy: Proxy, what: Any, most: int) -> None:
    for _ in range(3):
        chain.market.create_job(OWNER, terms(chain), KEY, "bafy")
        chain.connection.request("anvil_mine", hex(15))

    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        if request["method"] == "eth_getLogs":
            wanted = request["params"][0]
            if int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) > most:
                return dressed(request, what)
        return forward()

    reader = EventReader(Connection(proxy.url), chain.market.address, chain.first_block)
    proxy.hook, proxy.methods = hook, []
    assert reader.read()[0] == chain.events()
    assert len(chain.events()) == 3
    assert proxy.methods.count("eth_getLogs") < 120


def test_a_node_that_died_is_not_asked_for_ever_narrower_ranges(chain: Chain, proxy: Proxy) -> None:
    reader = EventReader(Connection(proxy.url), chain.market.address)
    proxy.hook, proxy.methods = (
        lambda request, forward: 503 if request["method"] != "eth_blockNumber" else forward(),
        [],
    )
    head = chain.connection.head()
    proxy.hook = lambda request, forward: 503
    with pytest.raises(Unanswered):
        reader.read(0, to_block=head)
    assert proxy.methods.count("eth_getLogs") == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("100000", MAX_PAUSE), ("-5", 0), ("soon", 0), ("", 0), ("9" * 400, MAX_PAUSE)],
)
def test_a_node_may_say_how_long_it_wants_to_be_left_alone(header: str, seconds: float) -> None:
    assert retry_after(header) == seconds


def test_a_moment_to_come_again_is_understood() -> None:
    assert 3 < retry_after(formatdate(time.time() + 6, usegmt=True)) <= 6


# ---------------------------------------------------------------- errors in layers


def no_such_job(chain: Chain) -> str:
    with pytest.raises(Reverted) as caught:
        chain.market.start(OWNER, 77)
    cause = caught.value.__cause__
    assert isinstance(cause, Refused)
    assert cause.data
    return "0x" + cause.data.hex()


def layered(data: str) -> list[dict[str, Any]]:
    inner = {"code": 3, "message": "execution reverted", "data": data}
    return [
        inner,
        {"code": -32603, "message": "Internal JSON-RPC error.", "data": inner},
        {"code": -32603, "message": "Internal error", "data": {"originalError": inner}},
        {"code": -32000, "message": "x", "error": {"cause": {"error": {"data": {"data": {"data": data}}}}}},
        {"code": -32015, "message": "VM execution error.", "data": f"Reverted {data}"},
        {"code": -32000, "message": "revert", "data": {"0xabc": {"error": "revert", "return": data}, "stack": "x"}},
        {
            "code": -32603,
            "message": "processing response error",
            "body": json.dumps({"error": {"code": 3, "data": data}}),
        },
        {"code": -32000, "message": "revert", "data": {"hash": "0x" + "ab" * 32, "result": data}},
        {"code": -32000, "message": "reverted", "errors": [{"nothing": None}, {"details": {"data": data}}]},
    ]


@pytest.mark.parametrize("number", range(9))
def test_a_revert_is_found_in_every_layer(chain: Chain, proxy: Proxy, number: int) -> None:
    error = layered(no_such_job(chain))[number]
    market = Market(Connection(proxy.url), chain.market.address)
    proxy.hook = refusing(lambda request: request["method"] in ("eth_estimateGas", "eth_call"), **error)
    with pytest.raises(Reverted, match="There is no job 77") as caught:
        market.start(OWNER, 77)
    assert caught.value.name == "NoSuchJob"


def test_an_error_without_end_is_read_in_bounds() -> None:
    deep: dict[str, Any] = {"message": "bottom", "code": 1}
    for _ in range(500):
        deep = {"data": deep}
    part = {"message": "x" * 10**6, "data": "0x" + "00" * 10**6}
    wide = {"message": "top", "data": [part] * 10_000}
    assert answers.said(deep).message == ""
    assert len(answers.said(wide).message) <= 300
    assert answers.said({"message": "a\x1b[2Jb\n", "code": "3"}) == ("a [2Jb ", frozenset(), None)
    for odd in (None, 3, "x", [], {"data": "{" * 70_000}, {"message": None, "data": 3}):
        assert answers.said(odd).data is None


def test_a_nonce_that_is_taken_is_understood_in_every_layer(chain: Chain, proxy: Proxy) -> None:
    done: list[bool] = []

    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        if request["method"] == "eth_sendRawTransaction" and not done:
            done.append(True)
            error = {"code": -32603, "message": "Internal error", "data": {"cause": {"message": "nonce too low"}}}
            return {"jsonrpc": "2.0", "id": request["id"], "error": error}
        return forward()

    chain.connection.request("anvil_setNonce", OWNER.address, hex(chain.connection.count(OWNER.address) + 1))
    market = Market(Connection(proxy.url), chain.market.address, receipt_within=PATIENCE)
    proxy.hook = hook
    chain.connection.request("anvil_mine", "0x1")
    wanted = terms(chain)
    done.clear()
    with pytest.raises(ChainError):  # a nonce is skipped, which this chain never fills by itself
        Market(market.connection, market.address, receipt_within=0.5).create_job(OWNER, wanted, KEY, "bafy")
    assert proxy.methods.count("eth_sendRawTransaction") >= 2


# ---------------------------------------------------------------- accounts that are contracts


def test_contracts_can_be_payees(chain: Chain) -> None:
    """A wallet with code, such as a Safe or an account of EIP-7702, is an address like any other."""
    wallet = PEOPLE[9].address
    chain.connection.request("anvil_setCode", wallet, "0x00")
    chain.connection.request("anvil_setCode", OWNER.address, "0xef0100" + "11" * 20)
    job, _ = chain.market.create_job(OWNER, terms(chain), KEY, "bafy")
    slot, receipt = chain.market.join(TRAINERS[0], job, wallet, KEY)
    held = chain.market.trainer(job, slot)
    assert held is not None
    assert (held.payee, receipt.events[0].payee) == (wallet, wallet)  # type: ignore[attr-defined]
