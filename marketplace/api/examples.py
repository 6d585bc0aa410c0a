"""An example of each answer, for the API's document: `examples.json` holds one for each type of answer, by its name.

They are what real nodes said, cut where lists are long; `tests/unit/test_api_examples.py` holds them against the
models and a node, and writes anew what a node can be asked for.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("examples.json")
STREAMS = {"stream_events": "ChainNews", "stream_audit": "AuditCheck"}
"""Operations whose answer is a stream, and the type of what it mostly says."""


@cache
def examples() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def add_examples(document: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with an example in each JSON answer, errors included; it is changed in place."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                for media in response.get("content", {}).values():
                    example = _example(operation["operationId"], media.get("schema", {}))
                    if example is not None:
                        media["example"] = example
    return document


def _example(operation: str, schema: dict[str, Any]) -> Any:
    """None where there is none: a test says so."""
    if operation in STREAMS and "anyOf" in schema:
        return examples()[STREAMS[operation]]
    one = examples().get(str(schema.get("items", schema).get("$ref")).rpartition("/")[2])
    return [one] if one is not None and schema.get("type") == "array" else one
