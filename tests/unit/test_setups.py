"""The folder of set-ups and keys: what is kept, fetched and refused."""

import logging
import subprocess
import sys
import weakref
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest

from marketplace.errors import CorruptContent, InputError, MeritError, NotFound, StorageError
from marketplace.services.setups import SetupFacts, Setups, refuse_development
from marketplace.storage.memory import MemoryStorage
from zk import setup
from zk.decision import DecisionKey

PTAU = Path(__file__).parents[1] / "vectors" / "powers-4.ptau"
KEY = DecisionKey.development(108, seed=bytes(32))


@pytest.fixture
def setups(tmp_path: Path) -> Setups:
    return Setups(tmp_path / "setups")


class Watched(MemoryStorage):
    """Counts what is asked for, and within which bound."""

    def __init__(self) -> None:
        super().__init__()
        self.bounds: list[int] = []

    def get(self, cid: str, sink: BinaryIO, *, max_bytes: int) -> int:
        self.bounds.append(max_bytes)
        return super().get(cid, sink, max_bytes=max_bytes)


def published(storage: MemoryStorage, data: bytes) -> str:
    return storage.put(BytesIO(data))


def srs_bytes(srs: setup.Srs, folder: Path) -> bytes:
    setup.save(srs, folder / "bytes")
    return (folder / "bytes").read_bytes()


def test_a_development_set_up_and_key_are_made_once(setups: Setups, tmp_path: Path) -> None:
    srs, key = setups.development_srs(8), setups.development_key(108)
    again = Setups(tmp_path / "setups")
    assert (again.development_srs(8).hash, again.development_key(108).hash) == (srs.hash, key.hash)
    assert setups.development_srs(16).size == 16
    assert (setups.srs(srs.hash).kind, setups.key(key.hash, 108).kind) == ("development", "development")
    (tmp_path / "setups" / f"{srs.hash.hex()}.srs").unlink()
    assert setups.development_srs(8).hash != srs.hash  # the file is gone: another one is made


def test_what_several_jobs_use_is_in_memory_once_and_as_long_as_they_do(setups: Setups) -> None:
    srs, key = setups.development_srs(8).hash, setups.development_key(108).hash
    for kept in ([setups.srs(srs), setups.srs(srs)], [setups.key(key), setups.key(key, 108)]):
        assert kept[0] is kept[1]
        left = weakref.ref(kept[0])
        kept.clear()
        assert left() is None


