"""Models from descriptions: bounded before they cost memory, the same bits from the same seed, one vector each way."""

import re
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from pydantic import ValidationError
from torch import nn

from trainer.config import DataSchema, ModelConfig, TaskConfig, TrainingConfig
from trainer.data.dataset import Dataset
from trainer.models import (
    MAX_PARAMETERS,
    Architecture,
    architectures,
    build,
    count_parameters,
    flatten,
    load_flat,
    register,
    registry,
    to_safetensors,
)
from trainer.models.effort import changed_buffers, effort
from trainer.programs import Described, check_program, open_program
from trainer.tasks import Task
from trainer.train import evaluate, train_round

MLP = ModelConfig(architecture="mlp", parameters={"inputs": 64, "hidden": [32, 16], "classes": 10}, seed=3)
CNN = ModelConfig(
    architecture="cnn",
    parameters={"channels": 1, "height": 8, "width": 8, "filters": [4, 6], "hidden": 12, "classes": 10},
)
LINEAR = ModelConfig(architecture="linear", parameters={"inputs": 64, "outputs": 10})
VIT = ModelConfig(architecture="timm", parameters={"name": "test_vit", "classes": 10, "channels": 1, "size": 32})
GPT2 = ModelConfig(
    architecture="transformers",
    parameters={
        "class": "GPT2LMHeadModel",
        "config": {"n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 16, "vocab_size": 257},
    },
)
BOTH = pytest.mark.parametrize("config", [MLP, CNN], ids=["mlp", "cnn"])
ALL = pytest.mark.parametrize("config", [LINEAR, MLP, CNN, VIT, GPT2], ids=lambda config: config.architecture)
CLASSIFICATION = TaskConfig(kind="classification")


def images(channels: int, height: int, width: int, classes: int = 10) -> DataSchema:
    feature = {"kind": "image", "channels": channels, "height": height, "width": width}
    return DataSchema(features={"image": feature}, target={"kind": "category", "classes": classes})


def tensors(*shape: int, classes: int = 10) -> DataSchema:
    return DataSchema(
        features={"x": {"kind": "tensor", "shape": shape}}, target={"kind": "category", "classes": classes}
    )


def fits(config: ModelConfig, schema: DataSchema, batch_size: int = 2) -> None:
    check_program(config, schema, CLASSIFICATION, batch_size, {})


def test_every_file_of_the_package_is_in_the_registry() -> None:
    assert {"linear", "mlp", "cnn", "timm", "transformers"} <= set(architectures())


@ALL
def test_every_parameter_of_an_architecture_is_described(config: ModelConfig) -> None:
    for name, field in architectures()[config.architecture].model_fields.items():
        assert field.description, name


def test_the_number_of_parameters_is_that_of_the_layers() -> None:
    assert count_parameters(MLP) == 64 * 32 + 32 + 32 * 16 + 16 + 16 * 10 + 10
    convolutions = (9 * 1 * 4 + 4) + (9 * 4 * 6 + 6) + 2 * 4 + 2 * 6
    assert count_parameters(CNN) == convolutions + (6 * 2 * 2 * 12 + 12) + (12 * 10 + 10)


@BOTH
def test_a_module_gives_one_logit_a_class(config: ModelConfig) -> None:
    module = build(config)
    schema = tensors(64) if config is MLP else images(1, 8, 8)
    assert module(torch.zeros(5, *next(iter(schema.inputs.values())))).shape == (5, 10)
    assert len(flatten(module)) == count_parameters(config)
    fits(config, schema)


def test_a_model_that_does_not_fit_the_data_is_refused() -> None:
    with pytest.raises(ValueError, match="does not take samples of shape"):
        fits(MLP, tensors(63))
    with pytest.raises(ValueError, match=r"gives outputs \[10\], the task takes \[9\]"):
        fits(MLP, images(1, 8, 8, classes=9))
    with pytest.raises(ValueError, match="does not take samples of shape"):
        fits(CNN, images(3, 8, 8))
    with pytest.raises(ValueError, match="does not take samples of shape"):
        fits(VIT, images(1, 24, 24))


def test_a_linear_model_and_an_mlp_join_all_inputs_in_their_order() -> None:
    schema = DataSchema(
        features={
            "age": {"kind": "number"},
            "colour": {"kind": "category", "values": ["red", "green"]},
            "signal": {"kind": "tensor", "shape": [2, 3]},
        },
        target={"kind": "category", "classes": 10},
    )
    for config in (
        ModelConfig(architecture="linear", parameters={"inputs": 9, "outputs": 10}),
        ModelConfig(architecture="mlp", parameters={"inputs": 9, "hidden": [], "classes": 10}),
    ):
        fits(config, schema)
        module, table, signal = build(config), torch.rand(4, 3), torch.rand(4, 2, 3)
        layer = list(module.children())[-1]
        assert torch.equal(module(table, signal), layer(torch.cat([table, signal.reshape(4, 6)], dim=1)))


@ALL
def test_the_seed_alone_decides_the_initial_bits(config: ModelConfig) -> None:
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


def test_building_leaves_the_global_random_state_alone() -> None:
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
def test_a_hostile_description_is_refused_before_memory_is_taken(name: str) -> None:
    config = ModelConfig(architecture="mlp", parameters=HOSTILE[name])
    with pytest.raises(ValueError, match=r"mlp|parameters") as refusal:
        build(config)
    assert "\n" not in str(refusal.value)


def test_a_cnn_of_any_allowed_parameters_is_counted_without_memory() -> None:
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


def test_an_unknown_architecture_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=re.escape("'os.system'")) as refusal:
        build(ModelConfig(architecture="os.system"))
    assert "cnn, " in str(refusal.value)


