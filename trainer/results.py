"""A trained model as a file that says how to use it, and as a folder that transformers and peft open."""

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from pydantic import Field, ValidationError
from torch import nn

from trainer.config import (
    ClassTarget,
    DataSchema,
    Files,
    Finite,
    LabelsTarget,
    ModelConfig,
    NumberTarget,
    Settings,
    TaskConfig,
    named_files,
)
from trainer.data.dataset import Array, Dataset
from trainer.models.effort import batch_within
from trainer.models.frozen import stored_frozen, wanted_frozen
from trainer.models.tensors import MAX_HEADER, opened, read_into
from trainer.models.trainable import ADAPTER, adapter_config
from trainer.models.vectors import trained
from trainer.programs import Program, check_program, check_tokens, open_program

FORMAT = "merit.model/1"
_BATCH = 1024


class Origin(Settings):
    """Where a model comes from."""

    job: str = Field(default="", description="The job, as its market names it.")
    round: int = Field(default=0, ge=0, le=2**32, description="The last round of which it has the update.")
    metric: str = Field(default="", description="The job's main metric.")
    value: Finite | None = Field(default=None, description="That metric on the validation data.")


class Card(Settings):
    """All that one needs to use a model: what it is, what it takes, what its outputs mean."""

    model: ModelConfig
    data: DataSchema
    task: TaskConfig
    origin: Origin = Origin()


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of n samples.

    values, by task: classification str[n] where classes have names, else int64[n]; multi-label bool[n, k]; regression
    float32[n, k], in the data's own units; token classification int64[n, length]; segmentation int64[n, height, width];
    language modelling int64[n, length], the likeliest next token after each; own: the program's outputs.
    names: of the k columns of either. probabilities: float32[n, k] of classes or labels, else None.
    """

    values: Array
    names: tuple[str, ...]
    probabilities: Array | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model from a file, on the CPU. files: what its card names."""

    card: Card
    program: Program
    files: Files

    @property
    def schema(self) -> DataSchema:
        """What data to predict on look like: the job's, without a target and with any number of samples."""
        return self.card.data.model_copy(update={"target": None, "min_samples": 1})

    def predict(self, data: Dataset) -> Prediction:
        """data: normalised, as `trainer.data.load` gives it for `schema`. ValueError without samples."""
        if len(data) == 0:
            raise ValueError("there are no samples to predict on")
        check_tokens(self.program, data)
        self.program.train(False)
        size = batch_within(_BATCH, self.program.effort(self._tensors(data[:2])).values)
        with torch.no_grad():
            parts = [
                self._answers(self.program.predict(self._tensors(data[start : start + size])))
                for start in range(0, len(data), size)
            ]
        values = np.concatenate([part[0] for part in parts])
        scores = None if parts[0][1] is None else np.concatenate([part[1] for part in parts if part[1] is not None])
        target = self.card.data.target
        names: tuple[str, ...] = ()
        if isinstance(target, ClassTarget):
            names = target.names or tuple(str(number) for number in range(target.classes))
            if target.names:
                values = np.array(target.names, dtype=np.str_)[values]
        elif isinstance(target, LabelsTarget | NumberTarget):
            names = target.names
        return Prediction(values, names, scores)

    def _tensors(self, data: Dataset) -> dict[str, torch.Tensor]:
        device = self.program.device
        return {n: torch.from_numpy(np.require(x, requirements="W")).to(device) for n, x in data.inputs.items()}

    def _answers(self, outputs: torch.Tensor) -> tuple[Array, Array | None]:
        """Values and probabilities of a batch's outputs: of a batch, since all logits of a text may not fit."""
        kind, target = self.card.task.kind, self.card.data.target
        if kind == "classification":
            return outputs.argmax(1).cpu().numpy(), outputs.float().softmax(1).cpu().numpy()
        if kind == "multi-label":
            scores = outputs.float().sigmoid().cpu().numpy()
            return scores > 0.5, scores
        if isinstance(target, NumberTarget) and kind == "regression":
            return outputs.float().cpu().numpy() * np.float32(target.std) + np.float32(target.mean), None
        if kind in ("token-classification", "language-modelling"):
            return outputs.argmax(-1).cpu().numpy(), None
        return (outputs.argmax(1) if kind == "segmentation" else outputs).cpu().numpy(), None


