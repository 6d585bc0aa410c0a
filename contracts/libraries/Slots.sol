// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Sets of trainer slots as 32-bit masks
/// @dev Bit i stands for slot i.
library Slots {
    /// @return n how many slots are in the mask
    function count(uint32 mask) internal pure returns (uint256 n) {
        unchecked {
            // Sums of 2, 4 and 8 bits side by side; then all four bytes' sums in the highest byte.
            mask -= (mask >> 1) & 0x55555555;
            mask = (mask & 0x33333333) + ((mask >> 2) & 0x33333333);
            mask = (mask + (mask >> 4)) & 0x0f0f0f0f;
            return (mask * 0x01010101) >> 24;
        }
    }

    function has(uint32 mask, uint256 slot) internal pure returns (bool) {
        return (mask >> slot) & 1 == 1;
    }

    function with(uint32 mask, uint256 slot) internal pure returns (uint32) {
        return mask | (uint32(1) << uint32(slot));
    }

    function without(uint32 mask, uint256 slot) internal pure returns (uint32) {
        return mask & ~(uint32(1) << uint32(slot));
    }

    /// @return slot the lowest slot that is not in the mask; 32 for the full mask
    function lowestFree(uint32 mask) internal pure returns (uint8 slot) {
        unchecked {
            // The bits below the lowest free one, counted.
            return uint8(count(mask & ~(mask + 1)));
        }
    }
}
