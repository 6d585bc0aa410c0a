"""A real IPFS node for tests: Kubo where `ipfs` is on PATH, else js-ipfs; private, offline, on free ports.

js-ipfs is looked for at $MERIT_TEST_JSIPFS, else where `.ci/ipfs-node` installs it, below tests/jsipfs.
From a shell, `python tests/ipfs_node.py COMMAND …` runs COMMAND beside a node; {ipfs} in its arguments is the address.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

START_SECONDS = 60.0
MISSING = "NO IPFS NODE ON THIS MACHINE: install Kubo (`ipfs` on PATH) or js-ipfs (tests/ipfs_node.py says how)"

# js-ipfs 0.66 asks for this method, which Node has from version 22 on.
_WITH_RESOLVERS = (
    "data:text/javascript,Promise.withResolvers||=function(){"
    "let a,b;const promise=new this((x,y)=>{a=x;b=y});return{promise,resolve:a,reject:b}}"
)


@dataclass(frozen=True)
class Node:
    """kind: "kubo" or "js-ipfs"; address: its RPC as a multiaddr."""

    kind: str
    address: str


def _jsipfs() -> Path:
    installed = Path(__file__).resolve().parent.parent / "tests/jsipfs/node_modules/.bin/jsipfs"
    return Path(os.environ.get("MERIT_TEST_JSIPFS", installed))


def node_kind() -> str | None:
    """Which node would be started; None where there is none."""
    if shutil.which("ipfs"):
        return "kubo"
    return "js-ipfs" if _jsipfs().exists() and shutil.which("node") else None


@contextmanager
def running_node(folder: Path) -> Iterator[Node]:
    """Runs a node whose repository is `folder` (made here). Raises RuntimeError when it does not start."""
    kind = node_kind()
    if kind is None:
        raise RuntimeError(MISSING)
    folder.mkdir(parents=True)
    environment = {**os.environ, "IPFS_PATH": str(folder / "repo"), "IPFS_TELEMETRY": "off"}
    log = folder / "log"
    with log.open("wb") as output:

        def run(*command: str) -> None:
            subprocess.run(command, env=environment, stdout=output, stderr=output, check=True, timeout=START_SECONDS)

        if kind == "kubo":
            run("ipfs", "init", "--profile=test")
            command = ["ipfs", "daemon", "--offline"]
        else:
            program = ["node", "--import", _WITH_RESOLVERS, str(_jsipfs())]
            run(*program, "init", "--profile", "test", "--emptyRepo")
            config_file = folder / "repo/config"
            config = json.loads(config_file.read_text())
            config["Addresses"] |= {"Swarm": [], "RPC": "/ip4/127.0.0.1/tcp/0"}
            config_file.write_text(json.dumps(config))
            command = [*program, "daemon", "--offline", "--enable-preload=false"]
        daemon = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            yield Node(kind, _await_api(daemon, folder / "repo/api", log))
        finally:
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _await_api(daemon: subprocess.Popen[bytes], api: Path, log: Path) -> str:
    """The address that the daemon writes to the file `api`, once it answers there."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and daemon.poll() is None:
        if api.exists() and (address := api.read_text().strip()):
            host, port = address.split("/")[2:5:2]
            request = urllib.request.Request(f"http://{host}:{port}/api/v0/version", method="POST")
            try:
                with urllib.request.urlopen(request, timeout=5):
                    return address
            except OSError:
                pass  # it is not listening yet
        time.sleep(0.1)
    raise RuntimeError(f"The IPFS node did not start: {log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(scope="session")
def ipfs_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    if node_kind() is None:
        pytest.skip(MISSING)
    with running_node(tmp_path_factory.mktemp("ipfs") / "node") as node:
        yield node


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, running_node(Path(folder) / "node") as node:
        command = [word.replace("{ipfs}", node.address) for word in sys.argv[1:]]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
