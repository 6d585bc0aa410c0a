"""`merit key`: make, import, list and show keys."""

import sys
from typing import Annotated

import typer
from rich.table import Table

from marketplace.cli.session import session

app = typer.Typer(no_args_is_help=True, help="Encrypted keys in the home folder.")


@app.command("new")
def new(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Its name; --key's by default.")] = None,
    from_stdin: Annotated[
        bool, typer.Option("--import", help="Read an existing private key (hex) from standard input.")
    ] = False,
) -> None:
    """Make a key, or import one, encrypted with a password."""
    here = session(context)
    name = name or here.settings.key
    if from_stdin:
        identity = here.keystore().import_key(name, sys.stdin.buffer.read(128), here.password(confirm=True))
    else:
        identity = here.keystore().create(name, here.password(confirm=True))
    here.show(
        {"name": name, "address": identity.address, "encryption_key": "0x" + identity.encryption_key.hex()},
        f"Key {name!r} is {identity.address}. Keep its file and password: whoever loses them loses its money.",
    )


@app.command("list")
def list_keys(context: typer.Context) -> None:
    """The keys in the home folder."""
    here = session(context)
    entries = here.keystore().entries()
    table = Table("name", "address")
    for entry in entries:
        table.add_row(entry.name, entry.address)
    here.show([{"name": entry.name, "address": entry.address} for entry in entries], table)


@app.command("show")
def show(context: typer.Context) -> None:
    """The public address and encryption key of --key; an aggregator gives them to owners."""
    here = session(context)
    identity = here.identity()
    document = {"address": identity.address, "encryption_key": "0x" + identity.encryption_key.hex()}
    here.show(document, "\n".join(f"{name}: {value}" for name, value in document.items()))
