"""The folders whose data the user allowed, and nothing else of the disk."""

import os
from collections.abc import Sequence
from pathlib import Path

from marketplace.api.forms import DataEntry
from marketplace.errors import InputError
from trainer.data.endings import ARRAYS, TABLES, TEXTS, ending_of

BUILT_IN = "digits"
ENDINGS = (*TABLES, *ARRAYS, TEXTS, ".program")
MOST_ENTRIES = 1000  # that are listed
MOST_LOOKED_AT = 200_000  # files of an image folder


class Folders:
    """allowed: folders that exist; symbolic links in their paths are followed once, here."""

    def __init__(self, allowed: Sequence[Path]) -> None:
        self.allowed = []
        for folder in allowed:
            if not folder.is_dir():
                raise InputError(f"{folder} is not a folder: only existing folders can be allowed for data.")
            self.allowed.append(folder.resolve())

    def confined(self, source: str) -> str:
        """The real path of a data source that lies in an allowed folder, with all that is in it; or `digits`.

        Raises InputError, in the same words for what is outside and for what is not there.
        """
        if source == BUILT_IN:
            return source
        refused = InputError(f"{source} is in none of the folders that this node may read data from.")
        if "\0" in source or not Path(source).is_absolute():
            raise refused
        path = _real(Path(source))
        if path is None or not self._inside(path):
            raise refused
        if path.is_dir():
            self._check_links(path)
        return str(path)

    def named(self, name: str) -> Path:
        """A file by its name within an allowed folder: what a job may call a file of its own. Raises InputError."""
        if "\0" in name or Path(name).is_absolute():
            raise InputError(f"The job's file {name!r} is published under that name: call it as in its allowed folder.")
        for folder in self.allowed:
            path = _real(folder / name)
            if path is not None and path.is_file() and self._inside(path):
                return path
        raise InputError(f"The job's file {name!r} is in none of the folders that this node may read data from.")

    def entries(self) -> list[DataEntry]:
        """What could be a data source: files of known endings and folders, two levels deep."""
        found = [DataEntry(source=BUILT_IN, name=BUILT_IN, kind="built-in")]
        for folder in self.allowed:
            for path in sorted([folder, *folder.glob("*"), *folder.glob("*/*")]):
                if len(found) == MOST_ENTRIES:
                    return found
                if path.name.startswith(".") or not self._inside(_real(path)):
                    continue
                name = str(path.relative_to(folder))
                if path.is_dir():
                    found.append(DataEntry(source=str(path), name=name, kind="folder"))
                elif ending_of(path) in ENDINGS and path.is_file():
                    found.append(DataEntry(source=str(path), name=name, kind="file", bytes=path.stat().st_size))
        return found

    def _inside(self, path: Path | None) -> bool:
        return path is not None and any(path.is_relative_to(folder) for folder in self.allowed)

    def _check_links(self, folder: Path) -> None:
        """Readers of image folders follow links: none of them may lead out."""
        seen = 0
        for place, folders, files in os.walk(folder):
            for name in (*folders, *files):
                seen += 1
                path = Path(place, name)
                if seen > MOST_LOOKED_AT:
                    raise InputError(f"{folder} has more than {MOST_LOOKED_AT} files: give a smaller folder.")
                if path.is_symlink() and not self._inside(_real(path)):
                    raise InputError(f"{path} is a link out of the allowed folders: replace it by what it points to.")


def _real(path: Path) -> Path | None:
    """Where a path leads; None where it leads nowhere, or in a circle."""
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
