"""`merit predict`: what a trained model says of data."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.reading import (
    Background,
    Data,
    Decimal,
    Encoding,
    Map,
    Missing,
    Separator,
    SkipBad,
    reading_options,
)
from marketplace.cli.session import existing, session
from marketplace.documents import json_line
from marketplace.errors import InputError
from marketplace.files import write_atomically

if TYPE_CHECKING:
    from trainer.results import Prediction


def predict(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(help="A file that `merit job model` wrote.")],
    data: Data,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write: .csv, .jsonl, or .npz for arrays.")
    ] = None,
    map: Map = None,
    missing: Missing = "error",
    decimal: Decimal = ".",
    separator: Separator = "",
    encoding: Encoding = "",
    skip_bad: SkipBad = False,
    background: Background = "",
) -> None:
    """What a model says of data that need no target. What its card names, a program or tokenizer, lies beside it."""
    from trainer.data import load, tokenizer_files
    from trainer.results import load_model

    here = session(context)
    options = reading_options(map, missing, decimal, separator, encoding, skip_bad, background)
    try:
        loaded = load_model(existing(model))
        files = tokenizer_files(loaded.files, loaded.card.data)
        found = loaded.predict(load(data, loaded.schema, options, files))
    except ValueError as error:
        raise InputError(f"Nothing is predicted: {error}.") from error
    if output is not None:
        write_atomically(output, _written(found, output.suffix), mode=0o644)
        here.show({"file": str(output), "samples": len(found.values)}, f"Wrote {len(found.values)} answers: {output}.")
        return
    here.show({"answers": found.values.tolist()}, _table(found))


def _rows(found: "Prediction") -> tuple[list[str], list[list[object]]]:
    """Header and rows of a table. Raises InputError for answers that are larger than a few numbers a sample."""
    values = found.values
    if values.ndim > 2 or (values.ndim == 2 and not found.names):
        raise InputError("Each answer is an array of its own: write them to an .npz file with --output.")
    if found.probabilities is None:
        return list(found.names), [list(row) for row in values.tolist()]
    shares = [f"p({name})" for name in found.names]
    own = ["answer"] if values.ndim == 1 else list(found.names)
    answers = [[row] if values.ndim == 1 else list(row) for row in values.tolist()]
    rounded = [[round(share, 6) for share in row] for row in found.probabilities.tolist()]
    return [*own, *shares], [[*answer, *row] for answer, row in zip(answers, rounded, strict=True)]


def _table(found: "Prediction") -> str:
    header, rows = _rows(found)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def _written(found: "Prediction", suffix: str) -> bytes:
    if suffix == ".npz":
        import numpy as np

        parts = {} if found.probabilities is None else {"probabilities": found.probabilities}
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, values=found.values, **parts)
        return content.getvalue()
    if suffix == ".csv":
        return (_table(found) + "\n").encode()
    if suffix == ".jsonl":
        header, rows = _rows(found)
        return "".join(json_line(dict(zip(header, row, strict=True))) + "\n" for row in rows).encode()
    raise InputError("--output is a .csv, .jsonl or .npz file.")
