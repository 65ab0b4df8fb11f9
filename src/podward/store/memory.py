"""The store that forgets: for simulations and tests. Its writes are durable as long as it lives."""

from podward.store.base import Encode, Listing, Record, Watch
from podward.store.index import Index


class MemoryStore:
    def __init__(self) -> None:
        self._index = Index()

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
        change = self._index.stage_put(key, encode, expected)
        self._index.commit(change)
        return change.record

    async def delete(self, key: str, encode: Encode, *, expected: int | None) -> Record:
        change = self._index.stage_delete(key, encode, expected)
        self._index.commit(change)
        return change.record

    def watch(self, prefix: str, *, after: int) -> Watch:
        return self._index.watch(prefix, after)

    async def close(self) -> None:
        self._index.close_watchers()
