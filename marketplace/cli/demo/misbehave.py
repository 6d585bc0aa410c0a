"""A trainer of the demo that does not do what it should: `python -m marketplace.cli.demo.misbehave KIND JOB DATA`.

It runs the real trainer with one change: what it submits. The rest of its settings come from MERIT_* as for `merit`.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from marketplace.cli.demo.cast import SILENT_ROUND
from marketplace.cli.session import Session, stop_on_signals
from marketplace.errors import InputError, MeritError
from marketplace.services.agent import run
from marketplace.services.trainer import Plan, Tamper, TrainerAgent, data_loader
from marketplace.settings import Settings
from zk.encoding import LIMIT, Int16s


def _flipped(round: int, update: Int16s) -> Int16s | None:
    return np.clip(update.astype(np.int32) * -5, -LIMIT, LIMIT).astype(np.int16)


def _zeros(round: int, update: Int16s) -> Int16s | None:
    return np.zeros_like(update)


def _silent(round: int, update: Int16s) -> Int16s | None:
    return None if round == SILENT_ROUND else update


TAMPER: dict[str, Tamper] = {"poisoner": _flipped, "free-rider": _zeros, "silent": _silent}


def main() -> None:
    """Runs the trainer that sys.argv names, and exits."""
    try:
        _trainer(*sys.argv[1:])
    except MeritError as problem:
        sys.stderr.write(f"error: {problem}\n")
        sys.exit(problem.exit_code)


def _trainer(kind: str, job: str, data: str) -> None:
    here = Session(Settings(), True, Console(), Console(stderr=True))
    node = here.node()
    if not Path(data).exists():
        raise InputError(f"{data} does not exist.")
    plan = Plan(node.me.address, (torch.device("cpu"),), tamper=TAMPER[kind])
    heads = node.market.connection.heads
    with here.narrator() as report:
        agent = TrainerAgent(node, int(job), data_loader(data), plan, report)
        run(agent, report=report, poll=here.settings.poll, patience=60, stop=stop_on_signals(), heads=heads)


if __name__ == "__main__":
    main()
