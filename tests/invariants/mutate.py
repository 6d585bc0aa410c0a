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
SOURCES = (
    "contracts/JobMarket.sol",
    *(
        f"contracts/libraries/{name}.sol"
        for name in ("Balances", "Claims", "Credits", "Delivery", "Disputes", "Failures", "RoundCheck", "Tickets")
    ),
)
"""What is broken: each piece is there once in one of them."""
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
ABORTING = "        if (block.timestamp <= takeableUntil) revert IJobMarket.NotAbortable(jobId, takeableUntil);\n"
COMPLETING = "        if (block.timestamp <= j.submitBy) revert NotCompletable(jobId, j.submitBy);\n"
ONLY_AGGREGATOR = "        if (msg.sender != j.aggregator) revert NotAggregator(jobId, msg.sender);\n"
CANCELLING = "        Job storage j = _jobIn(jobId, State.Open);\n        bool stale"
MEMBERS = "        j.members = j.active;\n"
CLOSING = "        _close(jobId, State.Cancelled);\n"
EMPTYING = "        credit[j.owner][_terms[jobId].token] = 0;\n"
BOND = "        _receive(t.token, t.bond);\n    }\n\n    function "
LATE = "revert IJobMarket.NothingToDeliver(jobId, slot);\n"
REOPENING = "        if (anew) _openRound(jobId, j.round);\n"
COMPENSATING = "        _compensate(j, t, trainers, credit, jobId);\n        uint16 settled"
OWING = (
    "        owed[j.aggregatorPayee] += settled;\n        j.owed += settled;\n        j.settledBefore = j.settled;\n"
)
KEEPING_FEES = "        j.settledBefore = j.settled;\n"
QUORUM = "        if (disputed.count() < j.quorum) return (false, 0);\n"
BURNING_FEES = "        fees = t.fee * j.settled;\n        j.escrow -= fees;\n        j.owed = 0;\n"
BURNT_ONCE = "        if (j.disputedSum || j.disputedRows) return 0;\n"
SUM_BURNT = "        _credit(jobId, address(0), burnt, Reason.Burnt);\n        if (reached"
ROWS_BURNT = "jobId, slot, round);\n        _credit(jobId, address(0), burnt, Reason.Burnt);\n"
ROWS_QUORUM = "        if (disputed.count() < quorum) return 0;\n"
OWN_ROWS = "bool own = j.keyPublished && (round == 0 || round >= j.takenOverIn);"
BURNING_BOND = "        if (j.ownRowsDisputed.count() >= quorum) burnt += _burnBond(j, t);\n"
ROWS_MARKED = "        j.disputedRows = true;\n" + BURNING_BOND
UNREVEALED_BOND = "        if (j.keyPublished) burnt += _burnBond(j, t);\n"
UNREVEALED_MARKED = "        j.disputedRows = true;\n" + UNREVEALED_BOND
UNREVEALED = "        if (j.revealed || !areDue(t)) return 0;\n"
OPENED_ANY = "j.active.has(slot) ? who.absences < j.settled : who.opened != 0;"
IN_QUORUM = "if (members.has(slot) && _openedAny(j, trainers[slot], slot)) ++quorum;"
ROUND_0 = "        if (round == 0 && block.timestamp <= revealBy) revert IJobMarket.RevealingOpen(jobId, revealBy);\n"
ROWS_DUE = "        if (!areDue(t)) revert IJobMarket.NothingToReveal(jobId);\n"
REVEALERS = "        if (msg.sender != j.owner && msg.sender != j.aggregator) revert NotRevealer(jobId, msg.sender);\n"
REVEALING = "        if (block.timestamp > j.settleBy) revert RevealingClosed(jobId, j.settleBy);\n"
LESSER = "return uint128(byPoints < byPresence ? byPoints : byPresence);"
DELAY = "        if (block.timestamp < j.submitBy && msg.sender != j.owner) revert StartDelayed(jobId, j.submitBy);\n"
DELAYING = "        j.submitBy = uint40(block.timestamp) + t.startDelay;\n"
NO_POINTS = "if (allPoints == 0) (points, allPoints) = (opened, allOpened(j));"
FEES = "        uint128 fees = j.disputedSum || j.disputedRows ? 0 : t.fee * (j.settled - j.settledBefore);\n"
PAYING_FEES = "        _credit(jobId, j.aggregatorPayee, fees, Reason.Fee);\n"
NO_FEES = "        if (owed == 0 || j.disputedSum || j.disputedRows) revert IJobMarket.NothingToClaim(jobId, payee);\n"
SETTLED = "        ++j.settled;\n"
ADVANCING = "j.endAsked && round >= t.minRounds"
OWNER_ASKS = "        if (msg.sender != j.owner) revert NotOwner(jobId, msg.sender);\n        if (j.endAsked)"
STRIKES = "        if (s.struck & (s.selected | ~opened) != 0) revert IJobMarket.WrongStrikes(jobId, s.struck);\n"
STRIKING = "            if (struck.has(slot) && who.strikes != type(uint8).max) ++who.strikes;\n"
SLASHING = "            burnt = slash(t);\n            stake -= burnt;\n"
REST = "        uint128 rest = j.claimed == j.members ? j.escrow - pay - t.fee * j.owed : 0;\n"
ADDING_REST = "        burnt += rest;\n"
CLAIM_BURNS = (
    "        _credit(jobId, payee, stake, Reason.Stake);\n        _credit(jobId, address(0), burnt, Reason.Burnt);\n"
)
PAYING = "        _credit(jobId, payee, pay, Reason.Pay);\n"
MARKING = "        j.claimed = j.claimed.with(slot);\n"
CLAIMED = "        if (j.claimed.has(slot)) revert IJobMarket.AlreadyClaimed(jobId, slot);\n"
EJECTED = "        j.pot += slashed * uint128(slots.count());\n"
RETIRING = "            Balances.retire(j, who);\n            who.staked = false;\n"
LEAVING = "            Balances.retire(j, who);\n            who.staked = owes;\n"
CONFIRMING = "        if (j.settled == 0) return _close(jobId, outcome);\n"
DECAYING = (
    "        if (t.rateDecay != RATE_DECAY_ONE) j.rate = uint64(uint256(j.rate) * t.rateDecay / RATE_DECAY_ONE);\n"
)
DECAY = "        j.rate = uint64(uint256(j.rate) * t.rateDecay / RATE_DECAY_ONE);\n"
ABSENT = "                who.absences = uint16(absences + 1);\n"
DIVIDING = "byPoints = pot * points / allPoints;"
SHIFTING = "else units >>= uint256(shift < -255 ? int256(255) : -shift);"
MOST = "return third < maxFaulty ? third : maxFaulty;"
TOO_LATE = "block.timestamp > j.submitBy) revert IJobMarket.SubmittingClosed"
VOIDABLE = "        if (count <= believed) revert IJobMarket.NotVoidable(jobId, count, believed);\n"
DELIVERED = "return j.delivering ? j.submitted & ~j.undelivered : j.submitted;"
COMPLETE = "return submitted == (j.delivering ? j.submitted : j.active);"
ASKED = "(j.submitted & ~submitted) | unopened);"
ASKED_FOR = "        if (!undelivered.has(slot)) revert IJobMarket.NothingToDeliver(jobId, slot);\n"
EXCUSED = "_jobs[jobId].disputed | _jobs[jobId].submitted;"
LOST = "        j.escrow -= reward;\n        _credit(jobId, address(0), reward, Reason.Burnt);\n"
LOST_END = LOST + "        _finish(jobId, State.Aborted);\n"
POSITIVE = "        return x > 0 ? uint256(x) : 0;\n"

