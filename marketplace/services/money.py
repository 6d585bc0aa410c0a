"""What an act takes from an account, known before anything is sent: a deposit, and coin for gas."""

from dataclasses import dataclass

from marketplace.chain.deploy import AddressBook
from marketplace.chain.gas import gas_price
from marketplace.chain.market import Market
from marketplace.domain import ZERO_ADDRESS, Terms
from marketplace.errors import InputError
from marketplace.services.node import LOCAL_CHAINS, Node
from marketplace.spec import JobFile
from marketplace.units import format_amount

# What transactions are sent with at most: a quarter more than they use, and 100,000 (chain/transactions.py).
CREATE_GAS = 550_000
VERIFIERS_GAS = 6_000_000  # to deploy the two contracts that check a job's proofs
JOIN_GAS = 250_000
ROUND_GAS = 80_000  # to submit an update; nothing is kept in reserve for the rounds to come


@dataclass(frozen=True, slots=True)
class Cost:
    """deposit: in the smallest unit of `token`; what: its name. gas: wei, at most and at the price of the moment;
    later: wei for gas that is not needed yet."""

    what: str
    token: str
    deposit: int
    gas: int
    later: int = 0


def creation_cost(node: Node, job: JobFile) -> Cost:
    """Of creating a job. Raises ChainError."""
    connection = node.market.connection
    new = not AddressBook(node.home / "markets.json").knows_verifiers(connection.chain_id)
    gas = (CREATE_GAS + new * VERIFIERS_GAS) * gas_price(connection)
    return Cost("the escrow", job.market.token or ZERO_ADDRESS, job.market.escrow, gas)


def joining_cost(node: Node, terms: Terms) -> Cost:
    """Of joining a job as a trainer. Raises ChainError."""
    price = gas_price(node.market.connection)
    return Cost("the stake", terms.token, terms.stake, JOIN_GAS * price, terms.rounds * ROUND_GAS * price)


def check_funds(market: Market, account: str, cost: Cost) -> None:
    """Raises InputError, which names what is missing, where the account does not hold what an act takes; ChainError."""
    coin = cost.token == ZERO_ADDRESS
    lacks = []
    held, needed = market.balance(ZERO_ADDRESS, account), cost.gas + (cost.deposit if coin else 0)
    if held < needed:
        parts = f"{format_amount(cost.deposit)} for {cost.what} and about " if coin else "about "
        lacks.append(
            f"It holds {format_amount(held)}, and {parts}{about(cost.gas)} for gas are needed: "
            f"{about(needed - held)} are missing."
        )
    if not coin and (tokens := market.balance(cost.token, account)) < cost.deposit:
        facts = market.token(cost.token)
        lacks.append(
            f"It holds {format_amount(tokens, *facts)}, and {format_amount(cost.deposit, *facts)} for {cost.what} are "
            f"needed: {format_amount(cost.deposit - tokens, *facts)} are missing."
        )
    if lacks:
        hint = ""
        if held < needed and market.connection.chain_id in LOCAL_CHAINS:
            hint = f" On a local chain, `merit fund {account}` gives it coin."
        raise InputError(f"{account} has too little; fund it first, nothing was sent. {' '.join(lacks)}{hint}")


def about(wei: int) -> str:
    """An amount of coin with three digits, rounded up: estimates need no more."""
    step = 10 ** max(0, len(str(wei)) - 3)
    return format_amount(-(-wei // step) * step)
