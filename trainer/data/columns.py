"""Columns of cells as numbers: each cell right, or a gap, or refused by file, row and column."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray

from trainer.data.reading import Notes
from zk.encoding import Int64s

Flags = NDArray[np.bool_]
Float64s = NDArray[np.float64]

GAPS = ("", "NA", "N/A", "n/a", "na", "NaN", "nan", "NAN", "null", "NULL", "Null", "None", "none", "NONE", "<NA>",
        "#N/A", "#NA", "-", "?", ".")  # fmt: skip
"""Words that stand for no value, in columns of numbers, and in others where the job gives them no meaning."""

EXACT = 2.0**24
"""Whole numbers beyond it are rounded in float32."""

_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_NUMBER = {sign: rf"^[+-]?([0-9]+{at}?[0-9]*|{at}[0-9]+)([eE][+-]?[0-9]+)?$" for sign, at in ((".", r"\."), (",", ","))}
_UNKNOWN, _GAP = -2, -1


@dataclass(frozen=True, slots=True)
class Column:
    """cells: an Arrow array; rows: int64[n], where each stands; name: the file's name for it."""

    path: Path
    name: str
    cells: Any
    rows: Int64s

    def refuse(self, at: int, expected: str, hint: str = "") -> NoReturn:
        """Raises ValueError for a cell."""
        value = self.cells[at].as_py()
        found = "none" if value is None or value == "" else repr(value)
        found = found if len(found) <= 60 else f"{found[:60]}…"
        where = f"{self.path}: row {self.rows[at]}, column {self.name!r}"
        raise ValueError(f"{where}: {expected} is expected, {found} was found{hint}")

    def refuse_gaps(self, gaps: Flags, what: str = "a value") -> None:
        """Raises ValueError for the first gap, if there is one."""
        if gaps.any():
            self.refuse(int(np.flatnonzero(gaps)[0]), what)

    def refuse_kind(self, expected: str) -> NoReturn:
        """Raises ValueError for a column of another type."""
        raise ValueError(f"{self.path}: column {self.name!r}: {expected} are expected, {self.cells.type} was found")


def texts(column: Column) -> list[str | None]:
    """The cells as they stand; None for null. Raises ValueError for a column that is no text."""
    kind = column.cells.type
    if pa.types.is_null(kind):
        return [None] * len(column.cells)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)):
        column.refuse_kind("texts")
    try:
        found: list[str | None] = column.cells.cast(pa.large_string()).to_pylist()
    except pa.ArrowException as error:
        raise ValueError(f"{column.path}: column {column.name!r}: texts in UTF-8 are expected") from error
    return found


def numbers(column: Column, decimal: str, notes: Notes) -> tuple[Float64s, Flags]:
    """float64[n] and which of them are gaps (there 0). true and false are 1 and 0. Raises ValueError for others."""
    kind = column.cells.type
    if pa.types.is_null(kind):
        return np.zeros(len(column.cells)), np.ones(len(column.cells), dtype=np.bool_)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        values = column.cells.cast(pa.float64(), safe=False)
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = column.cells.cast(pa.float64())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        values = _parsed(column, decimal)
    else:
        column.refuse_kind("numbers")
    found: Float64s = values.to_numpy(zero_copy_only=False).astype(np.float64)  # null is NaN
    gaps = np.isnan(found)
    infinite = np.flatnonzero(np.isinf(found))
    if infinite.size:
        column.refuse(int(infinite[0]), "a finite number")
    rounded = int((~gaps & (np.abs(found) > EXACT) & (found == np.rint(found))).sum())
    notes.remark(f"column {column.name!r}: whole numbers beyond {int(EXACT)}, which float32 rounds", rounded)
    return np.where(gaps, 0.0, found), gaps


def _parsed(column: Column, decimal: str) -> Any:
    """float64 Arrow array of texts, null where a gap is."""
    cells = pc.utf8_trim_whitespace(column.cells)
    cells = pc.if_else(pc.is_in(cells, pa.array(_TRUE, cells.type)), "1", cells)
    cells = pc.if_else(pc.is_in(cells, pa.array(_FALSE, cells.type)), "0", cells)
    cells = pc.if_else(pc.is_in(cells, pa.array(GAPS, cells.type)), pa.scalar(None, cells.type), cells)
    wrong = pc.invert(pc.fill_null(pc.match_substring_regex(cells, _NUMBER[decimal]), True))
    if pc.any(wrong).as_py():
        at = int(np.flatnonzero(wrong.to_numpy(zero_copy_only=False))[0])
        word = cells[at].as_py()
        hint = "; if its comma is a decimal sign, give decimal ','" if "," in word and decimal == "." else ""
        column.refuse(at, "a number" if decimal == "." else "a number with a decimal comma", hint)
    return pc.replace_substring(cells, ",", ".").cast(pa.float64())


