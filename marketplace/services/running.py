"""A node that runs from this home folder: where its page, chain, market and storage are, for commands beside it."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from marketplace.files import read_within, write_atomically
from marketplace.spec import Address

_MAX_BYTES = 8192
_ANSWERS_WITHIN = 1.0  # seconds


class RunningNode(BaseModel):
    """page: its address with the token in it. block: what brought the market. pid: of the process."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    rpc: str = Field(repr=False)
    market: Address
    block: int = Field(ge=0)
    storage: str = Field(repr=False)
    home: Path
    page: str = Field(repr=False)
    pid: int = Field(gt=0)

    @property
    def alive(self) -> bool:
        """Whether its process runs and its chain listens: a file survives a power loss, and pids are given again."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        parts = urlsplit(self.rpc)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            with socket.create_connection((parts.hostname or "", port), _ANSWERS_WITHIN):
                return True
        except OSError:
            return False


def local_node(home: Path) -> RunningNode | None:
    """The node that `merit up` runs with a chain of its own; None where none runs from this home folder."""
    return _read(home / "local" / "node.json")


def any_node(home: Path) -> RunningNode | None:
    """As `local_node`, and one that `merit --rpc … up` runs."""
    return local_node(home) or _read(home / "node.json")


def place_of(home: Path, *, local: bool) -> Path:
    """Where a node says where it runs."""
    return home / "local" / "node.json" if local else home / "node.json"


@contextmanager
def announced(path: Path, node: RunningNode) -> Iterator[None]:
    """Says where a node runs, for as long as it does, in a file for its user only: the token is in it."""
    write_atomically(path, node.model_dump_json(indent=1).encode() + b"\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _read(path: Path) -> RunningNode | None:
    if not path.exists():
        return None
    try:
        found = RunningNode.model_validate_json(read_within(path, _MAX_BYTES))
    except ValidationError:
        return None
    return found if found.alive else None
