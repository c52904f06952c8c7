"""The states of an unlock, as a pure table."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where an unlock is."""

    IDLE = "idle"
    CHECKING = "checking"
    AUTHENTICATING = "authenticating"
    DOWNLOADING_KEY = "downloading_key"
    DECRYPTING = "decrypting"
    LOADING_IMAGES = "loading_images"
    VERIFYING = "verifying"
    READY = "ready"
    ERROR = "error"


_NEXT: dict[State, frozenset[State]] = {
    State.IDLE: frozenset({State.CHECKING}),
    State.CHECKING: frozenset({State.AUTHENTICATING, State.READY}),
    State.AUTHENTICATING: frozenset({State.DOWNLOADING_KEY}),
    State.DOWNLOADING_KEY: frozenset({State.DECRYPTING}),
    # ready at once: only the opened archive could tell that everything is there already
    State.DECRYPTING: frozenset({State.LOADING_IMAGES, State.READY}),
    State.LOADING_IMAGES: frozenset({State.VERIFYING}),
    State.VERIFYING: frozenset({State.READY}),
    State.READY: frozenset({State.CHECKING}),
    State.ERROR: frozenset({State.CHECKING}),
}


def advance(current: State, following: State) -> State:
    """Return the state that follows.

    Raises:
        ValueError: it cannot follow the current one.
    """
    if following is not State.ERROR and following not in _NEXT[current]:
        raise ValueError(f"an unlock cannot go from {current} to {following}")
    return following
