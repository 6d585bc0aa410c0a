"""Writes docs/aggregator-policy.md from the fields of the policy's models; `--check` says whether it is up to date."""

from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from marketplace.services.policy import LOCAL, Policy, TokenPolicy
from marketplace.units import format_amount
from scripts.job_file_docs import write_or_check

PAGE = Path(__file__).resolve().parent.parent / "docs" / "aggregator-policy.md"
AMOUNTS = ("reward_at_least", "reward_at_most", "fee_at_least", "bond_at_most", "bonds_at_most")
INTRODUCTION = """# The aggregator's policy

An aggregator risks its bond in every job and pays gas for every round, on the word of owners and trainers that it may
not know: any `max_faulty` + 1 trainers can have the bond burnt, though none of them gains by it
([griefing.md](security/griefing.md)). So it takes up by itself only what `policy.yaml` in its home folder allows.
`merit up` without `--rpc` keeps the home of its own market in `local/`. This page is made from the models by
`scripts/policy_docs.py`.

```yaml
owners: ["0x70997970C51812dc3A010C7d01b50e0d17dc79C8"]
tokens:
- token: coin
  bond_at_most: 0.5 ether
  bonds_at_most: 3 ether
settle_window_at_least: 10 min
```

Fields that the file leaves out have the default; unknown ones are refused. Without a file nothing is accepted, except
on a development chain (chain ids 1337, 31337, 5777), whose coin is worth nothing: there the last column is in force.
A change is in force at once, for jobs that were not accepted yet; a file that is not valid changes nothing, and is
logged.

| command | what it does |
|---|---|
| `merit aggregator policy` | prints the policy in force, and where it comes from |
| `merit aggregator policy --job 7` | says what it has against job 7, and exits with 1 where it has anything |
| `merit aggregator requests` | lists the open jobs that name this key, with what is against each |
| `merit aggregator accept 7`, `decline 7` | the operator's word, which counts more than the policy |
| `merit aggregator run --job 7` | accepts job 7, whatever the policy says, and serves it alone |
| `merit aggregator run --job 7 --take-over` | takes job 7 over once its aggregator fails, in the same way |

A running aggregator acts on a word of its operator at once. The page of `merit up` shows the same requests, with
buttons. What an operator accepts is kept in `requests.json` beside the account's work, for that job and no other that
a reorganization may put in its place. A job whose bond is posted is served to its end, whatever the policy says then.

An acceptance does not override what safety demands: verifiers that are Merit's to the byte, a set-up that fits the
chain, keys that can be sealed to, and numbers within their bounds.

Amounts of coin are texts such as `0.25 ether`, or whole numbers of wei; amounts of a token are whole numbers of its
smallest unit, and its `bond_at_most` and `bonds_at_most` must be given: what is half an ether is 500 billion of a token
that has 6 decimals. Durations are whole seconds, or texts such as `10 min`, `2 h`."""


def shown(name: str, value: object) -> str:
    if name in AMOUNTS and isinstance(value, int) and value:
        return f"`{format_amount(value)}`"
    if name == "tokens":
        return "coin, as below"
    if isinstance(value, tuple):
        return ", ".join(f"`{entry}`" for entry in value) or "nobody"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"`{value}`"


def table(model: type[BaseModel], local: BaseModel) -> list[str]:
    lines = ["| field | default | on a development chain without a file | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        default = "required" if field.default is PydanticUndefined else shown(name, field.default)
        there = shown(name, getattr(local, name))
        lines.append(f"| `{name}` | {default} | {there} | {field.description or ''} |")
    return lines


def page() -> str:
    lines = [INTRODUCTION, "", "## Top level", "", *table(Policy, LOCAL)]
    lines += ["", "## tokens", "", *table(TokenPolicy, LOCAL.tokens[0])]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_or_check(PAGE, page())
