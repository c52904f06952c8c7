"""The signature over a release statement: what no trusted key signed is never returned as verified."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined] # it names no __all__

from binary_split.config import LIMITS
from binary_split.errors import (
    ArchiveFormatError,
    BinarySplitError,
    SignatureMissingError,
    SignatureUntrustedError,
)
from binary_split.oci.publisher_key import PublicKey
from binary_split.oci.signature import (
    PAYLOAD_TYPE,
    read_unverified_payload,
    sign_statement,
    unsigned_envelope,
    verify_envelope,
)
from tests.oci.statements import STATEMENT, private_key

OLD, NEW, STRANGER = private_key(1), private_key(2), private_key(3)
CONTENT = STATEMENT.serialise()
ENVELOPE = sign_statement(CONTENT, OLD)
UNSIGNED = unsigned_envelope(CONTENT)
SHORT = sign_statement(b"{}", OLD)


def canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding, written again from its specification."""
    kind = b"application/vnd.in-toto+json"
    return b"DSSEv1 " + str(len(kind)).encode() + b" " + kind + b" %d " % len(payload) + payload


def joined(*envelopes: bytes) -> bytes:
    """An envelope with the signatures of several."""
    document = json.loads(envelopes[0])
    document["signatures"] = [line for envelope in envelopes for line in json.loads(envelope)["signatures"]]
    return canonical(document)


def edited(edit: Callable[[dict[str, Any]], object], envelope: bytes = ENVELOPE) -> bytes:
    document = json.loads(envelope)
    edit(document)
    return canonical(document)


def renamed(envelope: bytes, key_id: str) -> bytes:
    return edited(lambda doc: doc["signatures"][0].update(keyid=key_id), envelope)


def test_the_envelope_has_the_documented_form() -> None:
    signature = base64.b64encode(OLD.sign(pae(CONTENT))).decode()
    assert ENVELOPE.decode() == (
        f'{{"payload":"{base64.b64encode(CONTENT).decode()}","payloadType":"application/vnd.in-toto+json",'
        f'"signatures":[{{"keyid":"{OLD.key_id}","sig":"{signature}"}}]}}'
    )


def test_the_statement_comes_out_as_it_was_signed() -> None:
    assert verify_envelope(ENVELOPE, [OLD.public_key]) == CONTENT
    assert read_unverified_payload(ENVELOPE) == CONTENT


@pytest.mark.parametrize("signer", [OLD, NEW])
def test_while_keys_rotate_each_trusted_one_is_enough(signer: Any) -> None:
    trusted = (key.public_key for key in (OLD, NEW))
    assert verify_envelope(sign_statement(CONTENT, signer), trusted) == CONTENT


def test_an_untrusted_key_is_refused() -> None:
    with pytest.raises(SignatureUntrustedError, match=STRANGER.key_id):
        verify_envelope(sign_statement(CONTENT, STRANGER), [OLD.public_key, NEW.public_key])


def test_with_no_trusted_key_everything_is_refused() -> None:
    with pytest.raises(SignatureUntrustedError, match="no trusted key is known"):
        verify_envelope(ENVELOPE, [])


def test_an_untrusted_signature_beside_a_trusted_one_changes_nothing() -> None:
    stranger = sign_statement(CONTENT, STRANGER)
    for envelope in (joined(ENVELOPE, stranger), joined(stranger, ENVELOPE)):
        assert verify_envelope(envelope, [NEW.public_key, OLD.public_key]) == CONTENT
        with pytest.raises(SignatureUntrustedError):
            verify_envelope(envelope, [NEW.public_key])


@pytest.mark.parametrize("trusted", [[], [OLD.public_key]])
def test_no_signature_is_refused_as_such(trusted: list[PublicKey]) -> None:
    with pytest.raises(SignatureMissingError):
        verify_envelope(UNSIGNED, trusted)
    assert read_unverified_payload(UNSIGNED) == CONTENT


def test_a_key_id_is_a_hint_and_proves_nothing() -> None:
    posing = renamed(sign_statement(CONTENT, STRANGER), OLD.key_id)
    with pytest.raises(SignatureUntrustedError):
        verify_envelope(posing, [OLD.public_key])
    assert verify_envelope(renamed(ENVELOPE, STRANGER.key_id), [NEW.public_key, OLD.public_key]) == CONTENT


