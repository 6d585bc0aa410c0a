"""From floats to integers: the same bits as integer arithmetic on exact numbers, on every device."""

from fractions import Fraction
from math import floor, isqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer import quantize
from trainer.quantize import carry_over, lighten, to_integers
from zk.encoding import LIMIT

SCALE = 2.0**-15


def nearest_even(value: Fraction) -> int:
    whole = floor(value)
    rest = value - whole
    return whole + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2 == 1))


def oracle(delta, scale, clip):
    """In exact fractions and ints; the quotient is rounded to float64 first, as the definition says."""
    w = [max(-LIMIT, min(LIMIT, nearest_even(Fraction(float(v) / scale)))) for v in delta]
    if clip is None:
        return w
    limit, square = floor(clip / scale), sum(x * x for x in w)
    if square <= limit * limit:
        return w
    root = isqrt(square)
    root += root * root < square
    return [(abs(x) * limit // root) * (1 if x >= 0 else -1) for x in w]


@settings(max_examples=300)
@given(
    delta=st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=40),
    scale=st.sampled_from([SCALE, 2.0**-10, 1e-4, 0.3]),
    clip=st.one_of(st.none(), st.floats(0.3, 10)),
)
def test_integers_equal_those_of_exact_arithmetic(delta, scale, clip):
    w = to_integers(torch.tensor(delta, dtype=torch.float32), scale, clip)
    assert w.dtype == np.int16
    assert w.tolist() == oracle(delta, scale, clip)


def test_halves_are_rounded_to_even():
    delta = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, -2.5]) * SCALE
    assert to_integers(delta, SCALE).tolist() == [0, 2, 2, 0, -2, -2]


def test_the_quotient_is_not_rounded_to_float32_on_the_way():
    # Near k + ½ a float32 quotient lands on the tie and goes to the even side.
    entries = (np.arange(30_000) + 0.5) * 0.3
    delta = torch.from_numpy(entries.astype(np.float32))
    w = to_integers(delta, 0.3)
    assert w.tolist() == oracle(delta.tolist(), 0.3, None)
    assert (w != np.rint(delta.numpy() / np.float32(0.3))).any()


def test_what_does_not_fit_is_clamped_to_the_limits():
    delta = torch.tensor([2.0, -2.0, 3e38, -3e38, LIMIT * SCALE])
    assert to_integers(delta, SCALE).tolist() == [LIMIT, -LIMIT, LIMIT, -LIMIT, LIMIT]


@given(st.lists(st.integers(-LIMIT, LIMIT), min_size=1, max_size=30), st.integers(1, 5000))
def test_a_clipped_update_is_never_longer_than_the_clip(entries, limit):
    delta = torch.tensor(entries, dtype=torch.float32) * SCALE
    w = to_integers(delta, SCALE, clip=limit * SCALE).astype(np.int64)
    assert int((w**2).sum()) <= limit * limit


def test_an_update_of_exactly_the_clip_is_left_alone():
    delta = torch.tensor([3.0, 4.0]) * 2**10 * SCALE
    assert to_integers(delta, SCALE, clip=5 * 2**10 * SCALE).tolist() == [3072, 4096]
    assert to_integers(delta, SCALE, clip=(5 * 2**10 - 1) * SCALE).tolist() == [3071, 4095]


