"""The registry of architectures. To add one, put a file here with a subclass of `Architecture` under `@register`.

A job names an architecture and its parameters; no code travels. An architecture is a pydantic model of its parameters,
each bounded, and builds a module. What is trained of it is the vector float32[d] of `flatten`; the rest is frozen, and
a file of its own (`write_frozen`).
"""

from trainer.models.base import load_base
from trainer.models.frozen import frozen_tensors, load_frozen, write_frozen
from trainer.models.registry import (
    MAX_PARAMETERS,
    Architecture,
    architectures,
    build,
    count_parameters,
    register,
)
from trainer.models.vectors import check_weights, flatten, load_flat, to_safetensors, trained

__all__ = [
    "MAX_PARAMETERS",
    "Architecture",
    "architectures",
    "build",
    "check_weights",
    "count_parameters",
    "flatten",
    "frozen_tensors",
    "load_base",
    "load_flat",
    "load_frozen",
    "register",
    "to_safetensors",
    "trained",
    "write_frozen",
]