def pack_result(program: Program, card: Card) -> bytes:
    """A safetensors file: what is trained in float32, what is frozen as it travels, and the card as JSON.

    Raises ValueError for values that are not finite, or a card that no reader would take.
    """
    tensors = {name: p.detach().to("cpu", copy=True).contiguous() for name, p in trained(program.module).items()}
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"the model's {name} is not finite")
    text = card.model_dump_json()
    if len(text.encode()) > MAX_HEADER // 4:
        raise ValueError(f"what says how to use the model has more than {MAX_HEADER // 4} bytes")
    # One entry: of several the library writes the order as it comes.
    return safetensors.torch.save(tensors | stored_frozen(program.module), {FORMAT: text})


def read_card(metadata: Mapping[str, str]) -> Card:
    """The card of a file's metadata. Raises ValueError."""
    if metadata.keys() != {FORMAT}:
        raise ValueError(f"the file is not a model that Merit wrote: its metadata are not {FORMAT} alone")
    try:
        return Card.model_validate_json(metadata[FORMAT])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "card"
        raise ValueError(f"the file's metadata: {where}: {first['msg']}") from error


def load_model(path: Path, files: Files | None = None) -> Loaded:
    """A model that `pack_result` made, perhaps a stranger's: nothing is allocated before the file's card is judged.

    files: what the card's model and data name; by default those beside the model's own. Raises ValueError.
    """
    with opened(path) as file:
        card = read_card(file.metadata)
        if files is None:
            files = {name: path.parent / Path(name).name for name in named_files(card.model, card.data)}
            for name, beside in files.items():
                if not beside.is_file():
                    raise ValueError(f"the file {name}, which the model names, is not there: {beside}")
        check_program(card.model, card.data, card.task, 1, files)
        program = open_program(card.model, card.data, card.task, files)
        read_into(file, whole(program.module))
    return Loaded(card, program, files)


def whole(module: nn.Module) -> dict[str, tuple[torch.Tensor, torch.dtype]]:
    """What `read_into` is to fill with the tensors of a file that `pack_result` made."""
    own = {name: (parameter.detach(), torch.float32) for name, parameter in trained(module).items()}
    return own | wanted_frozen(module)


def write_folder(path: Path, program: Program, model: ModelConfig) -> None:
    """A folder that `from_pretrained` of the model's class opens, of an architecture `transformers`.

    With adapters: a folder that `PeftModel.from_pretrained(base, path)` opens; the base is in its subfolder `base`.
    Raises ValueError for other architectures, or where there are files already.
    """
    if not hasattr(program.module, "save_pretrained"):
        raise ValueError(f"only an architecture of transformers can be written as a folder, not {model.architecture}")
    if path.exists() and any(path.iterdir()):
        raise ValueError(f"{path} is not empty")
    module: Any = deepcopy(program.module).cpu()
    if model.lora is None:
        module.save_pretrained(path)
        return
    adapters = {
        "base_model.model." + re.sub(r"(\.lora_\w+)\.default", r"\1", name): tensor.contiguous()
        for name, tensor in module.state_dict().items()
        if ADAPTER in name
    }
    path.mkdir(parents=True, exist_ok=True)
    adapter_config(model.lora).save_pretrained(str(path))
    safetensors.torch.save_file(adapters, path / "adapter_model.safetensors", {"format": "pt"})
    _without_adapters(module).save_pretrained(path / "base")


def _without_adapters(module: nn.Module) -> Any:
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if hasattr(child, "base_layer"):
                setattr(parent, name, child.base_layer)
    return module
