"""Exported programs: bytes of a whole file, and changes of a graph's JSON beside true weights."""

from functools import cache

import torch

from tests.fuzz.target import Target, hold
from tests.programs import mixed_source, opened, recurrent_source, small, taken_apart, written
from trainer.programs.document import FORMAT, read_document
from trainer.programs.export import export
from trainer.programs.exported import Exported
from trainer.programs.operators import NAMES


def _runs(program: Exported) -> None:
    """What the reader takes runs, or says why a batch is not for it; nothing but allowed operators is in it."""
    hold(set(program.operators) <= NAMES, "an operator that is not allowed")
    target = program.document.target
    y = None if target is None else torch.zeros(2, *target.shape, dtype=getattr(torch, target.dtype))
    inputs = {
        each.name: torch.zeros(2, *each.shape, dtype=getattr(torch, each.dtype)) for each in program.document.inputs
    }
    for training in (True, False):
        losses = program.train(training).losses(inputs, y)
        hold(losses.shape in ((), (2,)) and losses.is_floating_point(), "a loss of another shape")
    hold(len(program.predict(inputs)) == 2, "predictions of another number")


def _file(data: bytes) -> None:
    _runs(opened(data))


def _graph(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    document = read_document(text)
    hold(read_document(document.model_dump_json()) == document, "a graph changes on its way")
    _runs(opened(written(text, weights())))


@cache
def weights() -> dict[str, torch.Tensor]:
    return taken_apart(small())[1]


@cache
def files() -> list[bytes]:
    """Real exports: layers and dropout; convolution, norms, attention, embedding, half precision; recurrent layers."""
    real = [small(), export(mixed_source()), export(recurrent_source())]
    return [*real, small().replace(b"float32", b"float64", 1), small().replace(FORMAT.encode(), b"merit/program/v2")]


@cache
def graphs() -> list[bytes]:
    header = small()[8 : 8 + int.from_bytes(small()[:8], "little")]
    text = header[header.index(b'"{') + 1 : header.rindex(b'}"') + 1].replace(b'\\"', b'"')
    sized = text.replace(b'{"kind":"int","value":1}', b'{"kind":"size","coefficients":[0,1]}')
    reduced = text.replace(b'"reduction":{"kind":"int","value":0}', b'"reduction":{"kind":"int","value":3}')
    return [text, sized, reduced, text.replace(b"aten.relu.default", b"aten.cumsum.default"), b"[" * 3000]


TARGETS = [
    Target("program-file", _file, (ValueError,), files),
    Target("program-graph", _graph, (ValueError,), graphs),
]
