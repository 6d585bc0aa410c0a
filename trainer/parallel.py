"""A round on several devices: one process each, which takes its part of every batch; gradients are added up.

All run on this machine, from files in a folder that only this user can read; they meet over the loopback interface.
A process that dies ends the round with an error, so that it can be trained again; nobody waits without an end.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing import get_context

from trainer.config import DataSchema, TrainingConfig
from trainer.data.dataset import Array, Dataset
from trainer.models.vectors import flatten, load_flat
from trainer.programs import Program
from trainer.train import Progress, RoundResult, train_round

PATIENCE = 120.0
"""Seconds that processes wait for each other, and this one for them to start and to stop."""

_LOOK = 0.2
"""Seconds between two looks at whether to stop."""


class Group:
    """The processes of a round, as `train_round` knows them."""

    def __init__(self, rank: int, world: int, device: torch.device) -> None:
        self.rank, self.world, self._device = rank, world, device

    def reduce(self, parameters: list[nn.Parameter], loss: torch.Tensor, stop: bool) -> tuple[torch.Tensor, bool]:
        """One sum over the processes a step: all gradients, which of them there are, the loss, whether to stop."""
        has = [0.0 if p.grad is None else 1.0 for p in parameters]
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        told = torch.tensor([*has, float(stop)], device=self._device)
        bucket = torch.cat([*(part.reshape(-1) for part in parts), told, loss.reshape(1)])
        dist.all_reduce(bucket)
        sizes = [part.numel() for part in parts]
        *summed, told, loss = torch.split(bucket, [*sizes, len(told), 1])
        *anywhere, stops = told.tolist()
        for parameter, part, there in zip(parameters, summed, anywhere, strict=True):
            # What no process reached has no gradient, as in one process: no decay moves it.
            parameter.grad = part.view_as(parameter) if there else None
        return loss.reshape(()), stops > 0


@dataclass(frozen=True, slots=True)
class _Work:
    """What a process is told. folder: holds inputs and the base as arrays, and takes the end."""

    folder: Path
    program: Program
    inputs: tuple[str, ...]
    config: TrainingConfig
    schema: DataSchema | None
    round: int
    seed: int
    devices: tuple[str, ...]
    patience: float


def train_on(
    devices: Sequence[torch.device],
    program: Program,
    data: Dataset,
    config: TrainingConfig,
    *,
    round: int,
    seed: int,
    schema: DataSchema | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
    patience: float = PATIENCE,
) -> RoundResult:
    """`train_round` with a process for each device: the same update but for the order of sums, and dropout, which each
    process draws by itself. The program has to be one that can be sent to a process; it stays where it is.

    patience: seconds that the processes wait for each other. `should_stop` is asked a few times a second. Raises what
    `train_round` raises, and RuntimeError if a process ends before its work: the program is then as it was.
    """
    if len(devices) < 2:
        raise ValueError("training in parallel takes two devices or more")
    if len(data) == 0:
        raise ValueError("there are no samples to train on")
    started = clock()
    folder = Path(tempfile.mkdtemp(prefix="merit-round-"))  # readable by this user alone
    try:
        for at, values in enumerate(data.inputs.values()):
            np.save(folder / f"input-{at}.npy", values, allow_pickle=False)
        if data.y is not None:
            np.save(folder / "target.npy", data.y, allow_pickle=False)
        sent = deepcopy(program)
        sent.module.cpu()
        names = tuple(str(device) for device in devices)
        work = _Work(folder, sent, tuple(data.inputs), config, schema, round, seed, names, patience)
        loss, complete, notice = _supervise(work, on_progress, should_stop)
        if complete:
            load_flat(program.module, np.load(folder / "end.npy", allow_pickle=False))
        return RoundResult(loss, clock() - started, len(data), complete, notice)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _supervise(
    work: _Work, on_progress: Callable[[Progress], None], should_stop: Callable[[], bool]
) -> tuple[float, bool, str]:
    """Loss, completeness and notice of the first process. All have ended when this returns or raises."""
    context = get_context("spawn")
    stop, ends = context.Event(), [context.Pipe(duplex=False) for _ in work.devices]
    processes: list[SpawnProcess] = []
    try:
        for rank, (_, sender) in enumerate(ends):
            process = context.Process(target=_main, args=(rank, work, sender, stop), daemon=True)
            try:
                process.start()
            except OSError:  # no memory, no more processes: nothing that the program could help
                raise
            except Exception as error:
                raise ValueError(f"this program cannot be sent to another process: {error}") from error
            processes.append(process)
            sender.close()
        return _follow(work, [receiver for receiver, _ in ends], processes, stop, on_progress, should_stop)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join(work.patience)
        for receiver, _ in ends:
            receiver.close()


def _follow(
    work: _Work,
    pipes: list[Connection],
    processes: list[SpawnProcess],
    stop: Event,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> tuple[float, bool, str]:
    done: dict[int, tuple[float, bool, str]] = {}
    open_pipes, give_up = dict(zip(pipes, range(len(pipes)), strict=True)), float("inf")
    while len(done) < len(pipes):
        if not stop.is_set() and should_stop():
            stop.set()
            give_up = time.monotonic() + work.patience
        if time.monotonic() > give_up:
            raise RuntimeError(f"processes on {', '.join(work.devices)} did not stop within {work.patience:.0f} s")
        ready = wait(list(open_pipes), _LOOK)
        for pipe, rank in [(pipe, rank) for pipe, rank in open_pipes.items() if pipe in ready]:
            try:
                kind, told = pipe.recv()
            except EOFError:
                del open_pipes[pipe]
                if rank not in done:
                    raise RuntimeError(_death(rank, work, processes[rank])) from None
                continue
            if kind == "progress":
                on_progress(told)
            elif kind == "done":
                done[rank] = told
            else:
                raise (ValueError if kind == "value" else RuntimeError)(told)
    return done[0]


def _death(rank: int, work: _Work, process: SpawnProcess) -> str:
    process.join(work.patience)
    code = process.exitcode or 0
    how = f"signal {-code}" if code < 0 else f"code {code}"
    return f"the process on {work.devices[rank]}, {rank + 1} of {len(work.devices)}, ended with {how} while it trained"


def _main(rank: int, work: _Work, pipe: Connection, stop: Event) -> None:
    """A process of a round."""
    program = deepcopy(work.program)  # what came is in memory that all processes share
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")
    world, device = len(work.devices), torch.device(work.devices[rank])
    try:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        else:
            torch.set_num_threads(max(1, torch.get_num_threads() // world))
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            init_method=f"file://{work.folder / 'meeting'}",
            rank=rank,
            world_size=world,
            timeout=timedelta(seconds=work.patience),
        )
        inputs = {name: _array(work.folder / f"input-{at}.npy") for at, name in enumerate(work.inputs)}
        target = work.folder / "target.npy"
        result = train_round(
            program,
            Dataset(inputs, _array(target) if target.exists() else None),
            work.config,
            round=work.round,
            seed=work.seed,
            schema=work.schema,
            device=device,
            on_progress=(lambda seen: pipe.send(("progress", seen))) if rank == 0 else lambda seen: None,
            should_stop=stop.is_set,
            peers=Group(rank, world, device),
        )
        if rank == 0 and result.complete:
            np.save(work.folder / "end.npy", flatten(program.module).cpu().numpy(), allow_pickle=False)
        pipe.send(("done", (result.loss, result.complete, result.notice)))
        time.sleep(work.patience)  # another may still read this one's part of the last sum: the parent ends both
    except ValueError as error:
        pipe.send(("value", str(error)))
    except Exception as error:  # noqa: BLE001 (told to the one that waits, whatever it is)
        pipe.send(("other", f"the process on {device}, {rank + 1} of {world}: {str(error).splitlines()[0]}"))
    finally:
        # Without a farewell to the others, for which a process would wait that may be gone.
        pipe.close()
        os._exit(0)


def _array(path: Path) -> Array:
    values: Array = np.load(path, mmap_mode="c", allow_pickle=False)
    return values
