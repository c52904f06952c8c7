"""The uses of limited grants: spent by a conditional update, so that no two processes spend the same one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, insert, select, tuple_, update

from binary_split.errors import BinarySplitError
from binary_split.keyservice.decision import Bearer, Grant, Refusal, usable_grants
from binary_split.keyservice.ledger import Transaction
from binary_split.keyservice.release_reads import BatchFacts
from binary_split.keyservice.schema import GRANTS, SPENT_NONCES

NONCE_KEPT_S = 24 * 3600
"""A nonce is known for at least so long: far longer than the tries of one fetch go on."""

_NONCE = tuple_(SPENT_NONCES.c.device_id, SPENT_NONCES.c.key_id, SPENT_NONCES.c.nonce)
_OLDEST = (
    select(SPENT_NONCES.c.device_id, SPENT_NONCES.c.key_id, SPENT_NONCES.c.nonce)
    .where(SPENT_NONCES.c.spent_at < bindparam("before"))
    .order_by(SPENT_NONCES.c.spent_at)
    .limit(bindparam("most"))
)
_FORGET = delete(SPENT_NONCES).where(_NONCE.in_(_OLDEST))

_SPEND = (
    update(GRANTS)
    .where(GRANTS.c.grant_id == bindparam("spent"), GRANTS.c.uses_left > 0, GRANTS.c.revoked_at.is_(None))
    .values(uses_left=GRANTS.c.uses_left - 1)
)


class RefusedError(Exception):
    """The decision is no; the bearer never learns why, but by ``told``.

    Attributes:
        told: what the bearer is answered instead of "no such fragment".
    """

    def __init__(self, reason: Refusal, *, told: BinarySplitError | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.told = told


class Spending:
    """What a batch spends."""

    def __init__(self, turn: Transaction, facts: BatchFacts) -> None:
        self._nonces: list[dict[str, Any]] = []
        self._turn = turn
        self._spent = dict(facts.spent)
        self._used_up: set[str] = set()

    def spend(self, bearer: Bearer, key_id: str, nonce: bytes | None) -> bool:
        """Spend one use of a grant that the bearer holds, if the grant counts them.

        Returns:
            Whether the nonce was shown before, and so nothing was spent.

        Raises:
            RefusedError: every use is spent.
        """
        seen = (bearer.device_id or "", key_id, nonce or b"")
        if nonce is not None and self._is_repeat(bearer, self._spent.get(seen)):
            return True
        for grant in usable_grants(bearer.grants, key_id, self._turn.now):
            if grant.uses_left is None:
                return False
            if self._take(grant):
                if nonce is not None and bearer.device_id is not None:
                    self._remember(bearer.device_id, key_id, nonce, grant.grant_id)
                return False
        raise RefusedError("used-up")

    def remember(self) -> None:
        """Write the nonces down, and forget twice as many that are old: so they never grow without end."""
        if not self._nonces:
            return
        before = self._turn.now - NONCE_KEPT_S
        self._turn.connection.execute(_FORGET, {"before": before, "most": 2 * len(self._nonces)})
        self._turn.connection.execute(insert(SPENT_NONCES), self._nonces)

    def _is_repeat(self, bearer: Bearer, grant_id: str | None) -> bool:
        """Tell whether the use that a nonce spent still holds: its grant is not revoked and not over."""
        return any(g.grant_id == grant_id and g.covers(self._turn.now) for g in bearer.grants)

    def _take(self, grant: Grant) -> bool:
        if grant.grant_id in self._used_up:
            return False
        if self._turn.connection.execute(_SPEND, {"spent": grant.grant_id}).rowcount == 1:
            return True
        self._used_up.add(grant.grant_id)
        return False

    def _remember(self, device_id: str, key_id: str, nonce: bytes, grant_id: str) -> None:
        known = (device_id, key_id, nonce) in self._spent
        self._spent[device_id, key_id, nonce] = grant_id
        if not known:  # one whose grant is over stays as it is: its row is there already
            row = {"device_id": device_id, "key_id": key_id, "nonce": nonce, "grant_id": grant_id}
            self._nonces.append(row | {"spent_at": self._turn.now})
