"""A command that dies, or whose answer is lost, after a transaction was sent: asked again, it goes on with that one."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hexbytes import HexBytes

from marketplace.chain import nonces, transactions
from marketplace.chain.connection import Connection
from marketplace.chain.journal import MAX_ENTRIES, Journal
from marketplace.chain.market import Market
from marketplace.domain import ZERO_ADDRESS, State
from marketplace.errors import ChainError, InputError, Reverted
from marketplace.keys.keystore import Keystore
from tests.chain_fixtures import KEY, OWNER, TRAINERS, Chain, Proxy, new_token, terms
from tests.jobs import World, job_file

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

START = 180.0
INTENT = "createJob of this file"


def process(proxy: Proxy, chain: Chain, folder: Path, receipt_within: float = 20) -> Market:
    """The market as a process has it that has just started, with the journal of its account."""
    transactions.forget()
    journal = Journal(folder / "sent")
    return Market(Connection(proxy.url), chain.market.address, receipt_within=receipt_within, journal=journal)


class Died(BaseException):
    """What SIGKILL is to a process, as far as its code can tell: nothing after it runs."""


def dying(method: str, *, before: bool) -> Proxy.Hook:
    """A proxy at whose first request of a method, before or after it reaches the chain, the asking process dies."""

    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        if request["method"] != method:
            return forward()
        if not before:
            forward()
        hook.died = True  # type: ignore[attr-defined]
        return 503

    hook.died = False  # type: ignore[attr-defined]
    return hook


def kill(act: Callable[[], Any], hook: Any, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs an action up to where the hook says that its process dies."""
    honest, proxy.hook = Connection.request, hook

    def request(self: Connection, method: str, *params: object, patient: bool = True) -> Any:
        try:
            return honest(self, method, *params, patient=patient)
        finally:
            if hook.died:
                raise Died

    with monkeypatch.context() as during:
        during.setattr(Connection, "request", request)
        with pytest.raises(Died):
            act()
    proxy.hook = lambda request, forward: forward()


MOMENTS = [
    ("eth_sendRawTransaction", True),
    ("eth_sendRawTransaction", False),
    ("eth_getTransactionReceipt", True),
    ("eth_getTransactionReceipt", False),
]


@pytest.mark.parametrize(("method", "before"), MOMENTS)
@pytest.mark.parametrize("coin", [True, False], ids=["coin", "token"])
@pytest.mark.parametrize("mining", [True, False], ids=["mined", "pending"])
def test_a_job_that_a_dead_process_paid_for_is_not_paid_for_again(
    chain: Chain, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    method: str, before: bool, coin: bool, mining: bool,
) -> None:  # fmt: skip
    token = ZERO_ADDRESS
    if not coin:
        made = new_token(chain)
        made.send("mint(address,uint256)", OWNER.address, 5_000_000)
        made.send("approve(address,uint256)", chain.market.address, 5_000_000, signer=OWNER)
        token = made.address
    held = chain.market.balance(token)
    market = process(proxy, chain, tmp_path)
    if not mining:
        chain.connection.request("evm_setAutomine", False)
    wanted = terms(chain, token=token)
    kill(
        lambda: market.create_job(OWNER, wanted, KEY, "bafy", intent=INTENT),
        dying(method, before=before),
        proxy,
        monkeypatch,
    )
    if not mining:
        threading.Timer(1.0, chain.connection.request, ("evm_setAutomine", True)).start()
        threading.Timer(1.2, chain.connection.request, ("evm_mine",)).start()
    again = process(proxy, chain, tmp_path)
    found = again.created_before(OWNER, INTENT)
    later = terms(chain, token=token, enrol_by=wanted.enrol_by + 60)
    job = found[0] if found else again.create_job(OWNER, later, KEY, "bafy", intent=INTENT)[0]
    assert (job, chain.market.job_count()) == (1, 1)
    assert chain.market.balance(token) == held + 2_140_000
    assert found is None or found[2] is False
    # A third process is told of the same job, and that its receipt was given.
    third = process(proxy, chain, tmp_path).created_before(OWNER, INTENT)
    assert third is not None
    assert (third[0], third[2]) == (1, True)


@pytest.mark.parametrize(("method", "before"), MOMENTS[1:])
def test_a_place_that_a_dead_process_took_is_given_to_the_next(
    chain: Chain, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, before: bool
) -> None:
    chain.market.create_job(OWNER, terms(chain), KEY, "bafy")
    join: Callable[[Market], Any] = lambda market: market.join(TRAINERS[0], 1, TRAINERS[0].address, KEY)  # noqa: E731
    kill(lambda: join(process(proxy, chain, tmp_path)), dying(method, before=before), proxy, monkeypatch)
    assert join(process(proxy, chain, tmp_path))[0] == 0
    with pytest.raises(Reverted, match="is already a trainer"):
        join(process(proxy, chain, tmp_path))


