"""The table of an unlock's states, and nothing but the table."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from binary_split.unlock.states import State, advance

FULL = [
    State.IDLE,
    State.CHECKING,
    State.AUTHENTICATING,
    State.DOWNLOADING_KEY,
    State.DECRYPTING,
    State.LOADING_IMAGES,
    State.VERIFYING,
    State.READY,
]
SHORT_CUTS = [(State.CHECKING, State.READY), (State.DECRYPTING, State.READY)]
AGAIN = [(State.READY, State.CHECKING), (State.ERROR, State.CHECKING)]
ALLOWED = {*pairwise(FULL), *SHORT_CUTS, *AGAIN, *((state, State.ERROR) for state in State)}


@pytest.mark.parametrize(("current", "following"), sorted(ALLOWED))
def test_what_is_allowed_is_entered(current: State, following: State) -> None:
    assert advance(current, following) is following


@pytest.mark.parametrize(("current", "following"), sorted({*product(State, State)} - ALLOWED))
def test_everything_else_is_refused(current: State, following: State) -> None:
    with pytest.raises(ValueError, match=f"from {current} to {following}"):
        advance(current, following)


def test_every_state_can_be_reached() -> None:
    reached = {State.IDLE}
    while more := {b for a, b in product(reached, State) if (a, b) in ALLOWED} - reached:
        reached |= more
    assert reached == set(State)


def test_every_state_but_none_for_ever_leads_to_ready() -> None:
    good = {State.READY}
    while more := {a for a, b in product(State, good) if (a, b) in ALLOWED} - good:
        good |= more
    assert good == set(State)


def test_states_are_the_words_that_programs_read() -> None:
    assert [str(state) for state in FULL] == [
        "idle",
        "checking",
        "authenticating",
        "downloading_key",
        "decrypting",
        "loading_images",
        "verifying",
        "ready",
    ]
