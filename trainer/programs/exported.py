"""A program whose graphs came in a file. It is checked on torch's "meta" device, which has no memory, when it is made.

trainer/programs/reading.py reads the file; docs/programs.md says what is checked.
"""

from collections import Counter

import torch
from torch import nn

from trainer.models.effort import MAX_PRODUCTS, MAX_VALUES_A_BATCH, MAX_VALUES_A_SAMPLE, Effort
from trainer.programs.counting import Count
from trainer.programs.document import DTYPES, Document, Samples
from trainer.programs.graphs import TORCH_ERRORS, Steps, compile_graph, first_line
from trainer.programs.program import Program
from trainer.tasks import Task
from trainer.tasks.task import Tensors

_LARGE = 1024  # samples: the largest batch that evaluation takes
_ANY = Effort(2**62, 2**62)


class Exported(Program):
    """A program from a file. task: what judges its predictions; its loss is its own.

    cost: of one sample, forward, the most that it is in batches of 1 … 1024. untrained: trainable tensors on which the
    training's loss does not depend.
    """

    def __init__(self, document: Document, module: nn.Module, task: Task | None = None) -> None:
        self.document, self.module, self.task = document, module, task
        names = {
            "tensor": frozenset(entry.name for entry in document.tensors),
            "input": frozenset(each.name for each in document.inputs),
        }
        self._graphs: dict[str, Steps] = {}
        for name, graph in document.graphs.items():
            try:
                target = document.target is not None and name != "prediction"
                self._graphs[name] = compile_graph(graph, names, target)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        read = frozenset[str]().union(*(steps.uses for steps in self._graphs.values()))
        for entry in document.tensors:
            if entry.role != "trainable" and entry.name not in read:
                raise ValueError(f"tensor {entry.name!r} is used nowhere")
        self._admitted: set[tuple[str, int]] = set()
        self.untrained: tuple[str, ...] = ()
        self.cost = Effort(0, 0)
        self._check()

    # ---------------------------------------------------------------- what a program does

    def losses(self, inputs: Tensors, target: torch.Tensor | None, *, smoothing: float = 0.0) -> torch.Tensor:
        if smoothing:
            raise ValueError("an exported program has its own loss: label_smoothing is not for it")
        return self._run("training" if self.module.training else "evaluation", inputs, target)

    def predict(self, inputs: Tensors) -> torch.Tensor:
        return self._run("prediction", inputs, None)

    def effort(self, inputs: Tensors) -> Effort:
        return self.cost

    @property
    def operators(self) -> Counter[str]:
        """How often the three graphs use each operator."""
        return Counter(node.op for graph in self.document.graphs.values() for node in graph.nodes)

    def _run(self, name: str, inputs: Tensors, target: torch.Tensor | None) -> torch.Tensor:
        batch = _batch(self.document, inputs, target if name != "prediction" else None, name)
        if (name, batch) not in self._admitted:
            # Sizes may be any polynomial of the batch, so that no other batch says what this one takes.
            with Count(Effort(MAX_VALUES_A_BATCH, MAX_PRODUCTS * batch), random=name == "training"):
                self._meta(name, batch, wide=_wide(self.module))
            self._admitted.add((name, batch))
        return self._graphs[name].run(
            _state(self.module),
            inputs,
            target,
            batch=batch,
            wide=_wide(self.module),
            device=self.device,
        )

    # ---------------------------------------------------------------- what is checked, on the meta device

    def _meta(self, name: str, batch: int, *, wide: bool = False, learns: bool = False) -> tuple[torch.Tensor, Tensors]:
        """The output of a run on the meta device, and the tensors that it ran with."""

        def empty(dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
            double = wide and dtype.is_floating_point
            return torch.empty(shape, dtype=torch.float64 if double else dtype, device="meta")

        def sample(each: Samples) -> torch.Tensor:
            return empty(DTYPES[each.dtype], (batch, *each.shape))

        state = {key: empty(value.dtype, tuple(value.shape)) for key, value in _state(self.module).items()}
        for entry in self.document.tensors:
            state[entry.name].requires_grad_(learns and entry.role == "trainable")
        inputs = {each.name: sample(each) for each in self.document.inputs}
        has_target = self.document.target and name != "prediction"
        target = sample(self.document.target) if self.document.target and has_target else None
        with torch.set_grad_enabled(learns):
            output = self._graphs[name].run(state, inputs, target, batch=batch, wide=wide, device="meta")
        return output, state

    def _check(self) -> None:
        for name in self._graphs:
            try:
                self._check_graph(name)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error

    def _check_graph(self, name: str) -> None:
        most = Effort(MAX_VALUES_A_SAMPLE, MAX_PRODUCTS)
        shapes = set()
        for batch in (1, 2, 3):
            with Count(Effort(most.values * batch, most.products * batch), random=name == "training"):
                output, _ = self._meta(name, batch)
            shapes.add(_check_output(name, output, batch))
            self._admitted.add((name, batch))
        if len(shapes) > 1:
            raise ValueError("the shape of its output depends on the batch in more than the first place")
        for batch in (1, _LARGE):
            with Count(_ANY, random=name == "training") as count:
                self._meta(name, batch)
            each = Effort(-(-count.values // batch), -(-count.products // batch))
            self.cost = Effort(max(self.cost.values, each.values), max(self.cost.products, each.products))
        if name == "prediction":
            return
        untrained = self._check_gradient(name)
        if name == "training":
            self.untrained = untrained

    def _check_gradient(self, name: str) -> tuple[str, ...]:
        """In float32 and in float64, as references are computed. The names of what gets none in float32."""
        missing: tuple[str, ...] = ()
        for wide in (True, False):
            with Count(Effort(8 * MAX_VALUES_A_SAMPLE, 8 * MAX_PRODUCTS), random=name == "training"):
                output, state = self._meta(name, 2, wide=wide, learns=True)
                if output.dtype != (torch.float64 if wide else torch.float32):
                    raise ValueError(f"its output is {output.dtype} where floats are {'64' if wide else '32'} bits")
                if not output.requires_grad:
                    raise ValueError("its output depends on no trainable tensor")
                trainable = {key: value for key, value in state.items() if value.requires_grad}
                try:
                    found = torch.autograd.grad(output.mean(), list(trainable.values()), allow_unused=True)
                except TORCH_ERRORS as error:
                    raise ValueError(f"it has no gradient: {first_line(error)}") from error
            missing = tuple(key for key, each in zip(trainable, found, strict=True) if each is None)
        return missing


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _wide(module: nn.Module) -> bool:
    return any(each.dtype == torch.float64 for each in module.parameters() if each.requires_grad)


def _batch(document: Document, inputs: Tensors, target: torch.Tensor | None, name: str) -> int:
    """How many samples there are. Raises ValueError for a batch that is not the program's."""
    if set(inputs) != {each.name for each in document.inputs}:
        wanted, found = ", ".join(each.name for each in document.inputs), ", ".join(inputs)
        raise ValueError(f"the program takes the inputs {wanted}; {found} were given")
    batch = len(next(iter(inputs.values())))
    pairs: list[tuple[str, Samples, torch.Tensor]] = [(each.name, each, inputs[each.name]) for each in document.inputs]
    wanted_target = document.target if name != "prediction" else None
    if wanted_target and target is not None:
        pairs.append(("target", wanted_target, target))
    elif wanted_target:
        raise ValueError("the program takes a target, and none was given")
    for what, samples, given in pairs:
        dtype = DTYPES[samples.dtype]
        same = given.is_floating_point() if dtype.is_floating_point else given.dtype == dtype
        if not same or list(given.shape) != [batch, *samples.shape]:
            raise ValueError(
                f"the program takes {what} of {samples.dtype}{[batch, *samples.shape]}, not "
                f"{str(given.dtype).removeprefix('torch.')}{list(given.shape)}"
            )
    return batch


def _check_output(name: str, output: torch.Tensor, batch: int) -> tuple[int, ...]:
    """Shape of one sample's."""
    if not output.is_floating_point():
        raise ValueError(f"its output is {output.dtype}, no float")
    shape = tuple(output.shape)
    if name != "prediction" and shape not in ((), (batch,)):
        raise ValueError(f"a loss has the shape [{batch}] or [] for {batch} samples, not {list(shape)}")
    if name == "prediction" and shape[:1] != (batch,):
        raise ValueError(f"predictions for {batch} samples have {batch} rows, not the shape {list(shape)}")
    return shape[1:] if shape else (-1,)


def described(program: Exported) -> dict[str, list[str] | str | int]:
    """What people want to know before they train it."""
    document, state = program.document, _state(program.module)
    values = {
        role: sum(state[entry.name].numel() for entry in document.tensors if entry.role == role)
        for role in ("trainable", "frozen", "constant")
    }

    def words(what: str, samples: Samples) -> str:
        return f"{what} {samples.dtype}{samples.shape}"

    return {
        "inputs": [words(each.name, each) for each in document.inputs],
        "target": "none" if document.target is None else words("target", document.target).removeprefix("target "),
        "tensors": [f"{e.name} {e.role} {_word(state[e.name])}" for e in document.tensors],
        "trainable values": values["trainable"],
        "frozen values": values["frozen"],
        "constant values": values["constant"],
        "not reached by the loss": list(program.untrained),
        "values a sample": program.cost.values,
        "multiplications a sample": program.cost.products,
        "operators": [f"{name} ×{count}" for name, count in sorted(program.operators.items())],
    }


def _word(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"
