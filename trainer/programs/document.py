"""The format "merit/program/v1": what an exported program's file holds.

One safetensors file. Its tensors are the weights; its metadata have one entry, under the format's name: the JSON of a
`Document`. There is no archive to unpack, no pickle, no expression, and nothing that names code but operators from
trainer/programs/operators.py. Whoever reads checks all of it; see trainer/programs/reading.py.
"""

import json
from math import prod
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from trainer.config import MAX_VALUES

FORMAT = "merit/program/v1"
MAX_GRAPH = 2**24
"""Most bytes of the graphs' JSON."""
MAX_NODES = 20_000
"""Most nodes of the three graphs together."""
MAX_TENSORS = 2**14
MAX_LIST = 2**10

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float32, torch.float64, torch.float16, torch.bfloat16,
        torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
    )
}  # fmt: skip
FORMATS = {
    str(form).removeprefix("torch."): form
    for form in (torch.contiguous_format, torch.preserve_format, torch.channels_last)
}


def _shown(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a name has characters that are not shown")
    return name


Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+){0,23}$", max_length=200)]
InputName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_shown)]
DtypeName = Literal[
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"
]  # fmt: skip


class Part(BaseModel):
    """Base of all parts: unknown fields refused, no value of another type converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, str_max_length=MAX_GRAPH)


class InputRef(Part):
    """An input of the batch."""

    kind: Literal["input"] = "input"
    name: InputName


class TargetRef(Part):
    """The batch's target."""

    kind: Literal["target"] = "target"


class TensorRef(Part):
    """A weight or constant of the file."""

    kind: Literal["tensor"] = "tensor"
    name: Name


class NodeRef(Part):
    """What an earlier node of the same graph gives; `item` of it where it gives several."""

    kind: Literal["node"] = "node"
    index: int = Field(ge=0, lt=MAX_NODES)
    item: int | None = Field(default=None, ge=0, lt=2**12)


class IntValue(Part):
    kind: Literal["int"] = "int"
    value: Int64


class FloatValue(Part):
    """A finite number, or one of two words: no JSON number is infinite."""

    kind: Literal["float"] = "float"
    value: float | Literal["inf", "-inf"]


class BoolValue(Part):
    kind: Literal["bool"] = "bool"
    value: bool


class StringValue(Part):
    kind: Literal["string"] = "string"
    value: str = Field(max_length=100, pattern=r"^[a-zA-Z0-9_,>. -]*$")


class DtypeValue(Part):
    """float32 stands for the program's own float: float64 where gradients are taken in it."""

    kind: Literal["dtype"] = "dtype"
    value: DtypeName


class LayoutValue(Part):
    """How memory is laid out."""

    kind: Literal["memory_format"] = "memory_format"
    value: Literal["contiguous_format", "preserve_format", "channels_last"]


class SizeValue(Part):
    """A size that grows with the batch: Σ coefficients[k] · batch^k."""

    kind: Literal["size"] = "size"
    coefficients: list[Annotated[int, Field(ge=-(2**32), le=2**32)]] = Field(min_length=2, max_length=5)


class NoneValue(Part):
    kind: Literal["none"] = "none"


_Ref = InputRef | TargetRef | TensorRef | NodeRef
_Single = _Ref | IntValue | FloatValue | BoolValue | StringValue | DtypeValue | LayoutValue | SizeValue | NoneValue
Ref = Annotated[_Ref, Field(discriminator="kind")]
Single = Annotated[_Single, Field(discriminator="kind")]


class ListValue(Part):
    kind: Literal["list"] = "list"
    values: list[Single] = Field(max_length=MAX_LIST)


Argument = Annotated[_Single | ListValue, Field(discriminator="kind")]


class Node(Part):
    """One call. op: such as aten.add.Tensor; arguments: by the names in the operator's schema."""

    op: str = Field(max_length=100)
    arguments: dict[Annotated[str, Field(max_length=64)], Argument] = Field(max_length=32)


class Graph(Part):
    nodes: list[Node] = Field(max_length=MAX_NODES)
    output: Ref


class Samples(Part):
    """An input, or the target: shape of one sample. Batches of it are [batch, *shape]."""

    dtype: DtypeName
    shape: list[Annotated[int, Field(ge=1, le=MAX_VALUES)]] = Field(max_length=8)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if prod(self.shape) > MAX_VALUES:
            raise ValueError(f"a sample has more than {MAX_VALUES} values")
        return self


class NamedSamples(Samples):
    name: InputName


class TensorEntry(Part):
    """Shape and dtype are the file's. trainable: float32; constant: what training and fine-tuning leave alone."""

    name: Name
    role: Literal["trainable", "frozen", "constant"]


class Document(Part):
    """training, evaluation: the loss of a batch, float[batch] or the mean; prediction: float[batch, …]."""

    inputs: list[NamedSamples] = Field(min_length=1, max_length=64)
    target: Samples | None
    tensors: list[TensorEntry] = Field(min_length=1, max_length=MAX_TENSORS)
    training: Graph
    evaluation: Graph
    prediction: Graph

    @property
    def graphs(self) -> dict[str, Graph]:
        return {"training": self.training, "evaluation": self.evaluation, "prediction": self.prediction}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for what, names in (
            ("input", [each.name for each in self.inputs]),
            ("tensor", [each.name for each in self.tensors]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"two {what}s have one name")
        if sum(len(graph.nodes) for graph in self.graphs.values()) > MAX_NODES:
            raise ValueError(f"the graphs have more than {MAX_NODES} nodes")
        return self


def read_document(text: str) -> Document:
    """Raises ValueError, a clause, for what is no document within the bounds."""
    if len(text) > MAX_GRAPH:
        raise ValueError(f"the graphs are longer than {MAX_GRAPH} characters")
    try:
        json.loads(text, object_pairs_hook=_once)
        return Document.model_validate_json(text)
    except RecursionError as error:
        raise ValueError("the graphs are nested too deeply") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:200]
        raise ValueError(_printable(f"the graphs are wrong at {where or 'the top'}: {first['msg']}")) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the graphs give a name twice")
    return found


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:400]
