// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title A contract that signs tickets by ERC-1271, for one key, and that can be made to answer in other ways
contract GateWallet is IERC1271 {
    enum Mode {
        Honest,
        Always, // any signature is good
        Dirty, // the right four bytes, and others after them
        Short, // the right four bytes alone
        Says1, // as a bool would be
        Nothing,
        Huge, // more than a megabyte
        Reverts,
        Burns, // all gas that it is given
        Reenters
    }

    error Refused();

    address public immutable KEY;
    Mode public mode;
    address public target;
    bytes public plan;

    constructor(address key) {
        KEY = key;
    }

    function set(Mode to) external {
        mode = to;
    }

    /// @notice What it calls, if it can, before it answers.
    function prepare(address to, bytes calldata data) external {
        (target, plan, mode) = (to, data, Mode.Reenters);
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        if (mode == Mode.Reverts) revert Refused();
        if (mode == Mode.Burns) _burn();
        if (mode == Mode.Nothing) _answer(0, 0);
        if (mode == Mode.Says1) _answer(1, 32);
        if (mode == Mode.Short) _answer(uint256(bytes32(this.isValidSignature.selector)), 4);
        if (mode == Mode.Dirty) _answer(uint256(bytes32(this.isValidSignature.selector)) | 1, 32);
        if (mode == Mode.Huge) _answer(0, 1 << 20);
        if (mode == Mode.Reenters) _reenter();
        (address signer,,) = ECDSA.tryRecoverCalldata(hash, signature);
        return mode == Mode.Always || signer == KEY ? this.isValidSignature.selector : bytes4(0xffffffff);
    }

    /// @dev As a call that may change things, which the market's static call forbids it.
    function _reenter() private view {
        address to = target;
        bytes memory data = plan;
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            let ok := staticcall(gas(), to, add(data, 32), mload(data), 0, 0)
            if iszero(ok) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
    }

    function _burn() private pure {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            invalid()
        }
    }

    function _answer(uint256 word, uint256 length) private pure {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore(0, word)
            return(0, length)
        }
    }
}
