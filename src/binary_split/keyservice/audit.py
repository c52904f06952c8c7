"""The audit records: listed, followed, exported, verified."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Engine, RowMapping, select

from binary_split.errors import AuditBrokenError
from binary_split.keyservice.chain import AuditChain, AuditRecord, ChainHead
from binary_split.keyservice.checkpoint_lines import Checkpoint
from binary_split.keyservice.checkpoints import CheckpointFile
from binary_split.keyservice.clock import from_seconds
from binary_split.keyservice.database import reading
from binary_split.keyservice.paging import DEFAULT_PAGE, Page, fetch_page
from binary_split.keyservice.schema import AUDIT, AUDIT_HEAD

_BLOCK = 1000


class AuditTrail:
    """Reads the chain; who writes is the ``Ledger``. May raise what ``reading`` raises."""

    def __init__(self, engine: Engine, chain: AuditChain, checkpoints: CheckpointFile) -> None:
        self._engine = engine
        self._chain = chain
        self._checkpoints = checkpoints

    def page(
        self,
        *,
        cursor: str | None = None,
        limit: int = DEFAULT_PAGE,
        kind: str | None = None,
        actor: str | None = None,
        key_id: str | None = None,
        device_id: str | None = None,
        newest_first: bool = False,
    ) -> Page[AuditRecord]:
        """Return records that match every filter given.

        Raises:
            RecordError: the cursor or the limit is none.
        """
        query = select(AUDIT)
        for column, wanted in (
            (AUDIT.c.kind, kind),
            (AUDIT.c.actor, actor),
            (AUDIT.c.key_id, key_id),
            (AUDIT.c.device_id, device_id),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        with reading(self._engine) as connection:
            return fetch_page(
                connection,
                query,
                (AUDIT.c.seq,),
                read_record,
                cursor=cursor,
                limit=limit,
                newest_first=newest_first,
            )

    def export(self, *, after: int = 0, before: int | None = None) -> Iterator[AuditRecord]:
        """Yield the records with a number above ``after`` (and below ``before``), in their order."""
        while True:
            query = select(AUDIT).where(AUDIT.c.seq > after).order_by(AUDIT.c.seq).limit(_BLOCK)
            if before is not None:
                query = query.where(AUDIT.c.seq < before)
            with reading(self._engine) as connection:
                records = [read_record(row) for row in connection.execute(query).mappings()]
            yield from records
            if len(records) < _BLOCK:
                return
            after = records[-1].seq

    def tail(self, count: int) -> list[AuditRecord]:
        """Return the last ``count`` records (1000 at most), oldest first; for more: ``export``."""
        return list(reversed(self.page(limit=min(count, _BLOCK), newest_first=True).rows))

    def verify(self, others: Iterable[Checkpoint] | None = None) -> ChainHead:
        """Prove the whole chain, its head, and every checkpoint.

        Args:
            others: checkpoints from a copy that was shipped away, beside those in the file here.

        Returns:
            Where the chain ends.

        Raises:
            AuditBrokenError: a record is missing, altered, added or moved, the tail was cut, or a
                checkpoint is not of this chain; the error names the first bad record.
        """
        with reading(self._engine) as connection:
            stored = connection.execute(select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.mac)).first()
        promised = _promised(itertools.chain(others or (), self._checkpoints.read()))
        head = ChainHead()
        stored_head = ChainHead() if stored is None else ChainHead(stored.seq, stored.mac)
        seen_stored = stored_head.seq == 0
        for head in self._chain.verify(self.export()):
            if promised.pop(head.seq, head.mac) != head.mac:
                raise AuditBrokenError(f"audit record {head.seq} is not the one that a checkpoint saw")
            seen_stored = seen_stored or head == stored_head
        if not seen_stored:
            raise AuditBrokenError(f"the chain ends at audit record {head.seq}, and its head is another")
        missing = [seq for seq in promised if seq > head.seq]
        if missing:
            raise AuditBrokenError(
                f"audit records {head.seq + 1} to {max(missing)} are missing: a checkpoint saw them"
            )
        return head

    def verify_last(self) -> None:
        """Prove that the last record follows the one before it under this audit key.

        Raises:
            AuditBrokenError: it does not.
        """
        with reading(self._engine) as connection:
            rows = connection.execute(select(AUDIT).order_by(AUDIT.c.seq.desc()).limit(2)).mappings()
            records = [read_record(row) for row in rows]
        if records:
            before = ChainHead(records[1].seq, records[1].mac) if len(records) > 1 else ChainHead()
            list(self._chain.verify(records[:1], before))


def _promised(checkpoints: Iterable[Checkpoint]) -> dict[int, bytes]:
    """Return the mac that each checkpointed record must have; a restore takes back what came after it."""
    promised: dict[int, bytes] = {}
    for line in checkpoints:
        if line.kind == "restored":
            promised = {seq: mac for seq, mac in promised.items() if seq <= line.seq}
        if line.seq:
            promised[line.seq] = line.mac
    return promised


def read_record(row: Mapping[str, Any] | RowMapping) -> AuditRecord:
    """Make a record of a row."""
    return AuditRecord(
        seq=row["seq"],
        at=from_seconds(row["at"]),
        kind=row["kind"],
        actor=row["actor"],
        key_id=row["key_id"],
        device_id=row["device_id"],
        detail=row["detail"],
        mac=row["mac"],
    )
