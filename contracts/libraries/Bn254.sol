// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

// Precompiles can be called in assembly only.
// solhint-disable no-inline-assembly

/// @title The curve BN254 (alt_bn128) on the precompiles of EIP-196, EIP-197 and EIP-198
/// @dev The precompiles refuse coordinates ≥ FIELD, points off their curve and, in pairings, points outside the subgroup:
/// every point goes through one of them, and every call is checked. A precompile that refuses takes all gas it was given.
library Bn254 {
    /// The order of G1 and G2: scalars are below it.
    uint256 internal constant ORDER = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    /// The modulus of the coordinates.
    uint256 internal constant FIELD = 21888242871839275222246405745257275088696311157297823662689037894645226208583;

    // The generator of G2, in the order of EIP-197.
    uint256 internal constant G2_0 = 11559732032986387107991004021392285783925812861821192530917403151452391805634;
    uint256 internal constant G2_1 = 10857046999023057135944570762232829481370756359578518086990519993285655852781;
    uint256 internal constant G2_2 = 4082367875863433681332203403145435568316851327593401208105741076214120093531;
    uint256 internal constant G2_3 = 8495653923123431417604973247489272438418190587263600148770280649306958101930;

    error NotBelowOrder(uint256 value);
    error Infinity();
    error InvalidPoint();
    error NoInverse();

    /// @dev A running sum of multiples of points, at infinity to begin with, and behind it the room for the next multiple: in
    /// this order the five words are what the precompiles take.
    struct Sum {
        uint256 x;
        uint256 y;
        uint256 termX;
        uint256 termY;
        uint256 scalar;
    }

    /// @dev The scalars a·p^k + b·q^k, k = 0, 1, …
    struct Scalars {
        uint256 a;
        uint256 p;
        uint256 b;
        uint256 q;
    }

    function requireScalar(uint256 value) internal pure {
        if (value >= ORDER) revert NotBelowOrder(value);
    }

    function requireScalars(uint256[] calldata values) internal pure {
        unchecked {
            for (uint256 i; i < values.length; ++i) {
                requireScalar(values[i]);
            }
        }
    }

    function requireFinite(uint256 x, uint256 y) internal pure {
        if (x | y == 0) revert Infinity();
    }

    /// @dev sum ← sum + k·(x, y)
    function addMultiple(Sum memory sum, uint256 x, uint256 y, uint256 k) internal view {
        bool done;
        assembly ("memory-safe") {
            let term := add(sum, 0x40)
            mstore(term, x)
            mstore(add(sum, 0x60), y)
            mstore(add(sum, 0x80), k)
            done := staticcall(gas(), 7, term, 0x60, term, 0x40)
            done := and(done, staticcall(gas(), 6, sum, 0x80, sum, 0x40))
        }
        if (!done) revert InvalidPoint();
    }

    /// @dev sum ← sum + Σ_k k_i·point_i, over all scalars k_i
    /// @param points two words each, from word `at` on as many points as there are scalars
    function addProducts(Sum memory sum, uint256[] memory points, uint256 at, uint256[] calldata scalars)
        internal
        view
    {
        if (points.length < at + 2 * scalars.length) revert InvalidPoint();
        bool done = true;
        assembly ("memory-safe") {
            let term := add(sum, 0x40)
            let point := add(points, mul(add(at, 1), 0x20))
            let end := add(scalars.offset, mul(scalars.length, 0x20))
            for { let from := scalars.offset } lt(from, end) { from := add(from, 0x20) } {
                mstore(term, mload(point))
                mstore(add(sum, 0x60), mload(add(point, 0x20)))
                mstore(add(sum, 0x80), calldataload(from))
                done := and(done, staticcall(gas(), 7, term, 0x60, term, 0x40))
                done := and(done, staticcall(gas(), 6, sum, 0x80, sum, 0x40))
                point := add(point, 0x40)
            }
        }
        if (!done) revert InvalidPoint();
    }

    /// @dev sum ← sum + Σ_k scalars_k·point_k
    /// @param points two words each, an even number of them
    /// @return finite whether no point is at infinity
    function addMultiples(Sum memory sum, uint256[] calldata points, Scalars memory scalars)
        internal
        view
        returns (bool finite)
    {
        bool done = true;
        finite = true;
        assembly ("memory-safe") {
            let term := add(sum, 0x40)
            let a := mload(scalars)
            let b := mload(add(scalars, 0x40))
            let end := add(points.offset, mul(points.length, 0x20))
            for { let at := points.offset } lt(at, end) { at := add(at, 0x40) } {
                calldatacopy(term, at, 0x40)
                mstore(add(sum, 0x80), addmod(a, b, ORDER))
                finite := and(finite, iszero(iszero(or(mload(term), mload(add(sum, 0x60))))))
                done := and(done, staticcall(gas(), 7, term, 0x60, term, 0x40))
                done := and(done, staticcall(gas(), 6, sum, 0x80, sum, 0x40))
                a := mulmod(a, mload(add(scalars, 0x20)), ORDER)
                b := mulmod(b, mload(add(scalars, 0x60)), ORDER)
            }
        }
        if (!done) revert InvalidPoint();
    }

    /// @dev sum ← sum + (x, y)
    function addPoint(Sum memory sum, uint256 x, uint256 y) internal view {
        bool done;
        assembly ("memory-safe") {
            mstore(add(sum, 0x40), x)
            mstore(add(sum, 0x60), y)
            done := staticcall(gas(), 6, sum, 0x80, sum, 0x40)
        }
        if (!done) revert InvalidPoint();
    }

    /// @return −y, so that (x, −y) is the point's negative
    function negate(uint256 y) internal pure returns (uint256) {
        // The modulus itself would turn into a zero that no precompile could tell from a canonical one.
        if (y >= FIELD) revert InvalidPoint();
        return y == 0 ? 0 : FIELD - y;
    }

    /// @param pairs six words for each pair: a point of G1, a point of G2.
    /// @return one whether ∏ e(p, q) = 1
    function pairingIsOne(uint256[] memory pairs) internal view returns (bool one) {
        bool done;
        assembly ("memory-safe") {
            done := staticcall(gas(), 8, add(pairs, 0x20), mul(mload(pairs), 0x20), 0, 0x20)
            one := mload(0)
        }
        if (!done) revert InvalidPoint();
    }

    /// @return result base^exponent mod ORDER
    function power(uint256 base, uint256 exponent) internal view returns (uint256 result) {
        bool done;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, 0x20)
            mstore(add(free, 0x20), 0x20)
            mstore(add(free, 0x40), 0x20)
            mstore(add(free, 0x60), base)
            mstore(add(free, 0x80), exponent)
            mstore(add(free, 0xa0), ORDER)
            done := staticcall(gas(), 5, free, 0xc0, 0, 0x20)
            result := mload(0)
        }
        assert(done);
    }

    /// @return 1/value mod ORDER
    function inverse(uint256 value) internal view returns (uint256) {
        if (value % ORDER == 0) revert NoInverse();
        return power(value, ORDER - 2);
    }
}
