"""An interactive command: its streams as non-blocking descriptors, with a terminal or with pipes."""

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import termios
from collections.abc import AsyncIterator, Mapping, Sequence

from podward.kubelet.runtime.linux.children import ended, exit_code, kill_session

_CHUNK = 32 * 1024


class Session:
    """Implements `runtime.base.ExecStream`."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str | None,
        *,
        stdin: bool,
        tty: bool,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._tty = tty
        self._ours: list[int] = []
        theirs: list[int] = []
        if tty:
            master, slave = os.openpty()
            self._ours, theirs = [master], [slave]
            self._input: int | None = master
            outputs = {1: master}
            child_streams = (slave, slave, slave)
            # A session's leader that opens a terminal owns it; `setsid --ctty` does that in the child.
            argv = ["setsid", "--ctty", "--wait", *argv]
        else:
            out_read, out_write = os.pipe()
            err_read, err_write = os.pipe()
            self._ours, theirs = [out_read, err_read], [out_write, err_write]
            outputs = {1: out_read, 2: err_read}
            child_streams = (subprocess.DEVNULL, out_write, err_write)
            self._input = None
            if stdin:
                in_read, in_write = os.pipe()
                self._input = in_write
                self._ours.append(in_write)
                theirs.append(in_read)
                child_streams = (in_read, out_write, err_write)
        try:
            self._process = subprocess.Popen(
                argv, env=dict(env), cwd=cwd, stdin=child_streams[0], stdout=child_streams[1],
                stderr=child_streams[2], start_new_session=not tty,
            )  # fmt: skip
        except BaseException:
            for descriptor in self._ours:
                os.close(descriptor)
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        for descriptor in self._ours:
            os.set_blocking(descriptor, False)
        self._outputs = outputs
        self._ended = asyncio.ensure_future(ended(self._process.pid))
        self._closed = False

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """One piece of each is read ahead: a command that nobody listens to waits, as at any pipe."""
        queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        for channel in self._outputs:
            self._listen(channel, queue)
        open_streams = len(self._outputs)
        while open_streams:
            channel, data = await queue.get()
            if data:
                self._listen(channel, queue)
                yield channel, data
            else:
                open_streams -= 1

    def _listen(self, channel: int, queue: "asyncio.Queue[tuple[int, bytes]]") -> None:
        descriptor = self._outputs[channel]
        if descriptor in self._ours:
            self._loop.add_reader(descriptor, self._read, channel, descriptor, queue)

    def _read(
        self, channel: int, descriptor: int, queue: "asyncio.Queue[tuple[int, bytes]]"
    ) -> None:
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a terminal whose other side is gone says EIO, not end of file
        self._loop.remove_reader(descriptor)
        queue.put_nowait((channel, data))

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view and self._input is not None:
            try:
                view = view[os.write(self._input, view) :]
            except BlockingIOError:
                await self._writable(self._input)
            except OSError:
                return  # nobody reads any more

    async def _writable(self, descriptor: int) -> None:
        ready = asyncio.Event()
        self._loop.add_writer(descriptor, ready.set)
        waiting = asyncio.ensure_future(ready.wait())
        try:
            await asyncio.wait((waiting, self._ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            self._loop.remove_writer(descriptor)

    async def close_stdin(self) -> None:
        if self._input is None:
            return
        if self._tty:
            await self.write(b"\x04")  # what a person types to end the input
            return
        descriptor, self._input = self._input, None
        self._ours.remove(descriptor)
        os.close(descriptor)

    async def resize(self, width: int, height: int) -> None:
        if self._tty and not self._closed:
            size = struct.pack("HHHH", height, width, 0, 0)
            fcntl.ioctl(self._ours[0], termios.TIOCSWINSZ, size)

    async def wait(self) -> int:
        await asyncio.shield(self._ended)
        return exit_code(self._process.wait())

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._process.poll() is None:
            if self._tty:
                with contextlib.suppress(ProcessLookupError):
                    self._process.send_signal(signal.SIGHUP)
            else:
                kill_session(self._process.pid)
        for descriptor in self._ours:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
        self._ours, self._input = [], None
        try:
            # The terminal is closed: whoever still runs in it is told so; whoever does not listen is killed.
            async with asyncio.timeout(2):
                await self._ended
        except TimeoutError:
            self._process.kill()
            await self._ended
        self._process.wait()
