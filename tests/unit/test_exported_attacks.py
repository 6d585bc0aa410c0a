"""A stranger's program is refused in one sentence for whatever it is not, before anything of it is computed."""

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.target import mutations
from tests.programs import opened, small, taken_apart, written
from trainer.programs.document import FORMAT
from trainer.programs.reading import outline

Change = Callable[[dict[str, Any], dict[str, torch.Tensor]], object]


def _node(op: str, **arguments: Any) -> dict[str, Any]:
    return {"op": op, "arguments": arguments}


def _int(value: int) -> dict[str, Any]:
    return {"kind": "int", "value": value}


def _ints(*values: int) -> dict[str, Any]:
    return {"kind": "list", "values": [_int(value) for value in values]}


def _size(*coefficients: int) -> dict[str, Any]:
    return {"kind": "size", "coefficients": list(coefficients)}


X = {"kind": "input", "name": "x"}
BIAS = {"kind": "tensor", "name": "last.bias"}
FLOAT32 = {"kind": "dtype", "value": "float32"}
HALF = {"kind": "float", "value": 0.5}
LAST = {"kind": "none"}


def _before_the_loss(*nodes: dict[str, Any], graph: str = "training") -> Change:
    """Nodes between the logits and the loss: each takes what the one before it gives, as LAST."""

    def change(document: dict[str, Any], _: dict[str, torch.Tensor]) -> None:
        found = document[graph]["nodes"]
        loss = found.pop()
        for node in nodes:
            place = {"kind": "node", "index": len(found) - 1}
            arguments = {name: place if value is LAST else value for name, value in node["arguments"].items()}
            found.append({"op": node["op"], "arguments": arguments})
        loss["arguments"]["self"] = {"kind": "node", "index": len(found) - 1}
        found.append(loss)
        document[graph]["output"]["index"] = len(found) - 1

    return change


def _beside(*nodes: dict[str, Any]) -> Change:
    """Nodes that begin with one that takes nothing; their sum is added to the logits, which are node 3."""
    logits = {"kind": "node", "index": 3}
    return _before_the_loss(
        *nodes, _node("aten.sum.default", self=LAST), _node("aten.add.Tensor", self=logits, other=LAST)
    )


def _full(*size: dict[str, Any]) -> dict[str, Any]:
    return _node("aten.full.default", size={"kind": "list", "values": list(size)}, fill_value=_int(0), dtype=FLOAT32)


def _set(path: str, value: Any) -> Change:
    """Puts a value at a place of the document such as training.nodes.0.op."""

    def change(document: dict[str, Any], _: dict[str, torch.Tensor]) -> None:
        *before, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        here: Any = document
        for part in before:
            here = here[part]
        here[last] = value

    return change


def _tensor(name: str, value: torch.Tensor) -> Change:
    return lambda _, tensors: tensors.update({name: value})


