"""What an example is made of, and what its data are made with."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from marketplace.services.programs import job_program
from marketplace.spec import JobFile
from trainer.data import DataOptions, Dataset, load, normalise, write_npz
from trainer.data.split import hold_out, iid
from trainer.models import to_safetensors
from trainer.train import train_round


@dataclass(frozen=True, slots=True)
class Own:
    """A trainer's own training, `module:function` beside the example, and the Python that runs it, if not this one."""

    function: str
    python: Path = Path(sys.executable)


@dataclass(frozen=True, slots=True)
class Parts:
    """Data sources as the command line takes them. trainers: one each; options: how each is read, if not plainly.

    own: how each trains, if not as Merit does. refused: sources that must not be taken, for what the example shows of
    messy files.
    """

    trainers: Sequence[str]
    validation: str
    test: str
    options: Sequence[DataOptions] = ()
    base: Path | None = None
    own: Sequence[Own] = ()
    refused: Sequence[str] = field(default=())


Opened = Callable[[Path, Dataset], float]
"""An example's `opened`: the loss on data of the model in the folder that `merit job model --folder` wrote."""

Make = Callable[[Path, int], Parts]
"""An example's `make`: writes its data below a folder, from a seed."""


def split(data: Dataset, folder: Path, seed: int, *, trainers: int = 3, held_out: int = 200, test: int = 300) -> Parts:
    """Random equal parts of a data set as .npz files."""
    checked, judged, rest = hold_out(data, [test, held_out], seed)
    names = [f"trainer-{number}.npz" for number in range(1, trainers + 1)]
    for name, part in zip(names, iid(rest, trainers, seed), strict=True):
        write_npz(folder / name, part)
    write_npz(folder / "validation.npz", judged)
    write_npz(folder / "test.npz", checked)
    return Parts([str(folder / n) for n in names], str(folder / "validation.npz"), str(folder / "test.npz"))


def trained_base(job: Path, data: Dataset | str, path: Path, *, rounds: int = 3, seed: int = 7) -> Path:
    """Trains the example's model on data that its owner has, all of it, as the job's trainers would; writes its file.

    Without adapters: what has them is trained as it is below them.
    """
    written = yaml.safe_load(job.read_text("utf-8"))
    written["market"]["aggregator"] = "anyone"
    written["model"].pop("lora", None)
    described = JobFile.model_validate(written)
    program = job_program(described, {})
    old = load(data, described.data) if isinstance(data, str) else normalise(data, described.data)
    for round in range(1, rounds + 1):
        train_round(program, old, described.training, round=round, seed=seed, schema=described.data)
    path.write_bytes(to_safetensors(program.module))
    return path
