"""Data sets as tables: CSV and Parquet, one row a sample, one column the label."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from trainer.config import DataSchema
from trainer.data.dataset import MAX_BYTES, Dataset, check_size, to_float32, to_labels


def read_csv(path: Path, schema: DataSchema) -> Dataset:
    """A CSV file with a header line; the schema names the label and, if it cares, the feature columns.

    Where the schema names classes, labels are texts as they stand in the file: a class may be called None, NA or 01.
    """
    check_size(path)
    try:
        frame = pd.read_csv(path, converters=_converters(schema))
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: a CSV file with a header line is expected: {error}") from error
    return _dataset(frame, path, schema)


def _converters(schema: DataSchema) -> dict[str, Callable[[str], bytes]] | None:
    """Of texts pandas takes some for missing values, whatever they are said to be; of bytes it takes none."""
    return {schema.label: str.encode} if schema.class_names else None


def read_parquet(path: Path, schema: DataSchema) -> Dataset:
    """A Parquet file; its uncompressed size is checked before it is read."""
    check_size(path)
    try:
        with pq.ParquetFile(path) as file:
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            size = max(sum(group.total_byte_size for group in groups), file.metadata.num_rows * 4)
            if size > MAX_BYTES:
                raise ValueError(f"{size} bytes uncompressed, at most {MAX_BYTES} are read")
            frame = file.read().to_pandas()
    except (pa.ArrowException, ValueError, OSError) as error:
        raise ValueError(f"{path}: a Parquet file is expected: {error}") from error
    return _dataset(frame, path, schema)


def _dataset(frame: pd.DataFrame, path: Path, schema: DataSchema) -> Dataset:
    columns = list(schema.columns) or [name for name in frame.columns if name != schema.label]
    if not frame.columns.is_unique:
        raise ValueError(f"{path}: columns of different names are expected, a name comes twice")
    missing = [name for name in [schema.label, *columns] if name not in frame.columns]
    if missing:
        raise ValueError(
            # Not which: without a header line the names are a sample's values.
            f"{path}: a column {missing[0]!r} is expected, the file's first line names {len(frame.columns)} others"
        )
    features, labels = frame[columns], frame[schema.label]
    if schema.class_names:
        labels = _classes(labels, path, schema)
    if features.isna().to_numpy().any() or labels.isna().to_numpy().any():
        raise ValueError(f"{path}: every cell is expected to be filled, empty ones were found")
    texts = [str(name) for name in columns if features[name].dtype.kind not in "fiub"]
    if texts:
        raise ValueError(
            f"{path}: column {texts[0]!r} is expected to hold numbers, it holds {features[texts[0]].dtype}"
        )
    return Dataset(to_float32(np.ascontiguousarray(features.to_numpy()), path), to_labels(labels.to_numpy(), path))


def _classes(labels: "pd.Series[Any]", path: Path, schema: DataSchema) -> "pd.Series[Any]":
    """Each label's number among the schema's class names; missing where its cell is empty. Raises ValueError."""
    codes, found = pd.factorize(labels)  # −1 for what is missing
    numbers = np.array([_class(value, path, schema) for value in found], dtype=np.float64)
    return pd.Series(np.where(codes < 0, np.nan, np.append(numbers, np.nan)[codes]))


def _class(value: Any, path: Path, schema: DataSchema) -> float:
    """A label that is a class's name is that class, whatever else its text may mean; NaN for an empty one."""
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    for text in _spellings(value):
        if text in schema.class_names:
            return schema.class_names.index(text)
    if value == "":
        return np.nan
    raise ValueError(f"{path}: labels {', '.join(schema.class_names)} are expected, {value!r} was found")


def _spellings(value: Any) -> tuple[str, ...]:
    """How a cell's value may be written as a class's name: Parquet's are typed."""
    if isinstance(value, bool | np.bool_):
        return str(value), str(value).lower()
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(value), str(int(value))
    return str(value), str(value).strip()
