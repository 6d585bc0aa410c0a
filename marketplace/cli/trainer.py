"""`merit trainer`: take part in a job."""

from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.reading import (
    Background,
    Data,
    Decimal,
    Encoding,
    Map,
    Missing,
    Separator,
    SkipBad,
    reading_options,
)
from marketplace.cli.session import Session, address, amount, session, stop_on_signals
from marketplace.domain import Credited, Reason
from marketplace.errors import InputError
from marketplace.files import exclusive

if TYPE_CHECKING:
    from marketplace.services.agent import Report
    from marketplace.services.node import Node

app = typer.Typer(no_args_is_help=True, help="Train for a job with your own data.")


@app.command("join")
def join(
    context: typer.Context,
    job: Annotated[int, typer.Argument(min=1, help="The job's number.")],
    data: Data,
    map: Map = None,
    missing: Missing = "error",
    decimal: Decimal = ".",
    separator: Separator = "",
    encoding: Encoding = "",
    skip_bad: SkipBad = False,
    background: Background = "",
    ticket: Annotated[str, typer.Option(help="Of a job by invitation: what its gate gave you.")] = "",
    payee: Annotated[str, typer.Option(help="Where the money goes; the key's own address by default.")] = "",
    devices: Annotated[
        str, typer.Option(help="cuda, mps or cpu, several as cuda:0,cuda:1 or all; the best there is by default.")
    ] = "",
    own: Annotated[
        str, typer.Option("--with", help="Your own training: package.module:function (docs/own-code.md).")
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of the training's randomness.")] = 0,
    patience: Annotated[float, typer.Option(help="Seconds that an outage of chain or storage is borne.")] = 3600.0,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Join also where a round seems not to be feasible in its time.")
    ] = False,
) -> None:
    """Join a job and take part in every round until it is over. Start it again after a crash: it goes on."""
    from marketplace.services.agent import run
    from marketplace.services.trainer import Plan, TrainerAgent, data_loader
    from trainer.devices import parse_devices
    from trainer.own import load_own

    here = session(context)
    payee = address(payee, "--payee") if payee else ""
    options = reading_options(map, missing, decimal, separator, encoding, skip_bad, background)
    try:
        chosen, function = parse_devices(devices), load_own(own) if own else None
    except ValueError as error:
        raise InputError(f"Not joined: {error}.") from error
    stop = stop_on_signals()
    node = here.node()
    heads = node.market.connection.heads
    plan = Plan(payee or node.me.address, chosen, seed, anyway=anyway, ticket=ticket, own=function)
    with exclusive(node.work(job)), here.narrator() as report:
        _say_the_deal(here, node, job, ticket, report)
        with here.patience("reading the job, its set-up and the data, and measuring a round"):
            agent = TrainerAgent(node, job, data_loader(data, options), plan, report)
        run(agent, report=report, poll=here.settings.poll, patience=patience, stop=stop, heads=heads)


def _say_the_deal(here: Session, node: "Node", job: int, ticket: str, report: "Report") -> None:
    """What joining takes and what pay rests on, before anything is sent.

    Raises InputError where funds lack, or a ticket.
    """
    from marketplace.domain import State
    from marketplace.services.agent import Notice
    from marketplace.services.invitations import admission
    from marketplace.services.money import about, check_funds, joining_cost
    from marketplace.services.node import JobFeed
    from marketplace.services.standing import trust

    history = JobFeed(node, job).refresh()
    if history.state is not State.OPEN or history.slot_of(node.me.address) is not None:
        return  # it is in already, or too late: the agent knows what to say
    admission(node.market, node.me.address, job, history.terms, ticket)
    cost = joining_cost(node, history.terms)
    check_funds(node.market, node.me.address, cost)
    stake = amount(node.market, cost.token, cost.deposit)
    text = f"Joining job {job} deposits a stake of {stake}; gas costs about {about(cost.gas)}"
    text += f" at most, and up to {about(cost.later)} for {history.terms.rounds} rounds."
    report(Notice("cost", text, values={"stake": cost.deposit, "gas": cost.gas, "later": cost.later}))
    report(Notice("trust", trust(history.terms, history.created.owner)))


@app.command("leave")
def leave(context: typer.Context, job: Annotated[int, typer.Argument(min=1, help="The job's number.")]) -> None:
    """Give up the seat and take the stake back; possible until this round's update is submitted.

    Pay for the rounds before, and the stake of who has `max_strikes` strikes, are claimed when the job is over.
    """
    here = session(context)
    market, account = here.market(), here.identity().account
    with here.patience("waiting for the transaction to be mined"):
        receipt = market.leave(account, job)
    back = any(isinstance(event, Credited) and event.reason is Reason.STAKE for event in receipt.events)
    stake = "the stake was credited to the payee" if back else "no stake was credited"
    text = f"Left job {job}; {stake}. What else it brings, `merit job claim {job}` takes once the job is over."
    here.show({"transaction": receipt.transaction}, text)


@app.command("dispute")
def dispute(
    context: typer.Context,
    job: Annotated[int, typer.Argument(min=1, help="The job's number.")],
    yes: Annotated[bool, typer.Option("--yes", help="A dispute cannot be taken back; say that it is meant.")] = False,
) -> None:
    """Say that the last round's sum is missing or wrong. A joined trainer does so by itself.

    When more trainers than the terms take to be faulty say so, no round follows, and bond and fees are burnt.
    """
    if not yes:
        raise InputError("A dispute is final: give --yes if it is meant.")
    here = session(context)
    market, account = here.market(), here.identity().account
    with here.patience("waiting for the transaction to be mined"):
        receipt = market.dispute(account, job)
    here.show({"transaction": receipt.transaction}, f"Disputed the last sum of job {job}.")


@app.command("show-opening")
def show_opening_of(
    context: typer.Context,
    job: Annotated[int, typer.Argument(min=1, help="The job's number.")],
    round_: Annotated[int, typer.Argument(min=1, metavar="ROUND", help="The round it was called unopened in.")],
    publish: Annotated[
        bool,
        typer.Option("--publish-my-update", help="Everybody can then read the update; say that it is meant."),
    ] = False,
) -> None:
    """Show that a submission of yours that was called unopened does open. `merit audit` then says so."""
    from marketplace.services.openings import show_opening

    if not publish:
        raise InputError("It makes your update public: give --publish-my-update if it is meant.")
    here = session(context)
    node = here.node()
    with here.patience("waiting for the transaction to be mined"):
        receipt = show_opening(node, job, round_)
    here.show({"transaction": receipt.transaction}, f"Showed how the update of round {round_} opens.")
