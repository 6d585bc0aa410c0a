"""Tensors from safetensors files of strangers: names, shapes and types are judged before a value is read."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import safetensors
import safetensors.torch
import torch

MAX_HEADER = 2**24
"""Most bytes of a file's head: names, types, shapes, metadata."""

MAX_FILE = 2**35
"""Most bytes of a file."""

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class Opened(NamedTuple):
    """tensors: dtype and shape by name; read: a tensor's values; metadata: as the file has them."""

    tensors: dict[str, tuple[torch.dtype | None, tuple[int, ...]]]
    read: Callable[[str], torch.Tensor]
    metadata: dict[str, str]


@contextmanager
def opened(source: bytes | Path) -> Iterator[Opened]:
    """A file's head. A file on disk is mapped, and read where `read` asks for it. Raises ValueError."""
    if isinstance(source, bytes):
        size, start = len(source), source[:8]
    else:
        size = source.stat().st_size
        with source.open("rb") as file:
            start = file.read(8)
    if size > MAX_FILE or len(start) < 8 or int.from_bytes(start, "little") > MAX_HEADER:
        raise ValueError(f"the file is no safetensors file of at most {MAX_FILE} bytes with a head of {MAX_HEADER}")
    with ExitStack() as stack:
        try:
            found = _in_memory(source) if isinstance(source, bytes) else _mapped(stack, source)
        except (safetensors.SafetensorError, KeyError, OSError) as error:
            raise ValueError(f"the file is not a safetensors file: {error}") from error
        yield found


def _in_memory(content: bytes) -> Opened:
    found = safetensors.torch.load(content)
    return Opened({n: (t.dtype, tuple(t.shape)) for n, t in found.items()}, found.__getitem__, {})


def _mapped(stack: ExitStack, path: Path) -> Opened:
    file = stack.enter_context(safetensors.safe_open(path, "pt"))
    tensors = {}
    for name in file.keys():  # noqa: SIM118 (it is no mapping)
        part = file.get_slice(name)
        tensors[name] = DTYPES.get(part.get_dtype()), tuple(part.get_shape())
    return Opened(tensors, file.get_tensor, dict(file.metadata() or {}))


def read_into(file: Opened, wanted: Mapping[str, tuple[torch.Tensor, torch.dtype]]) -> None:
    """Copies exactly the wanted tensors, each of its shape and of the given type in the file, all values finite.

    Raises ValueError; before a value is copied where the head shows it, later where a value is not finite.
    """
    if file.tensors.keys() != wanted.keys():
        lacks, more = sorted(wanted.keys() - file.tensors.keys()), sorted(file.tensors.keys() - wanted.keys())
        raise ValueError(f"the file lacks the tensors {_some(lacks)} and has beyond the model's {_some(more)}")
    for name, (tensor, dtype) in wanted.items():
        if file.tensors[name] != (dtype, tuple(tensor.shape)):
            found, shape = file.tensors[name]
            raise ValueError(f"tensor {name!r} is {found} {list(shape)}, not the model's {dtype} {list(tensor.shape)}")
    for name, (tensor, _) in wanted.items():
        copy_finite(tensor, file.read(name), name)


def copy_finite(target: torch.Tensor, values: torch.Tensor, name: str) -> None:
    """Raises ValueError unless all values are finite, in the target's type too."""
    values = values.to(target.dtype)
    if not bool(values.isfinite().all()):
        raise ValueError(f"tensor {name!r} has values that are not finite")
    with torch.no_grad():
        target.copy_(values)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "none"
