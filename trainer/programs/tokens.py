"""Which tokens a model knows: those that the embedding of a text has rows for."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainer.config import BYTES, DataSchema, Files
from trainer.data.dataset import BYTE_TOKENS, Dataset
from trainer.data.texts import MAX_TOKENIZER
from trainer.programs.program import Program

_EMBEDDING = torch.ops.aten.embedding.default


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows each text's tokens, through views and copies of them, to the embeddings that look them up."""

    def __init__(self, texts: Mapping[str, torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._names = {id(tokens): name for name, tokens in texts.items()}
        self._kept = list(texts.values())  # an id is a tensor's own only while it lives
        self.found: dict[str, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        if func is _EMBEDDING:
            name = self._names.get(id(args[1]))
            if name is not None:
                self.found[name] = min(len(args[0]), self.found.get(name, len(args[0])))
            return given
        sources = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        results = [leaf for leaf in tree_leaves(given) if isinstance(leaf, torch.Tensor)]
        if len(sources) == 1 and id(sources[0]) in self._names and results[0].dtype == torch.int64:
            for result in results:
                self._names[id(result)] = self._names[id(sources[0])]
                self._kept.append(result)
        return given


def known_tokens(program: Program, schema: DataSchema) -> dict[str, int]:
    """How many tokens, 0 …, the program knows of each text; none for a text whose tokens no embedding takes as they
    are. program: on the meta device; nothing is computed."""
    with torch.device("meta"):
        inputs = {
            name: torch.empty(1, *shape, dtype=torch.int64 if name in schema.texts else torch.float32)
            for name, shape in schema.inputs.items()
        }
    watch = _Watch({name: inputs[name] for name in schema.texts})
    with torch.no_grad(), watch:
        program.predict(inputs)
    return watch.found


def check_tokenizers(known: Mapping[str, int], schema: DataSchema, files: Files) -> None:
    """Raises ValueError if a text's tokenizer has tokens that the model does not know."""
    for name, most in known.items():
        tokenizer = schema.texts[name].tokenizer
        if tokenizer == BYTES:
            size = BYTE_TOKENS
        elif tokenizer in files:
            if files[tokenizer].stat().st_size > MAX_TOKENIZER:
                raise ValueError(f"the tokenizer {tokenizer} has more than {MAX_TOKENIZER} bytes")
            size = _size(files[tokenizer].read_bytes(), tokenizer)
        else:
            raise ValueError(f"the tokenizer {tokenizer} is not at hand")
        if size > most:
            raise ValueError(f"the tokenizer {tokenizer} has tokens up to {size - 1}, the model knows 0 … {most - 1}")


def check_tokens(program: Program, data: Dataset) -> None:
    """Raises ValueError if the data have tokens that the model does not know."""
    for name, most in program.tokens.items():
        highest = int(data.inputs[name].max(initial=0))
        if highest >= most:
            raise ValueError(f"tokens 0 … {most - 1} are expected in {name}, {highest} was found")


def _size(content: bytes, name: str) -> int:
    """The highest token of a tokenizer.json's vocabulary, and 1. What a template adds to texts shows in the data."""
    try:
        document = json.loads(content)
        vocabulary, added = document["model"]["vocab"], document.get("added_tokens") or []
        tokens = list(vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary)))
        tokens += [each["id"] for each in added]
        if not tokens or not all(type(token) is int and token >= 0 for token in tokens):
            raise ValueError("its tokens are no numbers")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"tokenizer {name}: a tokenizer.json is expected: {error}") from error
    return int(max(tokens)) + 1
