// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What a balance gains, computed another way than the market does: by size and sign, with bounds that are proved first
library Exact {
    uint256 internal constant MOST = 2 ** 84;

    /// @return ⌊score · rate · 2^(exponent + 8) / chosen⌋, brought into −2^84 … 2^84
    function lossUnits(int256 score, uint256 rate, int256 exponent, uint256 chosen) internal pure returns (int256) {
        bool negative = score < 0;
        uint256 size = uint256(negative ? -score : score) * rate; // below 2^160
        // The floor of what is negative is further from zero.
        int256 units = int256(_part(size, exponent + 8, chosen, negative));
        return negative ? -units : units;
    }

    /// @return ⌊score · 2^64 / total⌋; what is negative counts as zero
    function share(int256 score, uint256 total) internal pure returns (int256) {
        return score <= 0 ? int256(0) : int256(uint256(score) * 2 ** 64 / total);
    }

    /// @return size · 2^shift / parts, at most MOST, rounded up or down
    function _part(uint256 size, int256 shift, uint256 parts, bool up) private pure returns (uint256) {
        if (size == 0) return 0;
        uint256 by = uint256(shift < 0 ? -shift : shift);
        if (shift < 0) {
            if (by > 160) return up ? 1 : 0;
            uint256 units = _divide(size, parts << by, up);
            return units < MOST ? units : MOST;
        }
        if (by >= 89) return MOST; // 2^89 / 32
        bool most = by <= 84 ? size >= parts << (84 - by) : size << (by - 84) >= parts;
        return most ? MOST : _divide(size << by, parts, up);
    }

    function _divide(uint256 a, uint256 b, bool up) private pure returns (uint256) {
        return (up ? a + b - 1 : a) / b;
    }
}