def test_a_withdrawal_that_was_not_seen_is_told_and_new_credit_is_withdrawn(
    chain: Chain, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def credit() -> None:
        job, _ = chain.market.create_job(OWNER, terms(chain), KEY, "bafy")
        chain.market.cancel(OWNER, job)

    credit()
    hook = dying("eth_getTransactionReceipt", before=True)
    kill(lambda: process(proxy, chain, tmp_path).withdraw(OWNER, ZERO_ADDRESS), hook, proxy, monkeypatch)
    assert chain.market.credit(OWNER.address, ZERO_ADDRESS) == 0
    first = process(proxy, chain, tmp_path).withdraw(OWNER, ZERO_ADDRESS)
    assert first.events
    with pytest.raises(Reverted, match="has no credit"):
        process(proxy, chain, tmp_path).withdraw(OWNER, ZERO_ADDRESS)
    credit()
    hook = dying("eth_getTransactionReceipt", before=True)
    kill(lambda: process(proxy, chain, tmp_path).withdraw(OWNER, ZERO_ADDRESS), hook, proxy, monkeypatch)
    credit()
    second = process(proxy, chain, tmp_path).withdraw(OWNER, ZERO_ADDRESS)
    assert second.transaction != first.transaction
    assert chain.market.credit(OWNER.address, ZERO_ADDRESS) == 0


def test_a_transaction_that_another_program_displaced_is_sent_anew(
    chain: Chain, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nonces, "DOUBT", 0.3)
    market = process(proxy, chain, tmp_path)
    hook = dying("eth_sendRawTransaction", before=True)
    kill(lambda: market.create_job(OWNER, terms(chain), KEY, "bafy", intent=INTENT), hook, proxy, monkeypatch)
    chain.market.create_job(OWNER, terms(chain), KEY, "bafyother")  # takes its nonce
    again = process(proxy, chain, tmp_path)
    assert again.created_before(OWNER, INTENT) is None
    assert again.create_job(OWNER, terms(chain), KEY, "bafy", intent=INTENT)[0] == 2


@pytest.mark.parametrize("mining", [True, False], ids=["mined", "pending"])
def test_a_node_that_lags_behind_the_one_that_took_it_does_not_have_a_job_paid_for_twice(
    chain: Chain, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mining: bool
) -> None:
    """Behind one address, reads may be answered by another node than the one that has what a dead process sent."""
    monkeypatch.setattr(nonces, "DOUBT", 0.3)
    market, before = process(proxy, chain, tmp_path), chain.connection.count(OWNER.address)
    if not mining:
        chain.connection.request("evm_setAutomine", False)
    hook = dying("eth_sendRawTransaction", before=False)
    kill(lambda: market.create_job(OWNER, terms(chain), KEY, "bafy", intent=INTENT), hook, proxy, monkeypatch)
    asked = threading.Event()

    def behind(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        answer = forward()
        if request["method"] == "eth_sendRawTransaction":
            asked.set()
            chain.connection.request("evm_setAutomine", True)
            chain.connection.request("evm_mine")
        elif not asked.is_set() and request["method"] in ("eth_getTransactionReceipt", "eth_getTransactionByHash"):
            answer["result"] = None
        elif not asked.is_set() and request["method"] == "eth_getTransactionCount":
            answer["result"] = hex(before)
        return answer

    again = process(proxy, chain, tmp_path)
    proxy.hook = behind
    assert again.created_before(OWNER, INTENT) is None, "the node does not know it"
    later = terms(chain, enrol_by=chain.connection.now() + 3000)
    job, _ = again.create_job(OWNER, later, KEY, "bafy", intent=INTENT)
    assert asked.is_set()
    assert (job, chain.market.job_count()) == (1, 1)


def test_a_job_whose_creation_failed_on_the_chain_is_created_anew(
    chain: Chain, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = process(proxy, chain, tmp_path)
    chain.connection.request("evm_setAutomine", False)
    hook = dying("eth_getTransactionReceipt", before=True)
    soon = terms(chain, enrol_by=chain.connection.now() + 100)
    kill(lambda: market.create_job(OWNER, soon, KEY, "bafy", intent=INTENT), hook, proxy, monkeypatch)
    chain.forward(1000)
    chain.connection.request("evm_setAutomine", True)
    assert chain.market.job_count() == 0
    again = process(proxy, chain, tmp_path)
    assert again.created_before(OWNER, INTENT) is None
    assert again.create_job(OWNER, terms(chain), KEY, "bafy", intent=INTENT)[0] == 1


def test_a_told_job_that_the_node_does_not_show_is_not_created_again(
    chain: Chain, proxy: Proxy, tmp_path: Path
) -> None:
    process(proxy, chain, tmp_path).create_job(OWNER, terms(chain), KEY, "bafy", intent=INTENT)

    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        answer = forward()
        if request["method"] == "eth_getTransactionReceipt":
            answer["result"] = None
        return answer

    market = process(proxy, chain, tmp_path)
    proxy.hook = hook
    with pytest.raises(ChainError, match=r"Transaction 0x[0-9a-f]{64} created this job, and the node does not show it"):
        market.created_before(OWNER, INTENT)


def test_money_is_not_sent_where_it_cannot_be_written_down(
    chain: Chain, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise InputError("the disk is full")

    market = process(proxy, chain, tmp_path)
    monkeypatch.setattr("marketplace.chain.journal.write_atomically", full)
    with pytest.raises(InputError, match="the disk is full"):
        market.create_job(OWNER, terms(chain), KEY, "bafy", intent=INTENT)
    assert "eth_sendRawTransaction" not in proxy.methods
    # What the contract takes once only goes on: a trainer is not slashed for a full disk.
    chain.market.create_job(OWNER, terms(chain), KEY, "bafy")
    assert market.join(TRAINERS[0], 1, TRAINERS[0].address, KEY)[0] == 0


def test_a_journal_is_bounded_private_and_another_chain_s_is_not_read(chain: Chain, tmp_path: Path) -> None:
    journal, account = Journal(tmp_path / "sent", clock=lambda: 7.0), (1, "0x" + "ab" * 32, OWNER.address)
    for nonce in range(MAX_ENTRIES + 5):
        journal.note(account, f"action {nonce}", ["0x" + f"{nonce:064x}"], {"nonce": nonce, "maxFeePerGas": 1})
        if nonce:
            journal.close(account, f"action {nonce}", nonce, failed=False)
    (file,) = (tmp_path / "sent").glob("*.json")
    assert file.stat().st_mode & 0o077 == 0
    assert len(json.loads(file.read_bytes())) == MAX_ENTRIES
    assert journal.find(account, "action 1") is None
    kept = journal.find(account, "action 0")
    assert kept is not None, "what is not decided is kept"
    assert (kept.at, kept.closed) == (7, False)
    assert journal.find((1, "0x" + "cd" * 32, OWNER.address), "action 0") is None
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(InputError, match="is damaged: see on the chain"):
        journal.find(account, "action 0")


# ---------------------------------------------------------------- real processes


def merit(folder: Path, rpc: str, market: str, *words: str) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MERIT_")}
    environment |= {"MERIT_HOME": str(folder), "MERIT_PASSWORD": "x", "MERIT_RPC": rpc, "MERIT_MARKET": market}
    return subprocess.Popen(
        [sys.executable, "-m", "marketplace.cli.main", "--json", *words],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_killed_job_create_is_gone_on_with_and_a_repeat_gives_the_same_job(
    world: World, proxy: Proxy, tmp_path: Path
) -> None:
    chain, home = world.chain, tmp_path / "home"
    identity = Keystore(home / "keys", scrypt_n=2).create("default", "x")
    world.node("home", identity)
    world.watcher("home", identity)
    aggregator = world.node("aggregator")
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(job_file(aggregator).model_dump(mode="json", exclude_none=True)))
    started: list[subprocess.Popen[str]] = []
    seen = threading.Event()

    def created(transaction: str) -> bool:
        # A node may answer before it has mined.
        chain.connection.ask(lambda eth: eth.wait_for_transaction_receipt(HexBytes(transaction), START))
        return chain.market.job_count() == 1

    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        answer = forward()
        if request["method"] == "eth_sendRawTransaction" and not seen.is_set() and created(answer["result"]):
            started[0].send_signal(signal.SIGKILL)
            seen.set()
        return answer

    def create(*options: str) -> dict[str, Any]:
        done = merit(home, proxy.url, chain.market.address, "job", "create", "--yes", *options, str(file))
        out, errors = done.communicate(timeout=START)
        assert done.returncode == 0, errors
        return dict(json.loads(out))

    proxy.hook = hook
    started.append(merit(home, proxy.url, chain.market.address, "job", "create", "--yes", str(file)))
    _, errors = started[0].communicate(timeout=START)
    assert started[0].returncode == -signal.SIGKILL, errors
    assert chain.market.job_count() == 1
    held = chain.market.balance(ZERO_ADDRESS)
    first = create()
    assert (first["job"], first["before"], chain.market.job_count()) == (1, False, 1)
    assert first["transaction"]
    second = create()
    assert (second["job"], second["before"], second["transaction"]) == (1, True, first["transaction"])
    assert chain.market.balance(ZERO_ADDRESS) == held
    third = create("--again")
    assert (third["job"], third["before"]) == (2, False)
    for job in (1, 2):
        chain.market.cancel(identity.account, job)
        assert chain.market.job(job).state is State.CANCELLED
    assert create()["job"] == 3, "what is over is no answer to who wants a job"
