"""Models from descriptions: bounded before they cost memory, the same bits from the same seed, one vector each way."""

import re

import numpy as np
import pytest
import safetensors.torch
import torch
from pydantic import ValidationError
from torch import nn

from trainer.config import ModelConfig
from trainer.models import (
    MAX_PARAMETERS,
    Architecture,
    architectures,
    build,
    check_fits,
    count_parameters,
    flatten,
    load_flat,
    register,
    registry,
    to_safetensors,
)

MLP = ModelConfig(architecture="mlp", parameters={"inputs": 64, "hidden": [32, 16], "classes": 10}, seed=3)
CNN = ModelConfig(
    architecture="cnn",
    parameters={"channels": 1, "height": 8, "width": 8, "filters": [4, 6], "hidden": 12, "classes": 10},
)
BOTH = pytest.mark.parametrize("config", [MLP, CNN], ids=["mlp", "cnn"])


def test_every_file_of_the_package_is_in_the_registry():
    assert {"mlp", "cnn"} <= set(architectures())


@BOTH
def test_every_parameter_of_an_architecture_is_described(config):
    for name, field in architectures()[config.architecture].model_fields.items():
        assert field.description, name


def test_the_number_of_parameters_is_that_of_the_layers():
    assert count_parameters(MLP) == 64 * 32 + 32 + 32 * 16 + 16 + 16 * 10 + 10
    convolutions = (9 * 1 * 4 + 4) + (9 * 4 * 6 + 6) + 2 * 4 + 2 * 6
    assert count_parameters(CNN) == convolutions + (6 * 2 * 2 * 12 + 12) + (12 * 10 + 10)


@BOTH
def test_a_module_gives_one_logit_a_class_and_has_no_buffers(config):
    module = build(config)
    shape = (64,) if config is MLP else (1, 8, 8)
    assert module(torch.zeros(5, *shape)).shape == (5, 10)
    assert list(module.buffers()) == []
    assert len(flatten(module)) == count_parameters(config)
    check_fits(config, shape, 10)


def test_a_model_that_does_not_fit_the_data_is_refused():
    with pytest.raises(ValueError, match="does not take samples of shape"):
        check_fits(MLP, (63,), 10)
    with pytest.raises(ValueError, match="logits"):
        check_fits(MLP, (1, 8, 8), 9)
    with pytest.raises(ValueError, match="does not take samples of shape"):
        check_fits(CNN, (3, 8, 8), 10)


@BOTH
def test_the_seed_alone_decides_the_initial_bits(config):
    torch.manual_seed(1)
    first = flatten(build(config))
    torch.manual_seed(2)
    torch.rand(7)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    second = flatten(build(config))
    torch.set_num_threads(threads)
    assert first.numpy().tobytes() == second.numpy().tobytes()
    other = flatten(build(config.model_copy(update={"seed": 99})))
    assert not torch.equal(first, other)


def test_building_leaves_the_global_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build(MLP)
    assert torch.equal(torch.rand(3), expected)


HOSTILE = {
    "10^12 parameters in one layer": {"inputs": 2**20, "hidden": [2**20], "classes": 2},
    "many large layers": {"inputs": 64, "hidden": [2**20] * 64, "classes": 2},
    "too wide": {"inputs": 2**40, "hidden": [], "classes": 2},
    "too deep": {"inputs": 1, "hidden": [1] * 100_000, "classes": 2},
    "no classes": {"inputs": 64, "hidden": [], "classes": 0},
    "negative": {"inputs": 64, "hidden": [-1], "classes": 2},
    "an unknown parameter": {"inputs": 64, "classes": 2, "code": "import os"},
    "a missing parameter": {"classes": 2},
    "text": {"inputs": "many", "classes": 2},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_description_is_refused_before_memory_is_taken(name):
    config = ModelConfig(architecture="mlp", parameters=HOSTILE[name])
    with pytest.raises(ValueError, match=r"mlp|parameters") as refusal:
        build(config)
    assert "\n" not in str(refusal.value)


def test_a_cnn_of_any_allowed_parameters_is_counted_without_memory():
    largest = {
        "channels": 1024,
        "height": 4096,
        "width": 4096,
        "filters": [4096] * 16,
        "hidden": 2**16,
        "classes": 2**16,
    }
    with pytest.raises(ValueError, match=str(MAX_PARAMETERS)):
        count_parameters(ModelConfig(architecture="cnn", parameters=largest))


def test_an_unknown_architecture_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=re.escape("'os.system'")) as refusal:
        build(ModelConfig(architecture="os.system"))
    assert "cnn, " in str(refusal.value)


def test_unknown_fields_of_a_model_are_refused():
    with pytest.raises(ValidationError, match="Extra inputs"):
        ModelConfig.model_validate({"architecture": "mlp", "file": "model.py"})


@pytest.fixture
def own_architecture():
    known = dict(registry._registry)
    yield
    registry._registry.clear()
    registry._registry.update(known)


@pytest.mark.usefixtures("own_architecture")
def test_buffers_are_refused_because_they_would_not_travel():
    @register("normed")
    class Normed(Architecture):
        def build(self) -> nn.Module:
            return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))

    with pytest.raises(ValueError, match="buffers"):
        build(ModelConfig(architecture="normed"))


@pytest.mark.usefixtures("own_architecture")
def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="twice"):
        register("mlp")(architectures()["cnn"])


@BOTH
def test_a_vector_loaded_is_the_vector_read(config):
    module = build(config)
    vector = np.random.default_rng(0).standard_normal(count_parameters(config)).astype(np.float32)
    load_flat(module, vector)
    assert flatten(module).numpy().tobytes() == vector.tobytes()
    load_flat(module, torch.zeros(len(vector)))
    assert not flatten(module).any()


def test_neither_vector_is_tied_to_the_module():
    module = build(MLP)
    vector = np.zeros(count_parameters(MLP), dtype=np.float32)
    load_flat(module, vector)
    read = flatten(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1)
    assert not vector.any()
    assert not read.any()


def test_a_read_only_vector_can_be_loaded(recwarn):
    vector = np.ones(count_parameters(MLP), dtype=np.float32)
    vector.flags.writeable = False
    module = build(MLP)
    load_flat(module, vector)
    assert flatten(module).numpy().all()
    assert not recwarn.list


@pytest.mark.parametrize(("size", "dtype"), [(-1, np.float32), (1, np.float32), (0, np.float64)])
def test_a_vector_of_another_kind_is_not_loaded(size, dtype):
    with pytest.raises(ValueError, match="float32"):
        load_flat(build(MLP), np.zeros(count_parameters(MLP) + size, dtype=dtype))


@BOTH
def test_the_written_model_loads_into_the_same_architecture(config):
    module = build(config)
    other = build(config.model_copy(update={"seed": 77}))
    other.load_state_dict(safetensors.torch.load(to_safetensors(module)))
    assert torch.equal(flatten(other), flatten(module))
