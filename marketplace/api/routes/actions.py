"""What this node does for its user: trainers, the exits that anyone may take, pay, and new jobs. Needs the token."""

from typing import Any

import numpy as np
from fastapi import APIRouter

from marketplace.api import drafts
from marketplace.api.forms import (
    CreatedJob,
    CreateRequest,
    DataCheck,
    DataCheckRequest,
    DataEntry,
    DataSample,
    Done,
    FundRequest,
    JobPreview,
    JobRequest,
    JoinRequest,
    LocalTrainer,
    PreparedJob,
    PrepareRequest,
    WithdrawRequest,
)
from marketplace.api.models import CallName
from marketplace.api.routes.common import ACTS, LOCAL, JobId, Route, Services, done, problems
from marketplace.api.trainers import Wish
from marketplace.chain.fund import fund
from marketplace.errors import InputError, JobOver

router = APIRouter(
    prefix="/api",
    tags=["actions"],
    dependencies=[ACTS],
    responses=problems(400, 401, 403),
    route_class=Route,
)
PREVIEW_SAMPLES, PREVIEW_VALUES = 8, 4096


# ---------------------------------------------------------------- trainers


@router.get("/trainers")
def list_own_trainers(services: Services) -> list[LocalTrainer]:
    """The trainers that run in this node."""
    return services.trainers.all()


@router.get("/trainers/{job_id}", responses=problems(404))
def show_own_trainer(job_id: JobId, services: Services) -> LocalTrainer:
    """One of them, with its loss curve."""
    return services.trainers.one(job_id)


@router.post("/trainers", status_code=202, responses=problems(404, 409))
def join_job(request: JoinRequest, services: Services) -> LocalTrainer:
    """Joins a job with the node's own key and a data source of an allowed folder, and trains in every round."""
    me = services.node.me
    row = services.index.job(request.job_id)
    if row.state not in ("open", "running", "confirming"):
        raise JobOver(f"Job {request.job_id} is {row.state}.")
    source = services.folders.confined(request.data)
    wish = Wish(
        job_id=request.job_id,
        data=source,
        payee=request.payee or me.address,
        device=request.device,
        seed=request.seed,
    )
    return services.trainers.join(wish)


@router.post("/trainers/{job_id}/pause", responses=problems(404))
def pause_trainer(job_id: JobId, services: Services) -> LocalTrainer:
    """Stops training after the step that runs. A paused trainer misses its deadlines."""
    return services.trainers.pause(job_id)


@router.post("/trainers/{job_id}/resume", responses=problems(404))
def resume_trainer(job_id: JobId, services: Services) -> LocalTrainer:
    """Goes on where it was paused, or where it failed."""
    return services.trainers.resume(job_id)


@router.post("/trainers/{job_id}/leave", responses=problems(404, 409, 503))
def leave_job(job_id: JobId, services: Services) -> Done:
    """Gives the slot up and takes the stake back: until this round's update is submitted, or after the last round."""
    return done(services.trainers.leave(job_id))


@router.post("/trainers/{job_id}/dispute", responses=problems(404, 409, 503))
def dispute_sum(job_id: JobId, services: Services) -> Done:
    """Says that the last sum is not to be had or wrong. Final; at the quorum the job is aborted."""
    services.trainers.one(job_id)
    return done(services.node.market.dispute(services.node.me.account, job_id))


# ---------------------------------------------------------------- data


@router.get("/data", dependencies=[LOCAL])
def list_data(services: Services) -> list[DataEntry]:
    """What could be a data source in the allowed folders."""
    return services.folders.entries()


