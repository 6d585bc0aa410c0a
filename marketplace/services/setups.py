"""Set-ups and keys on this machine: found by their hash, made for development, imported, or fetched from storage.

What is in the folder was checked when it came in: a file that is read again is only held to the hash that names it.
"""

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal, TypeVar
from weakref import WeakValueDictionary

from filelock import FileLock

from marketplace.errors import CorruptContent, InputError, NotFound, StorageError
from marketplace.files import write_atomically
from marketplace.services.node import LOCAL_CHAINS
from marketplace.storage import Storage, fetch_to
from zk import setup
from zk.decision import DecisionKey
from zk.setup import Progress, Srs

_What = Literal["srs", "key"]
_Contributions = tuple[tuple[str, bytes], ...]
_T = TypeVar("_T")
_HASH = re.compile(r"(0x)?[0-9a-f]{64}")
_NAME = re.compile(r"([0-9a-f]{64})\.(srs|key)")


def refuse_development(kind: str, chain_id: int, *, forced: bool) -> None:
    """Raises InputError where a set-up or key of this kind must not be used on the chain, unless forced."""
    if kind == setup.DEVELOPMENT and chain_id not in LOCAL_CHAINS and not forced:
        raise InputError(
            f"Chain {chain_id} is public, and whoever made a development set-up can forge proofs: take one from a "
            "ceremony (docs/setups.md), or give --allow-development-setup."
        )


@dataclass(frozen=True, slots=True)
class SetupFacts:
    """One file. what: a set-up or a key. size: its chunk length N, or the key's circuit. hash: 32 bytes, its name.

    contributions: to a key, the name and 32-byte hash of each; empty from `Setups.list`, which reads headers only.
    """

    what: _What
    size: int
    kind: str
    hash: bytes
    bytes: int
    contributions: _Contributions = ()

    @property
    def development(self) -> bool:
        return self.kind == setup.DEVELOPMENT


def facts_of(made: Srs | DecisionKey) -> SetupFacts:
    """What there is to say of a set-up or key."""
    if isinstance(made, Srs):
        return SetupFacts("srs", made.size, made.kind, made.hash, setup.file_bytes(made.size))
    contributions = tuple(made.contributions)
    return SetupFacts("key", made.circuit, made.kind, made.hash, made.file_bytes, contributions)


