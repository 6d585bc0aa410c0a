"""The market of the `merit up` that runs from a home folder is what commands beside it use."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from marketplace.domain import ZERO_ADDRESS
from marketplace.services.running import RunningNode, announced, any_node, local_node, place_of
from tests.unit.test_api_up import merit, merit_up

pytestmark = pytest.mark.slow

HERE = RunningNode(
    rpc="http://127.0.0.1:9", market=ZERO_ADDRESS, block=1, storage="memory:", home=Path("/"), page="x", pid=1
)


def run(folder: Path, *command: str) -> tuple[int, str, str]:
    process, log = merit(folder, *command)
    said, _ = process.communicate(timeout=120)
    return process.returncode, said, log.read_text()


def test_commands_beside_a_running_node_need_no_options(tmp_path: Path) -> None:
    code, _, problem = run(tmp_path, "page")
    assert (code, "No node runs from" in problem) == (3, True)
    with merit_up(tmp_path, "--chain-port", "0") as up:
        announcement = tmp_path / "home" / "local" / "node.json"
        assert announcement.stat().st_mode & 0o777 == 0o600
        assert json.loads(run(tmp_path, "page")[1])["url"] == up.facts["url"]
        assert json.loads(run(tmp_path, "job", "list")[1]) == []
        code, _, problem = run(tmp_path, "audit", "1")
        assert (code, "There is no job 1 in the market" in problem, up.facts["market"] in problem) == (3, True, True)
        made = json.loads(run(tmp_path, "key", "new")[1])
        assert json.loads(run(tmp_path, "fund", made["address"].lower())[1]) == {"funded": [made["address"]]}
        found = {each["what"]: each["result"] for each in json.loads(run(tmp_path, "doctor")[1])}
        assert {"chain", "market", "storage", "key", "funds", "disk", "versions", "GPU"} <= set(found)
        assert set(found.values()) <= {"ok", "warning"}
        # Started twice, it says where it runs.
        code, said, _ = run(tmp_path, "up")
        assert (code, json.loads(said)["url"]) == (0, up.facts["url"])
        # Who names a chain gets that one.
        code, _, problem = run(tmp_path, "--rpc", "http://127.0.0.1:9", "job", "list")
        assert (code, "http://127.0.0.1:9 does not answer" in problem) == (4, True)
    assert not announcement.exists()
    assert run(tmp_path, "page")[0] == 3


def test_a_file_that_a_crash_left_is_not_believed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for pid in (ended.pid, 1):  # of a process that ended, and given to another since: nothing listens at its rpc
        with announced(place_of(tmp_path, local=True), HERE.model_copy(update={"pid": pid})):
            assert local_node(tmp_path) is None
    place_of(tmp_path, local=True).write_text("{")
    assert any_node(tmp_path) is None


@pytest.mark.parametrize("option", ["--port", "--chain-port"])
def test_a_taken_port_names_the_option_that_changes_it(tmp_path: Path, option: str) -> None:
    with merit_up(tmp_path, "--chain-port", "0") as up:
        (tmp_path / "second").mkdir()
        where = up.facts["url"] if option == "--port" else up.facts["rpc"]
        port = where.split(":")[2].split("/")[0]
        free = "--chain-port" if option == "--port" else "--port"
        code, _, problem = run(tmp_path / "second", "up", option, port, free, "0")
        assert code == 2
        assert f"port {port} cannot be listened on" in problem.lower()
        assert f"with {option}" in problem
