"""A table's header: which columns a job needs, and whether they are there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from trainer.config import DataSchema, ImageFeature, TensorFeature
from trainer.data.options import FILE_NAME, DataOptions, image_name, target_names
from trainer.data.reading import MAX_LISTED, Reading
from zk.encoding import Int64s

_MOST_COLUMNS = 2**17

Choose = Callable[[Sequence[str]], list[str]]
"""From a table's names of columns to those that are wanted. Raises ValueError with the name of a missing one."""


Needs = list[tuple[str, list[list[str]]]]
"""Each name of the job with the file's columns that would do for it: any of several lists."""


@dataclass(frozen=True, slots=True)
class Batch:
    """columns: Arrow arrays of one length by the file's names; rows: int64[n]."""

    columns: dict[str, Any]
    rows: Int64s


class MissingColumn(ValueError):
    """A table lacks a column. found: how many of the wanted ones it has."""

    def __init__(self, text: str, found: int) -> None:
        super().__init__(text)
        self.found = found


def _unique(names: Sequence[str], path: Path) -> None:
    named = [name for name in names if name]
    if len(set(named)) != len(named):
        raise ValueError(f"{path}: columns of different names are expected, a name comes twice")


def pick(names: Sequence[str], choose: Choose, reading: Reading) -> list[str]:
    """The wanted columns; the others are noted. Raises ValueError if a name comes twice or a column is missing."""
    _unique(names, reading.path)
    wanted = choose(names)
    reading.notes.columns.extend([name for name in names if name not in set(wanted)][:MAX_LISTED])
    return wanted


def _spread(name: str, size: int) -> list[list[str]]:
    """How the columns of a tensor may be called, by what is between its name and the number, from 0."""
    return [[f"{name}{between}{number}" for number in range(size)] for between in (".", "_", "")]


def needs_of(schema: DataSchema, options: DataOptions, *, beside: bool) -> Needs:
    """Each name of the job with the file's columns that would do for it: any of several lists. beside: images lie
    beside the table, which has their names."""
    needs: Needs = []
    for name, feature in schema.features.items():
        column = options.column(name)
        if beside and isinstance(feature, ImageFeature) and name == image_name(schema) and name not in options.map:
            column = FILE_NAME
        ways = [[column]]
        if isinstance(feature, TensorFeature) and prod(feature.shape) <= _MOST_COLUMNS:
            ways += _spread(column, prod(feature.shape))
        needs.append((name, ways))
    return needs + [(name, [[options.column(name)]]) for name in target_names(schema)]


def chosen(names: Sequence[str], needs: Needs, path: Path) -> dict[str, list[str]]:
    """The file's columns for each name of the job. Raises MissingColumn for the first that has none."""
    there, found, lacking = set(names), {}, []
    for name, ways in needs:
        fit = next((way for way in ways if there.issuperset(way)), None)
        if fit is None:
            lacking.append(ways)
        else:
            found[name] = fit
    if lacking:
        wanted = lacking[0][0][0]
        alike = next((name for name in names if name.strip().casefold() == wanted.casefold()), None)
        hint = f"; {alike!r} is there: map it" if alike is not None else ""
        others = f" (or {wanted}.0, {wanted}.1, …)" if len(lacking[0]) > 1 else ""
        # Not which: without a header line the names are a sample's values.
        text = f"{path}: a column {wanted!r}{others} is expected, the header names {len(names)} others{hint}"
        raise MissingColumn(text, len(found))
    return found