def within(column: Column, values: Float64s, gaps: Flags, minimum: float, maximum: float) -> None:
    """Raises ValueError for the first value out of bounds."""
    wrong = np.flatnonzero(~gaps & ~((values >= minimum) & (values <= maximum)))
    if wrong.size:
        column.refuse(int(wrong[0]), f"a value {minimum} … {maximum}")


def whole(column: Column, classes: int, decimal: str, notes: Notes) -> tuple[Int64s, Flags]:
    """int64[n] labels 0 … classes − 1, and which are gaps."""
    values, gaps = numbers(column, decimal, notes)
    wrong = np.flatnonzero(~gaps & ~((values == np.rint(values)) & (values >= 0) & (values < classes)))
    if wrong.size:
        column.refuse(int(wrong[0]), f"a label 0 … {classes - 1} (whole numbers)")
    return values.astype(np.int64), gaps


def codes(column: Column, names: tuple[str, ...]) -> tuple[Int64s, Flags]:
    """int64[n], each cell's place among the names (0 for a gap), and which are gaps.

    A cell that is a name is that name, whatever else its text may mean; space around it is none of it. ValueError for
    what is neither a name nor a gap.
    """
    kind = column.cells.type
    if pa.types.is_nested(kind) or pa.types.is_temporal(kind):
        column.refuse_kind("names")
    encoded = column.cells.dictionary_encode()
    places = {name: place for place, name in enumerate(names)}
    found = [_place(value, places) for value in encoded.dictionary.to_pylist()]
    index = pc.fill_null(encoded.indices, len(found)).to_numpy(zero_copy_only=False)
    result = np.array([*found, _GAP], dtype=np.int64)[index]
    unknown = np.flatnonzero(result == _UNKNOWN)
    if unknown.size:
        at = int(unknown[0])
        word = str(column.cells[at].as_py()).strip().casefold()
        near = next((name for name in names if name.strip().casefold() == word), None)
        listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        column.refuse(at, f"one of {listed}", f"; {near!r} is spelt otherwise" if near is not None else "")
    gaps = result == _GAP
    return np.where(gaps, 0, result), gaps


def _place(value: Any, places: dict[str, int]) -> int:
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return _GAP
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    spellings = _spellings(value)
    for text in spellings:
        if text in places:
            return places[text]
    return _GAP if spellings[-1] in GAPS else _UNKNOWN


def _spellings(value: Any) -> tuple[str, ...]:
    """How a cell's value may be written as a name: Parquet's are typed."""
    if isinstance(value, bool):
        return str(value), str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(value), str(int(value))
    return str(value), str(value).strip()


def lists(column: Column, size: int) -> tuple[Float64s, Flags]:
    """float64[n, size] of a column of lists of numbers, nested or not, and which rows are gaps."""
    cells, n = column.cells, len(column.cells)
    if not _is_list(cells.type):
        column.refuse_kind(f"lists of {size} numbers")
    gaps: Flags = np.asarray(cells.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
    result = np.zeros((n, size))
    if (
        not gaps.any()
        and not _is_list(cells.type.value_type)
        and pc.all(pc.equal(pc.list_value_length(cells), size)).as_py()
    ):
        row = cells.flatten()
        if row.null_count == 0 and _is_number(row.type):
            return row.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).reshape(n, size), gaps
    for at in np.flatnonzero(~gaps):
        row = cells[int(at)].values
        while _is_list(row.type):
            if len({len(entry) if entry.is_valid else -1 for entry in row}) > 1:
                column.refuse(int(at), "a list of lists of one length")
            row = row.flatten()
        if len(row) != size or row.null_count or not _is_number(row.type):
            column.refuse(int(at), f"a list of {size} numbers")
        result[at] = row.to_numpy(zero_copy_only=False)
    return result, gaps


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
