"""An event loop whose time jumps to the next timer: hours pass in milliseconds, twice the same.

Closed world: whoever asks this loop for a thread, a process, a name or a socket gets an error at once, and
when everything waits and no timer is left, that is an error too (`Deadlock`), never a hang.
"""

import asyncio
import math
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Everything waits and nothing will ever wake it."""


class ClosedWorld(RuntimeError):
    """Virtual time cannot wait for the real world."""


class _JumpingSelector(selectors.BaseSelector):
    """Never waits: a timeout is answered by moving the loop's time forward by that much."""

    def __init__(self) -> None:
        self.time = 0.0
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
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._map


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # Timers due within this are run together. Zero would spin on rounding; a nanosecond will not.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._jumping.time

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

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(boxed())
    return results[0]
