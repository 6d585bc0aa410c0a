"""A real IPFS node for tests: Kubo, from PATH or as `.ci/kubo` builds it; private, offline, on free ports.

From a shell, `python tests/ipfs_node.py COMMAND …` runs COMMAND beside a node; {ipfs} in its arguments is the address.
"""

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
BUILT = Path(__file__).resolve().parents[1] / "build/kubo/ipfs"
MISSING = "NO IPFS NODE ON THIS MACHINE: run .ci/kubo, or install Kubo so that `ipfs` is on PATH"


@dataclass(frozen=True)
class Node:
    """address: its RPC as a multiaddr."""

    address: str


def kubo() -> str | None:
    """The program; None where there is none."""
    return shutil.which("ipfs") or (str(BUILT) if BUILT.exists() else None)


@contextmanager
def running_node(folder: Path) -> Iterator[Node]:
    """Runs a node whose repository is `folder` (made here). Raises RuntimeError when it does not start."""
    program = kubo()
    if program is None:
        raise RuntimeError(MISSING)
    folder.mkdir(parents=True)
    environment = {**os.environ, "IPFS_PATH": str(folder / "repo"), "IPFS_TELEMETRY": "off"}
    log = folder / "log"
    with log.open("wb") as output:
        init = [program, "init", "--profile=test"]
        subprocess.run(init, env=environment, stdout=output, stderr=output, check=True, timeout=START_SECONDS)
        daemon = subprocess.Popen([program, "daemon", "--offline"], env=environment, stdout=output, stderr=output)
        try:
            yield Node(_await_api(daemon, folder / "repo/api", log))
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
    if kubo() is None:
        pytest.skip(MISSING)
    with running_node(tmp_path_factory.mktemp("ipfs") / "node") as node:
        yield node


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, running_node(Path(folder) / "node") as node:
        command = [word.replace("{ipfs}", node.address) for word in sys.argv[1:]]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
