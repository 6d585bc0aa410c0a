// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Job, Settlement, Terms, Trainer} from "../interfaces/IJobMarket.sol";
import {Decision} from "./Decision.sol";
import {Slots} from "./Slots.sol";

/// @title What a settled round adds to the balances of a job's members, and what a pot is divided by
/// @dev docs/rules.md, Points; aggregator/points.py computes the same. Balances stay within 96 bits: a round adds 2^84 at
/// most, and a job has 1,000 rounds. Sums over 32 members stay below 2^100, and times their rounds below 2^110.
library Balances {
    using Slots for uint32;

    uint256 private constant ROUND_BITS = 64; // a round of rule krum-cosine brings 2^64 units in all
    // Units of 2^-60 of loss; coefficients are in units of 2^-12, rates in units of 2^-40.
    int256 private constant UNIT_BITS = 60 - 12 - 40;
    int256 private constant MOST = 2 ** 84;
    int256 private constant MAX_SHIFT = 96;

    /// @dev Adds a settled round, the `settled`th, to its trainers; the caller has counted it.
    /// @param opened the slots whose submissions opened
    function add(
        Job storage j,
        Terms storage t,
        mapping(uint256 slot => Trainer) storage trainers,
        uint32 opened,
        Settlement calldata s
    ) internal {
        uint256 total = t.rule == Decision.REFERENCE ? 0 : _total(s.scores);
        int256 exponent = int256(t.scaleExponent) + s.rowExponent;
        (uint256 earned, uint256 missedOut) = (j.earned, j.missedOut);
        (uint32 active, uint32 selected, uint64 rate) = (j.active, s.selected, j.rate);
        uint256 chosen = selected.count();
        uint32 absent;
        uint256 at;
        for (uint256 slot; active >> slot != 0; ++slot) {
            if (!active.has(slot)) continue;
            bool missed = !opened.has(slot);
            bool scored = selected.has(slot);
            if (!missed && !scored) continue;
            Trainer storage who = trainers[slot];
            uint256 absences = who.absences;
            int256 balance = who.balance;
            uint256 before = _positive(balance);
            if (missed) {
                who.absences = uint16(absences + 1);
                ++absent;
                missedOut += before;
                continue;
            }
            int96 score = s.scores[at++];
            balance += total == 0
                ? t.rule == Decision.REFERENCE ? lossUnits(score, rate, exponent, chosen) : int256(0)
                : int256((_positive(score) << ROUND_BITS) / total);
            who.balance = int96(balance);
            uint256 now_ = _positive(balance);
            earned = earned + now_ - before;
            missedOut = missedOut + now_ * absences - before * absences;
        }
        (j.earned, j.missedOut) = (uint128(earned), uint128(missedOut));
        if (absent != 0) j.absences += absent;
    }

    /// @dev Takes an active trainer's sums over to those who are gone, and marks how many rounds it opened.
    function retire(Job storage j, Trainer storage who) internal {
        uint16 absences = who.absences;
        uint16 opened = j.settled - absences;
        uint128 balance = uint128(_positive(who.balance));
        who.opened = opened;
        j.earned -= balance;
        j.missedOut -= balance * absences;
        j.absences -= absences;
        j.goneEarned += balance * opened;
        j.goneOpened += opened;
    }

    /// @return what a member gets of the pot of a job that is over: by points or, where nobody has any, by rounds opened; where
    /// the rows that points rest on are disputed, the lesser of both
    function pay(Job storage j, Trainer storage who, bool stayed) internal view returns (uint128) {
        uint256 settled = j.settled;
        uint256 opened = stayed ? settled - who.absences : who.opened;
        if (opened == 0) return 0;
        uint256 pot = j.pot;
        uint256 points = _positive(who.balance) * opened;
        uint256 allPoints = settled * j.earned - j.missedOut + j.goneEarned;
        if (allPoints == 0) (points, allPoints) = (opened, allOpened(j));
        uint256 byPoints = pot * points / allPoints;
        if (!j.disputedRows) return uint128(byPoints);
        uint256 byPresence = pot * opened / allOpened(j);
        return uint128(byPoints < byPresence ? byPoints : byPresence);
    }

    /// @return Σ rounds opened, over all members
    function allOpened(Job storage j) internal view returns (uint256) {
        return uint256(j.settled) * j.active.count() - j.absences + j.goneOpened;
    }

    /// @param exponent 2^exponent is what an integer product of an update and the second reference row stands for
    /// @param chosen how many updates are in the sum: at least 1
    /// @return units ⌊score · rate · 2^(exponent + UNIT_BITS) / chosen⌋, brought into −2^84 … 2^84
    function lossUnits(int96 score, uint64 rate, int256 exponent, uint256 chosen) internal pure returns (int256 units) {
        units = int256(score) * int256(uint256(rate)); // its magnitude is below 2^159
        int256 shift = exponent + UNIT_BITS;
        if (shift > MAX_SHIFT) {
            // At least 2^97 / 32 if not zero.
            return units == 0 ? int256(0) : units < 0 ? -MOST : MOST;
        }
        if (shift >= 0) units <<= uint256(shift);
        else units >>= uint256(shift < -255 ? int256(255) : -shift); // rounds down, as the division below has to
        int256 divisor = int256(chosen);
        int256 rest = units % divisor;
        units /= divisor;
        if (rest < 0) --units;
        if (units > MOST) return MOST;
        if (units < -MOST) return -MOST;
    }

    function _total(int96[] calldata scores) private pure returns (uint256 total) {
        for (uint256 i; i < scores.length; ++i) {
            total += _positive(scores[i]);
        }
    }

    function _positive(int256 x) private pure returns (uint256) {
        return x > 0 ? uint256(x) : 0;
    }
}
