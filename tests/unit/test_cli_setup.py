"""`merit setup` from end to end: development, a ceremony's powers, a key of several people, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from marketplace.cli.session import Session
from marketplace.cli.setup import app
from marketplace.errors import InputError, MeritError, NotFound
from marketplace.services.setups import Setups
from marketplace.settings import Settings
from zk import setup
from zk._core import write_known_ptau
from zk.decision import DecisionKey, Secret, gram_hash, prove
from zk.statements import DecisionStatement
from zk.transcript import word
from zk.verifier import verify_decision

pytestmark = pytest.mark.slow

SMALL = Path(__file__).parents[1] / "vectors" / "powers-4.ptau"
CIRCUIT = 208
"""The one of the smallest domain: 2^14 powers."""

Merit = Callable[..., Any]


@pytest.fixture
def merit(tmp_path: Path) -> Merit:
    return command(tmp_path)


def command(home: Path) -> Merit:
    """Runs `merit --json setup …`: the document that it prints, or its error."""
    here = Session(Settings(home=home), True, Console(), Console(stderr=True))

    def run(*arguments: object) -> Any:
        result = CliRunner().invoke(app, [str(each) for each in arguments], obj=here)
        if result.exception is not None:
            raise result.exception
        return json.loads(result.output.splitlines()[-1])

    return run


@pytest.fixture(scope="module")
def ptau(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Powers of secrets that are written here, in the format of a ceremony."""
    path = tmp_path_factory.mktemp("ptau") / "powers-14.ptau"
    write_known_ptau(path, 14, word(123456789) + word(5) + word(7))
    return path


