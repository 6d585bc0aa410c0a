"""`merit job`: an owner's commands, and what anyone can see."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from eth_account.signers.local import LocalAccount
from rich.table import Table
from rich.text import Text

from marketplace.chain.market import Market, Receipt
from marketplace.cli.session import Session, address, amount, clock_time, existing, session, stop_on_signals
from marketplace.domain import State
from marketplace.errors import InputError
from marketplace.files import write_atomically
from marketplace.services.standing import clock
from marketplace.spec import JobFile, read_job_file
from marketplace.units import format_ago, format_metric, parse_duration

if TYPE_CHECKING:
    from marketplace.services.money import Cost
    from marketplace.services.node import Node
    from marketplace.services.owner import Created, News

app = typer.Typer(no_args_is_help=True, help="Create jobs and follow them.")
Job = Annotated[int, typer.Argument(min=1, help="The job's number.")]
DATA = "digits, or a .npz, .csv, .parquet file or an image folder."


@app.command("create")
def create(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The job's YAML description (docs/job-file.md).")],
    validation: Annotated[str | None, typer.Option(help=f"The owner's held-out data: {DATA}")] = None,
    base: Annotated[
        Path | None,
        typer.Option(help="Start from this model: what `merit job model` wrote, or a checkpoint's file or folder."),
    ] = None,
    base_name: Annotated[
        list[str] | None,
        typer.Option(
            help="A prefix of the checkpoint's names and what stands for it here. Again for each.", metavar="OLD=NEW"
        ),
    ] = None,
    base_fresh: Annotated[
        list[str] | None, typer.Option(help="Tensors that stay as the seed has them, e.g. 'head.*'. Again for each.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before the money is sent.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Create it even where this file's job runs already.")] = False,
) -> None:
    """Create a job and put its money in escrow, after showing what it costs."""
    from marketplace.services.money import check_funds, creation_cost
    from marketplace.services.owner import Base, create_job, created_before, rule_of
    from marketplace.services.programs import find_files
    from marketplace.services.safety import check_new_job
    from marketplace.services.standing import what_it_waits_for
    from marketplace.services.validation import read_data

    here = session(context)
    node, job = _read(here, existing(file))
    files = find_files(job, lambda name: file.parent / name)
    data = read_data(validation, job.data, files) if validation is not None else None
    weights = Base(base, _renamed(base_name or []), tuple(base_fresh or ())) if base is not None else None
    check_new_job(job, rule_of(job, data), files)
    cost, market = creation_cost(node, job), node.market
    with here.patience("looking whether this job was created before"):
        created = created_before(node, job, data, weights, files=files, again=again)
    if created is None:
        check_funds(market, node.me.address, cost)
        if not here.json:
            here.err.print(_cost_table(market, job, cost))
        here.agree(f"Put {amount(market, cost.token, cost.deposit)} in escrow?", yes=yes)
        with here.patience("creating the job") as progress:
            created = create_job(node, job, data, weights, files=files, again=again, progress=progress)
    elif not here.json:
        here.err.print(Text(_told_before(market, created)), soft_wrap=True)
    terms, now = market.terms(created.job_id), market.connection.now()
    found = market.job(created.job_id)
    waits_for, state = what_it_waits_for(terms, found, now), found.state.name.lower()
    here.show(
        {
            "job": created.job_id,
            "spec": created.spec_cid,
            "escrow": created.escrow,
            "transaction": created.receipt.transaction,
            "gas": created.receipt.gas_used,
            "waits_for": waits_for,
            "before": created.before,
        },
        f"Job {created.job_id} is {state}, with {amount(market, cost.token, found.escrow)} in escrow.\n{waits_for}\n"
        f"Its description is {created.spec_cid}.",
    )


def _renamed(pairs: list[str]) -> dict[str, str]:
    """Of `--base-name OLD=NEW`; either may be empty. Raises InputError."""
    for pair in pairs:
        if "=" not in pair:
            raise InputError(f"--base-name {pair}: write the checkpoint's prefix, then the model's, as in model.=")
    return {old: new for old, _, new in (pair.partition("=") for pair in pairs)}


def _told_before(market: Market, created: "Created") -> str:
    """That a job was there before this command, which therefore sent nothing."""
    moment = next(event.timestamp for event in created.receipt.events)
    ago = format_ago(market.connection.now() - moment)
    text = (
        f"Job {created.job_id} was created by transaction {created.receipt.transaction} ({ago}). Nothing was sent now."
    )
    return text + (" --again creates another one." if created.before else "")


def _read(here: Session, file: Path) -> "tuple[Node, JobFile]":
    """A job file before a password is asked for; the chain is asked only for the decimals of a token."""
    node: list[Node] = []

    def decimals(token: str) -> int | None:
        node[:] = node or [here.node(acting=False)]
        return node[0].market.token(token).decimals

    job = read_job_file(file, decimals)
    return here.node(), job


def _cost_table(market: Market, job: JobFile, cost: "Cost") -> Table:
    from marketplace.services.money import about

    def shown(units: int) -> str:
        return amount(market, cost.token, units)

    terms = job.market
    table = Table.grid(padding=(0, 2))
    table.add_row(
        "escrow",
        shown(cost.deposit),
        f"{terms.rounds} rounds × (reward {shown(terms.reward)} + fee {shown(terms.fee)})",
    )
    table.add_row("gas", f"about {about(cost.gas)}", "at most, at the price of this moment")
    table.add_row("others deposit", shown(terms.stake), "stake of each trainer, which comes back to who takes part")
    table.add_row("", shown(terms.bond), "bond of the aggregator, which comes back when the job is over")
    return table


@app.command("list")
def list_jobs(context: typer.Context) -> None:
    """All jobs of the market."""
    from marketplace.services.listing import summaries

    here = session(context)
    market = here.market()
    found = summaries(market)
    table = Table("job", "state", "round", "seats", "reward a round", "rule", "owner")
    for each in found:
        table.add_row(
            str(each.job),
            each.state.name.lower(),
            f"{each.round}/{each.rounds}",
            # Trainers leave an ended job with their stakes: that its seats are free then says nothing.
            str(each.seats) if each.state.over else f"{each.trainers}/{each.seats}",
            amount(market, each.token, each.reward),
            each.rule,
            each.owner,
        )
    rows = [asdict(each) | {"state": each.state.name.lower()} for each in found]
    here.show(rows, table if rows else "There is no job yet; `merit job create` makes one.")


@app.command("show")
def show(context: typer.Context, job: Job) -> None:
    """A job's terms, state and trainers, rebuilt from its events, and what it waits for."""
    from marketplace.cli.tables import job_document, job_tables
    from marketplace.services.node import JobFeed
    from marketplace.services.standing import what_it_waits_for

    here = session(context)
    node = here.node(acting=False)
    history = JobFeed(node, job).refresh()
    terms, market = history.terms, node.market
    waits_for = what_it_waits_for(terms, history.job(), market.connection.now())
    here.show(job_document(history, waits_for), job_tables(history, waits_for, market.token(terms.token)))


