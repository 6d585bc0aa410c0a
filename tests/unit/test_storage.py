"""What every storage promises, held against memory, a folder, a real IPFS node, and a real Merit node."""

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest

from marketplace.chain.anvil import Anvil
from marketplace.chain.connection import Connection
from marketplace.chain.deploy import deploy
from marketplace.chain.events import EventReader
from marketplace.chain.market import Market
from marketplace.errors import CorruptContent, InputError, NotFound, StorageError
from marketplace.services.node import Node
from marketplace.storage import Caller, Storage, fetch_to, get_bytes, open_storage, put_bytes
from marketplace.storage.cid import CHUNK, RAW, Cid
from marketplace.storage.folder import FolderStorage
from marketplace.storage.kubo import KuboStorage
from marketplace.storage.memory import MemoryStorage
from marketplace.storage.peer import PeerStorage
from tests.api_node import api_of
from tests.chain_fixtures import PEOPLE
from tests.ipfs_node import Node as IpfsNode
from tests.ipfs_node import ipfs_node  # noqa: F401  (a fixture)
from tests.patience import PATIENCE

pytest_plugins = ["tests.chain_fixtures"]

pytestmark = pytest.mark.filterwarnings("ignore:The 'strict' parameter:FutureWarning")

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/cids.json").read_text())["files"]
ABSENT = str(Cid(RAW, b"\x07" * 32))
BAD_CIDS = ["", "../../x", "/etc/passwd", ABSENT.upper(), ABSENT + "/../../x", ABSENT[:-1], ABSENT + "\n"]
NODE = pytest.param("node", marks=pytest.mark.ipfs, id="kubo")


