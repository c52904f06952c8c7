"""Fetch a fragment that the key service seals to this device's key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from binary_split.errors import ConfigError
from binary_split.keyclient.address import release_path
from binary_split.keyclient.answer import Answer, read_document
from binary_split.keyclient.asking import Service
from binary_split.keyclient.token import BearerToken
from binary_split.model import Fragment, is_key_id

if TYPE_CHECKING:
    from binary_split.sealedfragment import PrivateKey


def fetch_sealed_fragment(
    service: Service, token: str, device_key: PrivateKey, *, key_id: str, device: str | None = None
) -> Fragment:
    """Fetch a fragment, sealed to the key that this device enrolled, and open it.

    Every try carries the same nonce, by which the service knows it again: it spends no second use. An answer
    to another request, or for another device or key, is refused.

    Args:
        service: whom to ask.
        token: sent as ``Authorization: Bearer`` (RFC 6750, section 2.1) to that origin and to no other.
        device_key: opens what is sealed; nothing of it is sent.
        key_id: which fragment.
        device: what the service calls this device; None takes the service's word.

    Raises:
        KeyServiceError: one of its subclasses, by cause.
        SecretFileError: the token is not one; nothing was sent.
        ConfigError: the key-id is none, or the CA file cannot be used; nothing was sent.
    """
    from binary_split.keyclient.exchange import Request
    from binary_split.sealedfragment import SealedFragment, generate_nonce, open_fragment
    from binary_split.sealedfragment.encoding import encode_base64url

    bearer = BearerToken.parse(token, max_bytes=service.limits.token_bytes)
    del token  # a report that shows the variables of each frame shows the masked one
    if not is_key_id(key_id):
        raise ConfigError(f"not a key-id: {key_id[:80]!r}", hint="Give it as the vendor named it.")
    nonce = generate_nonce()
    max_bytes = service.limits.sealed_fragment_bytes
    request = Request(
        service.address(release_path(key_id)),
        bearer,
        max_bytes,
        json.dumps({"nonce": encode_base64url(nonce)}).encode(),
    )

    def read(answer: Answer) -> Fragment:
        sealed = SealedFragment.parse(read_document(answer, bearer, max_bytes=max_bytes))
        return open_fragment(sealed, device_key, device=device, key_id=key_id, nonce=nonce)

    return service.ask(request, read)
