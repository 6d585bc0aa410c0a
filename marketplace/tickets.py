"""Tickets: what a job's gate gives those whom it invites, and the text in which they are handed on.

A ticket is for one operator and one job. The gate signs EIP-712 data for it (contracts/libraries/Tickets.sol):
Ticket(uint256 jobId, bytes32 termsHash, address operator, uint64 expiry) under the domain "Merit", "2", the chain and
the market. `join` takes its expiry, 8 bytes, and the signature. The text is

    merit1_JOB_OPERATOR_EXPIRY_SIGNATURE

with decimal numbers, and small hexadecimal digits without 0x. It is no secret: others can do nothing with it.
"""

import re
from dataclasses import dataclass

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

MAX_SIGNATURE = 2048  # bytes, as the contract takes: that of a contract wallet can be long
MAX_TEXT = 2 * MAX_SIGNATURE + 100  # characters
_TEXT = re.compile(r"merit1_([1-9][0-9]{0,14})_([0-9a-f]{40})_([1-9][0-9]{0,14})_((?:[0-9a-f]{2}){0,2048})")
_TYPES = {
    "Ticket": [
        {"name": "jobId", "type": "uint256"},
        {"name": "termsHash", "type": "bytes32"},
        {"name": "operator", "type": "address"},
        {"name": "expiry", "type": "uint64"},
    ]
}
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1


@dataclass(frozen=True, slots=True)
class Ticket:
    """operator: EIP-55 string. expiry: the last Unix second in which it is good. signature: the gate's."""

    job_id: int
    operator: str
    expiry: int
    signature: bytes

    @property
    def call_data(self) -> bytes:
        """What `join` takes."""
        return self.expiry.to_bytes(8) + self.signature

    def __str__(self) -> str:
        return f"merit1_{self.job_id}_{self.operator[2:].lower()}_{self.expiry}_{self.signature.hex()}"


@dataclass(frozen=True, slots=True)
class Door:
    """The job that a ticket is for. terms_hash: 32 bytes."""

    chain_id: int
    market: str
    job_id: int
    terms_hash: bytes

    def message(self, operator: str, expiry: int) -> SignableMessage:
        """What the gate signs to let an operator in."""
        domain = {"name": "Merit", "version": "2", "chainId": self.chain_id, "verifyingContract": self.market}
        said = {"jobId": self.job_id, "termsHash": self.terms_hash, "operator": operator, "expiry": expiry}
        return encode_typed_data(domain, _TYPES, said)

    def digest(self, operator: str, expiry: int) -> bytes:
        """Its hash, 32 bytes: what a gate that is a contract is asked about."""
        message = self.message(operator, expiry)
        return keccak(b"\x19" + message.version + message.header + message.body)

    def invite(self, gate: LocalAccount, operator: str, expiry: int) -> Ticket:
        return Ticket(self.job_id, operator, expiry, bytes(gate.sign_message(self.message(operator, expiry)).signature))

    def signer(self, ticket: Ticket) -> str:
        """Whose key signed a ticket for this job; "" for bytes that are no signature as the contract takes it."""
        signature = ticket.signature
        if len(signature) != 65 or signature[64] not in (27, 28) or int.from_bytes(signature[32:64]) > _ORDER // 2:
            return ""
        message = self.message(ticket.operator, ticket.expiry)
        try:
            return str(Account.recover_message(message, signature=signature))
        except Exception:  # noqa: BLE001 (of several libraries: the bytes are a stranger's)
            return ""


def parse_ticket(text: str) -> Ticket:
    """A ticket's text, with white space around. Raises ValueError, as a clause, for anything else."""
    typed = text.strip() if len(text) <= 2 * MAX_TEXT else ""
    found = _TEXT.fullmatch(typed)
    if found is None:
        raise ValueError(
            "this is not a ticket, which begins with merit1_ and is one word; copy all of it, as it was given to you"
        )
    job_id, operator, expiry, signature = found.groups()
    return Ticket(int(job_id), to_checksum_address("0x" + operator), int(expiry), bytes.fromhex(signature))
