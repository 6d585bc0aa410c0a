"""Writes docs/reference/errors.md from the exception tree, the API's problems and the contract's errors.

`--check` says whether it is up to date.
"""

import inspect
import re
from pathlib import Path

from marketplace import errors
from marketplace.api.problems import KINDS
from marketplace.chain.reverts import SENTENCES
from scripts.job_file_docs import write_or_check

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "errors.md"
INTRODUCTION = """# Errors

An error is one sentence: what is wrong, where, and what to do. [Troubleshooting](../troubleshooting.md) goes
through the common ones. This page is made from the sources by `scripts/error_docs.py`.

## Exit codes

A command ends with 0 when it has done what it was asked for. Python code raises the exception of the same row, all
of which are `MeritError` (`marketplace/errors.py`).

| exit code | exception | meaning |
|---|---|---|"""
CONTRACT = """
## The contract's errors

A call that the market refuses reverts with one of these. Commands and the API print the sentence with its values;
the API also has the name.

| error | sentence |
|---|---|"""
API = """
## Problems of the API

Errors of a node's API are problem documents (RFC 9457): `type` is one of these, `detail` the sentence.

| type | status | meaning |
|---|---|---|"""
OTHERS = [
    ("invalid", 422, "The request's fields are not valid; `detail` names each."),
    ("refused", "401, 403, …", "Not for this caller, from this place, or so often."),
    ("too-large", 413, "The request is larger than the node takes."),
    ("internal", 500, "A fault of the node; its log says more."),
]


def exit_codes() -> list[str]:
    """Rows of the tree in the docstring of marketplace/errors.py."""
    rows = re.findall(r"^[ │├└─]*(\w+) +(\d+) {2,}(.*)$", inspect.getdoc(errors) or "", re.MULTILINE)
    for name, code, _ in rows:
        if getattr(errors, name).exit_code != int(code):
            raise ValueError(f"The docstring of marketplace/errors.py gives {name} another exit code than it has.")
    lines = [f"| {code} | `{name}` | {meaning} |" for name, code, meaning in sorted(rows, key=lambda row: int(row[1]))]
    return [*lines, "| 130 | | stopped with Ctrl-C; the same command goes on with what was sent |"]


def page() -> str:
    lines = [INTRODUCTION, *exit_codes(), API]
    lines += [f"| `urn:merit:{name}` | {status} | {title} |" for _, status, name, title in KINDS]
    lines += [f"| `urn:merit:{name}` | {status} | {meaning} |" for name, status, meaning in OTHERS]
    lines += [CONTRACT, *(f"| `{name}` | {_values(sentence)} |" for name, sentence in SENTENCES.items())]
    return "\n".join(lines) + "\n"


def _values(sentence: str) -> str:
    return re.sub(r"{(\w+)[^}]*}", r"*\1*", sentence)


if __name__ == "__main__":
    write_or_check(PAGE, page())
