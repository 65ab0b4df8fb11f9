"""An event loop whose time jumps to the next timer: hours pass in milliseconds, twice the same.

Closed world: whoever asks this loop for a thread, a process, a name or a socket gets an error at once, and
when everything waits and no timer is left, that is an error too (`Deadlock`), never a hang. So is the
opposite, tasks that wake each other for ever while no time passes (`Standstill`).
"""

import asyncio
import gc
import heapq
import math
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Everything waits and nothing will ever wake it."""


class Standstill(RuntimeError):
    """Steps without end at one moment: time cannot pass."""


class ClosedWorld(RuntimeError):
    """Virtual time cannot wait for the real world."""


STEPS_AT_ONE_MOMENT = 2_000_000
"""Beyond this nothing can be meant: a busy minute of a cluster takes some thousand."""


STEPS_BETWEEN_COLLECTIONS = 100_000
MANY_TIMERS = 100
"""From so many on, those that were cancelled are looked for, as asyncio does it."""


class VirtualLoop(asyncio.BaseEventLoop):
    """It takes one step after the other and counts them.

    Garbage is collected after so many of them, and not when Python sees fit: generators that are found then are
    closed in steps of their own, and each step must come when it came the last time. What survived one
    collection is not looked at again: a recording only grows.
    """

    # What asyncio's own loop consists of; its other methods fill it.
    _ready: deque[Any]
    _scheduled: list[Any]
    _timer_cancelled_count: int
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        # Timers due within this are run together. Zero would spin on rounding; a nanosecond will not.
        self._clock_resolution = 1e-9
        self._taken = 0
        self._limit = STEPS_AT_ONE_MOMENT
        self._alarms: list[tuple[int, Callable[[], None]]] = []

    def time(self) -> float:
        return self._now

    def after_steps(self, count: int, do: Callable[[], None]) -> None:
        """Call `do` before the step that comes `count` steps from now: between any two awaits of anybody."""
        self._alarms.append((self._taken + max(count, 1), do))
        self._alarms.sort(key=lambda alarm: alarm[0])

    def _run_once(self) -> None:
        """asyncio's own, but nothing is waited for: when nothing is ready, the next timer's time has come."""
        ready = self._ready
        self._drop_cancelled()
        if not ready and not self._stopping:
            self._jump()
        self._make_ready()
        alarms = self._alarms
        for _ in range(len(ready)):
            self._taken = taken = self._taken + 1
            if taken >= self._limit:
                self._limit += STEPS_AT_ONE_MOMENT  # for those who clean up
                raise Standstill(f"{STEPS_AT_ONE_MOMENT} steps were taken while no time passed")
            if taken % STEPS_BETWEEN_COLLECTIONS == 0:
                gc.collect()
                gc.freeze()
            if alarms and taken >= alarms[0][0]:
                alarms.pop(0)[1]()
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _drop_cancelled(self) -> None:
        """Timers that were cancelled: the first ones, and all of them once they are most."""
        timers = self._scheduled
        if len(timers) > MANY_TIMERS and self._timer_cancelled_count > len(timers) / 2:
            for timer in timers:
                timer._scheduled = not timer._cancelled
            self._scheduled = [timer for timer in timers if timer._scheduled]
            heapq.heapify(self._scheduled)
            self._timer_cancelled_count = 0
            return
        while timers and timers[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(timers)._scheduled = False

    def _jump(self) -> None:
        if not self._scheduled:
            raise Deadlock("every task waits and no timer is left")
        when = self._scheduled[0]._when
        if when > self._now:
            # After months a nanosecond is less than what a float can add: time must move all the same.
            self._now = max(self._now + (when - self._now), math.nextafter(self._now, math.inf))
            self._limit = self._taken + STEPS_AT_ONE_MOMENT

    def _make_ready(self) -> None:
        timers, ready, end = self._scheduled, self._ready, self._now + self._clock_resolution
        while timers and timers[0]._when < end:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            ready.append(timer)

    def _write_to_self(self) -> None:
        """Who calls from another thread (a signal's handler) finds the loop awake."""

    def run_in_executor(  # type: ignore[override]  # the base's variadic type cannot be restated
        self, executor: Any, func: Any, *args: Any
    ) -> NoReturn:
        raise ClosedWorld("no threads in virtual time")


def _refuse(name: str, what: str) -> None:
    async def refused(self: VirtualLoop, *args: Any, **kwargs: Any) -> NoReturn:
        raise ClosedWorld(f"no {what} in virtual time")

    setattr(VirtualLoop, name, refused)


for _name in (
    "create_connection", "create_server", "create_datagram_endpoint", "create_unix_connection",
    "create_unix_server", "sock_connect", "sock_accept", "sock_recv", "sock_sendall",
):  # fmt: skip
    _refuse(_name, "sockets")
for _name in ("subprocess_exec", "subprocess_shell"):
    _refuse(_name, "processes")
for _name in ("connect_read_pipe", "connect_write_pipe"):
    _refuse(_name, "pipes")
for _name in ("getaddrinfo", "getnameinfo"):
    _refuse(_name, "names are resolved")


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in virtual time."""
    results: list[T] = []

    async def boxed() -> None:
        # Not returned: a runner formats its main task, and so the result, on its way out.
        results.append(await main)

    collects = gc.isenabled()
    gc.disable()
    gc.freeze()  # what was there before is no garbage of ours
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(boxed())
    finally:
        gc.unfreeze()
        if collects:
            gc.enable()
    return results[0]
