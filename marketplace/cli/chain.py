"""`merit chain` and `merit deploy`: a local chain to try things on, and the market contract."""

import os
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from marketplace.cli.session import session, stop_on_signals
from marketplace.errors import InputError


def deploy(context: typer.Context) -> None:
    """Deploy the market contract and note it in the address book."""
    from marketplace.chain.deploy import deploy as deploy_market

    here = session(context)
    connection = here.connection()
    account = here.identity().account
    with here.patience("waiting for the transaction that deploys the market to be mined"):
        entry = deploy_market(connection, account, receipt_within=here.settings.receipt_timeout)
    here.address_book().put(connection.chain_id, entry)
    here.show(
        {"chain_id": connection.chain_id, "address": entry.market, "block": entry.block},
        f"The market is {entry.market} on chain {connection.chain_id}, from block {entry.block} on.",
    )


def fund(
    context: typer.Context,
    addresses: Annotated[list[str], typer.Argument(help="Who gets 100 ether each: addresses, or names of keys here.")],
) -> None:
    """Give coin of a local development chain to addresses."""
    from marketplace.chain.fund import fund as fund_addresses

    here = session(context)
    funded = [here.account(typed, "ADDRESS") for typed in addresses]
    connection = here.connection()
    with here.patience("waiting for the transactions to be mined"):
        fund_addresses(connection, *funded)
    here.show({"funded": funded}, "\n".join(f"Sent 100 ether to {one}." for one in funded))


def chain(
    context: typer.Context,
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, envvar="MERIT_CHAIN_PORT", help="Port to listen on; 0 takes a free one."),
    ] = 8545,
    state: Annotated[Path | None, typer.Option(help="File to keep the chain's state in.")] = None,
) -> None:
    """Run a local development chain (Anvil) until Ctrl-C."""
    from marketplace.chain.anvil import Anvil

    here = session(context)
    free_port(port, "--port")
    stop = stop_on_signals()
    with ExitStack() as stack:
        with here.patience("starting the chain"):
            anvil = stack.enter_context(Anvil(port=port, state=state))
        here.show({"rpc": anvil.url}, f"A development chain runs at {anvil.url}. Ctrl-C stops it.")
        stop.wait()


def free_port(port: int, option: str) -> None:
    """Raises InputError where something else listens on a port of this machine; 0 is always free."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(
            f"Port {port} cannot be listened on for the chain ({reason}): another chain may run there. Choose another "
            f"port with {option}, or {option} 0 for any that is free."
        ) from error
