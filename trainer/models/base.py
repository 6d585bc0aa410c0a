"""Weights of a checkpoint as a job's base: a safetensors file, or a folder as Hugging Face's libraries write one."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import nn

from trainer.models.tensors import copy_finite, opened
from trainer.models.trainable import ADAPTER, base_name, frozen_dtype, round_frozen

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_MAX_INDEX = 2**24


@dataclass(frozen=True, slots=True)
class Taken:
    """What `load_base` left: tensors of the checkpoint that the model does not have, and the model's own that stay."""

    unused: tuple[str, ...]
    fresh: tuple[str, ...]


def load_base(module: nn.Module, path: Path, names: Mapping[str, str], fresh: Iterable[str] = ()) -> Taken:
    """Copies a checkpoint's weights into the module, frozen ones rounded to what they travel as.

    names: prefixes of the checkpoint's names and what stands for them in the model's; of several that fit, the longest.
    fresh: patterns of the model's tensors that stay as the seed has them, such as a new head; adapters always do.
    Raises ValueError where a tensor is missing, of another shape, not of floating point numbers, or not finite: the
    module is then not to be used.
    """
    targets, own = _targets(module, tuple(fresh))
    found: dict[str, str] = {}
    unused: list[str] = []
    for file in _files(path):
        with opened(file) as tensors:
            for name, (dtype, shape) in tensors.tensors.items():
                key = targets.get(_renamed(name, names))
                if key is None:
                    unused.append(name)
                    continue
                if key in found:
                    # A tensor in two places comes twice in some checkpoints.
                    if not torch.equal(own[key].cpu(), tensors.read(name).to(own[key].dtype)):
                        raise ValueError(f"{found[key]} and {name} of the checkpoint are both the model's {key}")
                    continue
                target = own[key]
                if shape != tuple(target.shape) or dtype is None or not dtype.is_floating_point:
                    raise ValueError(
                        f"{name} of the checkpoint is {dtype} {list(shape)}, the model's {key} {list(target.shape)}; "
                        "name it as fresh to begin with the seed's"
                    )
                copy_finite(target, tensors.read(name), name)
                found[key] = name
    lacking = sorted(own.keys() - found.keys())
    if lacking:
        some = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
        raise ValueError(
            f"the checkpoint lacks {some}: map its names by prefixes old=new, or name new parts as fresh; "
            f"unused are {', '.join(sorted(unused)[:5]) or 'none'}"
        )
    round_frozen(module, frozen_dtype(module))
    stayed = {base_name(name) for name, _ in module.named_parameters() if ADAPTER not in name} - found.keys()
    return Taken(tuple(sorted(unused)), tuple(sorted(stayed)))


def _targets(module: nn.Module, fresh: tuple[str, ...]) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Each name that a tensor of the module may have, to the one it is kept under; and the tensors under these."""
    kept = module.state_dict(keep_vars=True)
    first: dict[int, str] = {}
    targets: dict[str, str] = {}
    own: dict[str, torch.Tensor] = {}
    for name, tensor in kept.items():
        if ADAPTER in name or not tensor.is_floating_point():
            continue
        plain = base_name(name)
        key = first.setdefault(id(tensor), plain)
        if any(fnmatchcase(plain, pattern) or fnmatchcase(key, pattern) for pattern in fresh):
            continue
        targets[plain] = key
        own[key] = tensor.detach()
    for pattern in fresh:
        if not any(fnmatchcase(base_name(name), pattern) for name in kept):
            raise ValueError(f"no tensor of the model is called {pattern!r}, which is to stay fresh")
    return targets, own


def _renamed(name: str, names: Mapping[str, str]) -> str:
    fitting = [old for old in names if name.startswith(old)]
    if not fitting:
        return name
    old = max(fitting, key=len)
    return names[old] + name[len(old) :]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    index = path / _INDEX
    if index.is_file():
        if index.stat().st_size > _MAX_INDEX:
            raise ValueError(f"{index} has more than {_MAX_INDEX} bytes")
        try:
            parts = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{index} is no index of a checkpoint") from error
        for part in parts:
            if not isinstance(part, str) or part != Path(part).name or not (path / part).is_file():
                raise ValueError(f"{index} names {part!r}, which is no file beside it")
        return [path / part for part in sorted(parts)]
    if (path / _SINGLE).is_file():
        return [path / _SINGLE]
    raise ValueError(f"{path} is neither a safetensors file nor a folder with {_SINGLE} or {_INDEX}")
