"""Breaks the market's contract in one way at a time; the invariants have to notice each.

    python -m tests.invariants.mutate                        all of them
    python -m tests.invariants.mutate --sample 2 --seed 7    two of them

Each is made in a copy of the contracts below build/forge, where one short campaign runs up to the first rule that is
broken. Prints that rule; exits 1 and names the mutations that survived.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARKET = "contracts/JobMarket.sol"
FOLDER = ROOT / "build" / "forge" / "mutants"
COPIED = ("contracts", "scripts/solc", "tests/invariants", "foundry.toml")
SECONDS = 600


@dataclass(frozen=True)
class Mutation:
    """What is wrong, and how it is made: pieces of the contract, each there once, with what takes their place."""

    name: str
    edits: tuple[tuple[str, str], ...]


def mutation(name: str, *edits: tuple[str, str]) -> Mutation:
    return Mutation(name, edits)


ZEROING = "        credit[msg.sender][token] = 0;\n"
SENDING = "            IERC20(token).safeTransfer(msg.sender, amount);\n"
STAKES = "            if (active.has(slot)) _credit(jobId, _trainers[jobId][slot].payee, stake, Reason.Stake);\n"
ABORTING = "        if (block.timestamp <= takeableUntil) revert NotAbortable(jobId, takeableUntil);\n"
COMPLETING = "        if (block.timestamp <= j.submitBy) revert NotCompletable(jobId, j.submitBy);\n"
ONLY_AGGREGATOR = "        if (msg.sender != j.aggregator) revert NotAggregator(jobId, msg.sender);\n"
CANCELLING = "        Job storage j = _jobIn(jobId, State.Open);\n        bool stale"
ENDING = "        _end(jobId, State.Cancelled);\n"
EMPTYING = "        credit[j.owner][_terms[jobId].token] = 0;\n"
BOND = "        _receive(t.token, t.bond);\n    }\n\n    function "
REOPENING = "        _openRound(jobId, j.round);\n"
COMPENSATING = "        j.carry += _compensate(jobId, t.bond);\n"
PAYING = "        if (j.feeDue) _credit(jobId, j.aggregatorPayee, _takeFee(jobId), Reason.Fee);\n"
FEE_OF_A_FAILED = "        _payFee(jobId);\n        uint32 wronged"
QUORUM = "        if (disputed.count() < j.quorum) return;\n"

MUTATIONS = (
    mutation("a fee stays due when it is paid", ("        j.feeDue = false;\n", "")),
    mutation("a fee is credited twice", (PAYING, PAYING.replace("_takeFee(jobId)", "2 * _takeFee(jobId)"))),
    mutation(
        "a fee is paid at once", ("        j.feeDue = true;\n", "        j.feeDue = true;\n        _payFee(jobId);\n")
    ),
    mutation("what is credited is written down double", ("[token] += amount;", "[token] += 2 * amount;")),
    mutation("an end forgets the stakes", (STAKES, "")),
    mutation("an end forgets the bond", ("if (j.aggregator != address(0)) _credit(", "if (jobId == 0) _credit(")),
    mutation("what rounding leaves is nobody's", ("- t.reward + (pot - paid);", "- t.reward;")),
    mutation("what of a bond cannot be divided is nobody's", ("return pot - share * count;", "return 0;")),
    mutation("half of an ejected trainer's rest is forgotten", ("payee, rest, Reason", "payee, rest / 2, Reason")),
    mutation("slashes of the last round are carried on", ("j.carry = last ? 0 : slashed;", "j.carry = slashed;")),
    mutation("a left slot stays taken", ("        j.active = j.active.without(slot);\n", "")),
    mutation("a withdrawal leaves the credit", (ZEROING, "")),
    mutation(
        "a withdrawal pays before it clears the credit, unguarded",
        ("function withdraw(address token) external nonReentrant {", "function withdraw(address token) external {"),
        (ZEROING, ""),
        (SENDING, SENDING + "        }\n        {\n    " + ZEROING),
    ),
    mutation("a token that takes a fee is taken", ("if (received != amount) revert", "if (amount == 1) revert")),
    mutation("a false answer of a token is success", (SENDING, SENDING.replace("safeTransfer", "transfer"))),
    mutation("only the owner cancels", ("msg.sender != j.owner && !stale", "msg.sender != j.owner")),
    mutation("only the aggregator aborts", (ABORTING, ABORTING + ONLY_AGGREGATOR)),
    mutation("only the aggregator completes", (COMPLETING, COMPLETING + ONLY_AGGREGATOR)),
    mutation("a job is completed in the last second to dispute", (COMPLETING, COMPLETING.replace("<=", "<"))),
    mutation("a job is aborted in the last second to take it over", (ABORTING, ABORTING.replace("<=", "<"))),
    mutation(
        "a job is taken over in the aggregator's last second",
        ("block.timestamp <= failedAfter ||", "block.timestamp < failedAfter ||"),
    ),
    mutation(
        "a job is taken over a second too late",
        ("|| block.timestamp > takeableUntil", "|| block.timestamp > takeableUntil + 1"),
    ),
    mutation(
        "who took over and is not ready is taken over from", ("keyed || !j.takenOver ? ", "keyed || jobId != 0 ? ")
    ),
    mutation("a takeover asks for no bond", (BOND + "handOver", "    }\n\n    function handOver")),
    mutation(
        "a takeover keeps the failed aggregator's bond for the pot", (COMPENSATING, "        j.carry += t.bond;\n")
    ),
    mutation("a takeover keeps the bond's rest", (COMPENSATING, COMPENSATING.replace("j.carry += ", ""))),
    mutation(
        "a takeover keeps the submissions",
        (REOPENING, "        uint32 kept = j.submitted;\n" + REOPENING + "        j.submitted = kept;\n"),
    ),
    mutation(
        "a takeover keeps the key",
        ("        j.takenOver = true;\n        j.keyPublished = false;\n", "        j.takenOver = true;\n"),
    ),
    mutation("a takeover begins no round", (REOPENING, "")),
    mutation("who takes over gets the fee of the failed", (FEE_OF_A_FAILED, "        uint32 wronged")),
    mutation(
        "what is burnt is the owner's",
        ("_credit(jobId, address(0), burnt, Reason.Burnt)", "_credit(jobId, j.owner, burnt, Reason.Burnt)"),
    ),
    mutation("what is burnt is credited to nobody", ("        _credit(jobId, address(0), burnt, Reason.Burnt);\n", "")),
    mutation(
        "a disputed sum's fee is paid",
        ("        if (j.feeDue) burnt += _takeFee(jobId);\n", "        _payFee(jobId);\n"),
    ),
    mutation("one dispute less than the quorum is enough", (QUORUM, QUORUM.replace("j.quorum", "j.quorum - 1"))),
    mutation("a quorum of disputes does nothing", (QUORUM, QUORUM.replace("< j.quorum", "<= j.quorum"))),
    mutation(
        "all trainers there were do not make a quorum",
        ("uint8(believed < trainers ? believed : trainers)", "uint8(believed)"),
    ),
    mutation("disputes are kept from phase to phase", ("        if (j.disputed != 0) j.disputed = 0;\n", "")),
    mutation(
        "who disputes twice counts twice",
        (
            "        disputed = disputed.with(slot);\n",
            "        disputed = disputed.with(slot).with(disputed.lowestFree());\n",
        ),
    ),
    mutation(
        "a round without submissions cannot be skipped", ("(j.submitted != 0) revert", "(j.submitted == 0) revert")
    ),
    mutation(
        "an ended job can be cancelled again",
        (CANCELLING, CANCELLING.replace("_jobIn(jobId, State.Open)", "_jobs[jobId]")),
    ),
    mutation("who cancels empties the owner's credit", (ENDING, EMPTYING + ENDING)),
    mutation(
        "a skipped round changes the terms",
        ("        j.escrow -= refund;\n", "        j.escrow -= refund;\n        t.fee = 0;\n"),
    ),
    mutation(
        "pay is pushed to the payee",
        (
            "        credit[payee][token] += amount;\n",
            '        if (token == address(0)) {\n            (bool sent,) = payee.call{value: amount}("");\n'
            "            if (!sent) revert CoinTransferFailed(payee, amount);\n            return;\n        }\n"
            "        credit[payee][token] += amount;\n",
        ),
    ),
)


def prepare() -> str:
    """Copies what forge needs; returns the market's source. What was built there before is kept."""
    for path in COPIED:
        source, target = ROOT / path, FOLDER / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    link = FOLDER / "node_modules"
    if not link.exists():
        link.symlink_to((ROOT / "node_modules").resolve())
    return (ROOT / MARKET).read_text()


