"""`merit withdraw`: take what was credited."""

from typing import Annotated

import typer

from marketplace.cli.session import session
from marketplace.cli.tables import symbol
from marketplace.domain import ZERO_ADDRESS
from marketplace.units import format_amount


def withdraw(
    context: typer.Context,
    token: Annotated[str, typer.Option(help="The token's address; the chain's coin by default.")] = ZERO_ADDRESS,
) -> None:
    """Withdraw all that --key was credited in a token."""
    here = session(context)
    market, identity = here.market(), here.identity()
    amount = market.credit(identity.address, token)
    receipt = market.withdraw(identity.account, token)
    here.show(
        {"payee": identity.address, "token": token, "amount": amount, "transaction": receipt.transaction},
        f"Withdrew {format_amount(amount, symbol(token))} to {identity.address}.",
    )
