"""Stanzas to and from the program that started the plugin (C2SP age-plugin.md, "IPC protocol")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from binary_split.archive.age.header import Stanza, StanzaParser
from binary_split.archive.age.intake import Intake
from binary_split.archive.age.writing import Sink, write_all
from binary_split.config import LIMITS, Limits
from binary_split.errors import ArchiveFormatError, ArchiveUnreadableError, PluginProtocolError
from binary_split.model import Readable

_WRAPPING_ARGUMENTS = 2  # what stands before a header's stanza: the command, the file's index
_ANSWERS = {"ok", "fail", "unsupported"}


class Channel:
    """Both directions of one conversation; phases are the caller's matter.

    Args:
        source: what the client writes. A read must return what is there and not wait for more, for
            the client waits for us: a raw file, not a buffered one.
        sink: what the client reads; each stanza goes out in one write.
        limits: bounds on a stanza and on all of them together.
    """

    def __init__(self, source: Readable, sink: Sink, *, limits: Limits = LIMITS) -> None:
        limits = replace(limits, age_stanza_arguments=limits.age_stanza_arguments + _WRAPPING_ARGUMENTS)
        self._parser = StanzaParser(Intake(source), limits, max_bytes=limits.age_plugin_bytes)
        self._sink = sink

    def phase(self) -> Iterator[Stanza]:
        """Yield the commands of a phase that the client controls, without its ``done``.

        Raises:
            PluginProtocolError: a stanza is malformed or too large, or the client hung up.
        """
        while (stanza := self._receive()).kind != "done":
            yield stanza

    def command(self, kind: str, *arguments: str, body: bytes = b"") -> None:
        """Send a command of a phase that we control, and wait for the answer: any, also that it is unknown.

        Raises:
            PluginProtocolError: the answer is none, or the client hung up.
        """
        self.tell(kind, *arguments, body=body)
        if self._receive().kind not in _ANSWERS:
            raise PluginProtocolError("the client answered with what is no answer")

    def tell(self, kind: str, *arguments: str, body: bytes = b"") -> None:
        """Send a command and wait for nothing: ``done``, or the last words to a client that babbles.

        Raises:
            PluginProtocolError: the client hung up.
        """
        try:
            write_all(self._sink, Stanza(kind, arguments, body).serialise())
        except OSError as error:
            raise PluginProtocolError("the client hung up") from error

    def _receive(self) -> Stanza:
        try:
            return self._parser.parse_stanza(self._parser.next_line())
        except (ArchiveFormatError, ArchiveUnreadableError) as error:
            raise PluginProtocolError(
                "the client hung up, or sent what is no stanza of the plugin protocol"
            ) from error
