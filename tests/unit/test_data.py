"""Data sets: every source gives the same arrays, and what does not fit the schema is named in one sentence."""

import gzip
import io
import struct
import zipfile
import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
from numpy.lib import format as npy
from PIL import Image
from pyarrow import feather
from pydantic import ValidationError

from trainer.config import DataSchema
from trainer.data import Dataset, from_safetensors, load, read, to_safetensors, write_npz
from trainer.data import dataset as limits
from trainer.data.split import hold_out, iid, label_skew


def schema_of(target: dict[str, object] | None = None, **features: dict[str, object]) -> DataSchema:
    return DataSchema.model_validate({"features": features, "target": target})


def classes(n: int, **more: object) -> dict[str, object]:
    return {"kind": "category", "classes": n, **more}


NUMBER = {"kind": "number", "minimum": -10, "maximum": 10}
FLAT = schema_of(classes(4), x={"kind": "tensor", "shape": [3], "minimum": -10, "maximum": 10})
NAMED = schema_of(classes(4), a=NUMBER, b=NUMBER, c=NUMBER)
GREY = schema_of(classes(2), image={"kind": "image", "channels": 1, "height": 2, "width": 4})
X = np.array([[1, 2, 3], [-4.5, 5, 6], [7, 8, -9]], dtype=np.float32)
Y = np.array([0, 3, 1], dtype=np.int64)


def flat(x: np.ndarray, y: np.ndarray) -> Dataset:
    return Dataset({"x": x}, y)


def alone(data: Dataset) -> np.ndarray:
    (values,) = data.inputs.values()
    return values


def refusal(source, schema=FLAT) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        read(str(source), schema)
    sentence = str(caught.value)
    assert "\n" not in sentence.strip()
    return sentence


# ---------------------------------------------------------------- sources


@pytest.mark.parametrize(
    "feature",
    [
        {"kind": "tensor", "shape": [64], "minimum": 0, "maximum": 16, "mean": [8], "std": [16]},
        {"kind": "image", "channels": 1, "height": 8, "width": 8, "maximum": 16, "mean": [8], "std": [16]},
    ],
    ids=["flat", "images"],
)
def test_digits_come_flat_or_as_images(feature):
    schema = schema_of(classes(10), x=feature)
    raw, normalised = read("digits", schema), load("digits", schema)
    assert alone(raw).shape == (1797, *schema.inputs["x"])
    assert (alone(raw).dtype, raw.y.dtype) == (np.float32, np.int64)
    assert np.bincount(raw.y).min() > 170
    assert (alone(normalised) == (alone(raw) - np.float32(8)) / np.float32(16)).all()


