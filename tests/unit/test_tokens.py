"""A tokenizer and a model have to know the same tokens: what the model has no row for is refused before training."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.programs import recurrent_source
from trainer.config import DataSchema, ModelConfig, TaskConfig
from trainer.data import Dataset
from trainer.programs import check_program, check_tokens, open_program
from trainer.programs.export import export

TASK = TaskConfig(kind="language-modelling")
MODEL = ModelConfig.model_validate(
    {
        "architecture": "transformers",
        "parameters": {
            "class": "GPT2LMHeadModel",
            "config": {"vocab_size": 10, "n_positions": 8, "n_embd": 4, "n_layer": 1, "n_head": 1},
            "pad": 0,
        },
        "seed": 1,
    }
)


def schema(tokenizer: str, length: int = 8) -> DataSchema:
    text = {"kind": "text", "tokenizer": tokenizer, "length": length, "packed": True}
    return DataSchema.model_validate({"features": {"text": text}})


def tokenizer(vocabulary: object, added: object = ()) -> bytes:
    return json.dumps({"model": {"type": "WordLevel", "vocab": vocabulary}, "added_tokens": list(added)}).encode()


def words(count: int) -> dict[str, int]:
    return {f"w{number}": number for number in range(count)}


def checked(folder: Path, content: bytes, model: ModelConfig = MODEL) -> int:
    (folder / "words.json").write_bytes(content)
    return check_program(model, schema("words.json"), TASK, 1, {"words.json": folder / "words.json"})


def test_a_tokenizer_whose_tokens_the_model_knows_is_taken(tmp_path: Path) -> None:
    assert checked(tmp_path, tokenizer(words(10))) > 0
    assert checked(tmp_path, tokenizer([["a", -1.0], ["b", -2.0]])) > 0  # a Unigram model's tokens have no numbers
    assert checked(tmp_path, tokenizer(words(3), [{"id": 9, "content": "<pad>"}])) > 0


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (tokenizer(words(11)), r"tokens up to 10, the model knows 0 … 9"),
        (tokenizer({"a": 0, "b": 2**40}), r"tokens up to 1099511627776, the model knows"),
        (tokenizer([["a", -1.0]] * 11), r"tokens up to 10"),
        (tokenizer(words(3), [{"id": 10, "content": "<pad>"}]), r"tokens up to 10"),
        (tokenizer({"a": -1}), "its tokens are no numbers"),
        (tokenizer({"a": True}), "its tokens are no numbers"),
        (tokenizer({}), "its tokens are no numbers"),
        (tokenizer(7), r"a tokenizer\.json is expected"),
        (tokenizer(words(3), [7]), r"a tokenizer\.json is expected"),
        (b"[" * 100_000, r"a tokenizer\.json is expected"),
        (b"\xff", r"a tokenizer\.json is expected"),
    ],
)
def test_others_are_refused_before_a_job_is_created_or_joined(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked(tmp_path, content)


def test_a_tokenizer_file_is_bounded_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "words.json").open("wb") as file:
        file.truncate(2**26 + 1)
    with pytest.raises(ValueError, match="more than 67108864 bytes"):
        check_program(MODEL, schema("words.json"), TASK, 1, {"words.json": tmp_path / "words.json"})


def test_bytes_are_257_tokens() -> None:
    with pytest.raises(ValueError, match="the tokenizer bytes has tokens up to 256, the model knows 0 … 9"):
        check_program(MODEL, schema("bytes"), TASK, 1, {})


def test_data_with_a_token_that_the_model_does_not_know_are_refused() -> None:
    program = open_program(MODEL, schema("bytes"), TASK, {})
    assert program.tokens == {"text": 10}
    rows = np.array([[0, 9, 3, 0, 0, 0, 0, 0]])
    check_tokens(program, Dataset({"text": rows}, None))
    with pytest.raises(ValueError, match="tokens 0 … 9 are expected in text, 10 was found"):
        check_tokens(program, Dataset({"text": rows + 1}, None))


def test_an_adapters_model_and_an_exported_one_know_what_their_embeddings_have_rows_for(tmp_path: Path) -> None:
    adapted = MODEL.model_validate(MODEL.model_dump() | {"lora": {"rank": 2, "alpha": 2, "targets": ["c_attn"]}})
    assert open_program(adapted, schema("bytes"), TASK, {}).tokens == {"text": 10}
    (tmp_path / "own.safetensors").write_bytes(export(recurrent_source()))
    own = ModelConfig(architecture="program", parameters={"file": "own.safetensors"})
    files = {"own.safetensors": tmp_path / "own.safetensors"}
    assert open_program(own, schema("bytes", 4), TaskConfig(kind="own"), files).tokens == {"text": 7}
    with pytest.raises(ValueError, match="the model knows 0 … 6"):
        check_program(own, schema("bytes", 4), TaskConfig(kind="own"), 1, files)


def test_positions_are_no_tokens() -> None:
    """A model has fewer positions than tokens, and looks them up in the same way."""
    wide = MODEL.model_copy(
        update={"parameters": MODEL.parameters | {"config": {**MODEL.parameters["config"], "vocab_size": 300}}}
    )
    assert open_program(wide, schema("bytes"), TASK, {}).tokens == {"text": 300}
    assert torch.get_default_device() == torch.device("cpu")