@pytest.fixture(scope="module")
def initial(ptau: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the key that follows from the powers."""
    path = tmp_path_factory.mktemp("initial") / "0.key"
    home = tmp_path_factory.mktemp("home")
    made = command(home)("key", "new", "--ptau", ptau, "--rule", "reference", "--slots", 5)
    assert (made["circuit"], made["kind"]) == (CIRCUIT, "development")
    setups = Setups(home / "setups")
    setups.export(setups.key(bytes.fromhex(made["hash"][2:])), path)
    return path


def test_development_set_ups_are_made_once_listed_and_marked(merit: Merit) -> None:
    assert merit("list") == []
    srs, key = merit("make", "--chunk", 8, "--rule", "krum-cosine", "--slots", 3)
    assert merit("make", "--chunk", 8) == [srs]
    assert (srs["what"], srs["chunk"], srs["kind"], srs["bytes"]) == ("srs", 8, "development", 192 + 64 * 21)
    assert (key["what"], key["circuit"], key["kind"]) == ("key", 108, "development")
    assert sorted(merit("list"), key=lambda each: str(each["what"])) == [key, srs]
    assert merit("describe", srs["hash"]) == srs
    assert merit("describe", key["hash"][2:]) == key


def test_people_are_told_what_is_for_development(tmp_path: Path) -> None:
    here = Session(Settings(home=tmp_path), False, Console(width=200), Console(stderr=True))
    printed = CliRunner().invoke(app, ["make", "--chunk", "8"], obj=here).output
    assert "chunks of 8) is for development only" in printed


def test_a_ceremony_of_snarkjs_is_imported_and_described(merit: Merit, tmp_path: Path) -> None:
    made = merit("ptau", SMALL, "--chunk", 16)
    assert (made["kind"], made["chunk"]) == ("ceremony", 16)
    assert merit("list") == [made]
    file = tmp_path / "setups" / f"{made['hash'][2:]}.srs"
    other = command(tmp_path / "other")
    assert other("import", file) == made == other("describe", made["hash"]) == other("describe", file)
    for arguments, sentence in (
        ((SMALL, "--chunk", 32), r"holds 2\^4 powers"),
        ((SMALL, "--chunk", 7), "power of two"),
        ((tmp_path / "none", "--chunk", 8), "cannot be read"),
        ((file, "--chunk", 8), "no .ptau file"),
    ):
        with pytest.raises(InputError, match=sentence):
            merit("ptau", *arguments)
    with pytest.raises(InputError, match=r"at least 2\^14 are needed"):
        merit("key", "new", "--ptau", SMALL, "--rule", "reference", "--slots", 8)
    with pytest.raises(NotFound):
        merit("describe", "ab" * 32)


def test_several_people_make_a_key_that_proves_and_is_verified(ptau: Path, initial: Path, tmp_path: Path) -> None:
    files = [initial]
    hashes = []
    for name in ("Ada", "Βασίλης [bold]"):
        person = command(tmp_path / f"home of {len(files)}")
        files.append(tmp_path / f"{len(files)}.key")
        made = person("key", "contribute", files[-2], "--name", name, "--output", files[-1])
        hashes.append(made["contributions"][-1])
    assert person("describe", files[-1]) == made
    checker = command(tmp_path / "checker")
    verified = checker("key", "verify", files[-1], "--ptau", ptau)
    assert verified["kind"] == "ceremony"
    assert verified["contributions"] == hashes
    assert [each["name"] for each in hashes] == ["Ada", "Βασίλης [bold]"]
    assert checker("list")[0]["kind"] == "ceremony"

    key = setup.load_key(files[-1], bytes.fromhex(verified["hash"][2:]))
    secret = Secret([[0] * 10] * 10, 5, 7)
    none = [False] * 8
    statement = DecisionStatement(gram_hash(CIRCUIT, secret), 2, 3, 5, none, none, none, 1, [0] * 8, [0] * 8)
    inputs = statement.public_inputs(CIRCUIT)
    proof = prove(key, statement, secret)
    assert verify_decision(key.verifying_key, inputs, proof)
    assert not verify_decision(key.verifying_key, [inputs[0], 4, *inputs[2:]], proof)
    before = setup.load_key(files[-2]).verifying_key
    assert not verify_decision(before, inputs, proof)  # a proof is of one δ


def test_a_key_that_does_not_follow_from_the_powers_is_refused(
    merit: Merit, ptau: Path, initial: Path, tmp_path: Path
) -> None:
    key = setup.contribute(setup.load_key(initial), "Ada")
    file, bad = tmp_path / "good.key", tmp_path / "bad.key"
    setup.save(key, file)
    others = tmp_path / "others.ptau"
    write_known_ptau(others, 14, word(123456789) + word(5) + word(8))
    with pytest.raises(InputError, match=r"others\.ptau is refused: α, β or γ"):
        merit("key", "verify", file, "--ptau", others)
    with pytest.raises(InputError, match="no contribution"):
        merit("key", "verify", initial, "--ptau", ptau)
    data = file.read_bytes()
    for at in (25, 27, len(data) - 1, len(data) - 220):
        flipped = bytearray(data)
        flipped[at] ^= 1
        bad.write_bytes(flipped)
        with pytest.raises(InputError, match=r"bad\.key is refused"):
            merit("key", "verify", bad, "--ptau", ptau)
    for cut in (data[:-1], data[: -64 * 3], data[:20], data + b"\0"):
        bad.write_bytes(cut)
        with pytest.raises(InputError, match=r"bad\.key is refused"):
            merit("describe", bad)
    assert merit("list") == []


def test_contributions_are_refused_where_they_mean_nothing(merit: Merit, initial: Path, tmp_path: Path) -> None:
    _, alone = merit("make", "--chunk", 8, "--rule", "krum-cosine")
    for named, name, sentence in (
        (alone["hash"], "Ada", "made by one party"),
        (initial, "", "name has 1"),
        (initial, "x" * 65, "name has 1"),
        (initial, "a\nb", "control characters"),
        (SMALL, "Ada", "neither a set-up nor a key"),
    ):
        with pytest.raises(MeritError, match=sentence):
            merit("key", "contribute", named, "--name", name)
    (tmp_path / "there.key").touch()
    with pytest.raises(InputError, match="--force"):
        merit("key", "contribute", initial, "--name", "Ada", "--output", tmp_path / "there.key")
    srs, _ = merit("make", "--chunk", 8, "--rule", "krum-cosine")
    with pytest.raises(InputError, match="is a set-up, not a key"):
        merit("key", "contribute", srs["hash"], "--name", "Ada")
    with pytest.raises(InputError, match="no pay rule 'median'"):
        merit("make", "--chunk", 8, "--rule", "median")


def test_two_contributions_are_never_the_same(initial: Path) -> None:
    key = DecisionKey.read(initial, check=False)
    assert setup.contribute(key, "Ada").verifying_key != setup.contribute(key, "Ada").verifying_key
