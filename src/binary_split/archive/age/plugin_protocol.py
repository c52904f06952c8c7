"""The plugin's state machines ``identity-v1`` and ``recipient-v1`` (C2SP age-plugin.md), over a channel.

Neither touches a file or the network: fragments come from the function that the caller passes in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from binary_split.archive.age.fragment import KIND, FragmentStanza
from binary_split.archive.age.header import Stanza
from binary_split.archive.age.opening import no_match
from binary_split.archive.age.plugin_channel import Channel
from binary_split.archive.age.plugin_identity import (
    FragmentLocation,
    LocatedIdentity,
    parse_plugin_identity,
)
from binary_split.errors import (
    ArchiveDamagedError,
    ArchiveFormatError,
    BinarySplitError,
    ConfigError,
    PluginProtocolError,
)
from binary_split.model import Fragment

Fetch = Callable[[FragmentLocation], Fragment]
Describe = Callable[[BinarySplitError], str]

_INDEX_DIGITS = 9


@dataclass(slots=True)
class _Request:
    """What the client asks for: identities as text, and each file's stanzas by the file's index."""

    identities: list[str] = field(default_factory=list)
    files: dict[int, list[Stanza]] = field(default_factory=dict)


def run_identity_v1(channel: Channel, fetch: Fetch, describe: Describe) -> bool:
    """Unwrap the file keys of the files that the client asks about (C2SP age-plugin.md, "identity-v1").

    What goes wrong with an identity or a file is told to the client, in the words of ``describe``.

    Args:
        channel: to the client.
        fetch: returns the fragment at a location, or raises one of our errors.
        describe: puts an error into words for a person, without a secret.

    Returns:
        Whether nothing went wrong; a file that is for somebody else is no fault.

    Raises:
        PluginProtocolError: the client does not keep to the protocol, or hung up; it was told if it listens.
    """
    try:
        request = _read_request(channel)
    except PluginProtocolError as error:
        _give_up(channel, describe(error))
        raise
    return _Unwrapping(channel, fetch, describe).run(request)


def refuse_recipient_v1(channel: Channel, describe: Describe) -> None:
    """Answer a client that wants to seal: fragments are no public keys (C2SP age-plugin.md, "recipient-v1").

    Raises:
        PluginProtocolError: the client does not keep to the protocol, or hung up.
    """
    try:
        commands = [stanza.kind for stanza in channel.phase()]
    except PluginProtocolError as error:
        _give_up(channel, describe(error))
        raise
    words = describe(
        ConfigError(
            "age cannot seal for a fragment",
            hint="Seal with `binary-split seal`, or add a fragment with `binary-split rekey --add`.",
        )
    ).encode()
    for sort in ("recipient", "identity"):
        for index in range(commands.count(f"add-{sort}")):
            channel.command("error", sort, str(index), body=words)
    if not {"add-recipient", "add-identity"} & set(commands):
        channel.command("error", "internal", body=words)
    channel.tell("done")


class _Unwrapping:
    """The second phase of ``identity-v1``, which we control."""

    def __init__(self, channel: Channel, fetch: Fetch, describe: Describe) -> None:
        self._channel = channel
        self._fetch = fetch
        self._describe = describe
        self._failed = False

    def run(self, request: _Request) -> bool:
        identities = self._parse_identities(request.identities)
        if not self._failed:  # one bad identity, and none is used: so it is specified
            for index, stanzas in request.files.items():
                if self._is_sound(index, stanzas):
                    self._unwrap(index, stanzas, identities)
        self._channel.tell("done")
        return not self._failed

    def _parse_identities(self, texts: Sequence[str]) -> dict[int, LocatedIdentity]:
        identities = {}
        for index, text in enumerate(texts):
            try:
                identities[index] = LocatedIdentity(parse_plugin_identity(text), self._fetch)
            except BinarySplitError as error:
                self._fail(error, "identity", str(index))
        return identities

    def _is_sound(self, file_index: int, stanzas: Sequence[Stanza]) -> bool:
        faults = 0
        for index, stanza in enumerate(stanzas):
            if stanza.kind != KIND:
                continue
            try:
                FragmentStanza.parse(stanza)
            except ArchiveFormatError as error:
                self._fail(error, "stanza", str(file_index), str(index))
                faults += 1
        return not faults

    def _unwrap(
        self, file_index: int, stanzas: Sequence[Stanza], identities: dict[int, LocatedIdentity]
    ) -> None:
        for index, identity in tuple(identities.items()):
            try:
                file_key = identity.unwrap(stanzas)
            except BinarySplitError as error:
                del identities[index]  # told once, and the network is not asked in vain for each file
                self._fail(error, "identity", str(index))
                continue
            if file_key is not None:
                self._channel.command("file-key", str(file_index), body=file_key)
                return
        self._explain(file_index, stanzas, tuple(identities.values()))

    def _explain(
        self, file_index: int, stanzas: Sequence[Stanza], identities: Sequence[LocatedIdentity]
    ) -> None:
        """Say why a file stays shut: an error where a stanza names our fragment, else a word in passing."""
        mine = {identity.location.key_id for identity in identities}
        named = [
            index for index, each in enumerate(stanzas) if each.kind == KIND and each.arguments[0] in mine
        ]
        for index in named:
            self._fail(ArchiveDamagedError(), "stanza", str(file_index), str(index))
        if identities and not named and any(stanza.kind == KIND for stanza in stanzas):
            # No error: the client may have another identity, which it would then not try.
            self._channel.command("msg", body=self._describe(no_match(stanzas)).encode())

    def _fail(self, error: BinarySplitError, *whose: str) -> None:
        self._failed = True
        self._channel.command("error", *whose, body=self._describe(error).encode())


def _read_request(channel: Channel) -> _Request:
    request = _Request()
    newest = 0
    for stanza in channel.phase():
        if stanza.kind == "add-identity":
            if len(stanza.arguments) != 1:
                raise PluginProtocolError("the client named an identity in more or fewer words than one")
            request.identities.append(stanza.arguments[0])
        elif stanza.kind == "recipient-stanza":
            if len(stanza.arguments) < 2:
                raise PluginProtocolError("the client sent a recipient stanza without index or type")
            index, kind, *arguments = stanza.arguments
            newest = _parse_index(index, newest)
            request.files.setdefault(newest, []).append(Stanza(kind, tuple(arguments), stanza.body))
    return request


def _parse_index(text: str, newest: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _INDEX_DIGITS) or text != str(int(text)):
        raise PluginProtocolError("the client sent a file index that is no number")
    if int(text) < newest:
        raise PluginProtocolError("the client sent file indices that are not in order")
    return int(text)


def _give_up(channel: Channel, words: str) -> None:
    """Say the last words without waiting for an answer, to whoever may not even listen."""
    try:
        channel.tell("error", "internal", body=words.encode())
        channel.tell("done")
    except PluginProtocolError:
        return