def pattern(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.fixture(scope="module")
def peer(anvil: Anvil, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeerStorage]:
    """Storage of a node that runs here, in a market of its own, asked by an account that the node admits."""
    connection, folder = Connection(anvil.url), tmp_path_factory.mktemp("peer")
    deployment = deploy(connection, PEOPLE[0])
    market = Market(connection, deployment.market, receipt_within=PATIENCE)
    events = EventReader(connection, market.address, deployment.block)
    node = Node(market, events, open_storage(f"folder:{folder / 'store'}", timeout=1), folder)
    caller = Caller(PEOPLE[1], connection.chain_id, market.address)
    with api_of(node, deployment.block, admitted=frozenset({caller.account.address})) as api:
        made = open_storage(f"node+{api.url}", timeout=PATIENCE, caller=caller)
        assert isinstance(made, PeerStorage)
        yield made


@pytest.fixture(params=["memory", "folder", NODE, "peer"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "memory":
        return open_storage("memory:", timeout=1)
    if request.param == "folder":
        return open_storage(f"folder:{tmp_path / 'store'}", timeout=1)
    if request.param == "peer":
        peer: PeerStorage = request.getfixturevalue("peer")
        return peer
    node: IpfsNode = request.getfixturevalue("ipfs_node")
    return open_storage(node.address, timeout=PATIENCE)


# ---------------------------------------------------------------- every storage


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['size']}B")
def test_content_comes_back_under_the_cid_of_an_ipfs_node(storage: Storage, vector: dict[str, str]) -> None:
    size = int(vector["size"])
    data = pattern(size)
    assert storage.put(BytesIO(data)) == vector["cid"]
    sink = BytesIO()
    assert storage.get(vector["cid"], sink, max_bytes=size) == size
    assert sink.getvalue() == data


def test_content_is_put_from_where_the_source_stands(storage: Storage) -> None:
    source = BytesIO(b"header and content")
    source.seek(11)
    assert get_bytes(storage, storage.put(source), 7) == b"content"


def test_putting_twice_gives_the_same_cid(storage: Storage) -> None:
    assert put_bytes(storage, b"same") == put_bytes(storage, b"same")


def test_put_content_is_had(storage: Storage) -> None:
    assert storage.has(put_bytes(storage, b"here"))


@pytest.mark.parametrize("size", [1, 1000, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_content_over_the_bound_is_refused_and_not_written(storage: Storage, size: int) -> None:
    cid, sink = put_bytes(storage, pattern(size)), BytesIO()
    with pytest.raises(CorruptContent, match=f"larger than the {size - 1} bytes"):
        storage.get(cid, sink, max_bytes=size - 1)
    assert len(sink.getvalue()) < size


@pytest.mark.parametrize("text", BAD_CIDS)
def test_malformed_cid_is_refused(storage: Storage, text: str) -> None:
    with pytest.raises(CorruptContent, match="is not a content id"):
        storage.get(text, BytesIO(), max_bytes=10)
    with pytest.raises(CorruptContent, match="is not a content id"):
        storage.has(text)


def test_fetched_file_replaces_an_older_one(storage: Storage, tmp_path: Path) -> None:
    target = tmp_path / "out" / "file"
    target.parent.mkdir()
    target.write_bytes(b"older")
    assert fetch_to(storage, put_bytes(storage, b"newer one"), target, 100) == 9
    assert target.read_bytes() == b"newer one"
    assert os.listdir(target.parent) == ["file"]


def test_failed_fetch_leaves_everything_as_it_was(storage: Storage, tmp_path: Path) -> None:
    target = tmp_path / "out" / "file"
    target.parent.mkdir()
    target.write_bytes(b"older")
    with pytest.raises(CorruptContent):
        fetch_to(storage, put_bytes(storage, pattern(2 * CHUNK)), target, CHUNK + 5)
    assert target.read_bytes() == b"older"
    assert os.listdir(target.parent) == ["file"]


def test_many_threads_may_share_a_storage(storage: Storage) -> None:
    contents = [pattern(size) for size in range(0, 400_000, 50_000)] * 2
    with ThreadPoolExecutor(4) as pool:
        cids = list(pool.map(lambda data: put_bytes(storage, data), contents))
        assert list(pool.map(lambda cid: get_bytes(storage, cid, 400_000), cids)) == contents


@pytest.mark.parametrize("where", ["memory", "folder", NODE, "peer"])
def test_absent_content_is_not_found_in_bounded_time(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    storage: Storage
    if where == "peer":
        storage = request.getfixturevalue("peer")
    elif where == "node":
        storage = open_storage(request.getfixturevalue("ipfs_node").address, timeout=1)
    else:
        storage = open_storage("memory:" if where == "memory" else str(tmp_path), timeout=1)
    assert not storage.has(ABSENT)
    with pytest.raises(NotFound, match=r"(is not in|did not find)"):
        storage.get(ABSENT, BytesIO(), max_bytes=10)


# ---------------------------------------------------------------- the folder, attacked


@pytest.fixture
def folder(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "store")


def file_of(tmp_path: Path, cid: str) -> Path:
    (path,) = (tmp_path / "store").rglob(cid)
    return path


DAMAGE = {
    "one bit": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "first byte": lambda data: b"\xff" + data[1:],
    "cut off": lambda data: data[:-1],
    "cut off at a chunk": lambda data: data[:CHUNK],
    "emptied": lambda data: b"",
    "chunks swapped": lambda data: data[CHUNK : 2 * CHUNK] + data[:CHUNK] + data[2 * CHUNK :],
    "continued": lambda data: data + b"\0",
    "other content": lambda data: b"quite another file",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damaged_file_is_refused_and_healed_by_putting_again(
    folder: FolderStorage, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    data = bytes(range(256)) * (2 * CHUNK // 256) + os.urandom(100)
    data = b"\x01" + data[1:]  # the chunks differ
    cid = put_bytes(folder, data)
    path = file_of(tmp_path, cid)
    path.write_bytes(damage(data))
    with pytest.raises(CorruptContent, match="are not that content"):
        get_bytes(folder, cid, len(data) + 1)
    put_bytes(folder, data)
    assert get_bytes(folder, cid, len(data)) == data


def test_oversized_file_is_refused_before_it_is_read(folder: FolderStorage, tmp_path: Path) -> None:
    cid = put_bytes(folder, b"small")
    os.truncate(file_of(tmp_path, cid), 1 << 40)  # sparse; reading it would take minutes
    sink = BytesIO()
    with pytest.raises(CorruptContent, match="larger than"):
        folder.get(cid, sink, max_bytes=1 << 30)
    assert sink.getvalue() == b""


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_refused_without_waiting(
    folder: FolderStorage, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    cid = put_bytes(folder, b"content")
    path = file_of(tmp_path, cid)
    path.unlink()
    make(path)
    with pytest.raises(CorruptContent, match="is not a file"):
        get_bytes(folder, cid, 100)


class BreakingSource(BytesIO):
    """Gives some bytes, then fails as a vanished disk does."""

    def read(self, size: int | None = -1, /) -> bytes:
        if data := super().read(size):
            return data
        raise OSError(errno.EIO, "gone")


def test_broken_off_put_leaves_no_content_and_no_rest(folder: FolderStorage, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="gone"):
        folder.put(BreakingSource(b"half"))
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_missing_folder_is_named(folder: FolderStorage, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=re.escape(f"The folder {tmp_path / 'store'} does not exist")):
        get_bytes(folder, ABSENT, 10)


def test_unusable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"The folder .*file/store cannot be written to"):
        put_bytes(FolderStorage(tmp_path / "file" / "store"), b"content")


PROCESS = """
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from marketplace.storage import get_bytes, put_bytes
from marketplace.storage.folder import FolderStorage
storage = FolderStorage(Path(sys.argv[1]))
data = bytes(range(256)) * 3000
for _ in range(10):
    cid = put_bytes(storage, data)
    assert get_bytes(storage, cid, len(data)) == data
print(cid)
"""


def test_several_processes_may_put_the_same_content(folder: FolderStorage, tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", PROCESS, tmp_path / "store"], stdout=subprocess.PIPE) for _ in range(3)
    ]
    outputs = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    (cid,) = {output.decode().strip() for output in outputs}
    assert len(get_bytes(folder, cid, 1_000_000)) == 768_000
    assert os.listdir(tmp_path / "store" / "partial") == []


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("memory:", MemoryStorage),
        ("folder:some/where", FolderStorage),
        ("some/where", FolderStorage),
        ("/some/where", FolderStorage),
        ("/ip4/127.0.0.1/tcp/5001", KuboStorage),
        ("/dns/node/tcp/443/https", KuboStorage),
        ("http://127.0.0.1:5001", KuboStorage),
        ("http://localhost:5001/", KuboStorage),
        ("https://[::1]:5001", KuboStorage),
        ("node+https://node.example", PeerStorage),
        ("node+https://node.example:8443/", PeerStorage),
        ("node+http://localhost:8080", PeerStorage),
        ("node+http://[::1]:8080", PeerStorage),
    ],
)
def test_address_chooses_the_storage(address: str, kind: type) -> None:
    assert isinstance(open_storage(address, timeout=1), kind)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "folder:",
        "a\0b",
        "ftp://node",
        "http://",
        "http://node:port",
        "http://node:99999",
        "http://user:pw@node:5001",
        "http://node:5001/api",
        "node+",
        "node+ftp://node",
        "node+https://",
        "node+https://user:pw@node",
        "node+https://node/api",
        "node+https://node?x=1",
        "node+https://node:99999",
        "node+https://no de",
        "node+https://nöde.example",
        "/ip4/127.0.0.1",
        "/ip4/300.0.0.1/tcp/5001",
        "/ip4/127.0.0.1/udp/5001",
    ],
)
def test_address_of_no_storage_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="address"):
        open_storage(address, timeout=1)


def test_a_node_elsewhere_is_not_asked_in_the_clear() -> None:
    with pytest.raises(InputError, match="by https"):
        open_storage("node+http://node.example", timeout=1)
