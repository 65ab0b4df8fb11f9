"""Processes without asyncio's own subprocess layer: `Popen` (vfork, cheap) and a pidfd to learn of the end.

Measured: uvloop's subprocess forks and costs twenty times as much; asyncio's own takes a thread per child on
3.11.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from podward.kubelet.runtime.base import ExecResult, ExecTimeout
from podward.kubelet.runtime.linux.identity import ProcessIdentity, identify

OUTPUT_LIMIT = 16 * 1024
"""Bytes a stream of `exec_sync` keeps; the rest is read and dropped, so that the command never blocks."""


async def ended(pid: int) -> None:
    """Wait until the process has ended; at once if there is none. It need not be our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def readable() -> None:
        if not done.done():
            done.set_result(None)

    loop.add_reader(descriptor, readable)
    try:
        await done
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def send_signal(process: ProcessIdentity, number: int) -> None:
    """To exactly this process, or to nobody."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(process.pid)
        try:
            # The descriptor holds the process; what is checked now is what gets the signal.
            if identify(process.pid) == process:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


class _Collector:
    """Reads a pipe to its end, keeps the first bytes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._kept = bytearray()
        self.done: asyncio.Future[None] = self._loop.create_future()
        os.set_blocking(descriptor, False)
        self._loop.add_reader(descriptor, self._readable)

    def _readable(self) -> None:
        self._more()

    def _more(self) -> bool:
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return False
        if data:
            self._kept += data[: OUTPUT_LIMIT - len(self._kept)]
        else:
            self.stop()
        return bool(data)

    def drain(self) -> None:
        """Take what is there already, then let go: a process in the background may hold the pipe for ever."""
        while not self.done.done() and self._more():
            pass
        self.stop()

    def stop(self) -> None:
        if not self.done.done():
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self.done.set_result(None)

    def output(self) -> bytes:
        return bytes(self._kept)


class Streams:
    """The command's end of its three streams; closed here once the command has its own copies."""

    def __init__(self, stdout: int, stderr: int) -> None:
        self._descriptors = (os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), stdout, stderr)
        self._open = True

    def descriptors(self) -> tuple[int, int, int]:
        """stdin, stdout, stderr, for who hands them on; `close` is then his to call."""
        return self._descriptors

    def popen(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: str | None
    ) -> "subprocess.Popen[bytes]":
        """In a session of its own."""
        stdin, stdout, stderr = self._descriptors
        try:
            return subprocess.Popen(
                argv, env=dict(env), cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr,
                start_new_session=True,
            )  # fmt: skip
        finally:
            self.close()

    def close(self) -> None:
        if self._open:
            self._open = False
            for descriptor in self._descriptors:
                os.close(descriptor)


class Child(Protocol):
    """A process that is ours to wait for, however it was made."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...


Spawn = Callable[[Streams], Awaitable[Child]]


async def run_to_end(
    spawn: Spawn, timeout: float | None, *, to_the_last_word: bool = False
) -> ExecResult:
    """Run a command and collect its output. `ExecTimeout` after killing it with all that it started.

    `to_the_last_word`: a command is over when nobody can write to its output any more, as engines have it; else
    when it has ended itself.
    """
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    collectors = _Collector(out_read), _Collector(err_read)
    process: Child | None = None
    try:
        async with asyncio.timeout(timeout):
            process = await spawn(Streams(out_write, err_write))
            await ended(process.pid)
            if to_the_last_word:
                await asyncio.gather(*(asyncio.shield(one.done) for one in collectors))
    except TimeoutError:
        raise ExecTimeout(f"command timed out after {timeout:g}s") from None
    finally:
        if process is not None:
            unfinished = not all(one.done.done() for one in collectors)
            if process.poll() is None or (to_the_last_word and unfinished):
                kill_session(process.pid)
            await reaped(process)
        for collector in collectors:
            collector.drain()
    return ExecResult(exit_code(process.wait()), collectors[0].output(), collectors[1].output())


async def reaped(process: Child) -> None:
    """A killed process ends at once, unless the kernel holds it (a frozen cgroup): nobody waits for that.

    It is reaped whenever it does end: a zombie of ours in a container's pid namespace keeps the container's
    first process from ending (zap_pid_ns_processes waits for every other one).
    """
    if process.poll() is not None:
        return
    end = asyncio.ensure_future(ended(process.pid))
    end.add_done_callback(lambda _: process.poll())
    _ending.add(end)
    end.add_done_callback(_ending.discard)
    await asyncio.wait((end,), timeout=_KILL_SECONDS)


_KILL_SECONDS = 2.0
_ending: set["asyncio.Future[None]"] = set()
"""What was killed and has not ended yet; the loop itself does not hold its tasks."""


def spawning(argv: Sequence[str], env: Mapping[str, str], cwd: str | None) -> Spawn:
    """Here, in our own namespaces."""

    async def spawn(streams: Streams) -> "subprocess.Popen[bytes]":
        return streams.popen(argv, env, cwd)

    return spawn


def kill_session(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def exit_code(returncode: int) -> int:
    """As a shell says it: 128 + n for signal n."""
    return 128 - returncode if returncode < 0 else returncode
