"""What a bench, a demo or a test gets where a real component cannot be had."""

from __future__ import annotations


class Unavailable(Exception):  # noqa: N818 - a finding about this machine, not a fault
    """A real component cannot be started on this machine.

    Attributes:
        component: what it is, such as ``dockerd``.
        reason: why it is not to be had here, in one line.
    """

    def __init__(self, component: str, reason: str) -> None:
        super().__init__(f"{component}: {reason}")
        self.component = component
        self.reason = reason
