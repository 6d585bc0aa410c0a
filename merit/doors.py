"""How a market is opened: once for each thread, since connections are not shared between them."""

from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from typing import Protocol

from marketplace.errors import InputError
from marketplace.keys.identity import Identity
from marketplace.services.access import Access
from marketplace.services.node import Node
from marketplace.spec import AggregatorConfig
from merit.participation import Participation
from trainer.data import Dataset

Data = str | PathLike[str] | Dataset
"""A source as docs/data.md lists them, a file or a folder, or a data set in memory, before any normalisation."""


class Doors(Protocol):
    """What a market's objects are opened with. poll: seconds between two looks at the chain."""

    @property
    def poll(self) -> float: ...

    @property
    def aggregator(self) -> AggregatorConfig | None:
        """Who aggregates where a job's document names nobody."""

    @property
    def joined(self) -> list[Participation]:
        """Whoever has joined a job through them."""

    def acting(self) -> Node:
        """With the account that acts. Raises NotFound without a key, InputError where it cannot be unlocked."""

    def looking(self) -> Node:
        """For whoever only reads."""


@dataclass(frozen=True)
class Named(Access):
    """Doors to a market that settings name."""

    @property
    def poll(self) -> float:
        return self.settings.poll

    @property
    def aggregator(self) -> AggregatorConfig | None:
        return None

    @cached_property
    def joined(self) -> list[Participation]:
        return []

    @cached_property
    def me(self) -> Identity:
        """Unlocked once: that takes a second."""
        return self.identity()

    def acting(self) -> Node:
        return self.node_of(self.me)

    def looking(self) -> Node:
        return self.reader()

    def asked_password(self, *, confirm: bool) -> str:
        raise InputError(f"The key {self.settings.key!r} is locked: give its password, or set MERIT_PASSWORD.")


class Through:
    """Opens its doors when it first goes through them, and keeps them open."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    @cached_property
    def _looking(self) -> Node:
        return self._doors.looking()

    @cached_property
    def _acting(self) -> Node:
        return self._doors.acting()


def source(data: Data) -> str | Dataset:
    """As the services take it."""
    return data if isinstance(data, Dataset) else fspath(data)
