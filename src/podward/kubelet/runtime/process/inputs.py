"""The input of a container (`stdin: true`): a named pipe in its record's folder, which outlives Podward.

The container holds a writing end itself, so that it sees no end of its input while nobody is attached. With
`stdinOnce` it must see one: there the writing end is Podward's, and the first to attach who ends his input, or
goes, closes it for good. Should Podward end before, that is the end of the input too.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from podward.kubelet.runtime.base import RuntimeFailure
from podward.kubelet.runtime.log_attachment import LogAttachment


class Inputs:
    def __init__(self) -> None:
        self._held: dict[str, int] = {}
        """Of containers whose input is for one: our writing end."""

    @contextmanager
    def made(self, container_id: str, pipe: Path, *, once: bool) -> Iterator[int]:
        """A new input: the descriptor that its container begins with."""
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe, 0o600)
        both = os.open(pipe, os.O_RDWR)
        try:
            if not once:
                yield both
                return
            self._held[container_id] = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            reader = os.open(pipe, os.O_RDONLY)
            try:
                yield reader
            finally:
                os.close(reader)
        except BaseException:
            self.end(container_id)
            raise
        finally:
            os.close(both)

    def end(self, container_id: str) -> None:
        """Nothing more will be said to it, if its input is for one."""
        held = self._held.pop(container_id, None)
        if held is not None:
            os.close(held)

    def close(self) -> None:
        for container_id in list(self._held):
            self.end(container_id)

    def attach(
        self, container_id: str, pipe: Path, log: AsyncIterator[bytes], *, once: bool
    ) -> "InputAttachment | LogAttachment":
        if once and container_id not in self._held:
            return LogAttachment(log)  # its input has ended: who comes now only listens
        try:
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            raise RuntimeFailure(f"its input takes nothing: {error.strerror}") from error
        return InputAttachment(self, container_id, writer, log)


class InputAttachment(LogAttachment):
    def __init__(
        self, inputs: Inputs, container_id: str, writer: int, log: AsyncIterator[bytes]
    ) -> None:
        super().__init__(log)
        self._inputs = inputs
        self._container_id = container_id
        self._writer: int | None = writer

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view and self._writer is not None:
            try:
                view = view[os.write(self._writer, view) :]
            except BlockingIOError:
                await self._writable(self._writer)
            except OSError:
                return  # nobody reads any more

    async def _writable(self, writer: int) -> None:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_writer(writer, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(writer)

    async def close_stdin(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            asyncio.get_running_loop().remove_writer(writer)
            os.close(writer)
            self._inputs.end(self._container_id)

    async def close(self) -> None:
        await self.close_stdin()
        await super().close()
