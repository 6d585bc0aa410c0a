"""Data sets: where they come from, and whether they are what a job asks for.

A source is the word `digits`, a folder of images, or a file: .npz, .csv, .parquet, .safetensors. Every complaint is a
ValueError of one sentence that names the source, what was expected and what was found.
"""

import importlib
from pathlib import Path

from trainer.config import DataSchema
from trainer.data.archives import from_safetensors, to_safetensors, write_npz
from trainer.data.dataset import Dataset, check, normalise

__all__ = ["Dataset", "from_safetensors", "load", "normalise", "read", "to_safetensors", "write_npz"]

# By ending: module and reader. They are imported when they are used, since pandas and scikit-learn take seconds.
_FILES = {
    ".npz": ("archives", "read_npz"),
    ".csv": ("tables", "read_csv"),
    ".parquet": ("tables", "read_parquet"),
    ".safetensors": ("archives", "read_safetensors"),
}
_FOLDER = ("images", "read_images")
_DIGITS = ("digits", "read_digits")


def read(source: str, schema: DataSchema) -> Dataset:
    """The data set behind a source, checked against the schema, values as they are in the source."""
    path = Path(source)
    if source == "digits":
        reader = _DIGITS
    elif path.is_dir():
        reader = _FOLDER
    elif path.suffix.lower() not in _FILES:
        raise ValueError(f"{source} is no data source: give digits, a folder of images, or a file {', '.join(_FILES)}")
    elif not path.is_file():
        raise ValueError(f"{source} is not there, or is not a file")
    else:
        reader = _FILES[path.suffix.lower()]
    module, function = reader
    found: Dataset = getattr(importlib.import_module(f"trainer.data.{module}"), function)(path, schema)
    return check(found, schema, source)


def load(source: str, schema: DataSchema) -> Dataset:
    """`read`, then (value − mean) / std as the schema says: what a model is trained on."""
    return normalise(read(source, schema), schema)
