"""Kinds of values that libraries read as something else: classes called None, images of 16 bits, turned pictures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
from numpy.typing import NDArray
from PIL import Image, ImageOps

from trainer.config import DataSchema
from trainer.data import DataOptions, read

GAP = r"row \d, column '\w+': a (label|number) is expected, (none|nan|'\w+') was found"
MISSING_LOOKALIKES = [
    "None", "NA", "N/A", "nan", "NaN", "null", "NULL", "n/a", "<NA>", "#N/A", "-nan", "01", "1", "1.0", "1e3", "true",
    "True", "TRUE", "inf", "-", "2026-11-26", "x y", "0x10",
]  # fmt: skip


def table_schema(*names: str) -> DataSchema:
    number = {"kind": "number"}
    target = {"kind": "category", "name": "severity", "classes": len(names), "names": names}
    return DataSchema.model_validate({"features": {"a": number, "b": number}, "target": target})


def labels(source: str, schema: DataSchema) -> list[int]:
    y = read(source, schema).y
    assert y is not None
    return y.tolist()


def image_values(source: str, schema: DataSchema) -> NDArray[np.float32]:
    return read(source, schema).inputs["image"]


def written(path: Path, labels: list[object]) -> str:
    frame = pd.DataFrame({"a": range(len(labels)), "b": 1.5, "severity": labels})
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        pq.write_table(pa.Table.from_pandas(frame), path)
    return str(path)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("name", MISSING_LOOKALIKES)
def test_a_label_that_is_a_classs_name_is_that_class(tmp_path: Path, name: str, ending: str) -> None:
    source = written(tmp_path / f"d{ending}", [name, "Mild", "Severe", name])
    assert labels(source, table_schema(name, "Mild", "Severe")) == [0, 1, 2, 0]


def test_all_of_them_are_classes_of_their_own(tmp_path: Path) -> None:
    source = written(tmp_path / "d.csv", list(MISSING_LOOKALIKES))
    assert labels(source, table_schema(*MISSING_LOOKALIKES)) == list(range(len(MISSING_LOOKALIKES)))


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_an_empty_label_is_missing(tmp_path: Path, ending: str) -> None:
    source = written(tmp_path / f"d{ending}", ["None", None, "Mild"])
    with pytest.raises(ValueError, match=GAP):
        read(source, table_schema("None", "Mild"))


def test_a_class_whose_name_is_empty_is_that_class(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b,severity\n1,2,\n3,4,Mild\n")
    assert labels(str(tmp_path / "d.csv"), table_schema("", "Mild")) == [0, 1]


@pytest.mark.parametrize("word", ["", "NA", "None", "nan", "null"])
def test_a_feature_that_is_missing_is_refused_whatever_the_classes_are_called(tmp_path: Path, word: str) -> None:
    (tmp_path / "d.csv").write_text(f"a,b,severity\n1,{word},None\n3,4,Mild\n")
    with pytest.raises(ValueError, match=GAP):
        read(str(tmp_path / "d.csv"), table_schema("None", "Mild"))


def test_a_label_that_is_no_classs_name_is_named_as_it_stands(tmp_path: Path) -> None:
    source = written(tmp_path / "d.csv", ["01", "1"])
    with pytest.raises(ValueError, match="one of 01, 02 is expected, '1' was found"):
        read(source, table_schema("01", "02"))


def test_typed_labels_of_a_parquet_file_are_classes_by_their_text(tmp_path: Path) -> None:
    for number, (cells, names) in enumerate(
        [
            ([True, False], ("false", "true")),
            ([True, False], ("False", "True")),
            ([2, 1], ("1", "2")),
            ([2.0, 1.0], ("1", "2")),
            ([b"None", b"Mild"], ("Mild", "None")),
        ]
    ):
        source = written(tmp_path / f"{number}.parquet", list(cells))
        assert labels(source, table_schema(*names)) == [1, 0], names
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4], "severity": pd.Categorical(["None", "Mild"])})
    frame.to_parquet(tmp_path / "c.parquet")
    assert labels(str(tmp_path / "c.parquet"), table_schema("Mild", "None")) == [1, 0]


def test_labels_may_have_space_around_them(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b,severity\n1,2, None\n3,4, 1 \n")
    assert labels(str(tmp_path / "d.csv"), table_schema("None", "1")) == [0, 1]


# ---------------------------------------------------------------- images

WIDTH, HEIGHT = 6, 4
GRADIENT = np.linspace(1000, 60_000, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH)
RIGHT = (GRADIENT.astype(np.uint16) >> 8).astype(np.float32)


def image_schema(channels: int = 1, *, width: int = WIDTH, height: int = HEIGHT) -> DataSchema:
    image = {"kind": "image", "channels": channels, "height": height, "width": width}
    target = {"kind": "category", "classes": 2}
    return DataSchema.model_validate({"features": {"image": image}, "target": target})


def kept(folder: Path, image: Image.Image, name: str = "a.png", **options: object) -> str:
    (folder / "0").mkdir(exist_ok=True)
    image.save(folder / "0" / name, **options)
    return str(folder)


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.pgm"])
def test_of_16_bits_the_upper_8_are_taken(tmp_path: Path, name: str) -> None:
    image = Image.fromarray(GRADIENT.astype(np.uint16))
    for channels in (1, 3):
        x = image_values(kept(tmp_path, image, name), image_schema(channels))
        assert (x[0] == RIGHT).all()
        assert len(np.unique(x)) > 20


def test_8_bits_that_are_kept_as_16_come_back_as_they_were(tmp_path: Path) -> None:
    small = np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 10
    assert (image_values(kept(tmp_path, Image.fromarray(small * 257)), image_schema())[0, 0] == small).all()


def test_both_orders_of_bytes_are_read(tmp_path: Path) -> None:
    for mode in ("I;16", "I;16B", "I;16L"):
        image = Image.frombytes(mode, (WIDTH, HEIGHT), GRADIENT.astype(">u2" if mode == "I;16B" else "<u2").tobytes())
        assert (image_values(kept(tmp_path, image, "a.tiff"), image_schema())[0, 0] == RIGHT).all(), mode


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_of_32_bits_are_refused_by_file_and_mode(tmp_path: Path, mode: str) -> None:
    source = kept(tmp_path, Image.fromarray(GRADIENT.astype(np.int32 if mode == "I" else np.float32)), "a.tiff")
    with pytest.raises(ValueError, match=rf"a\.tiff: .*8 or 16 bits a channel are expected, Pillow's mode {mode}"):
        read(source, image_schema())


def test_16_bits_in_which_white_is_zero_are_refused(tmp_path: Path) -> None:
    image = Image.fromarray(GRADIENT.astype(np.uint16))
    with pytest.raises(ValueError, match="white is 0"):
        read(kept(tmp_path, image, "a.tiff", tiffinfo={262: 0}), image_schema())


@pytest.mark.parametrize("mode", Image.MODES)
def test_every_mode_is_read_right_or_refused(tmp_path: Path, mode: str) -> None:
    """Right: a grey ramp keeps its order and its steps, which no saturation does."""
    ramp = np.arange(WIDTH * HEIGHT, dtype=np.uint8).reshape(HEIGHT, WIDTH) * 10
    grey = Image.fromarray(ramp)
    try:
        image = grey.point(lambda v: v * 257, "I").convert(mode) if mode.startswith("I;") else grey.convert(mode)
        source = kept(tmp_path, image, "a.tiff")
    except (ValueError, OSError, KeyError):
        pytest.skip(f"Pillow makes no file of mode {mode}")
    try:
        x = image_values(source, image_schema())[0, 0]
    except ValueError:
        with pytest.raises(ValueError, match=r"a\.tiff"):
            read(source, image_schema())
        return
    if mode == "1":
        assert set(np.unique(x)) <= {0, 255}
    else:
        assert np.abs(x - ramp).max() <= 8, mode


def transparent(mode: str, alpha: int) -> Image.Image:
    """Black all over, behind an alpha of its own."""
    image = Image.new("L", (WIDTH, HEIGHT), 0)
    if mode in ("LA", "RGBA"):
        image = image.convert(mode)
        image.putalpha(alpha)
        return image
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_hidden_colours_are_refused_unless_a_background_is_given(tmp_path: Path, mode: str) -> None:
    source = kept(tmp_path, transparent(mode, 0))
    with pytest.raises(ValueError, match=r"a\.png: .*transparent ones were found: give a background"):
        read(source, image_schema())
    for background, seen in (("white", 255), ("black", 0)):
        options = DataOptions.model_validate({"background": background})
        assert (read(source, image_schema(), options).inputs["image"] == seen).all()
    half = read(kept(tmp_path, transparent(mode, 128)), image_schema(), DataOptions(background="white"))
    assert np.unique(half.inputs["image"]).tolist() == [127]


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_colour_that_stands_for_transparency_is_refused(tmp_path: Path, mode: str) -> None:
    black = (0, 0, 0) if mode == "RGB" else 0
    source = kept(tmp_path, Image.new(mode, (WIDTH, HEIGHT), black), transparency=black)
    with pytest.raises(ValueError, match="transparent ones were found"):
        read(source, image_schema())


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_an_opaque_alpha_is_dropped(tmp_path: Path, mode: str) -> None:
    ramp = np.arange(WIDTH * HEIGHT, dtype=np.uint8).reshape(HEIGHT, WIDTH) * 10
    image = Image.fromarray(ramp).convert(mode)
    assert (image_values(kept(tmp_path, image), image_schema())[0, 0] == ramp).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("mode", "name"), [("L", "a.png"), ("RGB", "a.png"), ("I;16", "a.png"), ("L", "a.tiff"), ("RGB", "a.webp")]
)
def test_a_picture_is_turned_as_its_exif_data_say(tmp_path: Path, orientation: int, mode: str, name: str) -> None:
    pixels = np.arange(WIDTH * HEIGHT, dtype=np.uint8).reshape(HEIGHT, WIDTH) * 10
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = (
        Image.fromarray(pixels.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    )
    reference = Image.fromarray(pixels)
    reference.getexif()[0x0112] = orientation
    seen = np.asarray(ImageOps.exif_transpose(reference))
    height, width = seen.shape
    lossless = {"lossless": True} if name == "a.webp" else {}
    x = image_values(kept(tmp_path, stored, name, exif=exif, **lossless), image_schema(width=width, height=height))
    assert (x[0, 0] == seen).all()


def test_a_picture_that_is_turned_to_another_size_is_refused(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = kept(tmp_path, Image.new("L", (WIDTH, HEIGHT)), "a.jpg", exif=exif)
    with pytest.raises(ValueError, match=rf"a\.jpg: .*{WIDTH} × {HEIGHT} pixels are expected, {HEIGHT} × {WIDTH}"):
        read(source, image_schema())


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_arrays_are_mapped_as_columns_are(tmp_path: Path, ending: str) -> None:
    features = {"a": {"kind": "tensor", "shape": [2]}, "b": {"kind": "tensor", "shape": [2]}}
    schema = DataSchema.model_validate(
        {"features": features, "target": {"kind": "category", "name": "label", "classes": 2}}
    )
    arrays = {"first": np.ones((2, 2), np.float32), "b": np.zeros((2, 2), np.float32), "klasse": np.array([0, 1])}
    path = tmp_path / f"data{ending}"
    if ending == ".npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
    else:
        safetensors.numpy.save_file(arrays, path)
    options = DataOptions(map={"a": "first", "label": "klasse"})
    data = read(str(path), schema, options)
    assert data.inputs["a"].tolist() == [[1, 1], [1, 1]]
    assert data.y is not None
    assert data.y.tolist() == [0, 1]
    with pytest.raises(ValueError, match="expected"):
        read(str(path), schema)
    with pytest.raises(ValueError, match="map: 'y' is taken for two names"):
        read(str(path), schema, DataOptions(map={"a": "y"}))


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_columns_of_an_array_have_no_names_to_map(tmp_path: Path, ending: str) -> None:
    target = {"kind": "number", "names": ["p", "q"]}
    schema = DataSchema.model_validate({"features": {"age": {"kind": "number"}}, "target": target})
    path = tmp_path / f"data{ending}"
    path.write_bytes(b"")
    for name, array in (("age", "table"), ("p", "y")):
        with pytest.raises(ValueError, match=f"map: '{name}' is a column of the array '{array}' here, and has no name"):
            read(str(path), schema, DataOptions(map={name: "other"}))
