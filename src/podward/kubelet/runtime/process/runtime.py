"""The process runtime (design.md section 4): the Runtime protocol over sandboxed processes of this machine.

Nothing here is needed for a container to go on living: its supervisor stands in a session of its own, its
output goes to a file, its exit code too. A new runtime on the same folder reads the records and watches whoever
is alive.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerEvent,
    ContainerEventType,
    ContainerState,
    ContainerStatus,
    CreateContainerError,
    Credentials,
    ExecResult,
    Features,
    ImageStatus,
    LogOptions,
    NotFound,
    PortStream,
    RuntimeFailure,
    SandboxConfig,
    SandboxState,
    SandboxStatus,
    StartError,
)
from podward.kubelet.runtime.linux import entering
from podward.kubelet.runtime.linux.children import (
    Spawn,
    Streams,
    ended,
    kill_session,
    run_to_end,
    send_signal,
    spawning,
)
from podward.kubelet.runtime.linux.identity import ProcessIdentity, alive, boot_id, identify
from podward.kubelet.runtime.linux.sessions import Session
from podward.kubelet.runtime.log_attachment import LogAttachment, no_input
from podward.kubelet.runtime.process import bubblewrap, logs, plain
from podward.kubelet.runtime.process.images import HOST_NOTE, Image, ImageStore, normalize
from podward.kubelet.runtime.process.inputs import Inputs
from podward.kubelet.runtime.process.memory import MemoryGroups
from podward.kubelet.runtime.process.records import (
    ContainerRecord,
    Records,
    SandboxRecord,
    read_exit_code,
)
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
START_TIMEOUT_SECONDS = 10.0
_SETTLE_SECONDS = 0.001
_TRIES = 5
"""To make a sandbox while the machine's mounts come and go."""
LOST_EXIT_CODE = 255
"""containerd's own, with reason `Unknown`: it ended and nobody knows how."""

Isolation = Literal["auto", "bwrap", "none"]


class _MountsMoved(StartError):
    """bubblewrap met a mount that was gone when it came to it."""


class _Live:
    """A running container: who to signal, and an event for its end."""

    def __init__(self) -> None:
        self.exited = asyncio.Event()
        self.terminated = False


@dataclass(frozen=True, slots=True)
class _Command:
    """What runs inside a container: its own first process, or a command beside it."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    rootfs: Path
    problem: str | None
    """Why it cannot be executed, in an engine's words."""


