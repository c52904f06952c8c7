"""The administration of a key service elsewhere, over its HTTP API."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from binary_split.errors import (
    AdministrationForbiddenError,
    KeyServiceAnswerError,
    RecordConflictError,
    RecordError,
    RecordMissingError,
)
from binary_split.keyclient import Service
from binary_split.keyclient.answer import Answer, explain_refusal, read_document
from binary_split.keyclient.token import BearerToken
from binary_split.keyservice.admin.acts import PREFIX, Act

_REFUSALS: dict[int, type[RecordError]] = {
    400: RecordError,
    404: RecordMissingError,
    409: RecordConflictError,
}


class RemoteDesk:
    """Does acts with an administrator's token.

    What only reads is asked again where that may help. What changes something is sent once: no answer does
    not mean that it was not done.
    """

    def __init__(self, service: Service, token: str) -> None:
        self._service = service
        self._limits = service.limits
        self._bearer = BearerToken.parse(token, max_bytes=self._limits.token_bytes)

    def do(self, act: Act, **members: Any) -> dict[str, Any]:
        """Do an act and return its answer, as ``LocalDesk.do`` does.

        Raises:
            RecordError: a member is wrong; or one of its kin.
            AdministrationForbiddenError: the token is no administrator's, or was revoked.
            KeyServiceError: another of its subclasses, by cause.
        """
        from binary_split.keyclient.exchange import Request

        given = {name: value for name, value in members.items() if value is not None}
        names = {name: quote(str(given.pop(name)), safe="") for name in act.path_members}
        path = PREFIX + act.path.format_map(names)
        service, body = self._service, None
        if act.method == "GET":
            path += f"?{urlencode({name: _query_text(value) for name, value in given.items()})}"
        else:
            service = replace(service, limits=replace(self._limits, fetch_attempts=1))
            body = json.dumps(given).encode()
        address = service.address(path)
        request = Request(address, self._bearer, self._limits.admin_answer_bytes, body, is_json_wanted=True)
        return service.ask(request, self._read)

    def _read(self, answer: Answer) -> dict[str, Any]:
        said = explain_refusal(answer, self._bearer).removeprefix(": ")
        is_ours = answer.media_type == "application/problem+json" and said not in {"", "Not Found"}
        if answer.status in _REFUSALS and is_ours:
            raise _REFUSALS[answer.status](said)
        if answer.status == 403:
            raise AdministrationForbiddenError("the key service refuses this to the token (403)")
        if answer.status in _REFUSALS:
            raise KeyServiceAnswerError(f"no administration answers there ({answer.status})")
        text = read_document(answer, self._bearer, max_bytes=self._limits.admin_answer_bytes)
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise KeyServiceAnswerError("the answer is no JSON object")
        return document


def _query_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
