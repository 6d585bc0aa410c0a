"""What no round changes: frozen parameters and constant buffers, as a file that travels once and is kept by its hash.

A model without this file has the frozen values of its seed.
"""

from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from trainer.models.tensors import opened, read_into
from trainer.models.trainable import frozen_dtype


def frozen_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Frozen parameters and the persistent buffers of floating point numbers, by name; not copies.

    Others, such as position ids, follow from the description. A stranger's would be indices out of range.
    """
    kept = module.state_dict().keys()
    found = {name: p.detach() for name, p in module.named_parameters() if not p.requires_grad}
    return found | {name: b for name, b in module.named_buffers() if name in kept and b.is_floating_point()}


def _types(module: nn.Module) -> dict[str, torch.dtype]:
    parameters = dict(module.named_parameters())
    own = frozen_dtype(module)
    return {name: own if name in parameters else tensor.dtype for name, tensor in frozen_tensors(module).items()}


def stored_frozen(module: nn.Module) -> dict[str, torch.Tensor]:
    """`frozen_tensors` on the CPU in the types that travel. ValueError for values that are not finite in them."""
    types, found = _types(module), {}
    for name, tensor in frozen_tensors(module).items():
        found[name] = tensor.to("cpu", types[name], copy=True).contiguous()
        if not bool(found[name].isfinite().all()):
            raise ValueError(f"the frozen {name} is not finite in {types[name]}")
    return found


def wanted_frozen(module: nn.Module) -> dict[str, tuple[torch.Tensor, torch.dtype]]:
    """What `read_into` is to fill with the tensors of `stored_frozen`."""
    types = _types(module)
    return {name: (tensor, types[name]) for name, tensor in frozen_tensors(module).items()}


def write_frozen(module: nn.Module, path: Path) -> None:
    """Writes the frozen part as a safetensors file; the same bytes for the same values. ValueError unless finite."""
    safetensors.torch.save_file(stored_frozen(module), path)


def load_frozen(module: nn.Module, content: bytes | Path) -> None:
    """Copies what `write_frozen` wrote for the same description into the module. A file on disk is mapped.

    Raises ValueError for other tensors, shapes or types, and for values that are not finite: the module is then not to
    be used.
    """
    with opened(content) as file:
        read_into(file, wanted_frozen(module))
