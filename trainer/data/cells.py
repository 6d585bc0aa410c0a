"""Tables that are texts, as batches of cells. Nothing is guessed: a cell is what stands between two separators.

A row is a line of the file (the header is row 1).
"""

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from trainer.data.header import Batch, Choose, MissingColumn, pick
from trainer.data.reading import Reading
from trainer.data.sources import MAX_LINE, lines

csv.field_size_limit(MAX_LINE)  # a text may be long; the library's own limit is 128 KiB

SEPARATORS = (",", ";", "\t", "|")

# ---------------------------------------------------------------- CSV and its kind


def _cells(path: Path, reading: Reading, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line it starts at; empty lines are none."""
    rows = csv.reader(lines(path, reading), delimiter=separator, strict=True)
    start = 1
    try:
        for row in rows:
            if row:
                yield start, row
            start = rows.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}: row {start}: a row of cells is expected: {error}") from error


def _header(path: Path, reading: Reading, separator: str) -> list[str]:
    for _, row in _cells(path, reading, separator):
        return [name.strip() for name in row]
    raise ValueError(f"{path}: a CSV file with a header line is expected, it is empty")


def separator_of(path: Path, reading: Reading, choose: Choose) -> str:
    """The separator under which the header has all wanted columns, or the most: then the most cells."""
    if reading.options.separator is not None:
        return reading.options.separator
    ranks: dict[str, tuple[int, int]] = {}
    for separator in SEPARATORS:
        try:
            names = _header(path, reading, separator)
            choose(names)
            rank = (10**9, len(names))
        except MissingColumn as error:
            rank = (error.found, len(names))
        except ValueError:
            if separator == SEPARATORS[-1] and not ranks:
                raise
            continue
        ranks[separator] = rank
    best = [separator for separator, rank in ranks.items() if rank == max(ranks.values())]
    if len(best) > 1 and ranks[best[0]][1] > 1:
        raise ValueError(f"{path}: a header with one separator is expected, {best} would do: give the right one")
    return best[0]


def _full(rows: Iterator[tuple[int, list[str]]], cells: int, path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, row in rows:
        if len(row) != cells:
            raise ValueError(f"{path}: row {number}: {cells} cells are expected, {len(row)} were found")
        yield number, row


def read_csv(path: Path, reading: Reading, choose: Choose) -> Iterator[Batch]:
    """A text table with a header line; every row must have as many cells as the header."""
    separator = separator_of(path, reading, choose)
    rows = _cells(path, reading, separator)
    names = [name.strip() for name in next(rows, (1, []))[1]]
    wanted = pick(names, choose, reading)
    places = [names.index(name) for name in wanted]
    full = _full(rows, len(names), path)
    while batch := list(islice(full, reading.batch)):
        across = list(zip(*[row for _, row in batch], strict=True))
        columns = {name: pa.array(across[place], pa.string()) for name, place in zip(wanted, places, strict=True)}
        numbers = np.array([number for number, _ in batch], dtype=np.int64)
        for name, cells in columns.items():
            late = pc.match_substring_regex(cells, r'^\s+"').to_numpy(zero_copy_only=False)
            if late.any():  # the quote would be part of the text
                where = f"{path}: row {numbers[late.argmax()]}, column {name!r}"
                raise ValueError(f"{where}: a quote is expected next to the separator, a space was found before it")
        yield Batch(columns, numbers)


# ---------------------------------------------------------------- JSON lines


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _records(path: Path, reading: Reading) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines(path, reading), start=1):
        if not line.strip():
            continue
        try:
            # NaN and Infinity are no JSON: they stay texts, which a column of numbers refuses or takes for a gap.
            record = json.loads(line, object_pairs_hook=_object, parse_constant=str)
        except RecursionError as error:
            raise ValueError(f"{path}: row {number}: a JSON object is expected: it nests too deeply") from error
        except ValueError as error:
            raise ValueError(f"{path}: row {number}: a JSON object in one line is expected: {error}") from error
        if not isinstance(record, dict):
            raise ValueError(f"{path}: row {number}: a JSON object in one line is expected, another value was found")
        yield number, record


def _array(values: list[Any], path: Path, name: str, rows: Sequence[int]) -> Any:
    """Numbers, booleans or lists of numbers as they are; what is mixed as texts."""
    kinds = {type(value) for value in values} - {type(None)}
    for row, value in zip(rows, values, strict=True):
        if isinstance(value, dict):
            raise ValueError(f"{path}: row {row}, column {name!r}: one value is expected, an object was found")
    try:
        if kinds <= {int, float} or kinds in ({bool}, {list}):
            return pa.array(
                [float(value) if type(value) is int else value for value in values] if kinds == {int, float} else values
            )
        if list in kinds:
            raise ValueError("lists and other values are mixed")
        texts = [
            value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for value in values
        ]
        return pa.array(texts, pa.string())
    except (pa.ArrowException, ValueError, OverflowError, RecursionError) as error:
        where = f"{_first_wrong(values, rows)}, column {name!r}"
        raise ValueError(f"{path}: {where}: values of one kind are expected: {error}") from error


def _first_wrong(values: list[Any], rows: Sequence[int]) -> str:
    """The row of the first value that no column can hold, or of the first of another kind than the one before it."""
    kind = None
    for row, value in zip(rows, values, strict=True):
        broken = isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value)
        large = type(value) is int and not -(2**63) <= value < 2**63
        if broken or large or (kind is not None and value is not None and type(value) is not kind):
            return f"row {row}"
        kind = kind if value is None else type(value)
    return f"rows {rows[0]} … {rows[-1]}"


def read_json_lines(path: Path, reading: Reading, choose: Choose) -> Iterator[Batch]:
    """One JSON object a line; the first one's keys are the columns, a key that a later one lacks is a gap there."""
    records = _records(path, reading)
    wanted: list[str] | None = None
    while batch := list(islice(records, reading.batch)):
        if wanted is None:
            wanted = pick(list(batch[0][1]), choose, reading)
        rows = [number for number, _ in batch]
        columns = {name: _array([record.get(name) for _, record in batch], path, name, rows) for name in wanted}
        yield Batch(columns, np.array(rows, dtype=np.int64))
    if wanted is None:
        raise ValueError(f"{path}: a JSON object in each line is expected, it is empty")
