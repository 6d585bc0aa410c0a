"""Names to architectures, descriptions to modules."""

import importlib
import pkgutil
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from pydantic import ValidationError
from torch import nn

from trainer.config import ModelConfig, Settings
from zk.encoding import MAX_ENTRIES

MAX_PARAMETERS = MAX_ENTRIES


class Architecture(Settings):
    """The parameters of one architecture; its fields are what `ModelConfig.parameters` may hold."""

    @abstractmethod
    def build(self) -> nn.Module:
        """A module with torch's default initialisation and no buffers, mapping float32[b, …] to logits[b, classes]."""


A = TypeVar("A", bound=Architecture)

_registry: dict[str, type[Architecture]] = {}


def register(name: str) -> Callable[[type[A]], type[A]]:
    """Class decorator that enters an architecture under a name."""

    def enter(architecture: type[A]) -> type[A]:
        if name in _registry:
            raise ValueError(f"the architecture {name!r} is registered twice")
        _registry[name] = architecture
        return architecture

    return enter


def architectures() -> Mapping[str, type[Architecture]]:
    """All architectures by name: those of every file in this package, and what else was registered."""
    package = importlib.import_module("trainer.models")
    for module in pkgutil.iter_modules(package.__path__, "trainer.models."):
        importlib.import_module(module.name)
    return dict(sorted(_registry.items()))


def _architecture(config: ModelConfig) -> Architecture:
    known = architectures()
    if config.architecture not in known:
        raise ValueError(f"there is no architecture {config.architecture!r}; there are {', '.join(known)}")
    try:
        return known[config.architecture].model_validate(config.parameters)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "parameters"
        raise ValueError(f"architecture {config.architecture!r}: {where}: {first['msg']}") from error


def outline(config: ModelConfig) -> nn.Module:
    """The module without memory behind it, so that a description can be judged before it costs anything."""
    architecture = _architecture(config)
    with torch.device("meta"):
        module = architecture.build()
    if any(True for _ in module.buffers()):
        raise ValueError(f"architecture {config.architecture!r} has buffers, which do not travel with the parameters")
    return module


def count_parameters(config: ModelConfig) -> int:
    """d, the number of parameters; allocates none. Raises ValueError for an unknown or too large model."""
    count = sum(parameter.numel() for parameter in outline(config).parameters())
    if not 1 <= count <= MAX_PARAMETERS:
        raise ValueError(f"the model has {count} parameters; 1 … {MAX_PARAMETERS} are possible")
    return count


def build(config: ModelConfig) -> nn.Module:
    """The module on the CPU in float32, initialised from the seed alone: global random state is neither read nor moved.

    Raises ValueError for an unknown architecture, parameters out of bounds, or a model above MAX_PARAMETERS.
    """
    count_parameters(config)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(config.seed)
        return _architecture(config).build().float()
