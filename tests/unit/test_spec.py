"""Job files and specs: what is taken, what is refused and how it is said."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
import yaml

from marketplace.domain import ZERO_ADDRESS, Rule
from marketplace.errors import CorruptContent, InputError
from marketplace.spec import (
    FEES_IN_BOND,
    MAX_FILE_BYTES,
    JobFile,
    MarketConfig,
    PinnedFile,
    ProofsConfig,
    ProofsSpec,
    ServerRate,
    Spec,
    VerifierTerms,
    read_job_file,
    terms_of,
)
from tests.example import PATH as EXAMPLE
from tests.example import TEXT, example

CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
VERIFIERS = VerifierTerms(ZERO_ADDRESS, b"\x01" * 32, ZERO_ADDRESS, b"\x02" * 32)


@pytest.fixture
def document() -> dict[str, object]:
    return dict(yaml.safe_load(TEXT))


def spec_of(job: JobFile) -> Spec:
    pinned = PinnedFile(hash="0x" + "5a" * 32, cid=CID)
    proofs = ProofsSpec(chunk=1024, srs=pinned, key=pinned, development=True)
    return Spec.of(job, parameters=4810, files={}, base_cid=CID, proofs=proofs, validation=None)


def test_the_example_is_a_job_file_and_its_terms_follow_from_it() -> None:
    terms = terms_of(example(), owner=ZERO_ADDRESS, rule=Rule.KRUM_COSINE, now=1_000_000, verifiers=VERIFIERS)
    assert terms.reward == 6 * 10**17
    assert terms.escrow == 3 * (6 * 10**17 + 3 * 10**16)
    assert terms.enrol_by == 1_086_400
    assert terms.submit_window == 600
    assert terms.token == ZERO_ADDRESS


@pytest.mark.parametrize("rule", list(Rule))
def test_strikes_are_what_the_file_says_under_either_rule(rule: Rule, document: dict[str, object]) -> None:
    assert terms_of(example(), owner=ZERO_ADDRESS, rule=rule, now=0, verifiers=VERIFIERS).max_strikes == 3
    document["market"]["max_strikes"] = 7  # type: ignore[index]
    assert (
        terms_of(
            JobFile.model_validate(document), owner=ZERO_ADDRESS, rule=rule, now=0, verifiers=VERIFIERS
        ).max_strikes
        == 7
    )


def test_the_rate_the_scale_and_the_rounds_that_must_be_become_terms(document: dict[str, object]) -> None:
    document |= {"server_rate": {"initial": 0.3, "decay": 0.7}, "update": {"scale": 2.0**-12}}
    document["market"] |= {"rounds": 9, "min_rounds": 4, "confirm_window": "2 h"}  # type: ignore[operator]
    terms = terms_of(
        JobFile.model_validate(document), owner=ZERO_ADDRESS, rule=Rule.REFERENCE, now=0, verifiers=VERIFIERS
    )
    assert (terms.rate, terms.rate_decay) == (round(0.3 * 2**40), round(0.7 * 2**32))
    assert (terms.scale_exponent, terms.rounds, terms.min_rounds, terms.confirm_window) == (-12, 9, 4, 7200)


def test_by_default_a_job_has_all_its_rounds_and_the_rate_is_one() -> None:
    terms = terms_of(example(), owner=ZERO_ADDRESS, rule=Rule.REFERENCE, now=0, verifiers=VERIFIERS)
    assert terms.min_rounds == terms.rounds == 3
    assert (terms.rate, terms.rate_decay, terms.scale_exponent) == (2**40, 2**32, -15)


def test_no_more_rounds_must_be_than_there_are(document: dict[str, object]) -> None:
    document["market"] |= {"rounds": 3, "min_rounds": 4}  # type: ignore[operator]
    with pytest.raises(ValueError, match="min_rounds is 4, more than rounds, 3"):
        JobFile.model_validate(document)
    document["market"] |= {"min_rounds": 3}  # type: ignore[operator]
    assert JobFile.model_validate(document).market.min_rounds == 3


def test_a_spec_survives_its_bytes_and_has_one_encoding() -> None:
    spec = spec_of(example())
    data = spec.to_bytes()
    assert Spec.from_bytes(data, where="here") == spec
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d | {"extra": 1},
        lambda d: d | {"format": "merit/job/v2"},
        lambda d: d | {"format": "merit/job/v5"},
        lambda d: {name: value for name, value in d.items() if name != "model"},
        lambda d: d | {"name": "x" * 101},
        lambda d: d | {"server_rate": {"initial": 1, "decay": 1}},
        lambda d: d | {"update": {"scale": 2.0**-15, "clip": None}},
        lambda d: d | {"clip": 2.0**-41},
        lambda d: d | {"clip": 2.0**31},
        lambda d: {name: value for name, value in d.items() if name != "clip"},
    ],
)
def test_a_spec_that_is_not_valid_is_corrupt_and_says_where(change) -> None:  # type: ignore[no-untyped-def]
    document = json.loads(spec_of(example()).to_bytes())
    with pytest.raises(CorruptContent, match="The spec at somewhere is not valid"):
        Spec.from_bytes(json.dumps(change(document)).encode(), where="somewhere")


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 100_000, b"{" + b" " * MAX_FILE_BYTES])
def test_hostile_bytes_are_no_spec(data: bytes) -> None:
    with pytest.raises(CorruptContent):
        Spec.from_bytes(data, where="somewhere")


def test_every_mistake_of_a_job_file_is_named(tmp_path: Path, document: dict[str, object]) -> None:
    document["colour"] = "red"
    document["market"]["rounds"] = -1  # type: ignore[index]
    del document["name"]
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(InputError) as caught:
        read_job_file(path)
    for clause in (
        "name: is required",
        "colour: unknown field",
        "market.rounds: input should be greater than or equal",
    ):
        assert clause in str(caught.value)


def test_a_job_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(InputError, match="longer than"):
        read_job_file(path)


def test_yaml_tags_that_make_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(InputError, match="or has an anchor, alias or tag"):
        read_job_file(path)


def test_the_reference_rule_asks_for_a_named_aggregator(tmp_path: Path, document: dict[str, object]) -> None:
    document["market"]["rule"] = "reference"  # type: ignore[index]
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(InputError, match=r"needs market\.aggregator"):
        read_job_file(path)


@pytest.mark.parametrize(
    ("initial", "decay", "fixed"),
    [
        (1.0, 1.0, (2**40, 2**32)),
        (0.5, 0.25, (2**39, 2**30)),
        (100.0, 1e-300, (100 << 40, 1)),  # a factor is never zero
        (2.0**-40, 2.0**-32, (1, 1)),
        (0.3, 1 - 2.0**-40, (329_853_488_333, 2**32)),
    ],
)
def test_the_servers_rate_is_rounded_to_fixed_point(initial: float, decay: float, fixed: tuple[int, int]) -> None:
    assert ServerRate(initial=initial, decay=decay).fixed == fixed


def test_a_servers_rate_below_one_unit_is_refused() -> None:
    for initial in (0.0, 2.0**-41, 100.5):
        with pytest.raises(ValueError, match="initial"):
            ServerRate(initial=initial)


@pytest.mark.parametrize(
    ("d", "chunk"), [(1, 1024), (1024, 1024), (1025, 2048), (13_802, 16_384), (2**17, 2**17), (2**17 + 1, 2**17)]
)
def test_a_chunk_holds_the_whole_model_up_to_a_size(d: int, chunk: int) -> None:
    assert ProofsConfig().chunk_for(d) == chunk
    assert ProofsConfig(chunk=2**14).chunk_for(d) == 2**14


def test_a_chunk_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match="not a power of two"):
        ProofsConfig(chunk=3000)


def written(folder: Path, text: str) -> Path:
    path = folder / "job.yaml"
    path.write_text(text)
    return path


HEX = "0x" + "12" * 32


def test_what_key_show_prints_is_pasted_as_it_is(tmp_path: Path) -> None:
    """0x and digits only is a number to YAML 1.1."""
    lines = f"market:\n  aggregator:\n    address: 0x{'9' * 40}\n    encryption_key: {HEX}\n"
    found = read_job_file(written(tmp_path, EXAMPLE.read_text().replace("market:\n", lines))).market.aggregator
    assert found is not None
    assert (found.address, found.encryption_key) == ("0x" + "9" * 40, HEX)


def test_an_address_in_any_spelling_becomes_the_checksummed_one(tmp_path: Path) -> None:
    address = "0x52908400098527886E0F7030069857D2E4169EE7"
    for spelling in (address, address.lower()):
        text = TEXT.replace("market:\n", f"market:\n  token: {spelling}\n").replace(" ether", " tokens")
        assert read_job_file(written(tmp_path, text), lambda _: 6).market.token == address


@pytest.mark.parametrize(
    ("names", "read"),
    [("[yes, no]", "true or false"), ("[1, 2]", "a number"), ("[null, a]", "nothing"), ("[2020-01-01, a]", "a date")],
)
def test_text_that_yaml_reads_as_something_else_is_to_be_quoted(tmp_path: Path, names: str, read: str) -> None:
    text = TEXT.replace("classes: 10", f"classes: 2, names: {names}")
    with pytest.raises(InputError, match=rf"target\.category\.names\.0: YAML reads this as {read}.*write it in quotes"):
        read_job_file(written(tmp_path, text))


TOKEN = "market:\n  token: 0x52908400098527886E0F7030069857D2E4169EE7\n"


def test_a_job_that_pays_in_a_token_reads_amounts_by_its_decimals(tmp_path: Path) -> None:
    asked = []

    def decimals(token: str) -> int:
        asked.append(token)
        return 6

    text = TEXT.replace("market:\n", TOKEN).replace("0.6 ether", "5 tokens\n  fee: 0.02 tokens")
    job = read_job_file(written(tmp_path, text), decimals)
    assert (job.market.reward, job.market.fee, job.market.stake) == (5_000_000, 20_000, 1_666_667)
    assert set(asked) == {job.market.token}
    with pytest.raises(InputError, match=r"market\.reward: .*whole number of its smallest unit"):
        read_job_file(written(tmp_path, text))


def test_an_amount_of_coin_in_a_job_that_pays_in_a_token_is_refused_by_name(tmp_path: Path) -> None:
    text = TEXT.replace("market:\n", TOKEN)
    with pytest.raises(InputError, match=r"market\.reward: '0\.6 ether' is an amount of the chain's coin"):
        read_job_file(written(tmp_path, text), lambda _: 6)


def test_a_bare_decimal_is_told_what_it_lacks(tmp_path: Path) -> None:
    text = TEXT.replace("0.6 ether", "0.6")
    with pytest.raises(InputError, match=r"market\.reward: 0\.6 lacks its unit: write '0\.6 ether'"):
        read_job_file(written(tmp_path, text))


def test_whole_units_of_a_token_need_nobody_to_be_asked(tmp_path: Path) -> None:
    text = TEXT.replace("market:\n", TOKEN).replace("0.6 ether", "5000000")
    assert read_job_file(written(tmp_path, text)).market.reward == 5_000_000


def test_the_example_starts_with_the_trainers_that_it_asks_for() -> None:
    market = example().market
    assert (market.min_trainers, market.max_trainers, market.max_faulty) == (3, 3, 0)
    defaults = type(market)(reward=3, rounds=1, aggregator="anyone")
    assert (defaults.min_trainers, defaults.max_trainers, defaults.max_faulty) == (3, 3, 0)


def market_of(**fields: object) -> MarketConfig:
    return MarketConfig.model_validate({"reward": 600, "rounds": 10, "aggregator": "anyone", **fields})


@pytest.mark.parametrize(
    ("faulty", "trainers", "stake", "bond", "fee"),
    [
        (0, 3, 200, 3000, 30),
        (1, 5, 120, 4000, 40),
        (2, 8, 75, 3600, 36),
        (0, 1, 600, 6000, 60),
        (0, 2, 300, 6000, 60),
        (0, 32, 19, 600, 6),
    ],
)
def test_stake_bond_and_fee_follow_from_the_reward(faulty: int, trainers: int, stake: int, bond: int, fee: int) -> None:
    market = market_of(max_faulty=faulty, min_trainers=trainers, max_trainers=32)
    assert (market.stake, market.bond, market.fee) == (stake, bond, fee)
    assert market.bond <= FEES_IN_BOND * market.fee * market.rounds, "what an aggregator accepts by default"


@pytest.mark.parametrize("faulty", range(15))
def test_by_default_what_a_league_can_take_is_less_than_its_bond(faulty: int) -> None:
    """Paid an equal part each, and (f + 1) / n of the bond where the aggregator fails in the end."""
    for trainers in range(max(3, 2 * faulty + 3), 33):
        market = market_of(max_faulty=faulty, min_trainers=trainers, max_trainers=32)
        taken = Fraction(faulty + 1, trainers) * (market.reward * market.rounds + market.bond)
        assert taken <= market.bond


def test_no_default_rounds_to_nothing_and_zero_is_said_in_words() -> None:
    least = market_of(reward=32, rounds=1, max_trainers=32, min_trainers=32)
    assert (least.stake, least.bond, least.fee) == (1, 32, 4)
    with pytest.raises(
        ValueError, match="reward is 31 of the smallest unit, less than one for each of max_trainers, 32"
    ):
        market_of(reward=31, max_trainers=32)
    nothing = market_of(stake=0, bond=0, fee=0)
    assert (nothing.stake, nothing.bond, nothing.fee) == (0, 0, 0)


def test_who_aggregates_is_named_or_anyone_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"job.yaml: market\.aggregator: is required\.$"):
        read_job_file(EXAMPLE)
    with pytest.raises(InputError, match=r"market\.aggregator: name the account .* or write `aggregator: anyone`"):
        read_job_file(written(tmp_path, EXAMPLE.read_text() + "  aggregator: null\n"))
    shown = yaml.safe_load(yaml.safe_dump(example().model_dump(mode="json", exclude_defaults=True)))
    assert shown["market"]["aggregator"] == "anyone"
    assert JobFile.model_validate(shown) == example()


@pytest.mark.parametrize(
    ("faulty", "least", "taken"),
    [(0, 1, True), (1, 4, False), (1, 5, True), (2, 6, False), (2, 7, True), (14, 30, False), (14, 31, True)],
)
def test_one_faulty_trainer_takes_five_and_each_more_two(tmp_path: Path, faulty: int, least: int, taken: bool) -> None:
    text = TEXT.replace("max_faulty: 0", f"max_faulty: {faulty}")
    text = text.replace("min_trainers: 3", f"min_trainers: {least}").replace("max_trainers: 3", "max_trainers: 32")
    if taken:
        assert read_job_file(written(tmp_path, text)).market.max_faulty == faulty
        return
    with pytest.raises(InputError, match=f"max_faulty is {faulty}, which takes min_trainers of {least + 1} or more"):
        read_job_file(written(tmp_path, text))


def test_no_job_bears_fifteen_faulty_trainers(tmp_path: Path) -> None:
    text = TEXT.replace("max_faulty: 0", "max_faulty: 15").replace("_trainers: 3", "_trainers: 32")
    with pytest.raises(InputError, match=r"market\.max_faulty: input should be less than or equal to 14"):
        read_job_file(written(tmp_path, text))


def test_a_field_that_is_given_twice_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rounds is given twice"):
        read_job_file(written(tmp_path, TEXT + "  rounds: 7\n"))


def test_a_file_without_fields_is_told_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the document: fields are expected, such as"):
        read_job_file(written(tmp_path, "- 1\n"))
