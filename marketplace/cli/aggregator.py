"""`merit aggregator`: judge the rounds of jobs."""

import threading
from typing import Annotated

import typer
from eth_utils.address import is_checksum_address

from marketplace.cli.session import session, stop_on_signals
from marketplace.errors import InputError
from marketplace.files import exclusive

app = typer.Typer(no_args_is_help=True, help="Open, judge and settle rounds.")


@app.command("run")
def run_aggregator(
    context: typer.Context,
    job: Annotated[int | None, typer.Option(min=1, help="Serve this job and stop when it is over.")] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Wait for the --job's aggregator to fail, and take over with a bond.")
    ] = False,
    payee: Annotated[str, typer.Option(help="Where fee and bond go; the key's own address by default.")] = "",
    patience: Annotated[float, typer.Option(help="Seconds that an outage of chain or storage is borne.")] = 3600.0,
) -> None:
    """Serve one job, or every job that names this key as its aggregator, until Ctrl-C."""
    from marketplace.services.agent import Agent, run
    from marketplace.services.aggregator import AggregatorAgent
    from marketplace.services.dispatcher import Dispatcher

    here = session(context)
    if take_over and job is None:
        raise InputError("--take-over needs --job: name the job to take over.")
    if payee and not is_checksum_address(payee):
        raise InputError(f"--payee {payee} is not an address with a correct checksum.")
    stop: threading.Event = stop_on_signals()
    node = here.node()
    payee = payee or node.me.address
    with exclusive(node.work(job or 0)), here.narrator() as report:
        if job is None:
            agent: Agent = Dispatcher(node, payee, report)
        else:
            agent = AggregatorAgent(node, job, payee, report, take_over=take_over)
        run(agent, report=report, poll=here.settings.poll, patience=patience, stop=stop)