def test_a_signature_does_not_fit_another_statement() -> None:
    other = edited(lambda doc: doc.update(payload=base64.b64encode(b"{}").decode()))
    with pytest.raises(SignatureUntrustedError):
        verify_envelope(other, [OLD.public_key])


def test_the_statement_alone_signed_without_its_type_is_refused() -> None:
    bare = base64.b64encode(OLD.sign(CONTENT)).decode()
    with pytest.raises(SignatureUntrustedError):
        verify_envelope(edited(lambda doc: doc["signatures"][0].update(sig=bare)), [OLD.public_key])


def test_the_order_of_the_group_added_to_a_signature_makes_no_second_one() -> None:
    signature = OLD.sign(pae(CONTENT))
    order = 2**252 + 27742317777372353535851937790883648493
    larger = (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    text = base64.b64encode(signature[:32] + larger).decode()
    with pytest.raises(SignatureUntrustedError):
        verify_envelope(edited(lambda doc: doc["signatures"][0].update(sig=text)), [OLD.public_key])


@pytest.mark.parametrize(
    "envelope",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        ENVELOPE + b"\n",
        ENVELOPE.replace(b",", b", "),
        ENVELOPE.replace(b'{"payload"', b'{"payload":"","payload"'),
        ENVELOPE.replace(b"application/vnd", b"application\\/vnd"),
        joined(ENVELOPE, ENVELOPE),
        joined(*(sign_statement(CONTENT, private_key(n)) for n in range(9, 10 + LIMITS.envelope_signatures))),
        edited(lambda doc: doc.update(more=1)),
        edited(lambda doc: doc["signatures"][0].update(cert="")),
        edited(lambda doc: doc.update(payloadType="application/json")),
        edited(lambda doc: doc.update(payloadType=1)),
        edited(lambda doc: doc.update(payload=1)),
        edited(lambda doc: doc.update(payload="e30")),
        edited(lambda doc: doc.update(payload="e30=\n")),
        edited(lambda doc: doc.update(payload="e31=")),  # the last bits of base64 that mean nothing
        edited(lambda doc: doc.update(payload="\ud800")),
        edited(lambda doc: doc.pop("signatures")),
        edited(lambda doc: doc.update(signatures=None)),
        edited(lambda doc: doc.update(signatures={"keyid": "sig"})),
        edited(lambda doc: doc.update(signatures=["", 1])),
        edited(lambda doc: doc["signatures"][0].pop("keyid")),
        edited(lambda doc: doc["signatures"][0].update(keyid=[])),
        edited(lambda doc: doc["signatures"][0].update(keyid=7)),
        edited(lambda doc: doc["signatures"][0].update(keyid="")),
        edited(lambda doc: doc["signatures"][0].update(keyid="A" * 64)),
        edited(lambda doc: doc["signatures"][0].update(sig="")),
        edited(lambda doc: doc["signatures"][0].update(sig=base64.b64encode(bytes(65)).decode())),
        edited(lambda doc: doc["signatures"][0].update(sig=base64.urlsafe_b64encode(b"\xff" * 64).decode())),
    ],
)
def test_an_envelope_in_another_form_is_refused(envelope: bytes) -> None:
    with pytest.raises(ArchiveFormatError):
        verify_envelope(envelope, [OLD.public_key])
    with pytest.raises(ArchiveFormatError):
        read_unverified_payload(envelope)


def test_what_is_too_long_is_neither_read_nor_written() -> None:
    large = bytes(LIMITS.statement_bytes + 1)
    payload = base64.b64encode(large).decode()
    for envelope in (
        b" " * (LIMITS.envelope_bytes + 1),
        edited(lambda doc: doc.update(payload=payload)),
    ):
        with pytest.raises(ArchiveFormatError):
            verify_envelope(envelope, [OLD.public_key])
    with pytest.raises(ArchiveFormatError):
        sign_statement(large, OLD)
    with pytest.raises(ArchiveFormatError):
        unsigned_envelope(large)


@pytest.mark.slow
def test_the_longest_statement_fits_its_envelope() -> None:
    longest = bytes(LIMITS.statement_bytes)
    signed = [sign_statement(longest, private_key(n)) for n in range(1, 1 + LIMITS.envelope_signatures)]
    assert verify_envelope(joined(*signed), [private_key(1).public_key]) == longest


