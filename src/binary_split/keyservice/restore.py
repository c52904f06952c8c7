"""What protects from an old backup: a database that is older than its checkpoints is not served.

After a restore, what took a right away since the backup is done again from the checkpoint file. What
cannot be known again, such as spent uses, is counted and said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from binary_split.errors import KeyStoreRolledBackError
from binary_split.keyservice.chain import LOCAL, AuditEvent
from binary_split.keyservice.checkpoint_lines import REPLAYED, Checkpoint
from binary_split.keyservice.checkpoints import CheckpointFile
from binary_split.keyservice.devices import is_known, write_groups, write_state
from binary_split.keyservice.enrolment import mark_code_revoked
from binary_split.keyservice.grants import mark_grant_revoked
from binary_split.keyservice.keys import erase_fragment, mark_key_retired, write_plain_release
from binary_split.keyservice.ledger import Ledger, read_head
from binary_split.keyservice.schema import AUDIT, GRANTS
from binary_split.keyservice.token_records import mark_device_tokens_revoked, mark_token_revoked

_BLOCK = 500


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What accepting an older database meant.

    Attributes:
        lost_records: audit records that the checkpoints saw and the database does not have.
        reapplied: how many of them took a right away, and were done again.
        limited_grants: grants that count their uses: those spent since the backup are there again.
    """

    lost_records: int
    reapplied: int
    limited_grants: int


def verify_not_older(connection: Connection, checkpoints: CheckpointFile) -> None:
    """Prove that the database still has what its last checkpoint saw.

    Raises:
        KeyStoreRolledBackError: it has not: it is older than the checkpoint, or another.
        AuditBrokenError: the checkpoint is not what the audit key signed.
        KeyStoreStateError: the file cannot be read.
    """
    last = checkpoints.last()
    if last is None or last.seq == 0:
        return
    mac = connection.scalar(select(AUDIT.c.mac).where(AUDIT.c.seq == last.seq))
    if mac == last.mac:
        return
    head = read_head(connection)
    raise KeyStoreRolledBackError(
        f"the database ends at audit record {head.seq}, and a checkpoint has seen record {last.seq}"
        if head.seq < last.seq
        else f"audit record {last.seq} of the database is not the one that a checkpoint has seen"
    )


def accept_restored(ledger: Ledger) -> RestoreReport:
    """Take a restored database as it is, and do again what took rights away since it was backed up.

    Killed at any point, it can be run again; what is done twice changes nothing.

    Raises:
        AuditBrokenError: a checkpoint is not what the audit key signed.
        KeyStoreError: the database or the file cannot be used.
    """
    lines = _not_taken_back(ledger.checkpoints.read())
    highest = max((line.seq for line in lines), default=0)
    with ledger.writing(with_checkpoint=False) as turn:
        start = turn.head
        macs = _macs(turn.connection, lines)
        lost = [line for line in lines if line.kind in REPLAYED and macs.get(line.seq) != line.mac]
        for line in lost:
            _take_right(turn.connection, line, turn.now)
            turn.record(
                AuditEvent(
                    kind=line.kind,
                    actor="restore",
                    key_id=line.key_id,
                    device_id=line.device_id,
                    detail=line.detail,
                )
            )
        limited = select(func.count()).select_from(GRANTS).where(GRANTS.c.uses_left.is_not(None))
        report = RestoreReport(max(0, highest - start.seq), len(lost), turn.connection.scalar(limited) or 0)
        detail = {"lost_records": report.lost_records, "reapplied": report.reapplied}
        turn.record(AuditEvent(kind="restore", actor=LOCAL, detail=detail))
    # After the commit: until this line is there, the older checkpoints refuse the database.
    with ledger.checkpoints.appending() as appender:
        appender.add_head(start, turn.now, kind="restored", lost=report.lost_records)
    ledger.checkpoint()
    return report


def _not_taken_back(lines: Iterable[Checkpoint]) -> list[Checkpoint]:
    """Return the lines without those that an earlier restore lost: it has written them again."""
    kept: list[Checkpoint] = []
    for line in lines:
        if line.kind == "restored":
            kept = [before for before in kept if before.seq <= line.seq]
        kept.append(line)
    return kept


def _macs(connection: Connection, lines: list[Checkpoint]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    numbers = [line.seq for line in lines]
    for start in range(0, len(numbers), _BLOCK):
        query = select(AUDIT.c.seq, AUDIT.c.mac).where(AUDIT.c.seq.in_(numbers[start : start + _BLOCK]))
        found.update((row.seq, row.mac) for row in connection.execute(query))
    return found


def _take_right(connection: Connection, line: Checkpoint, now: int) -> None:
    """Do what a record says once more; what it is about may not be in the database."""
    if line.kind.startswith("key-"):
        _take_key_right(connection, line, now)
        return
    device_id = line.device_id or ""
    if line.kind == "token-revoke":
        mark_token_revoked(connection, str(line.detail["token_id"]), now)
    elif line.kind == "grant-revoke":
        mark_grant_revoked(connection, str(line.detail["grant_id"]), now)
    elif line.kind == "device-disable":
        write_state(connection, device_id, "disabled", now)
    elif line.kind == "device-enable":
        write_state(connection, device_id, "active", now)
    elif line.kind in {"code-revoke", "device-enrol"}:
        mark_code_revoked(connection, str(line.detail["code_id"]), now)
        if line.kind == "device-enrol":  # the device must enrol again: its newer public key is not known here
            mark_device_tokens_revoked(connection, device_id, now)
    elif line.kind == "device-groups" and is_known(connection, device_id):
        write_groups(connection, device_id, line.detail["groups"])


def _take_key_right(connection: Connection, line: Checkpoint, now: int) -> None:
    key_id = line.key_id or ""
    if line.kind == "key-policy":
        write_plain_release(connection, key_id, line.detail["plain_release"])
    elif line.kind == "key-retire":
        mark_key_retired(connection, key_id, now)
    elif line.kind == "key-destroy":
        erase_fragment(connection, key_id, now)
