"""`merit withdraw`: take what was credited."""

from typing import Annotated

import typer

from marketplace.cli.session import address, amount, session
from marketplace.domain import ZERO_ADDRESS


def withdraw(
    context: typer.Context,
    token: Annotated[str, typer.Option(help="The token's address; the chain's coin by default.")] = ZERO_ADDRESS,
) -> None:
    """Withdraw all that --key was credited in a token."""
    here = session(context)
    token = address(token, "--token")
    market, identity = here.market(), here.identity()
    credited = market.credit(identity.address, token)
    with here.patience("waiting for the transaction to be mined"):
        receipt = market.withdraw(identity.account, token)
    here.show(
        {"payee": identity.address, "token": token, "amount": credited, "transaction": receipt.transaction},
        f"Withdrew {amount(market, token, credited)} to {identity.address}.",
    )
