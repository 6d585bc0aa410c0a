"""Anvil where there is none: the pinned npm package, once, from whatever registry npm is told to use."""

import io
import json
import platform
import tarfile
import threading
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha512
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from marketplace.chain import download
from marketplace.chain.anvil import find_anvil
from marketplace.errors import ChainError, CorruptContent, InputError, NotFound

ROOT = Path(__file__).parents[2]
PROGRAM = b"#!/bin/sh\necho an anvil\n"
MACHINE = ("Linux", "x86_64")
NAME = "@foundry-rs/anvil-linux-amd64"


def archive(name: str = "package/bin/anvil", content: bytes = PROGRAM) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()


class Registry:
    """Has `content` as the package's archive, whichever it is asked for; has none where that is None."""

    def __init__(self) -> None:
        self.content: bytes | None = archive()
        self.asked: list[str] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append(self.path)
                body = None if registry.content is None else registry.answer(self.path, registry.content)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, path: str, content: bytes) -> bytes:
        if path.endswith(".tgz"):
            return content
        version = {
            "name": NAME,
            "version": download.VERSION,
            "dist": {
                "tarball": f"{self.place}/npm/{NAME}.tgz",
                "integrity": "sha512-" + b64encode(sha512(content).digest()).decode(),
            },
        }
        latest = {"latest": download.VERSION}
        return json.dumps({"name": NAME, "dist-tags": latest, "versions": {download.VERSION: version}}).encode()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Registry]:
    """A registry, a cache that is empty, and the pin of what the registry gives."""
    serving = Registry()
    pin = b64encode(sha512(archive()).digest()).decode()
    monkeypatch.setattr(download, "HASHES", {MACHINE: ("linux-amd64", pin)})
    monkeypatch.setattr(platform, "system", lambda: MACHINE[0])
    monkeypatch.setattr(platform, "machine", lambda: MACHINE[1])
    monkeypatch.setenv("npm_config_registry", f"{serving.place}/npm/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield serving
    serving.server.shutdown()
    serving.server.server_close()


def test_it_is_downloaded_once_from_the_registry_that_npm_is_told_to_use(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    found = download.downloaded_anvil()
    assert found.read_bytes() == PROGRAM
    assert found.stat().st_mode & 0o777 == 0o755
    asked = list(registry.asked)
    assert f"/npm/{NAME}.tgz" in asked
    said = capsys.readouterr()
    assert (said.out, "Downloading the chain, Anvil 1.7.1 (15 MB), once" in said.err) == ("", True)
    assert download.downloaded_anvil() == found
    assert registry.asked == asked


def test_other_bytes_than_the_pinned_are_not_used(registry: Registry) -> None:
    registry.content = archive(content=PROGRAM + b"evil")
    with pytest.raises(CorruptContent, match=r"is not the pinned package: nothing of it was used"):
        download.downloaded_anvil()
    assert not list(download.cache_folder().rglob("*anvil"))


def test_more_bytes_than_an_archive_may_have_are_not_taken(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_ARCHIVE", 64)
    with pytest.raises(InputError, match="is longer than the 64 bytes"):
        download.downloaded_anvil()


def test_a_registry_that_does_not_have_it_or_is_not_there_is_said(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.content = None
    with pytest.raises(ChainError, match=r"npm does not get it \(npm exits with 1\): install Foundry"):
        download.downloaded_anvil()
    monkeypatch.setenv("npm_config_registry", "http://someone:secret@127.0.0.1:9")
    with pytest.raises(ChainError, match=r"npm does not get it") as said:
        download.downloaded_anvil()
    assert "secret" not in str(said.value)


def test_a_machine_without_a_package_is_told_what_to_do(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(NotFound, match=r"for this machine \(Linux riscv64\): install Foundry"):
        download.downloaded_anvil()
    assert registry.asked == []


def test_an_anvil_on_path_is_taken_before_one_is_downloaded(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "bin" / "anvil"
    own.parent.mkdir()
    own.write_bytes(PROGRAM)
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(own.parent))
    assert find_anvil() == str(own)
    assert registry.asked == []


def test_what_is_pinned_is_what_the_project_itself_uses() -> None:
    assert json.loads((ROOT / "package.json").read_text())["devDependencies"]["@foundry-rs/anvil"] == download.VERSION
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for ending, pinned in download.HASHES.values():
        if locked := packages.get(f"node_modules/@foundry-rs/anvil-{ending}"):  # a lock has those of its maker's system
            assert (locked["version"], locked["integrity"]) == (download.VERSION, f"sha512-{pinned}")
    assert "node_modules/@foundry-rs/anvil-linux-amd64" in packages
