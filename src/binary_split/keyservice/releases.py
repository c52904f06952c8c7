"""The release of fragments: a batch of requests is read, decided, spent and recorded in one transaction.

However many requests are in a batch, the statements are the same few. The turn in the audit chain is taken
first, so that whatever any process has committed before, such as a revocation, is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from binary_split.errors import (
    BinarySplitError,
    DeviceKeyNeededError,
    FragmentForbiddenError,
    FragmentNotFoundError,
    RateLimitedError,
    TokenRejectedError,
)
from binary_split.keyservice.chain import AuditEvent
from binary_split.keyservice.decision import holds_key, is_tokens_own, meant_key, refuse_release
from binary_split.keyservice.failures import FailureTally
from binary_split.keyservice.keyring import KeyRing
from binary_split.keyservice.ledger import Ledger, Transaction
from binary_split.keyservice.release_pace import ReleasePace
from binary_split.keyservice.release_reads import BatchFacts, TokenFacts, read_facts
from binary_split.keyservice.release_spending import RefusedError, Spending
from binary_split.keyservice.tokens import hash_token
from binary_split.model import Fragment
from binary_split.service.pace import Pace

NONCE_BYTES = (16, 64)
"""A nonce is of a length between these two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRequest:
    """What a device asks for.

    Attributes:
        token: the bearer's token.
        key_id: the key that is meant; None is the token's own, or the only one that its device may have.
        is_sealed: whether the fragment will leave sealed to the device's enrolled public key.
        nonce: the device's own, 16 to 64 bytes; with the same one again no second use is spent.
        source: the address that asks, for the audit.
    """

    token: str = field(repr=False)
    key_id: str | None = None
    is_sealed: bool = False
    nonce: bytes | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Released:
    """A fragment whose release is recorded for good.

    Attributes:
        fragment: the secret; where the request said ``is_sealed``, it must not leave unsealed.
        key_id: the key.
        token_id: the token that was shown.
        device_id: the device, None for a token without one.
        public_key: what the device enrolled, None if nothing.
        is_repeat: whether the nonce was known, and so no use was spent.
        seq: the number of the audit record.
    """

    fragment: Fragment
    key_id: str
    token_id: str
    device_id: str | None
    public_key: bytes | None
    is_repeat: bool
    seq: int


class ReleaseDesk:
    """Answers batches of requests.

    Attributes:
        pace: how often whoever is known may ask; nobody is bound unless told.
    """

    def __init__(self, ledger: Ledger, ring: KeyRing, failures: FailureTally) -> None:
        self._ledger = ledger
        self._ring = ring
        self._failures = failures
        self.pace = ReleasePace(per_token=Pace(0), per_device=Pace(0))

    def run(self, requests: Sequence[ReleaseRequest]) -> list[Released | Exception]:
        """Answer each request with a release that is committed with its record, or with an error.

        Raises:
            KeyStoreStateError: the database cannot be used: nothing was released.
            KeyStoreDamagedError: it is no sound database.
        """
        with self._ledger.writing() as turn:
            asked = [(hash_token(request.token), request.key_id, request.nonce) for request in requests]
            facts = read_facts(turn.connection, asked, turn.now)
            spending = Spending(turn, facts)
            answers = [self._answer(turn, facts, spending, request) for request in requests]
            spending.remember()
        return answers

    def _answer(
        self, turn: Transaction, facts: BatchFacts, spending: Spending, request: ReleaseRequest
    ) -> Released | Exception:
        token = facts.tokens.get(hash_token(request.token))
        try:
            return self._release(turn, facts, spending, request, _verify_token(token, turn.now))
        except RefusedError as refused:
            self._failures.note(
                source=token.bearer.token_id if token else request.source, reason=refused.reason
            )
            return refused.told or FragmentNotFoundError("no such fragment")
        except (TokenRejectedError, FragmentForbiddenError) as error:
            self._failures.note(
                source=request.source, reason="unknown-token" if token is None else "dead-token"
            )
            return error
        except RateLimitedError as error:
            self._failures.note(source=token.bearer.token_id if token else "-", reason="too-often")
            return error
        except BinarySplitError as error:
            return error

    def _release(
        self,
        turn: Transaction,
        facts: BatchFacts,
        spending: Spending,
        request: ReleaseRequest,
        token: TokenFacts,
    ) -> Released:
        bearer = token.bearer
        self.pace.verify(bearer.token_id, bearer.device_id)
        key_id = meant_key(bearer, request.key_id, turn.now)
        if key_id is None or not holds_key(bearer, key_id, turn.now):
            raise RefusedError("no-grant")
        key = facts.keys.get(key_id)
        reason = refuse_release(bearer, None if key is None else key.facts, is_sealed=request.is_sealed)
        if reason == "plain-refused":  # its bearer holds the key, and has asked in the wrong way
            raise RefusedError(reason, told=DeviceKeyNeededError("the fragment is released sealed only"))
        if reason is not None or key is None:
            raise RefusedError(reason or "no-such-key")
        # Opened before anything is spent: a damaged row costs nobody a use.
        fragment = self._ring.open(turn.connection, key.kek_id, key_id, key.sealed)
        is_repeat = False if is_tokens_own(bearer, key_id) else spending.spend(bearer, key_id, request.nonce)
        detail = {"token_id": bearer.token_id, "source": request.source}
        if request.is_sealed:
            detail["sealed"] = "yes"
        if is_repeat:
            detail["repeat"] = "yes"
        seq = turn.record(
            AuditEvent(
                kind="release",
                actor=bearer.token_id,
                key_id=key_id,
                device_id=bearer.device_id,
                detail=detail,
            )
        )
        return Released(fragment, key_id, bearer.token_id, bearer.device_id, token.public_key, is_repeat, seq)


def _verify_token(token: TokenFacts | None, now: int) -> TokenFacts:
    if token is None:
        raise TokenRejectedError("the token is unknown")
    if token.is_revoked:
        raise FragmentForbiddenError("the token was revoked")
    if now >= token.expires_at:
        raise TokenRejectedError("the token has expired")
    if token.is_device_disabled:
        raise FragmentForbiddenError("the device was disabled")
    return token
