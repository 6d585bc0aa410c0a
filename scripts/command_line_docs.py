"""Writes docs/reference/command-line.md from the commands themselves; `--check` says whether it is up to date."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from typer.main import get_command

from marketplace.cli.main import app
from scripts.job_file_docs import write_or_check

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "command-line.md"
INTRODUCTION = """# The command line

Options of `merit` itself stand before the command (`merit --key owner job list`). Each is also an environment
variable: `--rpc` is `MERIT_RPC`. What a command ends with is in [exit codes](errors.md#exit-codes). This page is
made from the commands by `scripts/command_line_docs.py`; `--help` says the same."""

Command = Any
"""A click command. typer brings its own click, and other versions of it another one."""


def commands(command: Command | None = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
    """Every command and group, with its path: ("job", "create")."""
    command = command or get_command(app)
    yield path, command
    if hasattr(command, "list_commands"):
        context = command.context_class(command)
        for name in command.list_commands(context):
            _, below, _ = command.resolve_command(context, [name])
            yield from commands(below, (*path, name))


def table(command: Command) -> list[str]:
    shown = [
        parameter for parameter in command.params if parameter.name not in ("install_completion", "show_completion")
    ]
    if not shown:
        return []
    lines = ["", "| | default | meaning |", "|---|---|---|"]
    for parameter in shown:
        lines.append(
            f"| {_spelling(parameter)} | {_default(parameter)} | {_cell(getattr(parameter, 'help', None) or '')} |"
        )
    return lines


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        several = " …" if parameter.nargs == -1 else ""
        return f"`{(parameter.metavar or parameter.name).strip('[]{}.').upper()}{several}`"
    value = "" if parameter.is_flag else f" {parameter.metavar or _kind(parameter.type_descriptor.annotation)}"
    return ", ".join(f"`{name}{value}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _kind(annotation: Any) -> str:
    """The type of an option's value; of one that can be given again, the type of each."""
    return {int: "N", float: "N", Path: "PATH"}.get(next(iter(get_args(annotation)), annotation), "TEXT")


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    default = parameter.default
    return "" if default in (None, False, "", (), []) or callable(default) else f"`{_cell(str(default))}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def page() -> str:
    lines = [INTRODUCTION]
    for path, command in commands():
        title = " ".join(("merit", *path))
        said = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
        lines += ["", f"{'##' if len(path) < 2 else '###'} `{title}`", "", "\n\n".join(said), *table(command)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_or_check(PAGE, page())
