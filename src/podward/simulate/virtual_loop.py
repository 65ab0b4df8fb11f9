"""An event loop whose time jumps to the next timer: hours pass in milliseconds, twice the same.

Closed world: whoever asks this loop for a thread, a process, a name or a socket gets an error at once, and
when everything waits and no timer is left, that is an error too (`Deadlock`), never a hang. So is the
opposite, tasks that wake each other for ever while no time passes (`Standstill`).
"""

import asyncio
import gc
import math
import selectors
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
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


class _Steps(deque[Any]):
    """The loop's queue of what is ready, one step taken at a time; it counts them.

    Garbage is collected after so many of them, and not when Python sees fit: generators that are found then are
    closed in steps of their own, and each step must come when it came the last time. What survived one
    collection is not looked at again: a recording only grows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0
        self.limit = STEPS_AT_ONE_MOMENT
        self.alarms: list[tuple[int, Callable[[], None]]] = []

    def popleft(self) -> Any:
        self.taken += 1
        if self.taken >= self.limit:
            self.limit += STEPS_AT_ONE_MOMENT  # for those who clean up
            raise Standstill(f"{STEPS_AT_ONE_MOMENT} steps were taken while no time passed")
        if self.taken % STEPS_BETWEEN_COLLECTIONS == 0:
            gc.collect()
            gc.freeze()
        if self.alarms and self.taken >= self.alarms[0][0]:
            self.alarms.pop(0)[1]()
        return super().popleft()


class _JumpingSelector(selectors.BaseSelector):
    """Never waits: a timeout is answered by moving the loop's time forward by that much."""

    def __init__(self, steps: _Steps) -> None:
        self.time = 0.0
        self._steps = steps
        self._map: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        # The loop's own wake-up pipe; it is never written to, for there are no threads.
        key = selectors.SelectorKey(fileobj, 0, events, data)
        self._map[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._map.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("every task waits and no timer is left")
        if timeout > 0:
            # After months a nanosecond is less than what a float can add: time must move all the same.
            self.time = max(self.time + timeout, math.nextafter(self.time, math.inf))
            self._steps.limit = self._steps.taken + STEPS_AT_ONE_MOMENT
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._map


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._steps = _Steps()
        self._jumping = _JumpingSelector(self._steps)
        super().__init__(self._jumping)
        self._ready = self._steps  # what asyncio's own loop takes its next step from
        # Timers due within this are run together. Zero would spin on rounding; a nanosecond will not.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._jumping.time

    def after_steps(self, count: int, do: Callable[[], None]) -> None:
        """Call `do` before the step that comes `count` steps from now: between any two awaits of anybody."""
        self._steps.alarms.append((self._steps.taken + max(count, 1), do))
        self._steps.alarms.sort(key=lambda alarm: alarm[0])

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
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(boxed())
    finally:
        gc.unfreeze()
        if collects:
            gc.enable()
    return results[0]
