"""Options of commands that read a data set: what differs between trainers' files."""

from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from marketplace.documents import explain
from marketplace.errors import InputError

if TYPE_CHECKING:
    from trainer.data.options import DataOptions

SOURCES = "digits, a file (.csv, .tsv, .jsonl, .parquet, .arrow, .txt, .npz, .safetensors) or a folder (docs/data.md)."

Data = Annotated[str, typer.Option(help=SOURCES)]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", help="A column's name here, for the job's: age=Alter. Again for each.", metavar="JOB=HERE"),
]
Missing = Annotated[str, typer.Option(help="What to do with gaps: error, drop, or mean (the job's own).")]
Decimal = Annotated[str, typer.Option(help="The decimal sign of numbers in text files.")]
Separator = Annotated[str, typer.Option(help="Between cells of a text table; found by default.")]
Encoding = Annotated[str, typer.Option(help="Of text files; found by default.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave bad files of a folder out, and use the rest.")]
Background = Annotated[str, typer.Option(help="What transparent images are laid upon: white or black.")]


def reading_options(
    map: list[str] | None,
    missing: str,
    decimal: str,
    separator: str,
    encoding: str,
    skip_bad: bool,
    background: str,
) -> "DataOptions":
    """How data are to be read. Raises InputError, naming the option."""
    from trainer.data.options import DataOptions

    named = {}
    for pair in map or []:
        name, equals, column = pair.partition("=")
        if not equals or not name or not column:
            raise InputError(f"--map {pair}: write the job's name, then yours, as in age=Alter.")
        named[name] = column
    given = {"map": named, "missing": missing, "decimal": decimal, "skip_bad": skip_bad}
    optional = {"separator": "\t" if separator == "tab" else separator, "encoding": encoding, "background": background}
    try:
        return DataOptions.model_validate(given | {name: value for name, value in optional.items() if value})
    except ValidationError as error:
        raise InputError(f"The data cannot be read so: {explain(error)}.") from error
