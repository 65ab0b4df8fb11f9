"""The store's protocol, and the words it is spoken in.

A store maps keys (`/registry/pods/default/web`) to documents (bytes). Every acknowledged write gets the
next **revision** of the whole store, durable before it is acknowledged, and shows up in every watch of a
prefix of its key, in the order of revisions. It is the shape of etcd's key space, which the API's
resourceVersion semantics are made of.

A document usually carries its own revision inside (`metadata.resourceVersion`), and only the store knows
which one a write will get; so a write hands over a function from revision to bytes (`Encode`).
"""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

Encode = Callable[[int], bytes]
"""Called once, synchronously, with the revision that the write has been given. Must not fail."""


class Record(msgspec.Struct, frozen=True):
    """One document as it stands after the write numbered `revision`."""

    key: str
    value: bytes
    revision: int


class Change(msgspec.Struct, frozen=True):
    """One write, as a watch sees it.

    `record.value` of a DELETED change is the document's last form, stamped with the deletion's revision.
    `previous` is the record before the write; None for ADDED. A watch with a selector needs it to tell
    that a match was lost.
    """

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    record: Record
    previous: Record | None


class Listing(msgspec.Struct, frozen=True):
    """Records below a prefix in key order, all as of one `revision`."""

    records: list[Record]
    revision: int
    remaining: int
    """How many more follow beyond `limit`."""


class StoreError(Exception):
    """The root of what a store raises."""


class RevisionConflict(StoreError):
    """The key is not at the revision that the write expected; `current` is None if it does not exist."""

    def __init__(self, key: str, current: Record | None) -> None:
        super().__init__(f"{key} is at revision {current.revision if current else 0}")
        self.key = key
        self.current = current


class Compacted(StoreError):
    """The revision asked for is older than the history kept, or a watcher fell too far behind."""

    def __init__(self, requested: int, oldest: int) -> None:
        super().__init__(f"revision {requested} is compacted, the oldest kept is {oldest}")
        self.requested = requested
        self.oldest = oldest


class StoreUnavailable(StoreError):
    """The write could not be made durable (disk full, database locked by another). Nothing was changed."""


class Watch(Protocol):
    """Committed changes below a prefix, batched, in order, without gap, until the store closes.

    It begins when it is first asked, with what happened since the revision it was made for. Raises `Compacted`
    if that is too old, or if more has gathered than is kept. A step that is cancelled loses nothing.
    """

    def __aiter__(self) -> "Watch": ...

    async def __anext__(self) -> list[Change]: ...

    async def until(self, when: float) -> list[Change] | None:
        """A step that takes no longer than to `when`, in the loop's time; then it is empty. None at the end."""

    async def aclose(self) -> None: ...


class Store(Protocol):
    """Every implementation passes `tests/contracts/store.py`."""

    @property
    def revision(self) -> int:
        """The latest committed revision; 0 or more, never falls, not even across restarts."""

    def last_change(self, prefix: str) -> int:
        """The revision of the last write below a collection (`/registry/core/pods/`), or a later one.

        What was made of a collection is good for as long as this stays. It costs a look into a table.
        """

    async def get(self, key: str) -> Record | None: ...

    async def range(
        self, prefix: str, *, revision: int | None = None, limit: int = 0, after: str = ""
    ) -> Listing:
        """Records whose key starts with `prefix` and is greater than `after`; all if `limit` is 0.

        With `revision`, as the store stood then (`Compacted` if that is no longer known).
        """

    async def put(self, key: str, encode: Encode, *, expected: int | None) -> Record:
        """Write. `expected`: the revision the key must be at; 0 = must not exist; None = no condition.

        Raises `RevisionConflict`; whoever reads again then sees what the write was in conflict with.
        """

    async def delete(self, key: str, encode: Encode, *, expected: int | None) -> Record:
        """Remove the key; the returned record is its last form. `RevisionConflict(current=None)` if absent."""

    def watch(self, prefix: str, *, after: int) -> Watch:
        """Changes with revision > `after`."""

    async def close(self) -> None:
        """Finish the writes under way, end the watches, release the files. Idempotent."""
