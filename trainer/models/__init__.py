"""The registry of architectures. To add one, put a file here with a subclass of `Architecture` under `@register`.

A job names an architecture and its parameters; no code travels. An architecture is a pydantic model of its parameters,
each bounded, and builds a module without buffers: everything that changes in training is in the parameters, so that the
vector float32[d] of `flatten` is the whole model.
"""

from trainer.models.registry import (
    MAX_PARAMETERS,
    Architecture,
    architectures,
    build,
    count_parameters,
    register,
)
from trainer.models.vectors import check_weights, flatten, from_safetensors, load_flat, to_safetensors, trained

__all__ = [
    "MAX_PARAMETERS",
    "Architecture",
    "architectures",
    "build",
    "check_weights",
    "count_parameters",
    "flatten",
    "from_safetensors",
    "load_flat",
    "register",
    "to_safetensors",
    "trained",
]
