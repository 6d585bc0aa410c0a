"""What a trainer's data are before it joins: a report, one step of training, one prediction. Sends nothing."""

from typing import TYPE_CHECKING

from marketplace.errors import InputError
from trainer.config import Files
from trainer.data import DataOptions, Dataset, normalise, tokenizer_files
from trainer.data.describe import Described, describe
from trainer.data.report import Report, check
from trainer.programs import check_tokens
from trainer.train import evaluate, train_round

if TYPE_CHECKING:
    from marketplace.spec import JobFile, Spec
    from trainer.programs import Program

STEPS = {"epochs": 1, "steps": 1, "accumulate": 1, "warmup_steps": 0, "stop_after": None}


def check_data(
    described: "JobFile | Spec", program: "Program", files: Files, source: str, options: DataOptions
) -> tuple[Report, Dataset]:
    """What is in the data, once they have been read, trained on for a step and predicted; and the data as they are in
    their source. Raises InputError."""
    try:
        report, data = check(source, described.data, options, tokenizer_files(files, described.data))
    except ValueError as error:
        raise InputError(f"The data do not fit: {error}.") from error
    _try(program, normalise(data, described.data), described)
    return report, data


def describe_table(source: str, options: DataOptions) -> tuple[list[Described], int]:
    """The columns of a table that no job describes yet, and how many rows were looked at. Raises InputError."""
    try:
        return describe(source, options)
    except ValueError as error:
        raise InputError(f"The table cannot be read: {error}.") from error


def _try(program: "Program", data: Dataset, described: "JobFile | Spec") -> None:
    """A step of a whole batch, one of a single sample, and a prediction. The program is changed by them."""
    step = described.training.model_copy(update=STEPS)
    try:
        check_tokens(program, data)
        for part in (data[: step.batch_size], data[:1]):
            train_round(program, part, step, round=1, seed=0, schema=described.data)
            evaluate(program, part)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"The data can be read, but the job's model does not train on them: {error}.") from error
