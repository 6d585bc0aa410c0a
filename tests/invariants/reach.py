"""Adds up what the invariants' campaign reached and shows it: a campaign that never settles shows nothing.

    python -m tests.invariants.reach          after forge test, which writes a line for each of its runs

Exits 1 and names what was reached less than LEAST times.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from eth_utils.crypto import keccak

ROOT = Path(__file__).parents[2]
REACH = ROOT / "build" / "forge" / "reach.txt"
ABI = ROOT / "marketplace" / "chain" / "artifacts" / "JobMarket.json"
ODD = ("honest", "takes a fee", "adds a gift", "answers false", "answers nothing", "drains the receiver", "reverts")
"""OddToken's modes."""
WITHIN = (
    "leave", "cancel", "start", "publishKey", "submitUpdate", "settleRound", "skipRound", "abort", "dispute",
    "complete",
)  # fmt: skip
"""Calls that can be made from within another; those that move money cannot, which the handler checks."""
GUARDED = ("createJob", "acceptAggregation", "join", "takeOver", "withdraw")
CALLS = (*GUARDED, *WITHIN, "handOver", "showOpening", "revealValidation")
LEAST = 3
REQUIRED = (
    *(f"{answer} {call}" for answer in ("accepted", "refused") for call in CALLS),
    *(f"nested {call}" for call in WITHIN),
    *(f"nested, refused {call}" for call in GUARDED),
    *(f"ended {state}" for state in ("completed", "cancelled", "aborted")),
    *(f"credited {reason}" for reason in ("pay", "fee", "stake", "bond", "compensation", "refund", "burnt")),
    *(f"ejected {why}" for why in ("for silence", "for strikes")),
    *(f"odd token taken in mode {mode}" for mode in ("honest", "answers nothing", "takes a fee")),
    *(f"odd token refused in mode {mode}" for mode in ODD),
    "payee refused",
    "opened confirmation",
)


def error_names() -> dict[int, str]:
    """The names of the market's errors, and of those that tokens and payees make, by selector."""
    abi = json.loads(ABI.read_text())["abi"]
    inputs = {item["name"]: item["inputs"] for item in abi if item["type"] == "error"} | {"Refused": []}
    inputs["ERC20InsufficientBalance"] = [{"type": "address"}, {"type": "uint256"}, {"type": "uint256"}]
    signatures = {name: f"{name}({','.join(each['type'] for each in of)})" for name, of in inputs.items()}
    return {int.from_bytes(keccak(text=signature)[:4]): name for name, signature in signatures.items()}


def reached(lines: list[str]) -> Counter[str]:
    names = error_names()
    total: Counter[str] = Counter()
    for line in lines:
        for entry in line.rstrip(";").split(";"):
            what, _, times = entry.rpartition("=")
            kind, _, last = what.rpartition(" ")
            if kind == "error":
                what = f"error {names.get(int(last), hex(int(last)))}"
            elif kind.endswith("in mode"):
                what = f"{kind} {ODD[int(last)]}"
            total[what] += int(times)
    return total


def main() -> str | None:
    if not REACH.exists():
        return f"{REACH} is missing: run forge test."
    lines = REACH.read_text().splitlines()
    total = reached(lines)
    calls = sum(times for what, times in total.items() if what.startswith(("accepted ", "refused ")))
    sys.stdout.write(f"{len(lines)} runs, {calls:,} calls of the market\n")
    for call in CALLS:
        figures = [total[f"{answer} {call}"] for answer in ("accepted", "refused", "nested", "nested, refused")]
        accepted, refused, nested, denied = (f"{figure:>9,}" for figure in figures)
        sys.stdout.write(f"  {call:18}{accepted} accepted{refused} refused{nested} nested{denied} nested refused\n")
    others = sorted(what for what in total if what.split()[0] not in ("accepted", "refused", "nested", "nested,"))
    sys.stdout.write("".join(f"  {what:44}{total[what]:>9,}\n" for what in others))
    short = [f"{what} ({total[what]})" for what in REQUIRED if total[what] < LEAST]
    return f"reached less than {LEAST} times: {', '.join(short)}" if short else None


if __name__ == "__main__":
    sys.exit(main())
