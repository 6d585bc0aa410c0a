"""Transactions that get stuck, are replaced or forgotten: an action takes effect once, or is said to be unknown."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes

from marketplace.chain import nonces, transactions
from marketplace.chain.connection import Connection
from marketplace.chain.market import Market
from marketplace.errors import ChainError, Reverted
from tests.chain_fixtures import KEY, OWNER, PEOPLE, TRAINERS, Chain, Proxy, terms
from tests.patience import PATIENCE

pytest_plugins = ["tests.chain_fixtures"]

GWEI = 10**9


@pytest.fixture
def by_hand(chain: Chain) -> Iterator[Chain]:
    """The chain, on which blocks come only when they are asked for."""
    fee = chain.connection.ask(lambda eth: eth.get_block("pending")["baseFeePerGas"])
    chain.connection.request("evm_setAutomine", False)
    yield chain
    chain.connection.request("anvil_setNextBlockBaseFeePerGas", hex(fee))  # which no snapshot keeps
    chain.connection.request("anvil_dropAllTransactions")
    chain.connection.request("evm_setAutomine", True)


def mine(chain: Chain, base_fee: int | None = None) -> None:
    if base_fee is not None:
        chain.connection.request("anvil_setNextBlockBaseFeePerGas", hex(base_fee))
    chain.connection.request("evm_mine")


def create(market: Market, chain: Chain) -> int:
    return market.create_job(OWNER, terms(chain), KEY, "bafy")[0]


def pooled(chain: Chain) -> list[dict[str, Any]]:
    """The owner's transactions that wait."""
    content = chain.connection.request("txpool_content")
    return [
        entry
        for part in ("pending", "queued")
        for sender, entries in content[part].items()
        if sender.lower() == OWNER.address.lower()
        for entry in entries.values()
    ]


def until(holds: Callable[[], bool]) -> None:
    for _ in range(400):
        if holds():
            return
        threading.Event().wait(0.025)
    pytest.fail("it does not come about")


def test_a_price_that_blocks_rose_above_is_raised_under_the_same_nonce(by_hand: Chain) -> None:
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(create, by_hand.market, by_hand)
        until(lambda: len(pooled(by_hand)) == 1)
        (first,) = pooled(by_hand)
        mine(by_hand, 3 * int(first["maxFeePerGas"], 16))
        assert not made.done()
        until(lambda: [entry["hash"] for entry in pooled(by_hand)] not in ([], [first["hash"]]))
        (second,) = pooled(by_hand)
        mine(by_hand)
        assert made.result(20) == 1
    assert int(second["maxFeePerGas"], 16) > int(first["maxFeePerGas"], 16)
    assert {name: second[name] for name in ("nonce", "input", "value", "to", "gas")} == {
        name: first[name] for name in ("nonce", "input", "value", "to", "gas")
    }
    assert by_hand.market.job_count() == 1


def test_a_price_is_raised_within_bounds_and_then_told(
    by_hand: Chain, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "PATIENCE", 0.0)
    monkeypatch.setattr(transactions, "RAISES", 3)
    monkeypatch.setattr(transactions, "_STEP", 2.0)
    market = Market(Connection(proxy.url), by_hand.market.address, receipt_within=3)
    seen: list[int] = []

    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        if request["method"] == "eth_sendRawTransaction":
            seen.append(TypedTransaction.from_bytes(HexBytes(request["params"][0])).as_dict()["maxFeePerGas"])
        return forward()

    proxy.hook = hook
    with pytest.raises(ChainError, match="was not mined within 3 s, and still may be"):
        create(market, by_hand)
    assert seen == sorted(set(seen))
    assert len(seen) == 4
    assert seen[-1] <= transactions.CEILING * seen[0]
    assert len(pooled(by_hand)) == 1


def test_an_action_that_was_left_undecided_goes_on_under_its_nonce(by_hand: Chain) -> None:
    """Asked for again after its wait, it is not sent beside itself: one job is created, and its receipt given."""
    market = Market(by_hand.connection, by_hand.market.address, receipt_within=0.3)
    wanted = terms(by_hand)
    for _ in range(2):
        with pytest.raises(ChainError, match="still may be"):
            market.create_job(OWNER, wanted, KEY, "bafy")
    assert len(pooled(by_hand)) == 1
    mine(by_hand)
    assert market.create_job(OWNER, wanted, KEY, "bafy")[0] == 1
    assert by_hand.market.job_count() == 1