def test_the_longest_update_is_clipped_without_overflow():
    d = 2**20
    w = to_integers(torch.full((d,), -1e9), 1.0, clip=float(LIMIT * 2**10 - 1))
    assert set(w.tolist()) == {-(LIMIT * (LIMIT * 2**10 - 1) // (LIMIT * 2**10))}


def test_chunks_change_nothing(monkeypatch):
    delta = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    whole = to_integers(delta, SCALE, clip=3.0)
    monkeypatch.setattr(quantize, "_CHUNK", 7)
    assert to_integers(delta, SCALE, clip=3.0).tolist() == whole.tolist()


def test_the_difference_is_left_as_it_was():
    delta = torch.tensor([0.25, -7.0])
    to_integers(delta, SCALE, clip=0.1)
    assert delta.tolist() == [0.25, -7.0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_difference_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="finite"):
        to_integers(torch.tensor([0.0, value]), SCALE)


@pytest.mark.parametrize(
    ("delta", "scale", "clip"),
    [
        (torch.zeros(3, dtype=torch.float64), SCALE, None),
        (torch.zeros(1, 3), SCALE, None),
        (torch.zeros(0), SCALE, None),
        (torch.zeros(3), 0.0, None),
        (torch.zeros(3), float("nan"), None),
        (torch.zeros(3), SCALE, SCALE / 2),
        (torch.zeros(3), SCALE, float("nan")),
    ],
)
def test_what_is_no_difference_or_no_scale_is_refused(delta, scale, clip):
    with pytest.raises(ValueError, match=r"difference|scale"):
        to_integers(delta, scale, clip)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("scale", [SCALE, 1e-4, 0.3])
@pytest.mark.parametrize("clip", [None, 2.0])
def test_a_gpu_gives_the_bits_of_the_cpu(scale, clip):
    delta = torch.randn(2**22 + 3, generator=torch.Generator().manual_seed(1))
    assert to_integers(delta.cuda(), scale, clip).tobytes() == to_integers(delta, scale, clip).tobytes()


VECTORS = st.lists(st.integers(-LIMIT, LIMIT), min_size=1, max_size=60).map(lambda values: np.array(values, np.int16))


@given(update=VECTORS, bits=st.sampled_from([16, 8, 4]), keep=st.sampled_from([1.0, 0.5, 0.1, 1e-4]))
def test_what_is_sent_has_few_bits_and_few_entries_and_with_what_is_left_is_the_whole(update, bits, keep):
    before = update.copy()
    sent, left = lighten(update, bits, keep)
    assert sent.dtype == left.dtype == np.int16
    assert np.array_equal(update, before)
    assert np.array_equal(sent.astype(np.int32) + left, update)
    assert np.count_nonzero(sent) <= max(1, int(np.ceil(keep * len(update))))
    common = int(np.bitwise_or.reduce(sent))
    assert np.abs(sent.astype(np.int32)).max() // max(1, common & -common) < 2 ** (bits - 1)
    assert not update.any() or sent.any(), "an update is not made nothing of"
    if (bits, keep) == (16, 1.0):
        assert not left.any()


def test_of_equals_the_first_are_kept_and_rounding_is_to_even():
    assert lighten(np.array([5, -5, 5, 1], np.int16), 16, 0.5).sent.tolist() == [5, -5, 0, 0]
    assert lighten(np.array([127, 3, -64], np.int16), 4, 1.0).sent.tolist() == [112, 0, -64]
    assert lighten(np.array([24, 40, 112], np.int16), 4, 1.0).sent.tolist() == [32, 32, 112]


@pytest.mark.parametrize(("bits", "keep"), [(8, 1.0), (4, 1.0), (16, 0.1), (4, 0.05)])
def test_over_rounds_nothing_is_lost(bits, keep):
    rng = np.random.default_rng(1)
    left, sent_in_all, made_in_all = np.zeros(500, np.int16), np.zeros(500, np.int64), np.zeros(500, np.int64)
    for _ in range(30):
        made = rng.integers(-300, 301, 500).astype(np.int16)
        made_in_all += made
        sent, left = lighten(carry_over(made, left, SCALE), bits, keep)
        sent_in_all += sent
    assert np.array_equal(sent_in_all + left, made_in_all)


def test_what_was_left_stays_within_the_range_and_the_clip():
    large = np.full(4, LIMIT, np.int16)
    assert carry_over(large, large, SCALE).tolist() == [LIMIT] * 4
    whole = carry_over(np.array([3000, 0], np.int16), np.array([0, 4000], np.int16), SCALE, clip=1000 * SCALE)
    assert whole.tolist() == [600, 800]
