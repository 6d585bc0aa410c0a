"""Tables as strangers write them: each is read right, or refused by file, row and column. Never silently wrong."""

import bz2
import codecs
import gzip
import json
import lzma
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainer.config import DataSchema
from trainer.data import DataOptions, Notes, read

SCHEMA = DataSchema.model_validate(
    {
        "features": {
            "age": {"kind": "number", "minimum": 0, "maximum": 150, "mean": 40},
            "city": {"kind": "category", "values": ["Köln", "Rome", "01"]},
            "income": {"kind": "number", "minimum": -1e9, "maximum": 1e9},
        },
        "target": {"kind": "category", "name": "label", "classes": 2, "names": ["no", "yes"]},
    }
)
RIGHT = [[30, 1, 0, 0, 1.5], [41, 0, 1, 0, -2]]
TABLE = [["age", "city", "income", "label"], ["30", "Köln", "1.5", "no"], ["41", "Rome", "-2", "yes"]]


def table(rows: list[list[str]] = TABLE, separator: str = ",", end: str = "\n") -> str:
    return "".join(separator.join(row) + end for row in rows)


def changed(row: int, **cells: str) -> str:
    """The table with other cells in a row, from 1."""
    rows = [list(line) for line in TABLE]
    for name, cell in cells.items():
        rows[row][TABLE[0].index(name)] = cell
    return table(rows)


