"""The page on the HTTP services, from their own descriptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scripts.openapi import SERVICES, describe
from scripts.reference_page import code, head, plain, table

_INTRODUCTION = """
Two services: the vendor's [key service](../key-service.md) and the device's [agent](../agent.md). Every
shape is in [openapi/keyservice.json](../openapi/keyservice.json) and
[openapi/agent.json](../openapi/agent.json); each service shows its own at `/docs`, without the internet.
Where a token is needed it is `Authorization: Bearer TOKEN`; on the agent's unix socket none is. A name
that ends in `?` may be left out. Problems are RFC 9457 (`application/problem+json`).
"""


def serialise() -> str:
    """Return the page."""
    parts = [head("HTTP", "`docs/openapi/`"), _INTRODUCTION]
    for service in sorted(SERVICES, reverse=True):
        document = describe(service)
        information = document["info"]
        parts.append(f"\n## {information['title']}\n\n{information['summary']}\n\n")
        parts.append(table(("route", "does", "takes", "token", "answers"), _routes(document)))
    return "".join(parts)


def _routes(document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answers = " ".join(sorted(status for status in operation["responses"] if status != "default"))
            token = "yes" if operation.get("security") else "no"
            yield (
                f"`{method.upper()} {path}`",
                operation["summary"],
                _takes(document, operation),
                token,
                answers,
            )


def _takes(document: Mapping[str, Any], operation: Mapping[str, Any]) -> str:
    asked = [
        f"?{row['name']}" if row["in"] == "query" else row["name"]
        for row in operation.get("parameters", [])
        if row["in"] != "path"
    ]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        asked += _members(document, content["schema"])
    return plain(", ".join(map(code, asked)))


def _members(document: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Return the names in a JSON body; those that may be left out end in ``?``."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _members(document, document["components"]["schemas"][name])
    for choice in schema.get("anyOf", ()):
        if found := _members(document, choice):
            return found
    required = schema.get("required", [])
    return [name if name in required else f"{name}?" for name in schema.get("properties", {})]