def broken_rule(mutation: Mutation, text: str) -> str:
    """The rule that forge names; empty where the mutation survives. Raises SystemExit where it cannot be made."""
    for this, instead in mutation.edits:
        if text.count(this) != 1:
            raise SystemExit(f"{mutation.name}: what it replaces is there {text.count(this)} times, not once")
        text = text.replace(this, instead)
    (FOLDER / MARKET).write_text(text)
    forge = str(ROOT / "node_modules" / ".bin" / "forge")
    environment = {**os.environ, "FOUNDRY_INVARIANT_RUNS": "60", "FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT": "0"}
    ran = subprocess.run(
        [forge, "test", "--json", "--match-contract", "MarketInvariants"],
        cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    answers = [line for line in ran.stdout.splitlines() if '"test_results"' in line]
    if not answers:
        raise SystemExit(f"{mutation.name}: forge did not run\n{(ran.stdout + ran.stderr)[-2000:]}")
    results = [result for suite in json.loads(answers[-1]).values() for result in suite["test_results"].values()]
    broken = [result["reason"] or "failed" for result in results if result["status"] == "Failure"]
    return "; ".join(broken)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Do the invariants notice a broken contract?")
    parser.add_argument("--sample", type=int, metavar="COUNT", help="only so many")
    parser.add_argument("--only", default="", help="only those whose name has this in it")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    options = parser.parse_args(arguments)
    chosen = [each for each in MUTATIONS if options.only in each.name]
    if options.sample:
        chosen = random.Random(options.seed).sample(chosen, min(options.sample, len(chosen)))
    text = prepare()
    if rule := broken_rule(Mutation("nothing is broken", ()), text):
        raise SystemExit(f"the invariants fail without a mutation: {rule}")
    survivors = 0
    for each in chosen:
        rule = broken_rule(each, text)
        survivors += not rule
        sys.stdout.write(f"{'noticed ' if rule else 'SURVIVED'}  {each.name}{': ' if rule else ''}{rule}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - survivors} of {len(chosen)} mutations were noticed\n")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
