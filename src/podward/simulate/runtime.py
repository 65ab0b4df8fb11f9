"""`kubelet.runtime.base.Runtime` over a `World`: the protocol of the real runtimes, in virtual time."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Sequence

from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerEvent,
    ContainerState,
    ContainerStatus,
    CreateContainerError,
    Credentials,
    ExecResult,
    ExecTimeout,
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
from podward.kubelet.runtime.log_attachment import LogAttachment, no_input
from podward.kubelet.runtime.process.images import normalize
from podward.simulate.answers import Image
from podward.simulate.processes import Collected, Nowhere, Pipe, PipeClosed, Process
from podward.simulate.world import Container, Log, World

OUTPUT_LIMIT = 16 * 1024
SANDBOX_SECONDS = 0.5
"""What making a sandbox takes: so that a Pod is seen being created."""
START_SECONDS = 0.05
"""What starting a container takes: so that it is never in step with the probes to the very instant."""
_NOT_FOUND = 'exec: "{}": executable file not found in $PATH: unknown'


class SimulatedRuntime:
    def __init__(self, world: World) -> None:
        self.world = world
        self._events: asyncio.Queue[ContainerEvent | None] = asyncio.Queue()

    @property
    def name(self) -> str:
        return "simulated"

    @property
    def version(self) -> str:
        return "1"

    @property
    def rotates_logs(self) -> bool:
        return False

    async def start(self) -> None:
        self.world.listeners.append(self._events.put_nowait)

    async def features(self) -> Features:
        return Features()

    async def close(self) -> None:
        if self._events.put_nowait in self.world.listeners:
            self.world.listeners.remove(self._events.put_nowait)
        self._events.put_nowait(None)

    async def problem(self) -> str | None:
        return None

    async def events(self) -> AsyncIterator[ContainerEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    # ---- sandboxes

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        await asyncio.sleep(SANDBOX_SECONDS)
        return self.world.add_sandbox(config).id

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        sandbox = self.world.sandboxes.get(sandbox_id)
        if sandbox is None or sandbox.state is SandboxState.NOT_READY:
            return
        await asyncio.gather(*(self.stop_container(c, 0) for c in list(sandbox.containers)))
        self.world.end_sandbox(sandbox)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        await self.stop_pod_sandbox(sandbox_id)
        sandbox = self.world.sandboxes.get(sandbox_id)
        if sandbox is not None:
            self.world.remove_sandbox(sandbox)

    async def list_pod_sandboxes(self, pod_uid: str | None = None) -> list[SandboxStatus]:
        found = [sandbox.status() for sandbox in self.world.sandboxes_of(pod_uid)]
        return sorted(found, key=lambda s: (s.config.attempt, s.created_at), reverse=True)

    # ---- images

    async def read_only_recursively(self, sandbox_id: str) -> bool:
        return True  # nothing is mounted below anything

    async def image_status(self, image: str) -> ImageStatus | None:
        described = self._image(image)
        absent = described.missing or described.pull is not None
        if absent and normalize(image) not in self.world.pulled:
            return None
        return ImageStatus(image, f"simulated:{image}")

    async def pull_image(self, image: str, credentials: Credentials | None = None) -> ImageStatus:
        described, name = self._image(image), normalize(image)
        await asyncio.sleep(described.pull or 0)
        if described.missing:
            raise RuntimeFailure(
                f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": '
                f"{name}: not found"
            )
        self.world.pulled.add(name)
        return ImageStatus(image, f"simulated:{image}")

    def _image(self, image: str) -> Image:
        return self.world.images.get(normalize(image), Image())

    def _argv(self, config: ContainerConfig) -> list[str]:
        """The image's arguments belong to the image's command: a container's own command drops both."""
        image = self._image(config.image)
        args = config.args or (() if config.command else image.args)
        return [*(config.command or image.command), *args]

    # ---- containers

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        sandbox = self.world.sandboxes.get(sandbox_id)
        if sandbox is None:
            raise NotFound(f"sandbox {sandbox_id} not found")
        if not self._argv(config):
            raise CreateContainerError(
                f'no command specified: what image "{config.image}" runs is not known here, and the '
                "container names no command (podward image import is for real containers; for a "
                "simulation describe the image in a --behaviour file)"
            )
        return self.world.add_container(sandbox, config).id

    async def start_container(self, container_id: str) -> None:
        container = self._container(container_id)
        argv = self._argv(container.config)
        program = container.group.find(argv[0])
        if program is None:
            text = f"failed to create task: {_NOT_FOUND.format(argv[0])}"
            container.started_at = container.finished_at = self.world.clock.now()
            container.exit_code, container.reason, container.message = 128, "StartError", text
            container.exited.set()
            raise StartError(text)
        await asyncio.sleep(START_SECONDS)
        self.world.start(container, program, argv)

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        container = self.world.containers.get(container_id)
        if container is None or container.state is not ContainerState.RUNNING:
            return
        assert container.init is not None
        if grace_seconds > 0:
            container.init.signal(signal.SIGTERM)
        loop = asyncio.get_running_loop()
        kill = loop.call_later(max(grace_seconds, 0), self.world.kill, container)
        try:
            await container.exited.wait()
        finally:
            kill.cancel()

    async def remove_container(self, container_id: str) -> None:
        await self.stop_container(container_id, 0)
        container = self.world.containers.get(container_id)
        if container is not None:
            self.world.remove_container(container)

    async def list_containers(self, pod_uid: str | None = None) -> list[ContainerStatus]:
        sandboxes = self.world.sandboxes_of(pod_uid)
        found = [c.status() for sandbox in sandboxes for c in sandbox.containers.values()]
        return sorted(found, key=lambda c: (c.config.attempt, c.created_at), reverse=True)

    def _container(self, container_id: str) -> Container:
        container = self.world.containers.get(container_id)
        if container is None:
            raise NotFound(f'container "{container_id}" not found')
        return container

    # ---- commands in containers

    async def exec_sync(
        self, container_id: str, command: Sequence[str], timeout: float | None
    ) -> ExecResult:
        stdout, stderr = Collected(), Collected()
        process = self._enter(container_id, command, Pipe(ended=True), stdout, stderr)
        code = process.exit_code
        if code is None:
            try:
                async with asyncio.timeout(timeout):
                    code = await process.wait()
            except TimeoutError:
                raise ExecTimeout(f"command timed out after {timeout:g}s") from None
            finally:
                process.exit(128 + signal.SIGKILL)
        limited = bytes(stdout.data[:OUTPUT_LIMIT]), bytes(stderr.data[:OUTPUT_LIMIT])
        return ExecResult(code, *limited)

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> "Session":
        keyboard = Pipe(ended=not stdin)
        out, err = Pipe(), Pipe()
        process = self._enter(container_id, command, keyboard, out, out if tty else err)
        return Session(process, keyboard, out, err)

    def _enter(
        self, container_id: str, command: Sequence[str], stdin: Pipe, stdout: object, stderr: object
    ) -> Process:
        container = self._container(container_id)
        if container.state is not ContainerState.RUNNING:
            raise RuntimeFailure(f'container "{container_id}" is not running')
        program = container.group.find(command[0])
        if program is None:
            raise RuntimeFailure(
                f'failed to exec in container: failed to start exec "{container.id[:12]}": OCI runtime '
                f"exec failed: exec failed: unable to start container process: "
                f"{_NOT_FOUND.format(command[0])}"
            )
        out, err = stdout or Nowhere(), stderr or Nowhere()
        return self.world.run(
            container, program, command, stdin=stdin, stdout=out, stderr=err  # type: ignore[arg-type]
        )  # fmt: skip

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> LogAttachment:
        config = self._container(container_id).config
        if stdin:
            raise no_input(
                config.name, "the simulated runtime gives none to a container's own command"
            )
        options = LogOptions(follow=True, tail_lines=0)
        attached = LogAttachment(self.read_log(config.log_path, options, container_id))
        await asyncio.sleep(0)  # it has begun to listen
        return attached

    async def port_forward(self, sandbox_id: str, port: int) -> PortStream | None:
        return None  # its addresses are those of the simulated network

    # ---- logs

    async def read_log(
        self, log_path: str, options: LogOptions, container_id: str | None
    ) -> AsyncIterator[bytes]:
        log = self.world.logs.setdefault(log_path, Log())
        container = self.world.containers.get(container_id or "")
        shown = log.lines()
        seen = len(log.pieces)
        if options.since is not None:
            shown = [(at, line) for at, line in shown if at >= options.since]
        if options.tail_lines is not None:
            shown = shown[-options.tail_lines :] if options.tail_lines else []
        budget = options.limit_bytes
        data = b"".join(_stamped(at, line, options) for at, line in shown)
        yield data if budget is None else data[:budget]
        while options.follow and container is not None:
            ended = container.exited.is_set()
            for at, piece in log.pieces[seen:]:
                yield _stamped(at, piece, options)
            seen = len(log.pieces)
            if ended:
                return
            log.grown.clear()
            waits = [
                asyncio.ensure_future(log.grown.wait()),
                asyncio.ensure_future(container.exited.wait()),
            ]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def reopen_log(self, container_id: str) -> None:
        """Simulated logs have no files."""