class ProcessRuntime:
    def __init__(
        self,
        root: Path,
        *,
        clock: Clock,
        entropy: Entropy,
        node_ip: str,
        isolation: str = "auto",
        log: Callable[[str], None],
    ) -> None:
        self._root = root
        self._clock = clock
        self._entropy = entropy
        self._node_ip = node_ip
        self._wanted = isolation
        self._log = log
        self._as_root = os.geteuid() == 0
        self._isolated = False
        self._enters = self._as_root
        self._boot_id = boot_id()
        self.images = ImageStore(root / "images")
        self._records = Records(root)
        self._sandboxes: dict[str, SandboxRecord] = {}
        self._containers: dict[str, ContainerRecord] = {}
        self._live: dict[str, _Live] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._events: asyncio.Queue[ContainerEvent | None] = asyncio.Queue()
        self._watcher = logs.LogWatcher(clock)
        self._memory = MemoryGroups()
        self._limits = True
        self._inputs = Inputs()

    @property
    def name(self) -> str:
        return "process"

    @property
    def version(self) -> str:
        from podward import __version__

        return __version__

    @property
    def rotates_logs(self) -> bool:
        return False

    # ---- life

    async def start(self) -> None:
        self._isolated = await self._choose_isolation()
        if self._enters and self._isolated:
            entering.harden()
        for sandbox in self._records.load_sandboxes():
            self._sandboxes[sandbox.id] = sandbox
        for record in self._records.load_containers():
            self._containers[record.id] = record
            if record.started_at is not None and record.finished_at is None:
                self._adopt(record)

    async def features(self) -> Features:
        return Features()

    async def close(self) -> None:
        for task in self._watches.values():
            task.cancel()
        await asyncio.gather(*self._watches.values(), return_exceptions=True)
        self._watcher.close()
        self._inputs.close()
        self._events.put_nowait(None)

    async def problem(self) -> str | None:
        return None

    async def events(self) -> AsyncIterator[ContainerEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    async def _choose_isolation(self) -> bool:
        if self._wanted == "none":
            return False
        problem = await self._try_bubblewrap()
        if problem is None:
            return True
        if self._wanted == "bwrap":
            raise RuntimeFailure(f"bubblewrap does not work here: {problem}")
        self._log(f"bubblewrap does not work here ({problem}); {plain.MISSING}")
        return False

    async def _try_bubblewrap(self) -> str | None:
        command = ["bwrap", "--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts"]
        command += ["--ro-bind", "/", "/", "--proc", "/proc", "true"]
        for _ in range(_TRIES):
            try:
                here = spawning(command, os.environ, None)
                result = await run_to_end(here, START_TIMEOUT_SECONDS)
            except (OSError, RuntimeFailure) as error:
                return str(error)
            problem = result.stderr.decode(errors="replace").strip()
            if result.exit_code == 0:
                return None
            if not bubblewrap.lost_a_race(problem):
                break
        return problem

    def _adopt(self, record: ContainerRecord) -> None:
        """A container that was running when somebody last looked."""
        same_boot = record.boot_id == self._boot_id
        if same_boot and (alive(record.supervisor) or alive(record.init)):
            self._watch(record)
        else:
            self._conclude(record)

    # ---- sandboxes

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        record = SandboxRecord(self._entropy.hex(64), config, self._boot_id, self._clock.now())
        self._records.save(record)
        self._sandboxes[record.id] = record
        return record.id

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        inside = [c.id for c in self._containers.values() if c.sandbox_id == sandbox_id]
        await asyncio.gather(*(self.stop_container(container, 0) for container in inside))
        if not sandbox.stopped:
            sandbox.stopped = True
            self._records.save(sandbox)
            self._tell(sandbox.config.pod_uid, ContainerEventType.SANDBOX_CHANGED, sandbox_id)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        await self.stop_pod_sandbox(sandbox_id)
        for record in [c for c in self._containers.values() if c.sandbox_id == sandbox_id]:
            await self.remove_container(record.id)
        sandbox = self._sandboxes.pop(sandbox_id, None)
        if sandbox is not None:
            self._records.remove(sandbox)

    async def list_pod_sandboxes(self, pod_uid: str | None = None) -> list[SandboxStatus]:
        found = [
            SandboxStatus(
                id=record.id,
                config=record.config,
                state=SandboxState.READY if self._ready(record) else SandboxState.NOT_READY,
                created_at=record.created_at,
                ips=(self._node_ip,),
                host_network=True,
            )
            for record in self._sandboxes.values()
            if pod_uid is None or record.config.pod_uid == pod_uid
        ]
        return sorted(found, key=lambda s: (s.config.attempt, s.created_at), reverse=True)

    def _ready(self, record: SandboxRecord) -> bool:
        """A machine that booted again has none of the processes it had."""
        return not record.stopped and record.boot_id == self._boot_id

    # ---- images

    async def read_only_recursively(self, sandbox_id: str) -> bool:
        return self._isolated  # bubblewrap's binds are

    async def image_status(self, image: str) -> ImageStatus | None:
        """Never None: an image that was not imported stands for the host, there is nothing to pull from."""
        found = self.images.get(image)
        if found is not None:
            return ImageStatus(found[0].name, found[0].id)
        return ImageStatus(normalize(image), f"host:{self._boot_id}", note=HOST_NOTE)

    async def pull_image(self, image: str, credentials: Credentials | None = None) -> ImageStatus:
        status = await self.image_status(image)
        assert status is not None
        return status

    # ---- containers

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            raise NotFound(f"sandbox {sandbox_id} not found")
        image, rootfs = self._image(config)
        if not _command(config, image):
            raise CreateContainerError(
                f'no command specified: image "{config.image}" is not imported and the container names no '
                f"command; import it (podward image import {config.image} ROOTFS-OR-ARCHIVE) or set "
                "spec.containers[].command"
            )
        if not self._isolated and rootfs != Path("/"):
            raise CreateContainerError(
                f'image "{config.image}" needs a root filesystem of its own, which takes bubblewrap; '
                "it does not work here"
            )
        record = ContainerRecord(
            id=self._entropy.hex(64),
            sandbox_id=sandbox_id,
            pod_uid=sandbox.config.pod_uid,
            config=config,
            boot_id=self._boot_id,
            created_at=self._clock.now(),
            image_id=image.id,
            isolated=self._isolated,
        )
        self._records.save(record)
        self._containers[record.id] = record
        return record.id

    def _image(self, config: ContainerConfig) -> tuple[Image, Path]:
        found = self.images.get(config.image)
        return found if found is not None else (Image(normalize(config.image), ""), Path("/"))

    async def start_container(self, container_id: str) -> None:
        record = self._record(container_id)
        try:
            await self._launch(record, self._command(record))
        except (StartError, OSError) as error:
            record.started_at = record.finished_at = self._clock.now()
            record.exit_code, record.reason, record.message = 128, "StartError", str(error)
            self._records.save(record)
            if isinstance(error, StartError):
                raise
            raise StartError(str(error)) from error

    async def _launch(self, record: ContainerRecord, command: _Command) -> None:
        if command.problem is not None:
            raise StartError(f"failed to create task: {command.problem}")
        files = Path(record.config.log_path), self._records.exit_file(record.id)
        for left in reversed(range(_TRIES)):
            sizes = [path.stat().st_size if path.exists() else 0 for path in files]
            try:
                await self._launch_once(record, command)
            except _MountsMoved:
                if not left:
                    raise
                for path, size in zip(files, sizes, strict=True):
                    os.truncate(path, size)  # what it said was not the container's
            else:
                return

    async def _launch_once(self, record: ContainerRecord, command: _Command) -> None:
        log_path = Path(record.config.log_path)
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as files:
            output = files.enter_context(open(log_path, "ab"))
            status = files.enter_context(open(self._records.exit_file(record.id), "ab"))
            stdin = subprocess.DEVNULL
            if _has_input(record.config):
                pipe, once = self._records.input_pipe(record.id), record.config.stdin_once
                stdin = files.enter_context(self._inputs.made(record.id, pipe, once=once))
            told, tell = os.pipe()
            try:
                argv = self._supervised(record, command, status.fileno(), tell)
                argv = [*self._limited(record), *argv]
                process = subprocess.Popen(
                    argv, env=command.env, cwd=None if record.isolated else command.cwd,
                    stdin=stdin, stdout=output, stderr=output,
                    start_new_session=True, pass_fds=(status.fileno(), tell),
                )  # fmt: skip
            except BaseException:
                os.close(told)
                raise
            finally:
                os.close(tell)
        self._children[record.id] = process
        pid = await _child_pid(told)
        init = await self._settled(record, pid) if pid else None
        supervisor = identify(process.pid)
        if init is None and record.isolated:
            said = _last_line(log_path)
            if bubblewrap.lost_a_race(said):
                process.wait()
                self._children.pop(record.id, None)
                raise _MountsMoved(said)
        if pid is None:
            process.wait()
            self._children.pop(record.id, None)
            raise StartError(_last_line(log_path) or "the sandbox could not be made")
        record.started_at = self._clock.now()
        record.init = init or ProcessIdentity(pid, 0)
        record.supervisor = supervisor
        self._records.save(record)
        self._watch(record)
        self._tell(record.pod_uid, ContainerEventType.STARTED, record.id)

    async def _settled(self, record: ContainerRecord, pid: int) -> ProcessIdentity | None:
        """The container's first process once it is there to be signalled and entered.

        bubblewrap tells the pid before it has made the sandbox and executed the command in it; the kernel
        tells nobody of an exec, so this looks, for the few milliseconds that it takes.
        """
        deadline = self._clock.monotonic() + START_TIMEOUT_SECONDS
        while (init := identify(pid)) is not None and self._clock.monotonic() < deadline:
            if _command_runs(pid, isolated=record.isolated):
                break
            await asyncio.sleep(_SETTLE_SECONDS)
        return init

    def _limited(self, record: ContainerRecord) -> list[str]:
        """What goes before the command line of a container with a memory limit."""
        limit = record.config.resources.memory_limit_bytes
        if not limit or not self._limits:
            return []
        words = self._memory.enter(record.id, limit)
        if words is None:
            self._limits = False
            self._log("memory limits are not enforced: no cgroup can be made here")
        return words or []

    def _supervised(
        self, record: ContainerRecord, command: _Command, status_fd: int, info_fd: int
    ) -> list[str]:
        """The supervisor's command line."""
        if not record.isolated:
            return plain.command_line(command.argv, status_fd=status_fd, info_fd=info_fd)
        sandbox = bubblewrap.Sandbox(
            rootfs=command.rootfs,
            hostname=self._hostname(record),
            mounts=record.config.mounts,
            working_dir=command.cwd,
            command=command.argv,
        )
        return bubblewrap.command_line(
            sandbox, status_fd=status_fd, info_fd=info_fd, as_root=self._as_root
        )

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        record, live = self._containers.get(container_id), self._live.get(container_id)
        if record is None or live is None:
            return
        if not live.terminated and grace_seconds > 0:
            live.terminated = True
            self._signal(record, signal.SIGTERM)
        loop = asyncio.get_running_loop()
        kill = loop.call_later(max(grace_seconds, 0), self._signal, record, signal.SIGKILL)
        try:
            await live.exited.wait()
        finally:
            kill.cancel()

    async def remove_container(self, container_id: str) -> None:
        await self.stop_container(container_id, 0)
        record = self._containers.pop(container_id, None)
        if record is not None:
            self._records.remove(record)
            self._tell(record.pod_uid, ContainerEventType.REMOVED, container_id)

    async def list_containers(self, pod_uid: str | None = None) -> list[ContainerStatus]:
        found = [
            self._status(record)
            for record in self._containers.values()
            if pod_uid is None or record.pod_uid == pod_uid
        ]
        return sorted(found, key=lambda c: (c.config.attempt, c.created_at), reverse=True)

    def _status(self, record: ContainerRecord) -> ContainerStatus:
        state = ContainerState.CREATED
        if record.finished_at is not None:
            state = ContainerState.EXITED
        elif record.started_at is not None:
            state = ContainerState.RUNNING
        return ContainerStatus(
            id=record.id,
            sandbox_id=record.sandbox_id,
            config=record.config,
            pod_uid=record.pod_uid,
            state=state,
            created_at=record.created_at,
            started_at=record.started_at,
            finished_at=record.finished_at,
            exit_code=record.exit_code,
            reason=record.reason,
            message=record.message,
            image_id=record.image_id,
        )

    # ---- commands in containers

    async def exec_sync(
        self, container_id: str, command: Sequence[str], timeout: float | None
    ) -> ExecResult:
        record = self._running(container_id)
        wanted = self._executable(record, command)
        try:
            if self._enters and record.isolated:
                try:
                    return await run_to_end(self._entering(record, wanted), timeout)
                except entering.CannotEnter as error:
                    self._enters = False
                    self._log(f"commands enter containers through nsenter, the dearer way: {error}")
            return await run_to_end(spawning(*self._from_outside(record, wanted)), timeout)
        except OSError as error:
            raise RuntimeFailure(f"failed to exec in container: {error}") from error

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> Session:
        record = self._running(container_id)
        argv, env, cwd = self._from_outside(record, self._executable(record, command))
        if tty:
            env = {"TERM": "xterm", **env}
        try:
            return Session(argv, env, cwd, stdin=stdin, tty=tty)
        except OSError as error:
            raise RuntimeFailure(f"failed to exec in container: {error}") from error

    def _executable(self, record: ContainerRecord, argv: Sequence[str]) -> _Command:
        command = self._command(record, argv)
        if command.problem is not None:
            raise RuntimeFailure(
                f'failed to exec in container: failed to start exec "{record.id[:12]}": OCI runtime exec '
                f"failed: exec failed: unable to start container process: {command.problem}"
            )
        return command

    def _entering(self, record: ContainerRecord, command: _Command) -> Spawn:
        assert record.init is not None
        pid = record.init.pid

        async def spawn(streams: Streams) -> "subprocess.Popen[bytes]":
            return await entering.spawn(
                pid, command.argv, command.env, command.cwd, streams, bubblewrap.CAPABILITIES
            )

        return spawn

    def _from_outside(
        self, record: ContainerRecord, command: _Command
    ) -> tuple[list[str], dict[str, str], str | None]:
        """Command line, environment and working directory of a program that gets itself inside."""
        if not record.isolated:
            return command.argv, command.env, command.cwd
        assert record.init is not None
        argv = bubblewrap.enter_command(
            record.init.pid, command.argv, command.cwd, as_root=self._as_root
        )
        return argv, command.env, None

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> LogAttachment:
        record = self._running(container_id)
        if stdin and not _has_input(record.config):
            why = "the process runtime has no terminals" if tty else "its spec asks for none"
            raise no_input(record.config.name, why)
        log = self.read_log(
            record.config.log_path, LogOptions(follow=True, tail_lines=0), record.id
        )
        if not stdin:
            attached = LogAttachment(log)
        else:
            pipe, once = self._records.input_pipe(record.id), record.config.stdin_once
            attached = self._inputs.attach(record.id, pipe, log, once=once)
        await asyncio.sleep(0)  # it has begun to listen
        return attached

    async def port_forward(self, sandbox_id: str, port: int) -> PortStream | None:
        return None  # it listens on the machine's own network

    def read_log(
        self, log_path: str, options: LogOptions, container_id: str | None
    ) -> AsyncIterator[bytes]:
        live = self._live.get(container_id or "")
        exited = live.exited.wait if live is not None else None

        async def until_exit() -> None:
            if exited is not None:
                await exited()

        return logs.read_log(Path(log_path), options, self._watcher, until_exit, self._clock)

    async def reopen_log(self, container_id: str) -> None:
        raise RuntimeFailure("containers hold their logs themselves: they cannot be reopened")

    # ---- what a container's life is made of

    def _env(self, record: ContainerRecord, image: Image) -> dict[str, str]:
        given = dict(pair.partition("=")[::2] for pair in image.config.env or ())
        hostname = self._hostname(record)
        base = {
            "PATH": DEFAULT_PATH,
            "HOME": "/root" if self._as_root else "/",
            "HOSTNAME": hostname,
        }
        return {**base, **given, **record.config.env}

    def _command(self, record: ContainerRecord, argv: Sequence[str] = ()) -> _Command:
        """`argv` inside the container, or the container's own command if there is none."""
        config = record.config
        image, rootfs = self._image(config)
        env = self._env(record, image)
        cwd = config.working_dir or image.config.working_dir or "/"
        words = list(argv or _command(config, image))
        mounts = config.mounts if record.isolated else ()
        problem = bubblewrap.find_executable(rootfs, mounts, env, cwd, words[0])
        return _Command(words, env, cwd, rootfs, problem)

    def _hostname(self, record: ContainerRecord) -> str:
        sandbox = self._sandboxes[record.sandbox_id].config
        return (sandbox.hostname or sandbox.pod_name)[:63]

    def _record(self, container_id: str) -> ContainerRecord:
        record = self._containers.get(container_id)
        if record is None:
            raise NotFound(f'container "{container_id}" not found')
        return record

    def _running(self, container_id: str) -> ContainerRecord:
        record = self._record(container_id)
        if container_id not in self._live:
            raise RuntimeFailure(f'container "{container_id}" is not running')
        return record

    def _signal(self, record: ContainerRecord, number: int) -> None:
        if record.init is None:
            return
        if record.isolated:
            # PID 1 of a pid namespace: with it goes everything inside.
            send_signal(record.init, number)
        elif identify(record.init.pid) == record.init:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(record.init.pid, number)

    def _watch(self, record: ContainerRecord) -> None:
        self._live[record.id] = _Live()
        self._watcher.watch(Path(record.config.log_path))
        task = asyncio.get_running_loop().create_task(self._until_exit(record))
        self._watches[record.id] = task

    async def _until_exit(self, record: ContainerRecord) -> None:
        if alive(record.supervisor):
            assert record.supervisor is not None
            await ended(record.supervisor.pid)
        if alive(record.init):  # its supervisor was killed; it lives on, unsupervised
            assert record.init is not None
            await ended(record.init.pid)
        child = self._children.pop(record.id, None)
        if child is not None:
            child.wait()
        if not record.isolated and record.init is not None:
            kill_session(record.init.pid)
        self._conclude(record)
        self._watches.pop(record.id, None)
        self._live.pop(record.id).exited.set()
        self._tell(record.pod_uid, ContainerEventType.DIED, record.id)

    def _conclude(self, record: ContainerRecord) -> None:
        """Write down how it ended."""
        self._inputs.end(record.id)
        path = self._records.exit_file(record.id)
        code = read_exit_code(path)
        record.exit_code = LOST_EXIT_CODE if code is None else code
        record.reason = "Unknown" if code is None else ("Error" if code else "Completed")
        if record.config.resources.memory_limit_bytes:
            if code and self._memory.oom_killed(record.id):
                record.reason = "OOMKilled"
            self._memory.remove(record.id)
        record.finished_at = self._clock.now()
        if code is not None:
            # Nobody may have been there: the file's own time is when it was written.
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            record.finished_at = max(record.started_at or written, min(written, record.finished_at))
        self._records.save(record)
        self._watcher.unwatch(Path(record.config.log_path))

    def _tell(self, pod_uid: str, type_: ContainerEventType, id_: str) -> None:
        self._events.put_nowait(ContainerEvent(pod_uid, type_, id_))


def _has_input(config: ContainerConfig) -> bool:
    """A terminal would have to be held by somebody who outlives us: there is none, and no input either."""
    return config.stdin and not config.tty


def _command(config: ContainerConfig, image: Image) -> list[str]:
    """Arguments of the image belong to its own entrypoint, not to a command that replaced it."""
    command = list(config.command) or list(image.config.entrypoint or ())
    args = list(config.args) or ([] if config.command else list(image.config.command or ()))
    return command + args


def _command_runs(pid: int, *, isolated: bool) -> bool:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        if not isolated:
            return os.getsid(pid) == pid
        return Path(f"/proc/{pid}/comm").read_text().strip() != "bwrap"
    return True  # it has ended already


def _last_line(log: Path) -> str:
    with open(log, "rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - 4096, 0))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


async def _child_pid(descriptor: int) -> int | None:
    """The pid that the supervisor tells on the pipe; None if it ended without a word. Closes the pipe."""
    loop = asyncio.get_running_loop()
    os.set_blocking(descriptor, False)
    text = bytearray()
    done: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        try:
            data = os.read(descriptor, 4096)
        except BlockingIOError:
            return
        text.extend(data)
        if (not data or (b"child-pid" in text and b"}" in text)) and not done.done():
            done.set_result(None)

    loop.add_reader(descriptor, readable)
    try:
        async with asyncio.timeout(START_TIMEOUT_SECONDS):
            await done
    except TimeoutError:
        return None
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    digits = text.partition(b'"child-pid":')[2].lstrip().split(b",")[0].split(b"}")[0].strip()
    return int(digits) if digits.isdigit() else None
