"""SIGKILL of real trainer and aggregator processes in every phase they report; started again, they finish the job."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from marketplace.chain.clock import skip_to
from marketplace.domain import State
from marketplace.keys.identity import Identity
from marketplace.keys.keystore import Keystore
from marketplace.services.audit import audit_job
from marketplace.services.node import JobFeed, Node
from marketplace.services.owner import create_job
from tests.jobs import World, blobs, job_file
from trainer.data import write_npz

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

PASSWORD = "test"
LIMIT_SECONDS = 800.0  # a busy machine takes ten times as long as an idle one


@dataclass
class Process:
    """A `merit` process that is killed when it first says each of `deadly`, and started again."""

    name: str
    command: list[str]
    environment: dict[str, str]
    deadly: list[str]
    news: "queue.Queue[tuple[Process, dict[str, Any]]]"
    kills: list[str] = field(default_factory=list)

    def start(self) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "marketplace.cli.main", "--json", *self.command],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a pipe that nobody reads would fill, and hold the process up
            text=True,
        )
        threading.Thread(target=self._read, args=(self.popen,), daemon=True).start()

    def _read(self, popen: "subprocess.Popen[str]") -> None:
        for line in popen.stdout or ():
            notice = json.loads(line)
            if notice["kind"] in self.deadly and notice["kind"] not in self.kills:
                self.kills.append(notice["kind"])
                popen.send_signal(signal.SIGKILL)
                popen.wait()
                self.start()
                return
            self.news.put((self, notice))


def keep(world: World, name: str) -> tuple[Node, Path]:
    """A funded party whose key is in a keystore on disk."""
    home = world.folder / name
    identity: Identity = Keystore(home / "keys", scrypt_n=2).create("default", PASSWORD)
    return world.node(name, identity), home


@pytest.mark.slow
def test_processes_killed_in_any_phase_finish_the_job_with_one_submission_a_round(world: World) -> None:
    owner, _ = keep(world, "owner")
    aggregator, aggregator_home = keep(world, "aggregator")
    job_id = create_job(owner, job_file(aggregator, max_trainers=2, min_trainers=2, rounds=3), blobs(80, 1)).job_id
    base = {
        **os.environ,
        "MERIT_RPC": world.chain.connection.url,
        "MERIT_MARKET": world.chain.market.address,
        "MERIT_STORAGE": f"folder:{world.folder / 'storage'}",
        "MERIT_PASSWORD": PASSWORD,
        "MERIT_POLL": "0.1",
        "OMP_NUM_THREADS": "1",
    }
    news: queue.Queue[tuple[Process, dict[str, Any]]] = queue.Queue()
    judge = {**base, "MERIT_HOME": str(aggregator_home)}
    deadly = ["accepted", "start", "key", "proved", "settled"]
    processes = [Process("aggregator", ["aggregator", "run", "--job", str(job_id)], judge, deadly, news)]
    for number, deadly in enumerate([["joined", "training", "submitted"], ["trained"]]):
        _, home = keep(world, f"trainer-{number}")
        write_npz(home / "data.npz", blobs(60, 10 + number))
        command = ["trainer", "join", str(job_id), "--data", str(home / "data.npz")]
        processes.append(Process(f"trainer {number}", command, {**base, "MERIT_HOME": str(home)}, deadly, news))
    try:
        for process in processes:
            process.start()
        deadline = time.monotonic() + LIMIT_SECONDS
        while not (job := world.chain.market.job(job_id)).state.over:
            assert time.monotonic() < deadline, [process.kills for process in processes]
            if job.state is State.CONFIRMING:  # nobody has anything left to do but to wait
                skip_to(world.chain.connection, job.submit_by + 1)
            time.sleep(0.1)
    finally:
        for process in processes:
            process.popen.kill()
            process.popen.wait()
    history = JobFeed(owner, job_id).refresh()
    assert history.state is State.COMPLETED
    assert [sorted(process.kills) for process in processes] == [sorted(process.deadly) for process in processes]
    assert [sorted(entry.submissions) for entry in history.rounds] == [[0, 1]] * 3
    assert len(history.enrolled) == 2
    assert audit_job(world.watcher("auditor"), job_id).ok
