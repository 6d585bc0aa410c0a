"""Data sets as tables, one row a sample: which columns a job needs, and what becomes of them."""

from collections.abc import Callable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from trainer.config import (
    TABLE,
    CategoryFeature,
    ClassTarget,
    ImageFeature,
    LabelsTarget,
    MaskTarget,
    NumberFeature,
    NumberTarget,
    TagsTarget,
    TensorFeature,
    TextFeature,
)
from trainer.data.arrow import read_arrow, read_parquet, read_saved
from trainer.data.cells import read_csv, read_json_lines
from trainer.data.columns import Column, Flags, codes, lists, numbers, texts, whole, within
from trainer.data.dataset import Array, Dataset, target_shape
from trainer.data.header import Batch, Needs, chosen, needs_of
from trainer.data.options import target_names
from trainer.data.reading import Reading, inside
from trainer.data.store import Growing
from trainer.data.texts import Packed, Tokens, fitted, tags_of, tokens_of

ENDINGS: dict[str, Callable[..., Iterator[Batch]]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json_lines,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".feather": read_arrow,
}


class _Encoder:
    """Turns batches of cells into samples."""

    def __init__(self, reading: Reading, needs: Needs) -> None:
        self._reading, self._needs = reading, needs
        self._tokens: dict[str, Tokens] = {
            name: tokens_of(feature, reading) for name, feature in reading.schema.texts.items()
        }
        self._fits: dict[str, list[str]] = {}

    def choose(self, names: Sequence[str]) -> list[str]:
        self._fits = chosen(names, self._needs, self._reading.path)
        return list(dict.fromkeys(column for columns in self._fits.values() for column in columns))

    def _column(self, batch: Batch, name: str) -> Column:
        return Column(self._reading.path, name, batch.columns[name], batch.rows)

    def _columns(self, batch: Batch, name: str) -> list[Column]:
        return [self._column(batch, column) for column in self._fits[name]]

    def encode(self, batch: Batch) -> tuple[dict[str, Array], Array | None]:
        """Inputs and target of the rows that stay. Raises ValueError."""
        n, table, inputs = len(batch.rows), [], {}
        gaps = np.zeros(n, dtype=np.bool_)
        for name, feature in self._reading.schema.features.items():
            columns = self._columns(batch, name)
            if isinstance(feature, NumberFeature):
                table.append(self._number(columns[0], feature, gaps)[:, None])
            elif isinstance(feature, CategoryFeature):
                places, missing = codes(columns[0], feature.values)
                self._gaps(columns[0], missing, gaps)
                ones = np.zeros((n, len(feature.values)), dtype=np.float32)
                ones[np.arange(n), places] = 1
                table.append(ones)
            elif isinstance(feature, TensorFeature):
                inputs[name] = self._tensor(columns, feature, gaps)
            elif isinstance(feature, TextFeature):
                inputs[name] = fitted(self._texts(columns[0], gaps), feature, self._tokens[name], self._reading)
            else:
                inputs[name] = self._images(columns[0], feature, gaps)
        if table:
            inputs[TABLE] = np.concatenate(table, axis=1, dtype=np.float32)
        y = self._target(batch, gaps)
        self._reading.notes.dropped += int(gaps.sum())
        return {name: values[~gaps] for name, values in inputs.items()}, None if y is None else y[~gaps]

    def _gaps(self, column: Column, found: Flags, gaps: Flags, what: str = "a value") -> None:
        """Counts a column's gaps, and marks their rows in `gaps` where they are to be dropped; else refuses them."""
        if found.any():
            missing = self._reading.notes.missing
            missing[column.name] = missing.get(column.name, 0) + int(found.sum())
            if self._reading.options.missing != "drop":
                column.refuse_gaps(found, what)
            gaps |= found

    def _number(self, column: Column, feature: NumberFeature, gaps: Flags) -> Array:
        values, missing = numbers(column, self._reading.options.decimal, self._reading.notes)
        within(column, values, missing, feature.minimum, feature.maximum)
        if self._reading.options.missing == "mean" and missing.any():
            counts = self._reading.notes.missing
            counts[column.name] = counts.get(column.name, 0) + int(missing.sum())
            values = np.where(missing, feature.mean, values)
        else:
            self._gaps(column, missing, gaps, "a number")
        return values.astype(np.float32)

    def _tensor(self, columns: list[Column], feature: TensorFeature, gaps: Flags) -> Array:
        if len(columns) == 1 and not _scalar(columns[0], feature):
            values, missing = lists(columns[0], prod(feature.shape))
            self._gaps(columns[0], missing, gaps)
        else:
            parts = []
            for column in columns:
                found, missing = numbers(column, self._reading.options.decimal, self._reading.notes)
                within(column, found, missing, feature.minimum, feature.maximum)
                self._gaps(column, missing, gaps, "a number")
                parts.append(found)
            values = np.stack(parts, axis=1)
        with np.errstate(over="ignore"):  # infinity is out of every range, which is checked at the end
            return values.astype(np.float32).reshape(-1, *feature.shape)

    def _texts(self, column: Column, gaps: Flags) -> list[str]:
        found = texts(column)
        self._gaps(column, np.array([text is None or not text.strip() for text in found]), gaps, "a text")
        return [text or "" for text in found]

    def _images(self, column: Column, feature: ImageFeature, gaps: Flags) -> Array:
        kind = column.cells.type
        if pa.types.is_nested(kind) and not pa.types.is_struct(kind):
            column.refuse_kind("images' file names or bytes")
        rows = np.zeros((len(column.cells), feature.channels, feature.height, feature.width), dtype=np.float32)
        for at, cell in enumerate(column.cells.to_pylist()):
            try:
                rows[at] = self._image(column, at, cell, feature)
            except ValueError as error:
                if not self._reading.options.skip_bad:
                    raise
                self._reading.notes.bad_one(f"row {column.rows[at]}", error)
                gaps[at] = True
        return rows

    def _image(self, column: Column, at: int, cell: Any, feature: ImageFeature) -> Array:
        """A cell's image: its bytes, or a file beside the table."""
        from trainer.data.pixels import image_pixels  # noqa: PLC0415 - Pillow is for those who have images

        root, options = self._reading.path.parent, self._reading.options
        content = cell["bytes"] if isinstance(cell, dict) and set(cell) == {"bytes", "path"} else cell
        where = f"{column.path}: row {column.rows[at]}, column {column.name!r}"
        if isinstance(content, str) and content:
            if "\0" in content:
                raise ValueError(f"{where}: a file name is expected, a zero byte was found")
            content = inside(root / content, root.resolve())
        if not isinstance(content, bytes | Path):
            raise ValueError(f"{where}: an image's file name or bytes are expected, none was found")
        return image_pixels(content, where if isinstance(content, bytes) else content, feature, options)

    def _target(self, batch: Batch, gaps: Flags) -> Array | None:
        schema, options, notes = self._reading.schema, self._reading.options, self._reading.notes
        target = schema.target
        if target is None:
            return None
        columns = [self._columns(batch, name)[0] for name in target_names(schema)]
        if isinstance(target, ClassTarget):
            found = (
                codes(columns[0], target.names)
                if target.names
                else whole(columns[0], target.classes, options.decimal, notes)
            )
            self._gaps(columns[0], found[1], gaps, "a label")
            return found[0]
        if isinstance(target, TagsTarget):
            return self._tags(batch, columns[0], target, gaps)
        if isinstance(target, MaskTarget):
            raise TypeError(target.kind)  # refused before
        parts = []
        for column in columns:
            if isinstance(target, NumberTarget):
                values, missing = numbers(column, options.decimal, notes)
                within(column, values, missing, target.minimum, target.maximum)
            else:
                labels, missing = whole(column, 2, options.decimal, notes)
                values = labels.astype(np.float64)
            self._gaps(column, missing, gaps, "a number")
            parts.append(values)
        return np.stack(parts, axis=1).astype(np.float32)

    def _tags(self, batch: Batch, column: Column, target: TagsTarget, gaps: Flags) -> Array:
        ((name, feature),) = self._reading.schema.texts.items()
        rows = []
        asked = texts(column)
        # An empty cell of tags is a gap only beside a text with words, which is one itself otherwise.
        self._gaps(column, np.array([tags is None or not tags.strip() for tags in asked]), gaps, "a tag for each word")
        for at, (text, tags) in enumerate(zip(texts(self._columns(batch, name)[0]), asked, strict=True)):
            try:
                gap = gaps[at]
                rows.append(
                    tags_of("" if gap else text or "", "" if gap else tags or "", feature, self._tokens[name], target)
                )
            except ValueError as error:
                raise ValueError(f"{column.path}: row {column.rows[at]}, column {column.name!r}: {error}") from error
        return np.array(rows, dtype=np.int64).reshape(-1, feature.length)


