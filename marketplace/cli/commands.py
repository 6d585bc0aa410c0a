"""The commands of `merit` by name. What one needs is imported when it is called: `merit --help` needs none of it."""

from importlib import import_module

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

COMMANDS = {
    "deploy": ("chain:deploy", "Deploy the market contract and note it in the address book."),
    "chain": ("chain:chain", "Run a local development chain (Anvil) until Ctrl-C."),
    "up": (
        "up:up",
        "Run a node and its page until Ctrl-C; without --rpc, with a chain, storage, market and aggregator of its own.",
    ),
    "page": ("up:page", "The address of the page of the node that runs from this home folder, with its token."),
    "doctor": (
        "doctor:doctor",
        "Look at chain, market, storage, keys, funds, GPU, disk and versions, and say what to do. Sends nothing.",
    ),
    "fund": ("chain:fund", "Give coin of a local development chain to addresses."),
    "withdraw": ("pay:withdraw", "Withdraw all that --key was credited in a token."),
    "audit": (
        "audit:audit",
        "Rebuild a job from its events and check every payout, balance and file. Exit code 1 names what is wrong.",
    ),
    "predict": (
        "predict:predict",
        "What a model says of data that need no target. What its card names, a program or tokenizer, lies beside it.",
    ),
    "demo": ("demo:demo", "Run a whole job on real data: escrow, training, judging, paying, audit."),
    "key": ("key:app", "Encrypted keys in the home folder."),
    "job": ("job:app", "Create jobs and follow them."),
    "trainer": ("trainer:app", "Train for a job with your own data."),
    "data": ("data:app", "Look at a data set with a job's eyes."),
    "aggregator": ("aggregator:app", "Open, judge and settle rounds; accept jobs."),
    "program": ("program:app", "Programs: any module and loss, as a file without code."),
    "setup": ("setup:app", "Set-ups and keys that proofs are made and checked with."),
}
"""Where each is, a module of this package and a name in it, and its help, which is that of the command itself."""


class Commands(TyperGroup):
    """Lists COMMANDS as they stand here, and loads the one that is called."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        self.commands = {name: TyperCommand(name, help=text) for name, (_, text) in COMMANDS.items()}

    def resolve_command(self, ctx, args):  # type: ignore[no-untyped-def]  # its types are of a private module
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and loaded(command.name or ""), rest


def loaded(name: str) -> TyperCommand | TyperGroup:
    """The command itself."""
    module, attribute = COMMANDS[name][0].split(":")
    found = getattr(import_module(f"marketplace.cli.{module}"), attribute)
    alone = typer.Typer(add_completion=False)
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name)
    else:
        alone.command(name)(found)
    command = get_group(alone).commands[name]
    if not isinstance(command, TyperCommand | TyperGroup):
        raise TypeError(f"{name} is no command")
    return command
