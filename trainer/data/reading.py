"""What every reader is given, and what it tells beside the samples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from trainer.config import DataSchema
from trainer.data.options import DataOptions

MAX_LISTED = 1000
"""Most names that are kept of what was ignored."""

_BATCH_VALUES = 2**22
_BATCH_ROWS = 8192
_SYSTEM_FILES = ("thumbs.db", "desktop.ini", "__macosx")


@dataclass(slots=True)
class Notes:
    """columns: those that nobody asked for; skipped: hidden and system files; bad: by file, why it was left out;
    missing: gaps by column; dropped: samples left out for a gap; remarks: what else is worth a look."""

    columns: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    remarks: dict[str, int] = field(default_factory=dict)

    def remark(self, text: str, times: int = 1) -> None:
        """Counts a remark; nothing for 0 times."""
        if times and (text in self.remarks or len(self.remarks) < MAX_LISTED):
            self.remarks[text] = self.remarks.get(text, 0) + times

    def bad_one(self, name: str, error: ValueError) -> None:
        """Lists a bad file."""
        if len(self.bad) < MAX_LISTED:
            self.bad[name] = str(error)
        self.remark("bad files left out")


@dataclass(frozen=True, slots=True)
class Reading:
    """One source, read for one job. tokenizers: the bytes of each tokenizer.json, by the name that the job gives it."""

    path: Path
    schema: DataSchema
    options: DataOptions = field(default_factory=DataOptions)
    tokenizers: Mapping[str, bytes] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)

    @property
    def batch(self) -> int:
        """Rows that are encoded at once: few where a sample has many values."""
        values = sum(prod(shape) for shape in self.schema.inputs.values())
        return max(1, min(_BATCH_ROWS, _BATCH_VALUES // values))

    def bad_file(self, path: Path, error: ValueError) -> None:
        """Lists a bad file where the options say so; else raises the error."""
        if not self.options.skip_bad:
            raise error
        self.notes.bad_one(str(path.relative_to(self.path)), error)


def entries(folder: Path, reading: Reading) -> Iterator[Path]:
    """Files and folders in a folder by name, without hidden and system ones, which are noted.

    A link that leaves the source, and what is neither a file nor a folder, are bad files.
    """
    root = reading.path.resolve()
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.lower() in _SYSTEM_FILES:
            if len(reading.notes.skipped) < MAX_LISTED:
                reading.notes.skipped.append(str(path.relative_to(reading.path)))
            continue
        try:
            yield inside(path, root)
        except ValueError as error:
            reading.bad_file(path, error)


def inside(path: Path, root: Path) -> Path:
    """The path itself. ValueError if it leads out of the folder, or to neither a file nor a folder. root: resolved."""
    if not path.resolve().is_relative_to(root):
        raise ValueError(f"{path}: a file inside {root.name} is expected, it leads out of it")
    if not (path.is_file() or path.is_dir()):
        raise ValueError(f"{path} is not there, or is neither a file nor a folder")
    return path
