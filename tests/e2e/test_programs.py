"""Whole jobs whose model is a file of their owner's, and jobs that go on with another's model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load
from torch import nn
from torch.nn import functional

from marketplace.domain import State
from marketplace.errors import CorruptContent, InputError
from marketplace.services.audit import audit_job
from marketplace.services.node import JobFeed, fetch_spec, job_key
from marketplace.services.owner import create_job, export_model, reveal_validation
from marketplace.services.programs import fetch_files, fetch_program, find_files
from marketplace.storage import get_bytes
from tests.jobs import World, blobs, job_file, new_play
from trainer.models import trained
from trainer.programs.export import Source, export
from zk.files import max_model_file_bytes, unpack_model

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

PROGRAM = {"model": {"architecture": "program", "parameters": {"file": "own.safetensors"}}}


class Own(nn.Module):
    """A module that Merit does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.outside = nn.Linear(2, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.outside(torch.tanh(self.inside(x)))
        return logits


def focal(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Lin et al. 2017, arXiv:1708.02002: what is right already counts less."""
    losses = functional.cross_entropy(logits, target, reduction="none")
    return losses * (1 - torch.exp(-losses))


def written(folder: Path) -> dict[str, Path]:
    torch.manual_seed(4)
    source = Source(Own(), focal, {"x": torch.randn(2, 2)}, torch.tensor([0, 1]))
    path = folder / "own.safetensors"
    path.write_bytes(export(source))
    return {"own.safetensors": path}


def test_a_job_with_its_owners_own_module_and_loss_is_trained_paid_and_audited(world: World) -> None:
    play = new_play(world, parts=PROGRAM, files=written(world.folder))
    assert play.finish() is State.COMPLETED
    key = job_key(play.owner, play.history())
    reveal_validation(play.owner, play.job_id)
    report = audit_job(world.watcher("auditor"), play.job_id, job_key=key)
    assert report.findings == []
    assert [entry.name for entry in report.found] == ["accuracy"] * 3
    assert report.found[-1].loss < report.found[0].loss
    tensors = load(export_model(play.owner, play.job_id).content)
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        "inside.weight": (4, 2), "inside.bias": (4,), "outside.weight": (2, 4), "outside.bias": (2,),
    }  # fmt: skip


def test_a_file_is_fetched_once_and_again_where_the_copy_is_damaged(world: World) -> None:
    play = new_play(world, parts=PROGRAM, files=written(world.folder))
    node = play.trainers[0]
    spec = fetch_spec(node.storage, play.history().created)
    (path,) = fetch_files(node, spec).values()
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert fetch_files(node, spec)["own.safetensors"].read_bytes() == content


def test_another_file_under_the_jobs_name_is_refused(world: World) -> None:
    play = new_play(world, parts=PROGRAM, files=written(world.folder))
    node = play.trainers[0]
    spec = fetch_spec(node.storage, play.history().created)
    other = spec.files["own.safetensors"].model_copy(update={"cid": spec.base_cid})
    with pytest.raises(CorruptContent, match=r"own\.safetensors, at .*, is not the one that the job names"):
        fetch_program(node, spec.model_copy(update={"files": {"own.safetensors": other}}))


def test_a_description_that_says_another_size_is_refused_before_the_model_is_built(world: World) -> None:
    play = new_play(world, parts=PROGRAM, files=written(world.folder))
    spec = fetch_spec(play.owner.storage, play.history().created)
    with pytest.raises(CorruptContent, match=r"says 23 parameters, its model has 22"):
        fetch_program(play.trainers[0], spec.model_copy(update={"parameters": 23}))


def test_a_file_that_is_not_there_is_named(world: World) -> None:
    job = job_file(world.node("aggregator"), parts=PROGRAM)
    with pytest.raises(InputError, match=r"names the file own\.safetensors, which is not there"):
        find_files(job, lambda name: world.folder / name)
    with pytest.raises(InputError, match=r"own\.safetensors is not at hand"):
        create_job(world.node("owner"), job, blobs(80, 1))


def test_a_program_that_takes_other_data_than_the_job_has_is_refused(world: World) -> None:
    wide = {"data": {"features": {"x": {"kind": "tensor", "shape": [3]}}, "target": {"kind": "category", "classes": 2}}}
    job = job_file(world.node("aggregator"), parts=PROGRAM | wide)
    with pytest.raises(InputError, match=r"takes inputs x float32\[2\], the data have x float32\[3\]"):
        create_job(world.node("owner"), job, None, files=written(world.folder))


def test_a_job_that_continues_another_starts_from_its_final_model(world: World) -> None:
    first = new_play(world)
    assert first.finish() is State.COMPLETED
    final = export_model(first.owner, first.job_id)
    job = job_file(first.aggregator, parts={"continue": first.job_id})
    created = create_job(first.owner, job, blobs(80, 1))
    spec = fetch_spec(first.owner.storage, JobFeed(first.owner, created.job_id).refresh().created)
    base = unpack_model(
        get_bytes(first.owner.storage, spec.base_cid, max_bytes=max_model_file_bytes(spec.parameters)), spec.parameters
    )
    tensors = load(final.content)
    names = trained(fetch_program(first.owner, spec).module)
    assert np.array_equal(base, np.concatenate([tensors[name].reshape(-1) for name in names]))
