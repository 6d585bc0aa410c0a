"""The Gram matrix is exact, whatever the numbers, and needs little memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.gram import CHUNK, gram, products
from zk.encoding import LIMIT


def oracle(rows):
    return [[sum(int(a) * int(b) for a, b in zip(x, y, strict=True)) for y in rows] for x in rows]


@given(
    st.integers(1, 6).flatmap(
        lambda d: st.lists(st.lists(st.integers(-LIMIT, LIMIT), min_size=d, max_size=d), min_size=1, max_size=5)
    )
)
def test_it_equals_the_sums_of_products(rows):
    arrays = [np.array(row, dtype=np.int16) for row in rows]
    assert gram(arrays) == oracle(rows)
    assert products(arrays, arrays[0]) == oracle(rows)[0]


@pytest.mark.parametrize("d", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
def test_it_is_exact_with_the_largest_entries_at_every_chunk_border(d):
    rows = [np.full(d, LIMIT, np.int16), np.full(d, -LIMIT, np.int16), np.full(d, LIMIT, np.int16)]
    rows[2][-1] = LIMIT - 1
    square = LIMIT * LIMIT * d
    near = square - LIMIT
    last = square - LIMIT * LIMIT + (LIMIT - 1) ** 2
    assert gram(rows) == [[square, -square, near], [-square, square, -near], [near, -near, last]]


def test_float32_would_have_been_wrong_where_it_is_right():
    rows = [np.full(CHUNK, LIMIT, np.int16)]
    rows[0][0] = 1
    exact = (CHUNK - 1) * LIMIT**2 + 1
    assert gram(rows) == [[exact]]
    assert int(np.dot(rows[0].astype(np.float32), rows[0].astype(np.float32))) != exact


def test_a_missing_row_counts_as_zeros():
    row = np.array([1, 2, 3], dtype=np.int16)
    assert gram([None, row, None]) == [[0, 0, 0], [0, 14, 0], [0, 0, 0]]
    assert products([None, row], row) == [0, 14]
    assert gram([None, None]) == [[0, 0], [0, 0]]
    assert gram([]) == []


def test_appended_reference_rows_give_the_same_products():
    rng = np.random.default_rng(1)
    rows = [rng.integers(-LIMIT, LIMIT + 1, 40_000, dtype=np.int16) for _ in range(4)]
    whole = gram(rows)
    assert [line[:3] for line in whole[:3]] == gram(rows[:3])
    assert [line[3] for line in whole[:3]] == products(rows[:3], rows[3])


def test_memory_maps_are_rows_too(tmp_path):
    row = np.arange(-500, 500, dtype=np.int16)
    row.tofile(tmp_path / "row")
    mapped = np.memmap(tmp_path / "row", dtype=np.int16, mode="r")
    assert gram([mapped, row]) == gram([row, row])


def test_it_needs_no_copy_of_the_updates():
    n, d = 16, 2**19
    rows = [np.ones(d, dtype=np.int16) for _ in range(n)]
    tracemalloc.start()
    gram(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * n * d / 2  # half of what the updates take


@pytest.mark.parametrize(
    "rows",
    [
        [np.zeros(3, np.int16), np.zeros(4, np.int16)],
        [np.zeros(3, np.int32)],
        [np.zeros(3, np.float64)],
        [np.zeros((1, 3), np.int16)],
        [np.zeros(0, np.int16)],
    ],
    ids=["lengths", "int32", "float64", "two axes", "empty"],
)
def test_rows_of_another_kind_are_refused(rows):
    with pytest.raises(ValueError, match="row"):
        gram(rows)
