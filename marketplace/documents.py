"""Text that people write or strangers send: YAML within bounds, and what is wrong with a document in a few clauses.

And what is published for programs: JSON that is the same bytes wherever it is made.
"""

import datetime
import json
import re
from collections import Counter
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from marketplace.errors import InputError

MAX_FILE_BYTES = 256 * 1024
MAX_DEPTH = 30
MAX_SCALAR = 20_000  # characters; a longer number takes seconds to read
MAX_TOKENS = 50_000
MAX_CLAUSES = 20  # mistakes that one message names


class _Loader(yaml.SafeLoader):
    """YAML 1.1, but that 0x… stays text: it is an address, a key or a hash, pasted as it was printed."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := [name for name, count in names.items() if count > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]} is given twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)

    def integer_or_hex(self, node: yaml.ScalarNode) -> int | str:
        return str(node.value) if _HEX.match(node.value) else self.construct_yaml_int(node)


_HEX = re.compile(r"[-+]?0x")
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.integer_or_hex)


def canonical_json(document: BaseModel) -> bytes:
    """Sorted keys, no spaces, UTF-8."""
    return json.dumps(document.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()


def json_line(value: object) -> str:
    """One line for programs, ASCII. JSON has no infinity and no NaN: they are null. What it does not know is text."""
    return to_json(value, inf_nan_mode="null", fallback=str, ensure_ascii=True).decode()


def parse_yaml(text: str, *, where: str) -> Any:
    """YAML as plain values. Raises InputError, which begins with `where`, for what is none, and beyond these bounds.

    At most MAX_FILE_BYTES characters, MAX_DEPTH levels, MAX_TOKENS tokens, and MAX_SCALAR characters in one value.
    Anchors, aliases and tags are refused: a short text of aliases stands for a huge document, and tags choose how a
    value is read.
    """
    if len(text) > MAX_FILE_BYTES:
        raise InputError(f"{where} is longer than {MAX_FILE_BYTES} characters; a job file is a short YAML document.")
    try:
        _check_tokens(text, where)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # PyYAML lets int's, chr's and datetime's through
        raise InputError(f"{where} is not YAML: {_shortened(_told(error))}.") from error


def _told(error: Exception) -> str:
    """One line: the place first, then what is wrong there."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {' '.join(error.problem.split())}"
    return " ".join(str(error).split())


def _check_tokens(text: str, where: str) -> None:
    """The scanner neither recurses nor builds anything, so it may look at what the parser must not."""
    depth = 0
    for count, token in enumerate(yaml.scan(text, Loader=yaml.SafeLoader)):
        if count == MAX_TOKENS:
            raise InputError(f"{where} has more than {MAX_TOKENS} values and signs; a job file is a short document.")
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MAX_DEPTH or isinstance(token, _REFUSED):
            raise InputError(f"{where} is nested deeper than {MAX_DEPTH} levels, or has an anchor, alias or tag.")
        if isinstance(token, yaml.ScalarToken) and len(token.value) > MAX_SCALAR:
            raise InputError(f"{where} has a value of more than {MAX_SCALAR} characters; shorten it.")


_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_REFUSED = (yaml.AliasToken, yaml.AnchorToken, yaml.TagToken, yaml.DirectiveToken)


def explain(error: ValidationError) -> str:
    """pydantic's findings as clauses, the first MAX_CLAUSES of them: `field.path: what is wrong`."""
    found = error.errors(include_url=False, include_context=False)
    found = [item for item in found if item["type"] != "default_factory_not_called"]  # follows from another mistake
    clauses = []
    for item in found[:MAX_CLAUSES]:
        place = ".".join(str(part) for part in item["loc"]) or "the document"
        message = item["msg"].removeprefix("Value error, ").rstrip(".")
        if item["type"] == "extra_forbidden":
            message = "unknown field"
        elif item["type"] == "missing":
            message = "is required"
        elif item["type"] in ("model_type", "dict_type"):
            message = "fields are expected, such as `name: …`"
        elif item["type"] == "string_type" and (read := _read_as(item["input"])):
            message = f"YAML reads this as {read}, and text is expected: write it in quotes"
        begin = message[:1] if message[1:2].isupper() else message[:1].lower()
        clauses.append(f"{_shortened(place)}: {begin}{_shortened(message[1:])}")
    if len(found) > MAX_CLAUSES:
        clauses.append(f"and {len(found) - MAX_CLAUSES} mistakes more")
    return "; ".join(clauses)


def _read_as(value: object) -> str:
    """What YAML made of something without quotes that was meant as text; "" where it cannot be that."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, datetime.date):
        return "a date"
    return "nothing at all" if value is None else ""


def _shortened(text: str) -> str:
    """What strangers wrote, fit for a terminal: at most 200 characters, all of them printable."""
    short = text if len(text) <= 200 else f"{text[:199]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)
