"""From a job's words to its program."""

from collections.abc import Mapping
from pathlib import Path

import torch

from trainer.config import PROGRAM, DataSchema, Files, ModelConfig, TaskConfig
from trainer.data.dataset import target_shape
from trainer.models import trained
from trainer.models.effort import MAX_PRODUCTS, MAX_VALUES_A_BATCH, MAX_VALUES_A_SAMPLE, changed_buffers
from trainer.models.registry import build, count_parameters, outline
from trainer.programs import reading
from trainer.programs.exported import Exported
from trainer.programs.program import Described, Program
from trainer.programs.tokens import check_tokenizers, known_tokens
from trainer.tasks import Task, task_of


def open_program(model: ModelConfig, schema: DataSchema, task: TaskConfig, files: Files) -> Program:
    """The program on the CPU in float32: a file's, or initialised from its seed alone. Raises ValueError."""
    judge = task_of(task, schema)
    exported = model.architecture == PROGRAM
    program = reading.open_exported(_file(model, files), judge) if exported else Described(build(model), judge)
    if schema.texts:
        program.tokens = known_tokens(_outlined(model, judge, files), schema)
    return program


def check_program(model: ModelConfig, schema: DataSchema, task: TaskConfig, batch_size: int, files: Files) -> int:
    """d, how many numbers are trained. Raises ValueError unless the program takes samples of this schema, at a bearable
    cost. Computes nothing.

    batch_size: of the training.
    """
    judge = task_of(task, schema)
    if model.architecture == PROGRAM:
        own = reading.outline(_file(model, files), judge)
        _check_samples(own, schema)
        program: Program = own
        d = sum(parameter.numel() for parameter in trained(program.module).values())
    else:
        d = count_parameters(model)
        program = _outlined(model, judge, files)
    _check_cost(program, schema, judge, model.architecture, batch_size)
    if schema.texts:
        check_tokenizers(known_tokens(program.train(False), schema), schema, files)
    return d


def _outlined(model: ModelConfig, judge: Task, files: Files) -> Program:
    """The program on the meta device, where nothing is allocated or computed."""
    if model.architecture == PROGRAM:
        return reading.outline(_file(model, files), judge)
    with torch.device("meta"):
        return Described(outline(model), judge).train(False)


def _file(model: ModelConfig, files: Files) -> Path:
    name = model.parameters.get("file")
    if set(model.parameters) != {"file"} or not isinstance(name, str):
        raise ValueError("the parameters of a program are its `file` alone")
    if name not in files:
        raise ValueError(f"the program's file {name} is not at hand")
    return files[name]


def _check_samples(program: Exported, schema: DataSchema) -> None:
    """Raises ValueError unless a program's file takes the schema's inputs and target."""
    wanted = {name: ("int64" if name in schema.texts else "float32", shape) for name, shape in schema.inputs.items()}
    found = {each.name: (each.dtype, tuple(each.shape)) for each in program.document.inputs}
    if found != wanted:
        raise ValueError(f"the program takes inputs {_listed(found)}, the data have {_listed(wanted)}")
    target, has = program.document.target, schema.target
    if target is None or has is None:
        if target is not None:
            raise ValueError("the program has a target, and the data have none")
        return
    dtype = "float32" if has.kind in ("number", "labels") else "int64"
    shape = target_shape(has, schema.inputs, schema)
    if (target.dtype, tuple(target.shape)) != (dtype, shape):
        raise ValueError(
            f"the program takes a target {target.dtype}{list(target.shape)}, the data have {dtype}{list(shape)}"
        )


def _listed(samples: Mapping[str, tuple[str, tuple[int, ...]]]) -> str:
    return ", ".join(f"{name} {dtype}{list(shape)}" for name, (dtype, shape) in samples.items())


def _check_cost(program: Program, schema: DataSchema, judge: Task, what: str, batch_size: int) -> None:
    shapes = schema.inputs
    with torch.device("meta"):
        inputs = {
            name: torch.empty(1, *shape, dtype=torch.int64 if name in schema.texts else torch.float32)
            for name, shape in shapes.items()
        }
        try:
            with torch.no_grad():
                found = program.predict(inputs).shape
            cost = program.effort(inputs)
            described = isinstance(program, Described)
            changed = changed_buffers(program.train().module, inputs) if described else ()
        except (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            taken = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise ValueError(f"the {what} of the job does not take samples of shape {taken}") from error
    if changed:
        raise ValueError(f"training changes the buffer {changed[0]} of the {what}, which no update carries")
    wanted = judge.outputs(shapes)
    if len(found) != len(wanted) + 1 or any(w not in (-1, f) for f, w in zip(found[1:], wanted, strict=True)):
        raise ValueError(f"the {what} gives outputs {list(found[1:])}, the task takes {list(wanted)}")
    for number, most, of in (
        (cost.values, MAX_VALUES_A_SAMPLE, "values for one sample"),
        (cost.products, MAX_PRODUCTS, "multiplications for one sample"),
        (cost.values * batch_size, MAX_VALUES_A_BATCH, f"values for a batch of {batch_size}"),
    ):
        if number > most:
            raise ValueError(f"the {what} takes {number} {of}; at most {most} are possible")
