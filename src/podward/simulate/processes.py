"""Virtual processes of one container: pids, streams, signals, exit codes. Time is the loop's.

A process runs a *program*, a coroutine function from a process to an exit code. It is stepped by hand and not
as a task: what needs no waiting (`cat`, `test`, `rm`) is over before `begin` returns, and a kill ends it where
it stands. So programs wait for futures only, and never ask for the current task (`asyncio.timeout` does).

Signals follow the kernel: PID 1 of a container hears only those it has a handler for, SIGKILL from outside
excepted, and with it everything ends.
"""

import asyncio
import signal
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from podward.simulate.files import CannotSimulate, MountPoint, View, absolute
from podward.simulate.ports import Ports, Serve
from podward.simulate.proc import ProcFiles

Program = Callable[["Process"], Coroutine[Any, Any, int]]
IGNORED = "ignored"
Handler = str | None
"""What a signal does: `IGNORED`, a shell's trap (its text), or None for the default."""

_HARMLESS = (signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT, 0)
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
MOST_PROCESSES: Final = 1000
"""Live at once in a container: a fork bomb is told, not computed."""
MOST_STEPS_AT_ONCE: Final = 100_000
"""Commands that a container may begin while no time passes: more would never let it pass."""
PIPE_CAPACITY: Final = 64 * 1024


class PipeClosed(Exception):
    """Written to a pipe that nobody reads any more: SIGPIPE."""


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


