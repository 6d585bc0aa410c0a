"""Writes docs/reference/api.md from the API's OpenAPI document; `--check` says whether it is up to date."""

from pathlib import Path
from typing import Any

from marketplace.api.app import create_app
from scripts.job_file_docs import write_or_check

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "api.md"
INTRODUCTION = """# The API of a node

What `merit up` serves beside its page, as HTTP with JSON. The document that this page is made from, by
`scripts/api_docs.py`, is served under `/api/openapi.json` (OpenAPI 3.1, with an example of each answer) and printed by
`python -m scripts.openapi`. A node shows it under `/viewer/`, from where calls can be tried.

- Amounts are decimal texts in the token's smallest unit, times Unix seconds by the chain's clock, addresses with
  their checksum, bytes 0x-hex.
- *token* means: with the header `Authorization: Bearer TOKEN`. The token is in the address that `merit page`
  prints. All else is open to anybody who reaches the node; what shows local data is answered on the node's own
  machine only.
- Errors are [problem documents](errors.md#problems-of-the-api).
- Pages of other sites cannot call a node: requests with a foreign `Origin` or `Host` are refused."""
TITLES = {
    "node": "Node", "market": "Market", "live": "Live", "actions": "Actions", "own": "What is one's own",
    "aggregator": "Aggregator", "content": "Content",
}  # fmt: skip


def page() -> str:
    document = create_app(None).openapi()
    by_tag: dict[str, list[tuple[str, str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation.get("tags", ["other"])[0], []).append((method.upper(), path, operation))
    lines = [INTRODUCTION]
    for tag, operations in by_tag.items():
        lines += ["", f"## {TITLES.get(tag, tag.capitalize())}"]
        for method, path, operation in operations:
            lines += ["", f"### {method} {path}", "", operation.get("description", ""), *_operation(operation)]
    lines += ["", "## Types", "", "A field that may be null says so; *optional* fields can be left out of a request."]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += ["", f"### {name}", *_schema(schema)]
    return "\n".join(lines) + "\n"


def _operation(operation: dict[str, Any]) -> list[str]:
    facts = ["token" if operation.get("security") else "open"]
    body = operation.get("requestBody", {}).get("content", {})
    facts += [f"takes {_type(media['schema']) or f'`{kind}`'}" for kind, media in body.items()]
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            shown = [
                _type(media.get("schema", {})) or f"`{kind}`" for kind, media in response.get("content", {}).items()
            ]
            facts.append(f"answers {status}" + (f" {', '.join(shown)}" if shown else ""))
    lines = ["", f"*{facts[0]}*" + "".join(f" · {fact}" for fact in facts[1:])]
    if parameters := operation.get("parameters"):
        lines += ["", "| parameter | in | type | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{one['name']}` | {one['in']} | {_type(one['schema'])} | {_cell(one.get('description', ''))} |"
            for one in parameters
        ]
    return lines


def _schema(schema: dict[str, Any]) -> list[str]:
    lines = ["", schema["description"]] if schema.get("description") else []
    if "properties" not in schema:
        return [*lines, "", _type(schema)]
    lines += ["", "| field | type | meaning |", "|---|---|---|"]
    required = schema.get("required", [])
    for name, field in schema["properties"].items():
        optional = "" if name in required else ", optional"
        lines.append(f"| `{name}` | {_type(field)}{optional} | {_cell(field.get('description', ''))} |")
    return lines


def _type(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[several]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {})) or 'anything'}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties']) or 'anything'}"
    return str(schema.get("type", ""))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    write_or_check(PAGE, page())
