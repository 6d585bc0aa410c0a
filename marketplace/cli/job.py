"""`merit job`: an owner's commands, and what anyone can see."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from eth_account.signers.local import LocalAccount
from rich.table import Table

from marketplace.chain.market import Market, Receipt
from marketplace.cli.session import existing, session, stop_on_signals
from marketplace.cli.tables import symbol
from marketplace.domain import ZERO_ADDRESS
from marketplace.errors import InputError
from marketplace.files import read_within, write_atomically
from marketplace.spec import MAX_VALIDATION_BYTES, read_job_file
from marketplace.units import format_amount

app = typer.Typer(no_args_is_help=True, help="Create jobs and follow them.")
Job = Annotated[int, typer.Argument(min=1, help="The job's number.")]
DATA = "digits, or a .npz, .csv, .parquet file or an image folder."


@app.command("create")
def create(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The job's YAML description (docs/job-file.md).")],
    validation: Annotated[str | None, typer.Option(help=f"The owner's held-out data: {DATA}")] = None,
    base: Annotated[
        Path | None, typer.Option(help="Start from this model (safetensors, as `merit job model` writes).")
    ] = None,
) -> None:
    """Create a job and put its money in escrow."""
    from marketplace.services.owner import create_job
    from marketplace.services.validation import read_data

    here = session(context)
    job = read_job_file(existing(file))
    data = read_data(validation, job.data) if validation is not None else None
    weights = read_within(base, MAX_VALIDATION_BYTES) if base is not None else None
    created = create_job(here.node(), job, data, weights)
    escrow = format_amount(created.escrow, symbol(job.market.token or ZERO_ADDRESS))
    here.show(
        {
            "job": created.job_id,
            "spec": created.spec_cid,
            "escrow": created.escrow,
            "transaction": created.receipt.transaction,
            "gas": created.receipt.gas_used,
        },
        f"Job {created.job_id} is open: {escrow} are in escrow. Its description is {created.spec_cid}.",
    )


@app.command("list")
def list_jobs(context: typer.Context) -> None:
    """All jobs of the market."""
    here = session(context)
    market = here.market()
    table = Table("job", "state", "round", "trainers", "reward a round", "rule", "owner")
    rows = []
    for number in range(1, market.job_count() + 1):
        job, terms = market.job(number), market.terms(number)
        rows.append(
            {
                "job": number,
                "state": job.state.name.lower(),
                "round": job.round,
                "rounds": terms.rounds,
                "trainers": job.active.bit_count(),
                "reward": terms.reward,
                "token": terms.token,
                "rule": terms.rule.label,
                "owner": job.owner,
            }
        )
        table.add_row(
            str(number),
            job.state.name.lower(),
            f"{job.round}/{terms.rounds}",
            f"{job.active.bit_count()}/{terms.max_trainers}",
            format_amount(terms.reward, symbol(terms.token)),
            terms.rule.label,
            job.owner,
        )
    here.show(rows, table if rows else "There is no job yet; `merit job create` makes one.")


@app.command("show")
def show(context: typer.Context, job: Job) -> None:
    """A job's terms, state and trainers, rebuilt from its events."""
    from marketplace.cli.tables import job_document, job_tables
    from marketplace.services.node import JobFeed

    here = session(context)
    history = JobFeed(here.node(acting=False), job).refresh()
    here.show(job_document(history), job_tables(history))


@app.command("start")
def start(context: typer.Context, job: Job) -> None:
    """Open round 1 of a job that can start. Anyone may."""
    _send(context, job, Market.start, f"Job {job} runs.")


@app.command("skip")
def skip(context: typer.Context, job: Job) -> None:
    """Close a round in which nobody submitted. Anyone may."""
    _send(context, job, Market.skip_round, f"The round of job {job} is skipped.")


@app.command("complete")
def complete(context: typer.Context, job: Job) -> None:
    """End a job whose last sum was not disputed in time. Anyone may."""
    _send(context, job, Market.complete, f"Job {job} is completed; `merit withdraw` takes the money.")


