// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDecisionVerifier} from "../interfaces/IDecisionVerifier.sol";

// Immutables are named as their getters in the interface.
// solhint-disable immutable-vars-naming

/// @title A decision verifier that answers what it is told to, for tests of the market without proofs
contract StubDecisionVerifier is IDecisionVerifier {
    error Unexpected(bytes32 callHash);

    uint256 public immutable circuit;
    bytes32 public immutable keyHash;
    bool private _valid = true;
    bytes32 private _expected;

    constructor(uint256 circuit_, bytes32 keyHash_) {
        (circuit, keyHash) = (circuit_, keyHash_);
    }

    function setValid(bool valid) external {
        _valid = valid;
    }

    /// @param callHash keccak256 of the whole calldata that `verify` must be called with; zero for any
    function expect(bytes32 callHash) external {
        _expected = callHash;
    }

    function verify(uint256[] calldata, uint256[8] calldata) external view returns (bool) {
        if (_expected != 0 && keccak256(msg.data) != _expected) revert Unexpected(keccak256(msg.data));
        return _valid;
    }

    function inputCount() external pure returns (uint256) {
        return 0;
    }

    function key() external pure returns (uint256[] memory) {
        return new uint256[](0);
    }
}
