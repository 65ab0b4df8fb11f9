"""What the node gives to others: a container's log, and ways into it and its Pod (`client.node_access`)."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from lightkube.models import core_v1

from podward.client.node_access import ExecSession, LogQuery, NodeAccessError, PortConnection
from podward.kubelet.restart_policy import container_named
from podward.kubelet.runtime.base import (
    ContainerState,
    ContainerStatus,
    ExecStream,
    LogOptions,
    Runtime,
    RuntimeFailure,
    SandboxState,
)
from podward.machinery.clock import Clock
from podward.machinery.network import ByteStream, Network
from podward.probes.ports import dial_error

_LOOPBACK = ("127.0.0.1", "::1")


class NodeServer:
    def __init__(self, runtime: Runtime, clock: Clock, network: Network) -> None:
        self._runtime = runtime
        self._clock = clock
        self._network = network

    async def logs(self, pod: core_v1.Pod, query: LogQuery) -> AsyncIterator[bytes]:
        instance = await self._instance(pod, query)
        since = query.since_time
        if query.since_seconds is not None:
            since = self._clock.now() - timedelta(seconds=query.since_seconds)
        options = LogOptions(
            follow=query.follow,
            tail_lines=query.tail_lines,
            since=since,
            timestamps=query.timestamps,
            limit_bytes=query.limit_bytes,
        )
        running = instance.id if instance.state is ContainerState.RUNNING else None
        return self._runtime.read_log(instance.config.log_path, options, running)

    async def _instance(self, pod: core_v1.Pod, query: LogQuery) -> ContainerStatus:
        name = query.container
        known = [c for c in await self._containers(pod) if c.config.name == name]
        pod_name = (pod.metadata and pod.metadata.name) or ""
        if query.previous:
            ended = [c for c in known[1:] if c.state is ContainerState.EXITED]
            newest_ended = known and known[0].state is ContainerState.EXITED
            if not ended and newest_ended and _waits(pod, name):
                ended = known[:1]
            if not ended:
                raise NodeAccessError(
                    400, f'previous terminated container "{name}" in pod "{pod_name}" not found'
                )
            return ended[0]
        started = [c for c in known if c.state is not ContainerState.CREATED]
        if not started:
            reason = _waits(pod, name) or "ContainerCreating"
            raise NodeAccessError(
                400, f'container "{name}" in pod "{pod_name}" is waiting to start: {reason}'
            )
        return started[0]

    async def exec(
        self, pod: core_v1.Pod, container: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> ExecSession:
        running = await self._running(pod, container)
        try:
            stream = await self._runtime.exec(running.id, command, stdin=stdin, tty=tty)
            return _Session(stream)
        except RuntimeFailure as error:
            raise NodeAccessError(500, f"Internal error occurred: {error}") from error

    async def attach(self, pod: core_v1.Pod, container: str, *, stdin: bool) -> ExecSession:
        """Whether there is a terminal is settled since the container began, by the Pod's spec."""
        running = await self._running(pod, container)
        spec = container_named(pod, container)
        tty = bool(spec is not None and spec.tty)
        try:
            return _Session(await self._runtime.attach(running.id, stdin=stdin, tty=tty))
        except RuntimeFailure as error:
            raise NodeAccessError(400, str(error)) from error

    async def _running(self, pod: core_v1.Pod, container: str) -> ContainerStatus:
        for status in await self._containers(pod):
            if status.config.name == container and status.state is ContainerState.RUNNING:
                return status
        raise NodeAccessError(404, f'container not found ("{container}")')

    async def port_forward(self, pod: core_v1.Pod, port: int) -> PortConnection:
        """From inside the Pod's network, as far as there is one: so a server on its loopback is found too."""
        sandboxes = await self._runtime.list_pod_sandboxes(_uid(pod))
        if not sandboxes or sandboxes[0].state is not SandboxState.READY:
            raise NodeAccessError(500, "the pod's sandbox is not running")
        if not sandboxes[0].host_network:
            try:
                inside = await self._runtime.port_forward(sandboxes[0].id, port)
            except RuntimeFailure as error:
                raise NodeAccessError(500, str(error)) from error
            if inside is not None:
                return inside
        hosts = (*(_LOOPBACK if sandboxes[0].host_network else ()), *sandboxes[0].ips)
        problems: list[str] = []
        for host in hosts:
            try:
                _, stream = await self._network.connect(host, port, ByteStream)
            except OSError as error:
                problems.append(dial_error(host, port, error))
            else:
                return stream
        raise NodeAccessError(500, "; ".join(problems))

    async def _containers(self, pod: core_v1.Pod) -> list[ContainerStatus]:
        return await self._runtime.list_containers(_uid(pod))


class _Session:
    """Implements `client.node_access.ExecSession`: a stream of the runtime, which fails in the API's words."""

    def __init__(self, stream: ExecStream) -> None:
        self.output = stream.output
        self.write = stream.write
        self.close_stdin = stream.close_stdin
        self.resize = stream.resize
        self.close = stream.close
        self._stream = stream

    async def wait(self) -> int:
        try:
            return await self._stream.wait()
        except RuntimeFailure as error:
            raise NodeAccessError(500, str(error)) from error


def _uid(pod: core_v1.Pod) -> str:
    return (pod.metadata and pod.metadata.uid) or ""


def _waits(pod: core_v1.Pod, name: str) -> str:
    """The waiting reason of a container; empty if it does not wait."""
    status = pod.status
    listed = [
        *((status and status.containerStatuses) or ()),
        *((status and status.initContainerStatuses) or ()),
    ]
    for one in listed:
        if one.name == name and one.state is not None and one.state.waiting is not None:
            return one.state.waiting.reason or ""
    return ""
