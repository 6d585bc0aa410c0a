"""The application: routes, and what stands before them."""

from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from marketplace.api import problems
from marketplace.api.examples import add_examples
from marketplace.api.guard import Guard
from marketplace.api.metrics import Metered
from marketplace.api.node import NodeServices
from marketplace.api.routes import actions, content, facts, node, own, requests, streams
from marketplace.api.routes.common import problems as documented

MAX_BODY = 512 << 10  # bytes of a request; content has its own bound
DESCRIPTION = """A Merit node. Facts of the market are public; what acts, or shows what is on this machine, needs the
node's token as `Authorization: Bearer …`. Errors are problem documents (RFC 9457)."""


class NodeApp(FastAPI):
    """The guard stands before everything, the framework's own answers included."""

    def build_middleware_stack(self) -> ASGIApp:
        services: NodeServices = self.state.services
        return Metered(Guard(super().build_middleware_stack(), services.hosts), services.metrics)

    def openapi(self) -> dict[str, Any]:
        """The document, with an example of each answer."""
        if self.openapi_schema is None:
            self.openapi_schema = add_examples(super().openapi())
        return self.openapi_schema


def create_app(services: NodeServices | None) -> FastAPI:
    """The app of a node; without services only its OpenAPI document can be asked for."""
    app = NodeApp(
        title="Merit node",
        version=services.version if services is not None else "0",
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,  # its scripts would come from elsewhere: the page brings a viewer, /viewer/
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        responses=documented(403, 413, 422, 500),
        max_body_size=MAX_BODY,
        telemetry={"tracing": False, "metrics": False},
    )
    problems.install(app)
    for routes in (node, facts, streams, actions, own, requests, content):
        app.include_router(routes.router)
    if services is not None:
        app.state.services = services
        if services.docs is not None and (services.docs / "index.html").is_file():
            app.frontend("/docs", directory=services.docs, fallback=None)
        if services.dist is not None and (services.dist / "index.html").is_file():
            app.frontend("/", directory=services.dist, fallback="index.html")
    return app
