"""What torch.export gives, written as Merit's own graphs. Runs on the owner's machine, on the owner's own code."""

import math
import operator
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from torch import nn

from trainer.programs.document import (
    DTYPES,
    FORMATS,
    MAX_LIST,
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
from trainer.programs.operators import NAMES
from trainer.programs.operators import operator as allowed

_LEFT_OUT = {"device", "layout", "pin_memory", "non_blocking", "generator"}
"""Where a tensor lies is for whoever trains."""

_IN_PLACE_OF = {
    # Memory that is not initialised holds what somebody had there before.
    "aten.empty.memory_format": "aten.zeros.default",
    "aten.empty_like.default": "aten.zeros_like.default",
    "aten.new_empty.default": "aten.new_zeros.default",
    "aten.lift_fresh_copy.default": "aten.clone.default",
    # Which tensors lie in one piece differs from kernel to kernel; a view of one that does not is an error.
    "aten.view.default": "aten.reshape.default",
    "aten._unsafe_view.default": "aten.reshape.default",
}
_NO_EFFECT = {
    "aten._assert_scalar.default",
    "aten._assert_tensor_metadata.default",
    "aten.sym_constrain_range_for_size.default",
}
_SIZES = {
    operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, operator.neg, operator.pow,
    operator.eq, operator.ne, operator.ge, operator.gt, operator.le, operator.lt,
    torch.sym_max, torch.sym_min, torch.ops.aten.sym_size.int,
}  # fmt: skip


class Tracer:
    """Graphs that share tensors. tensors, roles: by name, in the module's own order, constants last."""

    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self.roles: dict[str, Literal["trainable", "frozen", "constant"]] = {}
        self._names: dict[int, str] = {}

    def trace(self, whole: nn.Module, batch: Sequence[torch.Tensor], inputs: Sequence[str]) -> Graph:
        """whole: as it is in its mode. batch: inputs, and the target if it takes one. Raises ValueError."""
        self._enter_trainable(whole)
        size = torch.export.Dim("batch", min=1, max=2**16)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                shapes = (tuple({0: size} for _ in batch),)
                program = torch.export.export(whole, tuple(batch), dynamic_shapes=shapes).run_decompositions({})
        except Exception as error:  # whatever torch says of the owner's code is for the owner
            told = " ".join(str(error).split())[:1000]
            raise ValueError(f"torch.export does not take the module: {type(error).__name__}: {told}") from error
        signature = program.graph_signature
        changed = [_own_name(name) for name in signature.buffers_to_mutate.values()]
        if changed or signature.user_inputs_to_mutate:
            raise ValueError(f"training changes {', '.join(changed) or 'an input'}: only parameters can change")
        writer = _Writer()
        names = iter([*(InputRef(name=name) for name in inputs), TargetRef()])
        constants = {**program.constants, **dict(whole.named_buffers()), **dict(whole.named_parameters())}
        held = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        for node in program.graph.nodes:
            if node.op == "placeholder" and node.name in held and node.users:
                writer.known[node] = TensorRef(
                    name=self._enter(_find(whole, constants, held[node.name]), held[node.name])
                )
            elif node.op == "placeholder" and node.name not in held:
                writer.known[node] = next(names)
        outputs = writer.write(program.graph_module)
        if len(outputs) != 1 or not isinstance(outputs[0], NodeRef | TensorRef | InputRef | TargetRef):
            raise ValueError(f"it gives {len(outputs)} results; one tensor is needed: give a loss, and a predict")
        return _pruned(writer.nodes, outputs[0])

    def _enter_trainable(self, whole: nn.Module) -> None:
        for name, parameter in whole.named_parameters():
            if parameter.requires_grad:
                self._enter(parameter, name)

    def _enter(self, tensor: torch.Tensor, traced: str) -> str:
        """The name of a tensor in the file; tied weights, and equal constants, have one."""
        if id(tensor) in self._names:
            return self._names[id(tensor)]
        parameter = isinstance(tensor, nn.Parameter)
        name = _own_name(traced)
        if not parameter:
            same = (n for n, t in self.tensors.items() if self.roles[n] == "constant" and _same(t, tensor))
            if (found := next(same, None)) is not None:
                return found
            while name in self.tensors:
                name += "_"
        if name in self.tensors:
            raise ValueError(f"module and loss both have a parameter {name!r}: rename one")
        if tensor.dtype != torch.float32 and parameter and tensor.requires_grad:
            raise ValueError(f"parameter {name!r} is {tensor.dtype}; what is trained is float32")
        self.tensors[name], self._names[id(tensor)] = tensor, name
        self.roles[name] = "constant" if not parameter else "trainable" if tensor.requires_grad else "frozen"
        return name


def _find(whole: nn.Module, constants: Mapping[str, Any], name: str) -> torch.Tensor:
    """Parameters and buffers under any of their names; else what the code has made or closed over."""
    try:
        return whole.get_parameter(name)
    except AttributeError:
        tensor: torch.Tensor = constants[name]
        return tensor


def _own_name(name: str) -> str:
    return name.removeprefix("module.") if name.startswith("module.") else name.replace("then.", "loss.", 1)


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and bool(torch.equal(one, other))


class _Writer:
    """known: what a torch node is in Merit's graph: a reference, or several where it gives several."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.known: dict[torch.fx.Node, Any] = {}

    def write(self, module: torch.fx.GraphModule) -> list[Any]:
        """Adds the nodes; the references that the graph gives."""
        for node in module.graph.nodes:
            if node.op == "output":
                (given,) = node.args
                return [self.known.get(each) for each in (given if isinstance(given, list | tuple) else [given])]
            if node.op == "call_function" and node.target not in _SIZES and str(node.target) not in _NO_EFFECT:
                self.known[node] = self._call(module, node)
        raise ValueError("the graph has no output")

    def _call(self, module: torch.fx.GraphModule, node: torch.fx.Node) -> Any:
        if node.target is operator.getitem:
            of, item = self.known[cast(torch.fx.Node, node.args[0])], cast(int, node.args[1])
            return of[item] if isinstance(of, list) else NodeRef(index=of.index, item=item)
        if str(node.target) == "wrap_with_set_grad_enabled":
            enabled, inner, *given = node.args
            return self._inline(getattr(module, str(inner.target)), given, bool(enabled))  # type: ignore[union-attr]
        name = _IN_PLACE_OF.get(str(node.target), str(node.target))
        if name not in NAMES:
            where = node.meta.get("stack_trace") or ""
            place = next((line.strip() for line in reversed(where.splitlines()) if line.strip()), "")
            raise ValueError(
                f"operator {name} is not one that an exported program may use{': ' + place if place else ''}"
            )
        schema = allowed(name)._schema.arguments
        given_by_name = dict(zip([each.name for each in schema], node.args, strict=False)) | node.kwargs
        arguments = {
            each.name: self._value(given_by_name[each.name])
            for each in schema
            if each.name in given_by_name and each.name not in _LEFT_OUT
        }
        names = {each.name for each in schema}
        if {"device", "dtype"} <= names and isinstance(value := node.meta.get("val"), torch.Tensor):
            arguments["dtype"] = _plain(value.dtype)
        for optional in ("memory_format", "dtype"):
            if isinstance(arguments.get(optional), NoneValue):
                del arguments[optional]
        self.nodes.append(Node(op=name, arguments=arguments))
        return NodeRef(index=len(self.nodes) - 1)

    def _inline(self, inner: torch.fx.GraphModule, given: Sequence[Any], enabled: bool) -> list[Any]:
        """Code under torch.no_grad is code whose results are detached."""
        places = [node for node in inner.graph.nodes if node.op == "placeholder"]
        for place, value in zip(places, given, strict=True):
            if value in self.known:
                self.known[place] = self.known[value]
        outputs = self.write(inner)
        if enabled:
            return outputs
        detached = []
        for each in outputs:
            self.nodes.append(Node(op="aten.detach.default", arguments={"self": each}))
            detached.append(NodeRef(index=len(self.nodes) - 1))
        return detached

    def _value(self, value: Any) -> Argument:
        if isinstance(value, torch.fx.Node):
            if value in self.known:
                found: Argument = self.known[value]
                return found
            return _size(value.meta["val"])
        if isinstance(value, list | tuple):
            if len(value) > MAX_LIST:
                raise ValueError(f"a list has {len(value)} entries, at most {MAX_LIST} are possible")
            return ListValue(values=[self._value(each) for each in value])  # type: ignore[misc]
        return _plain(value)


def _plain(value: Any) -> Argument:
    if value is None:
        return NoneValue()
    if isinstance(value, bool):
        return BoolValue(value=value)
    if isinstance(value, int):
        return IntValue(value=value)
    if isinstance(value, float):
        if math.isnan(value):
            raise ValueError("a number is NaN")
        return FloatValue(value=value if math.isfinite(value) else "inf" if value > 0 else "-inf")
    if isinstance(value, str):
        return StringValue(value=value)
    for kind, words in ((DtypeValue, DTYPES), (LayoutValue, FORMATS)):
        for word, meant in words.items():
            if value is meant:
                return kind(value=word)  # type: ignore[arg-type]
    raise ValueError(f"{str(value)[:100]} is nothing that an exported program may hold")


def _size(value: Any) -> Argument:
    """A size as a polynomial of the batch."""
    import sympy  # type: ignore[import-untyped]  # noqa: PLC0415 (only here, on the owner's own sizes)

    if isinstance(value, int):
        return IntValue(value=value)
    expression = sympy.sympify(value.node.expr)
    symbols = sorted(expression.free_symbols, key=str)
    try:
        polynomial = sympy.Poly(expression, *symbols) if len(symbols) == 1 else None
        coefficients = [int(c) for c in reversed(polynomial.all_coeffs())] if polynomial else []
        if not coefficients or any(int(c) != c for c in polynomial.all_coeffs()):  # type: ignore[union-attr]
            raise ValueError("no whole numbers")
    except (sympy.PolynomialError, ValueError, TypeError) as error:
        raise ValueError(f"a size is {expression}: only sums and products of the batch are possible") from error
    return SizeValue(coefficients=coefficients)


def _pruned(nodes: Sequence[Node], output: Any) -> Graph:
    """Without the nodes that the output does not need."""
    needed: set[int] = {output.index} if isinstance(output, NodeRef) else set()
    for at in range(len(nodes) - 1, -1, -1):
        if at in needed:
            needed |= {ref.index for ref in _refs(nodes[at])}
    places = {old: new for new, old in enumerate(sorted(needed))}

    def moved(value: Any) -> Any:
        if isinstance(value, NodeRef):
            return NodeRef(index=places[value.index], item=value.item)
        return ListValue(values=[moved(each) for each in value.values]) if isinstance(value, ListValue) else value

    kept = [
        Node(op=nodes[at].op, arguments={name: moved(value) for name, value in nodes[at].arguments.items()})
        for at in sorted(needed)
    ]
    return Graph(nodes=kept, output=moved(output))


def _refs(node: Node) -> list[NodeRef]:
    values: list[Any] = []
    for value in node.arguments.values():
        values += value.values if isinstance(value, ListValue) else [value]
    return [value for value in values if isinstance(value, NodeRef)]
