"""After something was sent, the node does not forget it; and what else the page asks about accounts and lists."""

import secrets
from types import SimpleNamespace
from typing import Any, cast

import pytest

from marketplace.api.hub import Hub
from marketplace.api.models import TransactionFacts
from marketplace.api.node import Sample
from marketplace.api.problems import Refusal
from marketplace.api.sent import KEPT, SentLog
from marketplace.api.trainers import TrainerPool
from marketplace.api.transactions import transaction_facts
from marketplace.chain.market import Market, Receipt
from marketplace.domain import ZERO_ADDRESS
from marketplace.errors import ChainError, Reverted
from marketplace.keys.identity import Identity
from marketplace.services.node import Node
from marketplace.storage import put_bytes
from tests.api_node import POLL, Api, api_of
from tests.chain_fixtures import KEY, OWNER, TRAINERS, Chain, Token, new_contract, terms
from tests.jobs import World, new_play

pytest_plugins = ["tests.chain_fixtures", "tests.jobs", "tests.api_node"]

HASH = "0x" + "ab" * 32
MINED = Receipt(HASH, 7, 21_000, 1, ())


# ---------------------------------------------------------------- transactions


def of_chain(api: Api, hash: str, **more: Any) -> Any:
    answer = api.bare.get(f"/api/transactions/{hash}", params=more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_creation_is_told_with_its_job_and_an_unknown_hash_as_unknown(api: Api, chain: Chain) -> None:
    job_id, receipt = chain.market.create_job(OWNER, terms(chain), KEY, "bafy")
    found = of_chain(api, receipt.transaction)
    assert (found["state"], found["job_id"], found["block"]) == ("done", job_id, receipt.block)
    assert (found["gas"], int(found["gas_price"])) == (receipt.gas_used, receipt.gas_price)
    assert (found["sender"], found["to"], found["value"]) == (OWNER.address, chain.market.address, str(2 * 1_070_000))
    assert len(found["input"]) > 10
    assert {log["address"] for log in found["logs"]} == {chain.market.address}
    mined = chain.connection.block(receipt.block)
    assert mined is not None
    assert found["timestamp"] == mined.timestamp
    assert of_chain(api, HASH)["state"] == "unknown"
    assert api.bare.get("/api/transactions/0x12").status_code == 422


def test_a_transaction_that_failed_in_its_block_says_why(api: Api, chain: Chain) -> None:
    job_id, _ = chain.market.create_job(OWNER, terms(chain), KEY, "bafy")
    ask = chain.connection.request
    data = "0x" + "b4" * 4  # no function of the market
    call = {"from": OWNER.address, "to": chain.market.address, "data": data, "gas": hex(100_000)}
    ask("anvil_impersonateAccount", OWNER.address)
    failed = of_chain(api, ask("eth_sendTransaction", call))
    assert (failed["state"], failed["job_id"]) == ("failed", None)
    assert failed["reason"]
    chain.market.cancel(OWNER, job_id)


def test_a_transaction_whose_place_another_took_is_replaced_and_one_that_waits_is_waiting(
    api: Api, chain: Chain
) -> None:
    ask, me = chain.connection.request, TRAINERS[0].address
    ask("anvil_impersonateAccount", me)
    ask("evm_setAutomine", False)
    try:
        nonce = int(ask("eth_getTransactionCount", me, "latest"), 16)
        sending = {"from": me, "to": OWNER.address, "value": "0x1", "nonce": hex(nonce), "gas": hex(21_000)}
        first = ask("eth_sendTransaction", sending | {"gasPrice": hex(3 * 10**9)})
        waiting = of_chain(api, first)
        assert (waiting["state"], waiting["nonce"]) == ("waiting", nonce)
        second = ask("eth_sendTransaction", sending | {"gasPrice": hex(30 * 10**9)})
    finally:
        ask("evm_mine")
        ask("evm_setAutomine", True)
    assert of_chain(api, second)["state"] == "done"
    assert of_chain(api, first)["state"] == "unknown", "without its nonce nobody can tell"
    assert of_chain(api, first, sender=me.lower(), nonce=nonce)["state"] == "replaced"
    assert of_chain(api, HASH, sender=me, nonce=nonce + 1)["state"] == "unknown"


@pytest.mark.parametrize(
    ("receipt", "state"),
    [
        ({"status": "0x1", "blockNumber": "0x7"}, "done"),
        ({"status": "0x1", "blockNumber": "0x7", "logs": None, "gasUsed": None, "effectiveGasPrice": None}, "done"),
        ({"status": "0x1", "blockNumber": "0x7", "logs": [None, {}, {"address": 3, "topics": "x"}]}, "done"),
        ({"status": "0x0", "blockNumber": "0x7"}, "failed"),
        ({"status": None, "blockNumber": "0x7"}, "unknown"),
        ({"status": "0x1", "blockNumber": None}, "unknown"),
        ("nonsense", "unknown"),
        (None, "unknown"),
    ],
)
def test_what_a_node_leaves_out_of_a_receipt_is_not_needed(receipt: object, state: str) -> None:
    def ask(method: str, *_: object) -> object:
        return receipt if method == "eth_getTransactionReceipt" else None

    def call(*_: object) -> bytes:
        raise Reverted("The contract said no.")

    market = cast(Market, SimpleNamespace(connection=SimpleNamespace(request=ask, call=call), address=OWNER.address))
    found = transaction_facts(market, HASH, None, None)
    assert found.state == state
    assert found.reason == ("The contract said no." if state == "failed" else None)


@pytest.mark.parametrize(
    ("known", "log"),
    [
        ({"from": 5, "to": "0x12", "value": "x", "input": "0x1"}, {"address": "0x12", "topics": [], "data": "0x"}),
        ({"input": None}, {"address": OWNER.address, "topics": ["0x12"], "data": "0x"}),
        ({"from": "nobody"}, {"address": OWNER.address, "topics": [HASH], "data": "words"}),
    ],
)
def test_what_a_chain_s_node_spells_in_a_way_of_its_own_is_left_out(known: object, log: object) -> None:
    receipt = {"status": "0x1", "blockNumber": "0x7", "logs": [log]}
    answers = {"eth_getTransactionByHash": known, "eth_getTransactionReceipt": receipt}
    connection = SimpleNamespace(request=lambda method, *_: answers.get(method))
    market = cast(Market, SimpleNamespace(connection=connection, address=OWNER.address))
    found = transaction_facts(market, HASH, None, None)
    assert (found.sender, found.to, found.value, found.input, found.logs, found.timestamp) == (*[None] * 4, [], None)


# ---------------------------------------------------------------- what happened


def test_activity_comes_in_pages_newest_first_with_who_did_it(api: Api, chain: Chain) -> None:
    job_id, _ = chain.market.create_job(OWNER, terms(chain), KEY, "bafy")
    payee = TRAINERS[1].address
    chain.market.join(TRAINERS[0], job_id, payee, KEY)
    chain.market.leave(TRAINERS[0], job_id)
    chain.market.join(TRAINERS[1], job_id, payee, KEY)
    api.caught_up()
    first = api.bare.get("/api/activity", params={"job_id": job_id, "limit": 3}).json()
    second = api.bare.get("/api/activity", params={"job_id": job_id, "limit": 3, "before": first["next"]}).json()
    assert second["next"] is None
    found = [*first["items"], *second["items"]]
    assert [found[0]["kind"], found[-1]["kind"]] == ["Joined", "JobCreated"]
    assert [each["seq"] for each in found] == sorted((each["seq"] for each in found), reverse=True)
    who = {(each["kind"], each["who"]) for each in found}
    assert who == {
        ("Joined", TRAINERS[1].address),
        ("Left", TRAINERS[0].address),
        ("Credited", payee),
        ("Joined", TRAINERS[0].address),
        ("JobCreated", OWNER.address),
    }
    whole = api.bare.get("/api/activity", params={"limit": 2}).json()
    assert [each["seq"] for each in whole["items"]] == [each["seq"] for each in found[:2]]
    assert api.bare.get("/api/activity", params={"job_id": 10**6}).status_code == 404
    assert api.bare.get("/api/activity", params={"limit": 101}).status_code == 422


def test_the_seats_of_an_account_are_those_it_holds_and_those_it_is_paid_for(api: Api, chain: Chain) -> None:
    job_id, _ = chain.market.create_job(OWNER, terms(chain), KEY, "bafy")
    chain.market.join(TRAINERS[0], job_id, TRAINERS[1].address, KEY)
    api.caught_up()
    for account in (TRAINERS[0].address, TRAINERS[1].address.lower()):
        (mine,) = (each for each in api.bare.get(f"/api/seats/{account}").json() if each["job"]["job_id"] == job_id)
        assert (mine["seat"]["slot"], mine["seat"]["operator"]) == (0, TRAINERS[0].address)
    assert api.bare.get(f"/api/seats/0x{'1' * 40}").json() == []


# ---------------------------------------------------------------- what is held


def test_holdings_are_those_of_the_chain_in_coin_and_token(api: Api, chain: Chain) -> None:
    token = Token(chain.connection, new_contract(chain.connection, "PlainToken"))
    token.send("mint(address,uint256)", OWNER.address, 5)
    held = api.bare.get(f"/api/holdings/{OWNER.address.lower()}", params={"token": token.address}).json()
    assert (held["account"], held["token"], held["held"]) == (OWNER.address, token.address, "5")
    assert int(held["coin"]) == chain.market.balance(ZERO_ADDRESS, OWNER.address)
    none = api.bare.get(f"/api/holdings/{OWNER.address}", params={"token": TRAINERS[0].address}).json()
    assert (none["held"], none["coin"]) == (None, held["coin"])
    coin = api.bare.get(f"/api/holdings/{OWNER.address}").json()
    assert coin["held"] == coin["coin"]
    said = api.bare.get(f"/api/tokens/{token.address}").json()
    assert (said["symbol"], said["decimals"]) == ("PLAIN", 18)
    assert api.bare.get("/api/holdings/0x12").status_code == 422


# ---------------------------------------------------------------- what the node was asked to send


def test_what_was_asked_is_remembered_with_how_it_ended() -> None:
    log = SentLog()
    with log.sending("Create the job “A”") as sending:
        assert [each.state for each in log.all()] == ["working"]
        sending.mined(MINED, 3)
    with pytest.raises(ChainError), log.sending("Withdraw"):
        raise ChainError(f"Transaction {HASH} was not mined within 180 s, and still may be.")
    with pytest.raises(ValueError, match="secret"), log.sending("Start job 1", 1):
        raise ValueError("a secret detail")
    started, withdrawn, created = log.all()
    assert (created.state, created.job_id, created.block, created.transaction) == ("done", 3, 7, HASH)
    assert (withdrawn.state, withdrawn.transaction) == ("unsure", HASH)
    assert started.problem is not None
    assert "secret" not in started.problem
    assert started.number > withdrawn.number > created.number


def test_the_same_is_not_sent_twice_at_once_and_may_be_after_it_failed() -> None:
    log = SentLog()
    with log.sending("Create", key="x"):
        with pytest.raises(Refusal, match="already"), log.sending("Create", key="x"):
            pytest.fail("it was sent twice")
        with log.sending("Create", key="y"):
            pass
    with log.sending("Create", key="x"):
        pass


def facts(state: str, **more: Any) -> TransactionFacts:
    return TransactionFacts(**dict.fromkeys(TransactionFacts.model_fields) | {"state": state, "logs": []} | more)


@pytest.mark.parametrize(
    ("found", "state", "job"),
    [
        (facts("done", block=9, job_id=5), "done", 5),
        (facts("failed", block=9, reason="It was full."), "failed", None),
        (facts("waiting"), "unsure", None),
        (facts("unknown"), "unsure", None),
    ],
)
def test_what_may_still_be_mined_is_not_sent_again_until_that_is_decided(
    found: TransactionFacts, state: str, job: int | None
) -> None:
    log = SentLog()
    with pytest.raises(ChainError), log.sending("Create", key="x"):
        raise ChainError(f"Transaction {HASH} was not mined within 180 s, and still may be.")
    with pytest.raises(Refusal, match=HASH), log.sending("Create", key="x"):
        pytest.fail("it was sent twice")
    log.resolve(lambda hash: found if hash == HASH else pytest.fail(hash))
    (entry,) = log.all()
    assert (entry.state, entry.job_id) == (state, job)
    if state != "unsure":
        with log.sending("Create", key="x"):
            pass


def test_what_is_remembered_is_bounded_but_what_is_being_sent_stays() -> None:
    log = SentLog()
    with log.sending("the first"):
        for number in range(3 * KEPT):
            with log.sending(f"number {number}"):
                pass
        assert len(log.all()) <= KEPT + 2
        assert log.all()[-1].text == "the first"


def test_the_owner_s_node_cancels_its_own_job_and_says_so_afterwards(world: World) -> None:
    play = new_play(world, validation=False)
    with api_of(play.owner, world.chain.first_block) as api:
        api.caught_up()
        answer = api.web.post(f"/api/jobs/{play.job_id}/calls/cancel")
        assert answer.status_code == 200, answer.text
        (entry,) = api.web.get("/api/sent").json()
        assert (entry["text"], entry["job_id"]) == (f"Cancel job {play.job_id}", play.job_id)
        assert (entry["state"], entry["transaction"]) == ("done", answer.json()["transaction"])
        api.caught_up()
        assert api.bare.get(f"/api/jobs/{play.job_id}").json()["summary"]["state"] == "cancelled"
        again = api.web.post(f"/api/jobs/{play.job_id}/calls/cancel")
        assert again.status_code == 409
        assert api.web.get("/api/sent").json()[0]["state"] == "failed"


def read_by(api: Api, chain: Chain) -> None:
    head = chain.connection.ask(lambda eth: int(eth.block_number))
    api.until(lambda: (api.services.index.indexed or 0) >= head, "the node has read the chain")


# ---------------------------------------------------------------- lists, descriptions, samples


def test_a_list_can_be_asked_for_some_jobs_only_and_those_that_match(api: Api, chain: Chain) -> None:
    ids = [chain.market.create_job(OWNER, terms(chain), KEY, f"bafy{n}")[0] for n in range(4)]
    chain.market.cancel(OWNER, ids[1])
    read_by(api, chain)
    some = {"ids": ",".join(map(str, [*ids[:3], 999]))}
    items = api.bare.get("/api/jobs", params=some).json()["items"]
    assert [job["job_id"] for job in items] == [ids[2], ids[1], ids[0]]
    assert [job["spec_cid"] for job in items] == ["bafy2", "bafy1", "bafy0"]
    still = api.bare.get("/api/jobs", params=some | {"state": "open"}).json()
    assert [job["job_id"] for job in still["items"]] == [ids[2], ids[0]]
    for wrong in ("", "1,", "x", "1;2", "1," * 300 + "1"):
        assert api.bare.get("/api/jobs", params={"ids": wrong}).status_code == 422, wrong


def test_a_description_that_the_storage_lacks_is_named_at_once(api: Api, chain: Chain, world: World) -> None:
    put_bytes(world.storage, b"something else")
    job_id, _ = chain.market.create_job(
        OWNER, terms(chain), KEY, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    )
    found = api.until(
        lambda: next(
            (
                job["problem"]
                for job in api.bare.get("/api/jobs").json()["items"]
                if job["job_id"] == job_id and job["problem"]
            ),
            None,
        ),
        "the problem is told",
    )
    assert "bafkreihdwd" in found
    assert str(world.folder / "storage") in found
    assert api.bare.get(f"/api/jobs/{job_id}").json()["summary"]["problem"] == found


def test_sample_trainers_take_the_free_seats_with_keys_of_their_own_on_a_local_chain_only(world: World) -> None:
    play = new_play(world, validation=False)
    nodes = [world.watcher(f"sample-{n}", Identity(secrets.token_bytes(32))) for n in range(2)]
    with api_of(play.owner, world.chain.first_block, folders=[world.folder]) as api:
        api.caught_up()
        refused = api.web.post(f"/api/jobs/{play.job_id}/samples", json={"data": str(play.data[0])})
        assert refused.status_code == 400
    samples = tuple(Sample(node.me.address, pool(node)) for node in nodes)
    more: dict[str, Any] = {"local_rpc": world.chain.connection.url, "samples": samples}
    with api_of(play.owner, world.chain.first_block, folders=[world.folder], **more) as api:
        api.caught_up()
        market, job = world.chain.market, f"/api/jobs/{play.job_id}/samples"
        market.join(play.trainers[0].me.account, play.job_id, play.trainers[0].me.address, KEY)
        api.caught_up()
        for _ in range(2):  # again changes nothing
            answer = api.web.post(job, json={"data": str(play.data[0])})
            assert answer.status_code == 202, answer.text
            assert len(answer.json()) == 2
        api.until(lambda: market.job(play.job_id).active == 0b111, "they have joined")
        seats = {market.trainer(play.job_id, slot).operator for slot in (1, 2)}  # type: ignore[union-attr]
        assert seats == {node.me.address for node in nodes}
        assert {each["job_id"] for each in api.web.get(job).json()} == {play.job_id}
        assert api.web.get("/api/trainers").json() == [], "they are not the node's own"
        assert api.web.get("/api/node").json()["samples"] == 2


def pool(node: Node) -> TrainerPool:
    node.home.mkdir(parents=True, exist_ok=True)
    return TrainerPool(lambda: node, node.home / "trainers.json", Hub(), poll=POLL)
