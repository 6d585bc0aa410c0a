"""What routes share: the services behind them, and who may call."""

import json
from collections.abc import Callable, Coroutine, Iterator
from http import HTTPStatus
from typing import Annotated, Any, BinaryIO

import anyio
from fastapi import Depends, Path, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic_core import from_json
from starlette.types import Receive, Scope, Send

from marketplace.api.forms import Done
from marketplace.api.guard import require_loopback, require_token
from marketplace.api.node import NodeServices
from marketplace.api.transactions import transaction_facts
from marketplace.chain.market import Receipt
from marketplace.overload import time_for

PIECE = 1 << 18
PATIENCE = 60.0  # seconds that an answer may take beyond what its size takes at overload.MIN_RATE


def _services(request: Request) -> NodeServices:
    found: NodeServices = request.app.state.services
    return found


Services = Annotated[NodeServices, Depends(_services)]


# It documents the token; guard.py checks it.
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False, scheme_name="token"))]


def _with_token(request: Request, services: Services, _: _Bearer) -> None:
    require_token(request, services.token)


def _on_this_machine(request: Request, services: Services, _: _Bearer) -> None:
    require_loopback(request)
    require_token(request, services.token)


ACTS = Depends(_with_token)
LOCAL = Depends(_on_this_machine)
ADDRESS = r"^0x[0-9a-fA-F]{40}$"
Account = Annotated[str, Path(pattern=ADDRESS, examples=["0x70997970C51812dc3A010C7d01b50e0d17dc79C8"])]
JobId = Annotated[int, Path(ge=1, lt=2**63, description="The job's number.", examples=[7])]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a route documents. (`Problem` is in the schemas by the event streams, which may end in one.)"""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def sent(services: NodeServices, text: str, job_id: int | None, send: Callable[[], Receipt]) -> Done:
    """Sends with the node's own key what its user asked for, and remembers it. Raises as `send` does, and Refusal."""
    resolve_sent(services)
    with services.sent.sending(text, job_id) as sending:
        receipt = send()
        sending.mined(receipt)
    return Done(transaction=receipt.transaction, block=receipt.block, gas=receipt.gas_used)


def resolve_sent(services: NodeServices) -> None:
    """Learns what became of what was not seen in a block in time. Raises ChainError."""
    services.sent.resolve(lambda hash: transaction_facts(services.node.market, hash, None, None))


class _Request(Request):
    async def json(self) -> Any:
        """Not the json module's: its recursion is bounded by a limit that py_ecc raises until nested brackets crash."""
        try:
            return from_json(await self.body(), allow_inf_nan=False)
        except ValueError as error:
            raise json.JSONDecodeError(str(error), "", 0) from error


class Route(APIRoute):
    """A route whose bodies strangers may write."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await handle(_Request(request.scope, request.receive))

        return handler


class Bounded(StreamingResponse):
    """A file's rest, for as long as its size (bytes) allows: who reads more slowly is cut off. Closes the file."""

    def __init__(self, file: BinaryIO, size: int, status: int, headers: dict[str, str]) -> None:
        super().__init__(_pieces(file), status, headers, media_type="application/octet-stream")
        self._file = file
        self._seconds = time_for(size, PATIENCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with anyio.move_on_after(self._seconds):
                await super().__call__(scope, receive, send)
        finally:
            self._file.close()


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece
