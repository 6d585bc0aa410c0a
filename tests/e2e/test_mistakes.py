"""What the command line says to people who make a mistake: one sentence, an exit code, and nothing half done."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from marketplace.cli.main import main
from marketplace.keys.keystore import Keystore
from tests.chain_fixtures import PEOPLE
from tests.jobs import Play, World, blobs, job_file, new_play
from trainer.data import Dataset, write_npz

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

Merit = Callable[..., tuple[int, str]]


@pytest.fixture
def merit(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Merit:
    """Runs `merit` in this process and returns its exit code and what it wrote to standard error."""
    home = world.folder / "home"
    Keystore(home / "keys", scrypt_n=2).import_key("default", PEOPLE[8].key.hex().encode(), "right")
    for name, value in {
        "HOME": str(home),
        "RPC": world.chain.connection.url,
        "MARKET": world.chain.market.address,
        "STORAGE": f"folder:{world.folder / 'storage'}",
        "PASSWORD": "right",
    }.items():
        monkeypatch.setenv(f"MERIT_{name}", value)

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["merit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr().err
        return int(ended.value.code or 0), " ".join(said.split())

    return run


def write_job(world: World, **changes: object) -> Path:
    document = job_file(world.node("aggregator")).model_dump(mode="json", exclude_none=True)
    document["market"]["rule"] = "krum-cosine"
    for place, value in changes.items():
        target, *rest = place.split("__")
        if rest:
            document[target][rest[0]] = value
        else:
            document[target] = value
    path = world.folder / "job.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_job_file_that_is_right_creates_a_job(world: World, merit: Merit) -> None:
    assert merit("job", "create", write_job(world)) == (0, "")
    assert world.chain.market.job_count() == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rounds": 3}, "rounds: unknown field"),
        ({"market__rounds": 0}, "market.rounds: input should be greater than or equal to 1"),
        ({"market__reward": "much"}, "market.reward: 'much' is not understood; write it like '0.25 ether'"),
        ({"market__submit_window": "10 parsecs"}, "market.submit_window: unknown unit 'parsecs'"),
        ({"market__max_faulty": 3}, "max_faulty is 3; it must be less than max_trainers, 3"),
        ({"market__token": "0x52908400098527886E0F7030069857D2E4169ee7"}, "is not an address with a correct EIP-55"),
        ({"model__architecture": "transformer9"}, "there is no architecture 'transformer9'"),
        ({"training__learning_rate": "fast"}, "training.learning_rate: input should be a valid number"),
        ({"data__shape": [3]}, "does not take samples of shape [3]"),
    ],
)
def test_a_mistake_in_the_job_file_is_one_sentence_and_creates_nothing(
    world: World, merit: Merit, change: dict[str, object], sentence: str
) -> None:
    code, said = merit("job", "create", write_job(world, **change))
    assert code == 2
    assert sentence in said
    assert world.chain.market.job_count() == 0


def test_a_file_that_is_not_yaml_is_refused(world: World, merit: Merit) -> None:
    path = world.folder / "job.yaml"
    path.write_text("market: [")
    code, said = merit("job", "create", path)
    assert code == 2
    assert "is not YAML" in said


def test_a_missing_file_is_named(world: World, merit: Merit) -> None:
    code, said = merit("job", "create", world.folder / "nowhere.yaml")
    assert code == 2
    assert "nowhere.yaml does not exist" in said


def test_an_unreachable_chain_is_one_sentence(world: World, merit: Merit) -> None:
    code, said = merit("--rpc", "http://127.0.0.1:9", "job", "list")
    assert code == 4
    assert "http://127.0.0.1:9" in said
    assert "check the address" in said


def test_an_unreachable_storage_is_one_sentence_and_creates_nothing(world: World, merit: Merit) -> None:
    code, said = merit("--storage", "/ip4/127.0.0.1/tcp/9", "job", "create", write_job(world))
    assert code == 6
    assert "127.0.0.1" in said
    assert world.chain.market.job_count() == 0


def test_too_little_balance_is_said_with_both_amounts(world: World, merit: Merit) -> None:
    code, said = merit("job", "create", write_job(world, market__reward="1000000 ether"))
    assert code == 2
    assert "fund it first" in said
    assert world.chain.market.job_count() == 0


def test_a_wrong_password_is_one_sentence(world: World, merit: Merit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERIT_PASSWORD", "wrong")
    code, said = merit("job", "create", write_job(world))
    assert code == 2
    assert "password does not open" in said


def test_an_unknown_key_is_one_sentence(world: World, merit: Merit) -> None:
    code, said = merit("--key", "nobody", "withdraw")
    assert code == 3
    assert "no key 'nobody'" in said


def test_an_address_without_a_market_is_refused(world: World, merit: Merit) -> None:
    code, said = merit("--market", PEOPLE[0].address, "job", "list")
    assert code == 4
    assert "there is no contract" in said


def test_a_job_that_does_not_exist_is_one_sentence(world: World, merit: Merit) -> None:
    for command in (["audit", 7], ["job", "show", 7], ["job", "model", 7], ["aggregator", "run", "--job", 7]):
        code, said = merit(*command)
        assert code == 3
        assert "There is no job 7" in said


@pytest.fixture
def open_job(world: World) -> Play:
    return new_play(world)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (Dataset(np.zeros((9, 3), np.float32), np.zeros(9, np.int64)), "samples of shape [2] are expected"),
        (Dataset(np.zeros((9, 2), np.float32), np.full(9, 5)), "labels 0 … 1 are expected, 5 was found"),
        (Dataset(np.full((9, 2), np.nan, np.float32), np.zeros(9, np.int64)), "nan were found"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_joining(
    open_job: Play, merit: Merit, data: Dataset, sentence: str
) -> None:
    path = open_job.world.folder / "bad.npz"
    write_npz(path, data)
    code, said = merit("trainer", "join", open_job.job_id, "--data", path)
    assert code == 2
    assert sentence in said
    assert open_job.world.chain.market.job(open_job.job_id).active == 0


def test_a_job_that_is_over_is_refused(open_job: Play, merit: Merit) -> None:
    open_job.finish()
    write_npz(open_job.world.folder / "good.npz", blobs(40, 3))
    code, said = merit("trainer", "join", open_job.job_id, "--data", open_job.world.folder / "good.npz")
    assert code == 8
    assert "is over" in said


def test_a_job_that_has_started_takes_no_one_else(open_job: Play, merit: Merit) -> None:
    agents = open_job.agents()
    for _ in range(3):
        for agent in agents:
            agent.step()
    write_npz(open_job.world.folder / "good.npz", blobs(40, 3))
    code, said = merit("trainer", "join", open_job.job_id, "--data", open_job.world.folder / "good.npz")
    assert code == 8
    assert "has started" in said


def test_withdrawing_nothing_is_said(world: World, merit: Merit) -> None:
    code, said = merit("withdraw")
    assert code == 5
    assert said.startswith("error:")


def test_a_model_is_not_written_over_a_file(open_job: Play, merit: Merit) -> None:
    open_job.finish()
    path = open_job.world.folder / "model.safetensors"
    path.write_bytes(b"precious")
    code, said = merit("job", "model", open_job.job_id, "-o", path)
    assert code == 2
    assert "--force" in said
    assert path.read_bytes() == b"precious"


def test_only_a_party_of_the_job_gets_its_model(open_job: Play, merit: Merit) -> None:
    open_job.finish()
    code, said = merit("job", "model", open_job.job_id, "-o", open_job.world.folder / "model.safetensors")
    assert code == 3
    assert "not sealed to" in said


def test_another_owner_gets_no_answers_about_committed_validation_data(world: World) -> None:
    """An owner who names another's sealed validation data would be told gradients on them, were the seal not bound."""
    from marketplace.errors import CorruptContent
    from marketplace.services.aggregator import AggregatorAgent
    from marketplace.services.node import JobFeed, fetch_spec
    from marketplace.storage import put_bytes

    honest = new_play(world)
    spec = fetch_spec(world.storage, JobFeed(honest.owner, honest.job_id).refresh().created)
    thief = world.node("thief")
    terms = world.chain.market.terms(honest.job_id)
    cid = put_bytes(world.storage, spec.to_bytes())
    stolen, _ = world.chain.market.create_job(thief.me.account, terms, thief.me.encryption_key, cid)
    with pytest.raises(CorruptContent, match="sealed to another key or for another job"):
        AggregatorAgent(honest.aggregator, stolen, thief.me.address, world.report("aggregator"))