def test_unknown_fields_of_a_model_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        ModelConfig.model_validate({"architecture": "mlp", "file": "model.py"})


@pytest.fixture
def own_architecture() -> Iterator[None]:
    known = dict(registry._registry)
    yield
    registry._registry.clear()
    registry._registry.update(known)


class Counter(nn.Module):
    """Changes a buffer in training, in place or by another one in its place."""

    def __init__(self, change: Callable[[nn.Module], None]) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)
        self.change = change
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.change(self)
        found: torch.Tensor = self.layer(x)
        return found


def replaced(module: Any) -> None:
    module.seen = module.seen + 1


def through_a_view(module: Any) -> None:
    module.seen.view(1, 1)[0, 0] = 1


def of_a_norm(module: Any) -> None:
    nn.functional.batch_norm(torch.ones(2, 1), module.seen, torch.ones_like(module.seen), training=True)


CHANGES = {
    "in place": lambda module: module.seen.add_(1),
    "replaced": replaced,
    "through a view": through_a_view,
    "statistics of a norm that no mode of a layer stops": of_a_norm,
}


@pytest.mark.usefixtures("own_architecture")
@pytest.mark.parametrize("change", CHANGES)
def test_a_buffer_that_training_changes_is_refused_by_its_name_because_it_would_not_travel(change: str) -> None:
    @register("counting")
    class Counting(Architecture):
        def build(self) -> nn.Module:
            return Counter(CHANGES[change])

    with pytest.raises(ValueError, match="training changes the buffer seen of the counting"):
        fits(ModelConfig(architecture="counting"), tensors(64))


@pytest.mark.usefixtures("own_architecture")
def test_constant_buffers_and_batch_norms_are_taken_and_stay_as_they_are_in_training() -> None:
    @register("normed")
    class Normed(Architecture):
        def build(self) -> nn.Module:
            return nn.Sequential(nn.Linear(64, 10), nn.BatchNorm1d(10))

    config, schema = ModelConfig(architecture="normed"), tensors(64)
    fits(config, schema)
    program = open_program(config, schema, CLASSIFICATION, {})
    before = {name: buffer.clone() for name, buffer in program.module.named_buffers()}
    data = Dataset({"x": np.random.default_rng(0).random((8, 64), np.float32)}, np.arange(8, dtype=np.int64))
    train_round(program, data, TrainingConfig(learning_rate=0.1), round=1, seed=1)
    assert len(before) == 3
    assert all(torch.equal(before[name], buffer) for name, buffer in program.module.named_buffers())


