"""`merit key`: make, import, list and show keys."""

import sys
from typing import Annotated

import typer
from rich.table import Table

from marketplace.cli.session import session
from marketplace.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Encrypted keys in the home folder.")


@app.command("new")
def new(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Its name, or several; --key's by default.")] = None,
    from_stdin: Annotated[
        bool, typer.Option("--import", help="Read an existing private key (hex) from standard input.")
    ] = False,
) -> None:
    """Make a key, or import one, encrypted with a password."""
    here = session(context)
    chosen = names or [here.settings.key]
    if from_stdin and len(chosen) > 1:
        raise InputError("--import reads one key: give one name.")
    keystore, password = here.keystore(), here.password(confirm=True)
    if from_stdin:
        made = [keystore.import_key(chosen[0], sys.stdin.buffer.read(128), password)]
    else:
        made = [keystore.create(name, password) for name in chosen]
    documents = [
        {"name": name, "address": identity.address, "encryption_key": "0x" + identity.encryption_key.hex()}
        for name, identity in zip(chosen, made, strict=True)
    ]
    lines = [f"Key {each['name']!r} is {each['address']}." for each in documents]
    lines.append("Keep file and password: whoever loses them loses the money of the key.")
    here.show(documents[0] if len(documents) == 1 else documents, "\n".join(lines))


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
    """The public address and encryption key of --key; an aggregator gives them to owners, as they are printed."""
    here = session(context)
    identity = here.identity()
    document = {"address": identity.address, "encryption_key": "0x" + identity.encryption_key.hex()}
    here.show(document, "\n".join(f"{name}: {value}" for name, value in document.items()))
