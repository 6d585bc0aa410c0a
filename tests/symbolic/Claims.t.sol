// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Job, Terms, Trainer} from "../../contracts/interfaces/IJobMarket.sol";
import {Claims} from "../../contracts/libraries/Claims.sol";
import {SVM, VM} from "./Vm.sol";

/// @title What claims do to the books of a job that is over, whatever the books are
/// @dev halmos runs each check for all values of arguments and of storage at once (docs/security/symbolic.md). What reverts is
/// left out: that a claim can be made is checked in Exits.t.sol.
contract ClaimsCheck {
    uint256 private constant ID = 1;

    Job private _j;
    Terms private _t;
    mapping(uint256 slot => Trainer) private _trainers;
    mapping(address payee => uint16 rounds) private _owed;

    modifier anyBooks() {
        SVM.enableSymbolicStorage(address(this));
        _;
    }

    function check_aClaimIsPaidOnce() public anyBooks {
        Claims.member(_j, _t, _trainers, ID, 0);
        (bool again,) = address(this).call(abi.encodeCall(this.claim, (0)));
        assert(!again);
    }

    /// @dev What another member's pay and stake come from, all of it, is as before: see Balances.pay and Claims.member.
    function check_aClaimChangesNothingOfAnothers(uint8 slot) public anyBooks {
        VM.assume(slot < 32 && slot != 0);
        uint256[4] memory job = _divided();
        uint256[2] memory own = _member(slot);
        bool claimed = _j.claimed & (uint32(1) << slot) != 0;
        Claims.member(_j, _t, _trainers, ID, 0);
        _assertSame(job, _divided(), own, _member(slot));
        assert((_j.claimed & (uint32(1) << slot) != 0) == claimed);
    }

    function check_feesOfWhoLostTheJobChangeNoClaim(address payee, uint8 slot) public anyBooks {
        VM.assume(slot < 32);
        uint256[4] memory job = _divided();
        uint256[2] memory own = _member(slot);
        uint32 claimed = _j.claimed;
        Claims.formerAggregator(_j, _t, _owed, ID, payee);
        _assertSame(job, _divided(), own, _member(slot));
        assert(_j.claimed == claimed);
    }

    function check_feesOfWhoLostTheJobArePaidOnce(address payee, address other) public anyBooks {
        VM.assume(other != payee);
        uint16 waits = _owed[other];
        Claims.formerAggregator(_j, _t, _owed, ID, payee);
        assert(_owed[payee] == 0 && _owed[other] == waits);
        (bool again,) = address(this).call(abi.encodeCall(this.claimFees, (payee)));
        assert(!again);
    }

    /// @dev All that leaves a job by a claim was in its escrow, or was the member's own stake. Sums are taken as the contract
    /// keeps them, in 128 bits.
    function check_aClaimPaysWhatLeavesTheEscrow() public anyBooks {
        uint128 held = _j.escrow;
        uint128 own = _trainers[0].staked ? _t.stake : 0;
        (uint128 pay, uint128 stake, uint128 burnt) = Claims.member(_j, _t, _trainers, ID, 0);
        unchecked {
            assert(pay + stake + burnt + _j.escrow == held + own);
        }
        assert(!_trainers[0].staked);
    }

    function check_feesOfWhoLostTheJobLeaveTheEscrow(address payee) public anyBooks {
        uint128 held = _j.escrow;
        uint128 fees = Claims.formerAggregator(_j, _t, _owed, ID, payee);
        unchecked {
            assert(fees + _j.escrow == held);
        }
    }

    /// @dev With the last claim nothing is left but fees that wait.
    function check_theLastClaimLeavesTheFeesThatWait() public anyBooks {
        VM.assume(_j.claimed & 1 == 0 && _j.claimed | 1 == _j.members);
        Claims.member(_j, _t, _trainers, ID, 0);
        assert(_j.escrow == uint256(_t.fee) * _j.owed);
    }

    function claim(uint8 slot) external {
        Claims.member(_j, _t, _trainers, ID, slot);
    }

    function claimFees(address payee) external {
        Claims.formerAggregator(_j, _t, _owed, ID, payee);
    }

    function _assertSame(
        uint256[4] memory job,
        uint256[4] memory jobNow,
        uint256[2] memory own,
        uint256[2] memory ownNow
    ) private pure {
        for (uint256 i; i < 4; ++i) {
            assert(job[i] == jobNow[i]);
        }
        assert(own[0] == ownNow[0] && own[1] == ownNow[1]);
    }

    /// @dev What a pot is divided by, in words that are compared one by one.
    function _divided() private view returns (uint256[4] memory words) {
        words[0] = uint256(_j.pot) << 128 | _j.earned;
        words[1] = uint256(_j.missedOut) << 128 | _j.goneEarned;
        words[2] = uint256(_j.active) << 128 | uint256(_j.members) << 96 | uint256(_j.absences) << 64 | _j.goneOpened;
        words[3] = uint256(_j.settled) << 1 | (_j.disputedRows ? 1 : 0);
    }

    function _member(uint8 slot) private view returns (uint256[2] memory words) {
        Trainer storage who = _trainers[slot];
        words[0] =
            uint256(who.absences) << 32 | uint256(who.opened) << 16 | uint256(who.strikes) << 8 | (who.staked ? 1 : 0);
        words[1] = uint256(uint160(who.payee)) << 96 | uint96(who.balance);
    }
}
