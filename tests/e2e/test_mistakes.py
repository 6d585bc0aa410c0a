"""What the command line says to people who make a mistake: one sentence, an exit code, and nothing half done."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from marketplace.keys.keystore import Keystore
from tests.chain_fixtures import PEOPLE
from tests.e2e.command_line import Merit
from tests.jobs import Play, World, blobs, job_file, new_play
from trainer.data import Dataset, write_npz

pytest_plugins = ["tests.chain_fixtures", "tests.jobs", "tests.e2e.command_line"]


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
    code, _, said = merit("job", "create", "--yes", write_job(world))
    assert code == 0, said
    assert world.chain.market.job_count() == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rounds": 3}, "rounds: unknown field"),
        ({"market__rounds": 0}, "market.rounds: input should be greater than or equal to 1"),
        ({"market__reward": "much"}, "market.reward: 'much' is not understood; write it like '0.25 ether'"),
        ({"market__submit_window": "10 parsecs"}, "market.submit_window: unknown unit 'parsecs'"),
        ({"market__max_faulty": 3}, "max_faulty is 3, which takes min_trainers of 9 or more, not 2"),
        (
            {"market__token": "0x52908400098527886E0F7030069857D2E4169ee7"},
            "they are spelled 0x52908400098527886E0F7030069857D2E4169EE7",
        ),
        ({"model__architecture": "transformer9"}, "there is no architecture 'transformer9'"),
        ({"training__learning_rate": "fast"}, "training.learning_rate: input should be a valid number"),
        ({"data__features": {"x": {"kind": "tensor", "shape": [3]}}}, "does not take samples of shape x [3]"),
    ],
)
def test_a_mistake_in_the_job_file_is_one_sentence_and_creates_nothing(
    world: World, merit: Merit, change: dict[str, object], sentence: str
) -> None:
    code, _, said = merit("job", "create", "--yes", write_job(world, **change))
    assert code == 2
    assert sentence in said
    assert world.chain.market.job_count() == 0


def test_a_file_that_is_not_yaml_is_refused(world: World, merit: Merit) -> None:
    path = world.folder / "job.yaml"
    path.write_text("market: [")
    code, _, said = merit("job", "create", path)
    assert code == 2
    assert "is not YAML" in said


def test_a_missing_file_is_named(world: World, merit: Merit) -> None:
    code, _, said = merit("job", "create", world.folder / "nowhere.yaml")
    assert code == 2
    assert "nowhere.yaml does not exist" in said


def test_an_unreachable_chain_is_one_sentence(world: World, merit: Merit) -> None:
    code, _, said = merit("--rpc", "http://127.0.0.1:9", "job", "list")
    assert code == 4
    assert "http://127.0.0.1:9" in said
    assert "check the address" in said


def test_an_unreachable_storage_is_one_sentence_and_creates_nothing(world: World, merit: Merit) -> None:
    code, _, said = merit("--storage", "/ip4/127.0.0.1/tcp/9", "job", "create", "--yes", write_job(world))
    assert code == 6
    assert "127.0.0.1" in said
    assert world.chain.market.job_count() == 0


def test_too_little_balance_is_said_with_both_amounts(world: World, merit: Merit) -> None:
    code, _, said = merit("job", "create", "--yes", write_job(world, market__reward="1000000 ether"))
    assert code == 2
    assert "has too little; fund it first, nothing was sent" in said
    assert "2000000.02 ether for the escrow" in said
    assert "ether are missing" in said
    assert f"`merit fund {PEOPLE[8].address}`" in said
    assert world.chain.market.job_count() == 0


def test_a_wrong_password_is_one_sentence(world: World, merit: Merit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERIT_PASSWORD", "wrong")
    code, _, said = merit("job", "create", write_job(world))
    assert code == 2
    assert "password does not open" in said


def test_an_unknown_key_is_one_sentence(world: World, merit: Merit) -> None:
    code, _, said = merit("--key", "nobody", "withdraw")
    assert code == 3
    assert "no key 'nobody'" in said


def test_an_address_without_a_market_is_refused(world: World, merit: Merit) -> None:
    code, _, said = merit("--market", PEOPLE[0].address, "job", "list")
    assert code == 4
    assert "there is no contract" in said


def test_a_job_that_does_not_exist_is_one_sentence(world: World, merit: Merit) -> None:
    for command in (["audit", 7], ["job", "show", 7], ["job", "model", 7], ["aggregator", "run", "--job", 7]):
        code, _, said = merit(*command)
        assert code == 3
        assert "There is no job 7" in said


@pytest.fixture
def open_job(world: World) -> Play:
    return new_play(world)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (Dataset({"x": np.zeros((9, 3), np.float32)}, np.zeros(9, np.int64)), "samples of shape [2] are expected"),
        (Dataset({"x": np.zeros((9, 2), np.float32)}, np.full(9, 5)), "labels 0 … 1 are expected, 5 was found"),
        (Dataset({"x": np.full((9, 2), np.nan, np.float32)}, np.zeros(9, np.int64)), "nan were found"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_joining(
    open_job: Play, merit: Merit, data: Dataset, sentence: str
) -> None:
    path = open_job.world.folder / "bad.npz"
    write_npz(path, data)
    code, _, said = merit("trainer", "join", open_job.job_id, "--data", path)
    assert code == 2
    assert sentence in said
    assert open_job.world.chain.market.job(open_job.job_id).active == 0


def test_a_job_that_is_over_is_refused(open_job: Play, merit: Merit) -> None:
    open_job.finish()
    write_npz(open_job.world.folder / "good.npz", blobs(40, 3))
    code, _, said = merit("trainer", "join", open_job.job_id, "--data", open_job.world.folder / "good.npz")
    assert code == 8
    assert "is over" in said


def test_a_job_that_has_started_takes_no_one_else(open_job: Play, merit: Merit) -> None:
    agents = open_job.agents()
    for _ in range(3):
        for agent in agents:
            agent.step()
    write_npz(open_job.world.folder / "good.npz", blobs(40, 3))
    code, _, said = merit("trainer", "join", open_job.job_id, "--data", open_job.world.folder / "good.npz")
    assert code == 8
    assert "has started" in said


def test_withdrawing_nothing_is_said(world: World, merit: Merit) -> None:
    code, _, said = merit("withdraw")
    assert code == 5
    assert said.startswith("error:")


def test_a_model_is_not_written_over_a_file(open_job: Play, merit: Merit) -> None:
    open_job.finish()
    path = open_job.world.folder / "model.safetensors"
    path.write_bytes(b"precious")
    code, _, said = merit("job", "model", open_job.job_id, "-o", path)
    assert code == 2
    assert "--force" in said
    assert path.read_bytes() == b"precious"


def test_only_a_party_of_the_job_gets_its_model(open_job: Play, merit: Merit) -> None:
    open_job.finish()
    code, _, said = merit("job", "model", open_job.job_id, "-o", open_job.world.folder / "model.safetensors")
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


def test_nothing_is_sent_where_nobody_can_be_asked(world: World, merit: Merit) -> None:
    code, _, said = merit("job", "create", write_job(world))
    assert code == 2
    assert "escrow 0.62 ether 2 rounds × (reward 0.3 ether + fee 0.01 ether)" in said
    assert "give --yes if it is meant" in said
    assert world.chain.market.job_count() == 0


def test_a_trainer_without_the_stake_is_refused_before_anything_is_sent(
    open_job: Play, merit: Merit, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = open_job.world
    Keystore(world.folder / "home" / "keys", scrypt_n=2).create("poor", "right")
    write_npz(world.folder / "good.npz", blobs(40, 3))
    code, _, said = merit("--key", "poor", "trainer", "join", open_job.job_id, "--data", world.folder / "good.npz")
    assert code == 2
    assert "It holds 0 ether, and 0.1 ether for the stake and about" in said
    assert world.chain.market.job(open_job.job_id).active == 0


def test_storage_that_lacks_a_jobs_description_is_named(open_job: Play, merit: Merit) -> None:
    elsewhere = open_job.world.folder / "elsewhere"
    elsewhere.mkdir()
    write_npz(open_job.world.folder / "good.npz", blobs(40, 3))
    code, _, said = merit(
        "--storage", f"folder:{elsewhere}", "data", "check", open_job.job_id, "--data", elsewhere / "x.npz"
    )
    assert code == 3
    assert f"The description of job {open_job.job_id} is not in the storage that is used here" in said
    assert str(elsewhere) in said
    assert "--storage" in said


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--market", "0x12", "job", "list"], "market: '0x12' is not an address: it has 2 digits after 0x"),
        (["--market", "market.eth", "job", "list"], "names are not looked up"),
        (["--key", "0xnobody", "withdraw"], "key: '0xnobody' is not an address"),
        (["fund", PEOPLE[1].address[:-1]], "it has 39 digits after 0x"),
        (["withdraw", "--token", PEOPLE[1].address.swapcase().replace("0X", "0x")], "wrong checksum"),
        (["aggregator", "run", "--payee", "me"], "--payee: 'me' is not an address"),
        (["trainer", "join", "1", "--data", "digits", "--payee", "me"], "--payee: 'me' is not an address"),
        (["up", "--admit", "me"], "--admit: 'me' is not an address"),
    ],
)
def test_a_mistyped_address_is_refused_wherever_it_is_typed(merit: Merit, options: list[str], sentence: str) -> None:
    code, _, said = merit(*options)
    assert code == 2
    assert sentence in said


def test_an_address_in_small_letters_works_wherever_it_is_typed(world: World, merit: Merit) -> None:
    assert merit("--market", world.chain.market.address.lower(), "job", "list")[::2] == (0, "")
    assert merit("--key", PEOPLE[8].address.lower(), "key", "show")[::2] == (0, "")
    assert merit("fund", PEOPLE[8].address.lower())[0] == 0


def test_a_taken_port_is_named_with_the_option_that_changes_it(world: World, merit: Merit) -> None:
    taken = world.chain.connection.url.rpartition(":")[2]
    code, _, said = merit("chain", "--port", taken)
    assert code == 2
    assert f"Port {taken} cannot be listened on for the chain" in said
    assert "Choose another port with --port" in said
