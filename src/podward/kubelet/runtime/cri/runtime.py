"""The Runtime protocol over an engine that speaks runtime.v1 (spec/health.md 4.5 to 4.8).

What the engine holds is asked anew at each look; what cannot change any more (a container that has exited) is
asked once. Its ends are learnt from the container's own first process where it is one of this machine, and from
a look at everything once a second, whatever was heard.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Sequence
from typing import Literal

import msgspec

from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerEvent,
    ContainerEventType,
    ContainerState,
    ContainerStatus,
    CreateContainerError,
    Credentials,
    ExecResult,
    ExecStream,
    ExecTimeout,
    ImageStatus,
    LogOptions,
    NotFound,
    RuntimeFailure,
    SandboxConfig,
    SandboxStatus,
    StartError,
)
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.client import (
    CriClient,
    EngineFailure,
    EngineNotFound,
    EngineTimeout,
)
from podward.kubelet.runtime.cri.configs import (
    INSTANCE_LABEL,
    POD_UID_LABEL,
    container_config,
    sandbox_config,
)
from podward.kubelet.runtime.cri.direct_exec import DirectExec
from podward.kubelet.runtime.cri.statuses import (
    container_status,
    image_status,
    sandbox_made_from,
    sandbox_status,
)
from podward.kubelet.runtime.linux.children import ended
from podward.machinery.clock import Clock

RELIST_SECONDS = 1.0
_OUTPUT_LIMIT = 16 * 1024
_STOP_MARGIN_SECONDS = 120.0

log = logging.getLogger(__name__)

ExecProbes = Literal["direct", "engine"]
"""Commands that are waited for: forked into the container by us where we can, or always by the engine."""


class CriRuntime:
    def __init__(
        self, socket_path: str, *, instance: str, clock: Clock, exec_probes: ExecProbes = "direct"
    ) -> None:
        """`instance`: whose the sandboxes are; others on the same engine are not touched."""
        self._client = CriClient(socket_path)
        self._instance = instance
        self._clock = clock
        self._name, self._version = "", ""
        self._sandbox_configs: dict[str, pb.PodSandboxConfig] = {}
        self._ended: dict[str, ContainerStatus] = {}
        """Exited containers: nothing of them changes any more."""
        self._known: dict[str, tuple[str, ContainerState]] = {}
        """Of each container, the Pod and the state that was last told of."""
        self._sandboxes: dict[str, tuple[str, bool]] = {}
        """Of each sandbox, the Pod and whether it was ready."""
        self._events: asyncio.Queue[ContainerEvent | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watched: set[str] = set()
        self._direct = DirectExec(self._info) if exec_probes == "direct" else None

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> str:
        return self._version

    # ---- life

    async def start(self) -> None:
        found = await self._client.runtime("Version", pb.VersionRequest(), pb.VersionResponse, 10)
        self._name, self._version = found.runtime_name, found.runtime_version
        await self._relist(tell=False)
        self._spawn(self._relist_forever())

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._direct is not None:
            self._direct.close()
        await self._client.close()
        self._events.put_nowait(None)

    async def events(self) -> AsyncIterator[ContainerEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    def _spawn(self, coroutine: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- what happens

    async def _relist_forever(self) -> None:
        while True:
            await asyncio.sleep(RELIST_SECONDS)
            try:
                await self._relist()
            except RuntimeFailure as error:
                log.warning("the engine does not answer: %s", error)

    async def _relist(self, *, tell: bool = True) -> None:
        """Look at everything, and tell of what is not as it was."""
        sandboxes = {
            one.id: (one.metadata.uid, one.state == pb.SANDBOX_READY)
            for one in await self._list_sandboxes()
        }
        containers = {
            one.id: (one.labels.get(POD_UID_LABEL, ""), one.state)
            for one in await self._list_containers()
        }
        events = []
        for id_, (uid, state) in containers.items():
            before = self._known.get(id_)
            if state == pb.CONTAINER_EXITED:
                if before is None or before[1] is not ContainerState.EXITED:
                    self._known[id_] = (uid, ContainerState.EXITED)
                    events.append(ContainerEvent(uid, ContainerEventType.DIED, id_))
            elif state == pb.CONTAINER_RUNNING:
                self._known[id_] = (uid, ContainerState.RUNNING)
                if id_ not in self._watched:
                    self._spawn(self._watch(id_, uid))
        for id_ in self._known.keys() - containers.keys():
            uid, last = self._known.pop(id_)
            self._ended.pop(id_, None)
            events.append(ContainerEvent(uid, ContainerEventType.REMOVED, id_))
            if last is ContainerState.RUNNING:
                events.append(ContainerEvent(uid, ContainerEventType.DIED, id_))
        for id_, before_ready in self._sandboxes.items():
            if sandboxes.get(id_) != before_ready:
                uid = before_ready[0]
                events.append(ContainerEvent(uid, ContainerEventType.SANDBOX_CHANGED, id_))
                self._sandbox_configs.pop(id_, None)
        self._sandboxes = sandboxes
        if tell:
            for event in events:
                self._events.put_nowait(event)

    async def _watch(self, container_id: str, uid: str) -> None:
        """Wait for the end of a container's first process, then for the engine to have noticed it too."""
        self._watched.add(container_id)
        try:
            info = await self._info(container_id)
            pid = info.get("pid")
            if not isinstance(pid, int) or not pid:
                return
            await ended(pid)
            delay = 0.001
            while await self._state(container_id) == pb.CONTAINER_RUNNING:
                await asyncio.sleep(delay)
                delay = min(2 * delay, RELIST_SECONDS)
        except RuntimeFailure:
            return
        finally:
            self._watched.discard(container_id)
        if self._known.get(container_id, (uid, None))[1] is not ContainerState.EXITED:
            self._known[container_id] = (uid, ContainerState.EXITED)
            self._events.put_nowait(ContainerEvent(uid, ContainerEventType.DIED, container_id))

    async def _info(self, container_id: str) -> "dict[str, object]":
        """What the engine tells of a container beyond the protocol: its pid and OCI spec, if it does."""
        found = await self._client.runtime(
            "ContainerStatus",
            pb.ContainerStatusRequest(container_id=container_id, verbose=True),
            pb.ContainerStatusResponse,
        )
        with contextlib.suppress(msgspec.DecodeError):
            info: dict[str, object] = msgspec.json.decode(found.info.get("info", "{}"))
            return info
        return {}

    async def _state(self, container_id: str) -> int:
        found = await self._client.runtime(
            "ContainerStatus",
            pb.ContainerStatusRequest(container_id=container_id),
            pb.ContainerStatusResponse,
        )
        return found.status.state

    # ---- sandboxes

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        made = sandbox_config(config, self._instance)
        request = pb.RunPodSandboxRequest(config=made, runtime_handler=config.runtime_handler)
        answer = await self._client.runtime("RunPodSandbox", request, pb.RunPodSandboxResponse, 240)
        self._sandbox_configs[answer.pod_sandbox_id] = made
        self._sandboxes[answer.pod_sandbox_id] = (config.pod_uid, True)
        return answer.pod_sandbox_id

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        request = pb.StopPodSandboxRequest(pod_sandbox_id=sandbox_id)
        with contextlib.suppress(EngineNotFound):
            await self._client.runtime("StopPodSandbox", request, pb.StopPodSandboxResponse)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        await self.stop_pod_sandbox(sandbox_id)
        request = pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id)
        with contextlib.suppress(EngineNotFound):
            await self._client.runtime("RemovePodSandbox", request, pb.RemovePodSandboxResponse)
        self._sandbox_configs.pop(sandbox_id, None)

    async def list_pod_sandboxes(self, pod_uid: str | None = None) -> list[SandboxStatus]:
        listed = await self._list_sandboxes(pod_uid)
        found = await asyncio.gather(*(self._sandbox_status(one.id) for one in listed))
        there = [one for one in found if one is not None]
        return sorted(there, key=lambda s: (s.config.attempt, s.created_at), reverse=True)

    async def _list_sandboxes(self, pod_uid: str | None = None) -> list[pb.PodSandbox]:
        request = pb.ListPodSandboxRequest(
            filter=pb.PodSandboxFilter(label_selector=self._ours(pod_uid))
        )
        answer = await self._client.runtime("ListPodSandbox", request, pb.ListPodSandboxResponse)
        return list(answer.items)

    async def _sandbox_status(self, sandbox_id: str) -> SandboxStatus | None:
        request = pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id, verbose=True)
        try:
            found = await self._client.runtime(
                "PodSandboxStatus", request, pb.PodSandboxStatusResponse
            )
        except EngineNotFound:
            return None
        return sandbox_status(found.status, "")

    def _ours(self, pod_uid: str | None) -> dict[str, str]:
        labels = {INSTANCE_LABEL: self._instance}
        return labels if pod_uid is None else {**labels, POD_UID_LABEL: pod_uid}

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

    # ---- images

    async def image_status(self, image: str) -> ImageStatus | None:
        request = pb.ImageStatusRequest(image=pb.ImageSpec(image=image))
        answer = await self._client.images("ImageStatus", request, pb.ImageStatusResponse)
        return image_status(answer.image, image) if answer.HasField("image") else None

    async def pull_image(self, image: str, credentials: Credentials | None = None) -> ImageStatus:
        request = pb.PullImageRequest(image=pb.ImageSpec(image=image))
        if credentials is not None:
            request.auth.CopyFrom(pb.AuthConfig(**msgspec.structs.asdict(credentials)))
        await self._client.images("PullImage", request, pb.PullImageResponse, 3600)
        found = await self.image_status(image)
        if found is None:
            raise NotFound(f'image "{image}" was pulled and is not there')
        return found

    # ---- containers

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        sandbox = await self._sandbox_config(sandbox_id)
        made_from = sandbox_made_from(sandbox.annotations, sandbox.metadata)
        request = pb.CreateContainerRequest(
            pod_sandbox_id=sandbox_id,
            config=container_config(config, made_from, "", self._instance),
            sandbox_config=sandbox,
        )
        try:
            answer = await self._client.runtime(
                "CreateContainer", request, pb.CreateContainerResponse
            )
        except EngineNotFound:
            raise
        except EngineFailure as error:
            raise CreateContainerError(str(error)) from error
        self._known[answer.container_id] = (made_from.pod_uid, ContainerState.CREATED)
        return answer.container_id

    async def start_container(self, container_id: str) -> None:
        request = pb.StartContainerRequest(container_id=container_id)
        try:
            await self._client.runtime("StartContainer", request, pb.StartContainerResponse)
        except EngineNotFound:
            raise
        except EngineFailure as error:
            raise StartError(str(error)) from error
        uid, _ = self._known.get(container_id, ("", None))
        self._known[container_id] = (uid, ContainerState.RUNNING)
        self._events.put_nowait(ContainerEvent(uid, ContainerEventType.STARTED, container_id))
        self._spawn(self._watch(container_id, uid))

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        grace = math.ceil(max(grace_seconds, 0)) if grace_seconds >= 1 else 0
        request = pb.StopContainerRequest(container_id=container_id, timeout=grace)
        with contextlib.suppress(EngineNotFound):
            await self._client.runtime(
                "StopContainer", request, pb.StopContainerResponse, grace + _STOP_MARGIN_SECONDS
            )

    async def remove_container(self, container_id: str) -> None:
        await self.stop_container(container_id, 0)
        request = pb.RemoveContainerRequest(container_id=container_id)
        with contextlib.suppress(EngineNotFound):
            await self._client.runtime("RemoveContainer", request, pb.RemoveContainerResponse)

    async def list_containers(self, pod_uid: str | None = None) -> list[ContainerStatus]:
        listed = await self._list_containers(pod_uid)
        found = await asyncio.gather(*map(self._container_status, listed))
        there = [one for one in found if one is not None]
        return sorted(there, key=lambda c: (c.config.attempt, c.created_at), reverse=True)

    async def _list_containers(self, pod_uid: str | None = None) -> list[pb.Container]:
        request = pb.ListContainersRequest(
            filter=pb.ContainerFilter(label_selector=self._ours(pod_uid))
        )
        answer = await self._client.runtime("ListContainers", request, pb.ListContainersResponse)
        return list(answer.containers)

    async def _container_status(self, listed: pb.Container) -> ContainerStatus | None:
        held = self._ended.get(listed.id)
        if held is not None:
            return held
        request = pb.ContainerStatusRequest(container_id=listed.id)
        try:
            found = await self._client.runtime(
                "ContainerStatus", request, pb.ContainerStatusResponse
            )
        except EngineNotFound:
            return None
        status = container_status(listed, found.status)
        if status.state is ContainerState.EXITED:
            self._ended[listed.id] = status
        return status

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
        limit = CALL_LIMIT_SECONDS if timeout is None else timeout
        try:
            found = await self._client.runtime("ExecSync", request, pb.ExecSyncResponse, limit)
        except EngineTimeout:
            raise ExecTimeout(f"command timed out after {limit:g}s") from None
        return ExecResult(
            found.exit_code, found.stdout[:_OUTPUT_LIMIT], found.stderr[:_OUTPUT_LIMIT]
        )

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> ExecStream:
        raise RuntimeFailure("not yet")

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> ExecStream:
        raise RuntimeFailure("not yet")

    async def read_log(
        self, log_path: str, options: LogOptions, container_id: str | None
    ) -> AsyncIterator[bytes]:
        raise RuntimeFailure("not yet")
        yield b""


CALL_LIMIT_SECONDS = 3600.0
