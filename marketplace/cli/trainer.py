"""`merit trainer`: take part in a job."""

from typing import Annotated

import typer
from eth_utils.address import is_checksum_address

from marketplace.cli.session import session, stop_on_signals
from marketplace.errors import InputError
from marketplace.files import exclusive

app = typer.Typer(no_args_is_help=True, help="Train for a job with your own data.")


@app.command("join")
def join(
    context: typer.Context,
    job: Annotated[int, typer.Argument(min=1, help="The job's number.")],
    data: Annotated[str, typer.Option(help="digits, or a .npz, .csv, .parquet file or an image folder.")],
    payee: Annotated[str, typer.Option(help="Where the money goes; the key's own address by default.")] = "",
    device: Annotated[str, typer.Option(help="cuda, mps or cpu; the best there is by default.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of the training's randomness.")] = 0,
    patience: Annotated[float, typer.Option(help="Seconds that an outage of chain or storage is borne.")] = 3600.0,
) -> None:
    """Join a job and take part in every round until it is over. Start it again after a crash: it goes on."""
    import torch

    from marketplace.services.agent import run
    from marketplace.services.trainer import Plan, TrainerAgent, data_loader
    from trainer.train import pick_device

    here = session(context)
    if payee and not is_checksum_address(payee):
        raise InputError(f"--payee {payee} is not an address with a correct checksum.")
    try:
        chosen = torch.device(device) if device else pick_device()
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {device} cannot be used here: {str(error).splitlines()[0]}.") from error
    stop = stop_on_signals()
    node = here.node()
    plan = Plan(payee or node.me.address, chosen, seed)
    with exclusive(node.work(job)), here.narrator() as report:
        agent = TrainerAgent(node, job, data_loader(data), plan, report)
        run(agent, report=report, poll=here.settings.poll, patience=patience, stop=stop)


@app.command("leave")
def leave(context: typer.Context, job: Annotated[int, typer.Argument(min=1, help="The job's number.")]) -> None:
    """Give up the slot and take the stake back; possible until this round's update is submitted."""
    here = session(context)
    receipt = here.market().leave(here.identity().account, job)
    here.show({"transaction": receipt.transaction}, f"Left job {job}; the stake was credited to the payee.")


@app.command("dispute")
def dispute(
    context: typer.Context,
    job: Annotated[int, typer.Argument(min=1, help="The job's number.")],
    yes: Annotated[bool, typer.Option("--yes", help="A dispute cannot be taken back; say that it is meant.")] = False,
) -> None:
    """Say that the last round's sum is not to be had or wrong. A joined trainer does so by itself.

    When more trainers than the terms take to be faulty say so, the job ends, and bond and fee are burnt.
    """
    if not yes:
        raise InputError("A dispute is final: give --yes if it is meant.")
    here = session(context)
    receipt = here.market().dispute(here.identity().account, job)
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
    receipt = show_opening(here.node(), job, round_)
    here.show({"transaction": receipt.transaction}, f"Showed how the update of round {round_} opens.")


@app.command("check")
def check(
    context: typer.Context,
    job: Annotated[int, typer.Argument(min=1, help="The job's number.")],
    data: Annotated[str, typer.Option(help="digits, or a .npz, .csv, .parquet file or an image folder.")],
) -> None:
    """Whether data fit a job's schema; sends nothing."""
    from marketplace.services.node import JobFeed, fetch_spec
    from marketplace.services.trainer import data_loader

    here = session(context)
    node = here.node(acting=False)
    spec = fetch_spec(node.storage, JobFeed(node, job).refresh().created)
    dataset = data_loader(data)(spec)
    here.show({"samples": len(dataset.y)}, f"{len(dataset.y)} samples fit job {job}.")
