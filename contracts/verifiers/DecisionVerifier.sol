// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDecisionVerifier} from "../interfaces/IDecisionVerifier.sol";
import {Bn254} from "../libraries/Bn254.sol";

// Immutables are named as their getters in the interface; a contract of plain bytes needs assembly to make and to read.
// solhint-disable immutable-vars-naming, no-inline-assembly

/// @title The verifier of decision proofs; what it does is said in IDecisionVerifier
/// @dev Groth16, eprint 2016/260. The verifying key is kept as the code of a contract of its own, which no call can run: its
/// first byte is STOP. Its words: alpha(2) beta(4) gamma(4) delta(4) IC_0(2) … IC_l(2).
contract DecisionVerifier is IDecisionVerifier {
    using Bn254 for Bn254.Sum;

    uint256 private constant BETA = 2;
    uint256 private constant GAMMA = 6;
    uint256 private constant DELTA = 10;
    uint256 private constant IC = 14;

    uint256 public immutable circuit;
    uint256 public immutable inputCount;
    bytes32 public immutable keyHash;
    address private immutable _store;

    /// @param circuit_ rule · 100 + number of slots
    /// @param words the verifying key
    constructor(uint256 circuit_, uint256[] memory words) {
        if (words.length < IC + 2 || words.length % 2 != 0) revert WrongLength("key", words.length, IC + 2);
        _checkKey(words);
        circuit = circuit_;
        inputCount = (words.length - IC) / 2 - 1;
        keyHash = keccak256(abi.encodePacked(words));
        _store = _keep(words);
    }

    function key() external view returns (uint256[] memory) {
        return _load();
    }

    function verify(uint256[] calldata inputs, uint256[8] calldata proof) external view returns (bool) {
        if (inputs.length != inputCount) revert WrongLength("inputs", inputs.length, inputCount);
        Bn254.requireScalars(inputs);
        Bn254.requireFinite(proof[0], proof[1]);
        Bn254.requireFinite(proof[2] | proof[3], proof[4] | proof[5]);
        Bn254.requireFinite(proof[6], proof[7]);

        // IC_0 + Σ x_i·IC_i
        uint256[] memory words = _load();
        Bn254.Sum memory bound;
        (bound.x, bound.y) = (words[IC], words[IC + 1]);
        bound.addProducts(words, IC + 2, inputs);

        // e(−A, B) · e(α, β) · e(bound, γ) · e(C, δ) = 1
        uint256[] memory pairs = new uint256[](24);
        (pairs[0], pairs[1]) = (proof[0], Bn254.negate(proof[1]));
        (pairs[2], pairs[3], pairs[4], pairs[5]) = (proof[2], proof[3], proof[4], proof[5]);
        (pairs[6], pairs[7]) = (words[0], words[1]);
        _copy(words, BETA, pairs, 8);
        (pairs[12], pairs[13]) = (bound.x, bound.y);
        _copy(words, GAMMA, pairs, 14);
        (pairs[18], pairs[19]) = (proof[6], proof[7]);
        _copy(words, DELTA, pairs, 20);
        return Bn254.pairingIsOne(pairs);
    }

    /// @dev Refuses keys with points off the curve, of another order or at infinity, and keys without a set-up.
    function _checkKey(uint256[] memory words) private view {
        for (uint256 at = BETA; at < IC; at += 4) {
            Bn254.requireFinite(words[at] | words[at + 1], words[at + 2] | words[at + 3]);
            uint256[] memory pair = new uint256[](6);
            (pair[0], pair[1]) = (words[0], words[1]);
            _copy(words, at, pair, 2);
            // The precompile refuses what is no point of the right order, whatever it is paired with.
            Bn254.pairingIsOne(pair);
        }
        Bn254.requireFinite(words[0], words[1]);
        Bn254.Sum memory sum;
        for (uint256 at = IC; at < words.length; at += 2) {
            Bn254.requireFinite(words[at], words[at + 1]);
            sum.addPoint(words[at], words[at + 1]);
        }
        if (
            words[GAMMA] == words[DELTA] && words[GAMMA + 1] == words[DELTA + 1] && words[GAMMA + 2] == words[DELTA + 2]
                && words[GAMMA + 3] == words[DELTA + 3]
        ) revert UnsafeKey();
    }

    function _copy(uint256[] memory from, uint256 at, uint256[] memory to, uint256 into) private pure {
        (to[into], to[into + 1], to[into + 2], to[into + 3]) = (from[at], from[at + 1], from[at + 2], from[at + 3]);
    }

    /// @return store a contract whose code is a zero byte and the words
    function _keep(uint256[] memory words) private returns (address store) {
        bytes memory code = abi.encodePacked(hex"00", words);
        // PUSH2 length, DUP1, PUSH1 10, RETURNDATASIZE (zero here), CODECOPY, RETURNDATASIZE, RETURN: 10 bytes before the code.
        bytes memory creation = abi.encodePacked(hex"61", uint16(code.length), hex"80600a3d393df3", code);
        assembly ("memory-safe") {
            store := create(0, add(creation, 0x20), mload(creation))
        }
        if (store == address(0)) revert KeyNotStored();
    }

    function _load() private view returns (uint256[] memory words) {
        words = new uint256[](IC + 2 * (inputCount + 1));
        address store = _store;
        assembly ("memory-safe") {
            extcodecopy(store, add(words, 0x20), 1, mul(mload(words), 0x20))
        }
    }
}
