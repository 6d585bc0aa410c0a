"""The strict reader of exported programs: a stranger's file becomes a program, or a sentence.

Nothing of the file is run but operators from the allow-list. All is counted on torch's "meta" device, which has no
memory, before a weight is loaded; docs/programs.md says what is checked.
"""

from math import prod
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import nn

from trainer.data.dataset import MAX_BYTES
from trainer.programs.document import DTYPES, FORMAT, MAX_GRAPH, MAX_TENSORS, read_document
from trainer.programs.exported import Exported
from trainer.tasks import Task
from zk.encoding import MAX_ENTRIES

_CODES = {
    "F32": "float32",
    "F64": "float64",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
_ROLES = {
    "trainable": {"float32"},
    "frozen": {"float32", "float16", "bfloat16"},
    "constant": set(DTYPES),
}


def outline(path: Path, task: Task | None = None) -> Exported:
    """The program of a file without its weights, on the "meta" device. Raises ValueError for what is none."""
    try:
        with _opened(path) as file:
            return _outline(file, task)
    except ValueError as error:
        raise ValueError(f"{path.name} is no program that can be used: {error}") from error


def open_exported(path: Path, task: Task | None = None) -> Exported:
    """The program of a file, on the CPU, its trainable tensors in float32. Raises ValueError for what is none."""
    try:
        with _opened(path) as file:
            program = _outline(file, task)
            tensors = {}
            for entry in program.document.tensors:
                tensor = file.get_tensor(entry.name).clone()
                finite = not tensor.is_floating_point() or not bool(tensor.isnan().any())
                if not finite or (entry.role != "constant" and not bool(tensor.isfinite().all())):
                    raise ValueError(f"tensor {entry.name!r} has values that are not finite")
                tensors[entry.name] = tensor
    except ValueError as error:
        raise ValueError(f"{path.name} is no program that can be used: {error}") from error
    program.module.load_state_dict(tensors, assign=True)
    return program


def _opened(path: Path) -> Any:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"it has {size} bytes, at most {MAX_BYTES} are read")
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > 4 * MAX_GRAPH:
        raise ValueError(f"its header has {header} bytes, at most {4 * MAX_GRAPH} are read")
    try:
        return safetensors.safe_open(path, framework="pt", device="cpu")
    except safetensors.SafetensorError as error:
        raise ValueError(f"it is no safetensors file: {str(error)[:200]}") from error


def _outline(file: Any, task: Task | None) -> Exported:
    metadata = file.metadata() or {}
    if set(metadata) != {FORMAT}:
        raise ValueError(f"its metadata are not those of the format {FORMAT}")
    keys = file.keys()
    if len(keys) > MAX_TENSORS:
        raise ValueError(f"it has {len(keys)} tensors, at most {MAX_TENSORS} are possible")
    document = read_document(metadata[FORMAT])
    if {entry.name for entry in document.tensors} != set(keys):
        raise ValueError("its tensors are not those that its graphs name")
    module = nn.Module()
    trainable = 0
    for entry in document.tensors:
        outline = file.get_slice(entry.name)
        dtype, shape = _CODES.get(outline.get_dtype(), outline.get_dtype()), tuple(outline.get_shape())
        if dtype not in _ROLES[entry.role]:
            raise ValueError(f"tensor {entry.name!r} is {dtype}, which no {entry.role} tensor is")
        if not prod(shape) or len(shape) > 8:
            raise ValueError(f"tensor {entry.name!r} is empty, or has more than 8 dimensions")
        trainable += prod(shape) if entry.role == "trainable" else 0
        _register(module, entry.name, entry.role, torch.empty(shape, dtype=DTYPES[dtype], device="meta"))
    if not 1 <= trainable <= MAX_ENTRIES:
        raise ValueError(f"it has {trainable} values to be trained; 1 … {MAX_ENTRIES} are possible")
    return Exported(document, module, task)


def _register(module: nn.Module, name: str, role: str, tensor: torch.Tensor) -> None:
    """Under its own name, in modules within modules as the name's dots say."""
    *path, leaf = name.split(".")
    try:
        for part in path:
            if part not in module._modules:
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        if role == "constant":
            module.register_buffer(leaf, tensor)
        else:
            module.register_parameter(leaf, nn.Parameter(tensor, requires_grad=role == "trainable"))
    except (KeyError, AttributeError) as error:
        raise ValueError(f"tensor {name!r} has a name that something else has") from error
