"""A trainer's whole way through a job, unattended: what it takes is said, then it joins, and stays until it is over."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from marketplace.domain import State
from marketplace.files import exclusive
from marketplace.services.agent import Notice, Report, run
from marketplace.services.invitations import admission
from marketplace.services.money import about, check_funds, joining_cost
from marketplace.services.node import JobFeed, Node
from marketplace.services.standing import trust
from marketplace.services.trainer import Plan, TrainerAgent
from marketplace.services.training import LoadData
from marketplace.units import format_amount


def take_part(
    node: Node,
    job_id: int,
    load_data: LoadData,
    plan: Plan,
    report: Report,
    *,
    poll: float,
    patience: float,
    stop: threading.Event,
    beginning: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> None:
    """Returns when the job is over and this trainer's part is claimed, or soon after `stop` is set.

    poll: seconds between two looks at a chain that tells of no blocks. patience: seconds that an outage is borne.
    beginning: held while the job is read and a round is measured. Raises InputError, before anything is sent, where
    funds, a ticket or fitting data lack, or where another process works on this job with the same key; else as
    `TrainerAgent` and `run` do.
    """
    with exclusive(node.work(job_id)):
        _say_the_deal(node, job_id, plan.ticket, report)
        with beginning():
            agent = TrainerAgent(node, job_id, load_data, plan, report)
        heads = node.market.connection.heads
        run(agent, report=report, poll=poll, patience=patience, stop=stop, heads=heads)


def _say_the_deal(node: Node, job_id: int, ticket: str, report: Report) -> None:
    """What joining takes and what pay rests on, before anything is sent."""
    history = JobFeed(node, job_id).refresh()
    if history.state is not State.OPEN or history.slot_of(node.me.address) is not None:
        return  # it is in already, or too late: the agent knows what to say
    admission(node.market, node.me.address, job_id, history.terms, ticket)
    cost = joining_cost(node, history.terms)
    check_funds(node.market, node.me.address, cost)
    stake = format_amount(cost.deposit, *node.market.token(cost.token))
    text = f"Joining job {job_id} deposits a stake of {stake}; gas costs about {about(cost.gas)}"
    text += f" at most, and up to {about(cost.later)} for {history.terms.rounds} rounds."
    report(Notice("cost", text, values={"stake": cost.deposit, "gas": cost.gas, "later": cost.later}))
    report(Notice("trust", trust(history.terms, history.created.owner)))
