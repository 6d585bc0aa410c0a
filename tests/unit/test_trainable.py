"""What is trained of a model: patterns of names, adapters, and the vector that is made of them."""

import re

import pytest
import torch
from torch import nn

from trainer.config import LoraConfig, ModelConfig
from trainer.models import build, count_parameters, flatten, load_flat
from trainer.models.vectors import trained

MLP = ModelConfig(architecture="mlp", parameters={"inputs": 6, "hidden": [5, 4], "classes": 3}, seed=3)
GPT2 = ModelConfig(
    architecture="transformers",
    parameters={
        "class": "GPT2LMHeadModel",
        "config": {"n_layer": 2, "n_embd": 8, "n_head": 2, "n_positions": 16, "vocab_size": 257},
    },
    seed=5,
)


def chosen(config: ModelConfig, *patterns: str) -> ModelConfig:
    return config.model_copy(update={"trainable": patterns})


def adapted(config: ModelConfig, rank: int, *targets: str) -> ModelConfig:
    return config.model_copy(update={"lora": LoraConfig(rank=rank, targets=targets)})


def test_only_what_the_patterns_name_is_in_the_vector_in_the_modules_own_order() -> None:
    config = chosen(MLP, "5.*", "1.bias")
    module = build(config)
    assert list(trained(module)) == ["1.bias", "5.weight", "5.bias"]
    assert count_parameters(config) == len(flatten(module)) == 5 + 4 * 3 + 3
    whole = dict(build(MLP).named_parameters())
    assert all(torch.equal(parameter, whole[name]) for name, parameter in module.named_parameters())


def test_loading_a_vector_leaves_the_frozen_part_as_it_is() -> None:
    module = build(chosen(MLP, "5.*"))
    load_flat(module, torch.ones(4 * 3 + 3))
    for name, parameter in build(MLP).named_parameters():
        same = torch.equal(dict(module.named_parameters())[name], parameter)
        assert same != name.startswith("5.")


def test_a_pattern_that_names_nothing_is_refused_with_names_near_it() -> None:
    with pytest.raises(ValueError, match=re.escape("no parameter is called '5.wieght'; near it are 5.weight")):
        count_parameters(chosen(MLP, "1.*", "5.wieght"))


def test_a_parameter_in_two_places_is_trained_by_either_of_its_names_and_once_in_the_vector() -> None:
    for name in ("lm_head.weight", "transformer.wte.weight"):
        module = build(chosen(GPT2, name))
        assert list(trained(module)) == ["transformer.wte.weight"]
        assert len(flatten(module)) == 257 * 8


def test_a_pattern_that_would_take_a_careless_matcher_for_ever_is_answered_at_once() -> None:
    with pytest.raises(ValueError, match="no parameter is called"):
        count_parameters(chosen(GPT2, "*t*" * 60 + "!"))


# ---------------------------------------------------------------- adapters


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (adapted(MLP, 2, "1", "3"), 2 * (6 + 5) + 2 * (5 + 4)),
        (adapted(GPT2, 3, "c_attn"), 2 * 3 * (8 + 24)),
        (adapted(GPT2, 1, "transformer.h.1.mlp.c_fc", "wte"), (8 + 32) + (257 + 8)),
    ],
)
def test_the_update_has_the_size_of_the_adapters(config: ModelConfig, size: int) -> None:
    module = build(config)
    assert count_parameters(config) == len(flatten(module)) == size
    assert all(".lora_" in name for name in trained(module))


def test_what_trainable_names_is_trained_beside_the_adapters() -> None:
    config = chosen(adapted(MLP, 2, "1"), "5.*")
    assert count_parameters(config) == len(flatten(build(config))) == 2 * (6 + 5) + 4 * 3 + 3


def test_a_layer_under_an_adapter_can_be_trained_by_the_name_it_has_without() -> None:
    assert {"1.base_layer.bias"} < set(trained(build(chosen(adapted(MLP, 2, "1"), "1.bias"))))


@pytest.mark.parametrize("config", [adapted(MLP, 2, "1", "3"), adapted(GPT2, 3, "c_attn", "wte")])
def test_adapters_change_nothing_before_they_are_trained_and_come_from_the_seed_alone(config: ModelConfig) -> None:
    torch.manual_seed(1)
    first = build(config).eval()
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = build(config).eval()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(flatten(first), flatten(second))
    assert flatten(first).any()
    inputs = torch.rand(2, 6) if config.architecture == "mlp" else torch.arange(10).reshape(2, 5)
    plain = build(config.model_copy(update={"lora": None})).eval()
    assert torch.equal(first(inputs), plain(inputs))
    other = build(config.model_copy(update={"seed": 99}))
    assert not torch.equal(flatten(other), flatten(first))


@pytest.mark.parametrize("target", ["attn", "c_atn", "all-linear", ".*", "ln_f", ""])
def test_a_target_that_is_no_layer_with_an_adapter_is_refused_with_names_near_it(target: str) -> None:
    with pytest.raises(ValueError, match="no layer that takes an adapter is called") as refusal:
        count_parameters(adapted(GPT2, 2, "c_attn", target))
    assert target != "c_atn" or "c_attn" in str(refusal.value)


def test_adapters_for_terabytes_are_refused_before_memory_is_taken() -> None:
    parameters = {"inputs": 2**20, "hidden": [2**20] * 8, "classes": 2}
    config = adapted(ModelConfig(architecture="mlp", parameters=parameters), 1, "1")
    with pytest.raises(ValueError, match="frozen values"):
        build(config)


# ---------------------------------------------------------------- frozen types


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_frozen_parameters_are_rounded_to_what_travels_and_trained_ones_are_not(dtype: str) -> None:
    module = build(chosen(MLP, "5.*").model_copy(update={"frozen_dtype": dtype}))
    narrow = torch.bfloat16 if dtype == "bfloat16" else torch.float16
    for parameter in module.parameters():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, parameter.to(narrow).float()) != parameter.requires_grad
    assert isinstance(module, nn.Module)
