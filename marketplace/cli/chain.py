"""`merit chain` and `merit deploy`: a local chain to try things on, and the market contract."""

from pathlib import Path
from typing import Annotated

import typer
from eth_utils.address import is_checksum_address

from marketplace.cli.session import session, stop_on_signals
from marketplace.errors import InputError


def deploy(context: typer.Context) -> None:
    """Deploy the market contract and note it in the address book."""
    from marketplace.chain.deploy import deploy as deploy_market

    here = session(context)
    connection = here.connection()
    entry = deploy_market(connection, here.identity().account, receipt_within=here.settings.receipt_timeout)
    here.address_book().put(connection.chain_id, entry)
    here.show(
        {"chain_id": connection.chain_id, "address": entry.market, "block": entry.block},
        f"The market is {entry.market} on chain {connection.chain_id}, from block {entry.block} on.",
    )


def fund(
    context: typer.Context,
    addresses: Annotated[list[str], typer.Argument(help="Who gets 100 ether each.")],
) -> None:
    """Give coin of a local development chain to addresses."""
    from marketplace.chain.fund import fund as fund_addresses

    here = session(context)
    for address in addresses:
        if not is_checksum_address(address):
            raise InputError(f"{address} is not an address with a correct checksum; nothing was sent.")
    fund_addresses(here.connection(), *addresses)
    here.show({"funded": addresses}, f"Sent 100 ether to {', '.join(addresses)}.")


def chain(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8545,
    state: Annotated[Path | None, typer.Option(help="File to keep the chain's state in.")] = None,
) -> None:
    """Run a local development chain (Anvil) until Ctrl-C."""
    from marketplace.chain.anvil import Anvil

    here = session(context)
    stop = stop_on_signals()
    with Anvil(port=port, state=state) as anvil:
        here.show({"rpc": anvil.url}, f"A development chain runs at {anvil.url}. Ctrl-C stops it.")
        stop.wait()
