"""The store of one key service: its keys, devices, grants, tokens and audit, and the release of fragments."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from sqlalchemy import Engine

from binary_split.errors import RecordError
from binary_split.keyservice.audit import AuditTrail
from binary_split.keyservice.checkpoint_times import CheckpointTimes
from binary_split.keyservice.checkpoints import CheckpointFile
from binary_split.keyservice.clock import Clock, utc_now
from binary_split.keyservice.database import reading
from binary_split.keyservice.devices import DeviceRepository
from binary_split.keyservice.enrolment import EnrolmentRepository
from binary_split.keyservice.failures import FailureTally
from binary_split.keyservice.grants import GrantRepository
from binary_split.keyservice.group_commit import GroupCommit
from binary_split.keyservice.keyring import KeyRing
from binary_split.keyservice.keys import KeyRepository
from binary_split.keyservice.ledger import Ledger
from binary_split.keyservice.offline import OfflineRelease
from binary_split.keyservice.release_pace import ReleasePace
from binary_split.keyservice.releases import NONCE_BYTES, Released, ReleaseDesk, ReleaseRequest
from binary_split.keyservice.secrets_folder import AuditKeys
from binary_split.keyservice.sessions import SessionRepository
from binary_split.keyservice.token_records import TokenRepository
from binary_split.model import Fragment


@dataclass(frozen=True, slots=True)
class Parts:
    """What a store is made of."""

    engine: Engine
    ring: KeyRing
    audit_keys: AuditKeys
    checkpoints: CheckpointFile


class Store:
    """One key service's store, safe to share between threads.

    Whatever touches the database may raise KeyStoreStateError (locked, full, restarting or gone: try
    again) and
    KeyStoreDamagedError (no sound database). Nothing that decides is cached: what is committed, by whichever
    process, holds from the next request on.

    Attributes:
        keys: the fragments.
        devices: who may ask.
        grants: what they may have.
        tokens: what they show.
        enrolment: how they get it.
        sessions: logins of people.
        offline: fragments for devices without network.
        audit: what happened.
        ledger: transactions that leave a record.
        failures: failed authentications, counted.
        clock: the present, as the store sees it.
    """

    def __init__(self, parts: Parts, *, clock: Clock = utc_now) -> None:
        self._engine = parts.engine
        self._ring = parts.ring
        self.clock = clock
        self.ledger = Ledger(parts.engine, parts.audit_keys.chain, parts.checkpoints, clock)
        self.audit = AuditTrail(parts.engine, parts.audit_keys.chain, parts.checkpoints)
        self.failures = FailureTally(self.ledger, clock)
        self.keys = KeyRepository(self.ledger, parts.ring)
        self.devices = DeviceRepository(self.ledger)
        self.grants = GrantRepository(self.ledger)
        self.tokens = TokenRepository(self.ledger)
        self.enrolment = EnrolmentRepository(self.ledger)
        self.sessions = SessionRepository(self.ledger, clock)
        self.offline = OfflineRelease(self.ledger, parts.ring)
        self._times = CheckpointTimes(self.ledger)
        self._desk = ReleaseDesk(self.ledger, parts.ring, self.failures)
        self._commits: GroupCommit[ReleaseRequest, Released] = GroupCommit(self._desk.run, idle=self._be_idle)

    @property
    def engine(self) -> Engine:
        """The database."""
        return self._engine

    @property
    def ring(self) -> KeyRing:
        """The key-encryption keys."""
        return self._ring

    @property
    def waiting(self) -> int:
        """How many releases wait for their record."""
        return self._commits.waiting

    def limit_releases(self, pace: ReleasePace) -> None:
        """Bound how often a token and a device may ask, in this process."""
        self._desk.pace = pace

    def start(self) -> None:
        """Write counted failures and checkpoints by themselves from now on, until ``close``."""
        self._commits.start()

    def close(self) -> None:
        """Answer what is under way, write what was counted, close all connections; a use opens new ones."""
        self._commits.stop()
        self._engine.dispose()

    def verify_ready(self) -> None:
        """Prove that the database answers and that the key-encryption keys and the audit key are its own.

        Raises:
            KeyEncryptionKeyError: one is missing or another store's.
            AuditBrokenError: the last audit record was not made with this audit key.
        """
        with reading(self._engine) as connection:
            self._ring.verify_known(connection)
        self.audit.verify_last()

    def submit_release(self, request: ReleaseRequest) -> Future[Released]:
        """Ask for a fragment; the answer comes when its release is recorded for good.

        The future's error is one of those of ``release``. In asyncio: ``await asyncio.wrap_future(…)``.

        Raises:
            KeyStoreStateError: too many requests are waiting.
            RecordError: the nonce is too short or too long.
        """
        if request.nonce is not None and not NONCE_BYTES[0] <= len(request.nonce) <= NONCE_BYTES[1]:
            raise RecordError(f"a nonce is {NONCE_BYTES[0]} to {NONCE_BYTES[1]} bytes long", hint="")
        return self._commits.submit(request)

    def release(self, token: str, *, key_id: str | None = None) -> Fragment:
        """Return the fragment that a token opens, as the plain GET does.

        Args:
            token: the bearer's token.
            key_id: which fragment the bearer means; None is the token's own, or the only one that it may
                have.

        Raises:
            TokenRejectedError: the token is unknown or has expired.
            RateLimitedError: the token or its device asks too often.
            FragmentForbiddenError: the token was revoked, or its device disabled.
            FragmentNotFoundError: this token may not have this key now in this way; whether it exists, and
                which of all reasons it was, makes no difference.
            KeyStoreDamagedError: the stored fragment fails authentication.
        """
        return self.submit_release(ReleaseRequest(token=token, key_id=key_id)).result().fragment

    def _be_idle(self) -> None:
        self.failures.write(all_minutes=self._commits.is_stopping)
        self._times.checkpoint_if_due(is_last=self._commits.is_stopping)
