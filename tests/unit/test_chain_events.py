"""Reading the log from a node that limits, lies or stumbles; and the ABI against the domain's types."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from marketplace import domain
from marketplace.chain import abi, events
from marketplace.chain.connection import Connection, Refused
from marketplace.chain.events import EventReader
from marketplace.errors import ChainError
from tests.chain_fixtures import KEY, OWNER, PEOPLE, Chain, Proxy, terms

pytest_plugins = ["tests.chain_fixtures"]


@pytest.fixture
def busy(chain: Chain) -> Chain:
    """Some events with many empty blocks between them."""
    for _ in range(4):
        job, _ = chain.market.create_job(OWNER, terms(chain), KEY, "bafy")
        chain.connection.request("anvil_mine", hex(20))
        chain.market.cancel(OWNER, job)
    return chain


def reader(chain: Chain, proxy: Proxy) -> EventReader:
    return EventReader(Connection(proxy.url), chain.market.address, chain.first_block)


@pytest.mark.parametrize("most", [2, 7, 64])
def test_ranges_shrink_until_the_node_takes_them(busy: Chain, proxy: Proxy, most: int) -> None:
    def limited(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        if request["method"] == "eth_getLogs":
            wanted = request["params"][0]
            if int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) >= most:
                error = {"code": -32005, "message": f"block range is limited to {most}"}
                return {"jsonrpc": "2.0", "id": request["id"], "error": error}
        return forward()

    proxy.hook = limited
    assert reader(busy, proxy).read()[0] == busy.events()
    assert len(busy.events()) == 12


def test_a_node_that_refuses_single_blocks_is_given_up(busy: Chain, proxy: Proxy) -> None:
    def never(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        error = {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32000, "message": "no logs here"}}
        return error if request["method"] == "eth_getLogs" else forward()

    proxy.hook = never
    with pytest.raises(Refused, match="no logs here"):
        reader(busy, proxy).read()
    assert proxy.methods.count("eth_getLogs") < 20


def tamper(change: Callable[[list[dict[str, Any]]], object]) -> Proxy.Hook:
    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        answer = forward()
        if request["method"] == "eth_getLogs":
            change(answer["result"])
        return answer

    return hook


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda logs: logs[0].update(topics=["0x" + "ab" * 32]), "is not an event that this version of Merit knows"),
        (lambda logs: logs[0].update(topics=[]), "is not an event that this version of Merit knows"),
        (lambda logs: logs[0].update(topics=logs[0]["topics"][:-1]), "topics, which is wrong for JobCreated"),
        (lambda logs: logs[0].update(data=logs[0]["data"][:-128]), "cannot be decoded"),
        (lambda logs: logs[0].update(data="0x"), "cannot be decoded"),
        (lambda logs: logs[0].update(data="0x" + "ff" * 1024), "cannot be decoded"),
        (lambda logs: logs[0].update(address=PEOPLE[9].address), "which was not asked for"),
        (lambda logs: logs[0].update(blockNumber="0xffffff"), "which was not asked for"),
        (lambda logs: logs[0].update(removed=True), "left the chain while it was read"),
        (lambda logs: logs.append(logs[0]), "twice"),
        (lambda logs: logs[0].pop("topics"), "gave no usable answer"),
        (lambda logs: logs[0].pop("logIndex"), "gave no usable answer"),
        (lambda logs: logs.insert(0, None), "gave no usable answer"),
    ],
)
def test_a_log_that_is_not_the_contract_s_is_refused(
    busy: Chain, proxy: Proxy, change: Callable[[list[dict[str, Any]]], object], message: str
) -> None:
    proxy.hook = tamper(change)
    with pytest.raises(ChainError, match=message):
        reader(busy, proxy).read()


def test_logs_out_of_order_are_put_in_order(busy: Chain, proxy: Proxy) -> None:
    proxy.hook = tamper(lambda logs: logs.reverse())
    assert reader(busy, proxy).read()[0] == busy.events()


def test_a_block_s_time_is_asked_for_once(busy: Chain, proxy: Proxy) -> None:
    follower = reader(busy, proxy)
    follower.read()
    asked = proxy.methods.count("eth_getBlockByHash")
    assert asked == 8
    follower.read()
    assert proxy.methods.count("eth_getBlockByHash") == asked


def names(components: list[abi.Entry]) -> list[str]:
    return [abi.snake(component["name"]) for component in components]


def test_every_event_of_the_contract_has_its_domain_type() -> None:
    declared = {entry["name"]: entry for entry in abi.artifact()["abi"] if entry["type"] == "event"}
    assert set(declared) == set(events._TYPES)
    base = {field.name for field in dataclasses.fields(domain.Event)}
    for name, entry in declared.items():
        own = [field.name for field in dataclasses.fields(events._TYPES[name]) if field.name not in base]
        assert [n for n in names(entry["inputs"]) if n != "job_id"] == own


def test_every_struct_of_the_contract_has_its_domain_type() -> None:
    found: dict[str, list[str]] = {}

    def collect(components: list[abi.Entry]) -> None:
        for component in components:
            if component["type"] == "tuple":
                found[component["internalType"].removeprefix("struct ")] = names(component["components"])
                collect(component["components"])

    for entry in abi.artifact()["abi"]:
        collect(entry.get("inputs", []) + entry.get("outputs", []))
    own = {name: [field.name for field in dataclasses.fields(kind)] for name, kind in abi._STRUCTS.items()}
    assert found == own
