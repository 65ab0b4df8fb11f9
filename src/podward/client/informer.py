"""List, then watch, for ever: a local copy of one kind that never misses a change.

When the version it stands at has been compacted, or the server went away, it lists again and reports the
difference, so whoever listens sees every object's arrival, change and disappearance, though perhaps not
each step between.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Literal, TypeVar

import msgspec
from lightkube.models import meta_v1

from podward.client.base import ApiError, Client, TransportError
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy

T = TypeVar("T")
Key = tuple[str, str]
"""(namespace, name)."""
Handler = Callable[[Literal["ADDED", "MODIFIED", "DELETED"], T], None]

_RETRY_FIRST_SECONDS = 0.1
_RETRY_LAST_SECONDS = 10.0

log = logging.getLogger(__name__)


class _Bookmark(msgspec.Struct):
    metadata: meta_v1.ObjectMeta


class Informer(Generic[T]):
    def __init__(
        self,
        client: Client,
        kind: type[T],
        *,
        namespace: str = "",
        field_selector: str = "",
        bookmarks: bool = True,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """`bookmarks`: be woken now and then by a version, so that a watch that broke can go on from it. Of a
        few objects that seldom change it costs less to list them again."""
        self._client = client
        self._kind = kind
        self._namespace = namespace
        self._field_selector = field_selector
        self._bookmarks = bookmarks
        self._entropy = entropy
        self.store: dict[Key, T] = {}
        self.synced = asyncio.Event()
        """Set once the first list is in `store` and has been reported."""

    async def run(self, on_event: Handler[T]) -> None:
        """Until cancelled. `on_event` must not raise and must not wait: it enqueues."""
        retry = _RETRY_FIRST_SECONDS
        version = ""
        while True:
            try:
                if not version:
                    version = await self._relist(on_event)
                    self.synced.set()
                heard = False
                async for reached in self._follow(version, on_event):
                    version, retry, heard = reached, _RETRY_FIRST_SECONDS, True
                if not heard:
                    # A server that ends every watch at once must not be asked without a pause.
                    await asyncio.sleep(self._entropy.uniform(retry, 2 * retry))
                    retry = min(2 * retry, _RETRY_LAST_SECONDS)
            except ApiError as error:
                if error.code != 410:
                    log.warning("cannot watch %s: %s", self._kind.__name__, error)
                    await asyncio.sleep(self._entropy.uniform(retry, 2 * retry))
                    retry = min(2 * retry, _RETRY_LAST_SECONDS)
                version = ""
            except TransportError as error:
                log.warning("cannot reach the API server: %s", error)
                await asyncio.sleep(self._entropy.uniform(retry, 2 * retry))
                retry = min(2 * retry, _RETRY_LAST_SECONDS)

    async def _relist(self, on_event: Handler[T]) -> str:
        listed = await self._client.list(
            self._kind, self._namespace, field_selector=self._field_selector
        )
        fresh = {_key(obj): obj for obj in listed.items}
        for key in [key for key in self.store if key not in fresh]:
            on_event("DELETED", self.store.pop(key))
        for key, obj in fresh.items():
            known = self.store.get(key)
            self.store[key] = obj
            if known is None:
                on_event("ADDED", obj)
            elif _meta(known).uid != _meta(obj).uid:
                # The name was freed and taken again between two lists: two events, never one.
                on_event("DELETED", known)
                on_event("ADDED", obj)
            elif _meta(known).resourceVersion != _meta(obj).resourceVersion:
                on_event("MODIFIED", obj)
        return listed.resource_version

    async def _follow(self, version: str, on_event: Handler[T]) -> AsyncIterator[str]:
        """Yields the version that the copy stands at after each event."""
        events = self._client.watch_raw(
            self._kind,
            self._namespace,
            resource_version=version,
            field_selector=self._field_selector,
            bookmarks=self._bookmarks,
        )
        async for event in events:
            if event.type == "BOOKMARK":
                bookmark = msgspec.json.decode(event.object, type=_Bookmark)
                yield bookmark.metadata.resourceVersion or version
                continue
            obj = msgspec.json.decode(event.object, type=self._kind)
            if event.type == "DELETED":
                self.store.pop(_key(obj), None)
                on_event("DELETED", obj)
            elif event.type != "ERROR":
                self.store[_key(obj)] = obj
                on_event(event.type, obj)
            yield _meta(obj).resourceVersion or version


def _meta(obj: Any) -> meta_v1.ObjectMeta:
    meta: meta_v1.ObjectMeta = obj.metadata
    return meta


def _key(obj: Any) -> Key:
    meta = _meta(obj)
    return (meta.namespace or "", meta.name or "")
