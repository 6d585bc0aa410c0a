"""A job's program on this machine: the files that its description names are fetched once, and kept by their hash."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from Crypto.Hash import keccak

from marketplace.errors import CorruptContent, InputError
from marketplace.services.node import Node
from marketplace.spec import JobFile, PinnedFile, Spec
from marketplace.storage import fetch_to
from trainer.config import PROGRAM, Files

if TYPE_CHECKING:
    from trainer.programs import Program

MAX_JOB_FILE_BYTES = 2**31
"""Of one file that a job names: a program with its frozen weights, a tokenizer."""

_PIECE = 2**20


def find_files(job: JobFile, place: Callable[[str], Path]) -> dict[str, Path]:
    """The files that a job names. place: where one of a name is. Raises InputError."""
    found = {name: place(name) for name in job.files}
    for name, path in found.items():
        if not path.is_file():
            raise InputError(f"The job names the file {name}, which is not there: {path}.")
        if path.stat().st_size > MAX_JOB_FILE_BYTES:
            raise InputError(f"The job's file {path} has more than {MAX_JOB_FILE_BYTES} bytes.")
    return found


def publish_files(node: Node, files: Files) -> dict[str, PinnedFile]:
    """Stores the files; what the job's spec says of them."""
    return {name: _publish(node, path, f"The job's file {name}") for name, path in files.items()}


def _publish(node: Node, path: Path, what: str) -> PinnedFile:
    """Stores a file piece by piece: it may be larger than memory."""
    size = path.stat().st_size
    if size > MAX_JOB_FILE_BYTES:
        raise InputError(f"{what} has {size} bytes; at most {MAX_JOB_FILE_BYTES} are possible.")
    with path.open("rb") as file:
        return PinnedFile(hash=_hash(path), cid=node.storage.put(file))


def _hash(path: Path) -> str:
    hashed = keccak.new(digest_bits=256)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            hashed.update(piece)
    return "0x" + hashed.digest().hex()


def fetch_files(node: Node, spec: Spec) -> dict[str, Path]:
    """The files that a job names, fetched once. Raises StorageError, CorruptContent."""
    return {name: _fetch(node, name, pinned) for name, pinned in spec.files.items()}


def _fetch(node: Node, name: str, pinned: PinnedFile) -> Path:
    path = node.home / "files" / pinned.hash[2:]
    if path.is_file():
        if _hash(path) == pinned.hash:
            return path
        path.unlink()  # a damaged copy is only a copy
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        fetched = Path(folder) / path.name
        fetch_to(node.storage, pinned.cid, fetched, MAX_JOB_FILE_BYTES)
        if _hash(fetched) != pinned.hash:
            raise CorruptContent(f"The job's file {name}, at {pinned.cid}, is not the one that the job names.")
        fetched.replace(path)
    return path


def job_program(job: JobFile, files: Files) -> "Program":
    """The program of a job that is not created yet. Raises InputError."""
    from trainer.programs import open_program  # noqa: PLC0415 (torch takes seconds)

    try:
        return open_program(job.model, job.data, job.judged, files)
    except ValueError as error:
        raise InputError(f"The job's model cannot be built: {error}.") from error


def publish_frozen(node: Node, job: JobFile, program: "Program") -> PinnedFile | None:
    """Stores what of the model no round changes; None where there is nothing, or the program's file has it.

    Published even where a seed makes it: other versions of torch may draw other numbers from the seed.
    """
    from trainer.models.frozen import frozen_tensors, write_frozen  # noqa: PLC0415 (torch takes seconds)

    if job.model.architecture == PROGRAM or not frozen_tensors(program.module):
        return None
    node.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=node.home) as folder:
        path = Path(folder) / "frozen.safetensors"
        write_frozen(program.module, path)
        return _publish(node, path, "The model's frozen part")


def fetch_program(node: Node, spec: Spec) -> "Program":
    """A job's program. Raises StorageError, and CorruptContent where it is not what its description says."""
    return program_of(node, spec, fetch_files(node, spec))


def program_of(node: Node, spec: Spec, files: Files) -> "Program":
    """The same with the files that the job names, which are at hand."""
    from trainer.models.frozen import load_frozen  # noqa: PLC0415 (torch takes seconds)
    from trainer.programs import check_program, open_program  # noqa: PLC0415

    try:
        d = check_program(spec.model, spec.data, spec.task, spec.training.batch_size, files)  # before it costs anything
        if d != spec.parameters:
            raise CorruptContent(f"The job's description says {spec.parameters} parameters, its model has {d}.")
        program = open_program(spec.model, spec.data, spec.task, files)
        if spec.frozen is not None:
            load_frozen(program.module, _fetch(node, "of frozen values", spec.frozen))
        return program
    except ValueError as error:
        raise CorruptContent(f"The job's model cannot be built: {error}.") from error
