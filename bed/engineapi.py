"""The few calls to a Docker engine's API that the bed itself needs."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

_DANGLING_REF = "<none>:<none>"
_DANGLING = quote('{"dangling":["true"]}')


def ask(engine: Path, method: str, path: str, document: object = None, *, timeout_s: float = 60) -> Any:
    """Call the API on the unix socket ``engine`` and return the answer's JSON, None where it has none.

    Raises:
        OSError: the engine cannot be reached or refused.
    """
    connection = _UnixConnection(engine, timeout_s)
    try:
        if document is None:
            connection.request(method, path)
        else:
            connection.request(method, path, json.dumps(document), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status >= 400:
        raise OSError(f"{method} {path}: {answer.status} {body.decode(errors='replace').strip()}")
    is_json = answer.headers.get_content_type() == "application/json"
    return json.loads(body) if body and is_json else None


def is_up(engine: Path) -> bool:
    """Tell whether the engine answers."""
    try:
        ask(engine, "GET", "/_ping", timeout_s=5)
    except (OSError, http.client.HTTPException):
        return False
    return True


def image_ids(engine: Path) -> dict[str, str]:
    """Return each reference that the engine has and the id of its image."""
    images = ask(engine, "GET", "/images/json")
    tags = ((ref, image["Id"]) for image in images for ref in image.get("RepoTags") or ())
    return {ref: found for ref, found in tags if ref != _DANGLING_REF}


def remove_everything(engine: Path) -> None:
    """Remove every container and every image.

    Raises:
        OSError: the engine keeps some.
    """
    for container in ask(engine, "GET", "/containers/json?all=1"):
        ask(engine, "DELETE", f"/containers/{container['Id']}?force=1&v=1")
    for ref in image_ids(engine):
        ask(engine, "DELETE", f"/images/{quote(ref, safe='')}?force=1")
    ask(engine, "POST", f"/images/prune?filters={_DANGLING}")
    if kept := ask(engine, "GET", "/images/json?all=1"):
        raise OSError(f"the engine keeps images: {kept}")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_s)
        self.sock.connect(str(self._path))
