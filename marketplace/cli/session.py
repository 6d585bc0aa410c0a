"""A run of the command line: what it works with (services/access.py), and how it talks to the person."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.prompt import Confirm, Prompt
from rich.text import Text

from marketplace.addresses import parse_address
from marketplace.chain.market import Market
from marketplace.documents import json_line
from marketplace.errors import InputError
from marketplace.files import no_room
from marketplace.services.access import Access
from marketplace.services.agent import TOLD_AFTER, Notice, Report
from marketplace.units import format_amount

_TROUBLE = ("trouble", "warning", "missing", "missed", "unopened", "stuck", "leaving", "diverged", "given-up")


@dataclass(frozen=True)
class Session(Access):
    """One run of the command line."""

    json: bool
    out: Console
    err: Console

    def account(self, typed: str, option: str) -> str:
        """The address that was typed after `option`, or that of the key with this name. Raises InputError."""
        for entry in self.keystore().entries():
            if entry.name == typed:
                return entry.address
        return address(typed, option)

    def asked_password(self, *, confirm: bool) -> str:
        """From the terminal. Raises InputError."""
        if not sys.stdin.isatty():
            return super().asked_password(confirm=confirm)
        password = Prompt.ask(f"Password of key {self.settings.key!r}", password=True, console=self.err)
        if confirm and Prompt.ask("Once more", password=True, console=self.err) != password:
            raise InputError("The two passwords differ; nothing was written.")
        return password

    # ---------------------------------------------------------------- what to say

    def as_json(self) -> "Session":
        return replace(self, json=True)

    def show(self, document: dict[str, Any] | list[Any], text: object) -> None:
        """The document for programs (--json), or the text, table or panel for people.

        A str is plain text, and its lines are never broken: what is in them can be pasted.

        Raises InputError where there is no room for it.
        """
        try:
            if self.json:
                sys.stdout.write(json_line(document) + "\n")
                sys.stdout.flush()
            elif isinstance(text, str):
                self.out.print(Text(text), soft_wrap=True)
            else:
                self.out.print(text)
        except OSError as error:
            if not no_room(error):
                raise
            raise InputError(
                f"The result was not written ({error.strerror}): make room, or write elsewhere."
            ) from error

    def agree(self, question: str, *, yes: bool) -> None:
        """Goes on only if the person agrees, or did before (--yes). Raises InputError; then nothing was sent."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise InputError("This costs money, and there is no terminal to ask on: give --yes if it is meant.")
        if not Confirm.ask(question, default=False, console=self.err):
            raise InputError("Nothing was sent.")

    @contextmanager
    def patience(self, doing: str) -> Iterator[Callable[[str], None]]:
        """Says on standard error what goes on, once that has taken TOLD_AFTER seconds. The value changes what it is."""
        timer: threading.Timer | None = None

        def now(doing: str) -> None:
            nonlocal timer
            if timer is not None:
                timer.cancel()
            timer = threading.Timer(TOLD_AFTER, self._say_aside, [f"Still {doing} …"])
            timer.daemon = True
            timer.start()

        now(doing)
        try:
            yield now
        finally:
            if timer is not None:
                timer.cancel()

    def _say_aside(self, text: str) -> None:
        try:
            self.err.print(Text(f"{clock_time()} {text}"), soft_wrap=True)
        except OSError as error:
            if not no_room(error):
                raise

    @contextmanager
    def narrator(self) -> Iterator[Report]:
        """Tells notices as they come, with the time: a JSON line each with --json, else a sentence, and on a terminal a
        training bar.

        What a disk has no room for goes untold: the work that it tells of goes on.
        """
        if self.json or not self.out.is_terminal:
            yield self.tell
            return
        columns = (
            TextColumn("round {task.fields[round]}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[loss]}"),
        )
        with Progress(*columns, console=self.out, transient=True) as progress:
            bar = progress.add_task("training", total=1.0, visible=False, round=0, loss="")

            def tell(notice: Notice) -> None:
                if notice.kind == "training":
                    done, loss = notice.values["done"], f"loss {notice.values['loss']:.4f}"
                    progress.update(bar, completed=float(str(done)), visible=True, round=notice.round, loss=loss)
                    return
                progress.update(bar, visible=False)
                line = Text.assemble(
                    (clock_time(), "dim"), " ", (notice.text, "yellow" if notice.kind in _TROUBLE else "")
                )
                progress.console.print(line, highlight=False, soft_wrap=True)

            yield tell

    def tell(self, notice: Notice) -> None:
        """A notice as a line of text, or of JSON for programs."""
        if notice.kind == "training" and not self.json:
            return
        try:
            if self.json:
                line = json_line({"time": datetime.now(UTC).isoformat(timespec="milliseconds")} | asdict(notice))
            else:
                line = f"{clock_time()} {notice.text}"
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except OSError as error:
            if not no_room(error):
                raise


def clock_time() -> str:
    """The local time, which notices begin with."""
    return time.strftime("%H:%M:%S")


def address(typed: str, option: str) -> str:
    """The checksummed address that was typed after `option`. Raises InputError."""
    try:
        return parse_address(typed)
    except ValueError as error:
        raise InputError(f"{option}: {error}.") from error


def amount(market: Market, token: str, units: int) -> str:
    """An amount in the token's own decimals, or in coin. Raises ChainError."""
    return format_amount(units, *market.token(token))


def session(context: typer.Context) -> Session:
    """The session that the root command made."""
    found = context.find_object(Session)
    if found is None:
        raise InputError("The command line was not started through `merit`.")
    return found


def stop_on_signals() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set: agents finish their step and stop. A second signal ends at once."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)
    return stop


def existing(path: Path) -> Path:
    """Raises InputError where there is no such file or folder."""
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    return path
