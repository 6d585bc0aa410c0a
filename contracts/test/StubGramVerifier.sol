// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {GramStatement, IGramVerifier} from "../interfaces/IGramVerifier.sol";

// Immutables are named as their getters in the interface.
// solhint-disable immutable-vars-naming

/// @title A Gram verifier that answers what it is told to, for tests of the market without proofs
contract StubGramVerifier is IGramVerifier {
    error Unexpected(bytes32 callHash);

    bytes32 public immutable keyHash;
    bool private _valid = true;
    uint256 private _r;
    uint256 private _s;
    bytes32 private _expected;

    constructor(bytes32 keyHash_) {
        keyHash = keyHash_;
    }

    function setValid(bool valid) external {
        _valid = valid;
    }

    function setChallenges(uint256 r, uint256 s) external {
        (_r, _s) = (r, s);
    }

    /// @param callHash keccak256 of the whole calldata that `verify` must be called with; zero for any
    function expect(bytes32 callHash) external {
        _expected = callHash;
    }

    function verify(GramStatement calldata, uint256[] calldata) external view returns (bool, uint256, uint256) {
        if (_expected != 0 && keccak256(msg.data) != _expected) revert Unexpected(keccak256(msg.data));
        return (_valid, _r, _s);
    }

    function chunk() external pure returns (uint256) {
        return 0;
    }

    function tau() external pure returns (uint256, uint256, uint256, uint256) {
        return (0, 0, 0, 0);
    }
}