@app.command("invite")
def invite(
    context: typer.Context,
    job: Job,
    operators: Annotated[
        list[str], typer.Argument(metavar="ADDRESS...", help="Whom to let in: what `merit key show` prints there.")
    ],
    valid: Annotated[str, typer.Option(help="How long the tickets are good, e.g. '12 h'.")] = "7 d",
) -> None:
    """Make tickets for a job by invitation, one for each address. Only its gate, with --key, can; nothing is sent.

    Each lets only that address in. Give it the text, or the link for the page of its own node.
    """
    from marketplace.services import invitations

    here = session(context)
    try:
        valid_for = parse_duration(valid)
    except ValueError as error:
        raise InputError(f"--valid: {error}.") from error
    whom = list(dict.fromkeys(address(each, "ADDRESS") for each in operators))
    market, page = here.market(), here.running.page if here.running else ""
    tickets = invitations.invite(market, here.identity().account, job, whom, valid_for)
    links = [invitations.link(page, ticket) if page else None for ticket in tickets]
    now = market.connection.now()
    until = [f"For {each.operator}, good until {clock(each.expiry, now)}:\n  {each}" for each in tickets]
    here.show(
        [
            {"operator": ticket.operator, "ticket": str(ticket), "expiry": ticket.expiry, "link": link}
            for ticket, link in zip(tickets, links, strict=True)
        ],
        "\n".join(text + (f"\n  {link}" if link else "") for text, link in zip(until, links, strict=True)),
    )


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
    """End a job past the time to dispute its last sum. Anyone may."""
    _send(context, job, Market.complete, f"Job {job} is over; trainers claim their pay and stakes.")


