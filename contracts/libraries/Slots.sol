// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Sets of trainer slots as 32-bit masks
/// @dev Bit i stands for slot i.
library Slots {
    /// @return n how many slots are in the mask
    function count(uint32 mask) internal pure returns (uint256 n) {
        unchecked {
            for (; mask != 0; mask &= mask - 1) {
                ++n;
            }
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

    /// @return slot the lowest slot of the mask; 32 for the empty mask
    function lowest(uint32 mask) internal pure returns (uint8 slot) {
        unchecked {
            // The bits below the lowest set one, counted; the empty mask gives all 32.
            return uint8(count((mask & (~mask + 1)) - 1));
        }
    }

    /// @return slot the lowest slot that is not in the mask; 32 for the full mask
    function lowestFree(uint32 mask) internal pure returns (uint8 slot) {
        return lowest(~mask);
    }
}
