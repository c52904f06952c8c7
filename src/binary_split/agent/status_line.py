"""One line about the unlock, for `systemctl status`."""

from __future__ import annotations

import threading

from binary_split.agent.status import Status
from binary_split.agent.unlocker import Unlocker
from binary_split.service import systemd
from binary_split.sizes import format_size
from binary_split.unlock.states import State

_AT_MOST_EVERY_S = 1.0


def describe(status: Status) -> str:
    """Say in one line how it stands: ``loading images: 43 % of 2.1 GiB, 120.0 MiB/s, 12 s left``."""
    if status.state is State.ERROR and status.failure is not None:
        return " ".join(f"failed ({status.failure.code}): {status.failure.detail}".split())
    if status.state is State.READY:
        what = " ".join(filter(None, (status.archive, status.version)))
        return f"ready: {what}, images verified: {len(status.images)}"
    words = [status.state.replace("_", " ")]
    if status.total_bytes:
        words.append(
            f"{100 * status.done_bytes // status.total_bytes} % of {format_size(status.total_bytes)}"
        )
    if status.rate_bytes_per_s:
        words.append(f"{format_size(status.rate_bytes_per_s)}/s")
    if status.remaining_s is not None:
        words.append(f"{status.remaining_s:.0f} s left")
    if status.waiting_for:
        words.append(f"waiting for {status.waiting_for}")
    return f"{words[0]}: {', '.join(words[1:])}" if words[1:] else words[0]


class StatusLine:
    """Tells systemd how the unlock stands, once a second at most."""

    def __init__(self, unlocker: Unlocker) -> None:
        self._unlocker = unlocker
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="status-line", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._ended.set()
        self._thread.join(2 * _AT_MOST_EVERY_S)  # not for ever: who is told may hang

    def _tell(self) -> None:
        status: Status | None = self._unlocker.status()
        number = -1
        while not self._ended.wait(_AT_MOST_EVERY_S if status is not None else 0.0):
            if status is not None:
                number = status.number
                systemd.notify(f"STATUS={describe(self._unlocker.status())}")
            status = self._unlocker.wait_for(number, _AT_MOST_EVERY_S)
