"""What somebody has earned: credited by a claim once the job is over, and then withdrawn."""

from dataclasses import dataclass

from eth_account.signers.local import LocalAccount

from marketplace.chain.market import Market, Receipt
from marketplace.errors import InputError, Reverted
from marketplace.services.node import JobFeed, Node


@dataclass(frozen=True, slots=True)
class Claimed:
    """receipt: None where it had been claimed before, and nothing was sent."""

    seat: int
    receipt: Receipt | None


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """amount: in units of the token."""

    amount: int
    receipt: Receipt


def claim(node: Node, job_id: int, seat: int | None = None) -> Claimed:
    """Credits pay and stake of a seat, by default the node's own, to its payee.

    Raises InputError where the node's account has no seat, Reverted while the job goes on.
    """
    account = node.me.account
    if seat is None:
        seat = JobFeed(node, job_id).refresh().slot_of(account.address)
        if seat is None:
            raise InputError(f"{account.address} has no seat in job {job_id}: name the seat.")
    try:
        return Claimed(seat, node.market.claim(account, job_id, seat))
    except Reverted as refusal:
        if refusal.name != "AlreadyClaimed":  # a trainer's node claims by itself
            raise
        return Claimed(seat, None)


def withdraw(market: Market, account: LocalAccount, token: str) -> Withdrawal:
    """Takes all that an account was credited in a token. Raises Reverted where that is nothing."""
    amount = market.credit(account.address, token)
    return Withdrawal(amount, market.withdraw(account, token))
