"""The one decision: may this token have this key now? Pure: everything it looks at is given.

There is one answer for every no. Which reason it was is for the audit and the log, never for the bearer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

KeyState = Literal["active", "retired", "destroyed"]
PlainRelease = Literal["allowed", "enrolled-refused", "refused"]
FRAGMENT_READ = "fragment:read"

Refusal = Literal[
    "scope",
    "no-such-key",
    "no-grant",
    "destroyed",
    "plain-refused",
    "no-device-key",
    "used-up",
]


@dataclass(frozen=True, slots=True)
class Grant:
    """A right to one key; times in seconds since 1970, None where there is no bound."""

    grant_id: str
    key_id: str
    not_before: int | None = None
    not_after: int | None = None
    uses_left: int | None = None

    def covers(self, now: int) -> bool:
        """Tell whether it holds at a time: from ``not_before`` on, and until before ``not_after``."""
        return (self.not_before is None or self.not_before <= now) and (
            self.not_after is None or now < self.not_after
        )


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who asks: a live token, the device that it is bound to, and what they may have."""

    token_id: str
    scopes: frozenset[str]
    token_key_id: str | None = None
    device_id: str | None = None
    has_public_key: bool = False
    grants: Sequence[Grant] = ()


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What is known of the key that is asked for."""

    key_id: str
    state: KeyState
    plain_release: PlainRelease


def meant_key(bearer: Bearer, key_id: str | None, now: int) -> str | None:
    """Return the key that a request means: the named one, the token's own, or the only one granted."""
    if key_id is not None:
        return key_id
    if bearer.token_key_id is not None:
        return bearer.token_key_id
    granted = {grant.key_id for grant in bearer.grants if grant.covers(now)}
    return granted.pop() if len(granted) == 1 else None


def refuse_release(bearer: Bearer, key: KeyFacts | None, *, is_sealed: bool) -> Refusal | None:
    """Return why a key is not released to this bearer in this way, or None; grants are judged elsewhere.

    Args:
        bearer: who asks.
        key: the key that is meant, None where there is none.
        is_sealed: whether the fragment leaves sealed to the device's enrolled public key.
    """
    if FRAGMENT_READ not in bearer.scopes:
        return "scope"
    if key is None:
        return "no-such-key"
    if key.state == "destroyed":
        return "destroyed"
    if is_sealed:
        return None if bearer.has_public_key else "no-device-key"
    if key.plain_release == "refused" or (bearer.has_public_key and key.plain_release == "enrolled-refused"):
        return "plain-refused"
    return None


def is_tokens_own(bearer: Bearer, key_id: str) -> bool:
    """Tell whether the token itself names the key: then no grant is needed. Never for a device's token."""
    return bearer.device_id is None and bearer.token_key_id == key_id


def holds_key(bearer: Bearer, key_id: str, now: int) -> bool:
    """Tell whether the bearer has a right to a key now, even one whose uses are spent."""
    return is_tokens_own(bearer, key_id) or bool(usable_grants(bearer.grants, key_id, now, with_used_up=True))


def usable_grants(
    grants: Iterable[Grant], key_id: str, now: int, *, with_used_up: bool = False
) -> list[Grant]:
    """Return the grants that give a key now, in the order in which they are used: unlimited ones first.

    ``with_used_up`` keeps those without a use left: a repeated nonce still gets what it has paid for.
    """
    usable = [
        grant
        for grant in grants
        if grant.key_id == key_id and grant.covers(now) and (with_used_up or grant.uses_left != 0)
    ]
    return sorted(usable, key=lambda grant: (grant.uses_left is not None, grant.grant_id))