def zstd(content: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as file:
        file.write(content)
    return bytes(out.getvalue().to_pybytes())


@dataclass
class Case:
    """name: what it is; file: its bytes or text; right: expected rows and labels, or why it is refused (a pattern)."""

    name: str
    file: str | bytes
    right: str | tuple[list[Any], list[int]] = (RIGHT, [0, 1])
    options: dict[str, Any] = field(default_factory=dict)
    ending: str = "csv"
    notes: Callable[[Notes], bool] = lambda notes: True


def records(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


A = {"age": 30, "city": "Köln", "income": 1.5, "label": "no"}
B = {"age": 41, "city": "Rome", "income": -2, "label": "yes"}


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def dropped(count: int) -> Callable[[Notes], bool]:
    return lambda notes: notes.dropped == count


FIRST = (RIGHT[:1], [0])
SECOND = (RIGHT[1:], [1])
GAP = r"row 2, column 'age': a number is expected, '.+' was found|row 2, column 'age': a number is expected, none"

SHAPES = [
    Case("as it should be", table()),
    Case("a cell too many", table([*TABLE[:2], ["41", "Rome", "-2", "yes", "9"]]), r"row 3: 4 cells are expected, 5"),
    Case("a cell too few", table([*TABLE[:2], ["41", "Rome", "-2"]]), r"row 3: 4 cells are expected, 3"),
    Case("an index that the header lacks", "age,city,income,label\n0,30,Köln,1.5,no\n", r"row 2: 4 cells .* 5 were"),
    Case("an index that the header names", ",age,city,income,label\n0,30,Köln,1.5,no\n", FIRST),
    Case("no header", table(TABLE[1:]), r"a column 'age' is expected, the header names 4 others$"),
    Case("a header of numbers only", "1,2,3,4\n", r"a column 'age' is expected"),
    Case("nothing", "", "is expected, it is empty"),
    Case("only a header", table(TABLE[:1]), "at least 1 samples are expected, 0 were found"),
    Case("a name twice", "age,age,city,income,label\n30,31,Köln,1.5,no\n", "a name comes twice"),
    Case("a name twice among those that nobody asked for", "x,x,age,city,income,label\n", "a name comes twice"),
    Case("a name twice but for a space", "age, age,city,income,label\n1,30,Köln,1.5,no\n", "a name comes twice"),
    Case("another order", table([row[::-1] for row in TABLE])),
    Case("a column missing", table([row[1:] for row in TABLE]), "'age' is expected, the header names 3 others"),
    Case("a name in another case", table([["Age", *TABLE[0][1:]], *TABLE[1:]]), "column 'age'.*'Age' is there: map it"),
    Case("a name mapped", table([["Alter", *TABLE[0][1:]], *TABLE[1:]]), options={"map": {"age": "Alter"}}),
    Case("two names swapped by a map", table([["income", "city", "age", "label"], *TABLE[1:]]),
         options={"map": {"age": "income", "income": "age"}}),
    Case("a map of what the job has not", table(), "no feature or target 'old'", {"map": {"old": "age"}}),
    Case("a map of two to one", table(), "'income' is taken", {"map": {"age": "income"}}),
    Case("columns nobody asked for", table([[*row, "x"] for row in TABLE]), notes=lambda notes: notes.columns == ["x"]),
    Case("separators at every end", table([[*row, ""] for row in TABLE])),
    Case("separators at the ends of rows only", table([TABLE[0], *([*row, ""] for row in TABLE[1:])]),
         "row 2: 4 cells are expected, 5"),
    Case("empty lines", "\n" + table(end="\n\n")),
    Case("lines of spaces", table() + "   \n", "row 4: 4 cells are expected, 1 were found"),
    Case("a comment", table(TABLE[:2]) + "# no more\n", "row 3: 4 cells are expected, 1 were found"),
    Case("a comment before the header", "# made by hand\n" + table(), "a column 'age' is expected"),
    Case("a comment of as many cells", table(TABLE[:2]) + "#41,Rome,-2,yes\n", "row 3, column 'age': a number"),
    Case("the header again", table([*TABLE[:2], TABLE[0]]), "row 3, column 'age': a number is expected, 'age'"),
]  # fmt: skip

TEXTS = [
    Case("semicolons", table(separator=";")),
    Case("tabs", table(separator="\t"), ending="tsv"),
    Case("tabs in a .csv", table(separator="\t")),
    Case("bars", table(separator="|")),
    Case("a separator that is given", table(separator="|"), options={"separator": "|"}),
    Case("another separator than is given", table(), "a column 'age' is expected", {"separator": ";"}),
    Case("commas in a header of semicolons", "a,b;" + table(separator=";").replace("\n", "\nx;").removesuffix("x;")),
    Case("decimal commas", table(separator=";").replace("1.5", "1,5"), options={"decimal": ","}),
    Case("decimal commas unsaid", table(separator=";").replace("1.5", "1,5"),
         r"row 2, column 'income': a number is expected, '1,5' was found; if its comma"),
    Case("decimal points where commas are said", table(separator=";"), "with a decimal comma", {"decimal": ","}),
    Case("decimal commas between commas", table().replace("1.5", "1,5"), "row 2: 4 cells are expected, 5 were"),
    Case("thousands", table(separator=";").replace("1.5", "1,500.0"), "row 2, column 'income'.*'1,500.0'"),
    Case("thousands with commas for decimals", table(separator=";").replace("1.5", "1.500,0"), "'1.500,0'",
         {"decimal": ","}),
    Case("thousands with spaces", changed(1, income="1 500"), "'1 500' was found"),
    Case("line ends of Windows", table(end="\r\n")),
    Case("line ends of old", table(end="\r")),
    Case("no line end at the end", table().removesuffix("\n")),
    Case("UTF-8 with a mark", codecs.BOM_UTF8 + table().encode()),
    Case("UTF-8 with a mark, said", codecs.BOM_UTF8 + table().encode(), options={"encoding": "utf-8"}),
    Case("UTF-16", table().encode("utf-16")),
    Case("UTF-16, the other way", codecs.BOM_UTF16_BE + table().encode("utf-16-be")),
    Case("UTF-16 without a mark", table().encode("utf-16-le"), "zero byte"),
    Case("UTF-32", table().encode("utf-32"), "zero byte|a text in the encoding"),
    Case("Latin", table().encode("latin-1"), notes=lambda notes: "cp1252" in str(notes.remarks)),
    Case("Latin, said", table().encode("latin-1"), options={"encoding": "latin-1"}),
    Case("Latin said to be UTF-8", table().encode("latin-1"), "a text in the encoding utf-8", {"encoding": "utf-8"}),
    Case("a wrong encoding", table().encode(), "column 'city': one of Köln.*'KÃ¶ln'", {"encoding": "cp1252"}),
    Case("gzip", gzip.compress(table().encode()), ending="csv.gz"),
    Case("gzip unsaid", gzip.compress(table().encode())),
    Case("bzip2", bz2.compress(table().encode()), ending="csv.bz2"),
    Case("xz", lzma.compress(table().encode()), ending="csv.xz"),
    Case("zstd", zstd(table().encode()), ending="csv.zst"),
    Case("gzip cut short", gzip.compress(table().encode())[:-9], "a text file is expected"),
    Case("zstd cut short", zstd(table().encode())[:-9], "a text file is expected"),
    Case("xz cut short", lzma.compress(table().encode())[:-9], "a text file is expected"),
    Case("compressed twice", gzip.compress(gzip.compress(table().encode())), "compressed twice"),
    Case("an archive", b"PK\x03\x04" + bytes(40), "an archive, or a workbook"),
    Case("all quoted", table([[f'"{cell}"' for cell in row] for row in TABLE])),
    Case("a line end within quotes", 'note,age,city,income,label\n"a\nb, c",30,Köln,1.5,no\n"",41,Rome,-2,yes\n'),
    Case("a row after such a line end", 'note,age,city,income,label\n"a\nb",30,Köln,1.5,no\n"",x,Rome,-2,yes\n',
         "row 4, column 'age'.*'x' was found"),
    Case("quotes that do not end", table() + '"', "row 4"),
    Case("text after a quote", table().replace("Köln", '"Köln"x'), "row 2: a row of cells is expected"),
    Case("quotes within quotes", 'note,age,city,income,label\n"a ""b""",30,Köln,1.5,no\n', FIRST),
    Case("a quote after a space", table().replace(",Köln", ', "Köln"'), "row 2, column 'city': a quote"),
    Case("a quote after a space where nobody looks", 'note,age,city,income,label\n "a",30,Köln,1.5,no\n', FIRST),
    Case("a long cell", f"note,age,city,income,label\n{'x' * 200_000},30,Köln,1.5,no\n", FIRST),
    Case("a zero byte", table().replace("Rome", "Ro\0me"), "row 3: .*a zero byte"),
]  # fmt: skip

CELLS = [
    Case("spaces around", table(separator=" , ")),
    Case("a plus, a point without digits, an exponent", changed(1, income="+.15E1")),
    Case("a date", changed(1, age="2026-11-27"), "row 2, column 'age': a number is expected, '2026-11-27'"),
    Case("a hexadecimal", changed(1, age="0x1e"), "'0x1e' was found"),
    Case("an underscore", changed(1, age="3_0"), "'3_0' was found"),
    Case("a percentage", changed(1, age="30%"), "'30%' was found"),
    Case("digits of another script", changed(1, age="３０"), "'３０' was found"),
    Case("inf", changed(1, income="inf"), "row 2, column 'income': a number is expected, 'inf'"),
    Case("1e400", changed(1, income="1e400"), "row 2, column 'income': a finite number is expected, '1e400'"),
    Case("out of range", changed(2, age="151"), r"row 3, column 'age': a value 0.0 … 150.0 is expected, '151'"),
    Case("a whole number that float32 rounds", changed(1, income="16777217"),
         ([[30, 1, 0, 0, 16777216], RIGHT[1]], [0, 1]),
         notes=lambda notes: any("float32 rounds" in remark for remark in notes.remarks)),
    Case("a truth for a number", changed(1, age="true"), ([[1, 1, 0, 0, 1.5], RIGHT[1]], [0, 1])),
    *[Case(f"the gap {gap!r}", changed(1, age=gap), GAP) for gap in ("", "NA", "n/a", "null", "NaN", "?", "None", "-")],
    *[Case(f"the gap {gap!r}, dropped", changed(1, age=gap), SECOND, {"missing": "drop"}, notes=dropped(1))
      for gap in ("", "NA", "n/a", "null", "NaN", "?")],
    Case("a gap filled", changed(1, age="NA"), ([[40, 1, 0, 0, 1.5], RIGHT[1]], [0, 1]), {"missing": "mean"},
         notes=lambda notes: notes.missing == {"age": 1}),
    Case("a gap among categories", changed(1, city=""), "row 2, column 'city': a value is expected, none"),
    Case("a gap among categories has no mean", changed(1, city="NA"), "column 'city'", {"missing": "mean"}),
    Case("a gap among categories, dropped", changed(1, city="NA"), SECOND, {"missing": "drop"}, notes=dropped(1)),
    Case("a gap among labels", changed(1, label="?"), "row 2, column 'label': a label", {"missing": "mean"}),
    Case("a gap among labels, dropped", changed(1, label=""), SECOND, {"missing": "drop"}),
    Case("what is no gap is not dropped", changed(1, age="old"), "'old' was found", {"missing": "drop"}),
    Case("all dropped", changed(1, age="").replace("Rome", ""), "at least 1 samples", {"missing": "drop"}),
    Case("a category nobody knows", changed(2, city="Paris"), "row 3, column 'city': one of Köln, Rome, 01"),
    Case("a category in another case", changed(2, city="ROME"), "'ROME' was found; 'Rome' is spelt otherwise"),
    Case("a category that is a number", changed(2, city="01"), ([RIGHT[0], [41, 0, 0, 1, -2]], [0, 1])),
    Case("a category that is another number", changed(2, city="1"), "one of Köln, Rome, 01 is expected, '1'"),
    Case("a class nobody knows", changed(2, label="maybe"), "row 3, column 'label': one of no, yes is expected"),
    Case("a class in another case", changed(2, label="Yes"), "'yes' is spelt otherwise"),
]  # fmt: skip

JSON = [
    Case("JSON lines", records(A, B), ending="jsonl"),
    Case("empty lines", records(A, B).replace("\n", "\n\n"), ending="ndjson"),
    Case("numbers that are texts", records({**A, "age": "30"}, {**B, "age": "41"}), ending="jsonl"),
    Case("numbers of both kinds", records({**A, "age": "30"}, B), ending="jsonl"),
    Case("another order", records(A, dict(reversed(B.items()))), ending="jsonl"),
    Case("keys nobody asked for", records({**A, "x": {"y": [1]}}, B), ending="jsonl",
         notes=lambda notes: notes.columns == ["x"]),
    Case("a key missing at first", records(without(A, "age"), B), "a column 'age' is expected", ending="jsonl"),
    Case("a key missing later", records(A, without(B, "age")), "row 2, column 'age': a number is expected, none",
         ending="jsonl"),
    Case("a key missing later, dropped", records(A, without(B, "age")), FIRST, {"missing": "drop"}, "jsonl"),
    Case("null", records(A, {**B, "city": None}), "row 2, column 'city'.*none was found", ending="jsonl"),
    Case("a key twice", '{"age": 3, "age": 4}\n', "row 1: .*a key comes twice", ending="jsonl"),
    Case("an object within", records({**A, "age": {"years": 3}}, B), "row 1, column 'age': one value is expected",
         ending="jsonl"),
    Case("a list within", records({**A, "age": [3]}, B), "column 'age'", ending="jsonl"),
    Case("lists only", records({**A, "age": [3]}, {**B, "age": [4]}), "column 'age': numbers are expected, list",
         ending="jsonl"),
    Case("a list of objects", json.dumps([A, B]), "row 1: a JSON object in one line is expected", ending="json"),
    Case("an object over lines", json.dumps(A, indent=1), "row 1: a JSON object in one line", ending="json"),
    Case("cut short", records(A, B)[:-9], "row 2: a JSON object in one line is expected", ending="jsonl"),
    Case("NaN", records({**A, "age": float("nan")}, B), "row 1, column 'age': a number .*'NaN'", ending="jsonl"),
    Case("infinity", records({**A, "income": float("inf")}, B), "row 1, column 'income'.*'Infinity'", ending="jsonl"),
    Case("1e400", records(A, B).replace("1.5", "1e400"), "row 1, column 'income': a finite number", ending="jsonl"),
    Case("more than 64 bits", records(A, {**B, "income": 10**30}), "row 2, column 'income'", ending="jsonl"),
    Case("5,000 digits", records(A, B).replace("1.5", "1" * 5000), "row 1: a JSON object", ending="jsonl"),
    Case("half a letter", records(A, {**B, "city": "x"}).replace('"x"', '"\\ud800"'),
         "row 2, column 'city'", ending="jsonl"),
    Case("a deep nest", "[" * 100_000 + "\n", "row 1: a JSON object", ending="jsonl"),
    Case("nothing", "", "it is empty", ending="jsonl"),
    Case("zstd", zstd(records(A, B).encode()), ending="jsonl.zst"),
]  # fmt: skip

ALL = [*SHAPES, *TEXTS, *CELLS, *JSON]


def judged(case: Case, path: Path) -> None:
    notes = Notes()
    options = DataOptions.model_validate(case.options)
    if isinstance(case.right, str):
        with pytest.raises(ValueError, match=case.right) as caught:
            read(str(path), SCHEMA, options, notes=notes)
        assert str(path) in str(caught.value) or str(caught.value).startswith("map:")
        assert "\n" not in str(caught.value)
        return
    data = read(str(path), SCHEMA, options, notes=notes)
    assert data.inputs["table"].dtype == np.float32
    assert data.inputs["table"].tolist() == case.right[0]
    assert data.y is not None
    assert data.y.tolist() == case.right[1]
    assert case.notes(notes), notes


@pytest.mark.parametrize("case", ALL, ids=[f"{case.ending}: {case.name}" for case in ALL])
def test_a_text_table_is_read_right_or_refused_by_row_and_column(tmp_path: Path, case: Case) -> None:
    path = tmp_path / f"data.{case.ending}"
    path.write_bytes(case.file.encode() if isinstance(case.file, str) else case.file)
    judged(case, path)


def columns(**changes: Any) -> pa.Table:
    made: dict[str, Any] = {name: pa.array([A[name], B[name]]) for name in A}
    return pa.table({**made, **changes})


DATES = pa.array([0, 1], pa.int32()).cast(pa.date32())
TYPED = [
    ("as it should be", columns(), None),
    ("numbers that are texts", columns(age=["30", "41"]), None),
    ("dictionaries", columns(city=pa.array(["Köln", "Rome"]).dictionary_encode()), None),
    ("numbers in dictionaries", columns(age=pa.array([30, 41]).dictionary_encode()), None),
    ("exact decimals", columns(age=pa.array([30, 41]).cast(pa.decimal128(30, 2))), None),
    ("small floats", columns(income=pa.array([1.5, -2]).cast(pa.float16())), None),
    ("texts of another width", columns(city=pa.array(["Köln", "Rome"], pa.large_string())), None),
    ("texts as bytes", columns(city=pa.array(["Köln".encode(), b"Rome"])), None),
    ("a column nobody asked for", columns(x=[[1], [2]]), None),
    ("null", columns(age=[30, None]), r"row 2, column 'age': a number is expected, none"),
    ("only nulls", columns(age=pa.nulls(2)), r"row 1, column 'age': a number is expected, none"),
    ("NaN", columns(income=[1.5, float("nan")]), r"row 2, column 'income': a number is expected, nan"),
    ("infinity", columns(income=[1.5, float("-inf")]), r"row 2, column 'income': a finite number"),
    ("dates", columns(age=DATES), r"column 'age': numbers are expected, date32"),
    ("dates for names", columns(city=DATES), r"column 'city': names are expected, date32"),
    ("lists", columns(age=[[30], [41]]), r"column 'age': numbers are expected, list"),
    ("records", columns(age=[{"a": 1}, {"a": 2}]), r"column 'age': numbers are expected, struct"),
    ("bytes that are no text", columns(city=[b"\xff", b"Rome"]), r"row 1, column 'city': one of Köln"),
    ("a class that is null", columns(label=["no", None]), r"row 2, column 'label': a label is expected, none"),
]


@pytest.mark.parametrize("ending", ["parquet", "feather", "arrow"])
@pytest.mark.parametrize(("made", "refused"), [case[1:] for case in TYPED], ids=[case[0] for case in TYPED])
def test_a_typed_table_is_read_right_or_refused(
    tmp_path: Path, ending: str, made: pa.Table, refused: str | None
) -> None:
    path = tmp_path / f"data.{ending}"
    if ending == "parquet":
        pq.write_table(made, path)
    elif ending == "feather":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, made.schema) as writer:
            writer.write_table(made)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, made.schema) as writer:
            writer.write_table(made)
    judged(Case("", b"", refused or (RIGHT, [0, 1])), path)