@app.command("end")
def end(context: typer.Context, job: Job) -> None:
    """Ask that a running job end with its next settlement, from round `min_rounds` on. The owner may."""
    _send(context, job, Market.ask_end, f"Job {job} ends with its next settlement.")


@app.command("claim")
def claim(
    context: typer.Context,
    job: Job,
    seat: Annotated[int | None, typer.Option(min=0, max=31, help="Of this seat; by default that of --key.")] = None,
) -> None:
    """Credit a trainer's pay and stake to its payee, once the job is over. Anyone may, and more than once."""
    from marketplace.services import claiming

    here = session(context)
    node = here.node()
    with here.patience("waiting for the transaction to be mined"):
        found = claiming.claim(node, job, seat)
    done = "are credited" if found.receipt else "were claimed before"
    here.show(
        {
            "seat": found.seat,
            "before": found.receipt is None,
            "transaction": found.receipt.transaction if found.receipt else None,
        },
        f"Pay and stake of seat {found.seat} {done}; `merit withdraw` takes them.",
    )


@app.command("claim-fees")
def claim_fees(
    context: typer.Context,
    job: Job,
    payee: Annotated[str, typer.Option(help="Where the fees were to go; the key's own address by default.")] = "",
) -> None:
    """Credit an aggregator's fees of rounds before another took the job over, once the job is over. Anyone may."""
    here = session(context)
    account = address(payee, "--payee") if payee else here.identity().address
    _send(
        context,
        job,
        lambda market, sender, job_id: market.claim_fees(sender, job_id, account),
        f"The fees are credited to {account}; `merit withdraw` takes them.",
    )


@app.command("cancel")
def cancel(context: typer.Context, job: Job) -> None:
    """End an open job and give all money back. The owner may; anyone, when it cannot start any more."""
    done = f"Job {job} is cancelled; `merit withdraw` takes the money, and `merit job claim {job}` a stake."
    _send(context, job, Market.cancel, done)


@app.command("abort")
def abort(context: typer.Context, job: Job) -> None:
    """End a job whose aggregator missed a deadline. Anyone may."""
    here = session(context)
    market, account = here.market(), here.identity().account
    with here.patience("waiting for the transaction to be mined"):
        receipt = market.abort(account, job)
    state = market.job(job).state
    then = "it can be completed" if state is State.CONFIRMING else "`merit withdraw` takes the money"
    done = f"No round of job {job} follows, and it is {state.name.lower()}; {then}."
    here.show({"transaction": receipt.transaction, "gas": receipt.gas_used}, done)


def _send(context: typer.Context, job: int, call: Callable[[Market, LocalAccount, int], Receipt], done: str) -> None:
    here = session(context)
    market, account = here.market(), here.identity().account
    with here.patience("waiting for the transaction to be mined"):
        receipt = call(market, account, job)
    here.show({"transaction": receipt.transaction, "gas": receipt.gas_used}, done)


