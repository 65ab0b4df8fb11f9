"""Virtual processes of one container: pids, streams, signals, exit codes. Time is the loop's.

A process is a task that runs a *program*, a coroutine function from a process to an exit code. Signals
follow the kernel: PID 1 of a container hears only those it has a handler for, SIGKILL excepted, and with it
everything ends.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from podward.simulate.files import View
from podward.simulate.ports import Channel, Ports, Serve

Program = Callable[["Process"], Awaitable[int]]
IGNORED = "ignored"
Handler = str | None
"""What a signal does: `IGNORED`, a shell's trap (its text), or None for the default."""

_HARMLESS = (signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT)


class CannotSimulate(RuntimeError):
    """The manifest does what nobody has described, or what takes no time; the text says what to do."""


class Sink(Protocol):
    """Where a stream goes."""

    def write(self, data: bytes) -> None: ...


class Nowhere:
    def write(self, data: bytes) -> None:
        pass


@dataclass(slots=True)
class Collected:
    """A stream into memory."""

    data: bytearray = field(default_factory=bytearray)

    def write(self, data: bytes) -> None:
        self.data += data


@dataclass(frozen=True, slots=True)
class FileSink:
    """A stream into a file, at its end."""

    files: View
    path: str

    def write(self, data: bytes) -> None:
        self.files.write(self.path, data, append=True)


class Pipe(Channel):
    """A stream between processes; unbounded, for nothing here outruns memory."""

    def __init__(self, data: bytes = b"", *, ended: bool = False) -> None:
        super().__init__()
        self.write(data)
        if ended:
            self.end()

    async def read_all(self) -> bytes:
        out = bytearray()
        while data := await self.read():
            out += data
        return bytes(out)

    async def read_line(self) -> bytes:
        """With its newline, if it has one; empty at the end."""
        while b"\n" not in self._data and not self._ended:
            await self._more()
        end = self._data.find(b"\n") + 1 or len(self._data)
        line = bytes(self._data[:end])
        del self._data[:end]
        return line


class Group:
    """The processes of one container."""

    def __init__(
        self, files: View, hostname: str, address: str, network: Ports, now: Callable[[], datetime]
    ) -> None:
        self.files = files
        self.hostname = hostname
        self.address = address
        """The Pod's IP."""
        self.network = network
        self.now = now
        self.processes: dict[int, Process] = {}
        self.out_of_memory = False
        """Set by what ends because its memory ran out: the container is then OOMKilled."""
        self.on_problem: Callable[[Exception], None] | None = None
        """Told when a program cannot be simulated."""
        self._next_pid = 1

    def spawn(
        self,
        program: Program,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        parent: "Process | None" = None,
        stdin: Pipe,
        stdout: Sink,
        stderr: Sink,
    ) -> "Process":
        pid = self._next_pid
        self._next_pid += 1
        process = Process(self, pid, list(argv), dict(env), cwd, parent, stdin, stdout, stderr)
        self.processes[pid] = process
        process.begin(program)
        return process

    def ended(self, process: "Process") -> None:
        self.processes.pop(process.pid, None)
        if process.pid == 1:
            for other in list(self.processes.values()):
                other.exit(128 + signal.SIGKILL)


class Process:
    def __init__(
        self,
        group: Group,
        pid: int,
        argv: list[str],
        env: dict[str, str],
        cwd: str,
        parent: "Process | None",
        stdin: Pipe,
        stdout: Sink,
        stderr: Sink,
    ) -> None:
        self.group = group
        self.pid = pid
        self.argv = argv
        self.env = env
        self.cwd = cwd
        self.parent = parent
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.handlers: dict[int, Handler] = {}
        self.pending: list[int] = []
        """Signals with a handler, waiting for the program to look."""
        self.signalled = asyncio.Event()
        self.exit_code: int | None = None
        self._exited = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.on_exit: list[Callable[[], None]] = []

    @property
    def files(self) -> View:
        return self.group.files

    def begin(self, program: Program) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(program))

    async def wait(self) -> int:
        await self._exited.wait()
        assert self.exit_code is not None
        return self.exit_code

    def listen(self, port: int, serve: Serve) -> None:
        """On the Pod's address, until the process ends."""
        network, address = self.group.network, self.group.address
        listener = network.listen(address, port, serve)
        self.on_exit.append(lambda: network.close(listener))

    def exit(self, code: int) -> None:
        """End now, whatever it is doing."""
        if self.exit_code is not None:
            return
        self.exit_code = code
        self._exited.set()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        for tell in self.on_exit:
            tell()
        self.group.ended(self)

    def signal(self, number: int) -> None:
        if self.exit_code is not None:
            return
        if number == signal.SIGKILL:
            self.exit(128 + number)
            return
        handler = self.handlers.get(number)
        if handler == IGNORED:
            return
        if handler is not None:
            self.pending.append(number)
            self.signalled.set()
        elif self.pid != 1 and number not in _HARMLESS and number != 0:
            self.exit(128 + number)

    async def _run(self, program: Program) -> None:
        try:
            code = await program(self)
        except asyncio.CancelledError:
            if self.exit_code is None:
                raise
            return
        except Exception as error:
            if self.group.on_problem is not None:
                self.group.on_problem(error)
            self.stderr.write(f"{error}\n".encode())
            code = 125
        self.exit(code)
