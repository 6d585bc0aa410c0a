// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The cheat codes of forge that these tests use
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    /// The next call is made by `sender`.
    function prank(address sender) external;
    function warp(uint256 timestamp) external;
    function deal(address account, uint256 balance) external;
    /// @dev In place of `new`: what is made is not compiled again with what makes it.
    /// @param artifact the file of the contract's name
    function deployCode(string calldata artifact) external returns (address deployed);
    function deployCode(string calldata artifact, bytes calldata arguments) external returns (address deployed);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function addr(uint256 key) external pure returns (address account);
    function recordLogs() external;
    /// @return the logs since it was asked last
    function getRecordedLogs() external returns (Log[] memory);
    function writeLine(string calldata path, string calldata line) external;
    /// @dev Asked in place of block.timestamp, which the optimizer takes for a constant.
    function getBlockTimestamp() external view returns (uint256);
    function toString(uint256 value) external pure returns (string memory);
}

Vm constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