GATED = "        if (gate != address(0)) Tickets.requireGood(jobId, j.termsHash, gate, ticket);\n        else "
SIGNED = "        if (!_signed(gate, digest, ticket[EXPIRY_BYTES:])) {\n"
EXPIRED = "        if (block.timestamp > expiry) revert IJobMarket.TicketExpired(jobId, expiry);\n"
BY_GATE = "wrong == ECDSA.RecoverError.NoError && signer == gate;"
BY_CONTRACT = "answered && answer.length >= 32 && bytes32(answer) == bytes32(IERC1271.isValidSignature.selector);"

MUTATIONS = (
    # ---------------------------------------------------------------- tickets
    mutation("a gate lets everybody in", (GATED, "        if (gate == address(0)) ")),
    mutation("a ticket need not be signed", (SIGNED, "        if (digest == 0) {\n")),
    mutation("a ticket never expires", (EXPIRED, "")),
    mutation(
        "a ticket may be signed by any key", (BY_GATE, "wrong == ECDSA.RecoverError.NoError && signer != address(0);")
    ),
    mutation("a contract lets everybody in by answering", (BY_CONTRACT, "answered && answer.length >= 32;")),
    # ---------------------------------------------------------------- points
    mutation("an absence is not counted", (ABSENT, "")),
    mutation("the absences' sum is not kept", ("        if (absent != 0) j.absences += absent;\n", "")),
    mutation("an absence leaves the points' sum as it was", ("                missedOut += before;\n", "")),
    mutation(
        "what is earned after an absence counts in full",
        ("            missedOut = missedOut + now_ * absences - before * absences;\n", ""),
    ),
    mutation("what is earned is added to what was", ("earned = earned + now_ - before;", "earned = earned + now_;")),
    mutation(
        "a balance is what the last round brought",
        ("            balance += total == 0\n", "            balance = total == 0\n"),
    ),
    mutation("loss units are cut off toward zero", ("        if (rest < 0) --units;\n", "")),
    mutation(
        "loss units are shifted toward zero",
        (SHIFTING, "else units /= int256(2 ** uint256(shift < -200 ? int256(200) : -shift));"),
    ),
    mutation("loss units are not bounded above", ("        if (units > MOST) return MOST;\n", "")),
    mutation("loss units are not bounded below", ("        if (units < -MOST) return -MOST;\n", "")),
    mutation("huge scales bring nothing", ("units < 0 ? -MOST : MOST;\n        }", "int256(0);\n        }")),
    mutation("a loss unit is half as large", ("= 60 - 12 - 40;", "= 60 - 12 - 41;")),
    mutation("the row's scale is forgotten", ("int256(t.scaleExponent) + s.rowExponent;", "int256(t.scaleExponent);")),
    mutation("the updates' scale is forgotten", ("int256(t.scaleExponent) + s.rowExponent;", "int256(s.rowExponent);")),
    mutation(
        "the mean of a sum is forgotten",
        ("lossUnits(score, rate, exponent, chosen) : int256(0)", "lossUnits(score, rate, exponent, 1) : int256(0)"),
    ),
    mutation(
        "shares of a round are rounded up",
        ("(_positive(score) << ROUND_BITS) / total", "((_positive(score) << ROUND_BITS) + total - 1) / total"),
    ),
    mutation("what is below zero counts as if above", (POSITIVE, "        return uint256(x > 0 ? x : -x);\n")),
    mutation("a rate is kept", (DECAYING, "")),
    mutation("a takeover lets the rate decay", (REOPENING, DECAY + REOPENING)),
    # ---------------------------------------------------------------- who is gone
    *(
        mutation(f"who is gone: {what}", (f"        {line};\n", ""))
        for what, line in (
            ("earned stays with the active", "j.earned -= balance"),
            ("missedOut stays with the active", "j.missedOut -= balance * absences"),
            ("absences stay with the active", "j.absences -= absences"),
            ("its points are forgotten", "j.goneEarned += balance * opened"),
            ("its rounds are forgotten", "j.goneOpened += opened"),
            ("how many it opened is forgotten", "who.opened = opened"),
        )
    ),
    mutation(
        "who left stays among the active's sums",
        (LEAVING, LEAVING.replace("            Balances.retire(j, who);\n", "")),
    ),
    mutation(
        "the points of the ejected are dropped",
        (RETIRING, RETIRING + "            (who.balance, who.opened) = (0, 0);\n"),
    ),
    mutation(
        "rounds after leaving count as opened",
        ("stayed ? settled - who.absences : who.opened", "settled - who.absences"),
    ),
    # ---------------------------------------------------------------- strikes and misses
    mutation("who is struck is not checked", (STRIKES, "")),
    mutation("strikes are not counted", (STRIKING, "")),
    mutation("all who submitted are struck", (STRIKING, STRIKING.replace("struck.has(slot)", "submitted.has(slot)"))),
    mutation(
        "one strike more costs a stake",
        (SLASHING, SLASHING.replace("burnt = slash", "if (who.strikes > t.maxStrikes) burnt = slash")),
    ),
    mutation("strikes cost nothing", (SLASHING, "")),
    mutation(
        "who leaves takes its stake in spite of strikes",
        ("bool owes = who.strikes >= t.maxStrikes;", "bool owes = who.missed == 255;"),
    ),
    mutation(
        "a slash for strikes is the owner's",
        (
            CLAIM_BURNS,
            CLAIM_BURNS.replace("address(0)", "stake == _terms[jobId].stake ? address(0) : j.owner"),
        ),
    ),
    mutation(
        "a slash for strikes joins the pot",
        (
            SLASHING,
            "            stake -= slash(t);\n            j.pot += slash(t);\n            j.escrow += slash(t);\n",
        ),
    ),
    mutation(
        "a slash for misses is the owner's",
        (EJECTED, "        _credit(jobId, j.owner, slashed * uint128(slots.count()), Reason.Refund);\n"),
    ),
    mutation(
        "a slash for misses is burnt",
        (EJECTED, "        _credit(jobId, address(0), slashed * uint128(slots.count()), Reason.Burnt);\n"),
    ),
    mutation("who disputes has missed the round", (EXCUSED, EXCUSED.replace("_jobs[jobId].disputed | ", ""))),
    mutation("a submission forgives no miss", ("            if (who.missed != 0) who.missed = 0;\n", "")),
    mutation("half of an ejected trainer's rest is forgotten", ("payee, rest, Reason", "payee, rest / 2, Reason")),
    # ---------------------------------------------------------------- the end
    mutation("the owner ends a job before its least round", (ADVANCING, "j.endAsked")),
    mutation("the owner's wish is forgotten", (ADVANCING, "false")),
    mutation("anybody asks for the end", (OWNER_ASKS, "        if (j.endAsked)")),
    mutation(
        "a skipped round meets the owner's wish",
        ("        _advance(jobId, false);\n", "        _advance(jobId, j.endAsked);\n"),
    ),
    mutation("an end is not confirmed", (CONFIRMING, "        if (jobId != 0) return _close(jobId, outcome);\n")),
    mutation("an end without a settled round is confirmed", (CONFIRMING, "")),
    mutation("confirming is not waited for", (COMPLETING, "")),
    mutation(
        "confirming takes as long as submitting",
        ("_openDisputing(jobId, t.confirmWindow)", "_openDisputing(jobId, t.submitWindow)"),
    ),
    mutation("a job is completed in the last second to dispute", (COMPLETING, COMPLETING.replace("<=", "<"))),
    mutation("only the aggregator completes", (COMPLETING, COMPLETING + ONLY_AGGREGATOR)),
    mutation(
        "an aborted job is completed",
        ("        _close(jobId, j.outcome);\n", "        _close(jobId, State.Completed);\n"),
    ),
    mutation(
        "the owner gets a settled round's reward",
        ("uint128 earned = t.reward * j.settled;", "uint128 earned = t.reward * (j.settled / 2);"),
    ),
    mutation(
        "the members get an unsettled round's reward",
        ("uint128 earned = t.reward * j.settled;", "uint128 earned = t.reward * j.round;"),
    ),
    mutation("an end forgets the bond", ("uint128 bond = j.bonded ? t.bond : 0;", "uint128 bond = 0;")),
    mutation(
        "a bond is paid back that is not held", ("uint128 bond = j.bonded ? t.bond : 0;", "uint128 bond = t.bond;")
    ),
    mutation("a cancelled job forgets its members", (MEMBERS + CLOSING, CLOSING)),
    mutation("who cancels empties the owner's credit", (CLOSING, EMPTYING + CLOSING)),
    # ---------------------------------------------------------------- claims
    mutation("parts of a pot are rounded up", (DIVIDING, "byPoints = (pot * points + allPoints - 1) / allPoints;")),
    mutation("a slot is claimed twice", (CLAIMED, "")),
    mutation("a claim is not marked", (MARKING, "")),
    mutation("a claim takes from the pot that is divided", (MARKING, MARKING + "        j.pot -= pay;\n")),
    mutation(
        "a claim forgets the stake",
        ("if (who.staked) stake = t.stake;", "if (who.staked && jobId == 0) stake = t.stake;"),
    ),
    mutation("a claim leaves the stake", ("        who.staked = false;\n        emit", "        emit")),
    mutation("who claims is paid", (PAYING, PAYING.replace("payee", "msg.sender"))),
    mutation(
        "a slot that nobody held is claimed",
        ("        if (!j.members.has(slot)) revert IJobMarket.NotMember(jobId, slot);\n", ""),
    ),
    mutation(
        "a claim is made before the end",
        (
            "        Job storage j = _jobOver(jobId);\n        (uint128 pay",
            "        Job storage j = _jobs[jobId];\n        (uint128 pay",
        ),
    ),
    mutation("without points nobody is paid", (NO_POINTS, "if (allPoints == 0) return 0;")),
    mutation(
        "without points all are paid alike",
        (NO_POINTS, "if (allPoints == 0) (points, allPoints) = (1, j.members.count());"),
    ),
    mutation("what a pot does not divide is nobody's", (REST, "        uint128 rest = 0;\n")),
    mutation(
        "what a pot does not divide is the owner's",
        (CLAIM_BURNS, CLAIM_BURNS.replace("address(0)", "stake == _terms[jobId].stake ? j.owner : address(0)")),
    ),
    mutation(
        "what a pot does not divide is the last one's",
        (ADDING_REST, "        pay += rest;\n"),
    ),
    mutation("the last claim burns fees that wait", (REST, REST.replace(" - t.fee * j.owed", ""))),
    # ---------------------------------------------------------------- fees
    mutation(
        "a fee is paid at once", (SETTLED, SETTLED + "        _credit(jobId, j.aggregatorPayee, t.fee, Reason.Fee);\n")
    ),
    mutation("fees are credited twice", (PAYING_FEES, PAYING_FEES.replace("fees, R", "2 * fees, R"))),
    mutation("who takes over gets the fees of the failed", (OWING, "")),
    mutation("fees of the failed are paid twice", (KEEPING_FEES, "")),
    mutation(
        "fees are paid in spite of the dispute",
        (BURNING_FEES, ""),
        (FEES, FEES.replace("j.disputedSum || j.disputedRows ? 0 : ", "")),
        (NO_FEES, NO_FEES.replace(" || j.disputedSum || j.disputedRows", "")),
    ),
    mutation(
        "a dispute burns no fee of before a takeover",
        (BURNING_FEES, BURNING_FEES.replace("j.settled", "(j.settled - j.settledBefore)")),
    ),
    mutation("fees that were burnt still wait", (BURNING_FEES, BURNING_FEES.replace("        j.owed = 0;\n", ""))),
    mutation("fees that a dispute of a sum burnt are claimed", (NO_FEES, NO_FEES.replace(" || j.disputedSum", ""))),
    mutation("fees that disputed rows burnt are claimed", (NO_FEES, NO_FEES.replace(" || j.disputedRows", ""))),
    mutation("fees are burnt twice", (BURNT_ONCE, "")),
    mutation("fees are burnt again after the rows", (BURNT_ONCE, BURNT_ONCE.replace(" || j.disputedRows", ""))),
    mutation("fees are burnt again after the sum", (BURNT_ONCE, BURNT_ONCE.replace("j.disputedSum || ", ""))),
    mutation("fees are paid in spite of disputed rows", (FEES, FEES.replace(" || j.disputedRows", ""))),
    mutation(
        "fees are claimed twice",
        ("        rounds[payee] = 0;\n", ""),
    ),
    mutation(
        "fees are claimed before the end",
        (
            "        Job storage j = _jobOver(jobId);\n        _credit(jobId, payee, Claims",
            "        Job storage j = _jobs[jobId];\n        _credit(jobId, payee, Claims",
        ),
    ),
    mutation(
        "who claims fees is paid",
        ("_credit(jobId, payee, Claims", "_credit(jobId, msg.sender, Claims"),
    ),
    # ---------------------------------------------------------------- disputes
    mutation(
        "what is burnt is the owner's",
        (SUM_BURNT, SUM_BURNT.replace("address(0)", "j.owner")),
    ),
    mutation("what is burnt is credited to nobody", (SUM_BURNT, "        if (reached")),
    mutation("what is burnt is disputed", ("        if (j.disputedSum) revert IJobMarket.AlreadyBurnt(jobId);\n", "")),
    mutation(
        "a dispute while confirming ends the job",
        (
            "        if (reached && j.state == State.Running) _finish(jobId, State.Aborted);\n",
            "        if (reached) _finish(jobId, State.Aborted);\n",
        ),
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
    # ---------------------------------------------------------------- reference rows
    *(
        mutation(f"rows: {what}", *edits)
        for what, *edits in (
            ("what is burnt is the owner's", (ROWS_BURNT, ROWS_BURNT.replace("address(0)", "j.owner"))),
            ("what is burnt is nobody's", (ROWS_BURNT, "jobId, slot, round);\n")),
            ("one dispute less is enough", (ROWS_QUORUM, ROWS_QUORUM.replace("count() <", "count() + 1 <"))),
            ("a quorum does nothing", (ROWS_QUORUM, ROWS_QUORUM.replace("<", "<="))),
            ("members that opened nothing are in the quorum", (IN_QUORUM, "if (members.has(slot)) ++quorum;")),
            ("who is gone is not in the quorum", (OPENED_ANY, "j.active.has(slot) && who.absences < j.settled;")),
            (
                "all that opened any do not make a quorum",
                (ROWS_QUORUM, ROWS_QUORUM.replace("< quorum", "< uint256(t.maxFaulty) + 1")),
            ),
            (
                "members that opened nothing dispute",
                (
                    "        if (!_openedAny(j, trainers[slot], slot)) revert IJobMarket.OpenedNothing(jobId, slot);\n",
                    "",
                ),
            ),
            (
                "who is gone disputes nothing",
                ("_slotOf(jobId, j.members, msg.sender)", "_slotOf(jobId, j.active, msg.sender)"),
            ),
            (
                "one member disputes twice",
                (
                    "        if (disputed.has(slot)) revert IJobMarket.AlreadyDisputed(jobId, round, slot);\n",
                    "",
                ),
            ),
            (
                "a round to come is disputed",
                ("        if (round > j.round) revert IJobMarket.WrongRound(jobId, j.round, round);\n", ""),
            ),
            (
                "they are disputed past the end",
                (
                    "        if (block.timestamp > disputeBy) revert IJobMarket.SubmittingClosed(jobId, disputeBy);\n",
                    "",
                ),
            ),
            ("they are disputed where nothing is due", (ROWS_DUE, "")),
            ("round 0 is disputed before all is revealed", (ROUND_0, "")),
            ("round 0 is disputed in the last second to reveal", (ROUND_0, ROUND_0.replace("<=", "<"))),
            ("the bond is burnt for those of before a takeover", (OWN_ROWS, "bool own = j.keyPublished;")),
            (
                "who has no key answers for round 0",
                (OWN_ROWS, "bool own = round == 0 || round >= j.takenOverIn;"),
            ),
            ("nobody answers for round 0", (OWN_ROWS, OWN_ROWS.replace("round == 0 || ", "round != 0 && "))),
            (
                "those of the round taken over are another's",
                (OWN_ROWS, OWN_ROWS.replace(">= j.takenOverIn", "> j.takenOverIn")),
            ),
            ("the bond is burnt with the fees", (BURNING_BOND, "        burnt += _burnBond(j, t);\n")),
            ("the bond is kept", (BURNING_BOND, "")),
            (
                "the bond is burnt by one less",
                (BURNING_BOND, BURNING_BOND.replace("count() >=", "count() + 1 >=")),
            ),
            ("fees are burnt, and the division stays", (ROWS_MARKED, BURNING_BOND)),
            ("disputed, they pay by points", (LESSER, "return uint128(byPoints);")),
            ("disputed, they pay by rounds", (LESSER, "return uint128(byPresence);")),
            ("disputed, they pay the greater part", (LESSER, LESSER.replace("<", ">"))),
            ("undisputed, they pay the lesser part", ("        if (!j.disputedRows) return uint128(byPoints);\n", "")),
            ("unrevealed, nothing is disputed", (UNREVEALED, "        if (jobId != 0) return 0;\n")),
            ("revealed, they are disputed", (UNREVEALED, UNREVEALED.replace("j.revealed || ", ""))),
            ("unrevealed, only fees are burnt", (UNREVEALED_MARKED, UNREVEALED_BOND)),
            ("unrevealed, the bond is kept", (UNREVEALED_BOND, "")),
            ("unrevealed, who has no key loses the bond", (UNREVEALED_BOND, "        burnt += _burnBond(j, t);\n")),
            (
                "unrevealed, what is burnt is nobody's",
                (
                    "        _credit(jobId, address(0), Disputes.unrevealed(j, _terms[jobId], jobId), Reason.Burnt);\n",
                    "        Disputes.unrevealed(j, _terms[jobId], jobId);\n",
                ),
            ),
            ("anybody reveals", (REVEALERS, "")),
            ("only the owner reveals", (REVEALERS, REVEALERS.replace(" && msg.sender != j.aggregator", ""))),
            ("they are revealed too late", (REVEALING, "")),
            ("they are not revealed in the last second", (REVEALING, REVEALING.replace(">", ">="))),
            (
                "they are revealed once",
                (REVEALING, REVEALING.replace("timestamp > j.settleBy", "timestamp > j.settleBy || j.revealed")),
            ),
            ("a reveal is forgotten", ("        j.revealed = true;\n", "")),
            (
                "there is as long to reveal as to dispute",
                ("uint40(block.timestamp) + t.revealWindow : 0;", "uint40(block.timestamp) + t.confirmWindow : 0;"),
            ),
        )
    ),
    # ---------------------------------------------------------------- what does not open
    *(
        mutation(f"voids: {what}", *edits)
        for what, *edits in (
            ("a third may be called unopened", ("(submitted - 1) / 3", "submitted / 3")),
            ("a third is no bound", (MOST, "return maxFaulty;")),
            ("how many may be faulty is no bound", (MOST, "return third;")),
            ("few are enough", (VOIDABLE, "")),
            ("one more is needed", (VOIDABLE, VOIDABLE.replace("<=", "<= 1 +"))),
            (
                "what was not submitted is void",
                ("if (unopened & ~submitted != 0) revert", "if (submitted == 0) revert"),
            ),
            ("what is late is judged", (DELIVERED, "return j.submitted;")),
            ("the late are not waited for", (COMPLETE, "return j.delivering || submitted == j.active;")),
            ("who has not submitted is waited for", (COMPLETE, "return submitted == j.active;")),
            ("there is one more than may be", ("last = voids == t.maxVoids;", "last = voids > t.maxVoids;")),
            ("there is one less than may be", ("last = voids == t.maxVoids;", "last = voids + 1 >= t.maxVoids;")),
            ("they are not counted", ("(voids + 1, true, ", "(voids, true, ")),
            ("nobody is asked again", (ASKED, "0);")),
            ("all are asked again", (ASKED, "j.submitted);")),
            ("who was late before is forgotten", (ASKED, "unopened);")),
            ("the late are no submitters any more", (ASKED, ASKED + "\n            j.submitted = submitted;")),
            (
                "there is as long to deliver as to submit",
                (
                    "deliverBy = uint40(block.timestamp) + t.settleWindow;",
                    "deliverBy = uint40(block.timestamp) + t.submitWindow;",
                ),
            ),
            ("there is no time to settle", ("settleBy = deliverBy + t.settleWindow;", "settleBy = deliverBy;")),
            ("who was not asked delivers", (ASKED_FOR, "")),
            (
                "what is delivered too late is taken",
                (TOO_LATE, TOO_LATE.replace("block.timestamp > j.submitBy", "round == 0")),
            ),
            (
                "what is delivered in the last second is refused",
                (
                    "if (block.timestamp > j.submitBy) revert IJobMarket",
                    "if (block.timestamp >= j.submitBy) revert IJobMarket",
                ),
            ),
            (
                "another round is delivered for",
                ("        if (round != j.round) revert IJobMarket.WrongRound(jobId, j.round, round);\n", ""),
            ),
            ("a delivery is forgotten", ("        j.undelivered = undelivered.without(slot);\n", "")),
            (
                "what is over is still delivered",
                ("        if (j.delivering) (j.delivering, j.undelivered) = (false, 0);\n", ""),
            ),
            ("who is late has missed the round", (EXCUSED, EXCUSED.replace(" | _jobs[jobId].submitted", ""))),
            (
                "who is free submits, leaves and disputes",
                ("if (j.delivering || block.timestamp >", "if (block.timestamp >"),
            ),
            ("the late are wronged, too", ("keyPublished ? Delivery.delivered(j) :", "keyPublished ? j.submitted :")),
            (
                "what can be skipped can be taken over",
                (
                    "block.timestamp > failedAfter && Delivery.delivered(j) == 0",
                    "block.timestamp > failedAfter && j.submitted == 0",
                ),
            ),
            ("a lost reward is the owner's", (LOST, LOST.replace("address(0)", "j.owner"))),
            ("a lost reward goes back", (LOST, "")),
            ("a lost reward is in the pot", (LOST, "        j.escrow -= reward;\n        j.pot += reward;\n")),
            ("a lost reward is burnt and stays", (LOST, LOST.replace("        j.escrow -= reward;\n", ""))),
            ("the last one ends nothing", (LOST_END, LOST)),
            ("a job that they end is completed", (LOST_END, LOST_END.replace("Aborted", "Completed"))),
        )
    ),
    # ---------------------------------------------------------------- the start
    mutation("a start is not delayed", (DELAY, "")),
    mutation("the owner waits, too", (DELAY, DELAY.replace(" && msg.sender != j.owner", ""))),
    mutation("only the owner starts", (DELAY, DELAY.replace("block.timestamp < j.submitBy && ", ""))),
    mutation("a start comes a second early", (DELAY, DELAY.replace("timestamp <", "timestamp + 1 <"))),
    mutation("a start comes a second late", (DELAY, DELAY.replace("timestamp <", "timestamp <="))),
    mutation(
        "only the first to join delays the start", (DELAYING, DELAYING.replace("j.sub", "if (active == 0) j.sub"))
    ),
    # ---------------------------------------------------------------- when the aggregator fails
    mutation("what of a bond cannot be divided is nobody's", ("        j.pot += bond - share * count;\n", "")),
    mutation("a bond that was given away is still held", ("        j.bonded = false;\n        j.pot", "        j.pot")),
    mutation(
        "who took over and is not ready loses the bond",
        ("if (j.keyPublished || j.takenOverIn == 0) _compensate", "_compensate"),
    ),
    mutation(
        "only the aggregator aborts",
        (ABORTING, ABORTING + ONLY_AGGREGATOR.replace("revert ", "revert IJobMarket.")),
    ),
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
        "who took over and is not ready is taken over from",
        ("keyed || j.takenOverIn == 0 ? ", "keyed || jobId != 0 ? "),
    ),
    mutation("a takeover asks for no bond", (BOND + "handOver", "    }\n\n    function handOver")),
    mutation(
        "a takeover keeps the failed aggregator's bond for the pot",
        (COMPENSATING, COMPENSATING.replace("_compensate(j, t, trainers, credit, jobId)", "j.pot += t.bond")),
    ),
    mutation("a takeover opens the round anew for all", ("if (!anew) Delivery.reopen(j, t, jobId);", "anew = true;")),
    mutation(
        "a takeover asks for no delivery",
        ("(j.delivering, j.undelivered) = (true, j.submitted);", "(j.delivering, j.undelivered) = (true, 0);"),
    ),
    mutation(
        "what is delivered goes to who is not ready",
        (LATE + "        if (!j.keyPublished) revert IJobMarket.KeyNotPublished(jobId);\n", LATE),
    ),
    mutation(
        "a takeover keeps the key",
        ("jobId);\n        j.keyPublished = false;\n", "jobId);\n"),
    ),
    mutation("a takeover begins no round", (REOPENING, "")),
    # ---------------------------------------------------------------- money
    mutation("what is credited is written down double", ("[token] += amount;", "[token] += 2 * amount;")),
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
    mutation(
        "a round without submissions cannot be skipped",
        ("(Delivery.delivered(j) != 0) revert", "(Delivery.delivered(j) == 0) revert"),
    ),
    mutation(
        "an ended job can be cancelled again",
        (CANCELLING, CANCELLING.replace("_jobIn(jobId, State.Open)", "_jobs[jobId]")),
    ),
    mutation(
        "a skipped round changes the terms",
        (
            "        emit RoundSkipped(jobId, j.round);\n",
            "        emit RoundSkipped(jobId, j.round);\n        t.fee = 0;\n",
        ),
    ),
    mutation(
        "pay is pushed to the payee",
        (
            "        credit[payee][token] += amount;\n",
            '        if (token == address(0)) {\n            (bool sent,) = payee.call{value: amount}("");\n'
            "            if (!sent) revert IJobMarket.CoinTransferFailed(payee, amount);\n"
            "            return;\n        }\n"
            "        credit[payee][token] += amount;\n",
        ),
    ),
)