class Setups:
    """Set-ups and keys kept in a folder, which any number of processes may share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    # ---------------------------------------------------------------- what is here

    def srs(self, hash: bytes) -> Srs:
        """The set-up with this hash. Raises NotFound when it is not here, CorruptContent when its file is damaged."""
        return _shared(_srs, hash, self._found(hash, "srs"), lambda path: setup.load(path, hash))

    def key(self, hash: bytes, circuit: int | None = None) -> DecisionKey:
        """The key with this hash. Raises as `srs` does, and InputError when it is another circuit's."""
        key = _shared(_keys, hash, self._found(hash, "key"), lambda path: setup.load_key(path, hash))
        if circuit is not None and key.circuit != circuit:
            raise InputError(
                f"The key 0x{hash.hex()} is of circuit {key.circuit}, one of circuit {circuit} is required."
            )
        return key

    def list(self) -> list[SetupFacts]:
        """What the files' headers say, by name. Raises CorruptContent for a file whose header is damaged."""
        found = []
        for path in sorted(self._folder.glob("*")):
            named = _NAME.fullmatch(path.name)
            if named:
                facts = _read(path, setup.facts)
                if facts.what != named[2]:
                    raise CorruptContent(f"{path} is not what its name says: remove it.")
                size = path.stat().st_size
                found.append(SetupFacts(facts.what, facts.size, facts.kind, bytes.fromhex(named[1]), size))
        return found

    # ---------------------------------------------------------------- what comes in

    def development_srs(self, chunk: int) -> Srs:
        """The folder's development set-up with chunks of N = `chunk`, made once. Raises InputError, CorruptContent."""
        with self._locked():
            hash = self._remembered("srs", chunk)
            if hash is not None:
                return self.srs(hash)
            try:
                srs = setup.development(chunk)
            except ValueError as error:
                raise InputError(f"No set-up can be made: {error}.") from error
            self._remember("srs", chunk, self.keep(srs))
            return srs

    def development_key(self, circuit: int) -> DecisionKey:
        """The folder's development key of a circuit, made once. Raises InputError, CorruptContent."""
        with self._locked():
            hash = self._remembered("key", circuit)
            if hash is not None:
                return self.key(hash, circuit)
            try:
                key = setup.development_key(circuit)
            except ValueError as error:
                raise InputError(f"No key can be made: {error}.") from error
            self._remember("key", circuit, self.keep(key))
            return key

    def keep(self, made: Srs | DecisionKey) -> bytes:
        """Writes a set-up or key, unless it is here; its hash. Raises StorageError."""
        path = self._path(made.hash, "srs" if isinstance(made, Srs) else "key")
        with _writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                setup.save(made, path)
        return made.hash

    def import_file(self, path: Path) -> Srs | DecisionKey:
        """Keeps the set-up or key in a file, after all of it was checked. Raises InputError for a file that is none."""
        made = _given(path, _load)
        self.keep(made)
        return made

    def import_ptau(self, path: Path, chunk: int, progress: Progress | None = None) -> Srs:
        """Keeps the set-up with chunks of N = `chunk` in a ceremony's file, checked in full. Raises InputError."""
        srs = _given(path, lambda path: setup.from_ptau(path, chunk, progress))
        self.keep(srs)
        return srs

    # ---------------------------------------------------------------- keys that several people make

    def initial_key(self, ptau: Path, circuit: int, progress: Progress | None = None) -> DecisionKey:
        """Keeps the key that follows from a ceremony's file alone, for the first contributor. Raises InputError."""
        key = _given(ptau, lambda path: setup.initial_key(path, circuit, progress))
        self.keep(key)
        return key

    def contribute(self, named: str, name: str) -> DecisionKey:
        """Keeps the key that `named` becomes by a contribution listed under `name`. Raises InputError, NotFound."""
        key = self.find_key(named)
        try:
            key = setup.contribute(key, name)
        except ValueError as error:
            raise InputError(f"Nothing was contributed to {named}: {error}.") from error
        self.keep(key)
        return key

    def verify_key(self, named: str, ptau: Path, progress: Progress | None = None) -> DecisionKey:
        """The key, if it follows from the ceremony's file by its contributions. Raises InputError, NotFound."""
        key = self.find_key(named)
        _given(ptau, lambda path: setup.verify_key(key, path, progress))
        self.keep(key)
        return key

    def find(self, named: str) -> Srs | DecisionKey:
        """What is kept here under a hash, in hex, or what is in the file of that name, checked in full.

        Raises NotFound, CorruptContent, InputError.
        """
        if not _HASH.fullmatch(named):
            return _given(Path(named), _load)
        hash = bytes.fromhex(named.removeprefix("0x"))
        return self.srs(hash) if self._path(hash, "srs").exists() else self.key(hash)

    def find_key(self, named: str) -> DecisionKey:
        """As `find`. Raises InputError for a set-up."""
        found = self.find(named)
        if isinstance(found, Srs):
            raise InputError(f"{named} is a set-up, not a key.")
        return found

    def export(self, made: Srs | DecisionKey, path: Path) -> None:
        """Writes a set-up's or key's file. Raises StorageError."""
        with _writing(path.parent):
            setup.save(made, path)

    # ---------------------------------------------------------------- to and from storage

    def publish_srs(self, storage: Storage, srs: Srs) -> str:
        """Puts the set-up's file into storage; its CID. Raises StorageError."""
        return self._publish(storage, srs, "srs")

    def publish_key(self, storage: Storage, key: DecisionKey) -> str:
        """Puts the key's file into storage; its CID. Raises StorageError."""
        return self._publish(storage, key, "key")

    def fetch_srs(self, storage: Storage, *, hash: bytes, cid: str, chunk: int) -> Srs:
        """The set-up that a job pins: from this folder, else from storage, then checked in full and kept.

        In full, because the hash is only the owner's word: commitments to points that are no powers of one τ might not
        hide. Raises CorruptContent for other bytes, another hash or size, or bad points; NotFound, StorageError.
        """
        max_bytes = _bound(setup.file_bytes, chunk)
        self._fetch(storage, hash, cid, "srs", max_bytes, lambda path: setup.load(path, hash, check=True))
        srs = self.srs(hash)
        if srs.size != chunk:
            raise CorruptContent(f"The set-up 0x{hash.hex()} has chunks of {srs.size}, the job of {chunk}.")
        return srs

    def fetch_key(self, storage: Storage, *, hash: bytes, cid: str, circuit: int) -> DecisionKey:
        """The key that a job pins: from this folder, else from storage, then checked in full and kept.

        Raises CorruptContent for other bytes, another hash or circuit, or bad points; NotFound, StorageError.
        """
        max_bytes = _bound(DecisionKey.max_file_bytes, circuit)
        self._fetch(storage, hash, cid, "key", max_bytes, lambda path: setup.load_key(path, hash, check=True))
        key = self.key(hash)
        if key.circuit != circuit:
            raise CorruptContent(f"The key 0x{hash.hex()} is of circuit {key.circuit}, the job of circuit {circuit}.")
        return key

    def _publish(self, storage: Storage, made: Srs | DecisionKey, what: _What) -> str:
        with self._path(self.keep(made), what).open("rb") as file:
            return storage.put(file)

    def _fetch(
        self, storage: Storage, hash: bytes, cid: str, what: _What, max_bytes: int, check: Callable[[Path], object]
    ) -> None:
        path = self._path(hash, what)
        if path.exists():
            return
        with self._locked(f".{path.name}.lock"):  # of its own: storage may keep it waiting, and no other
            if path.exists():  # another process was faster
                return
            partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
            try:
                fetch_to(storage, cid, partial, max_bytes)
                try:
                    check(partial)
                except ValueError as error:
                    raise CorruptContent(
                        f"{cid} is not the file with hash 0x{hash.hex()} that a job pins: {error}."
                    ) from error
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

    # ---------------------------------------------------------------- the folder

    def _path(self, hash: bytes, what: _What) -> Path:
        return self._folder / f"{hash.hex()}.{what}"

    def _found(self, hash: bytes, what: _What) -> Path:
        path = self._path(hash, what)
        if not path.is_file():
            named = "set-up" if what == "srs" else "key"
            raise NotFound(
                f"There is no {named} 0x{hash.hex()} in {self._folder}: import its file, or see `merit setup list`."
            )
        return path

    @contextmanager
    def _locked(self, name: str = ".lock") -> Iterator[None]:
        """What is made or fetched once is made or fetched by one process, while the others wait for it."""
        lock = FileLock(self._folder / name)
        with _writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _remembered(self, what: _What, size: int) -> bytes | None:
        """The hash of the folder's own development file of this size."""
        path = self._folder / f"development-{what}-{size}"
        if not path.exists():
            return None
        text = path.read_text("ascii", "replace").strip()
        named = _NAME.fullmatch(f"{text}.{what}")
        if not named:
            raise CorruptContent(f"{path} is damaged: remove it.")
        hash = bytes.fromhex(named[1])
        return hash if self._path(hash, what).exists() else None

    def _remember(self, what: _What, size: int, hash: bytes) -> None:
        write_atomically(self._folder / f"development-{what}-{size}", hash.hex().encode() + b"\n", mode=0o644)


