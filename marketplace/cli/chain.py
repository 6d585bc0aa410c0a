"""`merit chain` and `merit deploy`: a local chain to try things on, and the market contract."""

import os
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from marketplace.cli.session import session, stop_on_signals
from marketplace.errors import InputError


def deploy(
    context: typer.Context,
    same_address: Annotated[
        bool, typer.Option("--same-address", help="Through the CREATE2 factory: the same address on every chain.")
    ] = False,
    record: Annotated[
        Path | None, typer.Option(help="With --same-address: a folder to write CHAIN.json into, such as deployments.")
    ] = None,
    verify_input: Annotated[
        Path | None,
        typer.Option(help="Deploy nothing, but write the compiler's input, from which others verify the contracts."),
    ] = None,
) -> None:
    """Deploy the market contract and note it in the address book."""
    from marketplace.chain.deploy import Deployment, deploy_everywhere, standard_input
    from marketplace.chain.deploy import deploy as deploy_market
    from marketplace.files import write_atomically

    here = session(context)
    if record is not None and not same_address:
        raise InputError("--record needs --same-address: only such a market is worth telling others of.")
    if verify_input is not None:
        write_atomically(verify_input, standard_input(), mode=0o644)
        said = (
            f"{verify_input} is the compiler's input (standard JSON), by which Sourcify and explorers verify contracts."
        )
        here.show({"file": str(verify_input)}, said)
        return
    connection = here.connection()
    account = here.identity().account
    with here.patience("waiting for the transaction that deploys the market to be mined"):
        if same_address:
            found = deploy_everywhere(connection, account, receipt_within=here.settings.receipt_timeout)
            place = {"market": found.market, "block": found.block, "transaction": found.transaction}
            entry = Deployment.model_validate(place | {"chain": connection.identity or None})
            if record is not None:
                document = found.model_dump_json(indent=1).encode() + b"\n"
                write_atomically(record / f"{connection.chain_id}.json", document, mode=0o644)
        else:
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
