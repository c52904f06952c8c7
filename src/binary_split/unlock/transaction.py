"""All or nothing: images wait under staging names, and the references move once all of them are proven."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace

from binary_split.engines import Engine
from binary_split.errors import EngineImageInUseError, ImageError
from binary_split.unlock.checking import find_lacking, verify_images
from binary_split.unlock.journal import Journal
from binary_split.unlock.records import Transaction
from binary_split.unlock.staging import is_staging


def new_name() -> str:
    """Return a name for a transaction that none had before."""
    return os.urandom(6).hex()


def verify_staged(engine: Engine, transaction: Transaction) -> None:
    """Prove every image under its staging name, and that a container can be made of it.

    Raises:
        ImageError: one is missing, another one, or not whole.
    """
    by_ref = {image.ref: image for image in transaction.release.images}
    staged = [replace(by_ref[move.ref], ref=move.staging) for move in transaction.moves]
    verify_images(engine, staged)
    for image in staged:
        engine.verify_unpacked(image.ref)


def commit(engine: Engine, journal: Journal, transaction: Transaction) -> None:
    """Move the references, for good: what is interrupted from here on is finished by the next run.

    Raises:
        ImageError: the engine says that it did and yet has another image.
    """
    transaction = replace(transaction, is_committing=True)
    journal.write_transaction(transaction)
    _roll_forward(engine, journal, transaction)


def undo(engine: Engine, journal: Journal, transaction: Transaction) -> None:
    """Remove what was loaded under staging names; the references were not moved."""
    sweep(engine, transaction.name)
    journal.remove_transaction()


def recover(engine: Engine, journal: Journal) -> str | None:
    """Bring to its end what an earlier run has left, under the journal's lock.

    Returns:
        The name of the transaction that was found: a load that its run has left alone may still be going on
        in the engine, so whoever loads next sweeps once more at the end.
    """
    transaction = journal.read_transaction()
    if transaction is None:
        return None
    if transaction.is_committing:
        # Where that fails, somebody removed a staging name: the release is not there, and is loaded anew.
        with contextlib.suppress(ImageError):
            _roll_forward(engine, journal, transaction)
            return transaction.name
    undo(engine, journal, transaction)
    return transaction.name


def sweep(engine: Engine, name: str) -> None:
    """Remove a transaction's staging names, and what has no other name."""
    for image in engine.list_images():
        for ref in image.refs:
            if is_staging(ref, name):
                with contextlib.suppress(EngineImageInUseError):  # somebody runs it: that is theirs to end
                    engine.untag(ref)


def _roll_forward(engine: Engine, journal: Journal, transaction: Transaction) -> None:
    by_ref = {image.ref: image for image in transaction.release.images}
    lacking = {image.ref for image in find_lacking(engine, [by_ref[move.ref] for move in transaction.moves])}
    moves = [move for move in transaction.moves if move.ref in lacking]
    verify_images(engine, [replace(by_ref[move.ref], ref=move.staging) for move in moves])
    for move in moves:
        engine.tag(move.staging, move.ref)
    verify_images(engine, transaction.release.images)
    journal.write_release(transaction.release)
    sweep(engine, transaction.name)
    journal.remove_transaction()
