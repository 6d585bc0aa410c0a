"""`merit data`: look at a data set with a job's eyes."""

from pathlib import Path
from typing import Annotated

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

app = typer.Typer(no_args_is_help=True, help="Look at a data set with a job's eyes.")


@app.callback()
def data() -> None:
    """So that `check` is a command of its own."""


@app.command("check")
def check(
    context: typer.Context,
    job: Annotated[str, typer.Argument(help="The job's number, or a job file that is not published yet.")],
    data: Data,
    map: Map = None,
    missing: Missing = "error",
    decimal: Decimal = ".",
    separator: Separator = "",
    encoding: Encoding = "",
    skip_bad: SkipBad = False,
    background: Background = "",
) -> None:
    """Whether data fit a job: what is in them, and whether its model trains on them. Sends nothing.

    What is accepted here, `merit trainer join` can train with.
    """
    from marketplace.services.datacheck import check_data
    from marketplace.services.node import JobFeed, fetch_spec
    from marketplace.services.programs import fetch_files, find_files, job_program, program_of
    from marketplace.spec import read_job_file

    here = session(context)
    options = reading_options(map, missing, decimal, separator, encoding, skip_bad, background)
    if job.isdigit():
        node = here.node(acting=False)
        spec = fetch_spec(node.storage, JobFeed(node, int(job)).refresh().created)
        files = fetch_files(node, spec)
        report, _ = check_data(spec, program_of(node, spec, files), files, data, options)
    else:
        path = existing(Path(job))
        written = read_job_file(path)
        files = find_files(written, lambda name: path.parent / name)
        report, _ = check_data(written, job_program(written, files), files, data, options)
    said = f"{report.samples} samples fit job {job}, and its model trains on them."
    here.show(report.to_dict(), "\n".join([*report.lines(), said]))
