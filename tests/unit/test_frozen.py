"""What is frozen travels as a file: strict, the same bytes for the same values; and a base comes from a checkpoint."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from trainer.config import LoraConfig, ModelConfig
from trainer.models import build, flatten, frozen_tensors, load_base, load_frozen, write_frozen

MLP = ModelConfig(architecture="mlp", parameters={"inputs": 6, "hidden": [5], "classes": 3}, seed=3, trainable=("3.*",))
GPT2 = ModelConfig(
    architecture="transformers",
    parameters={
        "class": "GPT2LMHeadModel",
        "config": {"n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 16, "vocab_size": 257},
    },
    seed=5,
)
ADAPTED = GPT2.model_copy(update={"lora": LoraConfig(rank=2, targets=("c_attn",))})
NORMED = ModelConfig(architecture="timm", parameters={"name": "resnet10t", "classes": 2}, seed=1, trainable=("fc.*",))


def pack_frozen(module: torch.nn.Module) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write_frozen(module, Path(folder) / "frozen")
        return (Path(folder) / "frozen").read_bytes()


def other(config: ModelConfig) -> ModelConfig:
    return config.model_copy(update={"seed": 99})


@pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "file"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("config", [MLP, ADAPTED], ids=["mlp", "adapters"])
def test_the_frozen_part_arrives_as_it_was_and_trained_values_stay(
    config: ModelConfig, dtype: str, as_file: bool, tmp_path: Path
) -> None:
    config = config.model_copy(update={"frozen_dtype": dtype})
    source, target = build(config), build(other(config))
    before, content = flatten(target), pack_frozen(source)
    (tmp_path / "frozen").write_bytes(content)
    load_frozen(target, tmp_path / "frozen" if as_file else content)
    wanted = frozen_tensors(source)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in frozen_tensors(target).items())
    assert torch.equal(flatten(target), before)
    assert pack_frozen(target) == content


def test_a_narrow_type_halves_the_file() -> None:
    narrow = len(pack_frozen(build(ADAPTED.model_copy(update={"frozen_dtype": "bfloat16"}))))
    assert narrow < 0.7 * len(pack_frozen(build(ADAPTED)))


def test_statistics_of_batch_norms_are_frozen_and_counters_are_not() -> None:
    names = set(frozen_tensors(build(NORMED)))
    assert "bn1.running_mean" in names
    assert not [name for name in names if name.endswith("num_batches_tracked") or name.startswith("fc.")]


def tampered(change: Any) -> bytes:
    tensors = safetensors.torch.load(pack_frozen(build(MLP)))
    change(tensors)
    return safetensors.torch.save(tensors)


ATTACKS = {
    "a tensor less": (lambda t: t.pop("1.bias"), "lacks the tensors 1.bias"),
    "a tensor more": (lambda t: t.update(x=torch.zeros(1)), "beyond the model's x"),
    "a trained tensor": (lambda t: t.update({"3.bias": torch.zeros(3)}), "beyond the model's 3.bias"),
    "another shape": (lambda t: t.update({"1.bias": torch.zeros(6)}), r"not the model's torch.float32 \[5\]"),
    "a shape of as many": (lambda t: t.update({"1.weight": torch.zeros(6, 5)}), r"not the model's"),
    "another type": (lambda t: t.update({"1.bias": torch.zeros(5, dtype=torch.float64)}), "not the model's"),
    "not a number": (lambda t: t["1.bias"].fill_(torch.nan), "not finite"),
    "infinite": (lambda t: t["1.weight"].fill_(-torch.inf), "not finite"),
}


@pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "file"])
@pytest.mark.parametrize("name", ATTACKS)
def test_a_tampered_file_is_refused(name: str, as_file: bool, tmp_path: Path) -> None:
    change, why = ATTACKS[name]
    content: bytes | Path = tampered(change)
    if as_file:
        assert isinstance(content, bytes)
        (tmp_path / "frozen").write_bytes(content)
        content = tmp_path / "frozen"
    with pytest.raises(ValueError, match=why) as refusal:
        load_frozen(build(MLP), content)
    assert "\n" not in str(refusal.value)


def test_what_is_no_safetensors_file_is_refused(tmp_path: Path) -> None:
    whole = pack_frozen(build(MLP))
    for content in (b"", b"\x80\x04.", whole[:-1], whole + b"x", b"\xff" * 64, (2**40).to_bytes(8, "little") + b"{}"):
        (tmp_path / "frozen").write_bytes(content)
        for source in (content, tmp_path / "frozen"):
            with pytest.raises(ValueError, match="safetensors"):
                load_frozen(build(MLP), source)


def test_a_value_too_large_for_its_type_is_not_packed() -> None:
    module = build(MLP.model_copy(update={"frozen_dtype": "float16"}))
    with torch.no_grad():
        next(module.parameters()).fill_(1e6)
    with pytest.raises(ValueError, match=r"1.weight is not finite in torch.float16"):
        pack_frozen(module)


# ---------------------------------------------------------------- a base from a checkpoint


def checkpoint(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    safetensors.torch.save_file({name: t.detach().clone().contiguous() for name, t in tensors.items()}, path)
    return path


def test_a_folder_that_transformers_wrote_is_a_base_for_adapters(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    fields: Any = ADAPTED.parameters["config"]
    hub: Any = GPT2LMHeadModel(GPT2Config(**fields, bos_token_id=None, eos_token_id=None))
    hub.eval()
    for shard in ("5GB", "4KB"):
        hub.save_pretrained(tmp_path / shard, max_shard_size=shard)
        module = build(ADAPTED).eval()
        taken = load_base(module, tmp_path / shard, {})
        assert not taken.unused
        assert not taken.fresh
        tokens = torch.arange(12).reshape(2, 6)
        assert torch.allclose(module(tokens), hub(input_ids=tokens).logits, atol=1e-6)
    assert (tmp_path / "4KB" / "model.safetensors.index.json").exists()


def test_prefixes_are_mapped_the_longest_first_and_what_is_unused_is_listed(tmp_path: Path) -> None:
    source = dict(build(other(MLP)).named_parameters())
    path = checkpoint(
        tmp_path / "a.safetensors",
        {
            "net.in.weight": source["1.weight"],
            "net.in.bias": source["1.bias"],
            "net.out.weight": source["3.weight"],
            "net.out.bias": source["3.bias"],
            "pooler.weight": torch.zeros(2),
        },
    )
    module = build(MLP)
    taken = load_base(module, path, {"net.": "nowhere.", "net.in.": "1.", "net.out.": "3."})
    assert taken.unused == ("pooler.weight",)
    assert all(torch.equal(parameter, source[name]) for name, parameter in module.named_parameters())


def test_a_missing_tensor_is_named_and_stays_the_seeds_only_where_it_is_said_to(tmp_path: Path) -> None:
    source = dict(build(other(MLP)).named_parameters())
    path = checkpoint(tmp_path / "a.safetensors", {name: source[name] for name in ("1.weight", "1.bias")})
    with pytest.raises(ValueError, match=r"the checkpoint lacks 3.bias, 3.weight"):
        load_base(build(MLP), path, {})
    module = build(MLP)
    assert load_base(module, path, {}, fresh=["3.*"]).fresh == ("3.bias", "3.weight")
    assert torch.equal(flatten(module), flatten(build(MLP)))
    with pytest.raises(ValueError, match="which is to stay fresh"):
        load_base(build(MLP), path, {}, fresh=["head.*"])


def test_a_base_is_rounded_to_what_travels(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "a.safetensors", dict(build(other(MLP)).named_parameters()))
    module = build(MLP.model_copy(update={"frozen_dtype": "bfloat16"}))
    load_base(module, path, {})
    copy = build(MLP.model_copy(update={"frozen_dtype": "bfloat16"}))
    load_frozen(copy, pack_frozen(module))
    assert all(torch.equal(tensor, frozen_tensors(copy)[name]) for name, tensor in frozen_tensors(module).items())


BAD = {
    "a head of another size": ({"3.weight": torch.zeros(4, 5)}, r"the model's 3.weight \[3, 5\]"),
    "whole numbers": ({"1.bias": torch.zeros(5, dtype=torch.int64)}, "torch.int64"),
    "not a number": ({"1.bias": torch.full((5,), torch.nan)}, "not finite"),
    "too large for floats": ({"1.bias": torch.full((5,), 1e300, dtype=torch.float64)}, "not finite"),
    "two for one": ({"x.bias": torch.ones(5)}, "are both the model's 1.bias"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_checkpoint_that_does_not_suit_the_model_is_refused(name: str, tmp_path: Path) -> None:
    change, why = BAD[name]
    path = checkpoint(tmp_path / "a.safetensors", {**dict(build(MLP).named_parameters()), **change})
    with pytest.raises(ValueError, match=why):
        load_base(build(MLP), path, {"x.": "1."})


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "absent.safetensors", 3, ".."])
def test_an_index_that_leads_out_of_its_folder_is_refused(name: Any, tmp_path: Path) -> None:
    checkpoint(tmp_path / "outside.safetensors", dict(build(MLP).named_parameters()))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"1.weight": name}}), "utf-8")
    with pytest.raises(ValueError, match="which is no file beside it"):
        load_base(build(MLP), folder, {})


def test_a_folder_of_pickles_is_no_base(tmp_path: Path) -> None:
    torch.save(build(MLP).state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="neither a safetensors file nor a folder"):
        load_base(build(MLP), tmp_path, {})
