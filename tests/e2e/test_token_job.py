"""A job that pays in a token, on the command line: its amounts are read and shown in the token's own decimals."""

import json

import pytest
import yaml
from eth_utils.abi import function_signature_to_4byte_selector

from marketplace.chain import abi
from marketplace.chain.transactions import transact
from tests.chain_fixtures import new_contract
from tests.e2e.command_line import ME, Merit
from tests.jobs import World, job_file
from tests.patience import PATIENCE

pytest_plugins = ["tests.chain_fixtures", "tests.jobs", "tests.e2e.command_line"]


@pytest.fixture
def token(world: World) -> str:
    """Of six decimals."""
    return new_contract(world.chain.connection, "SixToken")


def mint(world: World, token: str, units: int) -> None:
    signature = "mint(address,uint256)"
    data = function_signature_to_4byte_selector(signature) + abi.encode(
        ["address", "uint256"], (ME.address, units), signature
    )
    transact(world.chain.connection, ME, token, data, wait=PATIENCE)


def write(world: World, token: str, **market: object) -> str:
    document = job_file(world.node("aggregator")).model_dump(mode="json", exclude_none=True)
    document["market"] |= {"rule": "krum-cosine", "token": token.lower()}
    document["market"] |= {"reward": "5 tokens", "fee": "1 tokens", "stake": "0.5", "bond": 250_000} | market
    path = world.folder / "job.yaml"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_amounts_are_read_and_shown_in_the_tokens_own_decimals(world: World, merit: Merit, token: str) -> None:
    mint(world, token, 13_000_000)
    code, said, shown = merit("job", "create", "--yes", write(world, token))
    assert code == 0, shown
    assert "escrow 12 PLAIN 2 rounds × (reward 5 PLAIN + fee 1 PLAIN)" in shown
    assert "others deposit 0.5 PLAIN" in shown
    assert "0.25 PLAIN bond of the aggregator" in shown
    assert "Job 1 is open, with 12 PLAIN in escrow." in said
    terms = world.chain.market.terms(1)
    assert (terms.reward, terms.fee, terms.stake, terms.bond) == (5_000_000, 1_000_000, 500_000, 250_000)
    assert "5 PLAIN" in merit("job", "list")[1]
    assert "reward a round 5 PLAIN fee a round 1 PLAIN stake, bond 0.5 PLAIN, 0.25 PLAIN" in merit("job", "show", 1)[1]
    assert merit("job", "cancel", 1)[0] == 0
    assert f"Withdrew 12 PLAIN to {ME.address}." in merit("withdraw", "--token", token.lower())[1]


def test_tokens_that_are_missing_are_named_before_anything_is_sent(world: World, merit: Merit, token: str) -> None:
    mint(world, token, 1_500_000)
    code, _, said = merit("job", "create", "--yes", write(world, token))
    assert code == 2
    assert "It holds 1.5 PLAIN, and 12 PLAIN for the escrow are needed: 10.5 PLAIN are missing." in said
    assert world.chain.market.job_count() == 0


def test_an_amount_of_coin_is_refused_by_name(world: World, merit: Merit, token: str) -> None:
    code, _, said = merit("job", "create", "--yes", write(world, token, reward="5 ether"))
    assert code == 2
    assert "market.reward: '5 ether' is an amount of the chain's coin, and this job pays in a token" in said


def test_programs_get_smallest_units(world: World, merit: Merit, token: str) -> None:
    mint(world, token, 13_000_000)
    code, said, _ = merit("--json", "job", "create", "--yes", write(world, token))
    assert (code, json.loads(said)["escrow"]) == (0, 12_000_000)