def test_the_same_samples_come_out_of_every_kind_of_file(tmp_path):
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(label=Y)
    frame.to_csv(tmp_path / "d.csv", index=False)
    frame.to_csv(tmp_path / "d.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "d.csv.gz", index=False)
    frame.to_json(tmp_path / "d.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "d.parquet")
    feather.write_feather(frame, tmp_path / "d.feather")
    write_npz(tmp_path / "d.npz", Dataset({"table": X}, Y))
    (tmp_path / "d.safetensors").write_bytes(to_safetensors(Dataset({"table": X}, Y)))
    for path in sorted(tmp_path.iterdir()):
        data = read(str(path), NAMED)
        assert (alone(data).dtype, data.y.dtype) == (np.float32, np.int64)
        assert alone(data).tolist() == X.tolist(), path
        assert data.y.tolist() == Y.tolist(), path


def test_a_flat_array_takes_the_schemas_shape(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.arange(16, dtype=np.uint8).reshape(2, 8), y=np.array([0, 1], dtype=np.uint8))
    assert alone(read(str(tmp_path / "d.npz"), GREY)).tolist() == np.arange(16).reshape(2, 1, 2, 4).tolist()


def test_columns_are_taken_by_name_and_order_and_labels_by_class_name(tmp_path):
    (tmp_path / "d.csv").write_text("species,c,note,a,b\ncat,3,x,1,2\ndog,6,y,4,5\n")
    schema = schema_of(classes(2, name="species", names=["dog", "cat"]), a=NUMBER, b=NUMBER, c=NUMBER)
    data = read(str(tmp_path / "d.csv"), schema)
    assert data.inputs["table"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert data.y.tolist() == [1, 0]


def test_normalisation_is_per_feature_or_channel():
    image = {"kind": "image", "channels": 3, "height": 2, "width": 2, "mean": [1, 2, 3], "std": [1, 2, 4]}
    raw = Dataset({"x": np.full((1, 3, 2, 2), 5, np.float32)}, np.zeros(1, np.int64))
    assert alone(limits.normalise(raw, schema_of(classes(2), x=image)))[0, :, 0, 0].tolist() == [4, 1.5, 0.5]


def test_values_that_exceed_memory_are_the_same_from_a_file(tmp_path, monkeypatch):
    from trainer.data import store

    (tmp_path / "d.csv").write_text("a,b,c,label\n" + "".join(f"{n % 9},{n % 7},1.5,{n % 4}\n" for n in range(20_000)))
    schema = schema_of(classes(4), a={**NUMBER, "mean": 4, "std": 2}, b=NUMBER, c=NUMBER)
    small = load(str(tmp_path / "d.csv"), schema)
    monkeypatch.setattr(store, "IN_MEMORY", 10_000)
    large = load(str(tmp_path / "d.csv"), schema)
    assert isinstance(alone(large), np.memmap)
    assert alone(large).flags.writeable  # or torch makes a copy of it
    assert (alone(large) == alone(small)).all()
    assert (large.y == small.y).all()


def test_a_bound_that_float32_rounds_up_is_within_itself(tmp_path):
    (tmp_path / "d.csv").write_text("a,label\n0.1,0\n0.7,1\n")
    schema = schema_of(classes(2), a={"kind": "number", "minimum": 0.1, "maximum": 0.7})
    assert len(read(str(tmp_path / "d.csv"), schema)) == 2


@pytest.fixture
def folder(tmp_path):
    for label, value in (("0", 10), ("1", 200)):
        (tmp_path / label).mkdir()
        for k in range(2):
            Image.new("RGB", (4, 2), (value + k,) * 3).save(tmp_path / label / f"{k}.png")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    return tmp_path


def test_a_folder_of_images_is_read_by_class_and_name(folder):
    data = read(str(folder), GREY)
    assert alone(data).shape == (4, 1, 2, 4)
    assert alone(data)[:, 0, 0, 0].tolist() == [10, 11, 200, 201]
    assert data.y.tolist() == [0, 0, 1, 1]


def test_pixels_keep_their_place(tmp_path):
    (tmp_path / "0").mkdir()
    image = Image.new("RGB", (4, 2))
    image.putpixel((3, 1), (1, 2, 3))
    image.save(tmp_path / "0" / "a.png")
    colours = {"kind": "image", "channels": 3, "height": 2, "width": 4}
    x = alone(read(str(tmp_path), schema_of(classes(2), image=colours)))
    assert x[0, :, 1, 3].tolist() == [1, 2, 3]
    assert x.sum() == 6


# ---------------------------------------------------------------- what does not fit


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_data_that_do_not_fit_the_schema_are_named_with_what_was_expected_and_found(tmp_path):
    path = tmp_path / "d.npz"
    cases = [
        ({"x": X[:, :2], "y": Y}, "samples of shape [3] are expected in x, [2] were found"),
        ({"x": X, "y": Y[:2]}, "3 samples need labels of shape [3], labels of shape [2]"),
        ({"x": X, "y": np.array([0, 1, 4])}, "labels 0 … 3 are expected, 4 was found"),
        ({"x": X, "y": np.array([0, 1, -1])}, "labels 0 … 3 are expected, -1 was found"),
        ({"x": X, "y": np.array([0, 1, 1.5])}, "whole numbers"),
        ({"x": X, "y": np.array(["a", "b", "c"])}, "whole numbers"),
        ({"x": X - 5, "y": Y}, "values -10.0 … 10.0 are expected, -14.0 … 3.0 were found"),
        ({"x": X + 5, "y": Y}, "values -10.0 … 10.0 are expected, -4.0 … 13.0 were found"),
        ({"x": X * 100, "y": Y}, "values -10.0 … 10.0 are expected, -900.0 … 800.0 were found"),
        ({"x": X * np.array([1, np.nan, 1]), "y": Y}, "nan"),
        ({"x": X.astype(np.complex64), "y": Y}, "numbers are expected, values of type complex64"),
        ({"x": X[:0], "y": Y[:0]}, "at least 1 samples are expected, 0 were found"),
        ({"x": X}, "x, y"),
    ]
    for arrays, expected in cases:
        sentence = refusal(npz(path, **arrays))
        assert str(path) in sentence
        assert expected in sentence


def test_too_few_samples_do_not_fit(tmp_path):
    schema = FLAT.model_copy(update={"min_samples": 4})
    assert "at least 4" in refusal(npz(tmp_path / "d.npz", x=X, y=Y), schema)


def test_a_source_that_is_none_is_named(tmp_path):
    assert "nothing.npz is not there" in refusal(tmp_path / "nothing.npz")
    (tmp_path / "model.pkl").write_bytes(b"cos\nsystem\n.")
    assert "no data source" in refusal(tmp_path / "model.pkl")


def test_tables_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / "d.csv"
    for text, expected in [
        ("a,b,c\n1,2,3\n", "a column 'label' is expected"),
        ("a,b,label\n1,2,3\n", "a column 'c' is expected"),
        ("a,b,c,label\n1,,3,0\n", "row 2, column 'b': a number is expected, none was found"),
        ("a,b,c,label\n1,two,3,0\n", "row 2, column 'b': a number is expected, 'two' was found"),
        ("a,b,c,label\n1,2,3,cat\n", "row 2, column 'label': a number is expected, 'cat' was found"),
        ("a,b,c,label\n1,2,3,1.5\n", "whole numbers"),
        ("", "a CSV file"),
        ('a,b,c,label\n1,2,3,4,5,6\n1\n"', "row 2: 4 cells are expected, 6 were found"),
    ]:
        path.write_text(text)
        sentence = refusal(path, NAMED)
        assert str(path) in sentence
        assert expected in sentence, sentence
    names = schema_of(classes(2, names=["cat", "dog"]), a=NUMBER, b=NUMBER, c=NUMBER)
    path.write_text("a,b,c,label\n1,2,3,cow\n")
    assert "row 2, column 'label': one of cat, dog is expected, 'cow' was found" in refusal(path, names)
    twice = pa.table([pa.array([1.0])] * 4, names=["a", "a", "c", "label"])
    pq.write_table(twice, tmp_path / "d.parquet")
    assert "a name comes twice" in refusal(tmp_path / "d.parquet", NAMED)
    (tmp_path / "d.parquet").write_bytes(b"PAR1 but not really PAR1")
    assert "a Parquet file is expected" in refusal(tmp_path / "d.parquet", NAMED)


def test_images_that_do_not_fit_are_named(folder):
    wide = schema_of(classes(2), image={"kind": "image", "channels": 1, "height": 2, "width": 5})
    assert "5 × 2 pixels are expected, 4 × 2 were found" in refusal(folder, wide)
    assert "give a table" in refusal(folder, FLAT)
    (folder / "1" / "notes.txt").write_text("not an image")
    assert "notes.txt: an image is expected" in refusal(folder, GREY)
    (folder / "1" / "notes.txt").unlink()
    cut = (folder / "1" / "0.png").read_bytes()[:45]
    (folder / "1" / "0.png").write_bytes(cut)
    assert "0.png: an image is expected" in refusal(folder, GREY)
    (folder / "2").mkdir()
    assert "'2' was found" in refusal(folder, GREY)


# ---------------------------------------------------------------- hostile files


def test_a_pickle_in_an_npz_is_never_loaded(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object), y=Y)
    assert ".npz" in refusal(path)


def test_an_archive_within_an_npz_is_not_looked_into(tmp_path):
    inner = io.BytesIO()
    np.savez(inner, x=X, y=Y)
    for name in ("x.npz", "x.npy"):
        with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
            archive.writestr(name, inner.getvalue())
            archive.writestr("y.npy", inner.getvalue())
        assert "d.npz: " in refusal(tmp_path / "d.npz")


def test_an_array_that_inflates_to_more_than_it_claims_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "d.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        npy.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2, 3)})
        archive.writestr("x.npy", header.getvalue() + bytes(10_000_000))
        archive.writestr("y.npy", b"")
    content = bytearray((tmp_path / "d.npz").read_bytes())
    claimed, true = (len(header.getvalue()) + 24).to_bytes(4, "little"), (len(header.getvalue()) + 10_000_000)
    assert content.count(true.to_bytes(4, "little")) == 2
    (tmp_path / "d.npz").write_bytes(content.replace(true.to_bytes(4, "little"), claimed))
    assert "d.npz: " in refusal(tmp_path / "d.npz")


def test_an_array_that_claims_more_than_its_bytes_is_refused_before_memory_is_taken(tmp_path):
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 3)})
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(12))
        archive.writestr("y.npy", b"")
    assert "is not what its" in refusal(tmp_path / "d.npz")