@router.post("/data/check", dependencies=[LOCAL], responses=problems(404, 429))
def check_data(request: DataCheckRequest, services: Services) -> DataCheck:
    """Whether data fit a job, how many there are of each class, and a few of them. Only to this machine."""
    from marketplace.services.validation import read_data  # noqa: PLC0415 (torch takes seconds)

    source = services.folders.confined(request.data)
    schema = services.spec(services.index.job(request.job_id).creation).data
    with services.heavy.taken():
        try:
            data = read_data(source, schema)
        except InputError as error:
            return DataCheck(fits=False, problem=str(error), samples=0, shape=[], classes={}, preview=[])
    names = schema.class_names or tuple(str(label) for label in range(schema.classes))
    counts = np.bincount(data.y, minlength=schema.classes)
    step = max(1, len(data.y) // PREVIEW_SAMPLES)
    return DataCheck(
        fits=True,
        problem=None,
        samples=len(data.y),
        shape=list(data.x.shape[1:]),
        classes={names[label]: int(count) for label, count in enumerate(counts[: len(names)]) if count},
        preview=[
            DataSample(label=names[int(data.y[at])], values=_values(data.x[at]))
            for at in range(0, len(data.y), step)[:PREVIEW_SAMPLES]
        ],
    )


def _values(sample: Any) -> list[float]:
    return [float(value) for value in sample.reshape(-1)[:PREVIEW_VALUES]]


# ---------------------------------------------------------------- the chain


@router.post("/jobs/{job_id}/calls/{call}", responses=problems(404, 409, 503))
def send_call(job_id: JobId, call: CallName, services: Services) -> Done:
    """One of the exits of a job, sent with the node's own key."""
    market, account = services.node.market, services.node.me.account
    calls = {
        "start": market.start,
        "cancel": market.cancel,
        "abort": market.abort,
        "skip": market.skip_round,
        "complete": market.complete,
    }
    return done(calls[call](account, job_id))


@router.post("/withdraw", responses=problems(409, 503))
def withdraw(request: WithdrawRequest, services: Services) -> Done:
    """Takes all that the node's own key was credited in a token."""
    return done(services.node.market.withdraw(services.node.me.account, request.token))


@router.post("/fund", status_code=204, responses=problems(503))
def fund_address(request: FundRequest, services: Services) -> None:
    """Gives an address 100 ether of the node's own development chain."""
    if services.local_rpc is None:
        raise InputError("This node works on a shared chain, where nobody can give coin away.")
    fund(services.node.market.connection, request.address)


# ---------------------------------------------------------------- new jobs


@router.post("/jobs/preview")
def preview_job(request: JobRequest) -> JobPreview:
    """What a job costs, and its YAML. Sends and publishes nothing."""
    return drafts.preview(drafts.read_job(request.document, request.yaml))


@router.post("/jobs/prepare", responses=problems(429, 503))
def prepare_job(request: PrepareRequest, services: Services) -> PreparedJob:
    """Publishes a job's description, and makes the calls for the owner's wallet to sign and send, in order.

    Deploys the contracts that check its proofs with the node's own key, unless it knows some.
    """
    job = drafts.read_job(request.document, request.yaml)
    source = services.folders.confined(request.validation) if request.validation is not None else None
    given = request.encryption_key
    key = bytes.fromhex(given[2:]) if given is not None else services.node.me.encryption_key
    with services.heavy.taken():
        prepared = drafts.prepare(services.node, job, owner=request.owner, encryption_key=key, validation=source)
    shown = drafts.preview(job, with_validation=source is not None)
    return PreparedJob(preview=shown, spec_cid=prepared.spec_cid, calls=prepared.calls)


@router.post("/jobs", status_code=201, responses=problems(429, 503))
def create_job(request: CreateRequest, services: Services) -> CreatedJob:
    """Creates a job with the node's own key, which pays the escrow."""
    from marketplace.services import owner  # noqa: PLC0415 (torch takes seconds)
    from marketplace.services.validation import read_data  # noqa: PLC0415

    job = drafts.read_job(request.document, request.yaml)
    source = services.folders.confined(request.validation) if request.validation is not None else None
    with services.heavy.taken():
        created = owner.create_job(services.node, job, read_data(source, job.data) if source is not None else None)
    return CreatedJob(
        job_id=created.job_id,
        transaction=created.receipt.transaction,
        spec_cid=created.spec_cid,
        escrow=str(created.escrow),
    )
