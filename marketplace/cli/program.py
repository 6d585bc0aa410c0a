"""`merit program`: export a module of one's own with its loss, and look at what somebody else has exported."""

from pathlib import Path
from typing import Annotated

import typer

from marketplace.cli.session import existing, session
from marketplace.errors import InputError
from marketplace.files import write_atomically

app = typer.Typer(no_args_is_help=True, help="Programs: any module and loss, as a file without code.")


@app.command("export")
def export_program(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="FILE.py:FUNCTION, your own code, which is run here; see docs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the program goes.")],
) -> None:
    """Write the module and loss that your function returns as a program: the file travels, code does not."""
    from trainer.programs.export import export, load_source

    here = session(context)
    try:
        content = export(load_source(source))
    except ValueError as error:
        raise InputError(f"{source} cannot be exported: {error}.") from error
    write_atomically(output, content, mode=0o644)
    here.show(
        {"file": str(output), "bytes": len(content)},
        f"{output} has {len(content)} bytes: the program with its weights. `merit program show` says what is in it.",
    )


@app.command("show")
def show(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="An exported program.")],
) -> None:
    """What a program takes, trains and costs, and the operators that it uses. Checked as before every training."""
    from trainer.programs.exported import described
    from trainer.programs.reading import outline

    here = session(context)
    try:
        document = described(outline(existing(file)))
    except ValueError as error:
        raise InputError(f"{error}.") from error
    lines = [f"{name}: {', '.join(value) if isinstance(value, list) else value}" for name, value in document.items()]
    here.show(document, "\n".join(lines))