def test_files_larger_than_the_limit_are_not_read(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "d.npz", x=np.zeros((10_000, 3), np.float32), y=np.zeros(10_000, np.int64))
    pd.DataFrame(np.zeros((10_000, 4)), columns=["a", "b", "c", "label"]).to_parquet(tmp_path / "d.parquet")
    (tmp_path / "d.csv").write_text("a,b,c,label\n" + "1,2,3,0\n" * 2000)
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress((tmp_path / "d.csv").read_bytes()))
    from trainer.data import archives, arrow, sources, store

    for module in (limits, archives, arrow, sources, store):
        monkeypatch.setattr(module, "MAX_BYTES", 10_000)
    for name in ("d.npz", "d.parquet", "d.csv", "d.csv.gz"):
        assert "at most 10000" in refusal(tmp_path / name, NAMED)


def png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that declares any size: a decompression bomb without the bomb."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(30_000, 30_000), (5_000, 5_000), (2**31 - 1, 1)])
@pytest.mark.filterwarnings("ignore:Image size")
def test_a_decompression_bomb_is_refused_by_its_declared_size(folder, size):
    (folder / "0" / "bomb.png").write_bytes(png(*size))
    assert "bomb.png" in refusal(folder, GREY)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text that is no tensor",
        to_safetensors(flat(X, Y))[:-1],
        safetensors.numpy.save({"x": X}),
        safetensors.numpy.save({"x": X.astype(np.float64), "y": Y}),
        safetensors.numpy.save({"x": X, "y": Y.astype(np.int32)}),
        safetensors.numpy.save({"x": X, "y": Y, "z": Y}),
        safetensors.numpy.save({"x": X * np.float32(np.inf), "y": Y}),
    ],
)
def test_hostile_validation_data_are_refused(content):
    with pytest.raises(ValueError, match="the data set"):
        from_safetensors(content, FLAT)


