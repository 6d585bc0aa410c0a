"""A trained model, and what it says of data."""

from os import PathLike, fspath
from pathlib import Path

from torch import nn

from marketplace.errors import InputError
from marketplace.files import read_within, write_atomically
from marketplace.services.programs import MAX_JOB_FILE_BYTES
from merit.doors import Data, source
from trainer import results
from trainer.config import DataSchema, Files
from trainer.data import PLAIN, DataOptions, Dataset, normalise, read, tokenizer_files
from trainer.data.dataset import check
from trainer.programs import Program
from trainer.results import Card, Prediction, pack_result
from trainer.train import Evaluation, evaluate


class Model:
    """card: what it is and takes, and where it comes from."""

    def __init__(self, card: Card, program: Program, files: Files) -> None:
        self.card = card
        self._program = program
        self._files = files

    def __repr__(self) -> str:
        origin = self.card.origin
        return f"<merit.Model of {origin.job or 'no job'}, round {origin.round}>"

    @property
    def module(self) -> nn.Module:
        """The model itself; of an owner's own program, what was exported of it."""
        return self._program.module

    def predict(self, data: Data, options: DataOptions = PLAIN) -> Prediction:
        """What it says of data, whose targets do not matter. Raises InputError for data that do not fit."""
        data = Dataset(data.inputs, None) if isinstance(data, Dataset) else data
        try:
            loaded = results.Loaded(self.card, self._program, self._files)
            return loaded.predict(self._read(data, loaded.schema, options))
        except ValueError as error:
            raise InputError(f"Nothing is predicted: {error}.") from error

    def evaluate(self, data: Data, options: DataOptions = PLAIN) -> Evaluation:
        """Mean loss and main metric on data with targets. Raises InputError for data that do not fit."""
        task = self._program.task
        try:
            read = self._read(data, self.card.data.model_copy(update={"min_samples": 1}), options)
            return evaluate(self._program, read, task.metric(self.card.task.metric) if task else None)
        except ValueError as error:
            raise InputError(f"Nothing is evaluated: {error}.") from error

    def save(self, path: str | PathLike[str]) -> None:
        """Writes a safetensors file that says how to use it, for `load_model` and `merit predict`; replaces one.

        Files that it names, an owner's program or a tokenizer, are written beside it.
        """
        place = Path(fspath(path))
        for name, file in self._files.items():
            beside = place.parent / Path(name).name
            if not beside.exists() or not beside.samefile(file):
                write_atomically(beside, read_within(file, MAX_JOB_FILE_BYTES), mode=0o644)
        write_atomically(place, pack_result(self._program, self.card), mode=0o644)

    def _read(self, data: Data, schema: DataSchema, options: DataOptions) -> Dataset:
        """Checked and normalised."""
        given = source(data)
        if isinstance(given, Dataset):
            return normalise(check(given, schema, "what was given"), schema)
        return normalise(read(given, schema, options, tokenizer_files(self._files, schema)), schema)


def load_model(path: str | PathLike[str]) -> Model:
    """A model that `Model.save` or `merit job model` wrote; what its card names lies beside it. Raises InputError."""
    place = Path(fspath(path))
    if not place.is_file():
        raise InputError(f"{place} does not exist.")
    try:
        loaded = results.load_model(place)
    except ValueError as error:
        raise InputError(f"{place} is no model: {error}.") from error
    return Model(loaded.card, loaded.program, loaded.files)
