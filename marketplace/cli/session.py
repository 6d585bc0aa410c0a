"""From settings to something to work with: connections, keys, and how to talk to the person."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.prompt import Confirm, Prompt
from rich.text import Text

from marketplace.addresses import parse_address
from marketplace.chain.connection import Connection
from marketplace.chain.deploy import AddressBook, is_lost
from marketplace.chain.events import EventReader
from marketplace.chain.journal import Journal
from marketplace.chain.market import Market, is_market
from marketplace.cli.running import RunningNode, local_node
from marketplace.documents import json_line
from marketplace.errors import ChainError, InputError, NotFound
from marketplace.files import no_room, read_within
from marketplace.keys.identity import Identity
from marketplace.keys.keystore import Keystore
from marketplace.services.agent import TOLD_AFTER, Notice, Report
from marketplace.services.node import FINALITY, LOCAL_CHAINS, Node
from marketplace.settings import Settings
from marketplace.storage import PEER, Caller, Storage, open_storage
from marketplace.units import format_amount
from marketplace.urls import shown_url

_MAX_PASSWORD_BYTES = 4096
_TROUBLE = ("trouble", "warning", "missing", "missed", "unopened", "stuck", "leaving", "diverged", "given-up")


@dataclass(frozen=True)
class Session:
    """One run of the command line."""

    settings: Settings
    json: bool
    out: Console
    err: Console

    # ---------------------------------------------------------------- what to work with

    @cached_property
    def running(self) -> RunningNode | None:
        """The node whose chain, market and storage are used: the one that `merit up` runs from this home folder.

        Decided once, so that all three are of one place, even where it ends meanwhile. None where chain, market or
        storage were named, or this home has a market of its own.
        """
        if self.settings.model_fields_set & {"rpc", "market", "storage"}:
            return None
        node = local_node(self.settings.home_folder)
        return None if node is None or self._has_market() else node

    def _has_market(self) -> bool:
        book = self.address_book()
        if not book.chains():
            return False
        try:
            connection = Connection(self.settings.rpc, timeout=self.settings.rpc_timeout)
            entry = book.find(connection.chain_id)
            return entry is not None and is_market(connection, entry.market)
        except ChainError:
            return False

    def connection(self) -> Connection:
        """Raises ChainError."""
        if node := self.running:
            return Connection(node.rpc, timeout=self.settings.rpc_timeout)
        try:
            return Connection(self.settings.rpc, timeout=self.settings.rpc_timeout)
        except ChainError as error:
            if "rpc" in self.settings.model_fields_set:
                raise
            raise ChainError(
                f"{error} It is the default, since no --rpc was given and no `merit up` runs from "
                f"{self.settings.home_folder}: `merit up` starts a whole market here, `merit chain` only a chain."
            ) from error

    def journal(self) -> Journal:
        return Journal(self.settings.home_folder / "sent")

    def address_book(self) -> AddressBook:
        return AddressBook(self.settings.home_folder / "markets.json")

    def market(self) -> Market:
        """The market to work with: --market, the address book's for the connected chain, or the running node's."""
        return self._market()[0]

    def _market(self) -> tuple[Market, int]:
        """The market, and the block to read its events from."""
        within = self.settings.receipt_timeout
        if node := self.running:
            connection = Connection(node.rpc, timeout=self.settings.rpc_timeout)
            return Market(connection, node.market, receipt_within=within, journal=self.journal()), node.block
        connection = self.connection()
        entry = self.address_book().find(connection.chain_id)
        address = self.settings.market or (entry.market if entry else "")
        if entry is not None and address == entry.market and is_lost(connection, entry):
            raise ChainError(
                f"The market {entry.market} is not on the chain at {shown_url(connection.url)} any more: that chain's "
                "state was lost, or a new chain was started in its place. Its jobs and their money are gone with it. "
                "`merit deploy` puts a new market there."
            )
        if not address:
            raise NotFound(
                f"No market is known on chain {connection.chain_id}: give its address with --market, or deploy one "
                "with `merit deploy`."
            )
        market = Market(connection, address, receipt_within=within, journal=self.journal())
        return market, entry.block if entry is not None and entry.market == market.address else 0

    def storage_address(self) -> str:
        """What is used as storage."""
        node = self.running
        return node.storage if node else self.settings.storage_address

    def storage(self, market: Market, identity: Identity | None) -> Storage:
        """identity: who signs where the storage is another node's."""
        caller = Caller(identity.account, market.connection.chain_id, market.address) if identity else None
        return open_storage(self.storage_address(), timeout=self.settings.storage_timeout, caller=caller)

    def keystore(self) -> Keystore:
        return Keystore(self.settings.home_folder / "keys")

    def identity(self) -> Identity:
        keystore = self.keystore()
        keystore.path_of(self.settings.key)  # a missing key is said before a password is asked for
        return keystore.load(self.settings.key, self.password())

    def node(self, *, acting: bool = True) -> Node:
        """acting: with the identity of --key; else whoever looks on."""
        return self.node_of(self.identity() if acting else None)

    def reader(self) -> Node:
        """Of whoever looks on and reads all content: where another node has it, signed by --key, if there is one.

        Without one it reads what that node gives to everybody.
        """
        node = self.node_of(None)
        if not self.settings.storage.startswith(PEER):
            return node
        try:
            self.keystore().path_of(self.settings.key)
        except NotFound:
            return node
        return replace(node, storage=self.storage(node.market, self.identity()))

    def node_of(self, identity: Identity | None) -> Node:
        market, first_block = self._market()
        events = EventReader(market.connection, market.address, first_block)
        home, allowed = self.settings.home_folder, self.settings.allow_development_setup
        storage, finality = self.storage(market, identity), self.settings.finality
        if finality is None:
            finality = 0 if market.connection.chain_id in LOCAL_CHAINS else FINALITY
        return Node(market, events, storage, home, identity, allow_development=allowed, finality=finality)

    def account(self, typed: str, option: str) -> str:
        """The address that was typed after `option`, or that of the key with this name. Raises InputError."""
        for entry in self.keystore().entries():
            if entry.name == typed:
                return entry.address
        return address(typed, option)

    def password(self, *, confirm: bool = False) -> str:
        """From MERIT_PASSWORD, --password-file or the terminal, in this order."""
        if self.settings.password is not None:
            return self.settings.password.get_secret_value()
        if self.settings.password_file is not None:
            text = read_within(self.settings.password_file, _MAX_PASSWORD_BYTES).decode("utf-8", "replace")
            return text.splitlines()[0] if text else ""
        if not sys.stdin.isatty():
            raise InputError("A password is needed: set MERIT_PASSWORD, or give --password-file.")
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
