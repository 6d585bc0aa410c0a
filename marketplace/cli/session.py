"""From settings to something to work with: connections, keys, and how to talk to the person."""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.prompt import Prompt

from marketplace.chain.connection import Connection
from marketplace.chain.deploy import AddressBook
from marketplace.chain.events import EventReader
from marketplace.chain.market import Market
from marketplace.errors import InputError, NotFound
from marketplace.files import no_room, read_within
from marketplace.keys.identity import Identity
from marketplace.keys.keystore import Keystore
from marketplace.services.agent import Notice, Report
from marketplace.services.node import FINALITY, LOCAL_CHAINS, Node
from marketplace.settings import Settings
from marketplace.storage import PEER, Caller, Storage, open_storage

_MAX_PASSWORD_BYTES = 4096
_TROUBLE = ("trouble", "missing", "unopened", "stuck", "leaving", "diverged", "given-up")


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the command line."""

    settings: Settings
    json: bool
    out: Console
    err: Console

    # ---------------------------------------------------------------- what to work with

    def connection(self) -> Connection:
        return Connection(self.settings.rpc, timeout=self.settings.rpc_timeout)

    def address_book(self) -> AddressBook:
        return AddressBook(self.settings.home_folder / "markets.json")

    def market(self) -> Market:
        """The market to work with: --market, or the address book's for the connected chain."""
        return self._market()[0]

    def _market(self) -> tuple[Market, int]:
        """The market, and the block to read its events from."""
        connection = self.connection()
        entry = self.address_book().find(connection.chain_id)
        address = self.settings.market or (entry.market if entry else "")
        if not address:
            raise NotFound(
                f"No market is known on chain {connection.chain_id}: give its address with --market, or deploy one "
                "with `merit deploy`."
            )
        market = Market(connection, address, receipt_within=self.settings.receipt_timeout)
        return market, entry.block if entry is not None and entry.market == market.address else 0

    def storage(self, market: Market, identity: Identity | None) -> Storage:
        """identity: who signs where the storage is another node's."""
        caller = Caller(identity.account, market.connection.chain_id, market.address) if identity else None
        return open_storage(self.settings.storage_address, timeout=self.settings.storage_timeout, caller=caller)

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

        Raises InputError where there is no room for it.
        """
        try:
            if self.json:
                sys.stdout.write(json.dumps(document, default=str) + "\n")
                sys.stdout.flush()
            else:
                self.out.print(text)
        except OSError as error:
            if not no_room(error):
                raise
            raise InputError(
                f"The result was not written ({error.strerror}): make room, or write elsewhere."
            ) from error

    @contextmanager
    def narrator(self) -> Iterator[Report]:
        """Tells notices as they come: a JSON line each with --json, else a sentence, and on a terminal a training bar.

        What a disk has no room for goes untold: the work that it tells of goes on.
        """
        if self.json or not self.out.is_terminal:
            yield self._write_notice
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
                progress.console.print(notice.text, style="yellow" if notice.kind in _TROUBLE else "", highlight=False)

            yield tell

    def _write_notice(self, notice: Notice) -> None:
        if notice.kind == "training" and not self.json:
            return
        try:
            sys.stdout.write((json.dumps(asdict(notice), default=str) if self.json else notice.text) + "\n")
            sys.stdout.flush()
        except OSError as error:
            if not no_room(error):
                raise


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
