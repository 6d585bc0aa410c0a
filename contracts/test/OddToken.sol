// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {PlainToken} from "./PlainToken.sol";

/// @title An ERC-20 whose transfers can be made to go wrong
contract OddToken is PlainToken {
    enum Mode {
        Honest,
        TakesFee, // 1 unit of each transfer is burned
        AddsGift, // 1 unit more arrives
        ReturnsFalse, // and moves nothing
        ReturnsNothing, // and moves the amount, as some old tokens do
        DrainsReceiver, // the receiver ends with less than before
        Reverts
    }

    error Refused();

    Mode public mode;

    function set(Mode to) external {
        mode = to;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return _odd(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        return _odd(from, to, amount);
    }

    function _odd(address from, address to, uint256 amount) private returns (bool) {
        if (mode == Mode.Reverts) revert Refused();
        if (mode == Mode.ReturnsFalse) return false;
        _transfer(from, to, amount);
        if (mode == Mode.TakesFee) _burn(to, 1);
        if (mode == Mode.AddsGift) _mint(to, 1);
        if (mode == Mode.DrainsReceiver) _burn(to, amount + 1);
        if (mode == Mode.ReturnsNothing) {
            // solhint-disable-next-line no-inline-assembly
            assembly {
                return(0, 0)
            }
        }
        return true;
    }
}
