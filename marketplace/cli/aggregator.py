"""`merit aggregator`: judge the rounds of jobs, and say which jobs to take up."""

import threading
from typing import Annotated, Any

import typer
import yaml
from rich.table import Table

from marketplace.cli.session import Session, address, amount, session, stop_on_signals
from marketplace.errors import InputError
from marketplace.files import exclusive
from marketplace.services.requests import (
    Desk,
    Request,
    Verdict,
    decide,
    examine,
    read_asking,
    read_owner_and_terms,
    read_work,
    request_of,
)

app = typer.Typer(no_args_is_help=True, help="Open, judge and settle rounds; accept jobs.")
Job = Annotated[int, typer.Argument(min=1, help="The job's number.")]


@app.command("run")
def run_aggregator(
    context: typer.Context,
    job: Annotated[
        int | None, typer.Option(min=1, help="Accept this job, whatever the policy says, and stop when it is over.")
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Wait for the --job's aggregator to fail, and take over with a bond.")
    ] = False,
    payee: Annotated[str, typer.Option(help="Where fee and bond go; the key's own address by default.")] = "",
    patience: Annotated[float, typer.Option(help="Seconds that an outage of chain or storage is borne.")] = 3600.0,
) -> None:
    """Serve one job, or the jobs that name this key and that its policy or you accept, until Ctrl-C."""
    from marketplace.services.agent import Notice, run
    from marketplace.services.aggregator import AggregatorAgent
    from marketplace.services.dispatcher import Dispatcher

    here = session(context)
    if take_over and job is None:
        raise InputError("--take-over needs --job: name the job to take over.")
    payee = address(payee, "--payee") if payee else ""
    stop: threading.Event = stop_on_signals()
    node = here.node()
    payee, heads = payee or node.me.address, node.market.connection.heads
    with exclusive(node.work(job or 0)), here.narrator() as report:
        if job is not None:
            with here.patience("reading the job, its set-up and its key"):
                agent = AggregatorAgent(node, job, payee, report, take_over=take_over)
            run(agent, report=report, poll=here.settings.poll, patience=patience, stop=stop, heads=heads)
            return
        dispatcher = Dispatcher(node, payee, report)
        report(Notice("policy", f"Takes up what its policy allows, which is from {dispatcher.policy_source}."))
        try:
            run(dispatcher, report=report, poll=here.settings.poll, patience=patience, stop=stop, heads=heads)
        finally:
            dispatcher.close()


@app.command("policy")
def policy(
    context: typer.Context,
    job: Annotated[int | None, typer.Option(min=1, help="Try the policy on this job.")] = None,
) -> None:
    """Print the policy in force, or what it has against a job; then exit with 1 where it has anything."""
    from marketplace.services.policy import PolicyFile

    here = session(context)
    node = here.node(acting=False)
    rules = PolicyFile(node.home, node.market.connection.chain_id)
    if job is None:
        document = rules.policy.model_dump(mode="json")
        text = f"# From {rules.source}\n{yaml.safe_dump(document, sort_keys=False)}".rstrip()
        here.show({"source": rules.source, "policy": document}, text)
        return
    owner, terms = read_owner_and_terms(node, job)
    now = node.market.connection.now()
    found = rules.policy.objections(owner, terms, now=now) or rules.policy.objections(
        owner, terms, read_work(node, job), now=now
    )
    said = "\n".join(found) or f"The policy accepts job {job}."
    here.show({"job": job, "accepted": not found, "objections": found, "source": rules.source}, said)
    if found:
        raise typer.Exit(1)


@app.command("requests")
def requests(context: typer.Context) -> None:
    """The open jobs that name this key, and what its policy has against each."""
    here = session(context)
    node = here.node()
    desk = Desk(node)
    found = []
    with here.err.status("Reading the market's jobs …"):
        for job_id in range(node.market.job_count(), 0, -1):
            asking = read_asking(node, job_id)
            if asking is not None:
                served = asking.job.aggregator == node.me.address
                objections = [] if served else examine(node, desk, asking)
                found.append(request_of(desk, asking, objections, account=node.me.address, seen=0))
    table = Table("job", "owner", "reward, fee a round", "bond", "decision", "what is against it")
    for request in found:
        reward, fee, bond = (
            amount(node.market, request.terms.token, units)
            for units in (request.terms.reward, request.terms.fee, request.terms.bond)
        )
        against = "\n".join(request.objections)
        table.add_row(str(request.job_id), request.owner, f"{reward}, {fee}", bond, request.decision, against)
    here.show([_document(request) for request in found], table if found else "No open job names this key.")


@app.command("accept")
def accept(context: typer.Context, job: Job) -> None:
    """Take a job up that names this key, whatever the policy has against it; a running aggregator does so at once."""
    _decide(session(context), job, "accepted")


@app.command("decline")
def decline(context: typer.Context, job: Job) -> None:
    """Do not take a job up, even where the policy would; until its bond is posted."""
    _decide(session(context), job, "declined")


def _decide(here: Session, job: int, verdict: Verdict) -> None:
    node = here.node()
    decide(node, Desk(node), job, verdict)
    does = "takes it up" if verdict == "accepted" else "leaves it alone"
    here.show(
        {"job": job, "decision": verdict}, f"Job {job} is {verdict}: `merit aggregator run` with this key {does}."
    )


def _document(request: Request) -> dict[str, Any]:
    terms = request.terms
    return {
        "job": request.job_id,
        "owner": request.owner,
        "token": terms.token,
        "reward": terms.reward,
        "fee": terms.fee,
        "bond": terms.bond,
        "rounds": terms.rounds,
        "decision": request.decision,
        "objections": list(request.objections),
    }
