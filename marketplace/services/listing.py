"""All jobs of a market, a line each."""

from dataclasses import dataclass

from marketplace.chain.market import Market
from marketplace.domain import State


@dataclass(frozen=True, slots=True)
class Summary:
    """A job as lists show it. reward: of a round, in units of `token`. trainers: how many take part now."""

    job: int
    state: State
    round: int
    rounds: int
    trainers: int
    seats: int
    reward: int
    token: str
    rule: str
    owner: str


def summary(market: Market, number: int) -> Summary:
    """Of one job. Raises NotFound, ChainError."""
    job, terms = market.job(number), market.terms(number)
    return Summary(
        job=number,
        state=job.state,
        round=job.round,
        rounds=terms.rounds,
        trainers=job.active.bit_count(),
        seats=terms.max_trainers,
        reward=terms.reward,
        token=terms.token,
        rule=terms.rule.label,
        owner=job.owner,
    )


def summaries(market: Market) -> list[Summary]:
    """Of all, by number. Raises ChainError."""
    return [summary(market, number) for number in range(1, market.job_count() + 1)]
