"""Set-ups: made, kept, loaded, and read from a ceremony's file."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from eth_hash.auto import keccak

from zk import gram, kzg, setup
from zk.decision import DecisionKey
from zk.transcript import Context, word
from zk.verifier import GramStatement, verify_gram

PTAU = Path(__file__).parents[1] / "vectors" / "powers-4.ptau"
"""Made by snarkjs 0.7.6: `powersoftau new bn128 4`, one contribution, one beacon."""


def test_a_development_set_up_is_another_each_time_and_the_seed_s_with_a_seed(tmp_path: Path) -> None:
    assert setup.development(8).hash != setup.development(8).hash
    one = setup.development(8, seed=b"seed")
    assert one.hash == setup.development(8, seed=b"seed").hash != setup.development(8, seed=b"other").hash
    path = tmp_path / "a.srs"
    setup.save(one, path)
    assert keccak(path.read_bytes()) == one.hash
    assert path.stat().st_size == setup.file_bytes(8) == 192 + 64 * 21


def test_what_is_for_development_says_so_on_every_use(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    srs, key = setup.development(8), setup.development_key(108)
    setup.save(srs, tmp_path / "8.srs")
    setup.save(key, tmp_path / "108.key")
    uses: list[Callable[[], setup.Srs | DecisionKey]] = [
        lambda: setup.development(8),
        lambda: setup.load(tmp_path / "8.srs", srs.hash),
        lambda: setup.development_key(108),
        lambda: setup.load_key(tmp_path / "108.key", key.hash),
    ]
    for use in uses:
        caplog.clear()
        with caplog.at_level(logging.WARNING, "zk.setup"):
            assert use().kind == setup.DEVELOPMENT
        assert "for development only" in caplog.text


def test_headers_tell_what_a_file_is(tmp_path: Path) -> None:
    srs, key, ceremony = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    setup.save(setup.development(8), srs)
    setup.save(setup.development_key(108), key)
    setup.save(setup.from_ptau(PTAU, 16), ceremony)
    assert setup.facts(srs) == setup.Facts("srs", 8, "development")
    assert setup.facts(key) == setup.Facts("key", 108, "development")
    assert setup.facts(ceremony) == setup.Facts("srs", 16, "ceremony")
    for bad in (b"", srs.read_bytes()[:63], b"x" + key.read_bytes()[1:], PTAU.read_bytes()):
        srs.write_bytes(bad)
        with pytest.raises(ValueError, match="neither a set-up nor a key"):
            setup.facts(srs)


def test_a_loaded_set_up_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.srs"
    srs = setup.development(8, seed=b"one")
    setup.save(srs, path)
    assert setup.load(path).hash == setup.load(path, srs.hash).hash == srs.hash
    with pytest.raises(ValueError, match="is required"):
        setup.load(path, bytes(32))
    other = tmp_path / "b.srs"
    setup.save(setup.development(8, seed=b"two"), other)
    good, mixed = path.read_bytes(), bytearray(path.read_bytes())
    mixed[192 + 64 * 7 : 192 + 64 * 8] = other.read_bytes()[192 + 64 * 7 : 192 + 64 * 8]
    path.write_bytes(mixed)  # every point is on the curve, but one is a power of another τ
    with pytest.raises(ValueError, match="not the powers of one τ"):
        setup.load(path)
    mixed = bytearray(good)
    mixed[-64:] = other.read_bytes()[-64:]
    path.write_bytes(mixed)
    with pytest.raises(ValueError, match="Lagrange basis"):
        setup.load(path)
    path.write_bytes(good + b"\0")
    with pytest.raises(ValueError, match="bytes"):
        setup.load(path)
    with pytest.raises(ValueError, match="cannot be read"):
        setup.load(tmp_path / "none.srs")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.srs", "b.srs"]


@pytest.mark.parametrize("size", [0, -8, 7, 4, 2**21])
def test_sizes_that_cannot_be_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="size"):
        setup.development(size)


def test_a_ceremony_of_snarkjs_proves_and_verifies() -> None:
    srs = setup.from_ptau(PTAU, 16)
    assert (srs.kind, srs.size) == ("ceremony", 16)
    w = np.arange(-10, 10, dtype=np.int16)
    blinders = kzg.random_blinders(20, 16)
    points = kzg.commit(srs, w, blinders)
    statement = GramStatement(Context(1, bytes(20), 1, 1, bytes(32)).encoded(), 1, 5, [points], points, [1])
    proof = gram.prove(srs, statement, [w], [blinders], gram.draw_mask(srs))
    assert verify_gram(statement, proof.proof, setup.verifier_setup(srs))


def test_a_larger_ceremony_serves_a_smaller_set_up_and_not_the_reverse() -> None:
    assert setup.from_ptau(PTAU, 8).size == 8
    with pytest.raises(ValueError, match=r"holds 2\^4 powers"):
        setup.from_ptau(PTAU, 32)


@pytest.mark.parametrize("at", [0, 4, 12, 24, 40, 60, 64, 200, 1000, 2200, 2300])
def test_a_ceremony_with_one_flipped_bit_is_refused(at: int, tmp_path: Path) -> None:
    data = bytearray(PTAU.read_bytes())
    data[at] ^= 4
    path = tmp_path / "bad.ptau"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"ptau|powers|curve|bytes"):
        setup.from_ptau(path, 16)


def test_a_ceremony_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data, path = PTAU.read_bytes(), tmp_path / "cut.ptau"
    for length in (0, 3, 11, 20, 70, 500, 3000, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"ptau|read"):
            setup.from_ptau(path, 16)


def test_words_of_tau_are_strict() -> None:
    for tau in (word(0), word(1), bytes(31), b"\xff" * 32):
        with pytest.raises(ValueError, match=r"τ|tau|modulus"):
            setup.Srs.development(3, tau)
