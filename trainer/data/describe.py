"""What is in a table that no job describes yet: its columns, for whoever writes a job's features."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from trainer.config import DataSchema, NumberFeature
from trainer.data.columns import GAPS, Column, Flags, Float64s, numbers, texts
from trainer.data.endings import ending_of
from trainer.data.options import DataOptions
from trainer.data.reading import Reading
from trainer.data.tables import ENDINGS

MOST_ROWS = 100_000
"""Rows that are looked at."""

MOST_COLUMNS = 1000
MOST_NAMES = 200
"""Different texts of a column up to which they may be categories."""

_MOST_BYTES = 2**28
_LONGEST = 200
# Readers want a job's schema; of this one nothing is looked up.
_ANY = DataSchema(features={"any": NumberFeature(kind="number")})


@dataclass(frozen=True, slots=True)
class Numbers:
    """Of a column's cells as numbers. whole: all are whole numbers."""

    lowest: float
    highest: float
    mean: float
    std: float
    whole: bool


@dataclass(frozen=True, slots=True)
class Described:
    """A column. numbers: None where a cell is none, or all are gaps; names: the different texts, None where they
    are too many or too long for categories; gaps: cells without a value."""

    name: str
    gaps: int
    numbers: Numbers | None
    names: tuple[str, ...] | None


def describe(source: str, options: DataOptions) -> tuple[list[Described], int]:
    """The columns of a table's first rows, and how many rows these were. Raises ValueError in one sentence."""
    path = Path(source)
    ending = ending_of(path)
    if ending not in ENDINGS or not path.is_file():
        raise ValueError(f"{source} is no table: give a file {', '.join(ENDINGS)}")
    reading = Reading(path, _ANY, options)
    columns: dict[str, list[Column]] = {}
    rows, size = 0, 0

    for batch in ENDINGS[ending](path, reading, lambda names: [name for name in names if name]):
        if len(batch.columns) > MOST_COLUMNS:
            raise ValueError(f"{path}: at most {MOST_COLUMNS} columns are described, {len(batch.columns)} were found")
        left = MOST_ROWS - rows
        for name, cells in batch.columns.items():
            columns.setdefault(name, []).append(Column(path, name, cells[:left], batch.rows[:left]))
        rows += min(left, len(batch.rows))
        size += sum(cells.nbytes for cells in batch.columns.values())
        if rows >= MOST_ROWS or size > _MOST_BYTES:
            break
    if rows == 0:
        raise ValueError(f"{path}: rows below the header are expected, there are none")
    return [_described(name, parts, reading) for name, parts in columns.items()], rows


def _described(name: str, parts: list[Column], reading: Reading) -> Described:
    found = _numbers(parts, reading)
    values, missing = found if found is not None else (None, None)
    names, gaps = _names(parts)
    if values is None or missing is None or missing.all():
        return Described(name, gaps if missing is None else int(missing.sum()), None, names)
    there = values[~missing]
    facts = Numbers(
        lowest=float(there.min()),
        highest=float(there.max()),
        mean=float(there.mean()),
        std=float(there.std()),
        whole=bool((there == np.rint(there)).all()),
    )
    return Described(name, int(missing.sum()), facts, names)


def _numbers(parts: list[Column], reading: Reading) -> tuple[Float64s, Flags] | None:
    """None where a cell is no number."""
    try:
        read = [numbers(part, reading.options.decimal, reading.notes) for part in parts]
    except ValueError:
        return None
    return np.concatenate([values for values, _ in read]), np.concatenate([gaps for _, gaps in read])


def _names(parts: list[Column]) -> tuple[tuple[str, ...] | None, int]:
    """The different texts of a column, None where they are too many, too long, or none; and how many gaps it has."""
    found: dict[str, None] = {}
    gaps = 0
    for part in parts:
        kind = part.cells.type
        if pa.types.is_nested(kind) or pa.types.is_temporal(kind) or pa.types.is_binary(kind):
            return None, 0
        plain = part.cells if pa.types.is_null(kind) or pa.types.is_string(kind) else part.cells.cast(pa.string())
        for text in texts(Column(part.path, part.name, plain, part.rows)):
            word = (text or "").strip()
            if word in GAPS:
                gaps += 1
            else:
                found[word] = None
        if len(found) > MOST_NAMES or any(len(word) > _LONGEST for word in found):
            return None, gaps
    return tuple(sorted(found)), gaps
