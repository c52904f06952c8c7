"""Transactions that leave a record: what is done and its record are committed together, or neither is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, insert, select, update

from binary_split.errors import KeyStoreDamagedError
from binary_split.keyservice.audit import read_record
from binary_split.keyservice.chain import AuditChain, AuditEvent, ChainHead
from binary_split.keyservice.checkpoint_lines import REPLAYED
from binary_split.keyservice.checkpoints import CheckpointFile
from binary_split.keyservice.clock import Clock, to_seconds
from binary_split.keyservice.database import reading, writing
from binary_split.keyservice.schema import AUDIT, AUDIT_HEAD

_HEAD = select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.mac).where(AUDIT_HEAD.c.name == "head")
_LOCKED_HEAD = _HEAD.with_for_update()
_MOVE_HEAD = update(AUDIT_HEAD).where(AUDIT_HEAD.c.name == "head")
_INSERT = insert(AUDIT)
_REPLAYED_SINCE = select(AUDIT).where(AUDIT.c.kind.in_(REPLAYED)).order_by(AUDIT.c.seq)


class Transaction:
    """A transaction whose turn it is; ``record`` says what was done in it.

    Attributes:
        connection: where to do it.
        now: the time at which it happens, in seconds since 1970.
    """

    __slots__ = ("_chain", "_rows", "connection", "head", "now")

    def __init__(self, connection: Connection, chain: AuditChain, head: ChainHead, now: int) -> None:
        self.connection = connection
        self.now = now
        self.head = head
        self._chain = chain
        self._rows: list[dict[str, object]] = []

    def record(self, event: AuditEvent) -> int:
        """Append a record and return its number; it is there once the transaction is committed."""
        row = self._chain.link(self.head, event, self.now)
        self._rows.append(row)
        self.head = ChainHead(row["seq"], row["mac"])
        return self.head.seq

    @property
    def takes_rights(self) -> bool:
        """Whether a record says that a right was taken away."""
        return any(row["kind"] in REPLAYED for row in self._rows)

    def write_records(self) -> bool:
        """Write what was recorded; tell whether there was anything."""
        if not self._rows:
            return False
        self.connection.execute(_INSERT, self._rows)
        self.connection.execute(_MOVE_HEAD, {"seq": self.head.seq, "mac": self.head.mac})
        return True


class Ledger:
    """Opens such transactions, one at a time over all processes on one database.

    Whatever it does may raise what ``writing`` raises.
    """

    def __init__(self, engine: Engine, chain: AuditChain, checkpoints: CheckpointFile, clock: Clock) -> None:
        self.engine = engine
        self.chain = chain
        self.checkpoints = checkpoints
        self._clock = clock

    @contextmanager
    def writing(self, *, with_checkpoint: bool = True) -> Iterator[Transaction]:
        """Give a transaction that waits for its turn first, and is durable with its records when it ends.

        Where nothing was recorded, nothing is changed: it is rolled back.
        Where it took a right away, the checkpoint file knows of it too before this returns.
        """
        with writing(self.engine) as connection:
            transaction = Transaction(
                connection, self.chain, read_head(connection, lock=True), to_seconds(self._clock())
            )
            yield transaction
            if not transaction.write_records():
                connection.rollback()
        if transaction.takes_rights and with_checkpoint:
            self.checkpoint()

    def checkpoint(self) -> ChainHead:
        """Bring the checkpoint file up to the chain: rights that any process took away, and the head."""
        now = to_seconds(self._clock())
        with self.checkpoints.appending() as appender, reading(self.engine) as connection:
            known = appender.last.seq if appender.last else 0
            head = read_head(connection)
            rows = connection.execute(_REPLAYED_SINCE.where(AUDIT.c.seq > known, AUDIT.c.seq <= head.seq))
            for row in rows.mappings():
                appender.add_record(read_record(row), now)
            written = appender.lines[-1] if appender.lines else appender.last
            if head.seq and (written is None or written.seq < head.seq):
                appender.add_head(head, now)
        return head


def read_head(connection: Connection, *, lock: bool = False) -> ChainHead:
    """Return where the chain ends; ``lock`` keeps it there until the transaction ends.

    Raises:
        KeyStoreDamagedError: the row is missing.
    """
    row = connection.execute(_LOCKED_HEAD if lock else _HEAD).first()
    if row is None:
        raise KeyStoreDamagedError("the audit chain has no head")
    return ChainHead(row.seq, row.mac)