def test_offsets_that_lead_out_of_a_file_are_refused(tmp_path: Path) -> None:
    path, made = tmp_path / "data.arrow", columns()
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, made.schema) as writer:
        writer.write_table(made)
    content, offsets = path.read_bytes(), np.array([0, 5, 9], "<i4").tobytes()
    assert content.count(offsets) == 1
    path.write_bytes(content.replace(offsets, np.array([0, 5, 2**30], "<i4").tobytes()))
    with pytest.raises(ValueError, match=r"data\.arrow: an Arrow file is expected"):
        read(str(path), SCHEMA)


def test_a_data_set_saved_by_datasets_is_read_in_its_own_order(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset(columns()).select([1, 0]).save_to_disk(str(tmp_path / "saved"))
    data = read(str(tmp_path / "saved"), SCHEMA)
    assert data.inputs["table"].tolist() == RIGHT[::-1]
    state = json.loads((tmp_path / "saved" / "state.json").read_text())
    state["_data_files"][0]["filename"] = "../outside.arrow"
    (tmp_path / "saved" / "state.json").write_text(json.dumps(state))
    with pytest.raises(ValueError, match="lie elsewhere"):
        read(str(tmp_path / "saved"), SCHEMA)


def test_a_text_bomb_is_refused_by_what_it_becomes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.data import sources

    monkeypatch.setattr(sources, "MAX_BYTES", 100_000)
    for ending, pack in (("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("zst", zstd)):
        path = tmp_path / f"data.csv.{ending}"
        path.write_bytes(pack(table(TABLE[:1]).encode() + b"\n" * 1_000_000))
        with pytest.raises(ValueError, match="at most 100000 are read"):
            read(str(path), SCHEMA)


def test_an_xz_file_that_asks_for_more_memory_than_is_given_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**29}]
    packed = lzma.compress(table().encode(), filters=filters)
    (tmp_path / "data.csv.xz").write_bytes(packed)
    with pytest.raises(ValueError, match=r"a text file is expected: .*[Mm]emory"):
        read(str(tmp_path / "data.csv.xz"), SCHEMA)


def test_more_rows_than_a_batch_keep_their_numbers(tmp_path: Path) -> None:
    rows = [TABLE[0], *[TABLE[1]] * 20_000, ["x", *TABLE[1][1:]]]
    (tmp_path / "data.csv").write_text(table(rows))
    with pytest.raises(ValueError, match="row 20002, column 'age'"):
        read(str(tmp_path / "data.csv"), SCHEMA)


def test_a_refusal_without_a_header_shows_no_value(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("77,Secretville,3.25,yes\n1,2,3,4\n")
    with pytest.raises(ValueError, match="a column 'age'") as caught:
        read(str(tmp_path / "data.csv"), SCHEMA)
    assert not any(secret in str(caught.value).removeprefix(str(tmp_path)) for secret in ("77", "Secret", "3.25"))


# ---------------------------------------------------------------- other features and targets


def schema_of(target: dict[str, Any] | None = None, **features: dict[str, Any]) -> DataSchema:
    return DataSchema.model_validate({"features": features, "target": target})


@pytest.mark.parametrize(("content", "right"), [
    ("x.1,x.0,y\n2,1,0\n", [[1, 2]]),
    ("x1,y,x0\n2,0,1\n", [[1, 2]]),
    ("x_0,x_1,y\n1,2,0\n", [[1, 2]]),
    ("a,b,y\n1,2,0\n", r"a column 'x' \(or x.0, x.1, …\) is expected"),
    ("x,y\n1,0\n", "lists of 2 numbers are expected"),
    ("x.0,x.1,y\n1,,0\n", r"row 2, column 'x.1': a number"),
])  # fmt: skip
def test_a_tensor_in_a_table_is_of_columns_by_number(tmp_path: Path, content: str, right: Any) -> None:
    schema = schema_of({"kind": "category", "name": "y", "classes": 2}, x={"kind": "tensor", "shape": [2]})
    (tmp_path / "data.csv").write_text(content)
    if isinstance(right, str):
        with pytest.raises(ValueError, match=right):
            read(str(tmp_path / "data.csv"), schema)
    else:
        assert read(str(tmp_path / "data.csv"), schema).inputs["x"].tolist() == right


@pytest.mark.parametrize(("values", "right"), [
    ([[[1, 2], [3, 4]]], [[[1, 2], [3, 4]]]),
    ([[1, 2, 3, 4.5]], [[[1, 2], [3, 4.5]]]),
    ([[1, 2, 3]], "row 1, column 'x': a list of 4 numbers"),
    ([[[1, 2, 3], [4]]], "row 1, column 'x': a list of lists of one length"),
    ([[1, 2, 3, None]], "row 1, column 'x': a list of 4 numbers"),
    ([["1", "2", "3", "4"]], "row 1, column 'x': a list of 4 numbers"),
    ([[1, 2, 3, 4], None], "row 2, column 'x': a value is expected, none"),
])  # fmt: skip
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_tensor_may_be_a_column_of_lists(tmp_path: Path, values: list[Any], right: Any, ending: str) -> None:
    schema = schema_of({"kind": "category", "name": "y", "classes": 2}, x={"kind": "tensor", "shape": [2, 2]})
    path = tmp_path / f"data.{ending}"
    if ending == "jsonl":
        path.write_text(records(*({"x": value, "y": 0} for value in values)))
    else:
        pq.write_table(pa.table({"x": values, "y": [0] * len(values)}), path)
    if isinstance(right, str):
        with pytest.raises(ValueError, match=right):
            read(str(path), schema)
    else:
        assert read(str(path), schema).inputs["x"].tolist() == right


def test_targets_are_numbers_or_answers(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b,c\n1,true,2.5\n2,0,-1\n")
    path, a = str(tmp_path / "data.csv"), {"kind": "number"}
    number = read(path, schema_of({"kind": "number", "names": ["c", "a"]}, a=a)).y
    answers = read(path, schema_of({"kind": "labels", "names": ["b"]}, a=a)).y
    assert number is not None
    assert answers is not None
    assert (number.dtype, number.tolist()) == (np.float32, [[2.5, 1], [-1, 2]])
    assert (answers.dtype, answers.tolist()) == (np.float32, [[1], [0]])
    with pytest.raises(ValueError, match="row 3, column 'a': a label 0 … 1"):
        read(path, schema_of({"kind": "labels", "names": ["a"]}, a=a))
