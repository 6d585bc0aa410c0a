"""Tables in Arrow's formats, as batches of typed cells. A row is a row of the table, from 1."""

import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from trainer.data.dataset import MAX_BYTES, check_size
from trainer.data.header import Batch, Choose, pick
from trainer.data.messages import MAX_BATCH, is_compressed, open_stream
from trainer.data.reading import Reading
from trainer.data.sources import compression

_BYTES = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
_SHARED = (pa.types.is_run_end_encoded, pa.types.is_string_view, pa.types.is_binary_view, pa.types.is_list_view,
           pa.types.is_large_list_view)  # fmt: skip


@contextmanager
def _complaints(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, OverflowError, KeyError, struct.error) as error:
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
                columns[name] = _plain(column, f"{reading.path}: column {name!r}")
            yield Batch(columns, np.arange(done + 1, done + 1 + part.num_rows, dtype=np.int64))
            done += part.num_rows


def _plain(column: Any, where: str) -> Any:
    """The cells without a dictionary, which is small however many of them share a value; their size is checked first.

    Raises ValueError for other ways to share values.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        values = column.dictionary
        if not (pa.types.is_primitive(values.type) or any(test(values.type) for test in _BYTES)):
            raise ValueError(f"{where}: numbers or texts are expected, {kind} was found")
        if not pa.types.is_primitive(values.type):
            size = pc.sum(pc.take(pc.cast(pc.binary_length(values), pa.int64()), column.indices)).as_py() or 0
            if size > MAX_BATCH:
                raise ValueError(f"{where}: {len(column)} rows have {size} bytes, at most {MAX_BATCH} are possible")
        return column.dictionary_decode()
    if pa.types.is_struct(kind):
        parts = [_plain(part, where) for part in column.flatten()]
        return pa.StructArray.from_arrays(parts, [field.name for field in kind], mask=column.is_null())
    if any(test(kind) for test in _SHARED):
        raise ValueError(f"{where}: plain values are expected, {kind} was found: write it without views and runs")
    return column


def read_parquet(path: Path, reading: Reading, choose: Choose) -> Iterator[Batch]:
    """A Parquet file; its uncompressed size is checked before it is read. Texts come with their dictionaries."""
    check_size(path)
    with _complaints(path, "a Parquet file"), pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        size = max(sum(group.total_byte_size for group in groups), file.metadata.num_rows * 4)
        if size > MAX_BYTES:
            raise ValueError(f"{path}: {size} bytes uncompressed, at most {MAX_BYTES} are read")
        wanted = pick(list(file.schema_arrow.names), choose, reading)
        leaves = [file.schema.column(number) for number in range(len(file.schema))]
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    with _complaints(path, "a Parquet file"), pq.ParquetFile(path, read_dictionary=texts) as file:
        yield from _batches(file.iter_batches(reading.batch, columns=wanted), wanted, reading)


def read_arrow(path: Path, reading: Reading, choose: Choose) -> Iterator[Batch]:
    """An Arrow file (Feather) or stream, mapped, not loaded."""
    check_size(path)
    if compression(path):
        raise ValueError(f"{path}: an Arrow file is expected, it is compressed: unpack it first")
    with _complaints(path, "an Arrow file"), pa.memory_map(str(path)) as source:
        file = open_stream(path, source)
        yield from _batches(iter(file), pick(list(file.schema.names), choose, reading), reading)


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
            if any(is_compressed(path / entry["filename"]) for entry in names):
                raise ValueError("its files are compressed")  # whole files are unpacked at once
            found = datasets.load_from_disk(str(path), keep_in_memory=False).with_format("arrow")
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path}: a data set of Hugging Face's `datasets` is expected: {error}") from error
        wanted = pick(list(found.column_names), choose, reading)
        yield from _batches(found.iter(batch_size=reading.batch), wanted, reading)
