"""`merit up` as its user starts it: a whole market from one command, and its orderly end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from marketplace.chain.connection import Connection
from marketplace.cli.forked import Forked
from marketplace.domain import ZERO_ADDRESS, State
from marketplace.errors import StorageError
from marketplace.keys.keystore import Keystore
from marketplace.services.agent import Step
from marketplace.services.node import Node
from marketplace.storage import Caller, Storage, get_bytes, open_storage
from tests.jobs import World, blobs, job_file, new_play
from tests.patience import PATIENCE
from trainer.data import write_npz

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

PASSWORD = "up"


@dataclass
class Up:
    process: Forked
    facts: dict[str, Any]
    log: Path

    def __post_init__(self) -> None:
        url, _, token = self.facts["url"].partition("/#token=")
        self.web = httpx.Client(base_url=url, timeout=PATIENCE, headers={"Authorization": f"Bearer {token}"})

    def get(self, path: str) -> Any:
        answer = self.web.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, document: dict[str, Any]) -> Any:
        answer = self.web.post(path, json=document)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def until(self, path: str, holds: Any, within: float = 120.0) -> Any:
        end = time.monotonic() + within
        while time.monotonic() < end:
            answer = self.web.get(path)
            if answer.status_code == 200 and holds(answer.json()):
                return answer.json()
            time.sleep(0.1)
        pytest.fail(f"{path} does not come to what is awaited: {self.log.read_text()[-3000:]}")

    def lines(self) -> list[dict[str, Any]]:
        """The log's; what is said before the node is there is for people."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


def merit(folder: Path, *command: str) -> tuple[Forked, Path]:
    """Starts the command line with a home below `folder`; what it says on standard error goes to the file."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith("MERIT_")}
    environment = keep | {"MERIT_HOME": str(folder / "home"), "MERIT_POLL": "0.1", "MERIT_PASSWORD": PASSWORD}
    log = folder / "log"
    log.touch()
    return Forked("marketplace.cli.main", ["--json", *command], environment, log), log


@contextmanager
def merit_up(folder: Path, *options: str, before: tuple[str, ...] = (), stop: int = signal.SIGTERM) -> Iterator[Up]:
    """Runs it until the block ends, and checks that it then ends by itself."""
    process, log = merit(folder, *before, "up", "--port", "0", *options)
    try:
        line = process.stdout.readline()  # the server's address, or nothing when it has ended
        assert line, log.read_text()
        yield Up(process, json.loads(line), log)
        process.send_signal(stop)
        assert process.wait(60) == 0, log.read_text()[-3000:]
    finally:
        process.kill()
        process.wait()


def test_one_command_gives_a_market_in_which_a_job_is_paid(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_npz(data / "mine.npz", blobs(60, 4))
    with merit_up(tmp_path, "--chain-port", "0", "--data", str(data)) as up:
        node = up.get("/api/node")
        assert node["local"]
        assert node["rpc"] == up.facts["rpc"]
        assert node["aggregator"]["address"] != node["acts_as"]["address"]
        job = job_file_for(
            node["aggregator"], min_trainers=1, max_trainers=1, max_faulty=0, rounds=1, confirm_window="2 s"
        )
        job_id = up.post("/api/jobs", {"document": job})["job_id"]
        up.until(f"/api/jobs/{job_id}", lambda shown: shown["summary"]["aggregator"])
        up.post("/api/trainers", {"job_id": job_id, "data": str(data / "mine.npz"), "device": "cpu"})
        done = up.until(f"/api/jobs/{job_id}", lambda shown: shown["summary"]["state"] == "completed")
        assert done["spec"]["proofs"]["development"]
        up.until(f"/api/jobs/{job_id}/trainers", lambda shown: shown[0]["claimed"])
        assert up.get(f"/api/credits/{node['acts_as']['address']}")["tokens"][0]["withdrawable"] != "0"
        up.post("/api/fund", {"address": "0x000000000000000000000000000000000000dEaD"})
    assert all({"time", "level", "logger", "text"} <= set(line) for line in up.lines())
    assert [line for line in up.lines() if line.get("path") == "/api/jobs"]
    assert up.facts["url"].partition("#token=")[2] not in up.log.read_text()
    # Started again, it is the same market with the same job.
    with merit_up(tmp_path, "--chain-port", "0", stop=signal.SIGINT) as again:
        assert again.facts["market"] == up.facts["market"]
        again.until(f"/api/jobs/{job_id}", lambda shown: shown["summary"]["state"] == "completed")
        assert again.facts["url"].partition("#")[2] == up.facts["url"].partition("#")[2]
    with pytest.raises(Exception, match="does not answer"):
        Connection(str(again.facts["rpc"]), timeout=1)


def job_file_for(aggregator: dict[str, str], **market: Any) -> dict[str, Any]:
    class Stand:
        """What job_file asks of an aggregator's node."""

        class me:
            address = aggregator["address"]
            encryption_key = bytes.fromhex(aggregator["encryption_key"][2:])

    made: dict[str, Any] = job_file(Stand, **market).model_dump(mode="json", exclude_none=True)  # type: ignore[arg-type]
    return made


