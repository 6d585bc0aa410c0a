"""From settings to something to work with: chain, market, storage, keys. For the command line and `import merit`."""

from dataclasses import dataclass, replace
from functools import cached_property

from marketplace.chain.connection import Connection
from marketplace.chain.deploy import AddressBook, is_lost
from marketplace.chain.events import EventReader
from marketplace.chain.journal import Journal
from marketplace.chain.market import Market, is_market
from marketplace.errors import ChainError, InputError, NotFound
from marketplace.files import read_within
from marketplace.keys.identity import Identity
from marketplace.keys.keystore import Keystore
from marketplace.services.node import FINALITY, LOCAL_CHAINS, Node
from marketplace.services.running import RunningNode, local_node
from marketplace.settings import Settings
from marketplace.storage import PEER, Caller, Storage, open_storage
from marketplace.urls import shown_url

_MAX_PASSWORD_BYTES = 4096


@dataclass(frozen=True)
class Access:
    """Opens what the settings name; connections are made anew at each call, so that threads share none."""

    settings: Settings

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

    def password(self, *, confirm: bool = False) -> str:
        """From MERIT_PASSWORD, --password-file or whoever can be asked, in this order. Raises InputError."""
        if self.settings.password is not None:
            return self.settings.password.get_secret_value()
        if self.settings.password_file is not None:
            text = read_within(self.settings.password_file, _MAX_PASSWORD_BYTES).decode("utf-8", "replace")
            return text.splitlines()[0] if text else ""
        return self.asked_password(confirm=confirm)

    def asked_password(self, *, confirm: bool) -> str:
        """Where there is nobody to ask. confirm: ask twice."""
        raise InputError("A password is needed: set MERIT_PASSWORD, or give --password-file.")
