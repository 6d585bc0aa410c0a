// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @dev What a Gram proof is about. Points are two words each, x ‖ y; (0, 0) is the point at infinity. docs/proofs-format.md.
struct GramStatement {
    /// keccak256 of abi.encode(chainId, market, jobId, round, termsHash).
    bytes32 context;
    /// The rows: bit i for slot i, bits 32 and 33 for the reference rows, which come together or not at all.
    uint256 positions;
    /// Binds the Gram matrix and the mask; opened inside the decision circuit.
    uint256 gramHash;
    /// The c points of each row, row by row in ascending position: 2·n·c words.
    uint256[] commitments;
    /// S_0 … S_{c−1}, what Σ coefficient · row is claimed to commit to: 2·c words. May be at infinity.
    uint256[] sums;
    /// One for each row of a slot, in ascending order of slot.
    uint256[] coefficients;
}

/// @title Checks that a hash binds the Gram matrix of committed updates, and that a stated sum is theirs
/// @notice Nobody owns it and it stores nothing. Words that encode no statement or proof revert with an error that says
/// why; a proof that does not show its statement gives false. A point off the curve reverts after all gas that it was given.
interface IGramVerifier {
    /// The number of words of commitments, sums, coefficients or proof does not fit the others.
    error WrongLength(bytes32 what, uint256 given, uint256 required);
    error WrongPositions(uint256 positions);
    error WrongChunk(uint256 chunk);

    /// @param proof M A Q Wz Ww y eA eM eAw ea_0 … ea_{c−1} eb_0 … eb_{c−1}: 14 + 2c words.
    /// @return valid whether the proof shows the statement
    /// @return r the challenge that is the decision proof's public input 1
    /// @return s the challenge that is its public input 2; y, its input 3, is word 10 of this proof
    function verify(GramStatement calldata statement, uint256[] calldata proof)
        external
        view
        returns (bool valid, uint256 r, uint256 s);

    /// @notice N, the entries of a chunk.
    function chunk() external view returns (uint256);
    /// @notice keccak256 of the words N and [τ]₂.
    function keyHash() external view returns (bytes32);
    /// @notice [τ]₂ in the order of EIP-197.
    function tau() external view returns (uint256, uint256, uint256, uint256);
}
