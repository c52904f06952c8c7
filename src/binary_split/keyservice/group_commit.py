"""Group commit: many requests share one transaction, and so one wait for the disk.

One thread takes whatever has queued up meanwhile, does it in one transaction, and answers when that is
durable.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from binary_split.errors import KeyStoreError, KeyStoreStateError

LOG = logging.getLogger("binary_split.keyservice.store")

Request = TypeVar("Request")
Answer = TypeVar("Answer")

LARGEST_BATCH = 64
LONGEST_QUEUE = 4096
_IDLE_S = 0.5
_BUSY_HINT = "Try again: more requests are waiting than can be answered soon."


class GroupCommit(Generic[Request, Answer]):
    """Runs batches of requests on a thread of its own, which starts with the first one.

    Args:
        run: does a batch and returns an answer or an error for each request; if it raises, that is the
            answer to all of them.
        idle: is called about twice a second, and when the thread ends; what it raises is logged, and the
            next call tries again.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Request]], Sequence[Answer | Exception]],
        *,
        idle: Callable[[], None],
    ) -> None:
        self._run = run
        self._idle = idle
        self._queue: queue.Queue[tuple[Request, Future[Answer]] | None] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_stopping = False

    @property
    def is_stopping(self) -> bool:
        """Whether this is the last call of ``idle``."""
        return self._is_stopping

    @property
    def waiting(self) -> int:
        """How many requests are queued."""
        return self._queue.qsize()

    def submit(self, request: Request) -> Future[Answer]:
        """Queue a request.

        Raises:
            KeyStoreStateError: too many are waiting.
        """
        if self._queue.qsize() >= LONGEST_QUEUE:
            raise KeyStoreStateError("the store is busy", hint=_BUSY_HINT)
        answer: Future[Answer] = Future()
        with self._lock:  # so that nothing is queued behind the end
            self._queue.put((request, answer))
            self._start()
        return answer

    def start(self) -> None:
        """Start the thread, so that ``idle`` is called even if no request comes."""
        with self._lock:
            self._start()

    def stop(self) -> None:
        """Answer what is queued and end the thread; the next request starts another."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._is_stopping = True
                self._queue.put(None)
                thread.join()
                self._is_stopping = False

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="group-commit", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        is_ending = False
        last_idle = time.monotonic()
        while not is_ending:
            batch, is_ending = self._take()
            if batch:
                self._answer(batch)
            if is_ending or time.monotonic() - last_idle >= _IDLE_S:
                self._be_idle()
                last_idle = time.monotonic()

    def _take(self) -> tuple[list[tuple[Request, Future[Answer]]], bool]:
        """Return a request with those that wait behind it, and whether the end was among them."""
        batch: list[tuple[Request, Future[Answer]]] = []
        try:
            item = self._queue.get(timeout=_IDLE_S)
            while item is not None:
                batch.append(item)
                if len(batch) == LARGEST_BATCH:
                    return batch, False
                item = self._queue.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _answer(self, batch: list[tuple[Request, Future[Answer]]]) -> None:
        batch = [(request, future) for request, future in batch if future.set_running_or_notify_cancel()]
        if not batch:
            return
        answers: Sequence[Answer | Exception]
        try:
            answers = self._run([request for request, _ in batch])
        except Exception as error:  # it is the answer to all, and the thread lives on
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    def _be_idle(self) -> None:
        try:
            self._idle()
        except KeyStoreError as error:
            LOG.warning("%s", error)
        except Exception:  # whoever asks for a fragment waits for this thread: it must live on
            LOG.exception("what is written beside the releases failed")
