// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobMarket} from "../interfaces/IJobMarket.sol";

/// @title Content ids, which the chain only passes on
library Cids {
    uint256 private constant MAX_BYTES = 100;

    /// @dev Reverts unless there is one, of a length that any log can hold.
    function requireCid(string calldata cid) internal pure {
        uint256 length = bytes(cid).length;
        if (length == 0 || length > MAX_BYTES) revert IJobMarket.InvalidCid(length);
    }
}
