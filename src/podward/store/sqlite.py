"""The durable store: documents in memory, every acknowledged write in SQLite first.

One connection and one thread write (SQLite's WAL has been corrupted by two checkpointing connections before
3.51.3); whatever has queued up while the last commit ran goes into the next one, so durability costs one
`fsync` a batch, not a write. Reads and watches never leave the loop's thread.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from podward.store.base import (
    Change,
    Encode,
    Listing,
    Record,
    RevisionConflict,
    StoreError,
    StoreUnavailable,
    Watch,
)
from podward.store.index import HISTORY_LIMIT, Index

SCHEMA_VERSION = 1
BATCH_LIMIT = 256

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    key TEXT PRIMARY KEY, revision INTEGER NOT NULL, value BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (
    revision INTEGER PRIMARY KEY, type TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    previous_revision INTEGER, previous_value BLOB
);
"""


@dataclass(frozen=True, slots=True)
class _Write:
    change: Change
    done: asyncio.Future[None]


class SqliteStore:
    def __init__(self, path: Path, connection: sqlite3.Connection, index: Index) -> None:
        self._path = path
        self._connection = connection
        self._index = index
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._newest: _Write | None = None
        self._closed = False

    @classmethod
    def open(cls, path: Path) -> "SqliteStore":
        """Open or create; `StoreError` names the path and what is wrong with it."""
        try:
            connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            try:
                return cls(path, connection, _load(path, connection))
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise StoreError(f"cannot open the store {path}: {error}") from error

    @property
    def revision(self) -> int:
        return self._index.revision

    def last_change(self, prefix: str) -> int:
        return self._index.last_change(prefix)

    async def get(self, key: str) -> Record | None:
        return self._index.get(key)

    async def range(
        self, prefix: str, *, revision: int | None = None, limit: int = 0, after: str = ""
    ) -> Listing:
        return self._index.range(prefix, revision=revision, limit=limit, after=after)

    async def put(self, key: str, encode: Encode, *, expected: int | None) -> Record:
        return await self._commit(lambda: self._index.stage_put(key, encode, expected))

    async def delete(self, key: str, encode: Encode, *, expected: int | None) -> Record:
        return await self._commit(lambda: self._index.stage_delete(key, encode, expected))

    def watch(self, prefix: str, *, after: int) -> Watch:
        return self._index.watch(prefix, after)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
            await asyncio.sleep(0)  # let what the writer reported last be delivered
        self._index.close_watchers()
        self._connection.close()

    # ---- the loop's side

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"the store {self._path} is closed")

    async def _commit(self, stage: Callable[[], Change]) -> Record:
        self._check_open()
        try:
            change = stage()
        except RevisionConflict:
            if self._newest is not None:
                # It may be with a write under way, which no reader sees yet: only then is it told.
                await asyncio.wait({self._newest.done})
            raise
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(
                target=self._write_forever, name="store-writer", daemon=True
            )
            self._thread.start()
        write = _Write(change, asyncio.get_running_loop().create_future())
        self._queue.put(write)
        self._newest = write
        # A caller that gives up does not take back a write that is on its way to the disk.
        await asyncio.shield(write.done)
        return change.record

    def _committed(self, batch: Sequence[_Write]) -> None:
        for write in batch:
            self._index.commit(write.change)
            if not write.done.done():
                write.done.set_result(None)

    def _failed(self, batch: Sequence[_Write], error: Exception) -> None:
        """Later writes were checked against the ones that failed, so they fail with them."""
        while True:
            try:
                write = self._queue.get_nowait()
            except queue.Empty:
                break
            if write is None:
                self._queue.put(None)
                break
            batch = [*batch, write]
        self._index.roll_back()
        for write in batch:
            if not write.done.done():
                write.done.set_exception(StoreUnavailable(f"cannot write {self._path}: {error}"))

    # ---- the writer's side

    def _write_forever(self) -> None:
        assert self._loop is not None
        while True:
            batch, last = self._next_batch()
            if batch:
                self._write_batch(batch, self._loop)
            if last:
                return

    def _next_batch(self) -> tuple[list[_Write], bool]:
        first = self._queue.get()
        if first is None:
            return [], True
        batch = [first]
        while len(batch) < BATCH_LIMIT:
            try:
                write = self._queue.get_nowait()
            except queue.Empty:
                break
            if write is None:
                return batch, True
            batch.append(write)
        return batch, False

    def _write_batch(self, batch: list[_Write], loop: asyncio.AbstractEventLoop) -> None:
        try:
            _persist(self._connection, [write.change for write in batch])
        except sqlite3.Error as error:
            # The loop must have taken the failure in before the next batch is looked at, for it rolls
            # back everything that was staged on top of this one.
            finished = threading.Event()

            def fail(error: Exception = error) -> None:
                self._failed(batch, error)
                finished.set()

            loop.call_soon_threadsafe(fail)
            finished.wait()
        else:
            loop.call_soon_threadsafe(self._committed, batch)


def _load(path: Path, connection: sqlite3.Connection) -> Index:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise StoreError(f"cannot open the store {path}: it was written by a newer podward")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(_SCHEMA)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    records = [
        Record(key, bytes(value), revision)
        for key, revision, value in connection.execute("SELECT key, revision, value FROM documents")
    ]
    history = [
        Change(type_, Record(key, bytes(value), revision), _previous(key, before, before_value))
        for revision, type_, key, value, before, before_value in connection.execute(
            "SELECT revision, type, key, value, previous_revision, previous_value FROM history"
            " ORDER BY revision"
        )
    ]
    revision = history[-1].record.revision if history else 0
    return Index(records, history[-HISTORY_LIMIT:], revision)


def _previous(key: str, revision: int | None, value: bytes | None) -> Record | None:
    if revision is None or value is None:
        return None
    return Record(key, bytes(value), revision)


def _persist(connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for change in changes:
            record, previous = change.record, change.previous
            if change.type == "DELETED":
                connection.execute("DELETE FROM documents WHERE key = ?", (record.key,))
            else:
                connection.execute(
                    "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)",
                    (record.key, record.revision, record.value),
                )
            connection.execute(
                "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)",
                (
                    record.revision,
                    change.type,
                    record.key,
                    record.value,
                    previous.revision if previous else None,
                    previous.value if previous else None,
                ),
            )
        connection.execute(
            "DELETE FROM history WHERE revision <= ?",
            (changes[-1].record.revision - HISTORY_LIMIT,),
        )
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
