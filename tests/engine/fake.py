"""An engine of the tests' own: runtime.v1 on a socket, containers that are no more than words.

For what containerd 1.6 does not do (events that are streamed) and what no engine does on demand: lose its
connection, fail, say nothing, at a moment that the test chooses. Containers run until `exit` ends them.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc

from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb

ABSENT = "no-such-command"
"""What cannot be started."""


class Refused(Exception):
    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def not_found(what: str) -> Refused:
    return Refused(grpc.StatusCode.NOT_FOUND, f"{what}: not found")


class FakeEngine:
    def __init__(self, socket: Path, *, streams: bool = False) -> None:
        self.socket = socket
        self.streams = streams
        self.sandboxes: dict[str, pb.PodSandboxStatus] = {}
        self.containers: dict[str, pb.ContainerStatus] = {}
        self.sandbox_of: dict[str, str] = {}
        self.commands: dict[str, list[str]] = {}
        self.calls: Counter[str] = Counter()
        self.refusals: dict[str, Refused] = {}
        """Method -> what it answers from now on."""
        self.conditions: dict[str, tuple[bool, str, str]] = {
            "RuntimeReady": (True, "", ""),
            "NetworkReady": (True, "", ""),
        }
        self.before: Callable[[str], Awaitable[None]] | None = None
        self.after: Callable[[str], Awaitable[None]] | None = None
        self._listeners: set[asyncio.Queue[pb.ContainerEventResponse | None]] = set()
        self._server: grpc.aio.Server | None = None
        self._made = 0

    # ---- life

    async def start(self) -> "FakeEngine":
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((_Methods(self),))
        self._server.add_insecure_port(f"unix:{self.socket}")
        await self._server.start()
        return self

    async def stop(self) -> None:
        """At once; what it holds it still holds when it is started again."""
        if self._server is not None:
            for listener in self._listeners:
                listener.put_nowait(None)
            await self._server.stop(0)
            self._server = None
            self.socket.unlink(missing_ok=True)

    # ---- what happens to containers

    def exit(self, container_id: str, code: int = 0, *, tell: bool = True) -> None:
        one = self.containers[container_id]
        one.state, one.exit_code = pb.CONTAINER_EXITED, code
        one.finished_at, one.reason = _now(), "Error" if code else "Completed"
        if tell:
            self._tell(container_id, pb.CONTAINER_STOPPED_EVENT)

    def lose(self, sandbox_id: str) -> None:
        self.sandboxes[sandbox_id].state = pb.SANDBOX_NOTREADY
        self._tell(sandbox_id, pb.CONTAINER_STOPPED_EVENT)

    def forget(self, container_id: str) -> None:
        """As if it had never been."""
        del self.containers[container_id]
        self._tell(container_id, pb.CONTAINER_DELETED_EVENT)

    def running(self, name: str) -> list[str]:
        """IDs of running containers of that name."""
        return [
            identity
            for identity, one in self.containers.items()
            if one.metadata.name == name and one.state == pb.CONTAINER_RUNNING
        ]

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def _tell(self, identity: str, type_: "pb.ContainerEventType") -> None:
        event = pb.ContainerEventResponse(container_id=identity, container_event_type=type_)
        for listener in self._listeners:
            listener.put_nowait(event)

    def _id(self) -> str:
        self._made += 1
        return f"{self._made:064x}"

    # ---- runtime.v1

    async def answer(self, method: str, request: Any) -> Any:
        self.calls[method] += 1
        if self.before is not None:
            await self.before(method)
        if method in self.refusals:
            raise self.refusals[method]
        found = await getattr(self, f"_{method}")(request)
        if self.after is not None:
            await self.after(method)
        return found

    async def _Version(self, request: pb.VersionRequest) -> pb.VersionResponse:
        return pb.VersionResponse(version="0.1.0", runtime_name="fake", runtime_version="1.0")

    async def _Status(self, request: pb.StatusRequest) -> pb.StatusResponse:
        conditions = [
            pb.RuntimeCondition(type=type_, status=status, reason=reason, message=message)
            for type_, (status, reason, message) in self.conditions.items()
        ]
        return pb.StatusResponse(status=pb.RuntimeStatus(conditions=conditions))

    async def _RunPodSandbox(self, request: pb.RunPodSandboxRequest) -> pb.RunPodSandboxResponse:
        config = request.config
        names = [one.metadata for one in self.sandboxes.values()]
        if config.metadata in names:
            raise Refused(grpc.StatusCode.UNKNOWN, "failed to reserve sandbox name")
        identity = self._id()
        self.sandboxes[identity] = pb.PodSandboxStatus(
            id=identity, metadata=config.metadata, state=pb.SANDBOX_READY, created_at=_now(),
            network=pb.PodSandboxNetworkStatus(ip="127.0.0.1"),
            labels=config.labels, annotations=config.annotations,
        )  # fmt: skip
        self._tell(identity, pb.CONTAINER_STARTED_EVENT)
        return pb.RunPodSandboxResponse(pod_sandbox_id=identity)

    async def _StopPodSandbox(self, request: pb.StopPodSandboxRequest) -> pb.StopPodSandboxResponse:
        sandbox = self.sandboxes.get(request.pod_sandbox_id)
        if sandbox is not None:
            for identity, owner in self.sandbox_of.items():
                if owner == sandbox.id and self._state(identity) == pb.CONTAINER_RUNNING:
                    self.exit(identity, 137)
            self.lose(sandbox.id)
        return pb.StopPodSandboxResponse()

    async def _RemovePodSandbox(
        self, request: pb.RemovePodSandboxRequest
    ) -> pb.RemovePodSandboxResponse:
        for identity, owner in list(self.sandbox_of.items()):
            if owner == request.pod_sandbox_id and identity in self.containers:
                self.forget(identity)
        self.sandboxes.pop(request.pod_sandbox_id, None)
        return pb.RemovePodSandboxResponse()

    async def _PodSandboxStatus(
        self, request: pb.PodSandboxStatusRequest
    ) -> pb.PodSandboxStatusResponse:
        found = self.sandboxes.get(request.pod_sandbox_id)
        if found is None:
            raise not_found("an error occurred when try to find sandbox")
        return pb.PodSandboxStatusResponse(status=found)

    async def _ListPodSandbox(self, request: pb.ListPodSandboxRequest) -> pb.ListPodSandboxResponse:
        return pb.ListPodSandboxResponse(
            items=[
                pb.PodSandbox(
                    id=one.id, metadata=one.metadata, state=one.state, created_at=one.created_at,
                    labels=one.labels, annotations=one.annotations,
                )
                for one in self.sandboxes.values()
                if _matches(one.labels, request.filter.label_selector)
            ]
        )  # fmt: skip

    async def _CreateContainer(
        self, request: pb.CreateContainerRequest
    ) -> pb.CreateContainerResponse:
        if request.pod_sandbox_id not in self.sandboxes:
            raise not_found(f'failed to find sandbox id "{request.pod_sandbox_id}"')
        config, identity = request.config, self._id()
        self.containers[identity] = pb.ContainerStatus(
            id=identity, metadata=config.metadata, state=pb.CONTAINER_CREATED, created_at=_now(),
            image=config.image, image_ref=config.image.image, labels=config.labels,
            annotations=config.annotations, log_path=config.log_path,
        )  # fmt: skip
        if request.sandbox_config.log_directory:
            log = Path(request.sandbox_config.log_directory, config.log_path)
            log.parent.mkdir(parents=True, exist_ok=True)
            log.touch()
        self.sandbox_of[identity] = request.pod_sandbox_id
        self.commands[identity] = [*config.command, *config.args]
        self._tell(identity, pb.CONTAINER_CREATED_EVENT)
        return pb.CreateContainerResponse(container_id=identity)

    async def _StartContainer(self, request: pb.StartContainerRequest) -> pb.StartContainerResponse:
        one = self._container(request.container_id)
        one.started_at = _now()
        if ABSENT in self.commands[one.id]:
            self.exit(one.id, 128, tell=False)
            one.reason, one.message = "StartError", f'exec: "{ABSENT}": executable file not found'
            raise Refused(grpc.StatusCode.UNKNOWN, one.message)
        one.state = pb.CONTAINER_RUNNING
        self._tell(one.id, pb.CONTAINER_STARTED_EVENT)
        return pb.StartContainerResponse()

    async def _StopContainer(self, request: pb.StopContainerRequest) -> pb.StopContainerResponse:
        one = self._container(request.container_id)
        if one.state == pb.CONTAINER_RUNNING:
            self.exit(one.id, 137)
        return pb.StopContainerResponse()

    async def _RemoveContainer(
        self, request: pb.RemoveContainerRequest
    ) -> pb.RemoveContainerResponse:
        if request.container_id in self.containers:
            self.forget(request.container_id)
        return pb.RemoveContainerResponse()

    async def _ContainerStatus(
        self, request: pb.ContainerStatusRequest
    ) -> pb.ContainerStatusResponse:
        return pb.ContainerStatusResponse(status=self._container(request.container_id))

    async def _ListContainers(self, request: pb.ListContainersRequest) -> pb.ListContainersResponse:
        return pb.ListContainersResponse(
            containers=[
                pb.Container(
                    id=one.id, pod_sandbox_id=self.sandbox_of[one.id], metadata=one.metadata,
                    image=one.image, image_ref=one.image_ref, state=one.state,
                    created_at=one.created_at, labels=one.labels, annotations=one.annotations,
                )
                for one in self.containers.values()
                if _matches(one.labels, request.filter.label_selector)
            ]
        )  # fmt: skip

    async def _ExecSync(self, request: pb.ExecSyncRequest) -> pb.ExecSyncResponse:
        if ABSENT in request.cmd:
            text = "failed to exec in container: failed to start exec: OCI runtime exec failed"
            raise Refused(grpc.StatusCode.UNKNOWN, text)
        return pb.ExecSyncResponse(stdout=b"done\n")

    async def _ImageStatus(self, request: pb.ImageStatusRequest) -> pb.ImageStatusResponse:
        name = request.image.image
        return pb.ImageStatusResponse(image=pb.Image(id=f"sha256:{name}", repo_tags=[name]))

    async def _PullImage(self, request: pb.PullImageRequest) -> pb.PullImageResponse:
        return pb.PullImageResponse(image_ref=f"sha256:{request.image.image}")

    async def _RuntimeConfig(self, request: pb.RuntimeConfigRequest) -> pb.RuntimeConfigResponse:
        return pb.RuntimeConfigResponse()

    async def events(self) -> AsyncIterator[pb.ContainerEventResponse]:
        if not self.streams:
            raise Refused(
                grpc.StatusCode.UNIMPLEMENTED, "method GetContainerEvents not implemented"
            )
        queue: asyncio.Queue[pb.ContainerEventResponse | None] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._listeners.discard(queue)

    def _container(self, identity: str) -> pb.ContainerStatus:
        found = self.containers.get(identity)
        if found is None:
            raise not_found("an error occurred when try to find container")
        return found

    def _state(self, identity: str) -> int:
        found = self.containers.get(identity)
        return found.state if found is not None else -1


class _Methods(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        service, name = details.method.rsplit("/", 2)[-2:]
        described = pb.DESCRIPTOR.services_by_name[service.rpartition(".")[2]].methods_by_name
        if name not in described:
            return None
        asked = described[name].input_type._concrete_class

        async def one(request: Any, context: Any) -> Any:
            try:
                return await self._engine.answer(name, request)
            except Refused as refused:
                await context.abort(refused.code, refused.message)

        async def many(request: Any, context: Any) -> AsyncIterator[Any]:
            self._engine.calls[name] += 1
            try:
                async for event in self._engine.events():
                    yield event
            except Refused as refused:
                await context.abort(refused.code, refused.message)

        words = {
            "request_deserializer": asked.FromString,
            "response_serializer": lambda answer: answer.SerializeToString(),
        }
        if name == "GetContainerEvents":
            return grpc.unary_stream_rpc_method_handler(many, **words)
        return grpc.unary_unary_rpc_method_handler(one, **words)


def _matches(labels: Mapping[str, str], selector: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def _now() -> int:
    return time.time_ns()