@pytest.mark.usefixtures("own_architecture")
def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        register("mlp")(architectures()["cnn"])


@BOTH
def test_a_vector_loaded_is_the_vector_read(config: ModelConfig) -> None:
    module = build(config)
    vector = np.random.default_rng(0).standard_normal(count_parameters(config)).astype(np.float32)
    load_flat(module, vector)
    assert flatten(module).numpy().tobytes() == vector.tobytes()
    load_flat(module, torch.zeros(len(vector)))
    assert not flatten(module).any()


def test_neither_vector_is_tied_to_the_module() -> None:
    module = build(MLP)
    vector = np.zeros(count_parameters(MLP), dtype=np.float32)
    load_flat(module, vector)
    read = flatten(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1)
    assert not vector.any()
    assert not read.any()


def test_a_read_only_vector_can_be_loaded(recwarn: pytest.WarningsRecorder) -> None:
    vector = np.ones(count_parameters(MLP), dtype=np.float32)
    vector.flags.writeable = False
    module = build(MLP)
    load_flat(module, vector)
    assert flatten(module).numpy().all()
    assert not recwarn.list


@pytest.mark.parametrize(("size", "dtype"), [(-1, np.float32), (1, np.float32), (0, np.float64)])
def test_a_vector_of_another_kind_is_not_loaded(size: int, dtype: type) -> None:
    with pytest.raises(ValueError, match="float32"):
        load_flat(build(MLP), np.zeros(count_parameters(MLP) + size, dtype=dtype))


@BOTH
def test_the_written_model_loads_into_the_same_architecture(config: ModelConfig) -> None:
    module = build(config)
    other = build(config.model_copy(update={"seed": 77}))
    other.load_state_dict(safetensors.torch.load(to_safetensors(module)))
    assert torch.equal(flatten(other), flatten(module))


# ---------------------------------------------------------------- effort


