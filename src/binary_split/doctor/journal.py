"""Whether the journal can be used, and whether an unlock was left in the middle."""

from __future__ import annotations

from binary_split.config import LIMITS
from binary_split.doctor.facts import Facts
from binary_split.doctor.finding import Judgement, bad, doubtful, good
from binary_split.doctor.folders import is_writable, nearest_existing
from binary_split.errors import ConfigError, EngineError, JournalError
from binary_split.sizes import format_size
from binary_split.unlock.load_plan import free_bytes


def check_journal(facts: Facts) -> Judgement:
    """Judge the folder, its room, and what is written down of this engine."""
    folder = facts.state_folder()
    if not is_writable(folder):
        return bad(f"the journal's folder {folder} cannot be written", JournalError.hint)
    free = free_bytes(nearest_existing(folder))
    if free is not None and free < LIMITS.doctor_state_bytes:
        return bad(f"{format_size(free)} free for the journal in {folder}", "Free space on that disk.")
    try:
        journal = facts.journal()
    except (EngineError, ConfigError):
        return good(f"{folder} can be used; what is in it belongs to an engine, which cannot be asked")
    if not is_writable(journal.folder):
        return bad(f"the engine's journal {journal.folder} cannot be written", JournalError.hint)
    releases = journal.read_releases()
    if journal.is_in_use():
        return doubtful(
            f"an unlock is under way, or another command that works on the engine; journal in {folder}",
            "Wait until it has ended.",
        )
    transaction = journal.read_transaction()
    if transaction is not None:
        end = "finished" if transaction.is_committing else "undone"
        version = transaction.release.version or "no known version"
        return doubtful(
            f"an unlock of {version} was interrupted; journal in {folder}",
            f"Unlock again, or run `binary-split check`: what was left is {end} first, by itself.",
        )
    return good(f"{folder} can be used; installed releases that it knows: {len(releases)}")
