"""An archive on a web server, read at any place: in blocks, several at once, again where a connection breaks.

Ranges, validators and what a server answers to them: RFC 9110, sections 8.8, 13.1.5 and 14.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from binary_split.archive.crew import Crew, Job
from binary_split.archive.positioned import SharedBytes, Stretches
from binary_split.config import LIMITS
from binary_split.transports.mirrors import find_mirrors
from binary_split.transports.options import HttpOptions
from binary_split.transports.web.block import Block, block_starts
from binary_split.transports.web.http_pool import verify_url
from binary_split.transports.web.parts_client import PartsClient, is_first_part_at
from binary_split.transports.web.places import Place, Places
from binary_split.transports.web.ranges import RangeClient

if TYPE_CHECKING:
    from binary_split.transports.web.cache import BlockCache

_END_BYTES = 128 * 1024
"""In which the last chunk of an archive lies, whatever its format."""


class HttpSource(SharedBytes):
    """An archive on a web server as a seekable byte source, in a constant amount of memory.

    What is read in order is asked for ahead. A server that gives no parts is refused: an archive is not read
    in order only. That it is still the same file is checked with every block.

    Args:
        places: where it is.
        options: name the cache.

    Attributes:
        found_at: the place that had it first.

    Raises:
        ConfigError: a URL or an option cannot be used.
        ArchiveUnreachableError: the server does not answer.
        ArchiveUnreadableError: it does not have the archive, refuses it, or gives no parts.
    """

    def __init__(self, places: Places, options: HttpOptions) -> None:
        self._places = places
        self._cache: BlockCache | None = None
        self.found_at = ""
        self._doubted: set[int] = set()
        self._asked: set[int] = set()  # where the blocks begin that were asked for, held or not
        self._expected: set[int] | None = None  # where the blocks begin that will be read; None: nobody knows
        self._crew = Crew(LIMITS.http_connections, name="http-block")
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, Block] = OrderedDict()  # the longest unused first
        try:
            head = Block(0)
            head.job = self._crew.submit(partial(self._find, head))
            self._await(head.job)
            self._take_head(head, options)
        except BaseException:
            self.close()
            raise

    def read_at(self, offset: int, target: memoryview) -> int:
        """Read some bytes at ``offset``, whatever the position, which stays; 0 at the end. For any thread.

        Raises:
            ArchiveUnreachableError: the server was silent for too long, or the source was cut off.
            ArchiveUnreadableError: it refuses the archive now.
            ArchiveChangedError: it has another archive there now.
        """
        if offset >= self.size or not target:
            return 0
        block = self._want(offset - offset % LIMITS.http_block_bytes)
        try:
            if block.job is not None:
                self._await(block.job)
        except BaseException:
            with self._lock:  # who tries again asks again
                if self._blocks.get(block.offset) is block:
                    del self._blocks[block.offset]
            raise
        start = offset - block.offset
        part = memoryview(block.content)[start : start + len(target)]
        target[: len(part)] = part
        return len(part)

    def expect(self, stretches: Stretches) -> None:
        """Take note of all that will be read from now on: other blocks are not asked for ahead."""
        expected = {start for offset, size in stretches for start in block_starts(offset, size)}
        with self._lock:
            self._expected = expected

    def confirm(self, offset: int, size: int) -> None:
        """Take note that bytes were authentic: the blocks that hold them are worth keeping."""
        if self._cache is None:
            return
        for start in block_starts(offset, size):
            with self._lock:
                block = self._blocks.get(start)
                if block is None or block.is_kept or not block.content or start in self._doubted:
                    continue
                block.is_kept = True
            self._cache.keep(start, block.content)
            if start in self._doubted:  # meanwhile, by another thread
                self._cache.drop(start)

    def doubt(self, offset: int, sealed: memoryview) -> bool:
        """Take note that bytes were not authentic; whether reading them again may give others.

        Their blocks are asked for once more, and then of another place, if there is one.
        """
        starts = block_starts(offset, len(sealed))
        answers = [self._doubt_block(start, offset, sealed) for start in starts]  # all of them are told
        return any(answers)

    def cut(self) -> None:
        """Wait for nothing any more: what is under way fails, and what is asked for from now on."""
        self._places.cut()

    def close(self) -> None:
        """Close all connections; what is under way fails."""
        if not self.closed:
            with self._lock:  # nothing is given out to the crew after this
                self._places.cut()
            self._crew.close(LIMITS.http_beat_s)  # who is only connecting is not waited for
            self._places.close()
            if self._cache is not None:
                self._cache.close()
        super().close()

    def _want(self, offset: int) -> Block:
        """Return the block at an offset, which may be on its way; behind the last one ask for more."""
        with self._lock:
            is_next = offset - LIMITS.http_block_bytes in self._blocks
            block = self._ask_for(offset)
            self._blocks.move_to_end(offset)
            block.is_wanted = True
            if is_next:
                self._ask_ahead(offset)
            while len(self._blocks) > LIMITS.http_blocks:
                # what came ahead and is still to be read goes last: it would be asked for twice
                held = [
                    each for each in self._blocks.values() if each is not block and not self._is_end(each)
                ]
                oldest = next((each for each in held if each.is_wanted), held[0])
                del self._blocks[oldest.offset]
            return block

    def _is_end(self, block: Block) -> bool:
        """Whether it holds the archive's end: whoever begins to read proves the last chunk, so it stays."""
        return block.offset + LIMITS.http_block_bytes > self.size - _END_BYTES

    def _await(self, job: Job) -> None:
        since = time.monotonic()
        while not job.settle(LIMITS.http_beat_s):
            self._places.hurry(since)
        job.wait()

    def _ask_ahead(self, offset: int) -> None:
        """Ask for what follows a block, as long as there is room for it beside what many readers are at."""
        room = LIMITS.http_blocks // 2 - sum(not block.is_wanted for block in self._blocks.values())
        step = LIMITS.http_block_bytes
        for ahead in range(offset + step, min(offset + LIMITS.http_blocks_ahead * step + 1, self.size), step):
            is_expected = self._expected is None or ahead in self._expected
            if room > 0 and is_expected and ahead not in self._asked:
                self._ask_for(ahead)
                room -= 1

    def _ask_for(self, offset: int) -> Block:
        block = self._blocks.get(offset)
        if block is None:
            self._places.verify_read_on()
            block = self._blocks[offset] = Block(offset)
            self._asked.add(offset)
            block.job = self._crew.submit(partial(self._fetch, block))
        return block

    def _find(self, head: Block) -> None:
        found = self._places.find()
        head.content, head.place = found.content, found.place

    def _take_head(self, head: Block, options: HttpOptions) -> None:
        """Take the first block, which came when the archive was found, and what is kept of this archive."""
        self.size = self._places.size
        self._blocks[0] = head
        head.is_kept = True  # as it comes each time, it need not be
        if head.place is not None:
            self.found_at = head.place.name
        if options.cache is not None:
            from binary_split.transports.web.cache import open_cache

            self._cache = open_cache(options, head.content, self.size)

    def _doubt_block(self, start: int, offset: int, sealed: memoryview) -> bool:
        with self._lock:
            block = self._blocks.get(start)
            if block is None or not block.content or not block.holds(offset, sealed):  # somebody was quicker
                return True
            if start in self._doubted and not (block.place and self._places.distrust(block.place)):
                return False
            self._doubted.add(start)
            del self._blocks[start]
        if self._cache is not None:
            self._cache.drop(start)
        return True

    def _fetch(self, block: Block) -> None:
        size = min(LIMITS.http_block_bytes, self.size - block.offset)
        if self._cache is not None and block.offset not in self._doubted:
            kept = self._cache.read(block.offset, size)
            if kept is not None:
                block.is_kept, block.content = True, kept
                return
        part = self._places.fetch(block.offset, size)
        block.place, block.content = part.place, part.content


def open_http(url: str, options: HttpOptions | None = None) -> HttpSource:
    """Open an archive on a web server, or on a mirror of it; of one in parts the first is named.

    Args:
        url: ``https://…``, or ``http://`` on loopback; without a user or a password.
        options: how to reach it.

    Raises:
        ConfigError: the URL or an option cannot be used.
        ArchiveError: as for `HttpSource`.
    """
    options = options or HttpOptions()
    verify_url(url, insecure_http=options.insecure_http)
    wanted = (*find_mirrors(url, options), (url, options))
    client = PartsClient if is_first_part_at(url) else RangeClient
    places = [Place(each, partial(client, each, theirs)) for each, theirs in wanted]
    return HttpSource(Places(places, options.note, options.deadline_s), options)
