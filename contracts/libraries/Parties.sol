// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobMarket} from "../interfaces/IJobMarket.sol";

/// @title What whoever takes a part in a job names
library Parties {
    /// @dev Reverts unless it can be paid, and sealed to.
    function requireAble(address payee, bytes32 encryptionKey) internal pure {
        if (payee == address(0)) revert IJobMarket.ZeroAddress();
        requireKey(encryptionKey);
    }

    function requireKey(bytes32 encryptionKey) internal pure {
        if (encryptionKey == 0) revert IJobMarket.ZeroKey();
    }
}
