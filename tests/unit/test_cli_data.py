"""`merit data check`, `merit program`, `merit predict` and a job file's files, as their users call them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketplace.cli.predict import _rows, _written
from marketplace.cli.reading import reading_options
from marketplace.errors import InputError
from tests.example import TEXT
from trainer.data import DataOptions
from trainer.programs import open_program
from trainer.results import Card, Prediction, pack_result

JOB = """
name: Cars
model: {architecture: mlp, parameters: {inputs: 3, hidden: [4], classes: 1}}
data:
  features:
    weight: {kind: number, mean: 3000, std: 800}
    origin: {kind: category, values: [USA, Japan]}
  target: {kind: number, names: [mpg], mean: 23, std: 8}
training: {learning_rate: 0.01, batch_size: 4}
market: {reward: 1 ether, rounds: 2, aggregator: anyone}
"""


def merit(*arguments: object, folder: Path, code: int = 0) -> str:
    """What a command says, on either stream."""
    done = subprocess.run(
        [sys.executable, "-m", "marketplace.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={"MERIT_HOME": str(folder / "home"), "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "job.yaml").write_text(JOB)
    (tmp_path / "cars.csv").write_text("mpg;Gewicht;origin\n" + "18,5;3504;USA\n31;1900;Japan\n;2000;Japan\n" * 4)
    return tmp_path


def test_data_are_looked_at_and_trained_on_before_anything_is_published(files: Path) -> None:
    how = ("--map", "weight=Gewicht", "--decimal", ",", "--missing", "drop")
    said = merit("data", "check", files / "job.yaml", "--data", files / "cars.csv", *how, folder=files)
    assert "8 samples fit job" in said
    assert "its model trains on them" in said
    assert "USA" in said
    said = merit("data", "check", files / "job.yaml", "--data", files / "cars.csv", *how[:4], folder=files, code=2)
    assert "cars.csv: row 4, column 'mpg': a number is expected, none was found" in " ".join(said.split())


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"map": ["age"]}, "--map age: write the job's name, then yours, as in age=Alter"),
        ({"missing": "guess"}, "missing"),
        ({"decimal": ","} | {"separator": ","}, "cannot separate both"),
        ({"background": "pink"}, "background"),
    ],
)
def test_options_that_mean_nothing_are_refused(given: dict[str, Any], why: str) -> None:
    plain: dict[str, Any] = {
        "map": None,
        "missing": "error",
        "decimal": ".",
        "separator": "",
        "encoding": "",
        "skip_bad": False,
        "background": "",
    }
    with pytest.raises(InputError, match=why):
        reading_options(**plain | given)
    assert reading_options(**plain) == DataOptions()
    assert reading_options(**plain | {"separator": "tab"}).separator == "\t"


def test_a_model_predicts_on_data_that_have_no_target(files: Path) -> None:
    card = Card.model_validate(
        {
            "model": {"architecture": "mlp", "parameters": {"inputs": 3, "hidden": [4], "classes": 1}},
            "data": {
                "features": {
                    "weight": {"kind": "number", "mean": 3000, "std": 800},
                    "origin": {"kind": "category", "values": ["USA", "Japan"]},
                },
                "target": {"kind": "number", "names": ["mpg"], "mean": 23, "std": 8},
            },
            "task": {"kind": "regression"},
        }
    )
    program = open_program(card.model, card.data, card.task, {})
    (files / "model.safetensors").write_bytes(pack_result(program, card))
    (files / "new.csv").write_text("weight,origin\n3504,USA\n1900,Japan\n")
    out = files / "answers.csv"
    merit("predict", files / "model.safetensors", "--data", files / "new.csv", "-o", out, folder=files)
    header, *rows = out.read_text().splitlines()
    assert header == "mpg"
    assert len(rows) == 2
    assert all(0 < float(row) < 60 for row in rows)
    said = merit("predict", files / "job.yaml", "--data", files / "new.csv", folder=files, code=2)
    assert "Nothing is predicted" in said


def test_answers_are_written_as_the_files_name_says() -> None:
    found = Prediction(np.array(["a", "b"]), ("a", "b"), np.array([[0.75, 0.25], [0.5, 0.5]], np.float32))
    assert _rows(found) == (["answer", "p(a)", "p(b)"], [["a", 0.75, 0.25], ["b", 0.5, 0.5]])
    assert next(json.loads(line) for line in _written(found, ".jsonl").splitlines()) == {
        "answer": "a", "p(a)": 0.75, "p(b)": 0.25,
    }  # fmt: skip
    with pytest.raises(InputError, match=r"\.csv, \.jsonl or \.npz"):
        _written(found, ".xlsx")
    masks = Prediction(np.zeros((2, 3, 3), np.int64), (), None)
    with pytest.raises(InputError, match="an array of its own"):
        _rows(masks)
    assert _written(masks, ".npz")[:2] == b"PK"


def test_the_example_of_the_quick_start_is_checked_with_the_digits(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(TEXT)
    assert "1797 samples fit job" in merit("data", "check", tmp_path / "job.yaml", "--data", "digits", folder=tmp_path)


def test_a_program_is_exported_and_shown(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "examples" / "segmentation" / "model.py"
    out = tmp_path / "unet.safetensors"
    merit("program", "export", f"{source}:build", "-o", out, folder=tmp_path)
    said = merit("program", "show", out, folder=tmp_path)
    assert "3,066" in said or "3066" in said
    assert "aten.conv2d.default" in said
