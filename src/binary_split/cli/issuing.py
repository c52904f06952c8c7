"""Issuing what is secret: a token or a code, printed once or written to a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from binary_split.cli.desks import Place
from binary_split.cli.output import emit, emit_json, say
from binary_split.keyservice.admin.acts import Act


def issue_secret(
    place: Place, act: Act, name: str, out: Path | None, *, as_json: bool, **members: Any
) -> None:
    """Do an act whose answer holds a secret, which goes to stdout or to a new file and nowhere else.

    Args:
        place: where.
        act: issues something.
        name: the secret's member in the answer, such as ``token``.
        out: the file; it is sure to take the secret before anything is issued.
        as_json: print the answer, with the secret or with its file.
        members: of the act.

    Raises:
        OutputError: the file exists already, or cannot be written.
        BinarySplitError: what the act raises.
    """
    from binary_split.config import LIMITS
    from binary_split.files import reserved_secret

    with place.open() as desk:
        if out is None:
            answer = desk.do(act, **members)
            secret = answer[name]
        else:
            with reserved_secret(out, max_bytes=LIMITS.token_bytes) as deliver:
                answer = desk.do(act, **members)
                deliver(answer.pop(name).encode())
            answer[f"{name}_file"] = str(out)
            secret = None
    if as_json:
        emit_json(answer)
    elif secret is not None:
        emit(secret)
    whose = answer["device_id"] or answer.get("key_id")
    told = f"{name} {answer[f'{name}_id']}" + (f" for {whose}" if whose else "")
    say(f"{told}, expires {answer['expires']}")
