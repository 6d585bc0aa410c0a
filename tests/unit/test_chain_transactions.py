"""Sending under concurrency and faults: an action is done once, or a person is told what is unknown."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from marketplace.chain import transactions
from marketplace.chain.connection import Connection
from marketplace.chain.market import Market
from marketplace.domain import JobCreated
from marketplace.errors import ChainError, Reverted
from tests.chain_fixtures import KEY, OWNER, PEOPLE, TRAINERS, Chain, Proxy, new_token, terms, untouched
from tests.patience import PATIENCE

pytest_plugins = ["tests.chain_fixtures"]
THREADS = 8


@pytest.fixture
def by_hand(chain: Chain) -> Iterator[Chain]:
    """A chain that mines only when it is told to."""
    chain.connection.request("evm_setAutomine", False)
    yield chain
    chain.connection.request("evm_setAutomine", True)


def through(proxy: Proxy, chain: Chain, receipt_within: float = 20) -> Market:
    return Market(Connection(proxy.url), chain.market.address, receipt_within=receipt_within)


def nonce(chain: Chain) -> int:
    return chain.connection.ask(lambda eth: eth.get_transaction_count(OWNER.address))


def on_sending(action: Callable[[dict[str, Any], Callable[[], Any]], Any]) -> Proxy.Hook:
    """A hook for the first sending only."""
    done: list[bool] = []

    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        if request["method"] != "eth_sendRawTransaction" or done:
            return forward()
        done.append(True)
        return action(request, forward)

    return hook


def send_rival(chain: Chain, nonce: int) -> None:
    """Another program's transaction with the owner's key, at a high fee."""
    fields: dict[str, Any] = {
        "to": PEOPLE[9].address,
        "value": 1,
        "gas": 21_000,
        "nonce": nonce,
        "chainId": chain.connection.chain_id,
    }
    rival = OWNER.sign_transaction(fields | {"maxFeePerGas": 10**12, "maxPriorityFeePerGas": 10**11})
    chain.connection.request("eth_sendRawTransaction", rival.raw_transaction.to_0x_hex())


def create(market: Market, chain: Chain) -> int:
    return market.create_job(OWNER, terms(chain), KEY, "bafy")[0]


@pytest.mark.parametrize(("likely", "estimates"), [(2_000_000, 0), (1, 1), (None, 1)])
def test_gas_that_was_used_before_is_tried_in_place_of_an_estimate(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, likely: int | None, estimates: int
) -> None:
    asked: list[str] = []
    honest = Connection.request

    def request(self: Connection, method: str, *rest: Any, **options: Any) -> Any:
        asked.append(method)
        return honest(self, method, *rest, **options)

    monkeypatch.setattr(Connection, "request", request)
    code = bytes.fromhex("6103e85b600190038060035700")  # counts down from 1,000, for which 50,000 gas are too few
    transactions.transact(chain.connection, OWNER, None, code, wait=PATIENCE, likely_gas=likely)
    assert asked.count("eth_estimateGas") == estimates


def test_threads_share_a_key(any_chain: Chain) -> None:
    before = nonce(any_chain)
    with ThreadPoolExecutor(THREADS) as pool:
        jobs = list(pool.map(lambda _: create(any_chain.market, any_chain), range(THREADS)))
    assert sorted(jobs) == list(range(1, THREADS + 1))
    assert nonce(any_chain) == before + THREADS


def test_processes_share_a_key(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lock that threads share, two senders are as two processes: they take each other's nonces."""
    monkeypatch.setattr(transactions, "lock_of", lambda *key: threading.Lock())
    before = nonce(chain)

    def sender(number: int) -> list[int]:
        market = Market(Connection(chain.connection.url), chain.market.address, receipt_within=PATIENCE)
        return [market.create_job(OWNER, terms(chain), KEY, f"bafy{number}{i}")[0] for i in range(6)]

    with ThreadPoolExecutor(2) as pool:
        jobs = [job for made in pool.map(sender, range(2)) for job in made]
    assert sorted(jobs) == list(range(1, 13))
    assert nonce(chain) == before + 12


