"""A document's graph as steps to run: each name looked up, each argument held against its operator's schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from trainer.programs.document import (
    DTYPES,
    FORMATS,
    Argument,
    BoolValue,
    DtypeValue,
    FloatValue,
    Graph,
    InputRef,
    IntValue,
    LayoutValue,
    ListValue,
    Node,
    NodeRef,
    NoneValue,
    SizeValue,
    StringValue,
    TargetRef,
    TensorRef,
)
from trainer.programs.operators import check_call, operator
from trainer.tasks.task import Tensors

_REFS = (InputRef, TargetRef, TensorRef, NodeRef)
_NUMBERS = (IntValue, FloatValue, BoolValue, SizeValue)
_TAKEN: dict[str, tuple[type, ...]] = {
    # Torch would take a tensor for a number too, by reading its value: shapes and branches would hang on data.
    "Tensor": (*_REFS, *_NUMBERS),
    "number": _NUMBERS,
    "int": (IntValue, SizeValue),
    "float": (FloatValue, IntValue),
    "bool": (BoolValue,),
    "str": (StringValue,),
    "ScalarType": (DtypeValue,),
    "MemoryFormat": (LayoutValue,),
}
"""By the types of torch's schemas."""

_NOT_ITS = {"device", "layout", "pin_memory", "non_blocking", "generator", "out"}
"""Arguments that whoever runs a program decides."""


@dataclass(frozen=True, slots=True)
class _Node:
    index: int
    item: int | None


@dataclass(frozen=True, slots=True)
class _Named:
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class _Size:
    coefficients: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Dtype:
    """A dtype of floats, which is float64 where the program is."""

    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Step:
    """One call. makes: it has no tensor to take its device from. ends: steps whose values nobody needs after it."""

    name: str
    func: torch._ops.OpOverload
    positional: tuple[Any, ...]
    named: tuple[tuple[str, Any], ...]
    makes: bool
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Steps:
    """A graph to run. uses: the tensors that it reads."""

    steps: tuple[Step, ...]
    output: Any
    uses: frozenset[str]

    def run(
        self, state: Tensors, inputs: Tensors, target: torch.Tensor | None, *, batch: int, wide: bool, device: Any
    ) -> torch.Tensor:
        """state: the file's tensors by name. batch: samples in it. wide: whether floats are float64."""
        values: list[Any] = []

        def resolve(value: Any) -> Any:
            if isinstance(value, _Node):
                found = values[value.index]
                if value.item is not None and isinstance(found, torch.Tensor):
                    raise ValueError(f"an item is taken of node {value.index}, which gives one tensor")
                return found if value.item is None else found[value.item]
            if isinstance(value, _Named):
                return target if value.kind == "target" else (state if value.kind == "tensor" else inputs)[value.name]
            if isinstance(value, _Size):
                return sum(factor * batch**power for power, factor in enumerate(value.coefficients))
            if isinstance(value, _Dtype):
                return torch.float64 if wide else value.dtype
            return [resolve(each) for each in value] if isinstance(value, list) else value

        for number, step in enumerate(self.steps):
            try:
                named = {name: resolve(value) for name, value in step.named}
                if step.makes:
                    named["device"] = device
                given = step.func(*[resolve(value) for value in step.positional], **named)
            except TORCH_ERRORS as error:
                raise ValueError(f"node {number} ({step.name}): {first_line(error)}") from error
            values.append(_widened(given) if wide else given)
            for index in step.ends:
                values[index] = None
        try:
            output = resolve(self.output)
        except IndexError as error:
            raise ValueError("the output is an item of a node that gives fewer") from error
        if not isinstance(output, torch.Tensor):
            raise ValueError("the output is not one tensor")
        return output


TORCH_ERRORS = (RuntimeError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError)
"""What torch raises for calls that it does not take."""


def first_line(error: Exception) -> str:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return "".join(c if c.isprintable() else " " for c in first)[:300]


def _widened(given: Any) -> Any:
    """Where torch makes float32 of whole numbers by itself, float64 is meant."""
    if isinstance(given, torch.Tensor):
        return given.double() if given.is_floating_point() and given.dtype != torch.float64 else given
    return [_widened(each) for each in given]


