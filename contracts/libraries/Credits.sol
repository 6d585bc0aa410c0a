// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobMarket, Reason} from "../interfaces/IJobMarket.sol";

/// @title What everybody may withdraw
library Credits {
    /// @dev Credits an amount; nothing of zero.
    function add(
        mapping(address payee => mapping(address token => uint256 amount)) storage credit,
        uint256 jobId,
        address payee,
        address token,
        uint256 amount,
        Reason reason
    ) internal {
        if (amount == 0) return;
        credit[payee][token] += amount;
        emit IJobMarket.Credited(jobId, payee, token, amount, reason);
    }
}