def _scalar(column: Column, feature: TensorFeature) -> bool:
    """Whether one column of numbers is the whole tensor."""
    kind = column.cells.type
    return prod(feature.shape) == 1 and not pa.types.is_nested(kind)


def read_table(reading: Reading, read: Callable[..., Iterator[Batch]], *, beside: bool = False) -> Dataset:
    """The samples of a table. Raises ValueError with file, row and column for what does not fit."""
    schema = reading.schema
    if isinstance(schema.target, MaskTarget):
        raise ValueError(f"{reading.path}: a table has no masks: give a folder of images and masks")
    encoder = _Encoder(reading, needs_of(schema, reading.options, beside=beside))
    batches = read(reading.path, reading, encoder.choose)
    if any(feature.packed for feature in schema.texts.values()):
        return _documents(reading, batches)
    cache = reading.options.cache
    inputs = {
        name: Growing(shape, np.int64 if name in schema.texts else np.float32, reading.path, cache)
        for name, shape in schema.inputs.items()
    }
    kind = np.float32 if isinstance(schema.target, NumberTarget | LabelsTarget) else np.int64
    shape = () if schema.target is None else target_shape(schema.target, schema.inputs, schema)
    y = Growing(shape, kind, reading.path, cache)
    for batch in batches:
        found, target = encoder.encode(batch)
        for name, values in found.items():
            inputs[name].append(values)
        if target is not None:
            y.append(target)
    return Dataset({name: rows.array() for name, rows in inputs.items()}, y.array() if schema.target else None)


def _documents(reading: Reading, batches: Iterator[Batch]) -> Dataset:
    """Each row's text is a document of its own."""
    ((name, feature),) = reading.schema.texts.items()
    packed = Packed(name, feature, reading)
    for batch in batches:
        ((called, cells),) = batch.columns.items()
        column = Column(reading.path, called, cells, batch.rows)
        found = texts(column)
        empty = np.array([text is None or not text.strip() for text in found], dtype=np.bool_)
        if empty.any():
            reading.notes.missing[called] = reading.notes.missing.get(called, 0) + int(empty.sum())
            if reading.options.missing != "drop":
                column.refuse_gaps(empty, "a text")
            reading.notes.dropped += int(empty.sum())
        for text in found:
            if text and text.strip():
                packed.add(text)
    return packed.dataset()


def read_saved_set(reading: Reading) -> Dataset:
    """A folder of Hugging Face's `datasets`."""
    return read_table(reading, read_saved)
