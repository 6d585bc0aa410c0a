"""`merit aggregator`: a policy that is shown and tried on jobs, and an operator's word on single ones."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from marketplace.cli.main import main
from marketplace.domain import ZERO_ADDRESS
from marketplace.keys.keystore import Keystore
from marketplace.services.agent import Agent
from marketplace.services.dispatcher import Dispatcher
from tests.jobs import Play, World, new_play

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

Merit = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def greedy(world: World) -> Play:
    """Its bond is more than a development chain's policy allows."""
    return new_play(world, validation=False, rule="krum-cosine", bond="12 ether", rounds=1, min_trainers=1)


@pytest.fixture
def merit(greedy: Play, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Merit:
    """Runs `merit --json` as the job's aggregator: exit code, what it printed, and what it said to people."""
    world, node = greedy.world, greedy.aggregator
    Keystore(node.home / "keys", scrypt_n=2).import_key("default", node.me.account.key.hex().encode(), "right")
    for name, value in {
        "HOME": str(node.home),
        "RPC": world.chain.connection.url,
        "MARKET": world.chain.market.address,
        "STORAGE": f"folder:{world.folder / 'storage'}",
        "PASSWORD": "right",
        "POLL": "0.05",
    }.items():
        monkeypatch.setenv(f"MERIT_{name}", value)

    def run(*arguments: object) -> tuple[int, Any, str]:
        monkeypatch.setattr(sys, "argv", ["merit", "--json", "aggregator", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        lines = [json.loads(line) for line in said.out.splitlines()]
        return int(ended.value.code or 0), lines[-1] if lines else None, " ".join(said.err.split())

    return run


def test_the_policy_is_shown_with_where_it_comes_from_and_tried_on_a_job(greedy: Play, merit: Merit) -> None:
    code, shown, _ = merit("policy")
    assert (code, shown["policy"]["owners"]) == (0, "any")
    assert "development chain" in shown["source"]
    code, shown, _ = merit("policy", "--job", greedy.job_id)
    assert (code, shown["accepted"]) == (1, False)
    assert shown["objections"] == ["Its bond is 12 ether; the policy allows at most 10 ether."]
    path = greedy.aggregator.home / "policy.yaml"
    path.write_text(
        "owners: any\ntokens: [{token: coin, bond_at_most: 12 ether, bonds_at_most: 12 ether}]\nbond_for_fees: null\n"
    )
    code, shown, _ = merit("policy", "--job", greedy.job_id)
    assert (code, shown["accepted"], shown["source"]) == (0, True, str(path))
    path.write_text(path.read_text() + "parameters_at_most: 5\n")
    code, shown, _ = merit("policy", "--job", greedy.job_id)
    assert code == 1
    assert "parameters; the policy allows 5." in shown["objections"][0]
    path.write_text("owners: nobody\n")
    code, _, said = merit("policy")
    assert code == 2
    assert "policy.yaml: owners" in said
    code, _, said = merit("run")
    assert code == 2, "an aggregator does not start with a policy that is none"
    path.unlink()
    code, _, said = merit("policy", "--job", 77)
    assert code == 3
    assert "There is no job 77" in said


def test_requests_are_listed_and_an_accepted_one_is_taken_up(greedy: Play, merit: Merit) -> None:
    world, market = greedy.world, greedy.world.chain.market
    fine = new_play(world, validation=False, rule="krum-cosine")  # names another aggregator
    code, shown, _ = merit("requests")
    assert (code, [request["job"] for request in shown]) == (0, [greedy.job_id])
    assert (shown[0]["decision"], len(shown[0]["objections"])) == ("open", 1)
    code, _, said = merit("accept", fine.job_id)
    assert code == 8
    assert "does not wait for" in said
    assert merit("decline", greedy.job_id)[:2] == (0, {"job": greedy.job_id, "decision": "declined"})
    assert merit("requests")[1][0]["decision"] == "declined"
    assert merit("accept", greedy.job_id)[0] == 0
    node = greedy.aggregator
    dispatcher = Dispatcher(node, node.me.address, world.report("dispatcher"), hold=30.0)
    for _ in range(20):
        dispatcher.step()
    assert market.job(greedy.job_id).aggregator == node.me.address
    dispatcher.close()
    assert merit("requests")[1][0]["decision"] == "served"
    code, _, said = merit("decline", greedy.job_id)
    assert code == 8
    assert "bond is posted" in said


@pytest.mark.parametrize("arguments", [[], ["--job"]])
def test_run_serves_what_the_policy_allows_and_a_job_that_is_named_whatever_it_says(
    greedy: Play, merit: Merit, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    market, named = greedy.world.chain.market, [*arguments, *([greedy.job_id] if arguments else [])]

    def run(agent: Agent, **_: object) -> None:
        for _step in range(10):
            agent.step()

    monkeypatch.setattr("marketplace.services.agent.run", run)
    assert merit("run", *named)[0] == 0
    taken_up = market.job(greedy.job_id).aggregator != ZERO_ADDRESS
    assert taken_up is bool(named)