def prepare() -> dict[str, str]:
    """Copies what forge needs; returns the sources that are broken. What was built there before is kept."""
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
    (FOLDER / "tests/invariants/Pay.t.sol").unlink()  # it would be compiled again with each
    return {path: (ROOT / path).read_text() for path in SOURCES}


def broken(mutation: Mutation, sources: dict[str, str]) -> dict[str, str]:
    """The sources with the mutation. Raises SystemExit where it cannot be made."""
    texts = dict(sources)
    for this, instead in mutation.edits:
        times = {path: text.count(this) for path, text in texts.items() if this in text}
        if sum(times.values()) != 1:
            raise SystemExit(f"{mutation.name}: what it replaces is there {sum(times.values())} times, not once")
        (path,) = times
        texts[path] = texts[path].replace(this, instead)
    return texts


def broken_rule(mutation: Mutation, sources: dict[str, str]) -> str:
    """The rule that forge names; empty where the mutation survives."""
    for path, text in broken(mutation, sources).items():
        if (FOLDER / path).read_text() != text:
            (FOLDER / path).write_text(text)
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
    rules = [result["reason"] or "failed" for result in results if result["status"] == "Failure"]
    return "; ".join(rules)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Do the invariants notice a broken contract?")
    parser.add_argument("--sample", type=int, metavar="COUNT", help="only so many")
    parser.add_argument("--only", default="", help="only those whose name has this in it")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    options = parser.parse_args(arguments)
    chosen = [each for each in MUTATIONS if options.only in each.name]
    if options.sample:
        chosen = random.Random(options.seed).sample(chosen, min(options.sample, len(chosen)))
    sources = prepare()
    for each in chosen:
        broken(each, sources)
    if rule := broken_rule(Mutation("nothing is broken", ()), sources):
        raise SystemExit(f"the invariants fail without a mutation: {rule}")
    survivors = 0
    for each in chosen:
        rule = broken_rule(each, sources)
        survivors += not rule
        sys.stdout.write(f"{'noticed ' if rule else 'SURVIVED'}  {each.name}{': ' if rule else ''}{rule}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - survivors} of {len(chosen)} mutations were noticed\n")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
