"""What is in a table that no job describes: each column as what it is, or a sentence that says where it is wrong."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainer.data import DataOptions
from trainer.data.describe import MOST_COLUMNS, MOST_NAMES, MOST_ROWS, Described, describe


def described(path: Path, **options: str) -> dict[str, Described]:
    columns, _ = describe(str(path), DataOptions.model_validate(options))
    return {column.name: column for column in columns}


def test_numbers_names_and_free_texts_are_told_apart(tmp_path: Path) -> None:
    rows = [f"{n},{['b', 'a', ''][n % 3]},note {n},{n % 2}\n" for n in range(MOST_NAMES + 1)]
    (tmp_path / "d.csv").write_text("id,kind,note,label\n" + "".join(rows))
    found = described(tmp_path / "d.csv")
    assert list(found) == ["id", "kind", "note", "label"]
    number = found["id"].numbers
    assert number is not None
    assert (number.lowest, number.highest, number.whole) == (0, MOST_NAMES, True)
    assert number.std == pytest.approx(np.arange(MOST_NAMES + 1).std())
    assert found["id"].names is None
    assert (found["kind"].numbers, found["kind"].names, found["kind"].gaps) == (None, ("a", "b"), 67)
    assert (found["note"].numbers, found["note"].names) == (None, None)
    assert found["label"].names == ("0", "1")


def test_one_cell_that_is_no_number_makes_a_column_of_names(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b\n1,1\nold,NA\n3,3\n")
    found = described(tmp_path / "d.csv")
    assert (found["a"].numbers, found["a"].names) == (None, ("1", "3", "old"))
    assert found["b"].numbers is not None
    assert found["b"].gaps == 1


def test_a_column_without_any_value_is_neither(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b\n1,\n2,\n")
    assert described(tmp_path / "d.csv")["b"] == Described("b", 2, None, ())


def test_tables_are_read_as_trainers_are_read(tmp_path: Path) -> None:
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress("größe;n\n1,5;ä\n2,5;ö\n".encode("cp1252")))
    found = described(tmp_path / "d.csv.gz", decimal=",", encoding="cp1252")
    assert found["größe"].numbers is not None
    assert found["größe"].numbers.mean == 2
    assert found["n"].names == ("ä", "ö")
    pq.write_table(pa.table({"x": [1, 2], "yes": [True, False], "l": [[1], [2]]}), tmp_path / "d.parquet")
    typed = described(tmp_path / "d.parquet")
    assert typed["x"].names == ("1", "2")
    assert typed["yes"].numbers is not None
    assert (typed["l"].numbers, typed["l"].names) == (None, None)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("d.csv", "a,b\n1\n", "row 2: 2 cells are expected, 1 were found"),
        ("d.csv", "a,a\n1,2\n", "a name comes twice"),
        ("d.csv", "a,b\n", "rows below the header are expected"),
        ("d.csv", "", "it is empty"),
        ("d.csv", 2 * (",".join(f"c{n}" for n in range(MOST_COLUMNS + 1)) + "\n"), "at most 1000 columns"),
        ("d.jsonl", '{"a": 1}\nno\n', "row 2: a JSON object in one line is expected"),
        ("d.txt", "a", "is no table"),
    ],
)
def test_what_is_no_table_is_refused_in_one_sentence(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=r".") as refused:
        described(tmp_path / name)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_more_rows_are_looked_at_than_said(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a\n" + "1\n" * (MOST_ROWS + 5))
    assert describe(str(tmp_path / "d.csv"), DataOptions())[1] == MOST_ROWS