def test_threads_pay_tokens_with_one_key(chain: Chain) -> None:
    """Each call needs an allowance of its own: without taking turns, one thread would overwrite another's."""
    token = new_token(chain)
    token.send("mint(address,uint256)", OWNER.address, 10**9)

    def made(_: int) -> int:
        return chain.market.create_job(OWNER, terms(chain, token=token.address), KEY, "bafy")[0]

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(made, range(4))) == [1, 2, 3, 4]
    assert chain.market.balance(token.address) == 4 * 2_140_000


def test_sendings_wait_in_the_pool_with_nonces_of_their_own(by_hand: Chain) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        sent = [pool.submit(create, by_hand.market, by_hand) for _ in range(THREADS)]
        for _ in range(200):
            if by_hand.connection.request("txpool_status")["pending"] == hex(THREADS):
                break
            threading.Event().wait(0.05)
        by_hand.connection.request("evm_mine")
        assert sorted(one.result(20) for one in sent) == list(range(1, THREADS + 1))


def test_a_nonce_that_a_thread_has_just_used_is_not_given_back(by_hand: Chain, proxy: Proxy) -> None:
    """At the same price both would be the same bytes: one transaction for two actions."""
    market = through(proxy, by_hand)
    by_hand.connection.request("evm_setAutomine", True)
    create(by_hand.market, by_hand)  # the first one costs more
    by_hand.connection.request("evm_setAutomine", False)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(create, by_hand.market, by_hand)
        while by_hand.connection.request("txpool_status")["pending"] != "0x1":
            assert not first.done()

        def meanwhile(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
            answer = forward()
            if request["method"] == "eth_getTransactionCount" and not first.done():
                by_hand.connection.request("evm_setAutomine", True)
                by_hand.connection.request("evm_mine")
                first.result(PATIENCE)
            return answer

        proxy.hook = meanwhile
        second = create(market, by_hand)
        assert [first.result(PATIENCE), second] == [2, 3]


def test_what_a_test_leaves_in_the_pool_is_not_mined_in_the_next(chain: Chain) -> None:
    with untouched(chain):
        send_rival(chain, nonce(chain) + 1)  # waits for the one before it
    with untouched(chain):
        before = nonce(chain)
        create(chain.market, chain)
        assert nonce(chain) == before + 1


def test_a_nonce_that_another_program_took_is_replaced_by_the_next(chain: Chain, proxy: Proxy) -> None:
    def meanwhile(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        send_rival(chain, before)
        answer = forward()
        assert "nonce too low" in answer["error"]["message"]
        return answer

    market = through(proxy, chain)
    proxy.hook = on_sending(meanwhile)
    before = nonce(chain)
    assert create(market, chain) == 1
    assert nonce(chain) == before + 2
    assert chain.market.job_count() == 1


def test_a_lost_answer_does_not_lose_or_double_the_action(chain: Chain, proxy: Proxy) -> None:
    def lose(request: dict[str, Any], forward: Callable[[], Any]) -> int:
        forward()
        return 503

    market = through(proxy, chain)
    proxy.hook = on_sending(lose)
    before = nonce(chain)
    assert create(market, chain) == 1
    assert nonce(chain) == before + 1
    assert proxy.methods.count("eth_sendRawTransaction") == 2
    assert chain.market.job_count() == 1


def test_a_lost_request_is_sent_again(chain: Chain, proxy: Proxy) -> None:
    market = through(proxy, chain)
    proxy.hook = on_sending(lambda request, forward: 503)
    assert create(market, chain) == 1
    assert chain.market.job_count() == 1


def test_a_node_that_never_takes_it_is_told_with_the_hash(chain: Chain, proxy: Proxy) -> None:
    def dead(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        return 503 if request["method"] == "eth_sendRawTransaction" else forward()

    market = through(proxy, chain)
    proxy.hook = dead
    with pytest.raises(ChainError, match=r"while transaction 0x[0-9a-f]{64} was sent: see whether it was mined"):
        create(market, chain)
    assert chain.market.job_count() == 0


def test_a_transaction_that_another_replaced_is_sent_anew_once(by_hand: Chain, proxy: Proxy) -> None:
    """Another program's transaction with the same nonce and a higher fee drives ours out of the pool."""

    def outbid(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        answer = forward()
        send_rival(by_hand, before)
        by_hand.connection.request("evm_mine")
        by_hand.connection.request("evm_setAutomine", True)
        return answer

    market = through(proxy, by_hand)
    before = nonce(by_hand)
    proxy.hook = on_sending(outbid)
    assert create(market, by_hand) == 1
    assert by_hand.market.job_count() == 1
    assert nonce(by_hand) == before + 2


def test_a_transaction_that_is_not_mined_is_told_with_its_hash(by_hand: Chain) -> None:
    market = Market(by_hand.connection, by_hand.market.address, receipt_within=0.3)
    with pytest.raises(ChainError, match=r"Transaction 0x[0-9a-f]{64} was not mined within 0.3 s, and still may be"):
        create(market, by_hand)
    by_hand.connection.request("evm_mine")
    assert by_hand.market.job_count() == 1


def test_a_transaction_that_fails_when_it_is_mined_says_why(chain: Chain, proxy: Proxy) -> None:
    """The simulation passes, and before the transaction is mined another trainer takes the last place."""
    job = create(chain.market, chain)
    for trainer in TRAINERS[:2]:
        chain.market.join(trainer, job, trainer.address, KEY)

    def overtake(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        chain.market.join(TRAINERS[2], job, TRAINERS[2].address, KEY)
        return forward()

    market = through(proxy, chain)
    proxy.hook = on_sending(overtake)
    with pytest.raises(Reverted, match=rf"^Job {job} is full: it has all of its 3 trainers\.$") as caught:
        market.join(PEOPLE[8], job, PEOPLE[8].address, KEY)
    assert caught.value.name == "JobFull"


def test_a_refused_call_costs_nothing(chain: Chain) -> None:
    before = chain.market.balance("0x" + "0" * 40, OWNER.address)
    with pytest.raises(Reverted):
        chain.market.start(OWNER, 1)
    assert chain.market.balance("0x" + "0" * 40, OWNER.address) == before


def test_a_key_that_others_keep_using_is_given_up_in_time(chain: Chain, proxy: Proxy) -> None:
    def taken(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        if request["method"] != "eth_sendRawTransaction":
            return forward()
        error = {"code": -32000, "message": "replacement transaction underpriced"}
        return {"jsonrpc": "2.0", "id": request["id"], "error": error}

    market = through(proxy, chain)
    proxy.hook = taken
    with pytest.raises(ChainError, match=f"No transaction of {OWNER.address} was taken in 8 tries"):
        create(market, chain)
    assert proxy.methods.count("eth_sendRawTransaction") == transactions.ATTEMPTS


@pytest.mark.parametrize(
    ("words", "known", "taken"),
    [
        ("already known", True, False),
        ("transaction already imported", True, False),
        ("Known transaction", True, False),
        ("AlreadyKnown", True, False),
        ("nonce too low: next nonce 5, tx nonce 4", False, True),
        ("the tx doesn't have the correct nonce. account has nonce of: 5 tx has nonce of: 4", False, True),
        ("OldNonce", False, True),
        ("Replacement transaction underpriced", False, True),
        ("ReplacementNotAllowed", False, True),
        ("unknown transaction type", False, False),
        ("transaction underpriced", False, False),
        ("nonce too high", False, False),
    ],
)
def test_the_words_of_each_node_are_understood(words: str, known: bool, taken: bool) -> None:
    found = transactions._KNOWN.search(words), transactions._NONCE_TAKEN.search(words)
    assert (bool(found[0]), bool(found[1])) == (known, taken)


def test_a_receipt_carries_what_it_cost(chain: Chain) -> None:
    before = chain.market.balance("0x" + "0" * 40, OWNER.address)
    job, receipt = chain.market.create_job(OWNER, terms(chain), KEY, "bafy")
    after = chain.market.balance("0x" + "0" * 40, OWNER.address)
    assert before - after == 2_140_000 + receipt.gas_used * receipt.gas_price
    assert [(type(e), e.job_id, e.block) for e in receipt.events] == [(JobCreated, job, receipt.block)]
