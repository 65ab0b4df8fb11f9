"""The state both stores share: documents, the history of changes, and who watches. Synchronous, no I/O.

A write happens in two steps, so that a store can make it durable in between: `stage_*` checks the precondition
against everything committed *and* staged and hands out the next revision; `commit` makes it readable and tells
the watchers. Staged writes are committed in the order they were staged, or all taken back (`roll_back`).
"""

import asyncio
import bisect
import math
import sys
from collections import deque
from collections.abc import Iterable

from podward.store.base import Change, Compacted, Encode, Listing, Record, RevisionConflict

HISTORY_LIMIT = 10_000
"""Changes kept for watches that resume and lists that continue; older revisions are `Compacted`."""

WATCHER_LIMIT = 4_096
"""Changes a watcher may lag behind before it is cut off: memory has to end somewhere."""


_LAST = chr(sys.maxunicode)
"""Behind everything that a key may go on with."""


class Watcher:
    """A bounded queue of committed changes below one prefix, and what waits for the next of them."""

    def __init__(self, prefix: str, backlog: Iterable[Change]) -> None:
        self.prefix = prefix
        self._changes: deque[Change] = deque(backlog)
        self._waiting: asyncio.Future[None] | None = None
        self._overrun_at: int | None = None
        self._closed = False

    def offer(self, change: Change) -> None:
        if self._overrun_at is not None:
            return
        if len(self._changes) >= WATCHER_LIMIT:
            self._overrun_at = self._changes[0].record.revision
            self._changes.clear()
        else:
            self._changes.append(change)
        self.wake()

    def close(self) -> None:
        self._closed = True
        self.wake()

    def wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def news(self) -> asyncio.Future[None]:
        """Done once something comes, or at `wake`. One waiter at a time."""
        self._waiting = asyncio.get_running_loop().create_future()
        return self._waiting

    def take(self) -> list[Change] | None:
        """All that has gathered; empty once the store is closed, None if there is nothing to tell."""
        if self._overrun_at is not None:
            raise Compacted(self._overrun_at, self._overrun_at + WATCHER_LIMIT)
        if not self._changes:
            return [] if self._closed else None
        batch = list(self._changes)
        self._changes.clear()
        return batch