def test_a_transaction_that_the_node_forgot_is_sent_again_as_it_was(by_hand: Chain) -> None:
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(create, by_hand.market, by_hand)
        until(lambda: len(pooled(by_hand)) == 1)
        (first,) = pooled(by_hand)
        by_hand.connection.request("anvil_dropAllTransactions")
        until(lambda: len(pooled(by_hand)) == 1)
        assert pooled(by_hand)[0]["hash"] == first["hash"]
        mine(by_hand)
        assert made.result(20) == 1


def test_what_a_dead_process_left_in_the_pool_does_not_block_the_key(
    by_hand: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No block takes it: it is replaced by nothing, and what is asked for is mined after it."""
    monkeypatch.setattr(transactions, "PATIENCE", 0.3)
    monkeypatch.setattr(nonces, "reached", {})  # as in a process that has just started
    connection = by_hand.connection
    left = {"to": PEOPLE[6].address, "value": 1, "gas": 21_000, "maxFeePerGas": 2 * GWEI, "maxPriorityFeePerGas": 1}
    nonce = int(connection.request("eth_getTransactionCount", OWNER.address, "latest"), 16)
    signed = OWNER.sign_transaction({**left, "type": 2, "nonce": nonce, "chainId": connection.chain_id, "data": "0x"})
    connection.request("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex())
    before = connection.ask(lambda eth: eth.get_balance(PEOPLE[6].address))
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(create, by_hand.market, by_hand)
        until(lambda: len(pooled(by_hand)) == 2 and signed.hash.to_0x_hex() not in [p["hash"] for p in pooled(by_hand)])
        mine(by_hand)
        assert made.result(20) == 1
    assert connection.ask(lambda eth: eth.get_balance(PEOPLE[6].address)) == before


def test_a_gap_that_a_reorganization_left_before_a_transaction_is_told_and_closed_by_what_is_done_again(
    chain: Chain,
) -> None:
    request, wanted = chain.connection.request, terms(chain)
    snapshot = request("evm_snapshot")
    create(chain.market, chain)
    request("evm_setAutomine", False)
    try:
        with ThreadPoolExecutor(1) as pool:
            made = pool.submit(chain.market.create_job, OWNER, wanted, KEY, "bafysecond")
            until(lambda: len(pooled(chain)) == 1)
            assert request("evm_revert", snapshot)
            with pytest.raises(ChainError, match="left the chain: it may have to be done again first"):
                made.result(20)
    finally:
        request("evm_setAutomine", True)
    first = chain.market.create_job(OWNER, terms(chain), KEY, "bafyfirst")[0]
    second = chain.market.create_job(OWNER, wanted, KEY, "bafysecond")[0]
    assert (first, second, chain.market.job_count()) == (1, 2, 2)


def test_two_processes_with_one_key_and_one_purpose_end_in_one_effect_and_one_clear_refusal(
    chain: Chain, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both simulate before either has sent: the first joins, the second is told that it has joined."""
    monkeypatch.setattr(transactions, "lock_of", lambda *key: threading.Lock())
    job = create(chain.market, chain)
    together = threading.Barrier(2)

    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        if request["method"] == "eth_sendRawTransaction" and not together.broken:
            try:
                together.wait(5)
            except threading.BrokenBarrierError:
                pass
            else:
                together.abort()
        return forward()

    proxy.hook = hook
    markets = [Market(Connection(proxy.url), chain.market.address, receipt_within=PATIENCE) for _ in range(2)]

    def join(number: int) -> str:
        try:
            # Different payees: the same bytes would be one transaction.
            markets[number].join(TRAINERS[0], job, PEOPLE[number].address, KEY)
        except Reverted as refusal:
            return refusal.name
        return "joined"

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(join, range(2)))
    assert sorted(outcomes) == ["AlreadyJoined", "joined"]
    assert chain.market.job(job).active == 1


def test_a_receipt_that_is_withheld_for_a_while_is_waited_for(chain: Chain, proxy: Proxy) -> None:
    withheld = time.monotonic() + 1.0

    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        answer = forward()
        if request["method"] == "eth_getTransactionReceipt" and time.monotonic() < withheld:
            answer["result"] = None
        return answer

    market = Market(Connection(proxy.url), chain.market.address, receipt_within=PATIENCE)
    proxy.hook = hook
    assert create(market, chain) == 1
    assert chain.market.job_count() == 1
    assert proxy.methods.count("eth_sendRawTransaction") == 1
