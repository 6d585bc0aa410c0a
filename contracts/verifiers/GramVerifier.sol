// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {GramStatement, IGramVerifier} from "../interfaces/IGramVerifier.sol";
import {Bn254} from "../libraries/Bn254.sol";
import {Transcript} from "../libraries/Transcript.sol";

// Immutables are named as their getters in the interface, values as in the equations.
// solhint-disable immutable-vars-naming, var-name-mixedcase

/// @title The verifier of Gram proofs; what it does is said in IGramVerifier
/// @dev One sum of n·c + c + 7 multiples of points and one check of two pairings, whatever the length of the updates. The
/// equations and their reasons are in docs/proofs.md; zk/verifier.py is the same, step by step.
contract GramVerifier is IGramVerifier {
    using Bn254 for Bn254.Sum;
    using Transcript for Transcript.Talk;

    uint256 private constant P = Bn254.ORDER;
    uint256 private constant SLOTS = 32;
    uint256 private constant REFERENCE_BITS = 3 << SLOTS;
    uint256 private constant MAX_CHUNK = 2 ** 28; // P − 1 is divisible by it and by no higher power of two

    // Where the words of a proof are.
    uint256 private constant M = 0;
    uint256 private constant A = 2;
    uint256 private constant Q = 4;
    uint256 private constant WZ = 6;
    uint256 private constant WW = 8;
    uint256 private constant Y = 10;
    uint256 private constant EA_AT_Z = 11;
    uint256 private constant EM = 12;
    uint256 private constant EA_AT_WZ = 13;
    uint256 private constant ROWS_AT_Z = 14;

    uint256 public immutable chunk;
    bytes32 public immutable keyHash;
    uint256 private immutable _chunkInverse;
    uint256 private immutable _omega;
    uint256 private immutable _tau0;
    uint256 private immutable _tau1;
    uint256 private immutable _tau2;
    uint256 private immutable _tau3;

    struct Challenges {
        uint256 r;
        uint256 s;
        uint256 z;
        uint256 v;
        uint256 vc; // v^c
        uint256 u;
        uint256 rho;
        uint256 lambda;
    }

    /// @param chunk_ N, a power of two
    /// @param tau_ [τ]₂ in the order of EIP-197
    constructor(uint256 chunk_, uint256[4] memory tau_) {
        if (chunk_ < 2 || chunk_ > MAX_CHUNK || chunk_ & (chunk_ - 1) != 0) revert WrongChunk(chunk_);
        if (tau_[0] | tau_[1] | tau_[2] | tau_[3] == 0) revert Bn254.Infinity();
        // The precompile refuses a point outside the subgroup, whatever it is paired with.
        Bn254.pairingIsOne(_pair(1, 2, tau_));
        chunk = chunk_;
        keyHash = keccak256(abi.encodePacked(chunk_, tau_));
        _chunkInverse = Bn254.inverse(chunk_);
        _omega = Bn254.power(5, (P - 1) / chunk_);
        (_tau0, _tau1, _tau2, _tau3) = (tau_[0], tau_[1], tau_[2], tau_[3]);
    }

    function tau() external view returns (uint256, uint256, uint256, uint256) {
        return (_tau0, _tau1, _tau2, _tau3);
    }

    function verify(GramStatement calldata statement, uint256[] calldata proof)
        external
        view
        returns (bool valid, uint256 r, uint256 s)
    {
        uint256 c = _chunks(statement, proof);
        Challenges memory ch = _challenges(statement, proof, c);
        (r, s) = (ch.r, ch.s);

        // Q's value at z from A(ωz) − A(z) − Σ_k a_k(z)·b_k(z) − mask(z) + y/N = Q(z)·(z^N − 1)
        uint256 vanishing = addmod(Bn254.power(ch.z, chunk), P - 1, P);
        if (vanishing == 0) return (false, r, s);

        Bn254.Sum memory right;
        _addRows(right, statement, ch, c);
        _addScheme(right, proof, ch);
        right.addMultiple(1, 2, P - _evaluations(proof, ch, c, vanishing));

        Bn254.Sum memory left;
        left.addMultiple(proof[WW], proof[WW + 1], ch.u);
        right.addMultiple(proof[WZ], proof[WZ + 1], ch.z);
        right.addMultiple(left.x, left.y, mulmod(ch.z, _omega, P));
        left.addPoint(proof[WZ], proof[WZ + 1]);
        valid = _equalUnderTau(left, right);
    }

    /// @dev Refuses sizes and words that do not fit together.
    /// @return c the number of chunks
    function _chunks(GramStatement calldata statement, uint256[] calldata proof) private pure returns (uint256 c) {
        uint256 references = statement.positions & REFERENCE_BITS;
        if (
            statement.positions == 0 || statement.positions >> (SLOTS + 2) != 0
                || (references != 0 && references != REFERENCE_BITS)
        ) revert WrongPositions(statement.positions);
        uint256 rows = _count(statement.positions);
        uint256 slots = _count(statement.positions ^ references);

        c = statement.sums.length / 2;
        if (c == 0 || statement.sums.length != 2 * c) revert WrongLength("sums", statement.sums.length, 2);
        _requireLength("commitments", statement.commitments.length, 2 * rows * c);
        _requireLength("coefficients", statement.coefficients.length, slots);
        _requireLength("proof", proof.length, ROWS_AT_Z + 2 * c);

        Bn254.requireScalar(statement.gramHash);
        Bn254.requireScalars(statement.coefficients);
        Bn254.requireScalars(proof[Y:]);
        Bn254.requireFinite(proof[M], proof[M + 1]);
        Bn254.requireFinite(proof[A], proof[A + 1]);
        Bn254.requireFinite(proof[Q], proof[Q + 1]);
        Bn254.requireFinite(proof[WZ], proof[WZ + 1]);
        Bn254.requireFinite(proof[WW], proof[WW + 1]);
    }

    function _requireLength(bytes32 what, uint256 given, uint256 required) private pure {
        if (given != required) revert WrongLength(what, given, required);
    }

    function _count(uint256 set) private pure returns (uint256 n) {
        unchecked {
            for (; set != 0; set &= set - 1) {
                ++n;
            }
        }
    }

    function _challenges(GramStatement calldata statement, uint256[] calldata proof, uint256 c)
        private
        view
        returns (Challenges memory ch)
    {
        Transcript.Talk memory talk = Transcript.start(
            statement.context, statement.commitments.length + proof.length + statement.sums.length
        );
        talk.say(statement.commitments.length / (2 * c));
        talk.say(c);
        talk.say(chunk);
        talk.say(statement.positions);
        talk.say(statement.commitments);
        talk.say(statement.sums);
        talk.say(statement.gramHash);
        talk.say(proof[M:A]);
        talk.absorb();
        ch.r = talk.challenge();
        ch.s = talk.challenge();
        talk.say(proof[Y]);
        talk.say(proof[A:WZ]);
        talk.absorb();
        ch.z = talk.challenge();
        talk.say(proof[ROWS_AT_Z:]);
        talk.say(proof[EA_AT_Z:ROWS_AT_Z]);
        talk.absorb();
        ch.v = talk.challenge();
        ch.vc = Bn254.power(ch.v, c);
        talk.say(proof[WZ:Y]);
        talk.absorb();
        ch.u = talk.challenge();
        talk.say(statement.coefficients);
        talk.absorb();
        ch.rho = talk.challenge();
        ch.lambda = talk.challenge();
    }

    /// @dev sum += Σ_ik (v^k·(r^{e_i} + v^c·s^{e_i}) + λ·ρ^k·c_i)·C_ik − λ·Σ_k ρ^k·S_k, e_i = position + 1; c_i = 0 for the
    /// reference rows.
    function _addRows(Bn254.Sum memory sum, GramStatement calldata statement, Challenges memory ch, uint256 c)
        private
        view
    {
        uint256[] calldata points = statement.commitments;
        uint256[] calldata coefficients = statement.coefficients;
        Bn254.Scalars memory scalars = Bn254.Scalars(0, ch.v, 0, ch.rho);
        (uint256 re, uint256 se) = (1, 1);
        for (uint256 left = statement.positions; left != 0; left >>= 1) {
            re = mulmod(re, ch.r, P);
            se = mulmod(se, ch.s, P);
            if (left & 1 == 0) continue;
            scalars.a = addmod(re, mulmod(ch.vc, se, P), P);
            scalars.b = 0;
            if (coefficients.length != 0) {
                scalars.b = mulmod(ch.lambda, coefficients[0], P);
                coefficients = coefficients[1:];
            }
            if (!sum.addMultiples(points[:2 * c], scalars)) revert Bn254.Infinity();
            points = points[2 * c:];
        }
        (scalars.a, scalars.b) = (0, P - ch.lambda);
        sum.addMultiples(statement.sums, scalars);
    }

    /// @dev sum += (v^2c + u)·A + v^(2c+1)·M + v^(2c+2)·Q
    function _addScheme(Bn254.Sum memory sum, uint256[] calldata proof, Challenges memory ch) private view {
        uint256 weight = mulmod(ch.vc, ch.vc, P);
        sum.addMultiple(proof[A], proof[A + 1], addmod(weight, ch.u, P));
        weight = mulmod(weight, ch.v, P);
        sum.addMultiple(proof[M], proof[M + 1], weight);
        weight = mulmod(weight, ch.v, P);
        sum.addMultiple(proof[Q], proof[Q + 1], weight);
    }

    /// @return E = Σ_e v^e·(ea_0 … eb_0 … eA eM eQ) + u·A(ωz), with eQ = Q(z) as the relation at z demands it
    function _evaluations(uint256[] calldata proof, Challenges memory ch, uint256 c, uint256 vanishing)
        private
        view
        returns (uint256 E)
    {
        // eQ·(z^N − 1) = A(ωz) + y/N − (A(z) + mask(z) + Σ_k a_k(z)·b_k(z))
        uint256 minus = addmod(proof[EA_AT_Z], proof[EM], P);
        uint256[] calldata rows = proof[ROWS_AT_Z:];
        uint256 weight = 1;
        unchecked {
            for (uint256 k; k < 2 * c; ++k) {
                if (k < c) minus = addmod(minus, mulmod(rows[k], rows[k + c], P), P);
                E = addmod(E, mulmod(weight, rows[k], P), P);
                weight = mulmod(weight, ch.v, P);
            }
        }
        uint256 eQ = addmod(proof[EA_AT_WZ], mulmod(proof[Y], _chunkInverse, P), P);
        eQ = mulmod(addmod(eQ, P - minus, P), Bn254.inverse(vanishing), P);

        E = addmod(E, mulmod(weight, proof[EA_AT_Z], P), P);
        weight = mulmod(weight, ch.v, P);
        E = addmod(E, mulmod(weight, proof[EM], P), P);
        weight = mulmod(weight, ch.v, P);
        E = addmod(E, mulmod(weight, eQ, P), P);
        E = addmod(E, mulmod(ch.u, proof[EA_AT_WZ], P), P);
    }

    /// @return whether e(left, [τ]₂) = e(right, [1]₂)
    function _equalUnderTau(Bn254.Sum memory left, Bn254.Sum memory right) private view returns (bool) {
        uint256[] memory pairs = new uint256[](12);
        (pairs[0], pairs[1]) = (left.x, left.y);
        (pairs[2], pairs[3], pairs[4], pairs[5]) = (_tau0, _tau1, _tau2, _tau3);
        (pairs[6], pairs[7]) = (right.x, Bn254.negate(right.y));
        (pairs[8], pairs[9], pairs[10], pairs[11]) = (Bn254.G2_0, Bn254.G2_1, Bn254.G2_2, Bn254.G2_3);
        return Bn254.pairingIsOne(pairs);
    }

    function _pair(uint256 x, uint256 y, uint256[4] memory q) private pure returns (uint256[] memory pair) {
        pair = new uint256[](6);
        (pair[0], pair[1], pair[2], pair[3], pair[4], pair[5]) = (x, y, q[0], q[1], q[2], q[3]);
    }
}
