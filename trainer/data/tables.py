"""Data sets as tables: CSV and Parquet, one row a sample, one column the label."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from trainer.config import DataSchema
from trainer.data.dataset import MAX_BYTES, Dataset, check_size, to_float32, to_labels


def read_csv(path: Path, schema: DataSchema) -> Dataset:
    """A CSV file with a header line; the schema names the label and, if it cares, the feature columns."""
    check_size(path)
    try:
        frame = pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: a CSV file with a header line is expected: {error}") from error
    return _dataset(frame, path, schema)


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
    if features.isna().to_numpy().any() or labels.isna().to_numpy().any():
        raise ValueError(f"{path}: every cell is expected to be filled, empty ones were found")
    texts = [str(name) for name in columns if features[name].dtype.kind not in "fiub"]
    if texts:
        raise ValueError(
            f"{path}: column {texts[0]!r} is expected to hold numbers, it holds {features[texts[0]].dtype}"
        )
    if schema.class_names:
        index = {name: number for number, name in enumerate(schema.class_names)}
        numbers = labels.astype(str).map(index)
        if numbers.isna().to_numpy().any():
            unknown = labels[numbers.isna()].iloc[0]
            raise ValueError(f"{path}: labels {', '.join(index)} are expected, {unknown!r} was found")
        labels = numbers
    return Dataset(to_float32(np.ascontiguousarray(features.to_numpy()), path), to_labels(labels.to_numpy(), path))
