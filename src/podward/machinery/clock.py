"""The only door to time.

Everything that waits, waits on the event loop (`asyncio.sleep`, `call_at`, timeouts), and everything
that asks what time it is, asks a `Clock`. A loop that jumps to its next timer therefore carries the whole
system through hours in milliseconds (`simulate/virtual_loop.py`).
"""

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is, in both senses."""

    def now(self) -> datetime:
        """Wall-clock time, UTC, with microseconds. It may jump; never subtract two of them to wait."""

    def monotonic(self) -> float:
        """Seconds that never go back: the event loop's own time, comparable with `loop.time()`."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class LoopClock:
    """A wall clock that stands at `epoch` when the loop's own time is zero, and moves only with it.

    What a virtual loop needs: wall time and waiting can never disagree.
    """

    def __init__(self, epoch: datetime) -> None:
        self._epoch = epoch.timestamp()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told: datetime | None = None
        self._told_at = 0.0

    def now(self) -> datetime:
        at = self.monotonic()
        if self._told is None or at != self._told_at:
            self._told, self._told_at = self._at(at), at
        return self._told

    def _at(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(self._epoch + seconds, UTC)

    def monotonic(self) -> float:
        if self._loop is None:
            # Asked once: Python looks up its process ID each time, and that is a call to the kernel.
            self._loop = asyncio.get_running_loop()
        return self._loop.time()


def whole_seconds(moment: datetime) -> datetime:
    """`moment` truncated to the second, as every `metav1.Time` on the wire is (spec/health.md 5.3)."""
    return moment.replace(microsecond=0) if moment.microsecond else moment
