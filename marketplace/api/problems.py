"""Errors as RFC 9457 problem documents, with the sentence that the command line would print."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from marketplace.api.models import Problem
from marketplace.errors import (
    AuditFailed,
    ChainError,
    CorruptContent,
    InputError,
    JobOver,
    MeritError,
    NotFound,
    Reverted,
    StorageError,
)

log = logging.getLogger("merit.api")

# The first that fits: subclasses stand before their bases.
KINDS: tuple[tuple[type[MeritError], int, str, str], ...] = (
    (InputError, 400, "input", "The request cannot be carried out as it is"),
    (NotFound, 404, "not-found", "Not found"),
    (Reverted, 409, "reverted", "The contract refused the call"),
    (ChainError, 503, "chain", "The chain did not do what was asked"),
    (CorruptContent, 502, "corrupt-content", "Stored bytes are not what they should be"),
    (StorageError, 503, "storage", "Content cannot be stored or fetched"),
    (JobOver, 409, "job-over", "The job is past this"),
    (AuditFailed, 409, "audit-failed", "The audit found a mismatch"),
)


class Refusal(Exception):
    """A request that the node does not serve: who asks, from where, or how often. status: HTTP's."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def problem_of(error: Exception) -> Problem:
    """The document for an error; nothing of an unexpected one is told but that it happened."""
    match error:
        case Refusal():
            return Problem(
                type="urn:merit:refused",
                title=HTTPStatus(error.status).phrase,
                status=error.status,
                detail=error.detail,
            )
        case MeritError():
            for kind, status, name, title in KINDS:
                if isinstance(error, kind):
                    code = error.name or None if isinstance(error, Reverted) else None
                    return Problem(type=f"urn:merit:{name}", title=title, status=status, detail=str(error), name=code)
    return Problem(type="urn:merit:internal", title="Internal error", status=500, detail="The node's log says more.")


def response_of(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        problem.model_dump(exclude_none=True), problem.status, headers, media_type="application/problem+json"
    )


def install(app: FastAPI) -> None:
    """Answers every error of the app's routes with a problem document."""

    async def known(_: Request, error: Exception) -> JSONResponse:
        return response_of(problem_of(error), error.headers if isinstance(error, Refusal) else None)

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        found = error.errors() if isinstance(error, RequestValidationError) else []
        clauses = [f"{'.'.join(map(str, item['loc'][1:])) or item['loc'][0]}: {item['msg']}" for item in found[:20]]
        detail = f"The request is not valid: {'; '.join(clauses)}."
        return response_of(Problem(type="urn:merit:invalid", title="Not valid", status=422, detail=detail))

    async def plain(_: Request, error: Exception) -> JSONResponse:
        status = error.status_code if isinstance(error, HTTPException) else 500
        said: Any = error.detail if isinstance(error, HTTPException) else ""
        phrase = HTTPStatus(status).phrase
        problem = Problem(type="about:blank", title=phrase, status=status, detail=str(said) or phrase)
        return response_of(problem, dict(error.headers) if isinstance(error, HTTPException) and error.headers else None)

    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error", exc_info=error)
        return response_of(problem_of(error))

    app.add_exception_handler(MeritError, known)
    app.add_exception_handler(Refusal, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(Exception, unexpected)
