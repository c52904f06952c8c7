"""When a running service writes a checkpoint by itself."""

from __future__ import annotations

import time

from binary_split.keyservice.ledger import Ledger

CHECKPOINT_EVERY_S = 60.0


class CheckpointTimes:
    """Writes one a minute where there is something new, and one at the end."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._next = time.monotonic() + CHECKPOINT_EVERY_S

    def checkpoint_if_due(self, *, is_last: bool) -> None:
        """Bring the checkpoint file up to the chain if it is time.

        Raises:
            KeyStoreError: it cannot be done; the next call tries again.
        """
        if is_last or time.monotonic() >= self._next:
            self._ledger.checkpoint()
            self._next = time.monotonic() + CHECKPOINT_EVERY_S
