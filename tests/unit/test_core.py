"""The compiled core against the slow prover's vectors and the other verifier."""

import json
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zk import _core, gram, kzg, setup, transcript
from zk.encoding import Int16s, commitment_hash
from zk.transcript import Context, P, word
from zk.verifier import GramStatement, verify_gram

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "gram.json").read_text())
CONTEXT = Context(31337, bytes(20), 1, 1, bytes(32)).encoded()


def raw(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))


def srs_of(case: Mapping[str, Any]) -> setup.Srs:
    entry = next(each for each in VECTORS["setups"] if each["chunk"] == case["chunk"])
    return setup.Srs.development(entry["chunk"].bit_length() - 1, raw(entry["tau"]))


def joined(words: Any) -> bytes:
    return raw(words) if isinstance(words, str) else b"".join(joined(each) for each in words)


cases = pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])


@cases
def test_commitments_and_sums_are_those_of_the_vectors(case: Mapping[str, Any]) -> None:
    srs = srs_of(case)
    rows = [np.array(row, np.int16) for row in case["rows"]]
    points = [kzg.commit(srs, w, joined(b)) for w, b in zip(rows, case["blinders"], strict=True)]
    assert points == [joined(each) for each in case["commitments"]]
    assert [commitment_hash(each) for each in points] == [raw(each) for each in case["commitment_hashes"]]
    coefficients = [x if isinstance(x, int) else int(x, 16) for x in case["coefficients"]]
    slots = len(coefficients)
    if slots:
        assert kzg.combine(points[:slots], coefficients) == joined(case["sums"])
        total = sum(np.int64(x) * w.astype(np.int64) for x, w in zip(coefficients, rows, strict=False))
        blinders = kzg.combine_blinders([joined(b) for b in case["blinders"][:slots]], coefficients)
        if any(coefficients):
            assert kzg.commit_sum(srs, np.asarray(total), blinders) == joined(case["sums"])


@cases
def test_proofs_are_those_of_the_vectors(case: Mapping[str, Any]) -> None:
    proof, r, s, y = srs_of(case).prove_gram(
        raw(case["context"]["encoded"]),
        sum(1 << p for p in case["positions"]),
        [np.array(row, np.int16) for row in case["rows"]],
        [joined(b) for b in case["blinders"]],
        [joined(each) for each in case["commitments"]],
        joined(case["sums"]),
        raw(case["gram_hash"]),
        joined(case["randomness"]["mask"]),
        joined(case["randomness"]["accumulator"]),
    )
    assert proof == joined(case["proof"])
    assert (r, s) == (raw(case["challenges"]["r"]), raw(case["challenges"]["s"]))
    assert y == proof[320:352]


def test_transcripts_agree() -> None:
    one, other = _core.Transcript(b"context"), transcript.Transcript(b"context")
    for words in ([], [word(5)], [word(1), bytes(64)]):
        one.absorb(b"".join(words))
        other.absorb(words)
        assert int.from_bytes(one.challenge()) == other.challenge()
    with pytest.raises(ValueError, match="33 bytes are not whole words"):
        one.absorb(bytes(33))


# ------------------------------------------------------------------ a round of random updates

SRS = setup.development(16, seed=b"unit tests")


class World:
    """Three slots and the two reference rows, d = 37: three chunks, the last one padded."""

    def __init__(self, d: int = 37, positions: int = 3 << 32 | 0b10110) -> None:
        rng = np.random.default_rng(d)
        n = positions.bit_count()
        self.rows: list[Int16s] = [rng.integers(-32767, 32768, d, np.int16) for _ in range(n)]
        self.blinders = [kzg.random_blinders(d, SRS.size) for _ in range(n)]
        self.points = [kzg.commit(SRS, w, b) for w, b in zip(self.rows, self.blinders, strict=True)]
        coefficients = [4096 - i for i in range((positions & 0xFFFFFFFF).bit_count())]
        sums = kzg.combine(self.points[: len(coefficients)], coefficients)
        self.statement = GramStatement(CONTEXT, positions, 123, self.points, sums, coefficients)

    def prove(
        self,
        statement: GramStatement | None = None,
        rows: list[Int16s] | None = None,
        progress: gram.Progress | None = None,
    ) -> gram.GramProof:
        mask = gram.draw_mask(SRS)
        return gram.prove(SRS, statement or self.statement, rows or self.rows, self.blinders, mask, progress)


