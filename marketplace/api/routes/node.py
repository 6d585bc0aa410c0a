"""The node itself: whether it is well, what it is, what it measures."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from marketplace.api import present
from marketplace.api.forms import Architecture, LocalFacts
from marketplace.api.models import Health, NodeFacts, Party
from marketplace.api.routes.common import LOCAL, Services, problems
from marketplace.domain import ZERO_ADDRESS
from marketplace.keys.identity import Identity
from marketplace.storage.folder import FolderStorage
from marketplace.storage.kubo import KuboStorage
from marketplace.storage.memory import MemoryStorage
from marketplace.storage.peer import PeerStorage

router = APIRouter(tags=["node"])
_STORAGES = {FolderStorage: "folder", KuboStorage: "ipfs", MemoryStorage: "memory", PeerStorage: "node"}


@router.get("/api/health")
def show_health(services: Services) -> Health:
    """Whether the node follows the chain, and works on its jobs."""
    problem = services.problem
    return Health(
        status="degraded" if problem else "ok",
        block=services.metrics.head,
        indexed=services.index.indexed,
        problem=problem,
        jobs_in_trouble=len({trouble.job_id for _, trouble in services.troubles()}),
    )


@router.get("/api/node")
def show_node(services: Services) -> NodeFacts:
    """The chain and market that this node works with, and the keys that it acts with."""
    market = services.node.market
    return NodeFacts.model_validate(
        {
            "version": services.version,
            "chain_id": market.connection.chain_id,
            "market": market.address,
            "first_block": services.index.first_block,
            "storage": _STORAGES.get(type(services.node.storage), "other"),
            "local": services.local_rpc is not None,
            "rpc": services.local_rpc,
            "acts_as": _party(services.node.identity),
            "aggregator": _party(services.aggregator),
            "samples": len(services.samples),
            "now": services.now(),
        }
    )


def _party(identity: Identity | None) -> Party | None:
    if identity is None:
        return None
    return Party(address=identity.address, encryption_key=present.hexed(identity.encryption_key))


@router.get("/api/local", dependencies=[LOCAL], responses=problems(401, 403, 503))
def show_local(services: Services) -> LocalFacts:
    """What only the user of this machine may know. Also tells whether a token is right."""
    import torch  # noqa: PLC0415 (takes seconds)

    devices = ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available() + ["cpu"]
    node = services.node
    balance = node.market.balance(ZERO_ADDRESS, node.identity.address) if node.identity is not None else 0
    return LocalFacts(
        folders=[str(f) for f in services.folders.allowed],
        devices=devices,
        balance=str(balance),
    )


@router.get("/api/architectures")
def list_architectures() -> list[Architecture]:
    """The models that a job can ask for."""
    from trainer.models import architectures  # noqa: PLC0415 (torch takes seconds)

    return [Architecture(name=name, parameters=kind.model_json_schema()) for name, kind in architectures().items()]


@router.get("/metrics", include_in_schema=False)
def show_metrics(services: Services) -> Response:
    """For Prometheus."""
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)
