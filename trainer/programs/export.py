"""From an owner's own module and loss to a file that others can train: run on the owner's machine alone.

The owner's code is traced by torch.export, on a batch of examples, and is not in the file. What is written is read
again with the strict reader and compared with the module before anybody gets it.
"""

import copy
import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import nn

from trainer.programs.document import (
    FORMAT,
    Document,
    Graph,
    NamedSamples,
    Samples,
    TensorEntry,
)
from trainer.programs.reading import open_exported
from trainer.programs.tracing import Tracer

Array = torch.Tensor | NDArray[Any]


@dataclass(frozen=True)
class Source:
    """What an owner's `build()` returns.

    module: takes the inputs by position, in their order, on the CPU; its weights are the base model. What requires a
    gradient is trained, other parameters are frozen, buffers are constant.
    loss: of what the module returns, and the target if there is one: float[b], one a sample, or their mean.
    inputs: by the names of the job's features, at least two samples of each: float32 or int64, [b, …].
    target: of these samples; None where the loss needs none, as for a text that is its own target.
    predict: what users and metrics get, float[b, …], of what the module returns; by default that itself.
    """

    module: nn.Module
    loss: Callable[..., torch.Tensor]
    inputs: Mapping[str, Array]
    target: Array | None = None
    predict: Callable[[Any], torch.Tensor] | None = None


def load_source(place: str) -> Source:
    """What FILE.py:FUNCTION gives, a file of one's own: it is run. Raises ValueError."""
    file, _, function = place.rpartition(":")
    path = Path(file)
    if not file or not path.is_file():
        raise ValueError(f"{place!r} is not FILE.py:FUNCTION of a file that exists")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not callable(found := getattr(module, function, None)):
        raise ValueError(f"{path} has no function {function!r}")
    source = found()
    if not isinstance(source, Source):
        raise ValueError(f"{place} gives a {type(source).__name__}, not a trainer.programs.export.Source")
    return source


class _Whole(nn.Module):
    """module and loss, or module and predict, as one."""

    def __init__(self, module: nn.Module, then: Callable[..., Any] | None, inputs: int) -> None:
        super().__init__()
        self.module, self.then, self._inputs = module, then, inputs

    def forward(self, *batch: torch.Tensor) -> Any:
        outputs = self.module(*batch[: self._inputs])
        return self.then(outputs, *batch[self._inputs :]) if self.then else outputs


def export(source: Source) -> bytes:
    """The file of a program. Raises ValueError for what cannot be exported, and says why."""
    source = _own_copy(source)
    inputs = {name: _tensor(value, name) for name, value in source.inputs.items()}
    target = None if source.target is None else _tensor(source.target, "the target")
    batch = [*inputs.values(), *([] if target is None else [target])]
    if not inputs or len({len(each) for each in batch}) != 1 or len(batch[0]) < 2:
        raise ValueError("inputs and target need the same number of samples, two or more, of at least one input")
    tracer = Tracer()
    graphs: dict[str, Graph] = {}
    for name, then, given, training in (
        ("training", source.loss, batch, True),
        ("evaluation", source.loss, batch, False),
        ("prediction", source.predict, list(inputs.values()), False),
    ):
        whole = _Whole(source.module, then, len(inputs))
        set_mode(whole, training)
        try:
            graphs[name] = tracer.trace(whole, given, list(inputs))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    content = _written(tracer, graphs, inputs, target)
    _compare(content, source, inputs, target)
    return content


def set_mode(module: nn.Module, training: bool) -> None:
    """Normalisations keep to their statistics in training too, which no update carries."""
    module.train(training)
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._NormBase):
            layer.eval()


def _own_copy(source: Source) -> Source:
    module, loss, predict = copy.deepcopy((source.module, source.loss, source.predict))
    return Source(module, loss, source.inputs, source.target, predict)


def _tensor(value: Array, name: str) -> torch.Tensor:
    tensor = value.detach().clone() if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))
    if tensor.dtype not in (torch.float32, torch.int64) or not tensor.ndim:
        raise ValueError(f"{name} is {tensor.dtype} of {tensor.ndim} dimensions; float32 or int64 [b, …] is needed")
    return tensor


def _samples(tensor: torch.Tensor) -> dict[str, Any]:
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape[1:])}


def _written(
    tracer: Tracer, graphs: Mapping[str, Graph], inputs: Mapping[str, torch.Tensor], target: torch.Tensor | None
) -> bytes:
    document = Document(
        inputs=[NamedSamples(name=name, **_samples(value)) for name, value in inputs.items()],
        target=None if target is None else Samples(**_samples(target)),
        tensors=[TensorEntry(name=name, role=tracer.roles[name]) for name in tracer.tensors],
        training=graphs["training"],
        evaluation=graphs["evaluation"],
        prediction=graphs["prediction"],
    )
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tracer.tensors.items()}
    return safetensors.torch.save(tensors, metadata={FORMAT: document.model_dump_json()})


def _compare(content: bytes, source: Source, inputs: Mapping[str, torch.Tensor], target: torch.Tensor | None) -> None:
    """Raises ValueError unless the reader takes the file, and gives what the module gives, for one sample too."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program"
        path.write_bytes(content)
        program = open_exported(path)
    program.train(False)
    set_mode(source.module, False)
    with torch.no_grad():
        for n in (1, len(next(iter(inputs.values())))):
            few = {name: value[:n] for name, value in inputs.items()}
            some = None if target is None else target[:n]
            outputs = source.module(*few.values())
            own = source.loss(outputs, *([] if some is None else [some]))
            for what, found, wanted in (
                ("loss", program.losses(few, some), own),
                ("prediction", program.predict(few), source.predict(outputs) if source.predict else outputs),
            ):
                if not torch.allclose(found, wanted, rtol=1e-3, atol=1e-4, equal_nan=True):
                    raise ValueError(
                        f"the exported {what} of {n} samples is not the module's own: something in it is fixed "
                        "while it is traced, such as a number of samples, or random in evaluation"
                    )
