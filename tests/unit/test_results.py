"""A model as a file that says how to use it, and as folders that transformers and peft open."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn

from trainer.config import DataSchema, LoraConfig, ModelConfig, TaskConfig
from trainer.data.dataset import Dataset
from trainer.models.vectors import flatten, load_flat
from trainer.programs import Described, open_program
from trainer.results import Card, Loaded, Origin, load_model, pack_result, write_folder
from trainer.tasks import Task

NAMES = ("none", "01", "Ä")
CARD = Card(
    model=ModelConfig(
        architecture="mlp", parameters={"inputs": 4, "hidden": [5], "classes": 3}, seed=3, trainable=("3.*",)
    ),
    data=DataSchema(
        features={"x": {"kind": "tensor", "shape": [4]}},
        target={"kind": "category", "classes": 3, "names": NAMES},
        min_samples=50,
    ),
    task=TaskConfig(kind="classification"),
    origin=Origin(job="7", round=3, metric="accuracy", value=0.5),
)
DATA = Dataset({"x": np.random.default_rng(0).standard_normal((7, 4)).astype(np.float32)}, None)


def written(path: Path, card: Card = CARD) -> Described:
    program = open_program(card.model, card.data, card.task, {})
    assert isinstance(program, Described)
    with torch.no_grad():
        for parameter in program.module.parameters():
            parameter.mul_(1.5)  # no longer what the seed gives, frozen parts neither
    path.write_bytes(pack_result(program, card))
    return program


def test_a_written_model_predicts_as_it_did_by_the_names_of_its_classes(tmp_path: Path) -> None:
    program = written(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.card == CARD
    found = loaded.predict(DATA)
    logits = program.predict({"x": torch.from_numpy(DATA.inputs["x"])}).detach()
    assert list(found.values) == [NAMES[number] for number in logits.argmax(1)]
    assert found.names == NAMES
    assert found.probabilities is not None
    assert np.allclose(found.probabilities, logits.softmax(1), atol=1e-6)
    assert loaded.schema.target is None
    assert loaded.schema.min_samples == 1


def test_the_metadata_say_in_json_what_the_model_is(tmp_path: Path) -> None:
    written(tmp_path / "model.safetensors")
    with safetensors.safe_open(tmp_path / "model.safetensors", "np") as file:
        metadata = file.metadata()
    card = json.loads(metadata["merit.model/1"])
    assert card["data"]["target"]["names"] == list(NAMES)
    assert card["origin"] == {"job": "7", "round": 3, "metric": "accuracy", "value": 0.5}


class Same(Task):
    metrics = {}  # noqa: RUF012

    def outputs(self, inputs: Any) -> tuple[int, ...]:
        raise NotImplementedError

    def losses(self, outputs: Any, inputs: Any, target: Any, *, smoothing: float = 0.0) -> torch.Tensor:
        raise NotImplementedError

    def count(self, meter: Any, outputs: Any, inputs: Any, target: Any) -> None:
        raise NotImplementedError


def answers(target: dict[str, Any] | None, kind: str, outputs: torch.Tensor) -> Any:
    """What is said of one sample of which the model gives these outputs."""

    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.outputs = nn.Parameter(outputs)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.outputs.expand(len(x), *self.outputs.shape)

    feature = {"kind": "text", "length": 4} if kind in ("token-classification", "language-modelling") else None
    feature = feature or {"kind": "image", "channels": 1, "height": 2, "width": 2}
    data = DataSchema(features={"x": feature}, target=target)
    card = Card(model=CARD.model, data=data, task=TaskConfig(kind=kind))
    return Loaded(card, Described(Constant(), Same()), {}).predict(Dataset({"x": np.zeros((2, 1), np.float32)}, None))


def test_numbers_are_given_in_the_datas_own_units() -> None:
    target = {"kind": "number", "names": ["price", "rent"], "mean": 100.0, "std": 10.0}
    found = answers(target, "regression", torch.tensor([1.5, -2.0]))
    assert found.values.tolist() == [[115.0, 80.0]] * 2
    assert found.names == ("price", "rent")


def test_labels_tags_masks_and_tokens_are_given_as_their_tasks_have_them() -> None:
    labels = answers({"kind": "labels", "names": ["a", "b"]}, "multi-label", torch.tensor([3.0, -3.0]))
    assert labels.values.tolist() == [[True, False]] * 2
    assert np.allclose(labels.probabilities.sum(1), 1)
    tags = answers({"kind": "tags", "classes": 2}, "token-classification", torch.eye(2).repeat(2, 1))
    assert tags.values.tolist() == [[0, 1, 0, 1]] * 2
    mask = answers({"kind": "mask", "classes": 2}, "segmentation", torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]))
    assert mask.values.tolist() == [[[0, 1]]] * 2
    tokens = answers(None, "language-modelling", torch.eye(3))
    assert tokens.values.tolist() == [[0, 1, 2]] * 2


# ---------------------------------------------------------------- files of strangers


def rewritten(path: Path, **parts: str) -> Path:
    """A model's file with parts of its card put in the place of its own, to the letter; "" for none."""
    written(path)
    with safetensors.safe_open(path, "pt") as file:
        ((form, text),) = file.metadata().items()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    form = parts.pop("format", form)
    own = {name: json.dumps(part) for name, part in json.loads(text).items()} | parts
    card = "{" + ",".join(f"{json.dumps(name)}:{part}" for name, part in own.items() if part) + "}"
    safetensors.torch.save_file(tensors, path, {form: card} if form else {})
    return path


