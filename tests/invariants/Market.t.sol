// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Handler} from "./Handler.sol";
import {VM} from "./Vm.sol";

/// @title Random lives of several jobs at once: nothing is lost and nobody is stuck
contract MarketInvariants {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    uint256 private constant CHECKS = 3; // after every how many calls everything is checked
    uint256 private constant EXITS = 12; // after every how many calls all jobs are ended, to see that they can be

    Handler private _handler;

    function setUp() public {
        _handler = Handler(VM.deployCode("Handler.sol"));
        _handler.createJob(1);
        _handler.createJob(2);
    }

    /// @dev Forge draws from these with equal chances.
    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[12] memory drawn = [
            Handler.goOn.selector,
            Handler.goOn.selector,
            Handler.goOn.selector,
            Handler.goOn.selector,
            Handler.goOn.selector,
            Handler.anyCall.selector,
            Handler.anyCall.selector,
            Handler.createJob.selector,
            Handler.withdraw.selector,
            Handler.withdraw.selector,
            Handler.wait_.selector,
            Handler.seize.selector
        ];
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_handler), new bytes4[](drawn.length));
        for (uint256 i; i < drawn.length; ++i) {
            targets[0].selectors[i] = drawn[i];
        }
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// @dev Each call was checked where it was made; this is about what it had nothing to do with. Forge undoes what an
    /// invariant changes.
    function invariant_everyUnitIsSomebodysAndEveryJobHasAnExit() public {
        uint256 calls = _handler.calls();
        if (calls % EXITS == 0) _handler.endAll();
        else if (calls % CHECKS == 0) _handler.check();
    }

    function afterInvariant() public {
        _handler.report();
        _handler.endAll();
    }
}
