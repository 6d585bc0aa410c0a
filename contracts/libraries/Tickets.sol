// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IJobMarket} from "../interfaces/IJobMarket.sol";

/// @title Whom a gate lets into a job
/// @dev docs/decisions/2026-11-27-tickets.md. Runs as the market, whose address the domain names, for the one who calls it.
library Tickets {
    // solhint-disable gas-small-strings
    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant TICKET =
        keccak256("Ticket(uint256 jobId,bytes32 termsHash,address operator,uint64 expiry)");
    uint256 private constant EXPIRY_BYTES = 8;
    uint256 private constant MAX_SIGNATURE = 2048;

    /// @dev Reverts unless the gate signed that the caller may join this job with these terms, and that is still good.
    /// @param ticket expiry, big-endian, and signature
    function requireGood(uint256 jobId, bytes32 termsHash, address gate, bytes calldata ticket) external view {
        uint256 length = ticket.length;
        if (length == 0) revert IJobMarket.TicketMissing(jobId, gate);
        if (length < EXPIRY_BYTES || length > EXPIRY_BYTES + MAX_SIGNATURE) {
            revert IJobMarket.TicketLength(jobId, length);
        }
        uint64 expiry = uint64(bytes8(ticket));
        if (block.timestamp > expiry) revert IJobMarket.TicketExpired(jobId, expiry);

        bytes32 domain = keccak256(abi.encode(DOMAIN, keccak256("Merit"), keccak256("2"), block.chainid, address(this)));
        bytes32 said = keccak256(abi.encode(TICKET, jobId, termsHash, msg.sender, expiry));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain, said));
        if (!_signed(gate, digest, ticket[EXPIRY_BYTES:])) {
            revert IJobMarket.TicketRefused(jobId, gate, msg.sender);
        }
    }

    /// @dev What OpenZeppelin's SignatureChecker does, which since 5.5 needs a later EVM than this contract does.
    function _signed(address gate, bytes32 digest, bytes calldata signature) private view returns (bool) {
        if (gate.code.length == 0) {
            (address signer, ECDSA.RecoverError wrong,) = ECDSA.tryRecoverCalldata(digest, signature);
            return wrong == ECDSA.RecoverError.NoError && signer == gate;
        }
        // A static call: the gate can change nothing here, so that there is nothing to enter again.
        (bool answered, bytes memory answer) =
            gate.staticcall(abi.encodeCall(IERC1271.isValidSignature, (digest, signature)));
        return answered && answer.length >= 32 && bytes32(answer) == bytes32(IERC1271.isValidSignature.selector);
    }
}
