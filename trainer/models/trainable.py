"""What of a model is trained: parameters by patterns of their names, or low-rank adapters beside them."""

import difflib
import fnmatch
import warnings
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from trainer.config import LoraConfig, ModelConfig
from trainer.models.registry import Missing

ADAPTER = ".lora_"
"""Part of the names of adapters' matrices."""

FROZEN_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""By their names in a job."""


def choose_trained(module: nn.Module, config: ModelConfig) -> nn.Module:
    """The module with the parameters that are trained requiring a gradient, the others not, and its adapters.

    Adapters change nothing at first: one of the two matrices is zero, the other comes from torch's random state.
    Raises ValueError for a pattern that no parameter has, or a layer that takes no adapter.
    """
    if config.lora is None:
        chosen = matching(module, config.trainable)
    else:
        chosen = [] if config.trainable == ("*",) else matching(module, config.trainable)
        _add_adapters(module, config.lora)
    kept = {id(parameter) for parameter in chosen}
    for name, parameter in module.named_parameters():
        adapter = config.lora is not None and ADAPTER in name
        parameter.requires_grad_(adapter or id(parameter) in kept)
    return module


def matching(module: nn.Module, patterns: Iterable[str]) -> list[nn.Parameter]:
    """The parameters whose names have one of the patterns (as files of a shell). ValueError where one matches none."""
    # A parameter in two places has two names, of which either may be meant.
    named = dict(module.named_parameters(remove_duplicate=False))
    found: list[nn.Parameter] = []
    for pattern in patterns:
        names = fnmatch.filter(named, pattern)
        if not names:
            raise ValueError(f"no parameter is called {pattern!r}{_near(pattern, list(named))}")
        found += [named[name] for name in names]
    return found


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known[:2000], n=3, cutoff=0.1)
    return f"; near it are {', '.join(near)}" if near else ""


def _add_adapters(module: nn.Module, lora: LoraConfig) -> None:
    try:
        import peft  # noqa: PLC0415 (an extra, and takes seconds)
        from transformers.pytorch_utils import Conv1D  # noqa: PLC0415
    except ImportError as error:
        raise Missing("lora", "text") from error
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding, Conv1D)
    named = {name: layer for name, layer in module.named_modules() if isinstance(layer, kinds)}
    for target in lora.targets:
        if not any(name == target or name.endswith("." + target) for name in named):
            last = sorted({name.rsplit(".", 1)[-1] for name in named})
            raise ValueError(f"no layer that takes an adapter is called {target!r}{_near(target, last)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transposed weights, which it finds and handles itself
        try:
            peft.inject_adapter_in_model(adapter_config(lora), module)
        except (ValueError, NotImplementedError, TypeError) as error:
            raise ValueError(f"the adapters do not suit the model: {str(error).splitlines()[0]}") from error


def adapter_config(lora: LoraConfig) -> "peft.LoraConfig":  # type: ignore[name-defined] # noqa: F821 (an extra)
    """The same in peft's words."""
    import peft  # noqa: PLC0415 (an extra, and takes seconds)

    return peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type] # peft only divides it
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
    )


def base_name(name: str) -> str:
    """A parameter's name before adapters were put around its layer."""
    return name.replace(".base_layer.", ".")


def round_frozen(module: nn.Module, dtype: torch.dtype) -> None:
    """Rounds frozen parameters to what a narrower type can hold; they stay float32, in which all is computed.

    The module remembers the type, which is that of its frozen file.
    """
    module.frozen_dtype = dtype  # type: ignore[assignment]
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.requires_grad:
                parameter.copy_(parameter.to(dtype))


def frozen_dtype(module: nn.Module) -> torch.dtype:
    """What `round_frozen` has rounded to; float32 where it has not."""
    return getattr(module, "frozen_dtype", torch.float32)
