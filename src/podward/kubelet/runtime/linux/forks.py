"""Commands forked into containers by the process of `forker`: its start, its end, and what is said to it."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence

import msgspec

from podward.kubelet.runtime.linux import forker
from podward.kubelet.runtime.linux.children import Streams, reaped

START_SECONDS = 10.0


class NotForked(OSError):
    """No command was executed. `of_the_command`: another one might be."""

    def __init__(self, number: int, text: str, *, of_the_command: bool = False) -> None:
        super().__init__(number, text)
        self.of_the_command = of_the_command


class Forked:
    """Our child (`children.Child`), though another process made it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._returncode: int | None = None

    def poll(self) -> int | None:
        return self._wait(os.WNOHANG)

    def wait(self) -> int:
        found = self._wait(0)
        assert found is not None
        return found

    def _wait(self, options: int) -> int | None:
        if self._returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self._returncode = os.waitstatus_to_exitcode(status)
        return self._returncode

    def kill(self) -> None:
        """Whether or not it has a session yet."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


class Forker:
    """One process; made anew if it is gone."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._asked: deque[asyncio.Future[int]] = deque()
        self._starting = asyncio.Lock()
        self._ending: set[asyncio.Future[None]] = set()

    async def pid(self) -> int:
        """Of the forker, started if need be. Raises `NotForked` if this machine does not let it."""
        async with self._starting:
            if self._channel is None:
                await self._start()
        assert self._process is not None
        return self._process.pid

    async def _start(self) -> None:
        if os.uname().machine not in forker.CALLS:
            raise NotForked(0, f"not written for {os.uname().machine}")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", forker.__file__, str(number), "read-only"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                pass_fds=(number,), start_new_session=True, env={}, cwd="/",
            )  # fmt: skip
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        assert process.stderr is not None
        try:
            async with asyncio.timeout(START_SECONDS):
                said = await loop.sock_recv(ours, 64)
        except (TimeoutError, OSError):
            said = b""
        if not said:
            ours.close()
            process.kill()
            text = process.stderr.read().decode(errors="replace").strip()
            process.wait()
            raise NotForked(0, f"the forking process does not start: {text}")
        process.stderr.close()
        self._process, self._channel = process, ours
        loop.add_reader(ours, self._answered)

    def _answered(self) -> None:
        assert self._channel is not None
        try:
            data = self._channel.recv(64)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        number, asked = int(data), self._asked.popleft()
        if asked.cancelled():
            if number > 0:
                child = Forked(number)
                child.kill()
                end = asyncio.ensure_future(reaped(child))
                self._ending.add(end)
                end.add_done_callback(self._ending.discard)
        else:
            asked.set_result(number)

    def close(self) -> None:
        channel, process = self._channel, self._process
        self._channel = self._process = None
        if channel is not None:
            asyncio.get_running_loop().remove_reader(channel)
            channel.close()
        while self._asked:
            asked = self._asked.popleft()
            if not asked.done():
                asked.set_exception(
                    NotForked(0, "the forking process has ended", of_the_command=True)
                )
        if process is not None:
            process.kill()
            process.wait()

    async def spawn(
        self, plan: int, pidfd: int, enters: bool, argv: Sequence[str], streams: Streams
    ) -> Forked:
        """`plan`: a file with its JSON; `enters`: into the pid namespace of `pidfd` too. Raises `NotForked`.

        Before anything is awaited, the descriptors are on their way: whoever closes them then closes only his.
        """
        read, write = os.pipe()
        try:
            try:
                _, stdout, stderr = streams.descriptors()
                request = msgspec.json.encode([enters, list(argv)])
                number = await self._ask(request, [plan, pidfd, stdout, stderr, write])
            finally:
                streams.close()
                os.close(write)
            if number < 0:
                raise NotForked(-number, os.strerror(-number))
            child = Forked(number)
            try:
                said = await _all_of(read)
                if said != b".":
                    raise _refusal(said)
            except BaseException:
                child.kill()
                await reaped(child)
                raise
            return child
        finally:
            os.close(read)

    async def _ask(self, request: bytes, descriptors: list[int]) -> int:
        if self._channel is None:
            raise NotForked(0, "the forking process is not there", of_the_command=True)
        if len(request) > forker.REQUEST_LIMIT:
            raise NotForked(7, "the command is too long", of_the_command=True)
        try:
            socket.send_fds(self._channel, [request], descriptors)
        except OSError as error:
            raise NotForked(
                error.errno or 0, f"cannot ask: {error}", of_the_command=True
            ) from error
        asked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        return await asked


async def _all_of(descriptor: int) -> bytes:
    loop = asyncio.get_running_loop()
    os.set_blocking(descriptor, False)
    done: asyncio.Future[bytes] = loop.create_future()
    text = bytearray()

    def readable() -> None:
        try:
            data = os.read(descriptor, 4096)
        except BlockingIOError:
            return
        text.extend(data)
        if not data and not done.done():
            done.set_result(bytes(text))

    loop.add_reader(descriptor, readable)
    try:
        return await done
    finally:
        loop.remove_reader(descriptor)


def _refusal(said: bytes) -> NotForked:
    if not said:
        return NotForked(0, "the child was killed", of_the_command=True)
    executing = said.startswith(b".")
    try:
        step, number, text = msgspec.json.decode(said.removeprefix(b"."), type=tuple[str, int, str])
    except msgspec.DecodeError:
        step, number, text = "", 0, said.decode(errors="replace")
    about_it = executing or step in ("chdir", "look up")
    return NotForked(number, f"{step}: {text}" if step else text, of_the_command=about_it)


def plan_file(content: bytes) -> int:
    """A descriptor that may be handed to many children: they read it by position."""
    descriptor = os.memfd_create("plan")
    os.write(descriptor, content)
    return descriptor
