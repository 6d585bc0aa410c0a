// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Actor} from "./Actor.sol";
import {PlainToken} from "./PlainToken.sol";

/// @title An ERC-20 that tells an actor of every transfer before it moves anything, as ERC-777 does
contract HookedToken is PlainToken {
    Actor public listener;

    function tell(Actor to) external {
        listener = to;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (address(listener) != address(0)) listener.react();
        super._update(from, to, amount);
    }
}
