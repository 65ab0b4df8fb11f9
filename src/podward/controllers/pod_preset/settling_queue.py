"""A queue of keys that waits for things to settle: what is added many times in a short while comes out once."""

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class SettlingQueue(Generic[K]):
    """A key comes out `settle` seconds after it was added, and not twice within `every` seconds."""

    def __init__(self, *, settle: float, every: float) -> None:
        self._settle = settle
        self._every = every
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._out: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        """In `_out`: once is enough there, even if nobody takes it."""
        self._came: dict[K, float] = {}
        """When a key last came out, in the loop's time."""

    def add(self, key: K, *, delay: float = 0.0) -> None:
        """At the earliest after `delay`, unless it is on its way already."""
        if key in self:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = max(now + max(self._settle, delay), self._came.get(key, 0.0) + self._every)
        self._timers[key] = loop.call_at(due, self._come, key)

    def __contains__(self, key: K) -> bool:
        """It is on its way."""
        return key in self._timers or key in self._waiting

    async def get(self) -> K:
        key = await self._out.get()
        self._waiting.discard(key)
        self._came[key] = asyncio.get_running_loop().time()
        return key

    def forget(self, key: K) -> None:
        """Of something that is gone."""
        self._came.pop(key, None)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _come(self, key: K) -> None:
        del self._timers[key]
        self._waiting.add(key)
        self._out.put_nowait(key)