def _new_tensor(name: str, role: str, value: torch.Tensor) -> Change:
    def change(document: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        document["tensors"].append({"name": name, "role": role})
        tensors[name] = value

    return change


HUGE = 2**40
ATTACKS: dict[str, tuple[Change, str]] = {
    # ------------------------------------------------ operators that do more than to give a value
    "in place": (_before_the_loss(_node("aten.add_.Tensor", self=LAST, other=_int(1))), "not one that"),
    "an out variant": (_before_the_loss(_node("aten.add.out", self=LAST, other=_int(1), out=LAST)), "not one that"),
    "uninitialised memory": (_before_the_loss(_node("aten.empty_like.default", self=LAST)), "not one that"),
    "memory beside a tensor": (
        _before_the_loss(_node("aten.as_strided.default", self=LAST, size=_ints(9), stride=_ints(9))),
        "not one that",
    ),
    "a file": (_before_the_loss(_node("aten.from_file.default", filename="/etc/passwd")), "graphs are wrong"),
    "a reduction that is none": (_set("training/nodes/4/arguments/reduction/value", 7), "has the reduction 7"),
    "a reduction below none": (_set("evaluation/nodes/3/arguments/reduction/value", -1), "has the reduction -1"),
    "a number out of values": (_before_the_loss(_node("aten._local_scalar_dense.default", self=LAST)), "not one that"),
    "a shape out of values": (_before_the_loss(_node("aten.nonzero.default", self=LAST)), "not one that"),
    "another namespace": (_before_the_loss(_node("prims.add.default", self=LAST, other=_int(1))), "not one that"),
    "a custom operator": (_before_the_loss(_node("evil.system.default", self=LAST)), "not one that"),
    "a way to Python's own": (_before_the_loss(_node("aten.__class__.__init__", self=LAST)), "not one that"),
    "an operator without an overload": (_before_the_loss(_node("aten.relu", self=LAST)), "not one that"),
    "an argument that there is none of": (_before_the_loss(_node("aten.relu.default", self=LAST, more=LAST)), "'more'"),
    "a device": (
        _before_the_loss(
            _node("aten.zeros_like.default", self=LAST, device={"kind": "string", "value": "cuda"}),
        ),
        "device, which is not",
    ),
    "pinned memory": (
        _before_the_loss(_node("aten.zeros_like.default", self=LAST, pin_memory={"kind": "bool", "value": True})),
        "pin_memory, which is not",
    ),
    "statistics that change": (
        _before_the_loss(
            _node(
                "aten.batch_norm.default",
                input=LAST,
                weight={"kind": "none"},
                bias={"kind": "none"},
                running_mean=BIAS,
                running_var=BIAS,
                training={"kind": "bool", "value": True},
                momentum={"kind": "float", "value": 0.1},
                eps={"kind": "float", "value": 1e-5},
                cudnn_enabled={"kind": "bool", "value": False},
            )
        ),
        "running statistics",
    ),
    "sparse gradients": (
        _before_the_loss(
            _node("aten.embedding.default", weight=LAST, indices=X, sparse={"kind": "bool", "value": True})
        ),
        "sparse",
    ),
    "random numbers in evaluation": (
        _before_the_loss(_node("aten.rand_like.default", self=LAST), graph="evaluation"),
        "random numbers",
    ),
    "dropout in evaluation": (
        _before_the_loss(
            _node(
                "aten.dropout.default",
                input=LAST,
                p={"kind": "float", "value": 0.5},
                train={"kind": "bool", "value": True},
            ),
            graph="evaluation",
        ),
        "random numbers",
    ),
    # ------------------------------------------------ values that shapes hang on
    "a mask as positions": (
        _before_the_loss(
            _node("aten.gt.Scalar", self=LAST, other=_int(0)),
            _node("aten.index.Tensor", self=BIAS, indices={"kind": "list", "values": [LAST]}),
        ),
        "graphs are wrong|nonzero|node",
    ),
    "a tensor for a size": (_before_the_loss(_node("aten.select.int", self=LAST, dim=_int(0), index=X)), "not for it"),
    "a tensor for a number": (_before_the_loss(_node("aten.add.Scalar", self=LAST, other=X)), "other is a input"),
    "classes out of values": (_before_the_loss(_node("aten.one_hot.default", self=LAST)), "num_classes"),
    # ------------------------------------------------ expressions
    "an expression for a size": (_set("training/nodes/0/arguments/x", {"kind": "size", "value": "2*s0"}), "wrong at"),
    "an expression as a name": (_set("training/nodes/0/op", "__import__('os').system('true')"), "not one that"),
    "a string with code": (
        _before_the_loss(_node("aten.gelu.default", self=LAST, approximate={"kind": "string", "value": "__('`')"})),
        "wrong at",
    ),
    # ------------------------------------------------ sizes
    "a tensor of terabytes": (_beside(_full(_int(2**20), _int(2**20))), "node 4 .*too large"),
    "more values than 64 bits count": (_beside(_full(_int(HUGE), _int(HUGE))), "node 4"),
    "a view of terabytes": (
        _beside(_full(_int(1)), _node("aten.expand.default", self=LAST, size=_ints(2**30, 1))),
        "node 5 .*too large",
    ),
    "many tensors that are not too large": (
        _beside(_full(_int(2**25)), *[_node("aten.add.Tensor", self=LAST, other=_int(1))] * 3),
        "values",
    ),
    "a size below nothing": (_beside(_full(_int(-5))), "node 4"),
    "a size of the batch's fourth power": (_beside(_full(_size(0, 0, 0, 0, 2**30))), "too large"),
    "a million pieces": (_beside(_full(_int(2**20)), _node("aten.unbind.int", self=LAST)), "pieces"),
    "a million pieces by halves": (
        _beside(_full(_int(2**20)), _node("aten.split.Tensor", self=LAST, split_size=_int(2))),
        "pieces",
    ),
    "work without end": (
        _beside(_full(_int(8000), _int(8000)), _node("aten.mm.default", self=LAST, mat2=LAST)),
        "multiplications",
    ),
    "a number of more than 64 bits": (
        _before_the_loss(_node("aten.add.Tensor", self=LAST, other=_int(2**63))),
        "wrong",
    ),
    "an argument of a million entries": (
        _before_the_loss(_node("aten.reshape.default", self=LAST, shape=_ints(*[1] * 100_000))),
        "wrong at",
    ),
    "forty dimensions": (
        _before_the_loss(_node("aten.reshape.default", self=LAST, shape=_ints(-1, *[1] * 40))),
        "node",
    ),
    "a dimension that is none": (
        _before_the_loss(_node("aten.sum.dim_IntList", self=LAST, dim=_ints(7))),
        "node 4 .*out of range",
    ),
    # ------------------------------------------------ graphs that are none
    "a cycle": (_set("training/nodes/1/arguments/self", {"kind": "node", "index": 1}), "does not come before"),
    "a reference forward": (_set("training/nodes/1/arguments/self", {"kind": "node", "index": 3}), "does not come"),
    "an output of no node": (_set("training/output/index", 99), "does not come before"),
    "an item of what gives one": (_set("evaluation/output/item", 0), "gives one tensor"),
    "an item beyond the last": (_set("training/nodes/3/arguments/input/item", 99), "node 3 "),
    "an unknown tensor": (_set("training/nodes/0/arguments/weight/name", "other"), "no tensor 'other'"),
    "an unknown input": (_set("training/nodes/0/arguments/input/name", "y"), "no input 'y'"),
    "a target where none is": (_set("prediction/output", {"kind": "target"}), "takes a target"),
    "a node that nothing uses": (
        lambda document, _: document["training"].update(output={"kind": "node", "index": 0}),
        "nothing uses it",
    ),
    "an argument that is missing": (
        lambda document, _: document["training"]["nodes"][0]["arguments"].pop("weight"),
        "weight is missing",
    ),
    "a field that is unknown": (_set("code", "print()"), "wrong at code"),
    "another kind of value": (_set("training/nodes/0/arguments/weight", {"kind": "lambda", "value": "x"}), "wrong at"),
    "a string for a number": (
        _before_the_loss(_node("aten.add.Tensor", self=LAST, other={"kind": "int", "value": "1"})),
        "wrong",
    ),
    "two inputs of one name": (lambda document, _: document["inputs"].append(document["inputs"][0]), "one name"),
    "two tensors of one name": (lambda document, _: document["tensors"].append(document["tensors"][0]), "one name"),
    "a loss of another shape": (
        _set("training/output", {"kind": "node", "index": 3}),
        "nothing uses|shape",
    ),
    "a loss that nothing trained reaches": (
        _before_the_loss(_node("aten.detach.default", self=LAST)),
        "depends on no trainable",
    ),
    "predictions of another number": (
        lambda document, _: (
            document["prediction"]["nodes"].append(
                _node("aten.sum.default", self=document["prediction"]["output"]),
            ),
            document["prediction"].update(output={"kind": "node", "index": len(document["prediction"]["nodes"]) - 1}),
        ),
        "have . rows",
    ),
    "too many nodes": (
        lambda document, _: document["training"].update(nodes=document["training"]["nodes"] * 5000),
        "wrong at|more than",
    ),
    # ------------------------------------------------ tensors
    "a tensor that no graph uses": (_new_tensor("other", "frozen", torch.ones(2)), "used nowhere"),
    "a tensor that is not named": (_tensor("other", torch.ones(2)), "not those that its graphs name"),
    "a name with a path": (_new_tensor("../x", "frozen", torch.ones(2)), "wrong at"),
    "a name of the module's own": (_new_tensor("forward", "frozen", torch.ones(2)), "something else has"),
    "a name within a tensor": (_new_tensor("last.bias.x", "trainable", torch.ones(2)), "something else has"),
    "a name without end": (_new_tensor(".".join("a" * 99), "frozen", torch.ones(2)), "wrong at"),
    "a trained tensor of float64": (_tensor("last.bias", torch.ones(2).double()), "is float64"),
    "a trained tensor of whole numbers": (_tensor("last.bias", torch.ones(2).long()), "is int64"),
    "a complex tensor": (_tensor("last.bias", torch.ones(2).to(torch.complex64)), "C64|complex|no safetensors"),
    "an empty tensor": (_tensor("last.bias", torch.ones(0)), "is empty"),
    "a tensor of another shape": (_tensor("last.bias", torch.ones(3)), "node"),
    "NaN": (_tensor("last.bias", torch.tensor([1.0, torch.nan])), "not finite"),
    "an infinite weight": (_tensor("last.bias", torch.tensor([1.0, torch.inf])), "not finite"),
    "an input without end": (_set("inputs/0/shape", [2**22] * 8), "node|too large|wrong"),
    "a name that draws on the terminal": (_set("inputs/0/name", "\x1b[31m"), "not shown"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_program_is_refused_by_name_and_soon(name: str) -> None:
    document, tensors = taken_apart(small())
    change, why = ATTACKS[name]
    change(document, tensors)
    started = time.process_time()
    with pytest.raises(ValueError, match=why) as refused:
        opened(written(document, tensors))
    assert time.process_time() - started < 20
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 1000


def test_the_program_that_is_attacked_is_taken_as_it_was() -> None:
    document, tensors = taken_apart(small())
    opened(written(document, tensors))
    _before_the_loss(_node("aten.mul.Tensor", self=LAST, other=_int(2)))(document, tensors)
    opened(written(document, tensors))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "nested too deeply|wrong"),
        ('{"inputs":' * 5000, "nested too deeply|Expecting|wrong"),
        ("", "Expecting"),
        ("null", "wrong at"),
        ('{"inputs":[],"inputs":[]}', "a name twice"),
        ("9" * 100_000, "digits"),
        ("\\ud800", "Expecting"),
    ],
)
def test_graphs_that_are_no_json_of_theirs_are_refused(text: str, why: str) -> None:
    _, tensors = taken_apart(small())
    with pytest.raises(ValueError, match=why):
        opened(written(text, tensors))


