"""How much of TCP's streams has come through, told from the packets: what is sent again counts once."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

_TCP = 6
_SYN = 0x02
_HALF = 1 << 31  # sequence numbers go round at twice that (RFC 9293, section 3.4)


@dataclass(slots=True)
class ReceivedStreams:
    """Notes IPv4 packets that go one way.

    Attributes:
        counts: of bytes, by the port that they come from.
    """

    counts: dict[int, int] = field(default_factory=dict)
    _ends: dict[tuple[int, int], int] = field(default_factory=dict)

    def note(self, packet: bytes) -> None:
        """Count the bytes of a packet's stream that are new, for the port that they come from."""
        header = 4 * (packet[0] & 15)
        if packet[0] >> 4 != 4 or packet[9] != _TCP or len(packet) < header + 20:
            return
        source, target, number = struct.unpack_from("!HHI", packet, header)
        is_first = packet[header + 13] & _SYN
        size = len(packet) - header - 4 * (packet[header + 12] >> 4)
        end = (number + size + (1 if is_first else 0)) % (2 * _HALF)
        if is_first:
            self._ends[source, target] = end
            return
        new = (end - self._ends.get((source, target), end)) % (2 * _HALF)
        if 0 < new < _HALF:
            self._ends[source, target] = end
            self.counts[source] = self.counts.get(source, 0) + new