@app.command("cancel")
def cancel(context: typer.Context, job: Job) -> None:
    """End an open job and give all money back. The owner may; anyone, when it cannot start any more."""
    _send(context, job, Market.cancel, f"Job {job} is cancelled; `merit withdraw` takes the money.")


@app.command("abort")
def abort(context: typer.Context, job: Job) -> None:
    """End a job whose aggregator missed a deadline. Anyone may."""
    _send(context, job, Market.abort, f"Job {job} is aborted; `merit withdraw` takes the money.")


def _send(context: typer.Context, job: int, call: Callable[[Market, LocalAccount, int], Receipt], done: str) -> None:
    here = session(context)
    receipt = call(here.market(), here.identity().account, job)
    here.show({"transaction": receipt.transaction, "gas": receipt.gas_used}, done)


@app.command("model")
def model(
    context: typer.Context,
    job: Job,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("model.safetensors"),
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
) -> None:
    """Write the model after the last settled round as safetensors."""
    from marketplace.services.owner import export_model

    here = session(context)
    if output.exists() and not force:
        raise InputError(f"{output} exists; give --force to replace it.")
    final = export_model(here.node(), job)
    write_atomically(output, final.content, mode=0o644)
    here.show(
        {"file": str(output), "rounds": final.rounds, "parameters": final.parameters},
        f"Wrote {output}: {final.parameters:,} parameters after {final.rounds} settled rounds.",
    )


@app.command("key")
def key(
    context: typer.Context,
    job: Job,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, readable only by you.")],
) -> None:
    """Write the job key, for an auditor who is to follow the models too."""
    from marketplace.services.node import JobFeed, job_key

    here = session(context)
    node = here.node()
    write_atomically(output, job_key(node, JobFeed(node, job).refresh()).hex().encode() + b"\n")
    here.show({"file": str(output)}, f"Wrote the job key to {output}: whoever has it can read every model of this job.")


@app.command("watch")
def watch(
    context: typer.Context,
    job: Job,
    validation: Annotated[
        str | None, typer.Option(help=f"Data to judge by: {DATA} The committed ones by default.")
    ] = None,
) -> None:
    """Follow a job as its owner: accuracy by round, and whether each round's reference rows are right.

    To an aggregator that takes the job over it seals the job key and the committed validation data.
    """
    from marketplace.services.node import JobFeed, fetch_spec
    from marketplace.services.owner import Watcher
    from marketplace.services.validation import read_data

    here = session(context)
    node = here.node()
    data = None
    if validation is not None:
        spec = fetch_spec(node.storage, JobFeed(node, job).refresh().created)
        data = read_data(validation, spec.data)
    watcher = Watcher(node, job, data)
    stop = stop_on_signals()
    wrong = 0
    while not stop.is_set():
        over = watcher.over()
        if aggregator := watcher.hand_over():
            here.show({"handed_over": aggregator}, f"Handed job {job} over to {aggregator}, which has taken over.")
        for check in watcher.news():
            wrong += bool(check.problem)
            here.show(
                {
                    "round": check.round,
                    "loss": check.loss,
                    "accuracy": check.accuracy,
                    "selected": check.selected,
                    "problem": check.problem,
                },
                f"Round {check.round}: accuracy {check.accuracy:.1%}, loss {check.loss:.4f}, selected {check.selected}"
                + (f" - [bold red]{check.problem}[/]" if check.problem else ""),
            )
        if over:
            break
        stop.wait(here.settings.poll)
    if wrong:
        raise typer.Exit(1)


@app.command("reveal")
def reveal(context: typer.Context, job: Job) -> None:
    """Publish the validation data and reference rows of a job that is over, so that auditors can repeat them."""
    from marketplace.services.owner import reveal_validation

    here = session(context)
    receipt = reveal_validation(here.node(), job)
    here.show({"transaction": receipt.transaction}, f"The validation data of job {job} are public.")
