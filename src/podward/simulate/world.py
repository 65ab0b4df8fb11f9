"""The simulated machine: sandboxes, containers and their processes. It outlives every runtime that looks at it.

A runtime object can be closed and another made on the same world, as a kubelet's death and return have it.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerEvent,
    ContainerEventType,
    ContainerState,
    ContainerStatus,
    SandboxConfig,
    SandboxState,
)
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy
from podward.simulate.commands import PROGRAMS
from podward.simulate.files import Files, HostFiles, Kind, MemoryFiles, MountPoint, View
from podward.simulate.ports import Ports
from podward.simulate.processes import CannotSimulate, Group, Pipe, Process, Program, Sink
from podward.simulate.shell import interpreter

SHELLS = ("sh", "ash", "bash", "dash")
_FOLDERS = ("bin", "dev", "etc", "home", "proc", "root", "run", "tmp", "usr", "var", "var/log",
            "var/run", "var/lib", "usr/bin", "data", "opt", "mnt", "srv")  # fmt: skip


@dataclass(slots=True)
class Log:
    """What a container said, and when."""

    pieces: list[tuple[datetime, bytes]] = field(default_factory=list)
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, moment: datetime, data: bytes) -> None:
        self.pieces.append((moment, data))
        self.grown.set()

    def lines(self) -> list[tuple[datetime, bytes]]:
        """Whole lines (the last may lack its end), each with the time of its first byte."""
        out: list[tuple[datetime, bytes]] = []
        for moment, data in self.pieces:
            for line in data.splitlines(keepends=True):
                if out and not out[-1][1].endswith(b"\n"):
                    out[-1] = (out[-1][0], out[-1][1] + line)
                else:
                    out.append((moment, line))
        return out


@dataclass(frozen=True, slots=True)
class LogSink:
    log: Log
    clock: Clock

    def write(self, data: bytes) -> None:
        if data:
            self.log.add(self.clock.now(), data)


@dataclass(slots=True)
class Sandbox:
    id: str
    config: SandboxConfig
    created_at: datetime
    address: str
    state: SandboxState = SandboxState.READY


@dataclass(slots=True)
class Container:
    id: str
    sandbox: Sandbox
    config: ContainerConfig
    group: Group
    created_at: datetime
    init: Process | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    exited: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def state(self) -> ContainerState:
        if self.finished_at is not None:
            return ContainerState.EXITED
        return ContainerState.RUNNING if self.started_at is not None else ContainerState.CREATED

    def status(self) -> ContainerStatus:
        return ContainerStatus(
            id=self.id,
            sandbox_id=self.sandbox.id,
            config=self.config,
            pod_uid=self.sandbox.config.pod_uid,
            state=self.state,
            created_at=self.created_at,
            started_at=self.started_at,
            finished_at=self.finished_at,
            exit_code=self.exit_code,
            reason=self.reason,
            message=self.message,
            image_id=f"simulated:{self.config.image}",
        )


class World:
    def __init__(self, clock: Clock, entropy: Entropy, *, strict: bool = False) -> None:
        """`strict`: a command that nobody knows ends the simulation (`problem`) instead of not being there."""
        self.clock = clock
        self.entropy = entropy
        self.strict = strict
        self.ports = Ports()
        self.host_files = MemoryFiles(_FOLDERS)
        self.sandboxes: dict[str, Sandbox] = {}
        self.containers: dict[str, Container] = {}
        self.logs: dict[str, Log] = {}
        self.programs: dict[str, Program] = dict(PROGRAMS)
        self.listeners: list[Callable[[ContainerEvent], None]] = []
        self.problem: Exception | None = None
        self.troubled = asyncio.Event()
        """Set when `problem` is."""
        self._addresses = 1
        shell = interpreter.program(self.find)
        self.programs |= dict.fromkeys(SHELLS, shell)

    def trouble(self, error: Exception) -> None:
        if self.problem is None:
            self.problem = error
            self.troubled.set()

    # ---- programs

    def find(self, name: str) -> Program | None:
        """The program of a name or path; None if there is none."""
        base = name.rpartition("/")[2]
        if base == "busybox":
            return self._applet
        program = self.programs.get(base)
        if program is None and self.strict:
            self.trouble(
                CannotSimulate(
                    f"the simulator does not know the command {name!r}: describe what it does in a "
                    f"--behaviour file, for instance\n"
                    f"  commands:\n    {base}: {{listens: [{{port: 8080}}], exits: {{code: 0, after: 60s}}}}"
                )
            )
        return program

    async def _applet(self, process: Process) -> int:
        process.argv = process.argv[1:]
        program = self.find(process.argv[0]) if process.argv else None
        return 127 if program is None else await program(process)

    # ---- sandboxes and containers

    def add_sandbox(self, config: SandboxConfig) -> Sandbox:
        self._addresses += 1
        address = f"10.42.{self._addresses // 254}.{self._addresses % 254 + 1}"
        sandbox = Sandbox(self.entropy.hex(64), config, self.clock.now(), address)
        self.sandboxes[sandbox.id] = sandbox
        return sandbox

    def add_container(self, sandbox: Sandbox, config: ContainerConfig) -> Container:
        mounts = [
            MountPoint(m.container_path, self._volume(m.host_path), m.read_only)
            for m in config.mounts
        ]
        files = View(MemoryFiles(_FOLDERS), mounts)
        hostname = sandbox.config.hostname or sandbox.config.pod_name
        group = Group(files, hostname, sandbox.address, self.ports, self.clock.now)
        group.on_problem = self.trouble
        container = Container(self.entropy.hex(64), sandbox, config, group, self.clock.now())
        self.containers[container.id] = container
        return container

    def _volume(self, host_path: str) -> Files:
        """A volume of the kubelet's is a real folder; any other path is the simulated machine's own."""
        path = Path(host_path)
        return HostFiles(path) if path.exists() else Below(self.host_files, host_path.strip("/"))

    def start(self, container: Container, program: Program, argv: Sequence[str]) -> None:
        log = self.logs.setdefault(container.config.log_path, Log())
        sink = LogSink(log, self.clock)
        container.started_at = self.clock.now()
        container.init = self.run(container, program, argv, stdin=Pipe(ended=True), stdout=sink)
        container.init.on_exit.append(lambda: self._ended(container))
        self.tell(container, ContainerEventType.STARTED)

    def run(
        self,
        container: Container,
        program: Program,
        argv: Sequence[str],
        *,
        stdin: Pipe,
        stdout: Sink,
        stderr: Sink | None = None,
    ) -> Process:
        """A process in the container, with its environment."""
        config = container.config
        base = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": "/root", "HOSTNAME": container.group.hostname}  # fmt: skip
        return container.group.spawn(
            program, argv, env={**base, **config.env}, cwd=config.working_dir or "/",
            stdin=stdin, stdout=stdout, stderr=stderr or stdout,
        )  # fmt: skip

    def _ended(self, container: Container) -> None:
        assert container.init is not None
        code = container.init.exit_code
        container.exit_code = code
        container.finished_at = self.clock.now()
        container.reason = "Error" if code else "Completed"
        if container.group.out_of_memory:
            container.reason = "OOMKilled"
        container.exited.set()
        self.tell(container, ContainerEventType.DIED)

    def kill(self, container: Container) -> None:
        if container.init is not None:
            container.init.signal(signal.SIGKILL)

    def remove_container(self, container: Container) -> None:
        if self.containers.pop(container.id, None) is not None:
            self.tell(container, ContainerEventType.REMOVED)

    def end_sandbox(self, sandbox: Sandbox) -> None:
        """It is of no more use; what ran in it is dead already."""
        sandbox.state = SandboxState.NOT_READY
        self._tell(sandbox.config.pod_uid, ContainerEventType.SANDBOX_CHANGED, sandbox.id)

    def tell(self, container: Container, type_: ContainerEventType) -> None:
        self._tell(container.sandbox.config.pod_uid, type_, container.id)

    def _tell(self, pod_uid: str, type_: ContainerEventType, id_: str) -> None:
        event = ContainerEvent(pod_uid, type_, id_)
        for listener in tuple(self.listeners):
            listener(event)


@dataclass(frozen=True, slots=True)
class Below:
    """A part of a tree of files as a tree of its own; made when it is first written to."""

    files: MemoryFiles
    base: str

    def _at(self, path: str) -> str:
        return f"{self.base}/{path}".strip("/") if path else self.base

    def kind(self, path: str) -> Kind | None:
        return self.files.kind(self._at(path)) or ("directory" if not path else None)

    def read(self, path: str) -> bytes:
        return self.files.read(self._at(path))

    def write(self, path: str, data: bytes, *, append: bool) -> None:
        self._make_base()
        self.files.write(self._at(path), data, append=append)

    def make_directory(self, path: str) -> None:
        self._make_base()
        self.files.make_directory(self._at(path))

    def remove(self, path: str) -> None:
        self.files.remove(self._at(path))

    def names(self, path: str) -> list[str]:
        if not path and self.files.kind(self.base) is None:
            return []
        return self.files.names(self._at(path))

    def _make_base(self) -> None:
        parts = self.base.split("/")
        for i in range(1, len(parts) + 1):
            if self.files.kind("/".join(parts[:i])) is None:
                self.files.make_directory("/".join(parts[:i]))
