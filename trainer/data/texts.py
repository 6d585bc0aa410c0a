"""Texts as numbers of tokens: cut and filled up to a length, or packed for a model that predicts the next token."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainer.config import BYTES, IGNORED, ClassTarget, TagsTarget, TextFeature
from trainer.data.dataset import Dataset
from trainer.data.reading import Reading, entries
from trainer.data.sources import lines
from trainer.data.store import Growing
from zk.encoding import Int64s

PAD = 256
MAX_TEXT = 2**28
"""Most characters of one document."""

MAX_TOKENIZER = 2**26
"""Most bytes of a tokenizer.json."""

_PADS = ("[PAD]", "<pad>", "<|padding|>", "<|endoftext|>", "</s>")
_ENDS = ("</s>", "<|endoftext|>", "<eos>", "[SEP]")
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Tokens:
    """encode: text, whether with a model's special tokens → ids, and the start and end of each in the text's
    characters (equal ones for what is not of the text). pad fills up; end follows each document."""

    encode: Callable[[str, bool], tuple[list[int], list[tuple[int, int]]]]
    pad: int
    end: int


def _bytes(text: str, special: bool) -> tuple[list[int], list[tuple[int, int]]]:
    ids: list[int] = []
    places: list[tuple[int, int]] = []
    for at, letter in enumerate(text):
        coded = letter.encode()
        ids.extend(coded)
        places.extend([(at, at + 1)] * len(coded))
    return ids, places


def tokens_of(feature: TextFeature, reading: Reading) -> Tokens:
    """The tokenizer of a feature: `bytes`, or one whose bytes were given. Raises ValueError."""
    if feature.tokenizer == BYTES:
        return Tokens(_bytes, PAD, PAD)
    content = reading.tokenizers.get(feature.tokenizer)
    if content is None:
        raise ValueError(f"tokenizer {feature.tokenizer}: its file is expected, none was given")
    if len(content) > MAX_TOKENIZER:
        raise ValueError(f"tokenizer {feature.tokenizer} has {len(content)} bytes, at most {MAX_TOKENIZER} are read")
    from tokenizers import Tokenizer  # noqa: PLC0415 - an extra, and only some jobs need it

    try:
        made = Tokenizer.from_str(content.decode("utf-8"))
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"tokenizer {feature.tokenizer}: a tokenizer.json is expected: {error}") from error
    padding = made.padding
    pad = padding["pad_id"] if padding else _first(made.token_to_id, _PADS)
    end = _first(made.token_to_id, _ENDS)
    end = pad if end is None else end
    if pad is None or end is None:
        raise ValueError(f"tokenizer {feature.tokenizer}: a token for padding is expected: one of {', '.join(_PADS)}")
    made.no_padding()
    made.no_truncation()

    def encode(text: str, special: bool) -> tuple[list[int], list[tuple[int, int]]]:
        found = made.encode(text, add_special_tokens=special)
        places = [
            (0, 0) if mask else place for place, mask in zip(found.offsets, found.special_tokens_mask, strict=True)
        ]
        return found.ids, places

    return Tokens(encode, pad, end)


def _first(find: Callable[[str], int | None], names: Sequence[str]) -> int | None:
    return next((found for name in names if (found := find(name)) is not None), None)


def fitted(texts: Sequence[str], feature: TextFeature, tokens: Tokens, reading: Reading) -> Int64s:
    """int64[n, length]: cut at the length, filled up with padding."""
    rows = np.full((len(texts), feature.length), tokens.pad, dtype=np.int64)
    for row, text in zip(rows, texts, strict=True):
        ids = text.encode() if feature.tokenizer == BYTES else tokens.encode(text, True)[0]
        reading.notes.remark(f"texts cut at {feature.length} tokens", int(len(ids) > feature.length))
        row[: len(ids)] = list(ids[: feature.length])
    return rows


def tags_of(text: str, tags: str, feature: TextFeature, tokens: Tokens, target: TagsTarget) -> Int64s:
    """int64[length]: a word's tag at its first token, −100 elsewhere. Raises ValueError in a clause."""
    words, asked = list(_WORD.finditer(text)), tags.split()
    if len(words) != len(asked):
        raise ValueError(f"{len(words)} tags are expected, one a word, {len(asked)} were found")
    row = np.full(feature.length, IGNORED, dtype=np.int64)
    places = tokens.encode(text, True)[1]
    at = 0
    for word, tag in zip(words, asked, strict=True):
        if not re.fullmatch(r"[0-9]{1,5}", tag) or int(tag) >= target.classes:
            raise ValueError(f"tags 0 … {target.classes - 1} are expected, {tag[:40]!r} was found")
        while at < len(places) and (places[at][1] <= word.start() or places[at][0] == places[at][1]):
            at += 1
        if at == len(places) or places[at][0] >= word.end():
            raise ValueError(f"a token for each word is expected, the tokenizer gives none for {word.group()[:40]!r}")
        if at < feature.length:
            row[at] = int(tag)
        at += 1
    return row


