"""The hash commitment: the vectors' bytes, and nothing else opens it."""

import json
from pathlib import Path

import numpy as np
import pytest

from zk.commitment import check, commit

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/updates.json").read_text())
SALT = bytes(range(32))
W = np.arange(-5, 5, dtype=np.int16)


@pytest.mark.parametrize("vector", VECTORS["updates"], ids=lambda v: v["name"])
def test_a_commitment_is_that_of_the_vectors(vector):
    w = np.array(vector["entries"], dtype=np.int16)
    assert commit(w, bytes.fromhex(vector["salt"])).hex() == vector["commitment"]


@pytest.mark.parametrize("vector", VECTORS["rows"], ids=lambda v: v["name"])
def test_a_commitment_to_rows_is_that_of_the_vectors(vector):
    rows = np.array(vector["rows"], dtype=np.int16)
    assert commit(rows, bytes.fromhex(vector["salt"])).hex() == vector["commitment"]


def test_only_the_committed_entries_salt_and_shape_open_it():
    commitment = commit(W, SALT)
    assert check(commitment, W, SALT)
    changed = W.copy()
    changed[3] += 1
    others = [
        (changed, SALT),
        (-W, SALT),
        (W[:-1], SALT),
        (np.append(W, np.int16(0)), SALT),
        (W.reshape(2, 5), SALT),
        (W, SALT[1:] + SALT[:1]),
    ]
    assert not any(check(commitment, rows, salt) for rows, salt in others)


def test_moving_bytes_between_salt_and_update_changes_the_commitment():
    data = SALT + W.astype("<i2").tobytes()
    shifted = np.frombuffer(data[34:], dtype="<i2")
    assert commit(shifted, data[2:34]) != commit(W, SALT)


@pytest.mark.parametrize(
    ("rows", "salt"),
    [
        (W, SALT[:-1]),
        (W.astype(np.int32), SALT),
        (np.array([-(2**15)], np.int16), SALT),
        (W[:0], SALT),
        (np.zeros((0, 3), np.int16), SALT),
    ],
    ids=["salt", "dtype", "range", "empty", "no rows"],
)
def test_what_is_no_update_is_not_committed_to(rows, salt):
    with pytest.raises(ValueError, match=r"salt|update|row"):
        commit(rows, salt)
