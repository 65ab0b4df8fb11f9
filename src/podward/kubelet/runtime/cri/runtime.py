"""The Runtime protocol over an engine that speaks runtime.v1 (spec/health.md 4.5 to 4.8).

What is done is said here; what is there, and what happens to it, the observer knows.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerEvent,
    ContainerStatus,
    CreateContainerError,
    Credentials,
    ExecResult,
    ExecStream,
    ExecTimeout,
    Features,
    ImageStatus,
    LogOptions,
    PortStream,
    RuntimeFailure,
    RuntimeUnavailable,
    SandboxConfig,
    SandboxStatus,
    StartError,
)
from podward.kubelet.runtime.cri import logs
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.client import (
    CriClient,
    EngineFailure,
    EngineNotFound,
    EngineTimeout,
    EngineUnavailable,
    Unimplemented,
)
from podward.kubelet.runtime.cri.configs import (
    container_config,
    sandbox_config,
)
from podward.kubelet.runtime.cri.direct_exec import DirectExec
from podward.kubelet.runtime.cri.exits import until_exit
from podward.kubelet.runtime.cri.features import engine_features
from podward.kubelet.runtime.cri.images import CriImages
from podward.kubelet.runtime.cri.observer import Observer
from podward.kubelet.runtime.cri.statuses import (
    sandbox_made_from,
)
from podward.kubelet.runtime.cri.stop_signals import after_own_signal
from podward.kubelet.runtime.cri.streams import EngineStreams
from podward.kubelet.runtime.cri.verbose import read_all
from podward.kubelet.runtime.linux.inotify import Inotify
from podward.machinery.network import Network, SystemNetwork

_OUTPUT_LIMIT = 16 * 1024
_STOP_MARGIN_SECONDS = 120.0
_EXEC_LIMIT_SECONDS = 3600.0
"""For a command that was given no time."""

ExecProbes = Literal["direct", "engine"]
"""Commands that are waited for: forked into the container by us where we can, or always by the engine."""


class CriRuntime:
    def __init__(
        self,
        socket_path: str,
        *,
        instance: str,
        network: Network | None = None,
        exec_probes: ExecProbes = "direct",
    ) -> None:
        """`instance`: whose the sandboxes are; others on the same engine are not touched. `network`: where the
        engine's streaming server is found; the machine's own unless told otherwise."""
        self._client = CriClient(socket_path)
        self._streams = EngineStreams(self._client, network or SystemNetwork())
        self._images = CriImages(self._client)
        self._instance = instance
        self._inotify = Inotify()
        self._name, self._version = "", ""
        self._features: Features | None = None
        self._sandbox_configs: dict[str, pb.PodSandboxConfig] = {}
        self._events: asyncio.Queue[ContainerEvent | None] = asyncio.Queue()
        self._observer = Observer(self._client, instance, self._events.put_nowait)
        self._direct = DirectExec(self._info) if exec_probes == "direct" else None

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> str:
        return self._version

    @property
    def rotates_logs(self) -> bool:
        return True

    # ---- life

    async def start(self) -> None:
        try:
            found = await self._client.runtime(
                "Version", pb.VersionRequest(), pb.VersionResponse, 10
            )
            self._name, self._version = found.runtime_name, found.runtime_version
            await self._observer.start()
        except EngineFailure as error:
            await self._client.close()
            raise _no_engine(self._client.socket_path, error) from error

    async def features(self) -> Features:
        if self._features is None:
            self._features = await engine_features(self._client)
        return self._features

    async def close(self) -> None:
        await self._observer.close()
        if self._direct is not None:
            self._direct.close()
        await self._client.close()
        self._events.put_nowait(None)
        self._inotify.close()

    async def problem(self) -> str | None:
        return await self._observer.problem()

    async def events(self) -> AsyncIterator[ContainerEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    # ---- sandboxes

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        made = sandbox_config(config, self._instance)
        request = pb.RunPodSandboxRequest(config=made, runtime_handler=config.runtime_handler)
        answer = await self._client.runtime("RunPodSandbox", request, pb.RunPodSandboxResponse, 240)
        self._sandbox_configs[answer.pod_sandbox_id] = made
        self._observer.ledger.made_sandbox(answer.pod_sandbox_id, config.pod_uid)
        return answer.pod_sandbox_id

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        request = pb.StopPodSandboxRequest(pod_sandbox_id=sandbox_id)
        with contextlib.suppress(EngineNotFound):
            await self._client.runtime("StopPodSandbox", request, pb.StopPodSandboxResponse)
        self._observer.ledger.sandbox_stopped(sandbox_id)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        await self.stop_pod_sandbox(sandbox_id)
        request = pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id)
        with contextlib.suppress(EngineNotFound):
            await self._client.runtime("RemovePodSandbox", request, pb.RemovePodSandboxResponse)
        self._sandbox_configs.pop(sandbox_id, None)
        self._observer.ledger.sandbox_removed(sandbox_id)

    async def list_pod_sandboxes(self, pod_uid: str | None = None) -> list[SandboxStatus]:
        return await self._observer.sandboxes(pod_uid)

    async def _sandbox_config(self, sandbox_id: str) -> pb.PodSandboxConfig:
        held = self._sandbox_configs.get(sandbox_id)
        if held is None:
            request = pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id)
            found = await self._client.runtime(
                "PodSandboxStatus", request, pb.PodSandboxStatusResponse
            )
            config = sandbox_made_from(found.status.annotations, found.status.metadata)
            held = self._sandbox_configs[sandbox_id] = sandbox_config(config, self._instance)
        return held

    async def read_only_recursively(self, sandbox_id: str) -> bool:
        sandbox = await self._sandbox_config(sandbox_id)
        handler = sandbox_made_from(sandbox.annotations, sandbox.metadata).runtime_handler
        found = await self._client.runtime("Status", pb.StatusRequest(), pb.StatusResponse)
        handlers = {one.name: one.features for one in found.runtime_handlers}
        return handler in handlers and handlers[handler].recursive_read_only_mounts

    # ---- images

    async def image_status(self, image: str) -> ImageStatus | None:
        return await self._images.status(image)

    async def pull_image(self, image: str, credentials: Credentials | None = None) -> ImageStatus:
        return await self._images.pull(image, credentials)

    # ---- containers

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        sandbox = await self._sandbox_config(sandbox_id)
        made_from = sandbox_made_from(sandbox.annotations, sandbox.metadata)
        request = pb.CreateContainerRequest(
            pod_sandbox_id=sandbox_id,
            config=container_config(config, made_from, self._instance),
            sandbox_config=sandbox,
        )
        try:
            answer = await self._client.runtime(
                "CreateContainer", request, pb.CreateContainerResponse
            )
        except EngineUnavailable:
            raise
        except EngineFailure as error:
            raise CreateContainerError(error.message) from error
        made, pod_uid = answer.container_id, made_from.pod_uid
        self._observer.ledger.made_container(made, pod_uid, sandbox_id)
        return made

    async def start_container(self, container_id: str) -> None:
        request = pb.StartContainerRequest(container_id=container_id)
        try:
            await self._client.runtime("StartContainer", request, pb.StartContainerResponse)
        except EngineUnavailable:
            raise
        except EngineFailure as error:
            self._observer.ledger.not_started(container_id)
            raise StartError(error.message) from error
        await self._observer.started(container_id)

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        grace_seconds = await after_own_signal(self._client, container_id, grace_seconds)
        grace = math.ceil(max(grace_seconds, 0)) if grace_seconds >= 1 else 0
        request = pb.StopContainerRequest(container_id=container_id, timeout=grace)
        with contextlib.suppress(EngineNotFound):
            await self._client.runtime(
                "StopContainer", request, pb.StopContainerResponse, grace + _STOP_MARGIN_SECONDS
            )
        self._observer.ledger.stopped(container_id)

    async def remove_container(self, container_id: str) -> None:
        """The engine kills one that runs."""
        request = pb.RemoveContainerRequest(container_id=container_id)
        with contextlib.suppress(EngineNotFound):
            await self._client.runtime("RemoveContainer", request, pb.RemoveContainerResponse)
        self._observer.ledger.container_removed(container_id)

    async def list_containers(self, pod_uid: str | None = None) -> list[ContainerStatus]:
        return await self._observer.containers(pod_uid)

    # ---- commands in containers

    async def exec_sync(
        self, container_id: str, command: Sequence[str], timeout: float | None
    ) -> ExecResult:
        if self._direct is not None:
            done = await self._direct.exec_sync(container_id, command, timeout)
            if done is not None:
                return done
        seconds = math.ceil(timeout) if timeout else 0
        request = pb.ExecSyncRequest(container_id=container_id, cmd=command, timeout=seconds)
        limit = _EXEC_LIMIT_SECONDS if timeout is None else timeout
        try:
            found = await self._client.runtime("ExecSync", request, pb.ExecSyncResponse, limit)
        except EngineTimeout:
            raise ExecTimeout(f"command timed out after {limit:g}s") from None
        return ExecResult(
            found.exit_code, found.stdout[:_OUTPUT_LIMIT], found.stderr[:_OUTPUT_LIMIT]
        )

    async def _info(self, container_id: str) -> Mapping[str, Any]:
        request = pb.ContainerStatusRequest(container_id=container_id, verbose=True)
        found = await self._client.runtime("ContainerStatus", request, pb.ContainerStatusResponse)
        return read_all(found.info)

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> ExecStream:
        return await self._streams.exec(container_id, command, stdin=stdin, tty=tty)

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> ExecStream:
        return await self._streams.attach(container_id, stdin=stdin, tty=tty)

    async def port_forward(self, sandbox_id: str, port: int) -> PortStream | None:
        return await self._streams.port_forward(sandbox_id, port)

    # ---- logs

    def read_log(
        self, log_path: str, options: LogOptions, container_id: str | None
    ) -> AsyncIterator[bytes]:
        exited = None if container_id is None else partial(until_exit, self._client, container_id)
        return logs.read_log(Path(log_path), options, self._inotify, exited)

    async def reopen_log(self, container_id: str) -> None:
        request = pb.ReopenContainerLogRequest(container_id=container_id)
        await self._client.runtime("ReopenContainerLog", request, pb.ReopenContainerLogResponse)


def _no_engine(socket_path: str, error: EngineFailure) -> RuntimeFailure:
    """For who starts Podward: which socket, and what is wrong with it."""
    if isinstance(error, EngineUnavailable):
        return RuntimeUnavailable(f"no engine answers at {socket_path}: {error.cause}")
    if isinstance(error, Unimplemented):
        return RuntimeFailure(
            f"the engine at {socket_path} does not speak CRI runtime.v1: {error.message}"
        )
    return RuntimeFailure(f"the engine at {socket_path} does not work: {error.message}")
