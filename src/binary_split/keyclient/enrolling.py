"""Enrol this device: a one-time code becomes a device id and its token."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from binary_split.errors import EnrolmentRefusedError, KeyServiceAnswerError, SecretFileError
from binary_split.keyclient.address import ENROL_PATH
from binary_split.keyclient.answer import Answer, explain_refusal, read_document
from binary_split.keyclient.asking import Service
from binary_split.keyclient.token import BearerToken
from binary_split.model import is_device_id

if TYPE_CHECKING:
    from binary_split.sealedfragment import PublicKey


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an enrolment gives.

    Attributes:
        device: what the key service calls this device.
        token: its bearer token; no repr shows it.
    """

    device: str
    token: str = field(repr=False)


def enrol(service: Service, code: str, public_key: PublicKey) -> Enrolment:
    """Spend a one-time code; the key service will seal fragments to this public key and to no other.

    A try whose answer was lost is repeated with the same code and public key, which the service takes as the
    same enrolment.

    Args:
        service: whom to ask.
        code: from the vendor, sent to that origin and to no other.
        public_key: this device's.

    Raises:
        EnrolmentRefusedError: the code is unknown, used, revoked or expired.
        KeyServiceError: another of its subclasses, by cause.
        SecretFileError: the code is not one; nothing was sent.
        ConfigError: the CA file cannot be used; nothing was sent.
    """
    from binary_split.keyclient.exchange import Request

    masked = _parse_code(code, service.limits.token_bytes)
    body = json.dumps({"code": code, "public_key": public_key.serialise()}).encode()
    del code  # a report that shows the variables of each frame shows the masked one
    max_bytes = service.limits.enrolment_bytes
    request = Request(service.address(ENROL_PATH), None, max_bytes, body)
    del body
    return service.ask(request, lambda answer: _read_enrolment(answer, masked, max_bytes))


def _parse_code(code: str, max_bytes: int) -> BearerToken:
    """Check a code; it has the form of a token and is masked like one."""
    try:
        return BearerToken.parse(code, max_bytes=max_bytes)
    except SecretFileError:
        pass
    raise SecretFileError("the enrolment code is not one", hint="Give it exactly as the vendor issued it.")


def _read_enrolment(answer: Answer, code: BearerToken, max_bytes: int) -> Enrolment:
    if answer.status == 403:
        raise EnrolmentRefusedError(f"the key service refuses the code{explain_refusal(answer, code)}")
    if answer.status in {404, 405}:
        raise KeyServiceAnswerError(f"there is no key service that enrols devices ({answer.status})")
    enrolment = _parse_enrolment(read_document(answer, code, max_bytes=max_bytes))
    if enrolment is None:
        raise KeyServiceAnswerError("the answer is no enrolment")
    return enrolment


def _parse_enrolment(document: bytes) -> Enrolment | None:
    try:
        members = json.loads(document)
        device, token = members["device"], members["token"]
        if not is_device_id(device):
            return None
        BearerToken.parse(token, max_bytes=len(document))
    except (ValueError, KeyError, TypeError, RecursionError, SecretFileError):
        return None
    return Enrolment(device, token)
