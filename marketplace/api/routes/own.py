"""What this node holds of jobs and for their proofs, and what their owners do with it. Needs the token."""

from io import BytesIO
from math import isfinite
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from marketplace.api.forms import (
    Done,
    JobScores,
    OwnPart,
    PreparedAnnouncement,
    RoundScore,
    SetupEntry,
    UnsignedCall,
)
from marketplace.api.present import hexed
from marketplace.api.routes.common import ACTS, Bounded, JobId, Services, problems, sent
from marketplace.chain import abi
from marketplace.domain import Rule, State
from marketplace.errors import NotFound
from marketplace.services.setups import Setups
from zk.statements import circuit_shape

router = APIRouter(prefix="/api", tags=["own"], dependencies=[ACTS], responses=problems(400, 401, 403))
_MODEL: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A safetensors file of named tensors.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/setups", responses=problems(502))
def list_setups(services: Services) -> list[SetupEntry]:
    """The set-ups and proving keys on this machine, which a job's `proofs` can name by their hash."""
    found = []
    for facts in Setups(services.node.home / "setups").list():
        rule, seats = circuit_shape(facts.size) if facts.what == "key" else (None, None)
        found.append(
            SetupEntry(
                hash=hexed(facts.hash),
                what=facts.what,
                development=facts.development,
                chunk=facts.size if facts.what == "srs" else None,
                rule=Rule(rule).label if rule is not None else None,
                seats=seats,
                bytes=facts.bytes,
            )
        )
    return found


@router.get("/jobs/{job_id}/own", responses=problems(404, 502, 503))
def show_own_part(job_id: JobId, services: Services) -> OwnPart:
    """What this node could do with a job: read its models, hand over or reveal its validation data."""
    from marketplace.services.owner import can_hand_over  # noqa: PLC0415 (torch takes seconds)
    from marketplace.services.scores import holds_job_key  # noqa: PLC0415
    from marketplace.services.validation import holds_validation  # noqa: PLC0415

    history = services.index.history(job_id)
    spec = services.spec(history.created)
    me, held = services.node.identity, holds_validation(services.node, spec)
    wait_for_it = history.state is State.CONFIRMING and services.now() <= history.reveal_by
    return OwnPart(
        owner=me is not None and me.address == history.created.owner,
        job_key=holds_job_key(services.node, history),
        validation=held,
        can_reveal=held and history.state.over,
        can_reveal_to_members=held and wait_for_it,
        can_hand_over=can_hand_over(services.node, history, spec),
    )


@router.get("/jobs/{job_id}/model", response_class=StreamingResponse, responses=_MODEL | problems(404, 429, 502, 503))
def download_model(job_id: JobId, services: Services) -> StreamingResponse:
    """The model after the last settled round, for a node that holds the job key."""
    from marketplace.services.owner import export_model  # noqa: PLC0415 (torch takes seconds)
    from marketplace.services.scores import holds_job_key  # noqa: PLC0415

    history = services.index.history(job_id)
    if history.settled and not holds_job_key(services.node, history):
        raise NotFound(f"The models of job {job_id} are sealed to its parties, and this node's key is not one of them.")
    with services.heavy.taken():
        final = export_model(services.node, job_id)
    name = f"job-{job_id}-round-{final.rounds}.safetensors"
    headers = {"Content-Length": str(len(final.content)), "Content-Disposition": f'attachment; filename="{name}"'}
    return Bounded(BytesIO(final.content), len(final.content), 200, headers)


@router.get("/jobs/{job_id}/scores", responses=problems(404, 429, 502, 503))
def show_scores(job_id: JobId, services: Services) -> JobScores:
    """The model's loss and metric after each round on the owner's validation data, as far as this node can know it."""
    scores = services.scores(services.index.history(job_id))
    return JobScores(
        metric=scores.scores[0].found.name if scores.scores else "loss",
        share=bool(scores.scores) and scores.scores[0].found.share,
        rounds=[
            RoundScore(round=s.round, loss=s.found.loss, value=s.found.value if isfinite(s.found.value) else None)
            for s in scores.scores
        ],
        source=scores.source,
        problem=scores.problem,
    )


@router.post("/jobs/{job_id}/reveal/prepare", responses=problems(404, 429, 502, 503))
def prepare_reveal(job_id: JobId, services: Services) -> PreparedAnnouncement:
    """Publishes the kept validation data of a job that is over, and makes the call for its owner's wallet to send."""
    from marketplace.services import owner  # noqa: PLC0415 (torch takes seconds)

    with services.heavy.taken():
        cid = owner.prepare_reveal(services.node, job_id)
    return _announcement(services, "revealValidation", job_id, cid, "Reveal the validation data")


@router.post("/jobs/{job_id}/reveal-to-members/prepare", responses=problems(404, 429, 502, 503))
def prepare_reveal_to_members(job_id: JobId, services: Services) -> PreparedAnnouncement:
    """Seals the kept data and rows to the members of a job that confirms, and makes the call for its owner's wallet."""
    from marketplace.services.rows import prepare_owners_showing  # noqa: PLC0415 (torch takes seconds)

    with services.heavy.taken():
        cid = prepare_owners_showing(services.node, job_id)
    return _announcement(services, "reveal", job_id, cid, "Reveal the validation data to the members")


@router.post("/jobs/{job_id}/hand-over/prepare", responses=problems(404, 429, 502, 503))
def prepare_hand_over(job_id: JobId, services: Services) -> PreparedAnnouncement:
    """Seals what the aggregator that has taken over waits for, and makes the call for the owner's wallet to send."""
    from marketplace.services import owner  # noqa: PLC0415 (torch takes seconds)

    with services.heavy.taken():
        cid = owner.prepare_hand_over(services.node, job_id)
    return _announcement(services, "handOver", job_id, cid, "Hand over to the aggregator that has taken over")


@router.post("/jobs/{job_id}/reveal", responses=problems(404, 409, 429, 502, 503))
def reveal_validation(job_id: JobId, services: Services) -> Done:
    """Reveals the validation data of a job that the node's own key created."""
    from marketplace.services import owner  # noqa: PLC0415 (torch takes seconds)

    with services.heavy.taken():
        text = f"Reveal the validation data of job {job_id}"
        return sent(services, text, job_id, lambda: owner.reveal_validation(services.node, job_id))


@router.post("/jobs/{job_id}/reveal-to-members", responses=problems(404, 409, 429, 502, 503))
def reveal_to_members(job_id: JobId, services: Services) -> Done:
    """Reveals the validation data of a job that the node's own key created to its members, as long as it confirms."""
    from marketplace.services import rows  # noqa: PLC0415 (torch takes seconds)

    with services.heavy.taken():
        text = f"Reveal the validation data of job {job_id} to its members"
        return sent(services, text, job_id, lambda: rows.reveal_to_members(services.node, job_id))


def _announcement(services: Services, function: str, job_id: int, cid: str, text: str) -> PreparedAnnouncement:
    data = hexed(abi.encode_call(function, (job_id, cid)))
    call = UnsignedCall(text=text, to=services.node.market.address, data=data, value="0")
    return PreparedAnnouncement(cid=cid, calls=[call])
