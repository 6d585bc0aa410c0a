// SPDX-License-Identifier: Apache-2.0
// solhint-disable one-contract-per-file
pragma solidity ^0.8.28;

/// @title The cheat codes of forge that halmos has too
interface Vm {
    /// Only what holds is looked at from here on.
    function assume(bool holds) external pure;
    function warp(uint256 timestamp) external;
    /// The next call is made by `sender`.
    function prank(address sender) external;
    function load(address account, bytes32 slot) external view returns (bytes32 word);
    function store(address account, bytes32 slot, bytes32 word) external;
}

/// @title Those of its own
interface Svm {
    /// Every word of the account's storage may be anything.
    function enableSymbolicStorage(address account) external;
}

Vm constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
Svm constant SVM = Svm(address(uint160(uint256(keccak256("svm cheat code")))));
