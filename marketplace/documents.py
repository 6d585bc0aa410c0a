"""Text that people write or strangers send: YAML within bounds, and what is wrong with a document in a few clauses."""

from typing import Any

import yaml
from pydantic import ValidationError

from marketplace.errors import InputError

MAX_FILE_BYTES = 256 * 1024
MAX_DEPTH = 30
MAX_SCALAR = 20_000  # characters; a longer number takes seconds to read
MAX_TOKENS = 50_000
MAX_CLAUSES = 20  # mistakes that one message names


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
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # PyYAML lets int's, chr's and datetime's through
        raise InputError(f"{where} is not YAML: {_shortened(' '.join(str(error).split()))}.") from error


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
    found = error.errors(include_url=False, include_context=False, include_input=False)
    clauses = []
    for item in found[:MAX_CLAUSES]:
        place = ".".join(str(part) for part in item["loc"]) or "the document"
        message = item["msg"].removeprefix("Value error, ").rstrip(".")
        if item["type"] == "extra_forbidden":
            message = "unknown field"
        elif item["type"] == "missing":
            message = "is required"
        clauses.append(f"{_shortened(place)}: {message[:1].lower()}{_shortened(message[1:])}")
    if len(found) > MAX_CLAUSES:
        clauses.append(f"and {len(found) - MAX_CLAUSES} mistakes more")
    return "; ".join(clauses)


def _shortened(text: str) -> str:
    """What strangers wrote, fit for a terminal: at most 200 characters, all of them printable."""
    short = text if len(text) <= 200 else f"{text[:199]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)
