"""What the routes have in common: the store they answer from, and how OpenAPI describes their answers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request

from binary_split.keyservice.store import Store
from binary_split.service.problems import MEDIA_TYPE


async def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


PROBLEM_SCHEMA = "Problem"
"""The name, among the description's schemas, of what every operation may answer."""

StoreOf = Annotated[Store, Depends(_store)]
"""A route's parameter: the application's store."""


def client_of(request: Request) -> str:
    """Return the address that asks, for the audit."""
    return request.client.host if request.client else "-"


def problem(description: str, *headers: str) -> dict[str, Any]:
    """Describe a problem document as an answer, and the headers that come with it."""
    schema = {"$ref": f"#/components/schemas/{PROBLEM_SCHEMA}"}
    answer: dict[str, Any] = {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}
    if headers:
        answer["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return answer


def document(description: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Describe an answer that nothing may store."""
    return {
        "description": f"{description} Never stored by a cache.",
        "content": {media_type: {"schema": schema}},
        "headers": {"Cache-Control": {"schema": {"type": "string", "const": "no-store"}}},
    }
