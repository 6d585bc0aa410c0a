"""Folders: of images, of masks, of images beside a table, of texts. And what a report says of them."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from trainer.config import DataSchema
from trainer.data import DataOptions, Notes, read
from trainer.data.dataset import Dataset
from trainer.data.report import check, samples

IMAGE: dict[str, Any] = {"kind": "image", "channels": 1, "height": 2, "width": 3}
CATS: dict[str, Any] = {"kind": "category", "classes": 2, "names": ["cat", "dog"]}
SKIP = DataOptions(skip_bad=True)


def schema_of(target: dict[str, Any] | None, **features: dict[str, Any]) -> DataSchema:
    return DataSchema.model_validate({"features": features, "target": target})


SCHEMA = schema_of(CATS, image=IMAGE)
MASKS = schema_of({"kind": "mask", "classes": 3}, image=IMAGE)


def image(path: Path, value: int = 7, mode: str = "L", size: tuple[int, int] = (3, 2), **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(["cat/a.png", "cat/b.png", "dog/a.png"]):
        image(tmp_path / "set" / name, number)
    return tmp_path / "set"


def refusal(folder: Path, schema: DataSchema = SCHEMA) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        read(str(folder), schema)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---------------------------------------------------------------- images by class


def test_hidden_and_system_files_are_passed_over_and_listed(folder: Path) -> None:
    for name in (".DS_Store", "cat/Thumbs.db", "cat/._a.png", "__MACOSX/a.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    notes = Notes()
    data = read(str(folder), SCHEMA, notes=notes)
    assert data.inputs["image"][:, 0, 0, 0].tolist() == [0, 1, 2]
    assert sorted(notes.skipped) == [".DS_Store", "__MACOSX", "cat/._a.png", "cat/Thumbs.db"]


def broken(folder: Path, kind: str) -> Path:
    path = folder / "cat" / "bad.png"
    if kind == "text":
        path.write_text("no image")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut short":
        path.write_bytes(image(path).read_bytes()[:50])
    elif kind == "another size":
        image(path, size=(3, 3))
    elif kind == "frames":
        other = Image.new("L", (3, 2), 9)
        Image.new("L", (3, 2)).save(path, format="GIF", save_all=True, append_images=[other])
    elif kind == "pages":
        Image.new("L", (3, 2)).save(path, format="TIFF", save_all=True, append_images=[Image.new("L", (3, 2), 9)])
    elif kind == "for print":
        Image.new("CMYK", (3, 2)).save(path, format="TIFF")
    elif kind == "a folder":
        image(path / "a.png")
    elif kind == "a link out":
        path.symlink_to(image(folder.parent / "secret.png"))
    elif kind == "a folder's link out":
        path.symlink_to(folder.parent)
    elif kind == "a link to nowhere":
        path.symlink_to(folder / "nowhere.png")
    else:
        os.mkfifo(path)
    return path


KINDS = {
    "text": "an image is expected",
    "empty": "an image is expected",
    "cut short": "an image is expected",
    "another size": "3 × 2 pixels are expected, 3 × 3 were found",
    "frames": "one image is expected, 2 frames were found",
    "pages": "one image is expected, 2 frames were found",
    "for print": "colours for print",
    "a folder": "not folders",
    "a link out": "it leads out of it",
    "a folder's link out": "it leads out of it",
    "a link to nowhere": "is not there",
    "a pipe": "neither a file nor a folder",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_file_is_refused_by_name(folder: Path, kind: str) -> None:
    path = broken(folder, kind)
    sentence = refusal(folder)
    assert str(path) in sentence
    assert KINDS[kind] in sentence


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_file_is_listed_and_the_rest_used_where_that_is_said(folder: Path, kind: str) -> None:
    broken(folder, kind)
    notes = Notes()
    data = read(str(folder), SCHEMA, SKIP, notes=notes)
    assert (len(data), list(notes.bad)) == (3, ["cat/bad.png"])
    assert KINDS[kind] in notes.bad["cat/bad.png"]


def test_a_link_within_the_folder_is_followed(folder: Path) -> None:
    (folder / "dog" / "b.png").symlink_to(folder / "dog" / "a.png")
    assert read(str(folder), SCHEMA).y.tolist() == [0, 0, 1, 1]  # type: ignore[union-attr]


def test_folders_that_are_no_classes_are_refused_with_a_hint(folder: Path) -> None:
    (folder / "dog").rename(folder / "Dog")
    assert "'Dog' was found; 'dog' is spelt otherwise" in refusal(folder)
    (folder / "Dog").rename(folder / "cow")
    assert "'cow' was found" in refusal(folder)


def test_files_beside_the_classes_and_empty_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    image(folder / "c.png")
    assert "a file 'c.png' was found" in refusal(folder)
    (tmp_path / "empty").mkdir()
    assert "none was found" in refusal(tmp_path / "empty")
    (tmp_path / "empty" / "cat").mkdir()
    assert "at least 1 samples" in refusal(tmp_path / "empty")


def test_a_class_without_a_file_is_said(folder: Path) -> None:
    (folder / "dog" / "a.png").unlink()
    report, _ = check(str(folder), SCHEMA)
    assert report.classes == {"cat": 2, "dog": 0}
    assert "class 'dog' has no file" in report.remarks


def test_a_phones_picture_with_others_behind_it_is_the_first(folder: Path) -> None:
    behind = Image.new("RGB", (3, 2), (200, 200, 200))
    picture = Image.new("RGB", (3, 2), (50, 50, 50))
    picture.save(folder / "dog" / "b.jpg", format="MPO", save_all=True, append_images=[behind])
    assert read(str(folder), SCHEMA).inputs["image"][3].tolist() == np.full((1, 2, 3), 50).tolist()


# ---------------------------------------------------------------- masks


def masked(folder: Path, mask: Image.Image, name: str = "a.png") -> Path:
    image(folder / "images" / "a.png")
    (folder / "masks").mkdir(exist_ok=True)
    mask.save(folder / "masks" / name)
    return folder


CLASSES = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8)


def of_palette(colours: list[int]) -> Image.Image:
    made = Image.frombytes("P", (3, 2), CLASSES.tobytes())
    made.putpalette(colours)
    return made


@pytest.mark.parametrize(("mask", "right"), [
    (Image.fromarray(CLASSES), CLASSES),
    (Image.fromarray(CLASSES.astype(np.uint16)), CLASSES),
    (of_palette([0, 0, 0, 128, 0, 0, 0, 128, 0]), CLASSES),
    (of_palette([2, 2, 2, 1, 1, 1, 0, 0, 0]), 2 - CLASSES),
    (Image.fromarray(CLASSES > 0), (CLASSES > 0).astype(int)),
    (Image.fromarray(CLASSES * 127), "classes 0 … 2 are expected, 127 was found at row 1, column 2"),
    (Image.fromarray(CLASSES).convert("RGB"), "Pillow's mode RGB"),
    (Image.new("L", (2, 2)), "3 × 2 pixels are expected"),
], ids=["grey", "16 bits", "colours", "greys in a palette", "1 bit", "other values", "RGB", "size"])  # fmt: skip
def test_a_mask_is_classes_or_refused(tmp_path: Path, mask: Image.Image, right: Any) -> None:
    folder = masked(tmp_path, mask)
    if isinstance(right, str):
        assert right in refusal(folder, MASKS)
    else:
        y = read(str(folder), MASKS).y
        assert y is not None
        assert (y.dtype, y.tolist()) == (np.int64, [right.tolist()])


def test_masks_may_have_a_value_that_nothing_is_asked_for(tmp_path: Path) -> None:
    folder = masked(tmp_path, Image.fromarray(np.where(CLASSES == 2, 255, CLASSES).astype(np.uint8)))
    y = read(str(folder), MASKS, DataOptions(void=255)).y
    assert y is not None
    assert y.tolist() == [[[0, 1, -100], [-100, 1, 0]]]
    assert check(str(folder), MASKS, DataOptions(void=255))[0].classes == {"0": 2, "1": 2, "2": 0, "": 2}


def test_images_and_masks_belong_together_by_name(tmp_path: Path) -> None:
    folder = masked(tmp_path, Image.fromarray(CLASSES), "b.png")
    assert "b.png: an image of its name is expected" in refusal(folder, MASKS)
    image(folder / "images" / "b.png")
    assert "a.png: a mask of its name is expected in masks" in refusal(folder, MASKS)
    notes = Notes()
    assert len(read(str(folder), MASKS, SKIP, notes=notes)) == 1
    assert list(notes.bad) == ["images/a.png"]


def test_a_mask_that_lost_a_little_in_a_jpeg_is_refused(tmp_path: Path) -> None:
    assert "a mask is expected" in refusal(masked(tmp_path, Image.fromarray(CLASSES), "a.jpg"), MASKS)


# ---------------------------------------------------------------- images beside a table

AGES = schema_of({"kind": "number", "names": ["age"]}, image=IMAGE, weight={"kind": "number"})


def test_a_table_beside_images_says_what_they_are(tmp_path: Path) -> None:
    for number in range(2):
        image(tmp_path / "pictures" / f"{number}.png", number)
    (tmp_path / "metadata.csv").write_text("file_name,age,weight\npictures/1.png,3,0.5\npictures/0.png,4,1\n")
    data = read(str(tmp_path), AGES)
    assert data.inputs["image"][:, 0, 0, 0].tolist() == [1, 0]
    assert data.inputs["table"].tolist() == [[0.5], [1]]
    assert data.y is not None
    assert data.y.tolist() == [[3], [4]]


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "nothing.png", "", "link.png"])
def test_a_table_beside_images_names_no_file_elsewhere(tmp_path: Path, name: str) -> None:
    image(tmp_path / "secret.png")
    image(tmp_path / "set" / "good.png")
    (tmp_path / "set" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "set" / "metadata.csv").write_text(f"file_name,age,weight\ngood.png,1,1\n{name},3,0.5\n")
    assert any(why in refusal(tmp_path / "set", AGES) for why in ("leads out", "is not there", "file name or bytes"))
    notes = Notes()
    assert len(read(str(tmp_path / "set"), AGES, SKIP, notes=notes)) == 1
    assert list(notes.bad) == ["row 3"]


def test_images_may_be_in_a_table_as_bytes(tmp_path: Path) -> None:
    content = image(tmp_path / "a.png", 9).read_bytes()
    cells: list[Any] = [{"bytes": content, "path": "/etc/passwd"}]
    for column in (cells, [content]):
        pq.write_table(pa.table({"image": column, "age": [1], "weight": [2]}), tmp_path / "d.parquet")
        assert read(str(tmp_path / "d.parquet"), AGES).inputs["image"].tolist() == [[[[9.0] * 3] * 2]]
    cells[0]["bytes"] = None
    pq.write_table(pa.table({"image": cells, "age": [1], "weight": [2]}), tmp_path / "d.parquet")
    assert "row 1, column 'image': an image's file name or bytes" in refusal(tmp_path / "d.parquet", AGES)


# ---------------------------------------------------------------- texts

TEXT: dict[str, Any] = {"kind": "text", "length": 6}


def words() -> bytes:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3, "the": 4, "cat": 5, "##s": 6, "sat": 7}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    made.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    made.enable_truncation(3)
    return made.to_str().encode()


def test_texts_are_bytes_cut_and_filled(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text('text,label\nhé,cat\n"a b,\nc defg",dog\nNA,dog\n')
    notes = Notes()
    data = read(str(tmp_path / "d.csv"), schema_of(CATS, text=TEXT), notes=notes)
    assert data.inputs["text"].tolist() == [
        [104, 195, 169, 256, 256, 256], list(b"a b,\nc"), [78, 65, 256, 256, 256, 256],
    ]  # fmt: skip
    assert notes.remarks == {"texts cut at 6 tokens": 1}
    (tmp_path / "d.csv").write_text("text,label\n ,cat\n")
    assert "row 2, column 'text': a text is expected" in refusal(tmp_path / "d.csv", schema_of(CATS, text=TEXT))
    (tmp_path / "d.csv").write_bytes("text,label\nhé,cat\n".encode("latin-1"))
    assert "give its encoding" in refusal(tmp_path / "d.csv", schema_of(CATS, text=TEXT))


def test_a_tokenizer_of_the_job_is_used_as_its_own_file_says(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text(
        '{"text": "the cats sat sat sat", "label": "cat"}\n{"text": "cat", "label": "dog"}'
    )
    schema = schema_of(CATS, text={**TEXT, "tokenizer": "words.json"})
    data = read(str(tmp_path / "d.jsonl"), schema, tokenizers={"words.json": words()})
    assert data.inputs["text"].tolist() == [[1, 4, 5, 6, 7, 7], [1, 5, 2, 0, 0, 0]]
    assert "its file is expected" in refusal(tmp_path / "d.jsonl", schema)
    for hostile in (b"{}", b"\xff", b"[" * 10_000):
        with pytest.raises(ValueError, match=r"words\.json: a tokenizer\.json is expected"):
            read(str(tmp_path / "d.jsonl"), schema, tokenizers={"words.json": hostile})


def test_documents_are_joined_with_an_end_and_cut_and_what_is_left_is_left_out(tmp_path: Path) -> None:
    schema = schema_of(None, text={**TEXT, "length": 4, "packed": True})
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.txt").write_text("abcde")
    (tmp_path / "set" / "b.txt").write_text("fg\n")
    data = read(str(tmp_path / "set"), schema)
    assert data.inputs["text"].tolist() == [[97, 98, 99, 100], [101, 256, 102, 103]]
    assert data.y is None
    assert check(str(tmp_path / "set"), schema)[0].remarks == {
        "tokens left out at the end, which do not fill a sample": 2
    }
    (tmp_path / "d.csv").write_text("text\nabcde\nfg\n")
    assert read(str(tmp_path / "d.csv"), schema).inputs["text"].tolist() == data.inputs["text"].tolist()
    (tmp_path / "short.txt").write_text("ab")
    assert "4 tokens are expected at least, 3 were found" in refusal(tmp_path / "short.txt", schema)


def test_texts_in_a_folder_a_class(tmp_path: Path) -> None:
    for name, text in (("cat/a.txt", "meow"), ("dog/b.txt", "woof!!!")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    (tmp_path / "dog" / "c.txt").write_bytes(b"\xff\xfe\xfd")
    schema = schema_of(CATS, text=TEXT)
    assert "c.txt" in refusal(tmp_path, schema)
    data = read(str(tmp_path), schema, SKIP)
    assert data.inputs["text"].tolist() == [[*b"meow", 256, 256], list(b"woof!!")]
    assert data.y is not None
    assert data.y.tolist() == [0, 1]


TAGS = schema_of({"kind": "tags", "classes": 3}, text={**TEXT, "length": 8})


def test_a_words_tag_is_at_its_first_token(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("text,tags\nab  é c,1 2 0\n")
    y = read(str(tmp_path / "d.csv"), TAGS).y
    assert y is not None
    assert y.tolist() == [[1, -100, -100, -100, 2, -100, -100, 0]]
    schema = schema_of({"kind": "tags", "classes": 3}, text={**TEXT, "tokenizer": "w"})
    (tmp_path / "d.csv").write_text("text,tags\nthe cats sat sat,0 1 2 2\n")
    y = read(str(tmp_path / "d.csv"), schema, tokenizers={"w": words()}).y
    assert y is not None
    assert y.tolist() == [[-100, 0, 1, -100, 2, 2]]


@pytest.mark.parametrize(("row", "why"), [
    ("a b,1", "2 tags are expected, one a word, 1 were found"),
    ("a b,1 2 0", "2 tags are expected, one a word, 3 were found"),
    ("a b,1 3", "tags 0 … 2 are expected, '3' was found"),
    ("a b,1 -1", "tags 0 … 2 are expected, '-1' was found"),
    ("a b,1 x", "tags 0 … 2 are expected, 'x' was found"),
    ("a b,", "a tag for each word is expected, none was found"),
])  # fmt: skip
def test_tags_that_do_not_fit_their_words_are_refused(tmp_path: Path, row: str, why: str) -> None:
    (tmp_path / "d.csv").write_text(f"text,tags\n{row}\n")
    sentence = refusal(tmp_path / "d.csv", TAGS)
    assert "row 2, column 'tags': " in sentence
    assert why in sentence


# ---------------------------------------------------------------- the report


def test_a_report_counts_what_is_there_and_goes_through_json(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("id,age,city,label\n7,30,Rome,cat\n8,,Rome,dog\n9,50,Oslo,dog\n")
    schema = schema_of(
        CATS,
        age={"kind": "number", "minimum": 0, "maximum": 99, "mean": 1000, "std": 2},
        city={"kind": "category", "values": ["Oslo", "Rome"]},
    )
    report, _ = check(str(tmp_path / "d.csv"), schema, DataOptions(missing="drop"))
    assert (report.samples, report.dropped, report.missing) == (2, 1, {"age": 1})
    assert (report.classes, report.categories) == ({"cat": 1, "dog": 1}, {"city": {"Oslo": 1, "Rome": 1}})
    assert (report.ranges["age"].lowest, report.ranges["age"].highest, report.ranges["age"].unusual) == (30, 50, True)
    assert report.ignored_columns == ["id"]
    assert report.shown[0] == {"age": "30", "city": "Rome", "label": "cat"}
    assert json.loads(json.dumps(report.to_dict()))["samples"] == 2
    text = "\n".join(report.lines())
    for part in (
        "2 samples",
        "cat 1, dog 1",
        "30 … 50",
        "another unit?",
        "ignored columns: id",
        "age: 1 cells missing",
    ):
        assert part in text


def test_a_report_shows_images_by_size_and_texts_by_their_first_characters(folder: Path, tmp_path: Path) -> None:
    assert check(str(folder), SCHEMA)[0].shown[1] == {"image": "1 × 2 × 3, values 1 … 1", "label": "cat"}
    (tmp_path / "d.csv").write_text("text,label\nhello,cat\n")
    assert check(str(tmp_path / "d.csv"), schema_of(CATS, text=TEXT))[0].shown == [{"text": "'hello'", "label": "cat"}]


def test_samples_for_a_page_come_from_all_of_the_data_with_small_pictures(folder: Path) -> None:
    _, data = check(str(folder), SCHEMA)
    shown = samples(data, SCHEMA, 1, {})
    assert len(shown) == 1
    picture = shown[0].picture
    assert picture is not None
    assert (picture.channels, picture.height, picture.width, len(picture.pixels)) == (1, 2, 3, 6)
    assert all(0 <= pixel <= 255 for pixel in picture.pixels)
    wide = SCHEMA.model_validate(
        {"features": {"image": {"kind": "image", "channels": 1, "height": 4, "width": 1000, "maximum": 10}}}
    )
    large = Dataset({"image": np.full((1, 1, 4, 1000), 5, dtype=np.float32)}, None)
    small = samples(large, wide, 8, {})[0].picture
    assert small is not None
    assert (small.height, small.width, set(small.pixels)) == (1, 63, {128})
