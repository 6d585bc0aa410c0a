"""Job files and specs: what is taken, what is refused and how it is said."""

import json
from pathlib import Path

import pytest
import yaml

from marketplace.domain import ZERO_ADDRESS, Rule
from marketplace.errors import CorruptContent, InputError
from marketplace.spec import (
    MAX_FILE_BYTES,
    MOST_STRIKES,
    JobFile,
    PinnedFile,
    ProofsConfig,
    ProofsSpec,
    ServerRate,
    Spec,
    VerifierTerms,
    read_job_file,
    terms_of,
)

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits.yaml"


CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
VERIFIERS = VerifierTerms(ZERO_ADDRESS, b"\x01" * 32, ZERO_ADDRESS, b"\x02" * 32)


@pytest.fixture
def document() -> dict[str, object]:
    return dict(yaml.safe_load(EXAMPLE.read_text()))


def spec_of(job: JobFile) -> Spec:
    pinned = PinnedFile(hash="0x" + "5a" * 32, cid=CID)
    proofs = ProofsSpec(chunk=1024, srs=pinned, key=pinned, development=True)
    return Spec.of(job, base_cid=CID, proofs=proofs, validation=None)


def test_the_example_is_a_job_file_and_its_terms_follow_from_it() -> None:
    terms = terms_of(read_job_file(EXAMPLE), rule=Rule.KRUM_COSINE, now=1_000_000, verifiers=VERIFIERS)
    assert terms.reward == 6 * 10**17
    assert terms.escrow == 5 * (6 * 10**17 + 2 * 10**16)
    assert terms.enrol_by == 1_086_400
    assert terms.submit_window == 600
    assert terms.token == ZERO_ADDRESS


def test_strikes_eject_by_default_only_under_the_rule_that_spares_the_honest() -> None:
    job = read_job_file(EXAMPLE)
    assert terms_of(job, rule=Rule.REFERENCE, now=0, verifiers=VERIFIERS).max_strikes == 3
    assert terms_of(job, rule=Rule.KRUM_COSINE, now=0, verifiers=VERIFIERS).max_strikes == MOST_STRIKES


def test_a_spec_survives_its_bytes_and_has_one_encoding() -> None:
    spec = spec_of(read_job_file(EXAMPLE))
    data = spec.to_bytes()
    assert Spec.from_bytes(data, where="here") == spec
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d | {"extra": 1},
        lambda d: d | {"format": "merit/job/v2"},
        lambda d: {name: value for name, value in d.items() if name != "model"},
        lambda d: d | {"name": "x" * 101},
        lambda d: d | {"server_rate": {"initial": float("1e9"), "decay": 1}},
    ],
)
def test_a_spec_that_is_not_valid_is_corrupt_and_says_where(change) -> None:  # type: ignore[no-untyped-def]
    document = json.loads(spec_of(read_job_file(EXAMPLE)).to_bytes())
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


def test_the_server_rate_decays_by_repeated_products() -> None:
    rate = ServerRate(initial=0.3, decay=0.7)
    assert rate.at(1) == 0.3
    assert rate.at(4) == 0.3 * 0.7 * 0.7 * 0.7


@pytest.mark.parametrize(
    ("d", "chunk"), [(1, 1024), (1024, 1024), (1025, 2048), (13_802, 16_384), (2**17, 2**17), (2**17 + 1, 2**17)]
)
def test_a_chunk_holds_the_whole_model_up_to_a_size(d: int, chunk: int) -> None:
    assert ProofsConfig().chunk_for(d) == chunk
    assert ProofsConfig(chunk=2**14).chunk_for(d) == 2**14


def test_a_chunk_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match="no power of two"):
        ProofsConfig(chunk=3000)
