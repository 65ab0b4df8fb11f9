"""Attaching to a container whose output goes straight to its log: that is followed, both its outputs in one."""

from collections.abc import AsyncIterator

from podward.kubelet.runtime.base import RuntimeFailure


class LogAttachment:
    """Implements `runtime.base.ExecStream`; nothing can be said to the container."""

    def __init__(self, log: AsyncIterator[bytes]) -> None:
        self._log = log

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        async for data in self._log:
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
        close = getattr(self._log, "aclose", None)
        if close is not None:
            await close()


def no_input(container_name: str, runtime_name: str) -> RuntimeFailure:
    return RuntimeFailure(
        f'container "{container_name}" has no stdin: the {runtime_name} runtime gives none to a '
        "container's own command; attach without it, or use exec"
    )
