"""A container made of an image and removed again, never started: the proof that its layers are there."""

from __future__ import annotations

import json

from binary_split.engines.wire import Wire
from binary_split.errors import EngineAnswerError, ImageIncompleteError, ImageMissingError
from binary_split.model import ImageRef

_LABEL = "binary-split.trial"


def verify_container(wire: Wire, ref: ImageRef) -> None:
    """Make a container of an image and remove it, and any that a run that was killed has left.

    Raises:
        ImageMissingError: there is no such image.
        ImageIncompleteError: the engine can make none of it.
        EngineAnswerError: it makes one and keeps it.
    """
    _remove_left(wire)
    what = f"make a container of {ref}"
    document = {
        "Image": str(ref),
        "Cmd": ["/"],  # an image may have none; it is never run
        "Labels": {_LABEL: "1"},
        "NetworkDisabled": True,
        "HostConfig": {"NetworkMode": "none"},
    }
    answer = wire.ask("POST", "/containers/create", what, document=document)
    if answer.status == 404 and "no such image" in answer.message.lower():
        raise ImageMissingError(f"could not {what}: {answer.message}")
    if answer.status >= 400:
        raise ImageIncompleteError(
            f"could not {what}: {answer.message}", hint="Remove the image and unlock the release again."
        )
    _remove(wire, answer.read_json(dict, what))


def _remove_left(wire: Wire) -> None:
    what = "list the containers of trials"
    query = {"all": "1", "filters": json.dumps({"label": [_LABEL], "status": ["created"]})}
    for row in wire.ask("GET", "/containers/json", what, query=query).read_json(list, what):
        _remove(wire, row)


def _remove(wire: Wire, container: object) -> None:
    what = "remove a container that was made for a trial"
    name = container.get("Id") if isinstance(container, dict) else None
    if not isinstance(name, str):
        raise EngineAnswerError(f"could not {what}: the answer makes no sense")
    answer = wire.ask("DELETE", f"/containers/{name}", what, query={"force": "1", "v": "1"})
    if answer.status not in {404, 409}:  # another run removes it too
        answer.raise_if_refused(what)