@given(st.integers(0, len(ENVELOPE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_only_the_hint(at: int, flip: int) -> None:
    changed = bytearray(ENVELOPE)
    changed[at] ^= flip
    try:
        payload = verify_envelope(bytes(changed), [OLD.public_key])
    except (ArchiveFormatError, SignatureUntrustedError):
        return
    assert payload == CONTENT
    assert changed.replace(json.loads(changed)["signatures"][0]["keyid"].encode(), b"") == ENVELOPE.replace(
        OLD.key_id.encode(), b""
    )


def test_each_byte_changed_in_a_short_envelope_is_refused_or_changes_only_the_hint() -> None:
    hint = range(SHORT.index(OLD.key_id.encode()), SHORT.index(OLD.key_id.encode()) + 64)
    for at in range(len(SHORT)):
        changed = bytearray(SHORT)
        changed[at] ^= 1
        try:
            assert verify_envelope(bytes(changed), [OLD.public_key]) == b"{}"
            assert at in hint
        except (ArchiveFormatError, SignatureUntrustedError):
            pass


@pytest.mark.parametrize("length", range(0, len(SHORT), 7))
def test_an_envelope_cut_off_is_refused(length: int) -> None:
    with pytest.raises(ArchiveFormatError):
        verify_envelope(SHORT[:length], [OLD.public_key])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_the_parser_raises_only_our_errors(source: st.DataObject) -> None:
    document = json.loads(SHORT)
    place = source.draw(st.sampled_from([document, document["signatures"][0]]))
    place[source.draw(st.sampled_from(sorted(place)))] = source.draw(_JSON)
    try:
        assert verify_envelope(canonical(document), [OLD.public_key]) == b"{}"
    except BinarySplitError:
        return
    assert json.loads(SHORT) == document


@given(st.binary())
def test_any_bytes_raise_only_our_error(content: bytes) -> None:
    with pytest.raises(ArchiveFormatError):
        verify_envelope(content, [OLD.public_key])


def test_securesystemslib_verifies_ours() -> None:
    envelope = Envelope.from_dict(json.loads(ENVELOPE))
    raw = {"public": OLD.public_key.raw.hex()}
    accepted = envelope.verify([SSlibKey(OLD.key_id, "ed25519", "ed25519", raw)], 1)
    assert list(accepted) == [OLD.key_id]
    assert (envelope.payload, envelope.payload_type) == (CONTENT, PAYLOAD_TYPE)
    other = {"public": NEW.public_key.raw.hex()}
    with pytest.raises(VerificationError):
        envelope.verify([SSlibKey(OLD.key_id, "ed25519", "ed25519", other)], 1)


@pytest.fixture
def signed_files(tmp_path: Path) -> dict[str, Path]:
    """What openssl needs to check a signature without us: the message, the signature, the public key."""
    document = json.loads(ENVELOPE)
    contents = {
        "message": pae(base64.b64decode(document["payload"])),
        "signature": base64.b64decode(document["signatures"][0]["sig"]),
        "key": OLD.public_key.serialise(),
    }
    files = {name: tmp_path / name for name in contents}
    for name, path in files.items():
        path.write_bytes(contents[name])
    return files


def test_openssl_verifies_ours(program: Callable[[str], Path], signed_files: dict[str, Path]) -> None:
    command = [
        str(program("openssl")),
        "pkeyutl",
        "-verify",
        "-rawin",
        "-pubin",
        "-inkey",
        str(signed_files["key"]),
    ]
    command += ["-in", str(signed_files["message"]), "-sigfile", str(signed_files["signature"])]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    signed_files["message"].write_bytes(signed_files["message"].read_bytes() + b" ")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_we_verify_what_openssl_signed(program: Callable[[str], Path], tmp_path: Path) -> None:
    key, message = tmp_path / "key", tmp_path / "message"
    key.write_bytes(OLD.serialise())
    message.write_bytes(pae(CONTENT))
    command = [str(program("openssl")), "pkeyutl", "-sign", "-rawin"]
    command += ["-inkey", str(key), "-in", str(message)]
    signature = subprocess.run(command, capture_output=True, check=True).stdout
    text = base64.b64encode(signature).decode()
    envelope = edited(lambda doc: doc["signatures"].append({"keyid": OLD.key_id, "sig": text}), UNSIGNED)
    assert verify_envelope(envelope, [OLD.public_key]) == CONTENT