@app.command("model")
def model(
    context: typer.Context,
    job: Job,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("model.safetensors"),
    folder: Annotated[
        Path | None, typer.Option(help="Write a folder too, which `from_pretrained` opens (transformers, adapters).")
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
) -> None:
    """Write the model after the last settled round as safetensors that say how to use them (`merit predict`)."""
    from marketplace.services.owner import export_model
    from trainer.results import write_folder

    here = session(context)
    if output.exists() and not force:
        raise InputError(f"{output} exists; give --force to replace it.")
    node = here.node()
    with here.patience("rebuilding the model from the rounds' sums"):
        final = export_model(node, job)
    if folder is not None:
        try:
            write_folder(folder, final.program, final.card.model)
        except ValueError as error:
            raise InputError(f"No folder is written: {error}.") from error
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
    """Follow a job as its owner: its metric by round, and whether each round's reference rows are right.

    To an aggregator that takes the job over it seals the job key and the committed validation data.
    """
    from marketplace.services.agent import Patience
    from marketplace.services.node import JobFeed, fetch_spec
    from marketplace.services.owner import Over, RoundCheck, Watcher
    from marketplace.services.programs import fetch_files
    from marketplace.services.validation import read_data

    here = session(context)
    node = here.node()
    data = None
    if validation is not None:
        spec = fetch_spec(node.storage, JobFeed(node, job).refresh().created)
        data = read_data(validation, spec.data, fetch_files(node, spec))
    with here.patience(f"reading job {job}"):
        watcher = Watcher(node, job, data)
    stop = stop_on_signals()
    told = Patience(here.tell)
    wrong, over = 0, False
    while not stop.is_set() and not over:
        for news in watcher.look():
            wrong += isinstance(news, RoundCheck) and bool(news.problem)
            over = isinstance(news, Over)
            _tell_news(here, job, news)
        if not over:
            told.look(watcher)
            stop.wait(here.settings.poll)
    if wrong:
        raise typer.Exit(1)


def _tell_news(here: Session, job: int, news: "News") -> None:
    from marketplace.services.agent import Notice
    from marketplace.services.owner import HandedOver, Over, Shown

    match news:
        case HandedOver(aggregator):
            here.show({"handed_over": aggregator}, f"{clock_time()} Handed job {job} over to {aggregator}.")
        case Shown():
            here.show({"revealed": job}, f"{clock_time()} Revealed the validation data of job {job} to its members.")
        case Over(state):
            said = state.name.lower()
            here.tell(Notice("over", f"Job {job} is {said}.", values={"state": said}))
        case check:
            here.show(
                {
                    "round": check.round,
                    "loss": check.found.loss,
                    "metric": check.found.name,
                    "value": check.found.value,
                    "share": check.found.share,
                    "selected": check.selected,
                    "problem": check.problem,
                },
                Text.assemble(
                    f"{clock_time()} Round {check.round}: {check.found.name} "
                    f"{format_metric(check.found.value, share=check.found.share)}, loss {check.found.loss:.4f}, "
                    f"selected {check.selected}",
                    (f" - {check.problem}" if check.problem else "", "bold red"),
                ),
            )


@app.command("reveal")
def reveal(
    context: typer.Context,
    job: Job,
    members: Annotated[
        bool, typer.Option("--members", help="Sealed, to the members alone, while the job is confirming.")
    ] = False,
) -> None:
    """Make the validation data of a job that is over public: auditors can then repeat its pay.

    With --members they are shown to the job's members alone, before it is over. Its owner may.
    """
    from marketplace.services.owner import reveal_validation
    from marketplace.services.rows import reveal_to_members

    here = session(context)
    node = here.node()
    with here.patience("publishing the data and the rounds' reference rows"):
        receipt = (reveal_to_members if members else reveal_validation)(node, job)
    whom = "shown to its members" if members else "public"
    here.show({"transaction": receipt.transaction}, f"The validation data of job {job} are {whom}.")


@app.command("dispute-rows")
def dispute_rows(
    context: typer.Context,
    job: Job,
    round: Annotated[int, typer.Argument(min=0, help="Round whose rows are wrong; 0: what was revealed is.")],
) -> None:
    """Say, as a member of a job that confirms, that its points rest on wrong rows. Trainers' nodes do it themselves."""
    _send(context, job, partial(Market.dispute_rows, round=round), f"Disputed the rows of round {round} of job {job}.")
