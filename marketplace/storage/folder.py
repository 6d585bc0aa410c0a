"""The embedded storage: a folder with one file for each content, named by its CID.

Whole files, not blocks: the CID of a file is recomputed while it is read, which checks every byte without a parser for
hostile DAG nodes, and ordinary tools can look into the folder. What that gives up: equal chunks of different files are
stored twice, and a damaged file is noticed at its end rather than at its first bad block, so callers take no byte as
valid before `get` returns.

Layout: `NN/CID`, NN being the two characters before the CID's last, so that no folder grows too large; `partial/` holds
what is being written. Any number of processes may use a folder: a file is written beside, flushed to disk, and renamed,
so that readers see all of it or nothing. What a killed process leaves in `partial/` may be deleted at any time.
"""

import secrets
import stat
from pathlib import Path
from typing import BinaryIO

from marketplace.errors import CorruptContent, NotFound, StorageError
from marketplace.storage.cid import CidBuilder, parse_cid
from marketplace.storage.transfer import PIECE, VerifiedSink, sync, sync_folder


class FolderStorage:
    """Storage in the folder `path`, which is made when something is first put there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = f"the folder {path}"

    def put(self, source: BinaryIO) -> str:
        try:
            partial = self._path / "partial" / secrets.token_hex(16)
            partial.parent.mkdir(parents=True, exist_ok=True)
            try:
                builder = CidBuilder()
                with partial.open("xb") as file:
                    while piece := source.read(PIECE):
                        builder.update(piece)
                        file.write(piece)
                    sync(file)
                cid = str(builder.finish())
                target = self._file(cid)
                target.parent.mkdir(exist_ok=True)
                # Also where the content is already there: what was damaged on disk is whole again.
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
            sync_folder(target.parent)
            sync_folder(self._path)
        except OSError as error:
            raise self._unusable("written to", error) from error
        return cid

    def get(self, cid: str, sink: BinaryIO, *, max_bytes: int) -> int:
        checked = VerifiedSink(cid, sink, max_bytes, self._name)
        try:
            path = self._file(cid)
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise CorruptContent(f"{path} is not a file; delete it and have {cid} published again.")
            checked.expect(status.st_size)
            file = path.open("rb")
        except FileNotFoundError as error:
            if not self._path.is_dir():
                raise StorageError(f"The folder {self._path} does not exist; check the path of the storage.") from error
            raise NotFound(
                f"{cid} is not in {self._name}; use the storage that it was published to, or have it published again."
            ) from error
        except OSError as error:
            raise self._unusable("read", error) from error
        with file:
            while piece := self._read(file):
                checked.write(piece)
        return checked.finish()

    def has(self, cid: str) -> bool:
        try:
            return self._file(cid).is_file()
        except OSError as error:
            raise self._unusable("read", error) from error

    def _file(self, cid: str) -> Path:
        name = str(parse_cid(cid))  # an id has no separators and no dots: it cannot lead out of the folder
        return self._path / name[-3:-1] / name

    def _read(self, file: BinaryIO) -> bytes:
        try:
            return file.read(PIECE)
        except OSError as error:
            raise self._unusable("read", error) from error

    def _unusable(self, what: str, error: OSError) -> StorageError:
        reason = error.strerror or str(error)
        return StorageError(
            f"The folder {self._path} cannot be {what} ({reason}); check the path, its rights and space."
        )
