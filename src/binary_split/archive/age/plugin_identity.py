"""The identity ``AGE-PLUGIN-BINARY-SPLIT-1…``: where a fragment is, never the fragment itself.

It is Bech32, upper case (C2SP age-plugin.md, "Mapping recipients and identities to plugin binaries"), around
a canonical JSON document (UTF-8, sorted keys, no spaces), one of::

    {"fragment_file": PATH, "key_id"?: ID}
    {"ca_file"?: PATH, "key_id"?: ID, "key_service": URL, "token_file": PATH}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from binary_split.archive.age.bech32 import decode_bech32, encode_bech32
from binary_split.archive.age.fragment import (
    FragmentIdentity,
    FragmentStanza,
    parse_fragment_stanzas,
)
from binary_split.archive.age.header import Stanza
from binary_split.config import LIMITS
from binary_split.errors import ConfigError
from binary_split.model import Fragment, is_key_id

_PREFIX = "age-plugin-binary-split-"
_PATHS = ("fragment_file", "token_file", "ca_file")
_HINT = "Make the identity anew with `binary-split identity`."


@dataclass(frozen=True, slots=True)
class FragmentFile:
    """A fragment that lies in a file.

    Attributes:
        fragment_file: absolute path.
        key_id: the fragment's name; None to try it on each stanza.
    """

    fragment_file: str
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class ServedFragment:
    """A fragment that a key service releases.

    Attributes:
        key_service: URL, without user name, query or fragment part: nothing in which a secret hides.
        token_file: absolute path of the file that holds the token.
        key_id: which fragment; None for the one that the token is for.
        ca_file: absolute path of the service's own CA, PEM.
    """

    key_service: str
    token_file: str
    key_id: str | None = None
    ca_file: str | None = None


FragmentLocation = FragmentFile | ServedFragment


class LocatedIdentity:
    """Opens with the fragment at a location, which is fetched when a stanza asks for it, and once.

    Args:
        location: where the fragment is.
        fetch: reads the file or asks the key service.
    """

    def __init__(self, location: FragmentLocation, fetch: Callable[[FragmentLocation], Fragment]) -> None:
        self.location = location
        self._fetch = fetch
        self._identity: FragmentIdentity | None = None

    def matching(self, stanzas: Sequence[Stanza]) -> tuple[FragmentStanza, ...]:
        """Return the stanzas that the fragment may open, by their key-ids.

        Raises:
            ArchiveFormatError: a stanza of our type is malformed.
        """
        key_id = self.location.key_id
        return tuple(each for each in parse_fragment_stanzas(stanzas) if key_id in (None, each.key_id))

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key (16 bytes), or None where no stanza is for this fragment.

        Raises:
            ArchiveFormatError: a stanza of our type is malformed.
            BinarySplitError: whatever ``fetch`` raises.
        """
        if not self.matching(stanzas):
            return None
        if self._identity is None:
            self._identity = FragmentIdentity(self._fetch(self.location), key_id=self.location.key_id)
        return self._identity.unwrap(stanzas)


def is_plugin_identity(text: str) -> bool:
    """Say whether a line can only be meant as an identity of this plugin, well-formed or not."""
    return text.casefold().startswith(_PREFIX + "1")


def serialise_plugin_identity(location: FragmentLocation) -> str:
    """Return the identity's text, one line.

    Raises:
        ConfigError: a path is not absolute, a URL or key-id is none, or all of it is too long.
    """
    _check(location)
    return encode_bech32(_PREFIX, _serialise(location)).upper()


def parse_plugin_identity(text: str) -> FragmentLocation:
    """Parse what `serialise_plugin_identity` writes, and nothing else: no other plugin's name above all.

    Raises:
        ConfigError: it is anything else.
    """
    if len(text) > LIMITS.age_key_text_bytes or text != text.upper():
        raise ConfigError("not an identity of binary-split", hint=_HINT)
    try:
        prefix, raw = decode_bech32(text)
    except ValueError as error:
        raise ConfigError(f"not an identity of binary-split: {error}", hint=_HINT) from None
    if prefix != _PREFIX:
        raise ConfigError("the identity is of another plugin than binary-split", hint=_HINT)
    location = _parse(raw)
    _check(location)
    if _serialise(location) != raw:
        raise ConfigError("the identity is not in its canonical form", hint=_HINT)
    return location


def identity_file_text(location: FragmentLocation, *, created: str) -> str:
    """Return a whole identity file: comments for people, as age-keygen writes them, then the identity.

    Args:
        location: what the identity names.
        created: the time, in any form.

    Raises:
        ConfigError: as `serialise_plugin_identity`.
    """
    identity = serialise_plugin_identity(location)
    named = [f"# {name.replace('_', ' ')}: {value}" for name, value in _document(location).items()]
    return "\n".join([f"# created: {created}", *named, identity, ""])


def _document(location: FragmentLocation) -> dict[str, str]:
    return {name: value for name, value in sorted(asdict(location).items()) if value is not None}


def _serialise(location: FragmentLocation) -> bytes:
    try:
        text = json.dumps(_document(location), ensure_ascii=False, separators=(",", ":"))
        raw = text.encode()
    except UnicodeEncodeError:
        raise ConfigError("a path in the identity is not valid UTF-8") from None
    if len(raw) > LIMITS.age_location_bytes:
        raise ConfigError(f"the identity would hold more than {LIMITS.age_location_bytes} bytes")
    return raw


def _parse(raw: bytes) -> FragmentLocation:
    if len(raw) > LIMITS.age_location_bytes:
        raise ConfigError("the identity is too long", hint=_HINT)
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        raise ConfigError("the identity holds no JSON document", hint=_HINT) from None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise ConfigError("the identity's document is no object of texts", hint=_HINT)
    kind = FragmentFile if "fragment_file" in document else ServedFragment
    try:
        return kind(**document)
    except TypeError:
        raise ConfigError("the identity's document holds wrong or missing names", hint=_HINT) from None


def _check(location: FragmentLocation) -> None:
    document = _document(location)
    for name, value in document.items():
        if not value.isprintable():  # it is shown in comments and on terminals
            raise ConfigError(f"the identity's {name} holds a line end or another control character")
        if name in _PATHS and not value.startswith("/"):
            raise ConfigError(f"the identity's {name} is not an absolute path: {value[:200]!r}")
    if location.key_id is not None and not is_key_id(location.key_id):
        raise ConfigError(f"not a key-id: {location.key_id[:80]!r}")
    if isinstance(location, ServedFragment):
        scheme, separator, rest = location.key_service.partition("://")
        if scheme not in {"https", "http"} or not separator or not rest or set("@?#") & set(rest):
            raise ConfigError(
                "the identity's key service is no URL that a token is sent to",
                hint="Use an https:// URL without user name and query.",
            )
