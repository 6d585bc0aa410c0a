"""`merit demo`: a whole job on this machine, from escrow to audited payout, with trainers that misbehave."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from marketplace.cli.session import session


def demo(
    context: typer.Context,
    trainers: Annotated[int, typer.Option(min=3, max=32, help="How many trainers.")] = 6,
    rounds: Annotated[int, typer.Option(min=1, max=50, help="How many rounds.")] = 5,
    rule: Annotated[str, typer.Option(help="The pay rule: reference or krum-cosine.")] = "reference",
    model: Annotated[str, typer.Option(help="The architecture: mlp or cnn.")] = "cnn",
    honest: Annotated[bool, typer.Option(help="Nobody misbehaves: the run to compare with.")] = False,
    rpc: Annotated[str, typer.Option(help="A development chain to use in place of an own Anvil.")] = "",
    ipfs: Annotated[str, typer.Option(help="An IPFS node's RPC address to use in place of embedded storage.")] = "",
    json: Annotated[Path | None, typer.Option(help="Write the results to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture of the results to this file (PNG or SVG).")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep all files of the run in this folder.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of data split and training.")] = 1,
) -> None:
    """Run a whole job on real data: escrow, training, judging, paying, audit."""
    from marketplace.cli import forked

    forked.load()
    from marketplace.cli.demo.play import Play, Script

    here = session(context)
    known: dict[str, Literal["reference", "krum-cosine"]] = {"reference": "reference", "krum-cosine": "krum-cosine"}
    if rule not in known:
        raise typer.BadParameter(f"{rule!r} is none of {', '.join(known)}", param_hint="--rule")
    script = Script(
        trainers=trainers, rounds=rounds, rule=known[rule], model=model, honest=honest, rpc=rpc, ipfs=ipfs, seed=seed
    )
    if not Play(script, here.out, keep).run(json_file=json, plot_file=plot):
        raise typer.Exit(1)
