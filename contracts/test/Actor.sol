// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";

/// @title An account with code: makes any call, and reacts to being paid or told with one that was planned
contract Actor {
    using Address for address;

    error Refused();

    address public target;
    bytes public plan;
    bool public refuses;
    bool public reacted;
    bool public succeeded;
    bytes public answer;

    receive() external payable {
        react();
    }

    function execute(address to, bytes calldata data) external payable {
        to.functionCallWithValue(data, msg.value);
    }

    /// @notice The next reaction is this call; an empty target does nothing.
    function prepare(address to, bytes calldata data) external {
        (target, plan, reacted, succeeded, answer) = (to, data, false, false, "");
    }

    function refuse(bool on) external {
        refuses = on;
    }

    function react() public {
        if (refuses) revert Refused();
        if (target == address(0) || reacted) return;
        reacted = true;
        // solhint-disable-next-line avoid-low-level-calls
        (succeeded, answer) = target.call(plan);
    }
}
