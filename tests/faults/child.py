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
from dataclasses import dataclass, field, replace
from io import BytesIO
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

import marketplace.api.serve
import marketplace.cli.main
import marketplace.services.aggregator
import marketplace.services.audit
import marketplace.services.owner
from marketplace.keys.sealing import SealSecrets, seal_to
from marketplace.services import deliveries, trainer, training
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
    """arguments: of `merit`."""

    arguments: list[str]
    environment: dict[str, str]
    trouble: Trouble = field(default_factory=Trouble)


def play(order: Order, output: Connection, errors: Connection) -> None:
    """Runs the order to its end. Its notices and errors go through pipes: what a full disk does to it is seen."""
    os.environ.update(order.environment)
    os.dup2(output.fileno(), 1)
    os.dup2(errors.fileno(), 2)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    _afflict(order.trouble)
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
    honest_pack, honest_seal = pack_update, seal_to

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

    def seal(key: bytes, source: Any, sink: Any, context: Any) -> SealSecrets:
        match kind:
            case "wrong key":
                key = bytes([9]) + bytes(31)
            case "wrong round":
                context = replace(context, round=context.round + 1)
            case "not sealed":
                sink.write(source.getvalue())
                sink = BytesIO()
        return honest_seal(key, source, sink, context)

    training.pack_update, deliveries.seal_to = pack, seal


def _forget() -> None:
    honest = trainer.TrainerAgent._submit

    def submit(self: Any, job: Any, *rest: Any) -> Any:
        (self._folder / f"round-{job.round}" / "submission.json").unlink(missing_ok=True)
        return honest(self, job, *rest)

    vars(trainer)["TrainerAgent"]._submit = submit
