"""The gradients behind some reference rows, computed once more: what `benches.rows` runs in processes of other kinds.

    python -m benches.rows_again CASES.npz RESULT.npz SETTINGS

Needs no more of Merit than the trainer's and aggregator's packages, so that another torch can be asked too. SETTINGS is
JSON; what is missing stays as torch has it.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

import trainer.train
from aggregator.reference import first_vector, second_vector
from benches.pay.play import program_of
from trainer.config import ModelConfig
from trainer.data import Dataset
from trainer.models import load_flat
from trainer.programs import Program
from trainer.train import gradient_noise, loss_gradient
from zk.encoding import Float32s

Work = Callable[[Program, Dataset], Float32s]


@dataclass(frozen=True, slots=True)
class Case:
    """A round to be judged: the model's description, float32[d] before and after it, the validation data."""

    model: str
    base: Float32s
    end: Float32s
    data: Dataset


def save(path: Path, cases: list[Case]) -> None:
    arrays = {"count": np.array(len(cases))}
    for at, case in enumerate(cases):
        parts = {"model": np.array(case.model), "base": case.base, "end": case.end, "x": case.data.inputs["x"]}
        parts["y"] = np.array(case.data.y)
        arrays |= {f"{name}{at}": value for name, value in parts.items()}
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> list[Case]:
    with np.load(path) as file:
        return [
            Case(
                str(file[f"model{at}"]),
                file[f"base{at}"],
                file[f"end{at}"],
                Dataset({"x": file[f"x{at}"]}, file[f"y{at}"]),
            )
            for at in range(int(file["count"]))
        ]


def opened(case: Case, device: str) -> Program:
    program = program_of(ModelConfig.model_validate_json(case.model), case.data)
    program.module.to(device)
    return program


def single(program: Program, data: Dataset) -> Float32s:
    """The gradient in float32, which rows are not made of."""
    module, device = program.module, program.device
    x, y = torch.tensor(data.inputs["x"], device=device), torch.tensor(data.y, device=device)
    size = trainer.train._EVALUATION_BATCH
    module.zero_grad()
    for at in range(0, len(y), size):
        part = slice(at, at + size)
        (functional.cross_entropy(module(x[part]), y[part], reduction="sum") / len(y)).backward()  # type: ignore[no-untyped-call]
    parts = [p.grad.reshape(-1) for p in module.parameters() if p.grad is not None]
    vector: Float32s = torch.cat(parts).cpu().numpy()
    return vector


def gradient_at(work: Work, program: Program, data: Dataset, parameters: Float32s) -> Float32s:
    load_flat(program.module, parameters)
    return work(program, data)


def main() -> None:
    source, target, settings = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    if "threads" in settings:
        torch.set_num_threads(settings["threads"])
    if "batch" in settings:
        trainer.train._EVALUATION_BATCH = settings["batch"]
    torch.backends.mkldnn.enabled = settings.get("mkldnn", True)  # type: ignore[assignment]
    torch.use_deterministic_algorithms(settings.get("deterministic", False))
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = settings.get("tf32", False)
    arrays = {"torch": np.array(torch.__version__), "cpu": np.array(torch.backends.cpu.get_cpu_capability())}
    for at, case in enumerate(load(source)):
        program = opened(case, settings.get("device", "cpu"))
        for kind, work in (("", loss_gradient), ("single", single)):
            gradient = partial(gradient_at, work, program, case.data)
            arrays[f"{kind}first{at}"] = first_vector(gradient, case.base)
            arrays[f"{kind}second{at}"] = second_vector(gradient, case.base, case.end)
        load_flat(program.module, case.base)
        arrays[f"noise{at}"] = np.array(gradient_noise(program, case.data, np.random.default_rng(at)))
    with target.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
