"""Load: a node with many jobs, an aggregator with large updates, and whether memory grows.

    python -m benches.load node [--minutes 60] [--jobs 50] [--trainers 10]
    python -m benches.load round [--trainers 32] [--inputs 1013 --hidden 1023]
    python -m benches.load growth [--cycles 20]

Each takes --json FILE. What is measured are processes of `merit` as anybody runs them (`up`; `aggregator run`), on a
real Anvil, with proofs made and verified. Owner and trainers are simulated, in this process (benches/load_crowd.py).
"""

import argparse
import json
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benches.load_crowd import RULES, Crowd, Size
from benches.load_tools import (
    MIB,
    Listeners,
    Memory,
    Process,
    Repeating,
    Visitor,
    memory,
    quantiles,
    running,
    slope,
    until,
)
from marketplace.chain.anvil import Anvil
from marketplace.chain.connection import Connection
from marketplace.chain.deploy import deploy
from marketplace.keys.keystore import Keystore
from marketplace.services.audit import audit_job
from marketplace.services.local import LOCAL_PASSWORD

SAMPLE = 1.0  # seconds between two looks at processes' memory
LISTENERS = 8


def node(minutes: float, jobs: int, trainers: int) -> dict[str, Any]:
    """`merit up`, with its chain, index, page and aggregator, while `jobs` jobs at a time go on for some minutes."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        up = stack.enter_context(running("node", ["up", "--port", "0", "--chain-port", "0"], folder / "home", {}))
        until(lambda: up.notices, f"the node serves: {up.errors}", 120)
        facts = up.notices[0][1]
        home, url = Path(facts["home"]), facts["url"].split("/#")[0]
        judge = Keystore(home / "keys").load("aggregator", LOCAL_PASSWORD)
        size = Size(trainers, rounds=3)
        known, storage = (judge.address, judge.encryption_key), f"folder:{home / 'storage'}"
        crowd = Crowd(folder, facts["rpc"], facts["market"], storage, known, size, groups=jobs)
        stack.callback(crowd.close)
        seen = Memory({"node": up.pid, "Anvil": _anvil(up.pid), "simulation": os.getpid()})
        visitor = Visitor(url, {"list of jobs": "/api/jobs", "one job": "/api/jobs/1"})
        listeners = Listeners(url, LISTENERS)
        begun, height = time.monotonic(), crowd.height()
        with Repeating(0.5, crowd.follow), Repeating(SAMPLE, seen.look):
            until(lambda: visitor.answers("/api/jobs/1"), f"job 1 is in the index: {crowd.counts.failures}", 300)
            with Repeating(0.5, visitor.look):
                time.sleep(max(0.0, 60 * minutes - (time.monotonic() - begun)))
        seconds, counts = time.monotonic() - begun, crowd.counts
        transactions, broken = crowd.height() - height, listeners.breaks
        crowd.close()
        finished = [job_id for _, job_id, state in counts.ended if state == "completed"]
        audits = [audit_job(crowd.owner, job_id).ok for job_id in finished[-2:]]
        log = up.errors.read_text(errors="replace").splitlines()
    told = [json.loads(line) for line in log if line.startswith("{")]
    half = [(at / 3600, bytes / MIB) for at, bytes in seen.samples["node"] if at > seconds / 2]
    return {
        "part": "node",
        "jobs at a time": jobs,
        "trainers": jobs * trainers,
        "parameters": crowd.parameters,
        "minutes": seconds / 60,
        "transactions": transactions,
        "transactions per second": transactions / seconds,
        "submissions": len(counts.submitted),
        "submissions per second": len(counts.submitted) / seconds,
        "settlements": len(counts.settled),
        "settlements per minute": len(counts.settled) / seconds * 60,
        "seconds from last submission to settlement": quantiles(counts.waited),
        "seconds to judge and prove": {
            phase: quantiles([line["seconds"][phase] for line in told if line.get("kind") == "proved"])
            for phase in ("open", "judge", "prove")
        },
        "jobs completed": len(finished),
        "jobs ended otherwise": len(counts.ended) - len(finished),
        "audits of the last two": audits,
        "seconds to answer": {name: quantiles(took) for name, took in visitor.seconds.items()},
        "answers that failed": visitor.failures,
        "events heard by each listener": listeners.heard,
        "streams broken": broken,
        "tracebacks in the node's log": sum("trace" in line for line in told),
        "failures of the simulation": dict(crowd.counts.failures),
        "node MiB": _memory_summary(seen.samples["node"]),
        "Anvil MiB": _memory_summary(seen.samples["Anvil"]),
        "node MiB per hour, second half": slope(half),
        "samples": {name: [(round(at), bytes) for at, bytes in rows[::10]] for name, rows in seen.samples.items()},
    }


def round_of(trainers: int, inputs: int, hidden: int) -> dict[str, Any]:
    """`merit aggregator run` for a job of one round, under each rule: seconds by phase, and its memory at most."""
    results: dict[str, Any] = {"part": "round", "trainers": trainers}
    for rule in RULES:
        results |= _one_round(Size(trainers, rounds=1, inputs=inputs, hidden=hidden), rule)
    return results


def _one_round(size: Size, rule: str) -> dict[str, Any]:
    peaks: list[int] = []
    with ExitStack() as stack:
        crowd, judge = _aggregating(stack, size, rule, job=True)
        with Repeating(0.5, crowd.follow), Repeating(0.2, lambda: peaks.append(memory(judge.pid, "VmHWM"))):
            until(lambda: crowd.counts.ended and judge.said("over"), "the job ends", 3600)
        proved, settled = judge.said("proved")[0], judge.said("settled")[0]
        measured = {
            **{f"{phase}, seconds": took for phase, took in proved["values"]["seconds"].items()},
            "settle, seconds": settled["values"]["seconds"]["settle"],
            "gas": settled["values"]["gas"],
            "memory at most, MiB": max(peaks) / MIB,
            "state": crowd.counts.ended[0][2],
            "failures of the simulation": dict(crowd.counts.failures),
        }
        return {"parameters": crowd.parameters, rule: measured}


def growth(cycles: int, trainers: int) -> dict[str, Any]:
    """`merit aggregator run` over many jobs, one after another, by both rules in turn: its memory after each."""
    with ExitStack() as stack:
        size = Size(trainers, rounds=2, hidden=512)
        crowd, judge = _aggregating(stack, size, *RULES, job=False)
        after: list[tuple[int, float]] = []

        def look() -> None:
            crowd.follow()
            while len(after) < len(crowd.counts.ended):
                after.append((len(after) + 1, memory(judge.pid) / MIB))

        with Repeating(0.5, look):
            until(lambda: len(after) >= cycles, f"{cycles} jobs end", 600 * cycles)
        half: list[tuple[float, float]] = [(float(at), held) for at, held in after if at > cycles / 2]
        return {
            "part": "growth",
            "jobs": len(after),
            "trainers": trainers,
            "parameters": crowd.parameters,
            "MiB after each job": [round(held, 1) for _, held in after],
            "MiB per job, second half": slope(half),
            "memory at most, MiB": memory(judge.pid, "VmHWM") / MIB,
            "ends": [state for _, _, state in crowd.counts.ended],
            "failures of the simulation": dict(crowd.counts.failures),
        }


def _aggregating(stack: ExitStack, size: Size, *rules: str, job: bool) -> tuple[Crowd, Process]:
    """A chain, a crowd with one job at a time, and an aggregator as a process: of that job, or of all."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    anvil = stack.enter_context(Anvil())
    connection = Connection(anvil.url)
    deployed, storage = deploy(connection, anvil.accounts[0]), f"folder:{folder / 'storage'}"
    home = folder / "aggregator"
    judge = Keystore(home / "keys", scrypt_n=4096).create("default", LOCAL_PASSWORD)
    connection.request("anvil_setBalance", judge.address, hex(10**24))
    known = (judge.address, judge.encryption_key)
    crowd = Crowd(folder, anvil.url, deployed.market, storage, known, size, groups=1, rules=rules)
    stack.callback(crowd.close)
    crowd.more = not job
    if job:
        until(lambda: crowd.current, f"the job is created: {crowd.counts.failures}", 300)
    environment = {
        "MERIT_RPC": anvil.url,
        "MERIT_MARKET": deployed.market,
        "MERIT_STORAGE": storage,
        "MERIT_PASSWORD": LOCAL_PASSWORD,
    }
    arguments = ["aggregator", "run", *(["--job", str(crowd.current[0])] if job else [])]
    return crowd, stack.enter_context(running("aggregator", arguments, home, environment))