def compile_graph(graph: Graph, names: Mapping[str, frozenset[str]], has_target: bool) -> Steps:
    """names: of tensors and inputs, under "tensor" and "input". Raises ValueError that begins with the node."""
    used: set[str] = set()
    last: dict[int, int] = {}

    def look_up(ref: Argument, at: int) -> Any:
        if isinstance(ref, NodeRef):
            if ref.index >= at:
                raise ValueError(f"it takes node {ref.index}, which does not come before it")
            last[ref.index] = at
            return _Node(ref.index, ref.item)
        if isinstance(ref, TargetRef):
            if not has_target:
                raise ValueError("it takes a target, and there is none")
            return _Named("target", "")
        assert isinstance(ref, InputRef | TensorRef)  # noqa: S101 (there are no others)
        if ref.name not in names[ref.kind]:
            raise ValueError(f"there is no {ref.kind} {ref.name!r}")
        if ref.kind == "tensor":
            used.add(ref.name)
        return _Named(ref.kind, ref.name)

    calls = []
    for at, node in enumerate(graph.nodes):
        try:
            calls.append(_call(node, lambda ref, at=at: look_up(ref, at)))
        except ValueError as error:
            raise ValueError(f"node {at} ({node.op[:100]}): {error}") from error
    output = look_up(graph.output, len(graph.nodes))
    unused = [at for at in range(len(graph.nodes)) if at not in last]
    if unused:
        raise ValueError(f"node {unused[0]} ({graph.nodes[unused[0]].op}): nothing uses it")
    ends: dict[int, list[int]] = {}
    for index, at in last.items():
        ends.setdefault(at, []).append(index)
    steps = tuple(Step(*call, ends=tuple(ends.get(at, ()))) for at, call in enumerate(calls))
    return Steps(steps, output, frozenset(used))


def _call(node: Node, look_up: Any) -> tuple[str, torch._ops.OpOverload, tuple[Any, ...], tuple[Any, ...], bool]:
    func = operator(node.op)
    schema = {argument.name: argument for argument in func._schema.arguments}
    if chosen := sorted(node.arguments.keys() & _NOT_ITS):
        raise ValueError(f"it has the argument {chosen[0]}, which is not the file's to choose")
    if unknown := sorted(node.arguments.keys() - schema.keys()):
        raise ValueError(f"it has no argument {unknown[0][:64]!r}")
    positional: list[Any] = []
    named: list[tuple[str, Any]] = []
    given: dict[str, Any] = {}
    for name, argument in schema.items():
        if name not in node.arguments:
            if not argument.has_default_value():
                raise ValueError(f"its argument {name} is missing")
            if not argument.kwarg_only:
                positional.append(argument.default_value)
            continue
        value = _value(node.arguments[name], str(argument.real_type), name, look_up)
        given[name] = value
        if argument.kwarg_only:
            named.append((name, value))
        else:
            positional.append(value)
    check_call(node.op, given)
    has_tensor = any("Tensor" in str(argument.real_type) for argument in schema.values())
    makes = "device" in schema and not has_tensor
    if makes and "dtype" not in given:
        raise ValueError("its dtype is missing")
    return node.op, func, tuple(positional), tuple(named), makes


def _value(value: Argument, kind: str, name: str, look_up: Any) -> Any:
    """An argument of the schema's type `kind`, with what only a run knows left open."""
    if kind.startswith("Optional["):
        if isinstance(value, NoneValue):
            return None
        kind = kind[len("Optional[") : -1]
    if kind.startswith("List["):
        if isinstance(value, ListValue):
            return [_value(each, kind[len("List[") : -1], name, look_up) for each in value.values]
        raise ValueError(f"its argument {name} is no list")
    if not isinstance(value, _TAKEN.get(kind, ())):
        raise ValueError(f"its argument {name} is a {value.kind}, which is not for it")
    if isinstance(value, _REFS):
        return look_up(value)
    if isinstance(value, SizeValue):
        return _Size(tuple(value.coefficients))
    if isinstance(value, DtypeValue):
        dtype = DTYPES[value.value]
        return _Dtype(dtype) if dtype.is_floating_point else dtype
    if isinstance(value, LayoutValue):
        return FORMATS[value.value]
    assert isinstance(value, IntValue | FloatValue | BoolValue | StringValue)  # noqa: S101 (there are no others)
    return float(value.value) if kind == "float" or isinstance(value, FloatValue) else value.value
