"""Attaching to a container whose output goes straight to its log: that is followed, both its outputs in one."""

import asyncio
from collections.abc import AsyncIterator

from podward.kubelet.runtime.base import RuntimeFailure


class LogAttachment:
    """Implements `runtime.base.ExecStream`; nothing can be said to the container."""

    def __init__(self, log: AsyncIterator[bytes]) -> None:
        """The log is followed from the loop's next turn on, whenever `output` is asked for."""
        self._log = log
        self._next = self._ahead()

    def _ahead(self) -> "asyncio.Future[bytes | None]":
        async def piece() -> bytes | None:
            return await anext(self._log, None)

        return asyncio.ensure_future(piece())

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        while (data := await self._next) is not None:
            self._next = self._ahead()
            if data:
                yield 1, data

    async def write(self, data: bytes) -> None:
        """Nobody attaches with an input."""

    async def close_stdin(self) -> None:
        """There is none."""

    async def resize(self, width: int, height: int) -> None:
        """There is no terminal."""

    async def wait(self) -> int:
        return 0

    async def close(self) -> None:
        self._next.cancel()
        await asyncio.gather(self._next, return_exceptions=True)
        close = getattr(self._log, "aclose", None)
        if close is not None:
            await close()


def no_input(container_name: str, why: str) -> RuntimeFailure:
    return RuntimeFailure(
        f'container "{container_name}" has no stdin: {why}; attach without it, or use exec'
    )