@pytest.mark.parametrize("number", ["1e999", "NaN", "-Infinity"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    document, tensors = taken_apart(small())
    _before_the_loss(_node("aten.mul.Tensor", self=LAST, other={"kind": "float", "value": 987.5}))(document, tensors)
    with pytest.raises(ValueError, match="wrong at"):
        opened(written(json.dumps(document).replace("987.5", number), tensors))


def test_files_of_other_formats_and_sizes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "it"
    content = small()
    for bad in (
        b"",
        b"PK\x03\x04" + bytes(100),
        b"\x80\x04.",
        content[:-1],
        content[:40],
        content + b"x",
        (2**40).to_bytes(8, "little") + content[8:],
    ):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match="it is no program that can be used"):
            outline(path)
    path.write_bytes(content.replace(FORMAT.encode(), b"merit/program/v2"))
    with pytest.raises(ValueError, match="merit/program/v1"):
        outline(path)
    path.touch()
    with path.open("r+b") as file:
        file.truncate(2**33 + 1)
    with pytest.raises(ValueError, match="bytes, at most"):
        outline(path)


def test_a_batch_for_which_a_program_grows_out_of_bounds_is_refused_before_it_is_computed() -> None:
    document, tensors = taken_apart(small())
    grown = {"kind": "list", "values": [_size(0, 0, 0, 2**14)]}
    _before_the_loss(
        _node("aten.mul.Tensor", self=LAST, other=_int(1)),
        _node("aten.full.default", size=grown, fill_value=_int(0), dtype=FLOAT32),
        _node("aten.mean.default", self=LAST),
        _node("aten.add.Tensor", self=LAST, other={"kind": "node", "index": 4}),
    )(document, tensors)
    program = opened(written(document, tensors))
    assert program.cost.values > 2**14 * 1023**2, "what a sample costs in large batches is counted"
    batch = {"x": torch.ones(3, 3)}, torch.zeros(3, dtype=torch.int64)
    assert program.losses(*batch).shape == (3,)
    large = {"x": torch.ones(3000, 3)}, torch.zeros(3000, dtype=torch.int64)
    with pytest.raises(ValueError, match="too large"):
        program.losses(*large)


def test_a_tensor_that_the_loss_does_not_reach_is_named() -> None:
    document, tensors = taken_apart(small())
    document["tensors"].append({"name": "spare", "role": "trainable"})
    assert opened(written(document, {**tensors, "spare": torch.ones(3)})).untrained == ("spare",)


_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([X, BIAS, _int(0), _int(-1), _int(2**62), _ints(0, 0), _size(1, 1), FLOAT32, {"kind": "none"}]),
    st.sampled_from(["aten.mm.default", "aten.lstm.input", "aten.max_pool2d.default", "aten.einsum.default"]),
)


def _places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(place for key, each in inner for place in _places(each, (*here, key)))]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_change_of_a_document_is_refused_or_gives_a_program_that_runs(data: st.DataObject) -> None:
    document, tensors = taken_apart(small())
    document = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 2))):
        *before, last = data.draw(st.sampled_from(_places(document)[1:]))
        here: Any = document
        for part in before:
            here = here[part]
        here[last] = data.draw(_LEAVES)
    try:
        program = opened(written(document, tensors))
    except ValueError as error:
        assert str(error).isprintable()  # noqa: PT017
        return
    inputs = {each.name: torch.zeros(2, *each.shape) for each in program.document.inputs}
    try:
        assert program.losses(inputs, torch.zeros(2, dtype=torch.int64)).numel() in (1, 2)
    except ValueError as error:
        assert "takes" in str(error) or "node" in str(error)  # noqa: PT017


def test_any_change_of_a_files_bytes_is_refused_or_gives_a_program() -> None:
    taken = 0
    for content in mutations([small()], 150, seed=7):
        try:
            opened(content + small()[len(content) :])
            taken += 1
        except ValueError as error:
            assert str(error).isprintable(), error  # noqa: PT017
    assert taken > 5, "changes of weights alone give programs"
