"""Whom the gate of a job lets in: tickets are made here, and looked at before a stake is sent with them."""

from eth_account.signers.local import LocalAccount

from marketplace.chain import abi
from marketplace.chain.market import Market
from marketplace.domain import ZERO_ADDRESS, State, Terms
from marketplace.errors import InputError, JobOver
from marketplace.tickets import Door, Ticket, parse_ticket
from marketplace.urls import shown_url

VALID_FOR = 7 * 86400  # seconds, by default
MOST_VALID = 366 * 86400


def door(market: Market, job_id: int, terms: Terms) -> Door:
    """Of the job that tickets are for."""
    return Door(market.connection.chain_id, market.address, job_id, abi.terms_hash(terms))


def invite(market: Market, gate: LocalAccount, job_id: int, operators: list[str], valid_for: int) -> list[Ticket]:
    """A ticket for each of these addresses, signed by the gate's own key.

    valid_for: seconds from now on, by the chain's clock. Raises InputError where another account is the gate, or
    nobody is; JobOver where nobody can join any more; NotFound, ChainError.
    """
    job, terms = market.job(job_id), market.terms(job_id)
    if terms.gate == ZERO_ADDRESS:
        raise InputError(f"Anybody may join job {job_id}: it takes no invitation.")
    if terms.gate != gate.address:
        raise InputError(f"{terms.gate} invites to job {job_id}, not {gate.address}: use its key.")
    now = market.connection.now()
    if job.state is not State.OPEN or now > terms.enrol_by:
        raise JobOver(f"Job {job_id} takes no trainers any more.")
    if not 0 < valid_for <= MOST_VALID:
        raise InputError(f"A ticket is good for 1 s to {MOST_VALID // 86400} d.")
    of = door(market, job_id, terms)
    return [of.invite(gate, operator, now + valid_for) for operator in operators]


def admission(market: Market, me: str, job_id: int, terms: Terms, text: str) -> bytes:
    """What `join` takes for a ticket's text from `me`; b"" where anybody may join.

    Raises InputError where the ticket lets `me` not in, and ChainError.
    """
    gate = terms.gate
    if gate == ZERO_ADDRESS:
        if text:
            raise InputError(f"Anybody may join job {job_id}: leave the ticket out.")
        return b""
    if not text:
        raise InputError(
            f"Job {job_id} takes trainers by invitation: ask {gate} for a ticket for {me}. "
            f"`merit job invite {job_id} {me}` makes it there; join with --ticket."
        )
    try:
        ticket = parse_ticket(text)
    except ValueError as error:
        raise InputError(f"The ticket cannot be read: {error}.") from error
    if ticket.job_id != job_id:
        raise InputError(f"This ticket is for job {ticket.job_id}, not for job {job_id}.")
    if ticket.operator != me:
        raise InputError(f"This ticket is for {ticket.operator}, and you join as {me}: ask {gate} for one for that.")
    if market.connection.now() > ticket.expiry:
        raise InputError(f"This ticket for job {job_id} has expired: ask {gate} for another.")
    of = door(market, job_id, terms)
    if market.connection.code(gate):
        good = market.takes(gate, of.digest(me, ticket.expiry), ticket.signature)
    else:
        good = of.signer(ticket) == gate
    if not good:
        raise InputError(
            f"{gate}, who invites to job {job_id}, has not signed this ticket, or for a job of this number on another "
            "chain or market, or with other terms: ask for another."
        )
    return ticket.call_data


def link(page: str, ticket: Ticket) -> str:
    """Where to join by a ticket. page: of a node; what is behind its host, such as a token, is left out."""
    return f"{shown_url(page)}/job/{ticket.job_id}/join?ticket={ticket}"