def _stamped(at: object, line: bytes, options: LogOptions) -> bytes:
    if not options.timestamps:
        return line
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}000Z ".encode() + line


class Session:
    """An interactive command (`ExecStream`)."""

    def __init__(self, process: Process, stdin: Pipe, out: Pipe, err: Pipe) -> None:
        self._process = process
        self._stdin = stdin
        self._streams = {1: out, 2: err}
        for pipe in self._streams.values():
            process.on_exit.append(pipe.end)

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()

        async def copy(channel: int, pipe: Pipe) -> None:
            while data := await pipe.read():
                queue.put_nowait((channel, data))
            queue.put_nowait((channel, b""))

        tasks = [asyncio.create_task(copy(c, p)) for c, p in self._streams.items()]
        open_streams = len(tasks)
        while open_streams:
            channel, data = await queue.get()
            if data:
                yield channel, data
            else:
                open_streams -= 1

    async def write(self, data: bytes) -> None:
        if not self._stdin.ended:
            with contextlib.suppress(PipeClosed):
                self._stdin.write(data)

    async def close_stdin(self) -> None:
        self._stdin.end()

    async def resize(self, width: int, height: int) -> None:
        pass

    async def wait(self) -> int:
        return await self._process.wait()

    async def close(self) -> None:
        self._process.exit(128 + signal.SIGKILL)