def test_the_other_verifier_takes_a_proof_and_no_tampered_one() -> None:
    world = World()
    proof = world.prove()
    verifier = setup.verifier_setup(SRS)
    assert verify_gram(world.statement, proof.proof, verifier)
    assert int.from_bytes(proof.proof[320:352]) == proof.y
    for at in (351, 447, len(proof.proof) - 1):
        bad = bytearray(proof.proof)
        bad[at] ^= 1
        assert not verify_gram(world.statement, bytes(bad), verifier)
    assert not verify_gram(replace(world.statement, gram_hash=124), proof.proof, verifier)


def test_a_proof_with_rows_that_are_not_the_committed_ones_is_refused() -> None:
    world = World()
    rows = [world.rows[1], world.rows[0], *world.rows[2:]]
    assert not verify_gram(world.statement, world.prove(rows=rows).proof, setup.verifier_setup(SRS))


def test_y_is_the_masked_gram_matrix() -> None:
    world, mask = World(), gram.draw_mask(SRS)
    proof = gram.prove(SRS, world.statement, world.rows, world.blinders, mask)
    positions = [p for p in range(34) if world.statement.positions >> p & 1]
    y = mask.mu
    for p, a in zip(positions, world.rows, strict=True):
        for q, b in zip(positions, world.rows, strict=True):
            y += pow(proof.r, p + 1, P) * pow(proof.s, q + 1, P) * int(a.astype(np.int64) @ b.astype(np.int64))
    assert y % P == proof.y


def test_two_proofs_of_one_statement_share_no_word() -> None:
    world = World()
    one, two = world.prove().proof, world.prove().proof
    words = [{proof[at : at + 32] for at in range(0, len(proof), 32)} for proof in (one, two)]
    assert not words[0] & words[1]


def test_no_secret_is_printed() -> None:
    mask = gram.draw_mask(SRS)
    assert repr(mask) == "Mask()"
    assert repr(SRS) == 'Srs(kind="development", size=16)'


# ------------------------------------------------------------------ openings


def test_openings_that_fail_are_named() -> None:
    world = World()
    assert kzg.open_together(SRS, world.rows, world.blinders, world.points)
    assert kzg.which_open(SRS, world.rows, world.blinders, world.points) == [True] * 5
    rows, blinders, points = list(world.rows), list(world.blinders), list(world.points)
    rows[0] = rows[0].copy()
    rows[0][36] ^= 1
    blinders[2] = blinders[2][:-1] + bytes([blinders[2][-1] ^ 1])
    points[4] = bytes(len(points[4]))
    assert kzg.which_open(SRS, rows, blinders, points) == [False, True, False, True, False]
    assert not kzg.open_together(SRS, rows[:4], blinders[:4], points[:4])


def test_two_wrong_openings_do_not_cancel() -> None:
    """One row off by +1, another by −1 at the same entry: only random weights see it."""
    world = World()
    rows = [w.copy() for w in world.rows]
    rows[0][0], rows[1][0] = 5, 5
    blinders, srs = world.blinders, SRS
    points = [kzg.commit(srs, w, b) for w, b in zip(rows, blinders, strict=True)]
    rows[0][0], rows[1][0] = 6, 4
    assert not kzg.open_together(srs, rows, blinders, points)


@settings(max_examples=30)
@given(st.lists(st.integers(-32767, 32767), min_size=1, max_size=40), st.integers(0, 2**32))
def test_commitments_add_up(entries: list[int], x: int) -> None:
    w = np.array(entries, np.int16)
    one, two = (kzg.random_blinders(len(w), SRS.size) for _ in range(2))
    together = kzg.combine([kzg.commit(SRS, w, one), kzg.commit(SRS, -w, two)], [x, 3])
    total = np.int64(x) * w.astype(np.int64) - 3 * w.astype(np.int64)
    assert kzg.commit_sum(SRS, total, kzg.combine_blinders([one, two], [x, 3])) == together


@settings(max_examples=30)
@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=40), st.integers(0, 39), st.integers(1, 2**40))
def test_a_sum_opens_its_commitment_and_no_other(entries: list[int], at: int, by: int) -> None:
    """Chunks are checked together: what is wrong in one is seen, also where another has the opposite fault."""
    total = np.array(entries, np.int64)
    blinders = kzg.random_blinders(len(total), SRS.size)
    commitment = kzg.commit_sum(SRS, total, blinders)
    assert kzg.sum_opens(SRS, total, blinders, commitment)
    wrong = total.copy()
    wrong[at % len(total)] += by
    if len(total) > SRS.size:
        wrong[(at + SRS.size) % len(total)] -= by
    assert not kzg.sum_opens(SRS, wrong, blinders, commitment)
    assert not kzg.sum_opens(SRS, total, blinders[:-1] + bytes([blinders[-1] ^ 1]), commitment)