class Pipe:
    """A stream between processes. Processes that hold an end are counted: without writers it has ended, and
    without a reader writing to it fails."""

    __slots__ = ("_data", "_ended", "_waiting", "closed", "writers")

    def __init__(self, data: bytes = b"", *, ended: bool = False) -> None:
        self._data = bytearray(data)
        self._ended = ended
        self._waiting: list[asyncio.Future[None]] = []
        self.writers = 0
        self.closed = False
        """Whether its reader is gone."""

    @property
    def ended(self) -> bool:
        return self._ended

    def write(self, data: bytes) -> None:
        if self.closed:
            raise PipeClosed
        self._data += data
        self._wake()

    def end(self) -> None:
        self._ended = True
        self._wake()

    def close(self) -> None:
        self.closed = True
        self._data.clear()
        self._wake()

    @property
    def full(self) -> bool:
        return len(self._data) >= PIPE_CAPACITY and not self.closed

    async def drained(self) -> None:
        """Until there is room again, or nobody reads."""
        while self.full:
            await self._change()

    async def read(self) -> bytes:
        """What has come, at least one byte; empty at the end."""
        while not self._data and not self._ended:
            await self._change()
        return self._take(len(self._data))

    async def read_all(self) -> bytes:
        out = bytearray()
        while data := await self.read():
            out += data
        return bytes(out)

    async def read_line(self, timeout: float | None = None) -> bytes:
        """With its newline, if it has one; empty at the end; what there is when the time is up."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout if timeout is not None else None
        while b"\n" not in self._data and not self._ended and (end is None or loop.time() < end):
            timer = loop.call_at(end, self._wake) if end is not None else None
            try:
                await self._change()
            finally:
                if timer is not None:
                    timer.cancel()
        return self._take(self._data.find(b"\n") + 1 or len(self._data))

    def _take(self, count: int) -> bytes:
        data = bytes(self._data[:count])
        del self._data[:count]
        self._wake()
        return data

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def _change(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future


class Endless(Pipe):
    """`/dev/zero` and its like, read from."""

    async def read(self) -> bytes:
        return bytes(PIPE_CAPACITY)

    async def read_all(self) -> bytes:
        raise CannotSimulate("/dev/zero has no end: it cannot be read to its end")

    async def read_line(self, timeout: float | None = None) -> bytes:
        return await self.read_all()


class Find(Protocol):
    """The program of a name or an absolute path; None if there is none."""

    def __call__(self, name: str, *, asking: bool = False) -> Program | None:
        """`asking`: only whether it is there, as `command -v` does; not to run it."""


class Group:
    """The processes of one container."""

    def __init__(
        self,
        files: View,
        hostname: str,
        address: str,
        network: Ports,
        now: Callable[[], datetime],
        find: Find,
    ) -> None:
        self.processes: dict[int, Process] = {}
        proc = ProcFiles(self.processes)
        self.files = files.with_mount(MountPoint("/proc", proc, read_only=True))
        self.find = find
        self.hostname = hostname
        self.address = address
        """The Pod's IP."""
        self.network = network
        self.now = now
        self.out_of_memory = False
        """Set by what ends because its memory ran out: the container is then OOMKilled."""
        self.on_problem: Callable[[Exception], None] | None = None
        """Told when a program cannot be simulated."""
        self._next_pid = 1
        self._unbegun: deque[tuple[Process, Program]] = deque()
        self._steps = 0
        self._stepped_at = -1.0
        self._random = 1

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
        others: Mapping[int, Any] | None = None,
        handlers: dict[int, Handler] | None = None,
        on_exit: Callable[[], None] | None = None,
        later: bool = False,
    ) -> "Process":
        """`later`: it begins once who runs now waits; what is spawned after it begins after it."""
        if len(self.processes) >= MOST_PROCESSES:
            raise CannotSimulate(
                f"{' '.join(argv)!r} cannot start: the container has {MOST_PROCESSES} processes already"
            )
        pid = self._next_pid
        self._next_pid += 1
        fds: dict[int, Any] = {0: stdin, 1: stdout, 2: stderr, **(others or {})}
        process = Process(self, pid, list(argv), env, cwd, parent, fds, handlers or {})
        if on_exit is not None:
            process.on_exit.append(on_exit)
        self.processes[pid] = process
        if later or self._unbegun:
            self._unbegun.append((process, program))
            asyncio.get_running_loop().call_soon(self._begin_next)
        else:
            process.begin(program)
        return process

    @property
    def local_address(self) -> str:
        """The Pod's loopback in the one network that all Pods share."""
        return f"{self.address}/127.0.0.1"

    def path_of(self, name: str) -> str | None:
        """Where a program is, by its name or absolute path; None if there is none."""
        if "/" in name:
            found = self.files.stat(name)
            if found is not None:
                return name if found.kind == "file" and found.mode & 0o111 else None
        if self.find(name, asking=True) is None:
            return None
        return name if "/" in name else f"/bin/{name}"

    def _begin_next(self) -> None:
        process, program = self._unbegun.popleft()
        process.begin(program)

    def ended(self, process: "Process") -> None:
        self.processes.pop(process.pid, None)
        if process.pid == 1:
            for other in list(self.processes.values()):
                other.exit(128 + signal.SIGKILL)

    def send(self, sender: "Process", number: int, target: int) -> bool:
        """kill(2) from within the container; whether there was anyone to hear it."""
        everyone = self.processes.values()
        if target > 0:
            meant = [p for p in everyone if p.pid == target]
        elif target == -1:
            meant = [p for p in everyone if p.pid != 1 and p is not sender]
        else:
            leader = sender.leader if target == 0 else -target
            meant = [p for p in everyone if p.leader == leader]
        for process in meant:
            if process.pid != 1 or number not in (signal.SIGKILL, signal.SIGSTOP):
                process.signal(number)
        return bool(meant)

    def random(self) -> int:
        """`$RANDOM`, temporary names: dice that fall alike in every run."""
        self._random = (self._random * 1103515245 + 12345) % 2**31
        return self._random >> 8

    def count_step(self, where: Callable[[], str], weight: int = 1) -> None:
        """One command more at this instant; `where` names it if it is one too many. Output weighs more."""
        now = asyncio.get_running_loop().time()
        if now != self._stepped_at:
            self._steps, self._stepped_at = 0, now
        self._steps += weight
        if self._steps > MOST_STEPS_AT_ONCE:
            raise CannotSimulate(
                f"{where()} goes on without end and without a sleep in it: virtual time cannot pass"
            )