def test_processes_that_ask_at_once_get_one_set_up(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from marketplace.services.setups import Setups;"
        "print(Setups(Path(sys.argv[1])).development_srs(1024).hash.hex())"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    hashes = {process.communicate(timeout=120)[0].strip() for process in processes}
    assert len(hashes) == 1
    assert [path.stem for path in tmp_path.glob("*.srs")] == list(hashes)


def test_what_is_not_here_or_damaged_is_said_by_name(setups: Setups, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no set-up 0x0101"):
        setups.srs(b"\1" * 32)
    with pytest.raises(NotFound, match="no key 0x0101"):
        setups.key(b"\1" * 32)
    srs = setups.development_srs(8)
    path = tmp_path / "setups" / f"{srs.hash.hex()}.srs"
    path.write_bytes(srs_bytes(setup.development(8), tmp_path))  # another sound one under this name
    with pytest.raises(CorruptContent, match=f"{path.name} is damaged .*is required"):
        setups.srs(srs.hash)
    path.write_bytes(b"merit")
    for use in (lambda: setups.srs(srs.hash), setups.list, lambda: setups.development_srs(8)):
        with pytest.raises(CorruptContent, match=f"{path.name} is damaged"):
            use()
    key = setups.keep(KEY)
    with pytest.raises(InputError, match="of circuit 108, one of circuit 208"):
        setups.key(key, 208)


def test_the_list_says_kind_size_hash_and_bytes(setups: Setups) -> None:
    assert setups.list() == []
    ceremony = setup.from_ptau(PTAU, 16)
    setups.keep(ceremony)
    setups.keep(KEY)
    assert sorted(setups.list(), key=lambda facts: facts.what) == [
        SetupFacts("key", 108, "development", KEY.hash, KEY.file_bytes),
        SetupFacts("srs", 16, "ceremony", ceremony.hash, 192 + 64 * 37),
    ]


def test_a_set_up_and_a_key_travel_through_storage_once(setups: Setups, tmp_path: Path) -> None:
    storage = Watched()
    srs = setup.development(8)
    cids = setups.publish_srs(storage, srs), setups.publish_key(storage, KEY)
    other = Setups(tmp_path / "other")
    for _ in range(2):
        assert other.fetch_srs(storage, hash=srs.hash, cid=cids[0], chunk=8).tau_g2 == srs.tau_g2
        key = other.fetch_key(storage, hash=KEY.hash, cid=cids[1], circuit=108)
        assert key.verifying_key == KEY.verifying_key
    assert storage.bounds == [192 + 64 * 21, DecisionKey.max_file_bytes(108)]
    assert {path.name for path in (tmp_path / "other").iterdir() if path.suffix in (".srs", ".key")} == {
        f"{srs.hash.hex()}.srs",
        f"{KEY.hash.hex()}.key",
    }


def test_what_storage_gives_in_place_of_a_pinned_set_up_is_refused_and_not_kept(setups: Setups, tmp_path: Path) -> None:
    storage = MemoryStorage()
    one, two = setup.development(8), setup.development(8)
    data, foreign = srs_bytes(one, tmp_path), srs_bytes(two, tmp_path)
    spliced = data[:-64] + foreign[-64:]  # on the curve, of another τ, under its own hash
    (tmp_path / "spliced").write_bytes(spliced)
    hash = setup.Srs.read(tmp_path / "spliced").hash
    attacks: list[tuple[bytes, bytes, str]] = [
        (foreign, one.hash, "is required"),
        (data[:-1], one.hash, "bytes"),
        (data + b"\0", one.hash, "larger than"),
        (srs_bytes(setup.development(16), tmp_path), one.hash, "larger than"),
        (b"", one.hash, "not even a header"),
        (spliced, hash, "Lagrange basis"),
    ]
    for content, pinned, sentence in attacks:
        with pytest.raises(CorruptContent, match=sentence):
            setups.fetch_srs(storage, hash=pinned, cid=published(storage, content), chunk=8)
    with pytest.raises(CorruptContent, match="There is no set-up as the job asks for it"):
        setups.fetch_srs(storage, hash=one.hash, cid=published(storage, data), chunk=2**30)
    with pytest.raises(CorruptContent, match="chunks of 8, the job of 16"):
        setups.fetch_srs(storage, hash=one.hash, cid=published(storage, data), chunk=16)
    with pytest.raises(NotFound):
        setups.fetch_srs(MemoryStorage(), hash=two.hash, cid=published(storage, foreign), chunk=8)
    assert [facts.hash for facts in setups.list()] == [one.hash]


def test_what_storage_gives_in_place_of_a_pinned_key_is_refused_and_not_kept(setups: Setups, tmp_path: Path) -> None:
    storage = MemoryStorage()
    KEY.write(tmp_path / "108.key")
    data = (tmp_path / "108.key").read_bytes()
    off = bytearray(data)
    off[-1 - 128 * 5] ^= 1  # a coordinate of B in G2
    (tmp_path / "off.key").write_bytes(off)
    hash = DecisionKey.read(tmp_path / "off.key", check=False).hash
    for content, pinned, sentence in (
        (bytes(off), KEY.hash, "is required|point"),
        (bytes(off), hash, "point"),
        (data[:-1], KEY.hash, "bytes"),
    ):
        with pytest.raises(CorruptContent, match=sentence):
            setups.fetch_key(storage, hash=pinned, cid=published(storage, content), circuit=108)
    with pytest.raises(CorruptContent, match="no circuit 109"):
        setups.fetch_key(storage, hash=hash, cid=published(storage, data), circuit=109)
    with pytest.raises(CorruptContent, match="of circuit 108, the job of circuit 116"):
        setups.fetch_key(storage, hash=KEY.hash, cid=published(storage, data), circuit=116)
    assert [facts.hash for facts in setups.list()] == [KEY.hash]


def test_an_imported_file_is_checked_in_full(setups: Setups, tmp_path: Path) -> None:
    path = tmp_path / "a.srs"
    data, foreign = (srs_bytes(setup.development(8), tmp_path) for _ in range(2))
    path.write_bytes(data[:-64] + foreign[-64:])
    with pytest.raises(InputError, match=r"a\.srs is refused.*Lagrange basis"):
        setups.import_file(path)
    path.write_bytes(data)
    assert setups.srs(setups.import_file(path).hash).size == 8
    KEY.write(path)
    assert setups.key(setups.import_file(path).hash).circuit == 108
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="is refused"):
            setups.import_file(missing)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "setups").write_bytes(b"a file")
    with pytest.raises(StorageError, match="cannot be written"):
        Setups(tmp_path / "setups").development_srs(8)


@pytest.mark.parametrize("chain", [1, 5, 137, 10, 42161, 11155111, 1338])
def test_development_is_refused_on_public_chains_unless_forced(chain: int) -> None:
    with pytest.raises(InputError, match=f"Chain {chain} is public"):
        refuse_development("development", chain, forced=False)
    refuse_development("development", chain, forced=True)
    refuse_development("ceremony", chain, forced=False)


@pytest.mark.parametrize("chain", [1337, 31337, 5777])
def test_development_is_for_local_chains(chain: int) -> None:
    refuse_development("development", chain, forced=False)


def test_every_error_is_of_the_tree_and_development_is_announced(
    setups: Setups, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(MeritError, match="power of two"):
        setups.development_srs(7)
    with pytest.raises(MeritError, match="no circuit"):
        setups.development_key(7)
    srs = setups.development_srs(8)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "zk.setup"):
        setups.srs(srs.hash)
    assert "for development only" in caplog.text
