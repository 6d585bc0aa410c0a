"""Data sets: where they come from, and whether they are what a job asks for.

A source is the word `digits`, a file, or a folder; docs/data.md lists them. Every complaint is a ValueError of one
sentence that names the source (file, row, column), what was expected and what was found.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from trainer.config import DataSchema, ImageFeature, TextFeature
from trainer.data.archives import from_safetensors, to_safetensors, write_npz
from trainer.data.dataset import Dataset, check, normalise
from trainer.data.endings import ARRAYS, TABLES, TEXTS, ending_of, named_compressed
from trainer.data.options import PLAIN, DataOptions
from trainer.data.reading import Notes, Reading

__all__ = [
    "PLAIN", "DataOptions", "Dataset", "Notes", "from_safetensors", "load", "normalise", "read", "to_safetensors",
    "tokenizer_files", "write_npz",
]  # fmt: skip

_BESIDE = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_NO_FILES: Mapping[str, bytes] = MappingProxyType({})


def read(
    source: str,
    schema: DataSchema,
    options: DataOptions = PLAIN,
    tokenizers: Mapping[str, bytes] = _NO_FILES,
    notes: Notes | None = None,
) -> Dataset:
    """The data set behind a source, checked against the schema, values as they are in the source.

    tokenizers: the bytes of each tokenizer.json that the schema names. notes: filled with what else was found.
    """
    options.fit(schema)
    reading = Reading(Path(source), schema, options, tokenizers, Notes() if notes is None else notes)
    try:
        return check(_found(source, reading), schema, source)
    except ValueError as error:
        if "\n" in str(error):  # of a library's own words
            raise ValueError(" ".join(str(error).split())) from error
        raise


def tokenizer_files(files: Mapping[str, Path], schema: DataSchema) -> dict[str, bytes]:
    """The tokenizer files that a schema names, of all that a job names."""
    named = {feature.tokenizer for feature in schema.texts.values()}
    return {name: path.read_bytes() for name, path in files.items() if name in named}


def load(
    source: str,
    schema: DataSchema,
    options: DataOptions = PLAIN,
    tokenizers: Mapping[str, bytes] = _NO_FILES,
) -> Dataset:
    """`read`, then (value − mean) / std as the schema says: what a model is trained on."""
    return normalise(read(source, schema, options, tokenizers), schema)


def _found(source: str, reading: Reading) -> Dataset:
    """Readers are imported where they are used, since pyarrow, Pillow and scikit-learn take their time."""
    path, schema = reading.path, reading.schema
    if source == "digits":
        from trainer.data.digits import read_digits  # noqa: PLC0415

        return read_digits(path, schema)
    if path.is_dir():
        return _folder(reading)
    ending = ending_of(path)
    if ending not in (*TABLES, *ARRAYS, TEXTS) or (ending in ARRAYS and named_compressed(path)):
        listed = ", ".join((*ARRAYS, *TABLES, TEXTS))
        raise ValueError(f"{source} is no data source: give digits, a folder, or a file {listed}")
    if not path.is_file():
        raise ValueError(f"{source} is not there, or is not a file")
    if ending in ARRAYS:
        from trainer.data import archives  # noqa: PLC0415

        return (archives.read_npz if ending == ".npz" else archives.read_safetensors)(reading)
    if ending == TEXTS:
        from trainer.data.texts import read_texts  # noqa: PLC0415

        return read_texts(reading)
    from trainer.data.tables import ENDINGS, read_table  # noqa: PLC0415

    return read_table(reading, ENDINGS[ending])


def _folder(reading: Reading) -> Dataset:
    path, features = reading.path, reading.schema.features.values()
    if (path / "state.json").is_file() and (path / "dataset_info.json").is_file():
        from trainer.data.tables import read_saved_set  # noqa: PLC0415

        return read_saved_set(reading)
    if (path / "dataset_dict.json").is_file():
        raise ValueError(f"{path}: one data set is expected, this folder has several: give one of its subfolders")
    if any(isinstance(feature, ImageFeature) for feature in features):
        beside = [path / name for name in _BESIDE if (path / name).is_file()]
        if len(beside) > 1:
            raise ValueError(f"{path}: one table beside the images is expected, {len(beside)} were found")
        if beside:
            from trainer.data.tables import ENDINGS, read_table  # noqa: PLC0415

            return read_table(replace(reading, path=beside[0]), ENDINGS[beside[0].suffix], beside=True)
        from trainer.data.images import read_images  # noqa: PLC0415

        return read_images(reading)
    if any(isinstance(feature, TextFeature) for feature in features):
        from trainer.data.texts import read_texts  # noqa: PLC0415

        return read_texts(reading)
    raise ValueError(f"{path}: a folder holds images or texts, and the job has neither: give a table")