def test_a_node_joins_a_chain_that_is_there_with_its_key(world: World, tmp_path: Path) -> None:
    identity = Keystore(tmp_path / "home" / "keys", scrypt_n=4096).create("default", PASSWORD)
    before = ("--rpc", world.chain.connection.url, "--market", world.chain.market.address)
    with merit_up(tmp_path, before=before) as up:
        node = up.get("/api/node")
        assert (node["market"], node["local"], node["rpc"]) == (world.chain.market.address, False, None)
        assert node["acts_as"]["address"] == identity.address
        assert node["aggregator"] is None
        refused = up.web.post("/api/fund", json={"address": identity.address})
        assert refused.status_code == 400


def test_a_node_without_a_key_looks_on(world: World, tmp_path: Path) -> None:
    before = ("--rpc", world.chain.connection.url, "--market", world.chain.market.address)
    with merit_up(tmp_path, before=before) as up:
        assert up.get("/api/node")["acts_as"] is None
        answer = up.web.post("/api/withdraw", json={})
        assert (answer.status_code, "needs a key" in answer.json()["detail"]) == (400, True)


def test_a_taken_port_is_said_in_a_sentence(tmp_path: Path, world: World) -> None:
    before = ("--rpc", world.chain.connection.url, "--market", world.chain.market.address)
    with merit_up(tmp_path, before=before) as up:
        port = up.facts["url"].split(":")[2].split("/")[0]
        command = [sys.executable, "-m", "marketplace.cli.main", *before, "--home", str(tmp_path / "other"), "up"]
        done = subprocess.run([*command, "--port", port], capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 2
        assert "cannot be listened on" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_trainer_elsewhere_takes_part_through_another_node_s_storage(world: World, tmp_path: Path) -> None:
    alone = {"min_trainers": 1, "max_trainers": 1, "max_faulty": 0}
    play = new_play(world, validation=False, **alone, rounds=1, confirm_window="2 s")
    market, connection = world.chain.market, world.chain.connection
    chain = ("--rpc", connection.url, "--market", market.address)
    for name in ("there", "elsewhere"):
        (tmp_path / name).mkdir()
    trainer = Keystore(tmp_path / "elsewhere" / "home" / "keys", scrypt_n=4096).create("default", PASSWORD)
    world.node("elsewhere", trainer)  # gives it coin
    with merit_up(tmp_path / "there", before=(*chain, "--storage", f"folder:{tmp_path / 'storage'}")) as up:
        up.until(f"/api/jobs/{play.job_id}", lambda shown: shown["spec"])
        there = f"node+{up.web.base_url}"
        joining = ("trainer", "join", str(play.job_id), "--data", str(play.data[0]), "--devices", "cpu")
        process, log = merit(tmp_path / "elsewhere", *chain, "--storage", there, *joining)
        try:
            judge, end = play.judge(), time.monotonic() + 120
            while process.poll() is None:
                if judge.step() is not Step.WORKED:
                    time.sleep(0.05)
                assert time.monotonic() < end, log.read_text()[-3000:]
            assert process.returncode == 0, log.read_text()[-3000:]
        finally:
            process.kill()
            process.communicate()
        assert market.job(play.job_id).state is State.COMPLETED
        assert market.credit(trainer.address, ZERO_ADDRESS) > market.terms(play.job_id).stake
        (update,) = play.history().rounds[0].submissions.values()
        stored = {line["path"]: line["status"] for line in up.lines() if line.get("method") == "PUT"}
        assert f"/api/content/{update.cid}" in stored
        assert list(stored.values()) == [201, 201], "the update, and what opens it"

        # Who took part audits from there: every file of the job is read through the other node, signed.
        process, log = merit(tmp_path / "elsewhere", *chain, "--storage", there, "audit", str(play.job_id))
        assert process.wait(120) == 0, log.read_text()[-3000:]

        def asked_by(node: Node) -> Storage:
            return open_storage(
                there, timeout=PATIENCE, caller=Caller(node.me.account, connection.chain_id, market.address)
            )

        assert get_bytes(asked_by(play.owner), update.cid, 1 << 20)
        for stranger in (asked_by(world.node("stranger")), open_storage(there, timeout=PATIENCE)):
            with pytest.raises(StorageError, match="refused"):
                get_bytes(stranger, update.cid, 1 << 20)


def test_an_account_to_admit_must_be_an_address(tmp_path: Path, world: World) -> None:
    up = ("--rpc", world.chain.connection.url, "--market", world.chain.market.address, "up", "--admit", "0x12")
    process, log = merit(tmp_path, *up)
    assert process.wait(60) == 2
    assert "--admit: '0x12' is not an address: it has 2 digits" in log.read_text()
