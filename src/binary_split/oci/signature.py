"""The signature over a release statement: a DSSE envelope (secure-systems-lab/dsse, v1). Pure bytes.

What is signed is ``PAE = "DSSEv1 " len(type) " " type " " len(payload) " " payload``, so nothing has to be
parsed to check a signature. An envelope is read only in the one form that we write: JSON with sorted keys,
without spaces, and with padded standard base64.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING

from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError, SignatureMissingError, SignatureUntrustedError
from binary_split.oci.images import parse_json
from binary_split.oci.publisher_key import SIGNATURE_BYTES, PrivateKey, PublicKey

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope

PAYLOAD_TYPE = "application/vnd.in-toto+json"

_WHAT = "the envelope of the release statement"
_KEY_ID = re.compile(r"[0-9a-f]{64}")
_SHOWN_KEY_IDS = 3


def sign_statement(statement: bytes, key: PrivateKey) -> bytes:
    """Return the envelope of a statement, signed with a key.

    Args:
        statement: as ``ReleaseStatement.serialise`` gives it.
        key: the publisher's.

    Raises:
        ArchiveFormatError: the statement is too long to be read again.
    """
    from securesystemslib.signer import Signature  # type: ignore[attr-defined] # it names no __all__

    envelope = _wrap(statement)
    envelope.signatures[key.key_id] = Signature(key.key_id, key.sign(envelope.pae()).hex())
    return _serialise(envelope)


def unsigned_envelope(statement: bytes) -> bytes:
    """Return the envelope of a statement that nobody signs: only ``--allow-unsigned`` accepts it.

    Raises:
        ArchiveFormatError: the statement is too long to be read again.
    """
    return _serialise(_wrap(statement))


def verify_envelope(envelope: bytes, trusted: Iterable[PublicKey]) -> bytes:
    """Return the statement if a trusted key signed it; one of several is enough, for rotation.

    The key ids in the envelope are its maker's word: they say which key to try first and nothing else.

    Raises:
        ArchiveFormatError: the envelope is malformed.
        SignatureMissingError: it has no signature.
        SignatureUntrustedError: no trusted key made one of its signatures.
    """
    parsed = _parse(envelope)
    if not parsed.signatures:
        raise SignatureMissingError("nobody signed the release statement")
    pairs = list(product(parsed.signatures.values(), trusted))
    if not pairs:
        raise SignatureUntrustedError("the release statement is signed, but no trusted key is known here")
    message = parsed.pae()
    for signature, key in sorted(pairs, key=lambda pair: pair[0].keyid != pair[1].key_id):
        with suppress(SignatureUntrustedError):
            key.verify_signature(bytes.fromhex(signature.signature), message)
            return parsed.payload
    claimed = ", ".join(list(parsed.signatures)[:_SHOWN_KEY_IDS])
    raise SignatureUntrustedError(
        f"no trusted key signed the release statement; it names the key {claimed} as its signer's"
    )


def read_unverified_payload(envelope: bytes) -> bytes:
    """Return the statement of an envelope, whoever wrote it: for ``--allow-unsigned`` and to show it.

    Raises:
        ArchiveFormatError: the envelope is malformed.
    """
    return _parse(envelope).payload


def _wrap(statement: bytes) -> Envelope:
    # imported late: the library takes 0.1 s, and only a command that meets a statement needs it
    from securesystemslib.dsse import Envelope

    if len(statement) > LIMITS.statement_bytes:
        raise ArchiveFormatError(f"the release statement is longer than {LIMITS.statement_bytes} bytes")
    return Envelope(statement, PAYLOAD_TYPE, {})


def _parse(content: bytes) -> Envelope:
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import Error

    if len(content) > LIMITS.envelope_bytes:
        raise ArchiveFormatError(f"{_WHAT} is longer than {LIMITS.envelope_bytes} bytes")
    document = parse_json(content, what=_WHAT, kind=dict)
    try:
        envelope = Envelope.from_dict(document)
        is_canonical = _is_ours(envelope) and _serialise(envelope) == content
    except (Error, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ArchiveFormatError(f"{_WHAT} is malformed") from error
    if not is_canonical:
        raise ArchiveFormatError(f"{_WHAT} is not in the form in which it is written")
    return envelope


def _is_ours(envelope: Envelope) -> bool:
    return (
        envelope.payload_type == PAYLOAD_TYPE
        and len(envelope.payload) <= LIMITS.statement_bytes
        and len(envelope.signatures) <= LIMITS.envelope_signatures
        and all(
            _KEY_ID.fullmatch(signature.keyid)
            and len(signature.signature) == 2 * SIGNATURE_BYTES  # the library keeps it as hex
            and not signature.unrecognized_fields
            for signature in envelope.signatures.values()
        )
    )


def _serialise(envelope: Envelope) -> bytes:
    return json.dumps(envelope.to_dict(), sort_keys=True, separators=(",", ":")).encode()
