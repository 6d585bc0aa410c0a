"""Content by CID for a job's participants, so that a trainer elsewhere needs no public IPFS node of its own."""

from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import Annotated, BinaryIO

import anyio.to_thread
from fastapi import APIRouter, Header, Path, Request
from fastapi.responses import StreamingResponse

from marketplace.api.content import MAX_CONTENT
from marketplace.api.forms import Stored
from marketplace.api.problems import Refusal
from marketplace.api.routes.common import Services, problems
from marketplace.errors import CorruptContent, InputError
from marketplace.storage.cid import CidBuilder, parse_cid

router = APIRouter(prefix="/api/content", tags=["content"])
PIECE = 1 << 18
Cid = Annotated[str, Path(pattern=r"^b[a-z2-7]{58}$")]
Job = Annotated[int, Header(alias="Merit-Job", ge=1, lt=2**63)]
Moment = Annotated[int, Header(alias="Merit-Time", ge=0, lt=2**53, description="Unix seconds.")]
Signature = Annotated[str, Header(alias="Merit-Signature", max_length=200, description="EIP-191, 0x-hex.")]


@router.put(
    "/{cid}", max_body_size=MAX_CONTENT, status_code=201, responses=problems(400, 401, 403, 411, 413, 429, 503, 507)
)
async def put_content(
    cid: Cid, request: Request, services: Services, job: Job, moment: Moment, signature: Signature
) -> Stored:
    """Stores the body, which must be the content of `cid`. The size has to be said (Content-Length)."""
    _check(cid)
    desk = services.content
    account = await anyio.to_thread.run_sync(
        lambda: desk.participant(job_id=job, method="PUT", cid=cid, moment=moment, signature=signature)
    )
    length = request.headers.get("content-length", "")
    if not length.isdigit():
        raise Refusal(411, "The size of the content has to be said.")
    with services.uploads.taken(), TemporaryFile() as kept:
        desk.charge(job, account, int(length))
        builder = CidBuilder()
        async for piece in request.stream():
            builder.update(piece)
            kept.write(piece)
        if str(builder.finish()) != cid:
            raise InputError(f"The {builder.size} bytes that were sent are not the content of {cid}.")
        kept.seek(0)
        stored = await anyio.to_thread.run_sync(services.node.storage.put, kept)
    return Stored(cid=stored, bytes=builder.size)


@router.get("/{cid}", response_class=StreamingResponse, responses=problems(400, 401, 403, 404, 429, 502, 503))
def get_content(cid: Cid, services: Services, job: Job, moment: Moment, signature: Signature) -> StreamingResponse:
    """The content of `cid`, checked against it."""
    _check(cid)
    services.content.participant(job_id=job, method="GET", cid=cid, moment=moment, signature=signature)
    kept = TemporaryFile()  # noqa: SIM115 (it is read after this returns)
    try:
        with services.uploads.taken():
            size = services.node.storage.get(cid, kept, max_bytes=MAX_CONTENT)
    except BaseException:
        kept.close()
        raise
    kept.seek(0)
    headers = {"Content-Length": str(size), "Content-Disposition": "attachment"}
    return StreamingResponse(_pieces(kept), media_type="application/octet-stream", headers=headers)


def _check(cid: str) -> None:
    try:
        parse_cid(cid)
    except CorruptContent as error:
        raise InputError(str(error)) from error


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE):
            yield piece