def test_validation_data_survive_their_file():
    data = from_safetensors(to_safetensors(flat(X[::2], Y[::2])), FLAT)
    assert alone(data).tolist() == X[::2].tolist()
    assert data.y.tolist() == Y[::2].tolist()


# ---------------------------------------------------------------- schema


TENSOR = {"kind": "tensor", "shape": [3]}
IMAGE = {"kind": "image", "channels": 1, "height": 8, "width": 8}


@pytest.mark.parametrize(
    "wrong",
    [
        {"features": {}},
        {"features": {"x": {"kind": "video"}}},
        {"features": {"x": {**TENSOR, "shape": []}}},
        {"features": {"x": {**TENSOR, "shape": [0]}}},
        {"features": {"x": {**TENSOR, "shape": [2**30]}}},
        {"features": {"x": {**IMAGE, "channels": 2}}},
        {"features": {"x": {**TENSOR, "minimum": 1, "maximum": 1}}},
        {"features": {"x": {**TENSOR, "minimum": float("nan")}}},
        {"features": {"x": {**TENSOR, "std": [0]}}},
        {"features": {"x": {**TENSOR, "std": [1, 1]}}},
        {"features": {"x": {**TENSOR, "mean": []}}},
        {"features": {"x": TENSOR, "c": {"kind": "category", "values": ["a", "a"]}}},
        {"features": {"x": {**TENSOR, "colour": "red"}}},
        {"target": classes(1)},
        {"target": classes(4, names=["a", "a", "b", "c"])},
        {"target": {"kind": "mask", "classes": 2}},
        {"target": {"kind": "tags", "classes": 2}},
    ],
    ids=str,
)
def test_a_schema_that_makes_no_sense_is_refused(wrong):
    good = {"features": {"x": TENSOR}, "target": classes(4)}
    DataSchema.model_validate(good)
    with pytest.raises(ValidationError):
        DataSchema.model_validate({**good, **wrong})


# ---------------------------------------------------------------- splits


def numbered(n: int) -> Dataset:
    return flat(np.arange(n, dtype=np.float32).reshape(n, 1), np.arange(n, dtype=np.int64) % 5)


def values(parts) -> list[float]:
    return sorted(value for part in parts for value in alone(part)[:, 0].tolist())


def test_every_split_gives_each_sample_to_exactly_one_part():
    data = numbered(101)
    for parts in (hold_out(data, (20, 30), 1), iid(data, 6, 1), label_skew(data, 6, 0.5, 1)):
        assert values(parts) == list(range(101))
        assert all((alone(part)[:, 0].astype(int) % 5 == part.y).all() for part in parts)
    assert [len(part) for part in hold_out(data, (20, 30), 1)] == [20, 30, 51]
    assert sorted({len(part) for part in iid(data, 6, 1)}) == [16, 17]


def test_a_split_is_decided_by_its_seed():
    data = numbered(60)
    for split in (lambda s: hold_out(data, (10,), s), lambda s: iid(data, 3, s), lambda s: label_skew(data, 3, 1.0, s)):
        again = [alone(part).tolist() for part in split(4)]
        assert [alone(part).tolist() for part in split(4)] == again
        assert [alone(part).tolist() for part in split(5)] != again


def test_a_small_alpha_makes_labels_one_sided_and_the_minimum_holds():
    data = numbered(600)

    def largest_share(alpha):
        parts = label_skew(data, 4, alpha, 0, minimum=10)
        assert min(len(part) for part in parts) >= 10
        return np.mean([np.bincount(part.y, minlength=5).max() / len(part) for part in parts])

    assert largest_share(0.1) > largest_share(100) + 0.2


def test_splits_that_cannot_be_are_refused():
    data = numbered(10)
    for split in (
        lambda: iid(data, 11, 0),
        lambda: iid(data, 0, 0),
        lambda: hold_out(data, (8, 3), 0),
        lambda: hold_out(data, (-1,), 0),
        lambda: label_skew(data, 5, 0.1, 0, minimum=3),
    ):
        with pytest.raises(ValueError, match="samples"):
            split()
