"""The node's own aggregator: the jobs that ask for it, and those in trouble. Needs the token."""

from typing import TYPE_CHECKING

from fastapi import APIRouter

from marketplace.api.forms import RequestEntry, TroubleEntry
from marketplace.api.node import NodeServices
from marketplace.api.routes.common import ACTS, LOCAL, JobId, Route, Services, problems
from marketplace.errors import InputError, NotFound
from marketplace.services.requests import Request

if TYPE_CHECKING:
    from marketplace.services.dispatcher import Dispatcher

router = APIRouter(prefix="/api", tags=["aggregator"], responses=problems(401, 403), route_class=Route)


@router.get("/requests", dependencies=[ACTS])
def list_requests(services: Services) -> list[RequestEntry]:
    """The jobs that name this node's aggregator: those that it serves, then those that wait, newest first."""
    if services.dispatcher is None:
        return []
    found = [_entry(services, request) for request in services.dispatcher.requests()]
    return [entry for entry in found if entry is not None]


@router.post("/requests/{job_id}/accept", dependencies=[ACTS], responses=problems(400, 404, 409, 503))
def accept_request(job_id: JobId, services: Services) -> RequestEntry:
    """Lets this node's aggregator take a job up, whatever its policy has against it."""
    return _shown(services, _dispatcher(services).decide(job_id, "accepted"))


@router.post("/requests/{job_id}/decline", dependencies=[ACTS], responses=problems(400, 404, 409, 503))
def decline_request(job_id: JobId, services: Services) -> RequestEntry:
    """Keeps this node's aggregator from taking a job up."""
    return _shown(services, _dispatcher(services).decide(job_id, "declined"))


@router.get("/troubles", dependencies=[LOCAL])
def list_troubles(services: Services) -> list[TroubleEntry]:
    """The jobs that this node serves or takes part in, and cannot work on at the moment."""
    return [
        TroubleEntry(
            job_id=trouble.job_id,
            role=role,
            since=int(trouble.since),
            text=trouble.text,
            again_at=int(trouble.again_at) if trouble.again_at is not None else None,
        )
        for role, trouble in services.troubles()
    ]


def _dispatcher(services: NodeServices) -> "Dispatcher":
    if services.dispatcher is None:
        raise InputError("No aggregator runs in this node: `merit aggregator accept` is for one that runs by itself.")
    return services.dispatcher


def _shown(services: NodeServices, request: Request) -> RequestEntry:
    entry = _entry(services, request)
    if entry is None:
        raise NotFound(f"Job {request.job_id} is over.")
    return entry


def _entry(services: NodeServices, request: Request) -> RequestEntry | None:
    """None for a job that has ended since the aggregator looked at it."""
    name, created = None, int(request.seen)
    try:
        row = services.index.job(request.job_id)
    except NotFound:  # the index has not read that far
        pass
    else:
        if row.state in ("completed", "cancelled", "aborted"):
            return None
        name, created = row.name, row.creation.timestamp
    terms = request.terms
    return RequestEntry(
        job_id=request.job_id,
        owner=request.owner,
        name=name,
        bond=str(terms.bond),
        fee=str(terms.fee),
        reward=str(terms.reward),
        token=terms.token,
        rounds=terms.rounds,
        decision=request.decision,
        objections=list(request.objections),
        created=created,
    )
