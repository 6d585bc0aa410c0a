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
    from marketplace.services import claiming

    here = session(context)
    token = address(token, "--token")
    market, identity = here.market(), here.identity()
    with here.patience("waiting for the transaction to be mined"):
        taken = claiming.withdraw(market, identity.account, token)
    transaction = taken.receipt.transaction
    here.show(
        {"payee": identity.address, "token": token, "amount": taken.amount, "transaction": transaction},
        f"Withdrew {amount(market, token, taken.amount)} to {identity.address}.",
    )