def _load(path: Path) -> Srs | DecisionKey:
    return setup.load(path) if setup.facts(path).what == "srs" else setup.load_key(path)


def _given(path: Path, use: Callable[[Path], _T]) -> _T:
    """For files that a person names."""
    try:
        return use(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is refused: {error}.") from error


def _read(path: Path, load: Callable[[Path], _T]) -> _T:
    try:
        return load(path)
    except (OSError, ValueError) as error:
        raise CorruptContent(f"{path} is damaged ({error}): remove it, and fetch or import it again.") from error


_srs: WeakValueDictionary[bytes, Srs] = WeakValueDictionary()
_keys: WeakValueDictionary[bytes, DecisionKey] = WeakValueDictionary()
_loading = Lock()


def _shared(loaded: WeakValueDictionary[bytes, _T], hash: bytes, path: Path, load: Callable[[Path], _T]) -> _T:
    """From memory where somebody here still uses it: a key takes seconds and tens of MB, and jobs share few of them."""
    with _loading:
        found = loaded.get(hash)
        if found is None:
            found = loaded[hash] = _read(path, load)
        return found


def _bound(max_bytes: Callable[[int], int], size: int) -> int:
    try:
        return max_bytes(size)
    except ValueError as error:
        raise CorruptContent(f"There is no set-up as the job asks for it: {error}.") from error


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise StorageError(f"{folder} cannot be written ({error}): check the path, its rights and space.") from error
