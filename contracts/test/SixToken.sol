// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {PlainToken} from "./PlainToken.sol";

/// @title An ERC-20 whose amounts people write with six decimals, as those of many stablecoins
contract SixToken is PlainToken {
    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
