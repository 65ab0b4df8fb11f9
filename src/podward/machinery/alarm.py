"""Waking one waiter, when told or at a time, whichever comes first.

`wait_until` is a timeout around an `asyncio.Event` without an exception at each tick: a probe worker spends
most of its wakings here.
"""

import asyncio


class Alarm:
    """`ring` may come before, during and between waits; several count as one. One waiter at a time."""

    def __init__(self) -> None:
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        self._rung = True
        self._wake()

    def nudge(self) -> None:
        """End the wait that is under way, if one is; it is no ring."""
        self._wake()

    async def wait(self) -> None:
        """Until it rings, or is nudged. A ring stays for `wait_until`."""
        if not self._rung:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def wait_until(self, when: float) -> bool:
        """True once it rings; False at `when`, in the loop's time."""
        if not self._rung:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_at(when, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        rung, self._rung = self._rung, False
        return rung

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
