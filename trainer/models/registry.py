"""Names to architectures, descriptions to modules."""

import importlib
import pkgutil
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import metadata
from typing import TypeVar

import torch
from pydantic import ValidationError
from torch import nn

from trainer.config import ModelConfig, Settings
from zk.encoding import MAX_ENTRIES

MAX_PARAMETERS = MAX_ENTRIES
"""Most parameters that are trained."""

MAX_FROZEN = 2**31
"""Most values that are frozen: 8 GiB in float32."""

ENTRY_POINTS = "merit.architectures"
"""The group under which other parties' packages name their subclasses of `Architecture`."""


class Architecture(Settings):
    """The parameters of one architecture; its fields are what `ModelConfig.parameters` may hold."""

    @abstractmethod
    def build(self) -> nn.Module:
        """A module that takes the schema's inputs by position, and gives what the task takes.

        Initialised from torch's random state. Constant buffers are allowed, such that training changes are not. Raises
        ValueError. On "meta" too.
        """


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


class Missing(ValueError):
    """An optional part of Merit is not installed. what: needs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs merit[{extra}]: pip install 'merit[{extra}]'")


def architectures() -> Mapping[str, type[Architecture]]:
    """All architectures by name: those of every file in this package, and what else was registered."""
    package = importlib.import_module("trainer.models")
    for module in pkgutil.iter_modules(package.__path__, "trainer.models."):
        importlib.import_module(module.name)
    return dict(sorted(_registry.items()))


def _installed(name: str, package: str) -> type[Architecture]:
    """The architecture of another party, if its package is installed in exactly this version."""
    wanted, version = package.split("==", 1)
    try:
        found = metadata.distribution(wanted)
    except metadata.PackageNotFoundError:
        found = None
    if found is None or found.version != version:
        raise ValueError(
            f"the architecture {name!r} needs the package {package}: pip install {package} (it is its authors' code, "
            "which runs on your machine)"
        )
    for point in found.entry_points:
        if point.group == ENTRY_POINTS and point.name == name:
            architecture = point.load()
            if isinstance(architecture, type) and issubclass(architecture, Architecture):
                return architecture
    raise ValueError(f"the package {package} has no architecture {name!r}")


def _architecture(config: ModelConfig) -> Architecture:
    known = architectures()
    if config.package is not None:
        kind = _installed(config.architecture, config.package)
    elif config.architecture in known:
        kind = known[config.architecture]
    else:
        raise ValueError(
            f"there is no architecture {config.architecture!r}; there are {', '.join(known)}, and those of a `package`"
        )
    try:
        return kind.model_validate(config.parameters)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "parameters"
        raise ValueError(f"architecture {config.architecture!r}: {where}: {first['msg']}") from error


def _module(config: ModelConfig) -> nn.Module:
    """The module on torch's present default device."""
    architecture = _architecture(config)
    try:
        module = architecture.build()
    except Missing:
        raise
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"architecture {config.architecture!r} cannot be built so: {why}") from error
    for name, parameter in module.named_parameters():
        if not parameter.is_floating_point():
            raise ValueError(f"architecture {config.architecture!r}: {name} has no floating point values")
    return module


def outline(config: ModelConfig) -> nn.Module:
    """The module without memory behind it, so that a description can be judged before it costs anything."""
    from trainer.models.trainable import choose_trained  # noqa: PLC0415 (it imports this file)

    with torch.device("meta"):
        module = choose_trained(_module(config), config)
    count = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    frozen = sum(tensor.numel() for tensor in [*module.parameters(), *module.buffers()]) - count
    if not 1 <= count <= MAX_PARAMETERS:
        raise ValueError(f"the model has {count} parameters to train; 1 … {MAX_PARAMETERS} are possible")
    if frozen > MAX_FROZEN:
        raise ValueError(f"the model has {frozen} frozen values; at most {MAX_FROZEN} are possible")
    return module


def count_parameters(config: ModelConfig) -> int:
    """d, the number of parameters that are trained; allocates none.

    Raises ValueError for an unknown or too large model.
    """
    return _counted(config.model_dump_json())


@lru_cache(maxsize=128)
def _counted(config: str) -> int:
    """A large model takes a second to outline, and many ask."""
    module = outline(ModelConfig.model_validate_json(config))
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def build(config: ModelConfig) -> nn.Module:
    """The module on the CPU in float32, initialised from the seed alone: global random state is neither read nor moved.

    What is trained requires a gradient; what is not has the values of the seed too, until `load_frozen` or `load_base`
    gives it others. Raises ValueError for an unknown architecture, parameters out of bounds, or a model above
    MAX_PARAMETERS.
    """
    from trainer.models.trainable import FROZEN_DTYPES, choose_trained, round_frozen  # noqa: PLC0415 (as above)

    count_parameters(config)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(config.seed)
        module = _module(config).float()
        torch.manual_seed(config.seed)
        choose_trained(module, config)
    round_frozen(module, FROZEN_DTYPES[config.frozen_dtype])
    return module
