"""What the agent says of the unlock: one frozen picture after the other, without any secret."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from binary_split.errors import BinarySplitError
from binary_split.unlock.states import State


class ImageState(StrEnum):
    """Where an image of the release is."""

    WAITING = "waiting"
    LOADING = "loading"
    LOADED = "loaded"
    VERIFIED = "verified"


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """One image.

    Attributes:
        name: its reference.
        done_bytes: of the work on it; sending and unpacking count alike.
        total_bytes: of that work; 0 where there is none.
    """

    name: str
    state: ImageState
    done_bytes: int = 0
    total_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an unlock ended without success, in the words of our own error.

    Attributes:
        code: of the error, as ``docs/exit-codes.md`` lists it.
        detail: what happened.
        hint: what to do about it; may be empty.
        retryable: whether trying again may help by itself.
    """

    code: str
    detail: str
    hint: str = ""
    retryable: bool = False

    @classmethod
    def of(cls, error: BinarySplitError) -> Failure:
        """Return what an error says."""
        return cls(error.code, str(error), error.hint or "", error.retryable)


@dataclass(frozen=True, slots=True)
class Status:
    """The unlock as it is now.

    Attributes:
        number: grows with every change, also over restarts of the agent: an event's id.
        state: where it is.
        archive: the configured name of the archive that it is about; empty before the first unlock.
        version: of the release, once it is known; empty before.
        done_bytes: of the step that is under way.
        total_bytes: of that step; None where that is not known.
        rate_bytes_per_s: mean of the step so far.
        remaining_s: at that rate; None where it cannot be known.
        waiting_for: who is waited for, once nothing has moved for a while; empty before.
        images: those of the release, once they are known.
        failure: why it ended in `State.ERROR`.
        started_at: seconds since the epoch (UTC); None before the first unlock.
        changed_at: seconds since the epoch (UTC).
    """

    number: int
    state: State
    changed_at: float
    archive: str = ""
    version: str = ""
    done_bytes: int = 0
    total_bytes: int | None = None
    rate_bytes_per_s: float = 0.0
    remaining_s: float | None = None
    waiting_for: str = ""
    images: tuple[ImageStatus, ...] = ()
    failure: Failure | None = None
    started_at: float | None = None

    @property
    def is_running(self) -> bool:
        """Whether an unlock is under way."""
        return self.state not in {State.IDLE, State.READY, State.ERROR}
