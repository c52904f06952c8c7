"""How OpenAPI describes the acts: their members from the wishes, their answers from the views."""

from __future__ import annotations

from typing import Any

from binary_split.keyservice.admin.wishes import Performed
from binary_split.keyservice.answers import problem

_NO_STORE = {"Cache-Control": {"schema": {"type": "string", "const": "no-store"}}}


def describe_answers(performed: Performed[Any]) -> dict[int | str, dict[str, Any]]:
    """Return an act's answers, by status."""
    return {
        200: {"description": "Done. Never stored by a cache.", "model": performed.view, "headers": _NO_STORE},
        400: problem("A member is wrong, or the Authorization header is malformed."),
        401: problem("No token, or one that is unknown or has expired.", "WWW-Authenticate"),
        403: problem("The token was revoked, or is not for this.", "WWW-Authenticate"),
        404: problem("What is named does not exist."),
        409: problem("A name is taken, or a state does not allow it."),
        500: problem("The service failed; its log says where."),
        503: problem("The store is locked or its disk is full: try again.", "Retry-After"),
        "default": problem("Any other problem."),
    }


def describe_members(performed: Performed[Any]) -> dict[str, Any]:
    """Return an act's parameters and body, for OpenAPI."""
    schema = performed.wish.model_json_schema()
    in_path = performed.act.path_members
    members: dict[str, dict[str, Any]] = schema.get("properties", {})
    required = schema.get("required", [])
    described: dict[str, Any] = {
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": members[name]} for name in in_path
        ]
    }
    others = {name: member for name, member in members.items() if name not in in_path}
    if performed.act.method == "GET":
        described["parameters"] += [
            {"name": name, "in": "query", "required": name in required, "schema": _without_null(member)}
            for name, member in others.items()
        ]
    elif others:
        body = {
            "type": "object",
            "title": performed.wish.__name__,
            "properties": others,
            "required": [name for name in required if name in others],
            "additionalProperties": False,
        }
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return described


def _without_null(member: dict[str, Any]) -> dict[str, Any]:
    """Return what a query can say: a parameter is there or not, and never null."""
    if "anyOf" not in member:
        return member
    (kind,) = (each for each in member["anyOf"] if each != {"type": "null"})
    rest = {name: value for name, value in member.items() if name not in {"anyOf", "default"}}
    return {**kind, **rest}
