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
ABI = ROOT / "build" / "forge" / "out" / "JobMarket.sol" / "JobMarket.json"
ODD = ("honest", "takes a fee", "adds a gift", "answers false", "answers nothing", "drains the receiver", "reverts")
"""OddToken's modes."""
WITHIN = (
    "leave", "cancel", "start", "publishKey", "submitUpdate", "settleRound", "voidRound", "redeliver", "skipRound",
    "askEnd", "abort", "dispute", "reveal", "disputeRows", "complete", "claim", "claimFees",
)  # fmt: skip
"""Calls that can be made from within another; those that move money cannot, which the handler checks."""
GUARDED = ("createJob", "acceptAggregation", "join", "takeOver", "withdraw")
CALLS = (*GUARDED, *WITHIN, "handOver", "showOpening", "revealValidation")
ERRORS = (
    "WrongState", "NotOver", "NotAggregator", "NotTrainer", "NotOwner", "AggregatorTaken", "AlreadyJoined", "JobFull",
    "TicketMissing", "TicketUnneeded", "TicketLength", "TicketExpired", "TicketRefused",
    "EnrolmentClosed", "NotStartable", "StartDelayed", "NotCancellable", "KeyAlreadyPublished", "KeyNotPublished",
    "WrongRound", "SubmittingClosed", "SubmittingOpen", "SettlingClosed", "AlreadySubmitted", "NothingSubmitted",
    "SomethingSubmitted", "NotAbortable", "NotTakeable", "NothingToHandOver", "AlreadyDisputed", "AlreadyBurnt",
    "NothingToReveal", "RevealingClosed", "RevealingOpen", "NotRevealer", "OpenedNothing", "NotCompletable",
    "EndAlreadyAsked", "NotMember", "AlreadyClaimed", "NothingToClaim", "NotSubmitted", "SelectedUnopened",
    "WrongStrikes", "TooManyUnopened", "NotVoidable", "NothingToDeliver", "NotItsCommitment", "GramProofRefused",
    "WrongPayment", "FeeOnTransfer", "NothingToWithdraw", "CoinTransferFailed",
)  # fmt: skip
"""Those that do not come from words that mean nothing, which tests/contracts has."""
LEAST = 3
REQUIRED = (
    *(f"{answer} {call}" for answer in ("accepted", "refused") for call in CALLS),
    *(f"nested {call}" for call in WITHIN),
    *(f"nested, refused {call}" for call in GUARDED),
    *(f"ended {state}" for state in ("completed", "cancelled", "aborted")),
    *(f"credited {reason}" for reason in ("pay", "fee", "stake", "bond", "compensation", "refund", "burnt")),
    *(f"confirming {how}" for how in ("completed", "aborted", "with rows to reveal")),
    *(f"cancelled by {who}" for who in ("the owner", "another")),
    *(f"started {how}" for how in ("after a delay", "by the owner at once")),
    *(f"left with {what}" for what in ("the stake", "a stake that waits")),
    *(f"joined by a {whose} ticket" for whose in ("key's", "contract's")),
    "left as the last one",
    *(f"settled with {what}" for what in ("something unopened", "nothing selected", "a strike", "no score above zero")),
    "settled after a takeover",
    "delivered after a takeover",
    *(f"settled {how}" for how in ("with all that was late", "without what was late")),
    *(
        f"voided {how}"
        for how in ("once in a round", "again in a round", "again, while some are late", "with all there is")
    ),
    *(f"voided once more than may be {when} a settlement" for when in ("before", "after")),
    *(f"{what} in the middle of a void" for what in ("taken over", "aborted")),
    "skipped with all late",
    "missed by who is late",
    *(
        f"gained {what}"
        for what in ("something", "less than nothing", "the most", "a part of a round", "a whole round")
    ),
    "missed by who disputed",
    *(f"ejected {when} a settlement" for when in ("before", "after")),
    *(f"skipped {how}" for how in ("and nobody is left", "as often as may be", "as the last round")),
    *(f"asked to end {how}" for how in ("before the least round", "and ended early")),
    *(f"rate {how}" for how in ("kept", "decayed", "decayed to nothing")),
    *(f"taken over {how}" for how in ("with a key", "without a key", "again with a key")),
    *(f"aborted {how}" for how in ("and the bond kept", "without a settlement", "without a key")),
    "a bond did not divide",
    *(
        f"disputed while {phase} by {many}"
        for phase in ("running", "confirming")
        for many in ("too few", "enough", "all there were")
    ),
    *(f"disputed {what}" for what in ("with fees of before a takeover", "without a bond", "after the rows")),
    *(f"revealed {how}" for how in ("by the owner", "by the aggregator", "again", "and disputed", "and not disputed")),
    *(f"rows disputed by {who}" for who in ("too few", "enough", "all that opened any", "who left", "who was ejected")),
    *(
        f"rows disputed {what}"
        for what in ("of a round", "of before a takeover", "as round 0", "as round 0, without a key")
    ),
    *(
        f"rows disputed {how}"
        for how in (
            "again",
            "after the sum",
            "with fees of before a takeover",
            "and the bond kept",
            "and the bond kept, without a key",
        )
    ),
    "rows disputed again, and the bond burnt",
    *(f"unrevealed {how}" for how in ("with a key", "without a key", "after a dispute")),
    "unrevealed with fees of before a takeover",
    *(f"divided while disputed {how}" for how in ("by points", "by rounds opened")),
    *(f"divided {how}" for how in ("by points", "by rounds opened", "among nobody", "with a rest")),
    "divided not at all, though there is a pot",
    *(f"claimed pay by who {went}" for went in ("stayed", "left", "was ejected")),
    *(f"claimed {what}" for what in ("less a slash for strikes", "with a balance below zero")),
    *(f"odd token taken in mode {mode}" for mode in ("honest", "answers nothing", "takes a fee")),
    *(f"odd token refused in mode {mode}" for mode in ODD),
    "payee refused",
    *(f"error {name}" for name in ERRORS),
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
