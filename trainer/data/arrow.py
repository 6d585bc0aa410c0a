"""Tables in Arrow's formats, as batches of typed cells. A row is a row of the table, from 1."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from pyarrow import ipc

from trainer.data.dataset import MAX_BYTES, check_size
from trainer.data.header import Batch, Choose, pick
from trainer.data.reading import Reading
from trainer.data.sources import compression


@contextmanager
def _complaints(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, OverflowError, KeyError) as error:
        raise ValueError(f"{path}: {what} is expected: {error}") from error


def _batches(batches: Iterator[Any], wanted: list[str], reading: Reading) -> Iterator[Batch]:
    done = 0
    for whole in batches:
        for start in range(0, whole.num_rows, reading.batch):
            part = whole.slice(start, reading.batch)
            columns = {}
            for name in wanted:
                column = part.column(part.schema.get_field_index(name))
                while isinstance(column, pa.ChunkedArray):
                    column = column.combine_chunks()
                column.validate(full=True)  # offsets of a stranger's file may lead anywhere
                columns[name] = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
            yield Batch(columns, np.arange(done + 1, done + 1 + part.num_rows, dtype=np.int64))
            done += part.num_rows


def read_parquet(path: Path, reading: Reading, choose: Choose) -> Iterator[Batch]:
    """A Parquet file; its uncompressed size is checked before it is read."""
    check_size(path)
    with _complaints(path, "a Parquet file"), pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        size = max(sum(group.total_byte_size for group in groups), file.metadata.num_rows * 4)
        if size > MAX_BYTES:
            raise ValueError(f"{path}: {size} bytes uncompressed, at most {MAX_BYTES} are read")
        wanted = pick(list(file.schema_arrow.names), choose, reading)
        yield from _batches(file.iter_batches(reading.batch, columns=wanted), wanted, reading)


def read_arrow(path: Path, reading: Reading, choose: Choose) -> Iterator[Batch]:
    """An Arrow file (Feather) or stream, mapped, not loaded."""
    check_size(path)
    if compression(path):
        raise ValueError(f"{path}: an Arrow file is expected, it is compressed: unpack it first")
    with _complaints(path, "an Arrow file"), pa.memory_map(str(path)) as source:
        try:
            file = ipc.open_file(source)
            batches = (file.get_batch(number) for number in range(file.num_record_batches))
        except pa.ArrowInvalid:
            source.seek(0)
            file = ipc.open_stream(source)
            batches = iter(file)
        yield from _batches(batches, pick(list(file.schema.names), choose, reading), reading)


def read_saved(path: Path, reading: Reading, choose: Choose) -> Iterator[Batch]:
    """A folder written by `datasets.Dataset.save_to_disk`, mapped. Nothing is fetched, no script is run."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
    import datasets  # type: ignore[import-untyped]  # noqa: PLC0415 - takes seconds

    with _complaints(path, "a data set of Hugging Face's `datasets`"):
        for piece in path.iterdir():
            if not piece.resolve().is_relative_to(path.resolve()):
                raise ValueError(f"{piece}: a file inside {path.name} is expected, it leads out of it")
        try:
            names = json.loads((path / "state.json").read_bytes())["_data_files"]
            if any(Path(entry["filename"]).name != entry["filename"] for entry in names):
                raise ValueError("its files lie elsewhere")
            found = datasets.load_from_disk(str(path), keep_in_memory=False).with_format("arrow")
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path}: a data set of Hugging Face's `datasets` is expected: {error}") from error
        wanted = pick(list(found.column_names), choose, reading)
        yield from _batches(found.iter(batch_size=reading.batch), wanted, reading)
