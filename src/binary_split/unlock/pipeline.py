"""The unlock of one archive, from the first check to the last proof."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from binary_split.archive.age import FragmentIdentity
from binary_split.archive.detect import ArchiveFormat, read_format
from binary_split.config import LIMITS
from binary_split.engines import Abort, Engine, LayerReuse
from binary_split.engines.platforms import verify_native
from binary_split.errors import BinarySplitError, EngineAbortedError
from binary_split.model import Fragment, Progress, ProgressSink, ignore_progress
from binary_split.oci.blob import Blob
from binary_split.oci.layout import LayoutTar
from binary_split.transports import is_there, naming_damage, open_source
from binary_split.unlock import transaction as transactions
from binary_split.unlock.beat import beating
from binary_split.unlock.installed import find_installed, verify_not_older
from binary_split.unlock.journal import Journal
from binary_split.unlock.load_plan import LoadPlan, make_plan, verify_room
from binary_split.unlock.loading import Loader
from binary_split.unlock.opening import (
    OpenedArchive,
    name_archive,
    open_cbc,
    open_signed,
)
from binary_split.unlock.order import FragmentSource, PlanSink, UnlockOrder, UnlockResult, ignore_plan
from binary_split.unlock.plan import index_layers, layer_opener, plan_images
from binary_split.unlock.records import InstalledRelease, Move, Transaction
from binary_split.unlock.staging import image_number, part_tar, staged_images, staging_ref
from binary_split.unlock.states import State, advance
from binary_split.unlock.tally import ENGINE, Tally

if TYPE_CHECKING:
    from binary_split.transports import Source

_T = TypeVar("_T")

KEY_SERVICE = "the key service"
OTHER_UNLOCK = "another unlock"
_ENDS = (State.READY, State.ERROR)
_SWEEP_S = 1.0  # after Ctrl-C; what is left by then is removed by the next run


def unlock(
    order: UnlockOrder,
    engine: Engine,
    source: FragmentSource,
    journal: Journal,
    *,
    report: ProgressSink = ignore_progress,
    on_plan: PlanSink = ignore_plan,
    abort: Abort | None = None,
) -> UnlockResult:
    """Make the engine have every image of a release; does nothing where it has them all.

    Args:
        order: what to unlock.
        engine: where to.
        source: gives the fragment, if one is needed.
        journal: of that engine.
        report: is told of progress, at least once a second.
        on_plan: is told what is lacking, where anything is.
        abort: ends the unlock from another thread: at the next step, or within a second while images are
            loaded. What is being committed is finished.

    Raises:
        BinarySplitError: of the kind of whatever went wrong; the images that were there before still are.
    """
    run = _Run(order, engine, source, journal, report, on_plan, abort or Abort())
    try:
        with naming_damage(order.archive), journal.locked(run.wait_for_other):
            return run.unlock()
    except BaseException:
        run.enter(State.ERROR)
        raise


def plan_unlock(order: UnlockOrder, engine: Engine, source: FragmentSource, journal: Journal) -> LoadPlan:
    """Return what an unlock would do; nothing is changed.

    Raises:
        BinarySplitError: as for `unlock`.
    """
    run = _Run(order, engine, source, journal, ignore_progress, ignore_plan, Abort())
    return run.plan()


class _Run:
    """One unlock under way."""

    def __init__(
        self,
        order: UnlockOrder,
        engine: Engine,
        source: FragmentSource,
        journal: Journal,
        report: ProgressSink,
        on_plan: PlanSink,
        abort: Abort,
    ) -> None:
        self._order = order
        self._engine = engine
        self._source = source
        self._journal = journal
        self._report = report
        self._on_plan = on_plan
        self._abort = abort
        self._failed = Abort()  # set when loading failed, and by the other
        self._state = State.IDLE

    @cached_property
    def _name(self) -> str | None:
        """What the journal calls the archive; None where there is none, which what is there may not need."""
        if not is_there(self._order.archive):
            return None
        with open_source(self._order.archive) as source:
            return name_archive(source)

    def enter(self, state: State) -> None:
        """Enter a state and say so; one that is an end is entered whatever was asked for."""
        if state not in _ENDS:
            self._verify_wanted()
        self._state = advance(self._state, state)
        self._report(Progress(state))

    def wait_for_other(self) -> None:
        """Say that another unlock is waited for."""
        self._verify_wanted()
        self._report(Progress(State.CHECKING, waiting_for=OTHER_UNLOCK))

    def _verify_wanted(self) -> None:
        if self._abort.is_set():
            raise EngineAbortedError("the unlock was ended before it was complete")

    def plan(self) -> LoadPlan:
        """Find out what is to be done."""
        self.enter(State.CHECKING)
        releases = self._journal.read_releases()
        if find_installed(self._order, self._name, self._engine, releases) is not None:
            return LoadPlan()
        with self._opened() as opened:
            return self._make_plan(opened, releases)

    def unlock(self) -> UnlockResult:
        """Do it."""
        self.enter(State.CHECKING)
        stray = self._watched(lambda: transactions.recover(self._engine, self._journal))
        releases = self._journal.read_releases()
        known = self._watched(lambda: find_installed(self._order, self._name, self._engine, releases))
        if known is not None:
            self.enter(State.READY)
            return UnlockResult(known)
        with self._opened() as opened:
            plan = self._watched(lambda: self._make_plan(opened, releases))
            release = self._describe(opened, plan)
            if not plan.lacking:
                self._journal.write_release(release)
                self.enter(State.READY)
                return UnlockResult(plan.expected())
            self._on_plan(release, plan.lacking)
            verify_room(plan, self._engine.describe())
            self.enter(State.LOADING_IMAGES)
            transaction = _begin(self._journal, plan, release)
            with self._undone_on_failure(transaction):
                tally = self._load(opened, plan, transaction)
                self.enter(State.VERIFYING)
                self._watched(lambda: transactions.verify_staged(self._engine, transaction))
        self._watched(lambda: transactions.commit(self._engine, self._journal, transaction))
        if stray is not None:
            transactions.sweep(self._engine, stray)
        self.enter(State.READY)
        return UnlockResult(plan.expected(), tuple(sorted(plan.lacking)), tally.sent_bytes)

    @contextmanager
    def _opened(self) -> Iterator[OpenedArchive]:
        """Open the archive with a fragment that is fetched for it."""
        order = self._order
        with (
            open_source(order.archive, once=True) as archive,
            self._failed.ending(archive.cut),
            self._abort.ending(self._failed.set),
        ):
            archive_format = read_format(archive)
            if archive_format is ArchiveFormat.AGE:
                order.trust.verify_possible()
            self.enter(State.AUTHENTICATING)
            self._source.authenticate()
            self.enter(State.DOWNLOADING_KEY)
            fragment = self._watched(self._source.fetch, KEY_SERVICE)
            self.enter(State.DECRYPTING)
            with self._open(archive, archive_format, fragment) as opened:
                yield opened

    def _open(
        self, archive: Source, archive_format: ArchiveFormat, fragment: Fragment
    ) -> AbstractContextManager[OpenedArchive]:
        order = self._order
        if archive_format is ArchiveFormat.CBC:
            return open_cbc(archive, fragment, order.images, order.pins, order.beside)
        return open_signed(archive, [FragmentIdentity(fragment)], order.trust, version=order.version)

    def _make_plan(self, opened: OpenedArchive, releases: Sequence[InstalledRelease]) -> LoadPlan:
        order = self._order
        if opened.signed is not None and not order.allow_downgrade:
            verify_not_older(opened.signed.statement, releases)
        engine = self._engine.describe()
        keep = engine.compressions if engine.reuse is LayerReuse.BLOB else ()
        images = plan_images(opened.contents, opened.refs, opened.pins, keep=keep)
        if not order.any_platform:
            for image in images:
                verify_native(image.layout.refs[0], image.layout.config.platform, engine.platform)
        return make_plan(opened, images, self._engine, releases, low_disk=order.low_disk)

    def _describe(self, opened: OpenedArchive, plan: LoadPlan) -> InstalledRelease:
        name = self._name or ""  # it was opened, so it has one
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        signed = opened.signed
        if signed is None:
            return InstalledRelease(name, plan.expected(), now, version=self._order.version)
        statement = signed.statement
        return InstalledRelease(
            name,
            plan.expected(),
            now,
            product=statement.product,
            version=statement.version,
            sequence=statement.sequence,
            envelope=signed.envelope,
        )

    def _load(self, opened: OpenedArchive, plan: LoadPlan, transaction: Transaction) -> Tally:
        images = [image.layout for image in plan.images]
        members = index_layers(plan.images)
        places = (opened.contents.members[members[layer]] for part in plan.parts for layer in part.layers)
        opened.plaintext.expect([(place.offset, place.size) for place in places])
        engine = self._engine.describe()
        tally = Tally(plan.parts, [str(image.refs[0]) for image in images])

        def open_layer(layer: Blob) -> Iterator[bytes | memoryview]:
            with opened.forked() as contents:  # for as long as the layer flows: most parts only wait
                yield from layer_opener(contents, members)(layer)

        def open_part(number: int) -> LayoutTar:
            part = plan.parts[number]
            staged = staged_images(part, number, images, transaction.name)
            return part_tar(part, staged, engine.reuse, open_layer)

        loader = Loader(self._engine, open_part, tally, abort=self._abort, failed=self._failed)
        with beating(self._report, tally.progress, tally.waited_for):
            loader.run(
                plan.parts,
                side_by_side=LIMITS.side_by_side if engine.parallel_loads else 1,
                senders=LIMITS.senders,
                spool_bytes=plan.spool_bytes,
            )
        return tally

    def _watched(self, call: Callable[[], _T], waited_for: str = ENGINE) -> _T:
        """Make a call, with signs of life for as long as it takes."""
        progress = Progress(self._state)
        with beating(self._report, lambda: progress, lambda: waited_for):
            return call()

    @contextmanager
    def _undone_on_failure(self, transaction: Transaction) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            # The transaction stays in the journal: the engine may still be at a load that was cut off, and
            # what comes of it is removed by the next run.
            sweeping = threading.Thread(target=self._sweep, args=(transaction,), daemon=True)
            sweeping.start()
            sweeping.join(None if isinstance(error, Exception) else _SWEEP_S)
            raise

    def _sweep(self, transaction: Transaction) -> None:
        with suppress(BinarySplitError):
            transactions.sweep(self._engine, transaction.name)


def _begin(journal: Journal, plan: LoadPlan, release: InstalledRelease) -> Transaction:
    """Write down what is about to be loaded, before the engine is touched."""
    name = transactions.new_name()
    moves = tuple(
        Move(staging_ref(name, image_number(index)), ref)
        for index, image in enumerate(plan.images)
        for ref in image.layout.refs
        if ref in plan.lacking
    )
    transaction = Transaction(name, moves, release)
    journal.write_transaction(transaction)
    return transaction
