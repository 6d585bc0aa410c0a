"""Small files of Arrow and Parquet that would become much more in memory are refused before they do."""

import resource
import struct
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainer.config import DataSchema
from trainer.data import arrow, messages, read

CLASSES = {"kind": "category", "name": "label", "classes": 2, "names": ["no", "yes"]}
NUMBERS = DataSchema.model_validate({"features": {"x": {"kind": "number"}}, "target": CLASSES})
TEXTS = DataSchema.model_validate({"features": {"text": {"kind": "text", "length": 8}}, "target": CLASSES})
IMAGES = DataSchema.model_validate(
    {"features": {"image": {"kind": "image", "channels": 1, "height": 2, "width": 2}}, "target": CLASSES}
)


def write(path: Path, table: pa.Table, codec: str | None = None) -> Path:
    options = pa.ipc.IpcWriteOptions(compression=codec)
    new = pa.ipc.new_file if path.suffix == ".feather" else pa.ipc.new_stream
    with pa.OSFile(str(path), "wb") as file, new(file, table.schema, options=options) as writer:
        writer.write_table(table)
    return path


@pytest.mark.parametrize("ending", ["arrow", "feather"])
@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_batches_are_read_up_to_a_size(
    tmp_path: Path, ending: str, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = pa.array(["no", "yes"] * 5000).dictionary_encode()
    path = write(tmp_path / f"data.{ending}", pa.table({"x": [float(0)] * 10_000, "label": labels}), codec)
    assert path.stat().st_size < 20_000
    assert len(read(str(path), NUMBERS)) == 10_000
    monkeypatch.setattr(messages, "MAX_BATCH", 50_000)
    with pytest.raises(ValueError, match=r"batch \d unpacks to \d+ bytes, at most 50000 are possible"):
        read(str(path), NUMBERS)


def test_what_a_buffer_says_of_its_size_is_not_believed_nor_allocated(tmp_path: Path) -> None:
    path = write(tmp_path / "data.arrow", pa.table({"x": [0.5] * 1000, "label": ["no"] * 1000}), "zstd")
    content, size = path.read_bytes(), struct.pack("<q", 8000)
    assert content.count(size) >= 1
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for said, why in (
        (2**40, "unpacks to"),
        (-7, "a compressed buffer has no size"),
        (7999, "an Arrow file is expected"),
    ):
        path.write_bytes(content.replace(size, struct.pack("<q", said)))
        with pytest.raises(ValueError, match=why):
            read(str(path), NUMBERS)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_a_footer_that_points_elsewhere_is_not_followed(tmp_path: Path) -> None:
    path = write(tmp_path / "data.feather", pa.table({"x": [0.5, 1.5], "label": ["no", "yes"]}))
    content = path.read_bytes()
    size = struct.unpack("<i", content[-10:-6])[0]
    path.write_bytes(content[: -10 - size] + b"\xff" * size + content[-10:])
    assert read(str(path), NUMBERS).inputs["table"].tolist() == [[0.5], [1.5]]


SHARED = "x" * 100_000


def parquet(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, dictionary_pagesize_limit=2**20)


@pytest.mark.parametrize("write", [write, parquet])
def test_many_rows_that_share_a_long_text_are_refused(
    tmp_path: Path, write: Callable[[Path, pa.Table], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ("data.parquet" if write is parquet else "data.arrow")
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * 500, pa.int32()), [SHARED])
    write(path, pa.table({"text": shared, "label": ["no"] * 500}))
    assert path.stat().st_size < 300_000
    assert len(read(str(path), TEXTS)) == 500
    monkeypatch.setattr(arrow, "MAX_BATCH", 10_000_000)
    with pytest.raises(ValueError, match="column 'text': 500 rows have 50000000 bytes, at most 10000000 are possible"):
        read(str(path), TEXTS)


@pytest.mark.parametrize("write", [write, parquet])
def test_so_are_images_that_share_their_bytes(
    tmp_path: Path, write: Callable[[Path, pa.Table], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ("data.parquet" if write is parquet else "data.arrow")
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * 500, pa.int32()), [SHARED.encode()])
    nested = pa.StructArray.from_arrays([shared, pa.nulls(500, pa.string())], ["bytes", "path"])
    write(path, pa.table({"image": nested, "label": ["no"] * 500}))
    monkeypatch.setattr(arrow, "MAX_BATCH", 10_000_000)
    with pytest.raises(ValueError, match="column 'image': 500 rows have 50000000 bytes"):
        read(str(path), IMAGES)


@pytest.mark.parametrize(
    "cells",
    [
        pa.array(["no"] * 4, pa.string_view()),
        pa.compute.run_end_encode(pa.array(["no"] * 4)),
        pa.DictionaryArray.from_arrays(pa.array([0] * 4, pa.int32()), pa.array([["no"]])),
    ],
    ids=["views", "runs", "a dictionary of lists"],
)
def test_other_ways_to_share_are_refused_by_column(tmp_path: Path, cells: pa.Array) -> None:
    path = write(tmp_path / "data.arrow", pa.table({"x": [1.0] * 4, "label": cells}))
    with pytest.raises(ValueError, match=r"column 'label': .* expected, .* was found"):
        read(str(path), NUMBERS)


def test_a_compressed_file_in_a_folder_of_datasets_is_refused(tmp_path: Path) -> None:
    import datasets

    table = pa.table({"x": [0.5, 1.5], "label": ["no", "yes"]})
    datasets.Dataset(table).save_to_disk(str(tmp_path / "saved"))
    assert len(read(str(tmp_path / "saved"), NUMBERS)) == 2
    (file,) = (tmp_path / "saved").glob("*.arrow")
    write(file, table, "zstd")
    with pytest.raises(ValueError, match="its files are compressed"):
        read(str(tmp_path / "saved"), NUMBERS)


def test_lists_of_lists_are_no_images(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"image": [[[SHARED]]] * 2, "label": ["no", "yes"]}), path)
    with pytest.raises(ValueError, match="column 'image': images' file names or bytes are expected, list"):
        read(str(path), IMAGES)
