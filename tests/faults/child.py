"""What runs in a party's process: `merit`'s own command line, with whatever is wrong with the machine it runs on.

A campaign starts hundreds of processes. They are forked from a server that has imported this module, which saves each
the seconds that importing torch takes; everything after that is a process of its own, with its own memory, files and
end.
"""

import os
import resource
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

import marketplace.cli.main
import marketplace.services.aggregator
import marketplace.services.audit
import marketplace.services.owner
from marketplace.chain.events import EventReader
from marketplace.keys.sealing import seal_bytes_to
from marketplace.services import trainer
from marketplace.services.index import Index
from trainer.config import TrainingConfig
from trainer.train import warm_up
from zk.files import pack_update

torch.set_num_threads(1)
warm_up(TrainingConfig(learning_rate=0.1, epochs=1, batch_size=8))

HOSTILE = ("too short", "too long", "NaN", "infinity", "out of range", "wrong key", "wrong round", "not sealed")


@dataclass(frozen=True)
class Trouble:
    """What is wrong with the machine. skew: seconds that its clock is ahead. file_bytes: the largest file that its disk
    has room for. hostile: one of HOSTILE for a trainer, or "forgetful": it makes another update whenever it submits."""

    skew: int = 0
    file_bytes: int | None = None
    hostile: str = ""


@dataclass(frozen=True)
class Order:
    """arguments: of `merit`; ["index", DATABASE] follows the market with an index instead."""

    arguments: list[str]
    environment: dict[str, str]
    errors: Path
    trouble: Trouble = field(default_factory=Trouble)


def play(order: Order, output: Connection) -> None:
    """Runs the order to its end, its notices going to `output`."""
    os.environ.update(order.environment)
    os.dup2(output.fileno(), 1)
    os.dup2(os.open(order.errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    _afflict(order.trouble)
    if order.arguments[0] == "index":
        _index(order.arguments[1])
        return
    sys.argv = ["merit", "--json", *order.arguments]
    marketplace.cli.main.main()


def _end_with(parent: int) -> None:
    """A campaign that is ended leaves nobody behind."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _afflict(trouble: Trouble) -> None:
    if trouble.skew:
        honest = time.time
        time.time = lambda: honest() + trouble.skew
    if trouble.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (trouble.file_bytes, trouble.file_bytes))
    if trouble.hostile:
        _turn(trouble.hostile)


def _turn(kind: str) -> None:
    """Makes this process's trainer submit something that is no update."""
    if kind == "forgetful":
        _forget()
        return
    honest_pack, honest_seal = pack_update, seal_bytes_to

    def pack(row: Any, blinders: bytes, points: bytes, c: int) -> bytes:
        match kind:
            case "too short":
                return honest_pack(row[:-1], blinders, points, c)
            case "too long":
                return honest_pack(np.append(row, row[:1]), blinders, points, c)
            case "NaN" | "infinity":
                wrong = np.full(len(row), np.nan if kind == "NaN" else np.inf, np.float32)
            case "out of range":
                wrong = np.full(len(row), -(2**15), np.int16)
            case _:
                return honest_pack(row, blinders, points, c)
        raw = {"blinders": np.frombuffer(blinders, np.uint8), "commitment": np.frombuffer(points, np.uint8)}
        return save({"update": wrong, **raw})

    def seal(key: bytes, content: bytes, context: Any) -> bytes:
        match kind:
            case "wrong key":
                return honest_seal(bytes([9]) + bytes(31), content, context)
            case "wrong round":
                return honest_seal(key, content, type(context)(**{**_fields(context), "round": context.round + 1}))
            case "not sealed":
                return content
        return honest_seal(key, content, context)

    vars(trainer).update(pack_update=pack, seal_bytes_to=seal)


def _forget() -> None:
    honest = trainer.TrainerAgent._submit

    def submit(self: Any, job: Any, *rest: Any) -> Any:
        (self._folder / f"round-{job.round}" / "submission.json").unlink(missing_ok=True)
        return honest(self, job, *rest)

    vars(trainer)["TrainerAgent"]._submit = submit


def _fields(context: Any) -> dict[str, Any]:
    return {name: getattr(context, name) for name in type(context).__dataclass_fields__}


def _index(database: str) -> None:
    """Keeps an index of the market, as a node does, until it is killed."""
    from marketplace.chain.connection import Connection as Chain
    from marketplace.errors import MeritError

    chain = Chain(os.environ["MERIT_RPC"], timeout=1)
    market = os.environ["MERIT_MARKET"]
    index = Index(f"sqlite:///{database}", chain_id=chain.chain_id, market=market, first_block=0)
    reader = EventReader(chain, market)
    while True:
        with suppress(MeritError):
            while index.update(reader, chain):
                pass
        time.sleep(0.2)
