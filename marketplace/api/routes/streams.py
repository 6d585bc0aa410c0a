"""What is told as it happens: the market's events, this node's training, an audit check by check."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from marketplace.api import present
from marketplace.api.guard import holds_token
from marketplace.api.models import AuditCheck, AuditResult, ChainNews, Problem, TrainerNews
from marketplace.api.node import NodeServices
from marketplace.api.problems import problem_of
from marketplace.api.routes.common import JobId, Services, problems
from marketplace.errors import MeritError
from marketplace.services.audit import AuditReport, Check, OnCheck, audit_job, report_document

router = APIRouter(prefix="/api", tags=["live"])
BATCH = 500  # events that are read at once
LOOK = 15.0  # seconds without news after which a stream looks by itself

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events. `ready`: the stream begins. `chain`: ChainNews. `training`: TrainerNews, "
        "with the token only. `reset`: the chain was reorganised, or the index built again: read the lists again.",
        "model": ChainNews | TrainerNews,
    }
}


def _position(last: str | None, services: NodeServices) -> tuple[str, int, int] | None:
    """(generation, sequence number of an event, number of a notice) that a stream left off at."""
    parts = (last or "").split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 18 for part in parts[1:]):
        return None
    return parts[0], int(parts[1]), int(parts[2])


def _stream_slot(services: Services) -> Iterator[None]:
    with services.streams.taken():
        yield


def _audit_slot(job_id: JobId, services: Services) -> Iterator[None]:
    services.index.job(job_id)
    with services.audits.taken():
        yield


@router.get(
    "/events",
    response_class=EventSourceResponse,
    responses=_STREAM | problems(429),
    dependencies=[Depends(_stream_slot)],
)
async def stream_events(
    request: Request,
    services: Services,
    last_event_id: Annotated[str | None, Header(description="Where an earlier stream ended.")] = None,
    job_id: Annotated[int | None, Query(ge=1, lt=2**63, description="Only this job's.")] = None,
) -> AsyncIterator[ServerSentEvent]:
    """What happens in the market, from now on or from where an earlier stream ended."""
    local = holds_token(request, services.token)
    generation = await asyncio.to_thread(lambda: services.index.generation)
    place = _position(last_event_id, services)
    if place is None:
        seq, number = await asyncio.to_thread(lambda: services.index.last_seq), services.hub.number
        yield ServerSentEvent(event="ready", data={}, id=f"{generation}.{seq}.{number}", retry=2000)
    else:
        known, seq, number = place
        if known != generation:
            seq, number = await asyncio.to_thread(lambda: services.index.last_seq), services.hub.number
            yield ServerSentEvent(event="reset", data={}, id=f"{generation}.{seq}.{number}", retry=2000)
    async with services.hub.listen() as listener:
        while not services.hub.closed:
            current = await asyncio.to_thread(lambda: services.index.generation)
            if current != generation:
                generation = current
                yield ServerSentEvent(event="reset", data={}, id=f"{generation}.{seq}.{number}")
            news = await asyncio.to_thread(services.index.events, job_id=job_id, after=seq, limit=BATCH)
            for item in news:
                seq = item.seq
                yield ServerSentEvent(event="chain", data=present.chain_news(item), id=f"{generation}.{seq}.{number}")
            for said in services.hub.since(number) if local else ():
                number = said.number
                if job_id in (None, said.job_id):
                    told = TrainerNews(
                        kind=said.notice.kind,
                        job_id=said.job_id,
                        round=said.notice.round,
                        text=said.notice.text,
                        time=said.time,
                        values=said.notice.values,
                    )
                    yield ServerSentEvent(event="training", data=told, id=f"{generation}.{seq}.{number}")
            if len(news) < BATCH:
                await listener.wait(LOOK)


_AUDIT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events. `check`: AuditCheck, as each is done; `result`: AuditResult, the last; "
        "`problem`: Problem, where the audit could not be made.",
        "model": AuditCheck | AuditResult | Problem,
    }
}


@router.get(
    "/jobs/{job_id}/audit",
    response_class=EventSourceResponse,
    responses=_AUDIT | problems(404, 429),
    dependencies=[Depends(_audit_slot)],
)
async def stream_audit(job_id: JobId, services: Services) -> AsyncIterator[ServerSentEvent]:
    """Checks everything about a job that chain and storage show, as `merit audit` does."""
    started, number = time.monotonic(), 0
    done: asyncio.Queue[Check | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def tell(check: Check | None) -> None:
        loop.call_soon_threadsafe(done.put_nowait, check)

    audit = asyncio.create_task(asyncio.to_thread(_audit, services, job_id, tell))
    audit.add_done_callback(lambda _: done.put_nowait(None))
    while (check := await done.get()) is not None:
        number += 1
        shown = AuditCheck(name=check.name, ok=check.ok, detail=check.detail)
        yield ServerSentEvent(event="check", data=shown, id=str(number))
    try:
        block, report = await audit
    except MeritError as error:
        yield ServerSentEvent(event="problem", data=problem_of(error))
        return
    document = report_document(report) | {"seconds": time.monotonic() - started}
    yield ServerSentEvent(event="result", data=_result(report, block, document))


def _audit(services: NodeServices, job_id: int, tell: OnCheck) -> tuple[int, AuditReport]:
    block = services.node.market.connection.head()
    return block, audit_job(services.node, job_id, on_check=tell)


def _result(report: AuditReport, block: int, document: dict[str, object]) -> AuditResult:
    checks = [AuditCheck(name=check.name, ok=check.ok, detail=check.detail) for check in report.checks]
    return AuditResult(
        job_id=report.job_id, ok=report.ok, block=block, checks=checks, findings=report.findings, document=document
    )
