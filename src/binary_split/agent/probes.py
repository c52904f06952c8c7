"""Probes for whoever supervises the agent, open to all: they tell nothing but yes or no."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from binary_split.agent.answers import NOT_READY, UnlockerOf, problem
from binary_split.errors import BinarySplitError
from binary_split.service.problems import NO_STORE, ProblemError

router = APIRouter(redirect_slashes=False)


@router.get("/healthz", summary="Is the process alive?", operation_id="isAlive", tags=["probes"])
async def _healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="Are the images verified?",
    description="The engine is asked again where the last proof is older than 10 s.",
    operation_id="isReady",
    tags=["probes"],
    responses={503: problem("The images are not verified, or the engine does not say.", "Retry-After")},
)
def _readyz(unlocker: UnlockerOf) -> dict[str, str]:
    try:
        is_ready = unlocker.check_ready()
    except BinarySplitError:
        is_ready = False
    if not is_ready:
        raise ProblemError(NOT_READY)
    return {"status": "ready"}


@router.get("/openapi.json", include_in_schema=False)
async def _openapi(request: Request) -> JSONResponse:
    return JSONResponse(request.app.openapi(), headers=NO_STORE)
