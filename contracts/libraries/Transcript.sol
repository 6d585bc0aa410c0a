// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Bn254} from "./Bn254.sol";

// Words are copied once, straight into what is hashed: abi.encodePacked copies an array word by word.
// solhint-disable no-inline-assembly

/// @title The transcript of a Gram proof
/// @dev The state is a hash of all that was said so far: what is said between two challenges is absorbed at once, as
/// state ← keccak256(state ‖ words); a challenge is state ← keccak256(state), mod the group's order.
library Transcript {
    /// @dev Where in memory the state is, and where the words that were said since end.
    struct Talk {
        uint256 state;
        uint256 end;
    }

    /// @param context keccak256 of the encoded context
    /// @param room the most words that are said before they are absorbed
    function start(bytes32 context, uint256 room) internal pure returns (Talk memory talk) {
        bytes32 first = keccak256(abi.encodePacked("merit/gram-proof/v1", context));
        assembly ("memory-safe") {
            let state := mload(0x40)
            mstore(0x40, add(state, mul(add(room, 1), 0x20)))
            mstore(state, first)
            mstore(talk, state)
            mstore(add(talk, 0x20), add(state, 0x20))
        }
    }

    function say(Talk memory talk, uint256 word) internal pure {
        assembly ("memory-safe") {
            let end := mload(add(talk, 0x20))
            mstore(end, word)
            mstore(add(talk, 0x20), add(end, 0x20))
        }
    }

    function say(Talk memory talk, uint256[] calldata words) internal pure {
        assembly ("memory-safe") {
            let end := mload(add(talk, 0x20))
            let size := mul(words.length, 0x20)
            calldatacopy(end, words.offset, size)
            mstore(add(talk, 0x20), add(end, size))
        }
    }

    function absorb(Talk memory talk) internal pure {
        assembly ("memory-safe") {
            let state := mload(talk)
            mstore(state, keccak256(state, sub(mload(add(talk, 0x20)), state)))
            mstore(add(talk, 0x20), add(state, 0x20))
        }
    }

    /// @return value below the group's order
    function challenge(Talk memory talk) internal pure returns (uint256 value) {
        uint256 order = Bn254.ORDER;
        assembly ("memory-safe") {
            let state := mload(talk)
            let hash := keccak256(state, 0x20)
            mstore(state, hash)
            value := mod(hash, order)
        }
    }
}