def test_effort_counts_what_no_layer_shows() -> None:
    class Attention(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.scaled_dot_product_attention(x, x, x)

    class Product(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ x.transpose(1, 2)

    x = {"x": torch.empty(2, 6, 4, device="meta")}
    assert effort(Product(), x) == (6 * 6, 6 * 4 * 6)
    found = effort(Attention(), x)
    assert found.products == 2 * 6 * 4 * 6
    assert found.values >= 6 * 6 + 6 * 4


def test_effort_of_a_convolution_is_one_product_a_weight_and_place() -> None:
    x = {"x": torch.empty(3, 2, 5, 5, device="meta")}
    with torch.device("meta"):
        assert effort(nn.Conv2d(2, 4, 3, padding=1), x) == (4 * 5 * 5, 4 * 5 * 5 * 2 * 9)


def test_a_forward_pass_without_writing_changes_no_buffers() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    x = {"x": torch.rand(4, 2)}
    assert changed_buffers(module.eval(), x) == []
    assert changed_buffers(module.train(), x) == ["1.num_batches_tracked", "1.running_mean", "1.running_var"]


# ---------------------------------------------------------------- timm


def test_a_timm_model_learns_images_through_a_program_of_a_task() -> None:
    schema = images(1, 32, 32)
    fits(VIT, schema)
    program = open_program(VIT, schema, CLASSIFICATION, {})
    rng = np.random.default_rng(0)
    data = Dataset({"image": rng.random((8, 1, 32, 32), np.float32)}, np.arange(8, dtype=np.int64))
    before = evaluate(program, data).loss
    train_round(program, data, TrainingConfig(optimizer="adam", learning_rate=1e-3, epochs=3), round=1, seed=1)
    assert evaluate(program, data).loss < before


ADDRESSES = ["hf-hub:someone/model", "hf_hub:someone/model", "local-dir:/tmp", "../vit", "no_such_model", "", "*"]


@pytest.mark.parametrize("name", ADDRESSES)
def test_what_is_no_name_of_timms_list_is_refused_before_timm_looks_for_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm

    monkeypatch.setattr(timm, "create_model", lambda *args, **kwargs: pytest.fail("timm was asked"))
    with pytest.raises(ValueError, match="timm has no model"):
        count_parameters(VIT.model_copy(update={"parameters": {"name": name, "classes": 2}}))


def test_timm_is_never_asked_for_pretrained_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    create, asked = timm.create_model, []

    def watched(*args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs["pretrained"])
        return create(*args, **kwargs)

    monkeypatch.setattr(timm, "create_model", watched)
    build(VIT.model_copy(update={"seed": 12}))
    assert asked
    assert not any(asked)


@pytest.mark.parametrize(("config", "extra", "module"), [(VIT, "vision", "timm"), (GPT2, "text", "transformers")])
def test_what_is_not_installed_is_answered_with_the_command_that_installs_it(
    config: ModelConfig, extra: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=re.escape(f"needs merit[{extra}]: pip install 'merit[{extra}]'")):
        count_parameters(config.model_copy(update={"seed": 13}))


# ---------------------------------------------------------------- transformers

SMALL = {"vocab_size": 257, "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 8}
MIDDLE = {**SMALL, "intermediate_size": 16, "max_position_embeddings": 16}
GPT = {"vocab_size": 257, "n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 16}
DISTIL = {"vocab_size": 257, "n_layers": 1, "dim": 8, "n_heads": 2, "hidden_dim": 16, "max_position_embeddings": 16}
WORDS, CLASSES, TAGS = (2, 9, 257), (2, 3), (2, 9, 3)
TEXT: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "GPT2LMHeadModel": (GPT, WORDS),
    "GPT2ForSequenceClassification": (GPT, CLASSES),
    "GPT2ForTokenClassification": (GPT, TAGS),
    "GPTNeoXForCausalLM": (MIDDLE, WORDS),
    "LlamaForCausalLM": ({**MIDDLE, "num_key_value_heads": 1}, WORDS),
    "LlamaForSequenceClassification": (MIDDLE, CLASSES),
    "LlamaForTokenClassification": (MIDDLE, TAGS),
    "Qwen2ForCausalLM": ({**MIDDLE, "num_key_value_heads": 1}, WORDS),
    "BertForSequenceClassification": (MIDDLE, CLASSES),
    "BertForTokenClassification": (MIDDLE, TAGS),
    "DistilBertForSequenceClassification": (DISTIL, CLASSES),
    "DistilBertForTokenClassification": (DISTIL, TAGS),
}


def text_model(kind: str, **more: Any) -> ModelConfig:
    config, shape = TEXT[kind]
    labels = {} if shape is WORDS else {"num_labels": 3}
    return ModelConfig(
        architecture="transformers", parameters={"class": kind, "config": {**config, **labels, **more}}, seed=4
    )


def test_every_class_of_the_list_is_tried_here() -> None:
    field = architectures()["transformers"].model_json_schema()["properties"]["class"]
    assert set(field["enum"]) == set(TEXT)


@pytest.mark.parametrize("kind", TEXT)
def test_a_text_model_does_not_look_at_padding_nor_a_causal_one_ahead(kind: str) -> None:
    module = build(text_model(kind)).eval()
    tokens = torch.randint(0, 256, (2, 9), generator=torch.Generator().manual_seed(0))
    tokens[1, 5:] = 256
    with torch.no_grad():
        outputs = module(tokens)
        assert outputs.shape == TEXT[kind][1]
        shorter = module(tokens[1:, :5])[0]
        rest = outputs[1] if outputs.ndim == 2 else outputs[1, :5]
        assert torch.allclose(rest, shorter, atol=1e-5)
        if outputs.ndim == 3:
            tokens[0, 8] = (tokens[0, 8] + 1) % 256
            ahead = not torch.allclose(module(tokens)[0, :8], outputs[0, :8], atol=1e-6)
            assert ahead == kind.startswith(("Bert", "DistilBert"))
        assert module(torch.full((1, 4), 256)).isfinite().all()


@pytest.mark.parametrize("kind", TEXT)
def test_a_text_model_of_doubles_computes_in_doubles(kind: str) -> None:
    module = build(text_model(kind)).double().eval()
    tokens = torch.randint(0, 256, (2, 9), generator=torch.Generator().manual_seed(0))
    embedding = next(module.parameters())
    direction = torch.arange(embedding.shape[1], dtype=torch.float64) ** 2
    outputs = []
    with torch.no_grad():
        for _ in range(3):
            outputs.append(module(tokens))
            embedding.add_(1e-9 * direction)
    # Smooth in steps as small as these: what is rounded to floats on its way has jumps of 1e-8.
    assert (outputs[1] - outputs[0]).abs().max() > 1e-10
    assert (outputs[2] - 2 * outputs[1] + outputs[0]).abs().max() < 1e-10


class NextToken(Task):
    """A task of its own: what comes next. (The task of that name has its own tests.)"""

    metrics = {}  # noqa: RUF012

    def outputs(self, inputs: Any) -> tuple[int, ...]:
        return -1, -1

    def count(self, meter: Any, outputs: Any, inputs: Any, target: Any) -> None:
        raise NotImplementedError

    def losses(self, outputs: Any, inputs: Any, target: Any, *, smoothing: float = 0.0) -> torch.Tensor:
        tokens = inputs["text"]
        return nn.functional.cross_entropy(outputs[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none").mean(1)


@pytest.mark.parametrize("kind", ["GPT2LMHeadModel", "LlamaForCausalLM"])
def test_a_text_model_trains_through_a_program(kind: str) -> None:
    program = Described(build(text_model(kind)), NextToken())
    data = Dataset({"text": np.tile(np.arange(8, dtype=np.int64), (4, 1))}, None)
    before = evaluate(program, data).loss
    train_round(program, data, TrainingConfig(optimizer="adam", learning_rate=1e-2, epochs=3), round=1, seed=1)
    assert evaluate(program, data).loss < before - 0.1


def test_texts_longer_than_a_model_takes_are_refused_before_anything_is_run() -> None:
    target = {"kind": "category", "classes": 3}
    schema = DataSchema(features={"text": {"kind": "text", "length": 17}}, target=target)
    with pytest.raises(ValueError, match="does not take samples") as refusal:
        fits(text_model("BertForSequenceClassification"), schema)
    assert "texts have 17 tokens, the model takes 16" in str(refusal.value.__cause__)
    fits(
        text_model("BertForSequenceClassification"),
        DataSchema(features={"text": {"kind": "text", "length": 16}}, target=target),
    )


ATTACKS: dict[str, tuple[dict[str, Any], str]] = {
    "a class that is not on the list": ({"class": "AutoModel"}, "class"),
    "a class that runs what a file says": ({"class": "pipeline"}, "class"),
    "remote code": ({"config": {"auto_map": {"AutoModel": "someone/x--model.Model"}}}, "config.auto_map cannot be set"),
    "kernels from a hub": ({"config": {"attn_implementation": "someone/kernel"}}, "attn_implementation cannot be set"),
    "another name of these": ({"config": {"_attn_implementation": "someone/kernel"}}, "cannot be set"),
    "a type by name": ({"config": {"torch_dtype": "float16"}}, "torch_dtype cannot be set"),
    "quantisation": ({"config": {"quantization_config": {"load_in_8bit": True}}}, "cannot be set"),
    "a path": ({"config": {"name_or_path": "/etc"}}, "cannot be set"),
    "a million layers": ({"config": {**GPT, "n_layer": 10**6}}, "layers|n_layer"),
    "a million layers by another name": ({"config": {**GPT, "num_hidden_layers": 10**6}}, "num_hidden_layers"),
    "half a layer": ({"config": {**GPT, "n_layer": 0.5}}, "n_layer"),
    "numbers beyond a bound": ({"config": {**GPT, "vocab_size": 10**15}}, "vocab_size"),
    "terabytes": ({"config": {**GPT, "n_embd": 2**20, "vocab_size": 2**20}}, "parameters to train"),
    "a million classes": ({"config": {**GPT, "num_labels": 10**6}}, "num_labels"),
    "an activation that is not there": ({"config": {**GPT, "activation_function": "os.system"}}, "cannot be built"),
    "an activation that is no text": ({"config": {**GPT, "activation_function": 3}}, "activation_function"),
    "heads that do not divide": ({"config": {**GPT, "n_head": 3}}, "transformers"),
    "no heads": ({"config": {**GPT, "n_head": 0}}, "transformers"),
    "a number that is none": ({"config": {**GPT, "initializer_range": -1.0}}, "cannot be built"),
    "nested too deep": ({"config": {"n_layer": {"a": {"b": 1}}}}, "config"),
    "padding outside the vocabulary": ({"config": {**GPT, "vocab_size": 256}}, "pad is 256"),
    "padding in the config": ({"config": {**GPT, "pad_token_id": 3}}, "pad_token_id cannot be set"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_config_of_transformers_is_refused_in_a_sentence(name: str) -> None:
    parameters, why = ATTACKS[name]
    config = ModelConfig(architecture="transformers", parameters={"class": "GPT2LMHeadModel", **parameters})
    with pytest.raises(ValueError, match=why) as refusal:
        build(config)
    assert "\n" not in str(refusal.value)


# ---------------------------------------------------------------- other parties' architectures


class Found:
    """An installed package."""

    version = "1.2.3"

    def __init__(self, kind: object) -> None:
        self.loaded = 0
        self.kind, self.group, self.name = kind, registry.ENTRY_POINTS, "theirs"

    @property
    def entry_points(self) -> "list[Found]":
        return [self]

    def load(self) -> object:
        self.loaded += 1
        return self.kind


class Theirs(Architecture):
    width: int

    def build(self) -> nn.Module:
        return nn.Linear(self.width, 1)


def installed(monkeypatch: pytest.MonkeyPatch, kind: object = Theirs) -> Found:
    found = Found(kind)

    def distribution(name: str) -> Found:
        if name != "their-models":
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(registry.metadata, "distribution", distribution)
    return found


def test_an_architecture_of_an_installed_package_is_built_from_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    config = ModelConfig(architecture="theirs", package="their-models==1.2.3", parameters={"width": 4})
    assert len(flatten(build(config))) == 5


@pytest.mark.parametrize("package", ["their-models==1.2.4", "other==1.0"])
def test_a_package_that_is_not_here_in_this_version_is_named_with_its_command_and_not_run(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = installed(monkeypatch)
    config = ModelConfig(architecture="theirs", package=package, parameters={"width": 4})
    with pytest.raises(ValueError, match=f"needs the package {package}: pip install {package}"):
        count_parameters(config)
    assert not found.loaded


@pytest.mark.parametrize("package", ["x", "x==", "x==1; rm", "x==1 --index-url=y", "-r==1", "x @ git+y==1", "x==1\n"])
def test_a_package_is_a_name_and_a_version_and_nothing_else_that_one_could_paste(package: str) -> None:
    with pytest.raises(ValidationError, match="package"):
        ModelConfig(architecture="theirs", package=package)


def test_an_entry_point_that_is_no_architecture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, kind=print)
    with pytest.raises(ValueError, match="has no architecture 'theirs'"):
        count_parameters(ModelConfig(architecture="theirs", package="their-models==1.2.3", parameters={"width": 5}))