class Index:
    def __init__(
        self,
        records: Iterable[Record] = (),
        history: Iterable[Change] = (),
        revision: int = 0,
    ) -> None:
        self._records = {record.key: record for record in records}
        self._keys = sorted(self._records)
        self._history: deque[Change] = deque(history, maxlen=HISTORY_LIMIT)
        self._staged: dict[str, Change] = {}
        """The newest change staged for a key."""
        self._watchers: dict[Watcher, None] = {}
        """A set that keeps its order: who is woken first must not depend on addresses."""
        self.revision = revision
        self._next = revision + 1
        self._last_changes: dict[str, int] = {}
        self._opened_at = revision
        self._floor = revision
        if self._history:
            self._floor = self._history[0].record.revision - 1

    # ---- reading

    def get(self, key: str) -> Record | None:
        return self._records.get(key)

    def last_change(self, prefix: str) -> int:
        return self._last_changes.get(prefix, self._opened_at)

    def range(self, prefix: str, *, revision: int | None, limit: int, after: str) -> Listing:
        if revision is None or revision >= self.revision:
            found = self._records_below(prefix, after)
            revision = self.revision
        else:
            found = self._as_of(prefix, after, revision)
        remaining = max(len(found) - limit, 0) if limit else 0
        return Listing(found[:limit] if limit else found, revision, remaining)

    def _records_below(self, prefix: str, after: str) -> list[Record]:
        start = bisect.bisect_left(self._keys, prefix)
        if after >= prefix:
            start = bisect.bisect_right(self._keys, after)
        end = bisect.bisect_left(self._keys, prefix + _LAST, start)
        return [self._records[key] for key in self._keys[start:end]]

    def _as_of(self, prefix: str, after: str, revision: int) -> list[Record]:
        """Undo, newest first, what happened since."""
        if revision < self._floor:
            raise Compacted(revision, self._floor)
        state = {record.key: record for record in self._records_below(prefix, "")}
        for change in reversed(self._history):
            if change.record.revision <= revision:
                break
            if not change.record.key.startswith(prefix):
                continue
            if change.previous is None:
                state.pop(change.record.key, None)
            else:
                state[change.record.key] = change.previous
        return [state[key] for key in sorted(state) if key > after]

    def watch(self, prefix: str, after: int) -> "IndexWatch":
        return IndexWatch(self, prefix, after)

    def register(self, prefix: str, after: int) -> Watcher:
        """Somebody watches from now on; what happened since `after` is told first."""
        if after < self._floor:
            raise Compacted(after, self._floor)
        backlog = [
            change
            for change in self._history
            if change.record.revision > after and change.record.key.startswith(prefix)
        ]
        watcher = Watcher(prefix, backlog)
        self._watchers[watcher] = None
        return watcher

    def unregister(self, watcher: Watcher) -> None:
        self._watchers.pop(watcher, None)

    def close_watchers(self) -> None:
        for watcher in self._watchers:
            watcher.close()

    # ---- writing

    def stage_put(self, key: str, encode: Encode, expected: int | None) -> Change:
        previous = self._check(key, expected)
        revision = self._next
        record = Record(key, encode(revision), revision)
        return self._stage(Change("MODIFIED" if previous else "ADDED", record, previous))

    def stage_delete(self, key: str, encode: Encode, expected: int | None) -> Change:
        previous = self._check(key, expected)
        if previous is None:
            raise RevisionConflict(key, None)
        revision = self._next
        record = Record(key, encode(revision), revision)
        return self._stage(Change("DELETED", record, previous))

    def _check(self, key: str, expected: int | None) -> Record | None:
        staged = self._staged.get(key)
        if staged is None:
            current = self._records.get(key)
        else:
            current = None if staged.type == "DELETED" else staged.record
        if expected is not None and expected != (current.revision if current else 0):
            raise RevisionConflict(key, current)
        return current

    def _stage(self, change: Change) -> Change:
        self._next += 1
        self._staged[change.record.key] = change
        return change

    def commit(self, change: Change) -> None:
        """Make the oldest staged change visible."""
        key = change.record.key
        if change.type == "DELETED":
            del self._records[key]
            del self._keys[bisect.bisect_left(self._keys, key)]
        else:
            if key not in self._records:
                bisect.insort(self._keys, key)
            self._records[key] = change.record
        if self._staged.get(key) is change:
            del self._staged[key]
        if len(self._history) == HISTORY_LIMIT:
            self._floor = self._history[0].record.revision
        self._history.append(change)
        self.revision = change.record.revision
        self._last_changes[_collection(key)] = self.revision
        for watcher in self._watchers:
            if key.startswith(watcher.prefix):
                watcher.offer(change)

    def roll_back(self) -> None:
        """Forget every staged write. Their revisions are not given out again: somebody may have seen them."""
        self._staged.clear()


def _collection(key: str) -> str:
    """`/registry/core/pods/` of `/registry/core/pods/default/web`."""
    group = key.find("/", 1) + 1
    plural = key.find("/", group) + 1
    return key[: key.find("/", plural) + 1]


class IndexWatch:
    """`store.base.Watch` of an `Index`."""

    def __init__(self, index: Index, prefix: str, after: int) -> None:
        self._index = index
        self._prefix = prefix
        self._after = after
        self._watcher: Watcher | None = None
        self._over = False
        self._timer: asyncio.Handle | None = None
        self._due = 0.0
        """Kept from step to step: mostly many of them end before one time."""
        self._rung: float | None = None
        """The time that the timer has told of."""

    def __aiter__(self) -> "IndexWatch":
        return self

    async def __anext__(self) -> list[Change]:
        batch = await self.until(math.inf)
        if not batch:
            raise StopAsyncIteration
        return batch

    async def until(self, when: float) -> list[Change] | None:
        if self._over:
            return None
        try:
            if self._watcher is None:
                self._watcher = self._index.register(self._prefix, self._after)
            while (batch := self._watcher.take()) is None:
                if when < math.inf and self._is_late(when):
                    return []
                await self._watcher.news()
        except Compacted:
            self._leave()
            raise
        if not batch:
            self._leave()
            return None
        return batch

    def _is_late(self, when: float) -> bool:
        """Whether it is `when`; if not, the waiting ends then."""
        loop = asyncio.get_running_loop()
        if self._rung == when or loop.time() >= when:
            return True
        if self._timer is None or self._due != when:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._due = loop.call_at(when, self._ring, when), when
        return False

    def _ring(self, when: float) -> None:
        self._rung = when
        if self._watcher is not None:
            self._watcher.wake()

    async def aclose(self) -> None:
        self._leave()

    def __del__(self) -> None:
        self._leave()

    def _leave(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._index.unregister(self._watcher)
            self._watcher = None
