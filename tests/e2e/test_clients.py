"""Programs of others against a real market: a client generated from the API's document, and Ponder's index.

Both come from npm: `make clients` installs them, in folders of their own.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from marketplace.domain import Credited, State
from tests.api_node import api_of
from tests.jobs import Play, World, new_play
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "examples" / "clients" / "typescript"
PONDER = ROOT / "contrib" / "ponder"
PONDER_WITHIN = 180.0  # seconds until it has read a job of a hundred blocks


def installed(folder: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not (folder / "node_modules").is_dir(), reason=f"{folder.name} is not installed: make clients"
    )


@pytest.fixture
def play(world: World) -> Play:
    """A job that was paid."""
    made = new_play(world, validation=False, rounds=1)
    assert made.finish() is State.COMPLETED
    return made


def ran(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copied(folder: Path, to: Path) -> Path:
    """A folder's own files, and what was installed for it."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("node_modules", "dist", ".ponder", "api.ts"))
    (to / "node_modules").symlink_to((folder / "node_modules").resolve())
    return to


@installed(CLIENT)
def test_a_typescript_client_made_from_a_nodes_document_is_checked_by_the_compiler_and_works(
    play: Play, tmp_path: Path
) -> None:
    folder = copied(CLIENT, tmp_path / "client")
    with api_of(play.owner, play.world.chain.first_block) as api:
        api.caught_up()
        ran(["npm", "run", "-s", "generate"], folder, MERIT_OPENAPI=f"{api.url}/api/openapi.json")
        ran(["npm", "run", "-s", "build"], folder)
        said = ran(["npm", "run", "-s", "start"], folder, MERIT_NODE=api.url)
    market = play.world.chain.market.address
    assert said.splitlines() == [
        f"market {market} on chain 31337",
        f"job 1 Two clouds: completed, {3 * 10**17} in rewards",
        "problem 404: There is no job 999999 in this market, or it has not been read from the chain yet.",
    ]
    wrong = folder / "src" / "market.ts"
    wrong.write_text(wrong.read_text().replace("job.reward", "job.rewards"))
    with pytest.raises(AssertionError, match="rewards"):
        ran(["npm", "run", "-s", "build"], folder)


def has_read(url: str) -> bool:
    """Whether it has come to the end of the job: `/ready` speaks of final blocks, and the last ones follow."""
    with suppress(httpx.HTTPError, ValueError, TypeError):
        query = {"query": "{ seats(where: {pay_not: null}) { totalCount } jobs { items { state } } }"}
        found = httpx.post(f"{url}/graphql", json=query, timeout=5).json()["data"]
        return found["seats"]["totalCount"] == 3 and found["jobs"]["items"] == [{"state": "completed"}]
    return False


@contextmanager
def pondering(folder: Path, port: int, environment: Mapping[str, str]) -> Iterator[str]:
    """The address of a Ponder that has read the chain; its log is in the folder."""
    command = ["node", "node_modules/ponder/dist/esm/bin/ponder.js", "start", "--schema", "merit", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            url, end = f"http://127.0.0.1:{port}", time.monotonic() + PONDER_WITHIN
            while not has_read(url):
                if process.poll() is not None or time.monotonic() > end:
                    pytest.fail((folder / "log").read_text()[-3000:])
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            process.wait(PATIENCE)


def asked(url: str, query: str) -> Any:
    answer = httpx.post(f"{url}/graphql", json={"query": query}, timeout=PATIENCE).json()
    assert "errors" not in answer, answer
    return answer["data"]


@installed(PONDER)
def test_ponder_reads_the_market_s_events_as_the_contract_s_own_history_has_them(play: Play, tmp_path: Path) -> None:
    folder = copied(PONDER, tmp_path / "ponder")
    chain, history = play.world.chain, play.history()
    given = {
        "MERIT_RPC": chain.connection.url,
        "MERIT_CHAIN_ID": "31337",
        "MERIT_MARKET": chain.market.address,
        "MERIT_FIRST_BLOCK": str(chain.first_block),
        "DO_NOT_TRACK": "1",
        "PONDER_TELEMETRY_DISABLED": "1",
    }
    ran(["node", "write-abi.mjs"], folder, MERIT_ARTIFACTS=str(ROOT / "marketplace" / "chain" / "artifacts"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pondering(folder, port, given) as url:
        found = asked(url, "{ jobs { items { id owner aggregator state round rounds reward pot } } }")
        seats = asked(url, '{ seats(orderBy: "slot") { items { slot operator payee status submissions pay } } }')
        rounds = asked(url, "{ rounds { items { number submissions status sumCid } } }")
        paid = asked(url, "{ balances { items { payee credited withdrawn } } }")
    (job,) = found["jobs"]["items"]
    created = history.created
    assert job == {
        "id": "1", "owner": created.owner.lower(), "aggregator": play.aggregator.me.address.lower(),
        "state": "completed", "round": 1, "rounds": 1, "reward": str(created.terms.reward), "pot": str(history.pot),
    }  # fmt: skip
    parts = history.divided(history.pot)
    assert [(s["slot"], s["operator"], s["status"], s["submissions"], s["pay"]) for s in seats["seats"]["items"]] == [
        (who.slot, who.operator.lower(), "active", 1, str(parts[who.slot])) for who in history.enrolled
    ]
    settled = history.settled[1].settlement
    assert rounds["rounds"]["items"] == [
        {"number": 1, "submissions": 3, "status": "settled", "sumCid": settled.sum_cid}
    ]
    credited: dict[str, int] = {}
    for event in chain.events(1):
        if isinstance(event, Credited):
            credited[event.payee.lower()] = credited.get(event.payee.lower(), 0) + event.amount
    assert {row["payee"]: int(row["credited"]) for row in paid["balances"]["items"]} == credited
