"""`merit`: the command line. Errors are one sentence on standard error and an exit code (marketplace/errors.py)."""

import resource
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from marketplace.cli.commands import Commands
from marketplace.errors import MeritError

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A marketplace for decentralized learning: escrowed rewards, judged contributions, audited payouts.",
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"merit {version('merit')}\n")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    rpc: Annotated[
        str | None, typer.Option(help="The chain's JSON-RPC address; by default that of the `merit up` that runs here.")
    ] = None,
    storage: Annotated[str | None, typer.Option(help="folder:PATH, an IPFS RPC address, or node+https://HOST.")] = None,
    market: Annotated[str | None, typer.Option(help="The market contract's address.")] = None,
    home: Annotated[Path | None, typer.Option(help="Folder for keys, address book and work.")] = None,
    key: Annotated[str | None, typer.Option(help="Name or address of the key to act with.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="File whose first line is the key's password.")] = None,
    poll: Annotated[float | None, typer.Option(help="Seconds between two looks at the chain.")] = None,
    allow_development_setup: Annotated[
        bool | None,
        typer.Option(
            "--allow-development-setup",
            help="Accept a development set-up, whose proofs can be forged, on a public chain too.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")
    ] = False,
) -> None:
    """Options here stand before the command; each is also an environment variable, e.g. MERIT_RPC."""
    from marketplace.cli.session import Session
    from marketplace.settings import settings_with

    settings = settings_with(
        {
            "rpc": rpc,
            "storage": storage,
            "market": market,
            "home": home,
            "key": key,
            "password_file": password_file,
            "poll": poll,
            "allow_development_setup": allow_development_setup,
        }
    )
    context.obj = Session(settings, json, Console(highlight=False), Console(stderr=True, highlight=False))


def main() -> None:
    """Runs the command line and exits."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no picture of the keys in memory
    try:
        app(prog_name="merit")
    except MeritError as error:
        with suppress(OSError):  # where it cannot be said, as on a full disk, the exit code still says it
            line = Text.assemble(("error:", "bold red"), " ", str(error))
            Console(stderr=True, highlight=False).print(line, soft_wrap=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