HUGE = {"architecture": "mlp", "parameters": {"inputs": 4, "hidden": [2**20] * 64, "classes": 3}}
ATTACKS = {
    "no format": ({"format": ""}, "is not a model that Merit wrote"),
    "a format of later": ({"format": "merit.model/2"}, "is not a model that Merit wrote"),
    "a part less": ({"task": ""}, "metadata: task: Field required"),
    "a part more": ({"code": '"import os"'}, "metadata: code: Extra inputs"),
    "no JSON": ({"data": "{"}, "metadata: card: Invalid JSON"),
    "nested without end": ({"data": "[" * 10**5}, "metadata: card: Invalid JSON"),
    "a field more": ({"origin": '{"code": 1}'}, "metadata: origin.code: Extra inputs"),
    "a number without end": ({"origin": '{"value": Infinity}'}, "metadata: "),
    "terabytes": ({"model": json.dumps(HUGE)}, "parameters to train"),
    "another architecture": ({"model": json.dumps({**HUGE, "architecture": "os.system"})}, "no architecture"),
    "other data": ({"data": '{"features": {"x": {"kind": "tensor", "shape": [9]}}}'}, "classification needs a target"),
    "another size": (
        {"model": json.dumps({"architecture": "mlp", "parameters": {"inputs": 4, "hidden": [6], "classes": 3}})},
        "not the model's",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_strangers_file_is_refused_before_it_costs_anything(name: str, tmp_path: Path) -> None:
    change, why = ATTACKS[name]
    with pytest.raises(ValueError, match=why) as refusal:
        load_model(rewritten(tmp_path / "model.safetensors", **change))
    assert "\n" not in str(refusal.value)


def test_a_file_with_values_that_are_not_finite_is_neither_written_nor_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    program = written(path)
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    for name in ("1.bias", "3.bias"):
        safetensors.torch.save_file({**tensors, name: torch.full_like(tensors[name], torch.nan)}, path, metadata)
        with pytest.raises(ValueError, match=f"{name}.*not finite"):
            load_model(path)
        with torch.no_grad():
            program.module.get_parameter(name).fill_(torch.inf)
        with pytest.raises(ValueError, match="is not finite"):
            pack_result(program, CARD)


def test_a_pickle_is_not_a_model(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="no safetensors file"):
        load_model(tmp_path / "model.safetensors")


# ---------------------------------------------------------------- folders

GPT2 = ModelConfig(
    architecture="transformers",
    parameters={
        "class": "GPT2LMHeadModel",
        "config": {"n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 16, "vocab_size": 257},
    },
    seed=5,
)
LLAMA = GPT2.model_copy(
    update={
        "parameters": {
            "class": "LlamaForCausalLM",
            "config": {
                "num_hidden_layers": 1,
                "hidden_size": 8,
                "num_attention_heads": 2,
                "intermediate_size": 16,
                "vocab_size": 257,
                "max_position_embeddings": 16,
            },
        }
    }
)
TOKENS = torch.arange(20).reshape(2, 10)


def language(model: ModelConfig) -> Described:
    from trainer.models import build

    program = Described(build(model), Same())
    torch.manual_seed(0)
    load_flat(program.module, torch.randn(len(flatten(program.module))) / (1 if model.lora else 10))
    program.train(False)
    return program


@pytest.mark.parametrize("model", [GPT2, LLAMA], ids=["gpt2", "llama"])
def test_from_pretrained_opens_the_folder_and_gives_the_same(model: ModelConfig, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    program = language(model)
    write_folder(tmp_path / "out", program, model)
    opened: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "out", local_files_only=True)
    opened.eval()
    assert type(opened).__name__ == model.parameters["class"]
    assert torch.allclose(opened(input_ids=TOKENS).logits, program.module(TOKENS), atol=1e-5)


@pytest.mark.parametrize("more", [("*",), ("transformer.ln_f.*",)], ids=["adapters alone", "a norm beside them"])
def test_peft_opens_the_folder_on_its_base_and_gives_the_same_loss(more: tuple[str, ...], tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    lora = LoraConfig(rank=2, alpha=8, targets=("c_attn", "wte"))
    model = GPT2.model_copy(update={"lora": lora, "trainable": more})
    program = language(model)
    write_folder(tmp_path / "out", program, model)
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "base", local_files_only=True)
    plain = base(input_ids=TOKENS, labels=TOKENS).loss
    opened = PeftModel.from_pretrained(base, str(tmp_path / "out")).eval()
    loss = opened(input_ids=TOKENS, labels=TOKENS).loss
    wanted = nn.functional.cross_entropy(program.module(TOKENS)[:, :-1].reshape(-1, 257), TOKENS[:, 1:].reshape(-1))
    assert torch.allclose(loss, wanted, atol=1e-5)
    assert not torch.allclose(loss, plain, atol=1e-3)


def test_writing_a_folder_leaves_the_program_and_other_files_alone(tmp_path: Path) -> None:
    model = GPT2.model_copy(update={"lora": LoraConfig(rank=2, targets=("c_attn",))})
    program = language(model)
    names = [name for name, _ in program.module.named_parameters()]
    write_folder(tmp_path / "out", program, model)
    assert [name for name, _ in program.module.named_parameters()] == names
    with pytest.raises(ValueError, match="is not empty"):
        write_folder(tmp_path / "out", program, model)
    with pytest.raises(ValueError, match="only an architecture of transformers"):
        write_folder(tmp_path / "mlp", written(tmp_path / "m"), CARD.model)