class Process:
    __slots__ = (
        "_alarm", "_coroutine", "_held", "_running", "_signalled", "_stopped", "_waiters", "argv", "cwd", "env",
        "exit_code", "fds", "group", "handlers", "leader", "on_exit", "parent", "pending", "pid", "umask",
    )  # fmt: skip

    def __init__(
        self,
        group: Group,
        pid: int,
        argv: list[str],
        env: Mapping[str, str],
        cwd: str,
        parent: "Process | None",
        fds: dict[int, Any],
        handlers: dict[int, Handler],
    ) -> None:
        self.group = group
        self.pid = pid
        self.argv = argv
        self.env = env
        """Never changed in place: processes share it."""
        self.cwd = cwd
        self.umask: int = parent.umask if parent is not None else 0o022
        self.parent = parent
        self.leader: int = parent.leader if parent is not None else pid
        """The process group."""
        self.fds = fds
        self._held = [s for s in (fds.get(1), fds.get(2)) if type(s) is Pipe]
        for pipe in self._held:
            pipe.writers += 1
        self.handlers = handlers
        self.pending: list[int] = []
        """Signals with a handler, waiting for the program to look."""
        self.exit_code: int | None = None
        self.on_exit: list[Callable[[], None]] = []
        self._signalled: asyncio.Event | None = None
        self._alarm: asyncio.Future[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._coroutine: Coroutine[Any, Any, int] | None = None
        self._running = False
        self._stopped: bool | None = None
        """None: not stopped. Else stopped, and whether something woke it meanwhile."""

    @property
    def files(self) -> View:
        return self.group.files

    @property
    def stdin(self) -> Pipe:
        found = self.fds.get(0)
        return found if isinstance(found, Pipe) else Pipe(ended=True)

    @stdin.setter
    def stdin(self, pipe: Pipe) -> None:
        self.fds[0] = pipe

    @property
    def stdout(self) -> Sink:
        return self.fds.get(1, _NOWHERE)  # type: ignore[no-any-return]

    @stdout.setter
    def stdout(self, sink: Sink) -> None:
        self.fds[1] = sink

    @property
    def stderr(self) -> Sink:
        return self.fds.get(2, _NOWHERE)  # type: ignore[no-any-return]

    @stderr.setter
    def stderr(self, sink: Sink) -> None:
        self.fds[2] = sink

    @property
    def name(self) -> str:
        """As `ps` and `killall` know it."""
        return self.argv[0].rpartition("/")[2] if self.argv else ""

    @property
    def signalled(self) -> asyncio.Event:
        """Set when a signal with a handler has come."""
        if self._signalled is None:
            self._signalled = asyncio.Event()
            if self.pending:
                self._signalled.set()
        return self._signalled

    # ---- running

    def begin(self, program: Program) -> None:
        if self.exit_code is None:
            self._coroutine = program(self)
            self._step()

    def _step(self, waited: object = None) -> None:
        """Run until it waits; what it waits for steps it on."""
        coroutine = self._coroutine
        if self.exit_code is not None or coroutine is None:
            return
        if self._stopped is not None:
            self._stopped = True
            return
        self._running = True
        try:
            future = coroutine.send(None)
        except StopIteration as ended:
            code = ended.value
        except PipeClosed:
            code = 128 + signal.SIGPIPE
        except asyncio.CancelledError:
            # The loop is being closed, and what it waited for with it: nobody is left to see how it ends.
            code = 128 + signal.SIGKILL
        except RecursionError:
            code = self.problem(
                CannotSimulate(f"{' '.join(self.argv)[:100]!r} is nested too deeply")
            )
        except Exception as error:
            code = self.problem(error) if self.exit_code is None else self.exit_code
        else:
            self._running = False
            if self.exit_code is not None:
                self._close()
            elif future is None:
                asyncio.get_running_loop().call_soon(self._step)
            else:
                future._asyncio_future_blocking = False
                future.add_done_callback(self._step)
            return
        self._running = False
        self._coroutine = None
        self.exit(code)

    def problem(self, error: Exception) -> int:
        """What cannot be simulated ends the simulation; the exit code that the process then has."""
        if self.group.on_problem is not None:
            self.group.on_problem(error)
        self.complain(str(error))
        return 125

    def complain(self, text: str) -> None:
        try:
            self.stderr.write(f"{text}\n".encode(errors="surrogateescape"))
        except PipeClosed:
            pass

    def write(self, text: str) -> None:
        self.stdout.write(text.encode(errors="surrogateescape"))

    def found(self, name: str) -> Program | None:
        """A program to run, for what runs others; told if there is none."""
        program = self.group.find(absolute(name, self.cwd) if "/" in name else name)
        if program is None:
            self.complain(f"{self.name}: can't execute '{name}': No such file or directory")
        return program

    async def run(self, argv: list[str]) -> int:
        """Another program as a child of this one; its exit code."""
        program = self.found(argv[0])
        if program is None:
            return 127
        child = self.group.spawn(
            program, argv, env=self.env, cwd=self.cwd, parent=self, handlers=self.inherited(),
            stdin=self.stdin, stdout=self.stdout, stderr=self.stderr,
        )  # fmt: skip
        return await child.wait()

    def inherited(self) -> dict[int, Handler]:
        """What a child does about signals: an ignored one stays ignored."""
        return (
            {n: IGNORED for n, h in self.handlers.items() if h == IGNORED} if self.handlers else {}
        )

    async def become(self, argv: list[str]) -> int:
        """Another program in this one's place."""
        program = self.found(argv[0]) if argv else None
        if program is None:
            return 127
        self.argv = argv
        return await program(self)

    async def drained(self) -> None:
        """Until what reads our output has room; in endless output, the loop's turn."""
        sink = self.stdout
        if isinstance(sink, Pipe) and sink.full:
            await sink.drained()
        else:
            await asyncio.sleep(0)

    async def wait(self) -> int:
        if self.exit_code is None:
            future = asyncio.get_running_loop().create_future()
            self._waiters.append(future)
            await future
        assert self.exit_code is not None
        return self.exit_code

    async def wait_for_signal_or(self, child: "Process") -> None:
        """Until `child` has ended or a signal with a handler comes."""
        if child.exit_code is None and not self.pending:
            self._alarm = asyncio.get_running_loop().create_future()
            child._waiters.append(self._alarm)
            try:
                await self._alarm
            finally:
                self._alarm = None

    async def sleep(self, seconds: float) -> None:
        """Rounded to the nanosecond, or a loop of `sleep 0.1` would drift."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        timer = loop.call_at(round(loop.time() + seconds, 9), _set, future)
        try:
            await future
        finally:
            timer.cancel()

    def listen(self, port: int, serve: Serve, *, local: bool = False) -> None:
        """On the Pod's address (or `local`: heard within the Pod only), until the process ends."""
        network = self.group.network
        address = self.group.local_address if local else self.group.address
        listener = network.listen(address, port, serve)
        self.on_exit.append(lambda: network.close(listener))

    # ---- ends and signals

    def exit(self, code: int) -> None:
        """End now, whatever it is doing."""
        if self.exit_code is not None:
            return
        self.exit_code = code
        if not self._running:
            self._close()
        for pipe in self._held:
            pipe.writers -= 1
            if not pipe.writers:
                pipe.end()
        # Let go of what leads back here: containers come and go all day, and no collector has to look for them.
        on_exit, self.on_exit = self.on_exit, []
        for tell in on_exit:
            tell()
        waiters, self._waiters = self._waiters, []
        for future in waiters:
            _set(future)
        self.group.ended(self)

    def _close(self) -> None:
        coroutine, self._coroutine = self._coroutine, None
        if coroutine is not None:
            coroutine.close()

    def hold(self, sink: Sink) -> None:
        """Another end of a pipe is ours until we end."""
        if type(sink) is Pipe:
            sink.writers += 1
            self._held.append(sink)

    def release(self) -> None:
        """Our output goes elsewhere for good: pipes that it went to lose a writer."""
        kept = [s for s in self.fds.values() if type(s) is Pipe]
        for pipe in self._held:
            if pipe not in kept:
                pipe.writers -= 1
                if not pipe.writers:
                    pipe.end()
        self._held = [pipe for pipe in self._held if pipe in kept]

    def signal(self, number: int) -> None:
        if self.exit_code is not None:
            return
        if number == signal.SIGKILL:
            self.exit(128 + number)
            return
        if number == signal.SIGCONT:
            self._resume()
        handler = self.handlers.get(number)
        if handler == IGNORED:
            return
        if handler is not None:
            self.pending.append(number)
            if self._signalled is not None:
                self._signalled.set()
            if self._alarm is not None:
                _set(self._alarm)
        elif self.pid != 1 and number in _STOPS:
            self._stopped = self._stopped or False
        elif self.pid != 1 and number not in _HARMLESS:
            self.exit(128 + number)

    def _resume(self) -> None:
        woken, self._stopped = self._stopped, None
        if woken:
            asyncio.get_running_loop().call_soon(self._step)


def _set(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


_NOWHERE = Nowhere()
__all__ = ["CannotSimulate"]
