"""Writes docs/reference/contract.md and events.md from contracts/interfaces/IJobMarket.sol and the market's ABI.

`--check` says whether they are up to date. What stands above a declaration is its documentation; that every function
and event of the ABI is there, and no other, is checked here.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eth_utils.abi import abi_to_signature, event_abi_to_log_topic, function_abi_to_4byte_selector

from scripts.job_file_docs import write_or_check

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "contracts" / "interfaces" / "IJobMarket.sol"
ABI = ROOT / "marketplace" / "chain" / "artifacts" / "JobMarket.json"
CONTRACT = ROOT / "docs" / "reference" / "contract.md"
EVENTS = ROOT / "docs" / "reference" / "events.md"
CONTRACT_INTRODUCTION = """# The contract

`JobMarket` holds the money of all jobs, and keeps their order. It has neither owner nor administrator, and cannot
be replaced. Its ABI is in `marketplace/chain/artifacts/JobMarket.json`, for each version of Merit; what it logs is
in [events](events.md), what it refuses with in [errors](errors.md#the-contracts-errors). This page is made from
`contracts/interfaces/IJobMarket.sol` by `scripts/contract_docs.py`."""
EVENTS_INTRODUCTION = """# Events

The market's events alone rebuild every state of a job: a node's index and `merit audit` read nothing else from the
chain but the transactions that made them. A node's API streams them under `/api/events` ([API](api.md#live)), each
with its `kind`, the event's name here. This page is made from `contracts/interfaces/IJobMarket.sol` by
`scripts/contract_docs.py`."""

_DECLARED = re.compile(
    r"^ *// -+ (?P<section>.*)$"
    r"|(?P<said>(?:^ *//.*\n)*)^(?P<whole> *(?P<kind>struct|enum|event|function) (?P<name>\w+)[^;{]*)(?P<end>[;{])",
    re.MULTILINE,
)
_FIELD = re.compile(r"(?P<said>(?: *//.*\n)*) *(?P<type>\w+) (?P<name>\w+);")


@dataclass(frozen=True)
class Declared:
    """said: what its comments say. whole: its text. body: of a struct or enum."""

    section: str
    kind: str
    name: str
    said: str
    whole: str
    body: str


def declared(source: str) -> Iterator[Declared]:
    section = ""
    for found in _DECLARED.finditer(source):
        if found["section"]:
            section = found["section"].split(":")[0].strip().capitalize()
            continue
        body = source[found.end() :].partition("}")[0] if found["end"] == "{" else ""
        whole = re.sub(r"^ {4}", "", found["whole"].rstrip(), flags=re.MULTILINE)
        yield Declared(section, found["kind"], found["name"], _said(found["said"]), whole, body)


def _said(comments: str) -> str:
    """NatSpec as text: tags gone, parameters as a list."""
    lines = [line.strip()[3:].strip() for line in comments.splitlines() if line.strip().startswith("///")]
    text = " ".join(lines).removeprefix("@notice ").removeprefix("@dev ")
    text, *tagged = re.split(r" ?@(?=param |return )", text)
    points = [re.sub(r"^(?:param|return) (\w+) ", r"- `\1`: ", point) for point in tagged]
    return "\n".join(map(_linked, [text, *points]))


def _linked(text: str) -> str:
    """Pages of docs/ that comments name, as links."""
    return re.sub(r"\bdocs/([\w/.-]+\.md)", r"[docs/\1](../\1)", text.strip())


def fields(struct: Declared) -> list[str]:
    lines = ["", "| field | type | meaning |", "|---|---|---|"]
    for found in _FIELD.finditer(struct.body):
        lines.append(f"| `{found['name']}` | `{found['type']}` | {_said(found['said'])} |")
    return lines


def members(enum: Declared) -> list[str]:
    lines = ["", "| value | name | meaning |", "|---|---|---|"]
    rows = re.sub(r"\n\s*//(?! *\w*,)", "", enum.body)  # a comment that goes on in the next line
    for number, found in enumerate(re.finditer(r"^ *(\w+),? *(?://(.*))?$", rows, re.MULTILINE)):
        lines.append(f"| {number} | `{found[1]}` | {(found[2] or '').strip()} |")
    return lines


def _entries(kind: str) -> dict[str, dict[str, object]]:
    return {entry["name"]: entry for entry in json.loads(ABI.read_text())["abi"] if entry["type"] == kind}


def _same(kind: str, found: list[Declared]) -> dict[str, dict[str, object]]:
    """The ABI's entries of a kind. Raises ValueError where they are others than what was found in the source."""
    there = _entries(kind)
    missing = there.keys() ^ {one.name for one in found}
    if missing:
        raise ValueError(f"{SOURCE.name} and the ABI differ by: {', '.join(sorted(missing))}.")
    return there


def contract_page() -> str:
    found = list(declared(SOURCE.read_text("utf-8")))
    functions = [one for one in found if one.kind == "function"]
    abi = _same("function", functions)
    lines = [CONTRACT_INTRODUCTION]
    section = ""
    for one in functions:
        if one.section != section:
            section = one.section
            lines += ["", f"## {section}"]
        selector = function_abi_to_4byte_selector(abi[one.name]).hex()  # type: ignore[arg-type]
        lines += ["", f"### {one.name}", "", "```solidity", one.whole, "```", "", f"Selector `0x{selector}`."]
        lines += ["", one.said] if one.said else []
    lines += ["", "## Types"]
    for one in found:
        if one.kind in ("struct", "enum"):
            lines += ["", f"### {one.name}", *(["", one.said] if one.said else [])]
            lines += fields(one) if one.kind == "struct" else members(one)
    return "\n".join(lines) + "\n"


def events_page() -> str:
    events = [one for one in declared(SOURCE.read_text("utf-8")) if one.kind == "event"]
    abi = _same("event", events)
    lines = [EVENTS_INTRODUCTION]
    for one in events:
        topic = event_abi_to_log_topic(abi[one.name]).hex()  # type: ignore[arg-type]
        lines += ["", f"## {one.name}", "", "```solidity", one.whole, "```", ""]
        lines += [f"Topic `0x{topic}`, the keccak256 of `{abi_to_signature(abi[one.name])}`."]  # type: ignore[arg-type]
        lines += ["", one.said] if one.said else []
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_or_check(CONTRACT, contract_page())
    write_or_check(EVENTS, events_page())