def _anvil(pid: int) -> int:
    """The chain's process below a node's."""
    return next(below for below in _below(pid) if Path(f"/proc/{below}/comm").read_text().strip() == "anvil")


def _below(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for word in (task / "children").read_text().split():
            found += [int(word), *_below(int(word))]
    return found


def _memory_summary(samples: list[tuple[float, int]]) -> dict[str, float]:
    """MiB at the start, in the middle, at the end, and at most."""
    held = [bytes / MIB for _, bytes in samples]
    return {"first": held[0], "middle": held[len(held) // 2], "last": held[-1], "most": max(held)}


def _table(results: dict[str, Any]) -> Table:
    table = Table("measured", "value", title=results["part"], title_justify="left")

    def add(name: str, value: object) -> None:
        if isinstance(value, dict):
            for inner, each in value.items():
                add(f"{name}: {inner}", each)
        elif name != "samples":
            table.add_row(name, f"{value:,.3f}" if isinstance(value, float) else str(value))

    for name, value in results.items():
        if name != "samples":
            add(name, value)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("node", "round", "growth"))
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--jobs", type=int, default=50, help="node: at a time")
    parser.add_argument("--trainers", type=int, help="of each job; node 10, round 32, growth 8")
    parser.add_argument("--inputs", type=int, default=1013, help="round: of the model")
    parser.add_argument("--hidden", type=int, default=1023, help="round: of the model")
    parser.add_argument("--cycles", type=int, default=20, help="growth: jobs")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    load = os.getloadavg()
    match given.part:
        case "node":
            results = node(given.minutes, given.jobs, given.trainers or 10)
        case "round":
            results = round_of(given.trainers or 32, given.inputs, given.hidden)
        case _:
            results = growth(given.cycles, given.trainers or 8)
    results |= {"cores": os.cpu_count(), "load average before": load, "load average after": os.getloadavg()}
    Console().print(_table(results))
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
