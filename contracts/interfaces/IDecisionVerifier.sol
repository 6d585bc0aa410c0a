// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Checks that a pay rule, run on a bound Gram matrix, gives these slots and weights: Groth16 over BN254
/// @notice One contract for each circuit; the verifying key is fixed at deployment and nobody owns it. Words that encode no
/// proof revert with an error that says why; a proof that does not show its inputs gives false. A point off the curve, or
/// of the wrong order, reverts after all gas that it was given.
interface IDecisionVerifier {
    error WrongLength(bytes32 what, uint256 given, uint256 required);
    /// γ = δ: anything could be proved with such a key.
    error UnsafeKey();
    error KeyNotStored();

    /// @param inputs the public inputs, each below the group's order (docs/proofs-format.md).
    /// @param proof A B C, B in the order of EIP-197.
    function verify(uint256[] calldata inputs, uint256[8] calldata proof) external view returns (bool);

    /// @notice rule · 100 + the number of slots of the circuit.
    function circuit() external view returns (uint256);
    /// @notice How many public inputs the circuit has.
    function inputCount() external view returns (uint256);
    /// @notice keccak256 of the verifying key's words: alpha beta gamma delta IC_0 … IC_l.
    function keyHash() external view returns (bytes32);
    /// @notice Those words.
    function key() external view returns (uint256[] memory);
}
