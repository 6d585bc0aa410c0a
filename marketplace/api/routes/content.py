"""Content by CID for a market's participants, so that a trainer elsewhere needs no IPFS node of its own."""

from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Header, Path, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from marketplace.api.content import Signed
from marketplace.api.forms import Stored
from marketplace.api.problems import Refusal
from marketplace.api.routes.common import Bounded, Services, problems
from marketplace.errors import CorruptContent, InputError, NotFound
from marketplace.storage.cid import CidBuilder, parse_cid
from marketplace.storage.peer import MAX_CONTENT

router = APIRouter(prefix="/api/content", tags=["content"])
_EXAMPLE = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
Cid = Annotated[str, Path(pattern=r"^b[a-z2-7]{58}$", examples=[_EXAMPLE])]
Moment = Annotated[int | None, Header(alias="Merit-Time", ge=0, lt=2**53, description="Unix seconds.")]
Nonce = Annotated[str | None, Header(alias="Merit-Nonce", pattern=r"^[0-9a-f]{32}$", description="Never the same.")]
Signature = Annotated[
    str | None, Header(alias="Merit-Signature", max_length=200, description="EIP-191, 0x-hex, by an operator's key.")
]
_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_WHOLE: dict[int | str, dict[str, Any]] = {200: {"description": "The content.", "content": _BINARY}}
_REST: dict[int | str, dict[str, Any]] = {206: {"description": "Its rest.", "content": _BINARY}}


def _signed(
    cid: Cid, request: Request, moment: Moment = None, nonce: Nonce = None, signature: Signature = None
) -> Signed | None:
    """None where the request is not signed. Raises InputError for what is no CID."""
    try:
        parse_cid(cid)
    except CorruptContent as error:
        raise InputError(str(error)) from error
    if moment is None or nonce is None or signature is None:
        return None
    host = request.headers.get("host", "").lower()
    return Signed(host=host, method=request.method, cid=cid, moment=moment, nonce=nonce, signature=signature)


IfSigned = Annotated[Signed | None, Depends(_signed)]


def _account(services: Services, signed: IfSigned) -> str:
    """The participant who asks. Raises Refusal."""
    if signed is None:
        raise Refusal(401, "This is for participants of the market's jobs: sign the request.")
    return services.content.participant(signed)


def _reading(cid: Cid, services: Services, signed: IfSigned, request: Request) -> Iterator[None]:
    """A turn to read, until the answer is sent. Strangers wait for each other only; one address has half at most."""
    if services.content.is_open(cid):
        turn = services.openly.taken(request.client.host if request.client else "")
    else:
        turn = services.transfers.taken(_account(services, signed))
    with turn:
        yield


@router.put("/{cid}", max_body_size=MAX_CONTENT, status_code=201, responses=problems(400, 401, 403, 411, 429, 503, 507))
async def put_content(
    cid: Cid, request: Request, services: Services, account: Annotated[str, Depends(_account)]
) -> Stored:
    """Stores the body, which must be the content of `cid`. The size has to be said (Content-Length)."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        raise Refusal(411, "The request does not say how large the content is (Content-Length).")
    storage = services.node.storage
    kept_before = await anyio.to_thread.run_sync(storage.has, cid)
    size = 0 if kept_before else int(length)
    with services.transfers.taken(account), services.content.charged(account, size), TemporaryFile() as kept:
        builder = CidBuilder()
        try:
            async for piece in request.stream():
                builder.update(piece)
                kept.write(piece)
        except ClientDisconnect as error:  # also where the guard has waited long enough
            raise Refusal(400, "The content ended before its announced size.") from error
        if str(builder.finish()) != cid:
            raise InputError(f"The {builder.size} bytes that were sent are not the content of {cid}.")
        kept.seek(0)
        stored = await anyio.to_thread.run_sync(storage.put, kept)
    return Stored(cid=stored, bytes=builder.size)


@router.get(
    "/{cid}",
    response_class=StreamingResponse,
    responses=_WHOLE | _REST | problems(400, 401, 403, 404, 416, 429, 502, 503),
    dependencies=[Depends(_reading)],
)
def get_content(
    cid: Cid, services: Services, range: Annotated[str | None, Header(max_length=100)] = None
) -> StreamingResponse:
    """The content of `cid`, checked against it; from a byte on with `Range: bytes=N-`.

    What a job's description names is for everybody, the rest for participants.
    """
    kept = TemporaryFile()  # noqa: SIM115 (it is read after this returns)
    try:
        size = services.node.storage.get(cid, kept, max_bytes=MAX_CONTENT)
        start = _start(range, size)
        kept.seek(start)
    except BaseException:
        kept.close()
        raise
    headers = {"Content-Length": str(size - start), "Content-Disposition": "attachment", "Accept-Ranges": "bytes"}
    if start:
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
    return Bounded(kept, size, 206 if start else 200, headers)


@router.head(
    "/{cid}",
    response_class=StreamingResponse,
    responses=_WHOLE | problems(400, 401, 403, 404, 429, 503),
    dependencies=[Depends(_reading)],
)
def has_content(cid: Cid, services: Services) -> Response:
    """Whether the content is here; as `get_content`, without the bytes."""
    if not services.node.storage.has(cid):
        raise NotFound(f"{cid} is not here.")
    return Response(media_type="application/octet-stream")


def _start(range: str | None, size: int) -> int:
    """The first byte that is asked for: 0 unless it is one range without an end (RFC 9110, 14.2, lets us choose)."""
    unit, _, first = (range or "").partition("=")
    if unit.strip().lower() != "bytes" or not first.endswith("-") or not first[:-1].isdecimal() or len(first) > 20:
        return 0
    if int(first[:-1]) >= size:
        raise Refusal(416, "The content ends before that byte.", {"Content-Range": f"bytes */{size}"})
    return int(first[:-1])
