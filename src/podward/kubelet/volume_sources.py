"""Who is told when a ConfigMap or a Secret changes that files of its volumes come from.

One watch for each of the two kinds, while some Pod uses an object of that kind, and none otherwise. It is only
heard for news: what an object holds is asked anew when it is written, for a copy here might lag.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from lightkube.models import core_v1

from podward.client.base import Client
from podward.client.informer import Informer
from podward.kubelet.volume_plan import Source
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy

GATHER_SECONDS = 0.1
"""Changes that follow each other so soon are told of as one: an `apply` of several objects is one rewrite."""

_KINDS: dict[str, type[Any]] = {"configmap": core_v1.ConfigMap, "secret": core_v1.Secret}

Place = tuple[str, str, str]
"""(kind, namespace, name)."""


class VolumeSources:
    def __init__(self, client: Client, clock: Clock, entropy: Entropy) -> None:
        self._client = client
        self._clock = clock
        self._entropy = entropy
        self._broken: asyncio.Queue[BaseException] = asyncio.Queue()
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._places: dict[str, list[Place]] = {}
        """By Pod."""
        self._listeners: dict[str, Callable[[], None]] = {}
        """By Pod."""
        self._users: dict[Place, dict[str, None]] = {}
        """The Pods that use an object, in the order in which they came."""
        self._news: dict[str, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Until cancelled; a watch that fails in a way it should not fails here."""
        try:
            raise await self._broken.get()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            watches = list(self._watches.values())
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    def follow(
        self, uid: str, namespace: str, sources: Collection[Source], changed: Callable[[], None]
    ) -> None:
        """`changed()` is called soon after one of `sources` came, changed or went; also, without need, when the
        watch begins: what the Pod read before may be older than what the watch begins with."""
        if uid in self._places or not sources:
            return
        self._places[uid] = [(kind, namespace, name) for kind, name in sorted(sources)]
        self._listeners[uid] = changed
        for place in self._places[uid]:
            self._users.setdefault(place, {})[uid] = None
            kind = place[0]
            if kind not in self._watches:
                watch = asyncio.create_task(self._watch(kind), name=f"{kind}s")
                watch.add_done_callback(self._watch_ended)
                self._watches[kind] = watch

    def forget(self, uid: str) -> None:
        for place in self._places.pop(uid, ()):
            self._users[place].pop(uid)
            if not self._users[place]:
                del self._users[place]
        self._listeners.pop(uid, None)
        self._news.pop(uid, None)
        for kind in self._watches.keys() - {place[0] for place in self._users}:
            self._watches.pop(kind).cancel()

    async def _watch(self, kind: str) -> None:
        # Without bookmarks: these are few and seldom change.
        informer: Informer[Any] = Informer(
            self._client,
            _KINDS[kind],
            bookmarks=False,
            clock=self._clock,
            entropy=self._entropy,
        )
        await informer.run(lambda _, found: self._changed(kind, found))

    def _watch_ended(self, watch: "asyncio.Task[None]") -> None:
        error = None if watch.cancelled() else watch.exception()
        if error is not None:
            self._broken.put_nowait(error)

    def _changed(self, kind: str, found: core_v1.ConfigMap | core_v1.Secret) -> None:
        meta = found.metadata
        assert meta is not None
        users = self._users.get((kind, meta.namespace or "", meta.name or ""))
        if not users:
            return
        self._news.update(users)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(GATHER_SECONDS, self._tell)

    def _tell(self) -> None:
        self._timer = None
        news, self._news = self._news, {}
        for uid in news:
            self._listeners[uid]()