# ---------------------------------------------------------------- documents


class Packed:
    """Documents one after the other, each with an end, cut into samples of one length; the last piece, which would
    not fill one, is left out."""

    def __init__(self, name: str, feature: TextFeature, reading: Reading) -> None:
        self._name, self._length, self._reading = name, feature.length, reading
        self._bytes = feature.tokenizer == BYTES
        self._tokens = tokens_of(feature, reading)
        self._rows = Growing((feature.length,), np.int64, reading.path, reading.options.cache)
        self._rest = np.empty(0, dtype=np.int64)

    def add(self, text: str) -> None:
        """One document."""
        found = np.frombuffer(text.encode(), np.uint8) if self._bytes else np.array(self._tokens.encode(text, False)[0])
        ids = np.concatenate([self._rest, found.astype(np.int64), [self._tokens.end]])
        full = len(ids) // self._length * self._length
        if full:
            self._rows.append(ids[:full].reshape(-1, self._length))
        self._rest = ids[full:]

    def dataset(self) -> Dataset:
        """All whole pieces. Raises ValueError if there is none."""
        if not self._rows.rows:
            raise ValueError(
                f"{self._reading.path}: {self._length} tokens are expected at least, {len(self._rest)} were found"
            )
        self._reading.notes.remark("tokens left out at the end, which do not fill a sample", len(self._rest))
        return Dataset({self._name: self._rows.array()}, None)


def document(path: Path, reading: Reading) -> str:
    """A text file as it stands, in one piece. Raises ValueError."""
    pieces, size = [], 0
    for line in lines(path, reading):
        size += len(line)
        if size > MAX_TEXT:
            raise ValueError(f"{path} has more than {MAX_TEXT} characters: cut it into several files")
        pieces.append(line)
    text = "".join(pieces)
    if not text.strip():
        raise ValueError(f"{path}: a text is expected, it is empty")
    return text


def _labelled(reading: Reading, target: ClassTarget) -> Iterator[tuple[Path, int]]:
    from trainer.data.images import class_files  # noqa: PLC0415 - which needs Pillow

    yield from class_files(reading, target)


def read_texts(reading: Reading) -> Dataset:
    """A text file, or a folder of them: one document a file; in subfolders named as the classes where those are asked.

    Raises ValueError if the job's schema needs more than a text and its class.
    """
    schema, folder = reading.schema, reading.path.is_dir()
    if list(schema.features) != list(schema.texts) or len(schema.texts) != 1:
        raise ValueError(f"{reading.path}: the job has other features than one text: give a table")
    ((name, feature),) = schema.texts.items()
    target = schema.target
    if feature.packed:
        packed = Packed(name, feature, reading)
        for path in entries(reading.path, reading) if folder else [reading.path]:
            try:
                packed.add(document(path, reading))
            except ValueError as error:
                _or_listed(reading, path, error)
        return packed.dataset()
    if target is not None and not (isinstance(target, ClassTarget) and folder):
        raise ValueError(f"{reading.path}: texts alone have no target of the kind {target.kind}: give a table")
    tokens = tokens_of(feature, reading)
    rows = Growing((feature.length,), np.int64, reading.path, reading.options.cache)
    labels = []
    files = entries(reading.path, reading) if folder else [reading.path]
    for path, label in _labelled(reading, target) if target else ((path, 0) for path in files):
        try:
            rows.append(fitted([document(path, reading)], feature, tokens, reading))
            labels.append(label)
        except ValueError as error:
            _or_listed(reading, path, error)
    return Dataset({name: rows.array()}, np.array(labels, dtype=np.int64) if target else None)


def _or_listed(reading: Reading, path: Path, error: ValueError) -> None:
    if not reading.path.is_dir():
        raise error
    reading.bad_file(path, error)
