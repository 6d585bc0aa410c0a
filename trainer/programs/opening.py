"""From a job's words to its program."""

import torch

from trainer.config import DataSchema, ModelConfig, TaskConfig
from trainer.models.effort import MAX_PRODUCTS, MAX_VALUES_A_BATCH, MAX_VALUES_A_SAMPLE, changed_buffers
from trainer.models.registry import build, count_parameters, outline
from trainer.programs.program import Described, Program
from trainer.tasks import task_of


def open_program(model: ModelConfig, schema: DataSchema, task: TaskConfig) -> Program:
    """The program on the CPU in float32, initialised from its seed alone. Raises ValueError."""
    return Described(build(model), task_of(task, schema))


def check_program(model: ModelConfig, schema: DataSchema, task: TaskConfig, batch_size: int) -> None:
    """Raises ValueError unless the program takes samples of this schema, at a bearable cost. Computes nothing.

    batch_size: of the training.
    """
    judge = task_of(task, schema)
    count_parameters(model)
    shapes = schema.inputs
    with torch.device("meta"):
        program = Described(outline(model), judge).train(False)
        inputs = {
            name: torch.empty(1, *shape, dtype=torch.int64 if name in schema.texts else torch.float32)
            for name, shape in shapes.items()
        }
        try:
            with torch.no_grad():
                found = program.predict(inputs).shape
            cost = program.effort(inputs)
            changed = changed_buffers(program.train().module, inputs)
        except (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            taken = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise ValueError(f"the {model.architecture} of the job does not take samples of shape {taken}") from error
    if changed:
        raise ValueError(
            f"training changes the buffer {changed[0]} of the {model.architecture}, which no update carries"
        )
    wanted = judge.outputs(shapes)
    if len(found) != len(wanted) + 1 or any(w not in (-1, f) for f, w in zip(found[1:], wanted, strict=True)):
        raise ValueError(f"the {model.architecture} gives outputs {list(found[1:])}, the task takes {list(wanted)}")
    for number, most, what in (
        (cost.values, MAX_VALUES_A_SAMPLE, "values for one sample"),
        (cost.products, MAX_PRODUCTS, "multiplications for one sample"),
        (cost.values * batch_size, MAX_VALUES_A_BATCH, f"values for a batch of {batch_size}"),
    ):
        if number > most:
            raise ValueError(f"the {model.architecture} takes {number} {what}; at most {most} are possible")