def test_a_sum_of_nothing_opens_infinity() -> None:
    assert kzg.sum_opens(SRS, np.zeros(20, np.int64), bytes(128), bytes(128))
    with pytest.raises(ValueError, match="128 are required"):
        kzg.sum_opens(SRS, np.zeros(20, np.int64), bytes(64), bytes(128))


def test_combining_with_zeros_gives_infinity() -> None:
    point = kzg.commit(SRS, np.ones(3, np.int16), kzg.random_blinders(3, 16))
    assert kzg.combine([point], [0]) == bytes(64) == kzg.combine([point, point], [1, -1])


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("w", "blinders", "sentence"),
    [
        (np.array([-32768], np.int16), bytes(64), "holds the entry -32768"),
        (np.ones(17, np.int16), bytes(64), "64 bytes were given where 128"),
        (np.ones(1, np.int16), bytes(65), "65 bytes were given where 64"),
        (np.ones(1, np.int16), word(P) + bytes(32), "the blinders is not smaller"),
        (np.ones(0, np.int16), b"", "a vector of 0 entries"),
        (np.ones(32, np.int16)[::2], bytes(64), "side by side"),
        (np.zeros(1, np.int16), bytes(64), "infinity"),
    ],
)
def test_what_is_no_update_or_no_blinder_is_refused(w: Int16s, blinders: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        kzg.commit(SRS, w, blinders)


@pytest.mark.parametrize("other", [np.ones(3, np.int32), np.ones(3, ">i2"), np.ones((3, 1), np.int16), [1, 2]])
def test_other_arrays_are_refused(other: Any) -> None:
    with pytest.raises(TypeError):
        kzg.commit(SRS, other, bytes(64))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"positions": 1 << 34 | 0b1111}, "no set of slots"),
        ({"positions": 1 << 32 | 0b11110}, "no set of slots"),
        ({"positions": 0b11}, "with 2 positions"),
        ({"sums": bytes(64)}, "the stated sum: 64 bytes"),
        ({"gram_hash": P}, "not smaller than the modulus"),
        ({"commitments": [bytes(192)] * 5}, "infinity"),
        ({"commitments": [b"\1" * 192] * 5}, "not on the curve"),
    ],
)
def test_statements_that_are_none_are_refused(changes: dict[str, Any], sentence: str) -> None:
    world = World()
    with pytest.raises(ValueError, match=sentence):
        world.prove(statement=replace(world.statement, **changes))


def test_rows_of_different_lengths_are_refused() -> None:
    world = World()
    with pytest.raises(ValueError, match="row 1 has 36 entries, row 0 has 37"):
        world.prove(rows=[world.rows[0], world.rows[1][:36], *world.rows[2:]])


# ------------------------------------------------------------------ while it runs


def test_progress_is_reported_and_ends_the_proof_when_it_raises() -> None:
    world = World()
    seen: list[tuple[object, ...]] = []
    world.prove(progress=lambda *step: seen.append(step))
    assert seen[0] == ("chunks", 0, 3)
    assert seen[-1] == ("opening", 2, 2)
    assert len(seen) == len(set(seen)) == 10

    def stop(phase: str, done: int, total: int) -> None:
        if done == 1:
            raise LookupError(phase)

    with pytest.raises(LookupError, match="chunks"):
        world.prove(progress=stop)


def test_ctrl_c_ends_a_proof() -> None:
    world = World()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # test runners may ignore it in their workers
    try:
        with pytest.raises(KeyboardInterrupt):
            world.prove(progress=lambda *_: signal.raise_signal(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_interpreter_runs_on_meanwhile() -> None:
    """Were the lock held, this thread would stand still for nearly as long as the set-up takes."""
    worker = threading.Thread(target=lambda: setup.Srs.development(15, word(7)))
    gaps, last = [], time.monotonic()
    worker.start()
    while worker.is_alive():
        time.sleep(0.001)
        gaps.append(time.monotonic() - last)
        last += gaps[-1]
    assert max(gaps) < sum(gaps) / 2
