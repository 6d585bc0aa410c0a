// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {PlainToken} from "../../contracts/test/PlainToken.sol";

/// @title An ERC-20 from whose holders anyone can take: what the market asks owners not to use
contract SeizingToken is PlainToken {
    function seize(address from, uint256 amount) external {
        _burn(from, amount);
    }
}
