// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Slots} from "../libraries/Slots.sol";

/// @title The slot sets, callable
contract SlotsHarness {
    using Slots for uint32;

    function all(uint32 mask, uint256 slot)
        external
        pure
        returns (uint256 count, bool has, uint32 with, uint32 without, uint8 lowestFree)
    {
        return (mask.count(), mask.has(slot), mask.with(slot), mask.without(slot), mask.lowestFree());
    }
}
