"""The simulated machine: sandboxes, containers and their processes. It outlives every runtime that looks at it.

A runtime object can be closed and another made on the same world, as a kubelet's death and return have it.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerEvent,
    ContainerEventType,
    ContainerState,
    ContainerStatus,
    SandboxConfig,
    SandboxState,
    SandboxStatus,
)
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy
from podward.simulate.answers import Image
from podward.simulate.commands import PROGRAMS
from podward.simulate.files import Files, Handle, HostFiles, MemoryFiles, MountPoint, Stat, View
from podward.simulate.ports import Ports
from podward.simulate.processes import CannotSimulate, Find, Group, Pipe, Process, Program, Sink
from podward.simulate.shell import interpreter

SHELLS = ("sh", "ash", "bash", "dash")
_FOLDERS = ("bin", "dev", "etc", "home", "root", "run", "tmp", "usr", "var", "var/log",
            "var/run", "var/lib", "usr/bin", "usr/local", "usr/local/bin", "usr/sbin", "sbin", "lib",
            "data", "opt", "mnt", "srv")  # fmt: skip


_PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
_GROUPS = b"root:x:0:\nnogroup:x:65534:\n"


def _image(now: Callable[[], float]) -> MemoryFiles:
    """What every container begins with."""
    files = MemoryFiles(now, _FOLDERS)
    for path, data in (("etc/passwd", _PASSWD), ("etc/group", _GROUPS)):
        files.open(path, append=False).write(data)
    return files


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


class LogSink(msgspec.Struct, frozen=True):
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
    containers: "dict[str, Container]" = field(default_factory=dict)
    """By ID, in the order in which they were created."""
    _told: SandboxStatus | None = None

    def status(self) -> SandboxStatus:
        """The same object for as long as nothing changes: who compares finds out at once."""
        if self._told is None or self._told.state is not self.state:
            self._told = SandboxStatus(
                self.id, self.config, self.state, self.created_at, (self.address,)
            )
        return self._told


@dataclass(slots=True)
class Container:
    id: str
    sandbox: Sandbox
    config: ContainerConfig
    group: Group
    created_at: datetime
    env: Mapping[str, str] = field(init=False)
    init: Process | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    exited: asyncio.Event = field(default_factory=asyncio.Event)
    _told: ContainerStatus | None = None

    def __post_init__(self) -> None:
        base = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": "/root", "HOSTNAME": self.group.hostname}  # fmt: skip
        self.env = {**base, **self.config.env}

    @property
    def state(self) -> ContainerState:
        if self.finished_at is not None:
            return ContainerState.EXITED
        return ContainerState.RUNNING if self.started_at is not None else ContainerState.CREATED

    def status(self) -> ContainerStatus:
        """The same object for as long as nothing changes: who compares finds out at once."""
        told = self._told
        changed = told is None or (told.started_at, told.finished_at) != (
            self.started_at,
            self.finished_at,
        )
        if told is None or changed:
            told = self._told = self._status()
        return told

    def _status(self) -> ContainerStatus:
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
        self._image = _image(self._now)
        self.host_files = self._image.copy(self._now)
        self.sandboxes: dict[str, Sandbox] = {}
        self._pods: dict[str, list[Sandbox]] = {}
        self.containers: dict[str, Container] = {}
        self.logs: dict[str, Log] = {}
        self.programs: dict[str, Program] = dict(PROGRAMS)
        self.images: dict[str, Image] = {}
        """Those that were described, by whole name; any other is on the node, and nobody knows what it runs."""
        self.pulled: set[str] = set()
        self.listeners: list[Callable[[ContainerEvent], None]] = []
        self.problem: Exception | None = None
        self.troubled = asyncio.Event()
        """Set when `problem` is."""
        self._addresses = 1
        self.programs |= dict.fromkeys(SHELLS, interpreter.sh)
        self._volumes: dict[str, HostFiles] = {}

    def trouble(self, error: Exception) -> None:
        if self.problem is None:
            self.problem = error
            self.troubled.set()

    # ---- programs

    def find(self, name: str, *, asking: bool = False) -> Program | None:
        """The program of a name or path; None if there is none. `asking`: it is not going to be run."""
        base = name.rpartition("/")[2]
        if base == "busybox":
            return self._applet
        program = self.programs.get(base)
        if program is None and self.strict and not asking:
            self.trouble(
                CannotSimulate(
                    f"the simulator does not know the command {name!r}: describe what it does in a "
                    f"--behaviour file, for instance\n"
                    f"  commands:\n    {base}: {{listens: [{{port: 8080}}], exits: {{code: 0, after: 60s}}}}"
                )
            )
        return program

    def finder(self, files: View) -> Find:
        """`find` within a container: a file that may be executed is a program too."""

        def find(name: str, *, asking: bool = False) -> Program | None:
            if name.startswith("/"):
                found = files.stat(name)
                if found is not None and found.kind == "file" and found.mode & 0o111:
                    return interpreter.script
            return self.find(name, asking=asking)

        return find

    def _now(self) -> float:
        return self.clock.now().timestamp()

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
        self._pods.setdefault(config.pod_uid, []).append(sandbox)
        return sandbox

    def sandboxes_of(self, pod_uid: str | None) -> Sequence[Sandbox]:
        """Of one Pod, or all; oldest first."""
        return list(self.sandboxes.values()) if pod_uid is None else self._pods.get(pod_uid, ())

    def remove_sandbox(self, sandbox: Sandbox) -> None:
        del self.sandboxes[sandbox.id]
        left = [one for one in self._pods[sandbox.config.pod_uid] if one is not sandbox]
        self._pods[sandbox.config.pod_uid] = left
        if not left:
            del self._pods[sandbox.config.pod_uid]
        for container in list(sandbox.containers.values()):
            self.remove_container(container)

    def add_container(self, sandbox: Sandbox, config: ContainerConfig) -> Container:
        mounts = [
            MountPoint(m.container_path, self._volume(m.host_path), m.read_only)
            for m in config.mounts
        ]
        files = View(self.new_files(), mounts)
        hostname = sandbox.config.hostname or sandbox.config.pod_name
        group = Group(files, hostname, sandbox.address, self.ports, self.clock.now,
                      self.finder(files))  # fmt: skip
        group.on_problem = self.trouble
        container = Container(self.entropy.hex(64), sandbox, config, group, self.clock.now())
        self.containers[container.id] = sandbox.containers[container.id] = container
        return container

    def new_files(self) -> MemoryFiles:
        return self._image.copy(self._now)

    def _volume(self, host_path: str) -> Files:
        """A volume of the kubelet's is a real folder; any other path is the simulated machine's own."""
        if not os.path.exists(host_path):
            return Below(self.host_files, host_path.strip("/"))
        if host_path not in self._volumes:
            self._volumes[host_path] = HostFiles(host_path, self._now)
        return self._volumes[host_path]

    def start(self, container: Container, program: Program, argv: Sequence[str]) -> None:
        log = self.logs.setdefault(container.config.log_path, Log())
        sink = LogSink(log, self.clock)
        container.started_at = self.clock.now()
        container.init = self.run(
            container, program, argv, stdin=Pipe(ended=True), stdout=sink, later=True,
            on_exit=lambda: self._ended(container),
        )  # fmt: skip
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
        on_exit: Callable[[], None] | None = None,
        later: bool = False,
    ) -> Process:
        """A process in the container, with its environment."""
        return container.group.spawn(
            program, argv, env=container.env, cwd=container.config.working_dir or "/",
            stdin=stdin, stdout=stdout, stderr=stderr or stdout, on_exit=on_exit, later=later,
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
            del container.sandbox.containers[container.id]
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

    def stat(self, path: str) -> Stat | None:
        found = self.files.stat(self._at(path))
        return found or (Stat("directory", 4096, 0o755, 0.0, self.base) if not path else None)

    def target(self, path: str) -> tuple[str, str] | None:
        return None

    def read(self, path: str) -> bytes:
        return self.files.read(self._at(path))

    def open(self, path: str, *, append: bool) -> Handle:
        self._make_base()
        return self.files.open(self._at(path), append=append)

    def make_directory(self, path: str) -> None:
        self._make_base()
        self.files.make_directory(self._at(path))

    def make_link(self, path: str, target: str) -> None:
        raise CannotSimulate(f"the simulator makes no symbolic links in volumes ({path!r})")

    def remove(self, path: str) -> None:
        self.files.remove(self._at(path))

    def names(self, path: str) -> list[str]:
        if not path and self.files.stat(self.base) is None:
            return []
        return self.files.names(self._at(path))

    def set_changed(self, path: str, moment: float) -> None:
        self._make_base()
        self.files.set_changed(self._at(path), moment)

    def set_mode(self, path: str, mode: int) -> None:
        self._make_base()
        self.files.set_mode(self._at(path), mode)

    def _make_base(self) -> None:
        parts = self.base.split("/")
        for i in range(1, len(parts) + 1):
            if self.files.stat("/".join(parts[:i])) is None:
                self.files.make_directory("/".join(parts[:i]))
