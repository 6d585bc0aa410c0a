"""What is trained of a module as one vector, and as a file: the parameters that require a gradient, in their order."""

import numpy as np
import safetensors.torch
import torch
from torch import nn

from trainer.config import MAX_WEIGHT
from zk.encoding import Float32s


def trained(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name, in the module's own order."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def flatten(module: nn.Module) -> torch.Tensor:
    """What is trained, as a fresh float32[d] on the module's device."""
    with torch.no_grad():
        return torch.cat([parameter.detach().reshape(-1) for parameter in trained(module).values()])


def load_flat(module: nn.Module, vector: torch.Tensor | Float32s) -> None:
    """Copies float32[d] into the parameters, in the order of `flatten`. The vector is neither changed nor kept.

    Raises ValueError if the vector is no float32[d] for this module.
    """
    source = vector if isinstance(vector, torch.Tensor) else torch.from_numpy(np.require(vector, requirements="W"))
    parameters = list(trained(module).values())
    count = sum(parameter.numel() for parameter in parameters)
    if source.dtype != torch.float32 or source.shape != (count,):
        raise ValueError(f"the model takes float32[{count}], not {source.dtype}{list(source.shape)}")
    with torch.no_grad():
        for parameter, part in zip(parameters, torch.split(source, [p.numel() for p in parameters]), strict=True):
            parameter.copy_(part.view_as(parameter))


def check_weights(weights: Float32s) -> None:
    """Raises ValueError unless every parameter is within ±MAX_WEIGHT, which a base model's have to be."""
    largest = float(np.abs(weights).max())
    if not largest <= MAX_WEIGHT:  # NaN fails too
        raise ValueError(f"the base model has the parameter {largest:.3g}; ±{MAX_WEIGHT:.0f} is possible")


def to_safetensors(module: nn.Module) -> bytes:
    """The module's parameters by name as a safetensors file, for `load_state_dict` of the same architecture."""
    return safetensors.torch.save({name: p.detach().cpu().contiguous() for name, p in trained(module).items()})
