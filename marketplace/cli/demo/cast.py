"""Who plays in the demo, what each has, and the job they play."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from marketplace.keys.identity import Identity
from marketplace.keys.keystore import Keystore
from trainer.config import DataSchema
from trainer.data import Dataset, normalise, read, write_npz
from trainer.data.split import hold_out, iid

PASSWORD = "demo"  # noqa: S105 - keys of a throwaway chain
TEST_SAMPLES, VALIDATION_SAMPLES = 360, 200
SILENT_ROUND = 4

Kind = Literal["honest", "poisoner", "free-rider", "silent"]


@dataclass(frozen=True, slots=True)
class Player:
    """One party with a home folder and a key of its own; `data` is a trainer's file, `options` those that it takes.

    `python` runs a trainer's node, which finds modules below `path` too.
    """

    name: str
    role: str
    identity: Identity
    home: Path
    data: Path | None = None
    options: tuple[str, ...] = ()
    python: Path = Path(sys.executable)
    path: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Cast:
    owner: Player
    aggregator: Player
    trainers: list[Player]
    test: Dataset
    validation: Path
    base: Path | None = None

    @property
    def all(self) -> list[Player]:
        return [self.owner, self.aggregator, *self.trainers]


def roles(trainers: int, honest: bool) -> list[Kind]:
    """Who is what, by trainer: the last ones misbehave."""
    cast: list[Kind] = ["honest"] * trainers
    if not honest:
        cast[-1] = "poisoner"
        if trainers > 3:
            cast[-2] = "free-rider"
        if trainers > 4:
            cast[-3] = "silent"
    return cast


def make_cast(folder: Path, *, trainers: int, honest: bool, schema: DataSchema, seed: int) -> Cast:
    """Makes keys and splits scikit-learn's digits into test, validation and one shard a trainer."""
    test, validation, training = hold_out(read("digits", schema), [TEST_SAMPLES, VALIDATION_SAMPLES], seed)
    write_npz(folder / "validation.npz", validation)
    players = []
    shards = iid(training, trainers, seed)
    for number, (kind, shard) in enumerate(zip(roles(trainers, honest), shards, strict=True), start=1):
        made = player(folder, f"trainer {number}", kind)
        data = made.home / "data.npz"
        write_npz(data, shard)
        players.append(Player(made.name, made.role, made.identity, made.home, data))
    owner, aggregator = player(folder, "owner", "owner"), player(folder, "aggregator", "aggregator")
    return Cast(owner, aggregator, players, normalise(test, schema), folder / "validation.npz")


def player(folder: Path, name: str, role: str) -> Player:
    home = folder / name.replace(" ", "-")
    identity = Keystore(home / "keys", scrypt_n=4096).create("default", PASSWORD)
    return Player(name, role, identity, home)


def job_document(cast: Cast, *, rounds: int, rule: str, model: str) -> dict[str, Any]:
    """The demo's job.yaml as a document."""
    models: dict[str, dict[str, Any]] = {
        "mlp": {"architecture": "mlp", "parameters": {"inputs": 64, "hidden": [64], "classes": 10}, "seed": 1},
        "cnn": {
            "architecture": "cnn",
            "parameters": {"channels": 1, "height": 8, "width": 8, "filters": [16, 32], "classes": 10},
            "seed": 1,
        },
    }
    return {
        "name": "Handwritten digits",
        "description": "Recognise 8 by 8 pixel images of handwritten digits.",
        "model": models[model],
        "data": data_schema(model).model_dump(mode="json"),
        "training": {
            "optimizer": "adam",
            "learning_rate": 0.003,
            "epochs": 3 if model == "cnn" else 8,
            "batch_size": 16,
            "label_smoothing": 0.1,  # keeps trainers from overfitting, which would cost them pay
        },
        "update": {"scale": 2.0**-15},
        "market": {
            "reward": "0.6 ether",
            "aggregator": {
                "address": cast.aggregator.identity.address,
                "encryption_key": "0x" + cast.aggregator.identity.encryption_key.hex(),
            },
            "rule": rule,
            "rounds": rounds,
            "min_trainers": len(cast.trainers),
            "max_trainers": len(cast.trainers),
            # One of five. More than that misbehave, and earn nothing all the same: by reference no number is assumed.
            "max_faulty": max(0, min(2, (len(cast.trainers) - 3) // 2)),
            "max_strikes": 3,
            "enrol_for": "10 min",
            "start_delay": "0 s",
            "submit_window": "10 min",
            "settle_window": "10 min",
            "confirm_window": "10 min",
        },
    }


def data_schema(model: str) -> DataSchema:
    """What the digits look like to a model."""
    flat = {"kind": "tensor", "shape": [64]}
    image = {"kind": "image", "channels": 1, "height": 8, "width": 8}
    feature = (flat if model == "mlp" else image) | {"minimum": 0, "maximum": 16, "std": [16.0]}
    return DataSchema.model_validate_json(
        json.dumps({"features": {"image": feature}, "target": {"kind": "category", "classes": 10}})
    )


def write_job(path: Path, document: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
