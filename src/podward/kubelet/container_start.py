"""Starting one container: volumes, image, environment, create, start (spec/health.md 4.3, 4.5, 4.6)."""

import contextlib
import dataclasses
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from lightkube.models import core_v1, meta_v1

from podward.client.base import ApiError, Client, TransportError
from podward.client.recorder import EventRecorder, pod_reference
from podward.kubelet.api_access import ApiAccess
from podward.kubelet.environment import ConfigError, environment, expand_all, secret_text
from podward.kubelet.image_pulls import ImageFailure, ImagePuller
from podward.kubelet.pod_actions import StartContainer
from podward.kubelet.restart_policy import HASH_ANNOTATION, container_hash, field_path
from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerStatus,
    CreateContainerError,
    Mount,
    Resources,
    Runtime,
    RuntimeFailure,
)
from podward.kubelet.volume_plan import (
    Facts,
    Objects,
    Source,
    SourceUnreachable,
    VolumeError,
    references,
)
from podward.kubelet.volumes import Outcome, Volumes
from podward.machinery.entropy import Entropy
from podward.machinery.quantity import parse_quantity
from podward.probes.ports import errno_text

RESTART_COUNT = "io.kubernetes.container.restartCount"
MESSAGE_FILE = "podward.dev/termination-message-file"
MESSAGE_PATH = "io.kubernetes.container.terminationMessagePath"
_MESSAGE_BYTES, _LOG_BYTES, _LOG_LINES = 4096, 2048, 80

Held = dict[Source, core_v1.ConfigMap | core_v1.Secret]
Found = dict[Source, core_v1.ConfigMap | core_v1.Secret | VolumeError | None]
"""What was asked for: the object, why nobody knows it, or None if there is none."""


class StartFailure(Exception):
    """It did not start; `reason` is the waiting reason that the status shows."""

    def __init__(self, reason: str, message: str, retry_after: float | None = None) -> None:
        """`retry_after`: seconds; None for what any error of a turn waits."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class ContainerStarter:
    def __init__(
        self,
        client: Client,
        runtime: Runtime,
        entropy: Entropy,
        recorder: EventRecorder,
        images: ImagePuller,
        *,
        root: Path,
        node_ip: str,
        capacity: Mapping[str, str],
        api_access: ApiAccess,
    ) -> None:
        self._client = client
        self._api_access = api_access
        self._runtime = runtime
        self._entropy = entropy
        self._recorder = recorder
        self._root = root
        self._images = images
        self._facts = Facts(node_ip, node_ip, capacity)
        self._immutable: dict[str, Held] = {}
        """By Pod: read once, they are not asked for again, though others may take their names."""

    # ---- places

    def pod_folder(self, pod: core_v1.Pod) -> str:
        return f"{self._root}/pods/{_meta(pod).uid or ''}"

    def log_folder(self, pod: core_v1.Pod) -> str:
        meta = _meta(pod)
        return f"{self._root}/logs/{meta.namespace}_{meta.name}_{meta.uid}"

    def remove_pod(self, pod: core_v1.Pod) -> None:
        self._immutable.pop(_meta(pod).uid or "", None)
        shutil.rmtree(self.pod_folder(pod), ignore_errors=True)
        shutil.rmtree(self.log_folder(pod), ignore_errors=True)

    # ---- what a Pod refers to

    async def mount_volumes(
        self, pod: core_v1.Pod, pod_ip: str, *, running: bool = False
    ) -> Outcome:
        """Set up every volume, or bring it up to date; `running`: only those made of files, only the latter."""
        if pod.spec is None or not pod.spec.volumes:
            return Outcome()
        found = await self._fetch(pod, references(pod))
        facts = dataclasses.replace(self._facts, pod_ip=pod_ip)
        return self._volumes(pod).set_up(pod, _objects(found), facts, running=running)

    def _volumes(self, pod: core_v1.Pod) -> Volumes:
        return Volumes(Path(self.pod_folder(pod)))

    async def _fetch(self, pod: core_v1.Pod, wanted: set[Source]) -> Found:
        meta = _meta(pod)
        found: Found = {**self._immutable.get(meta.uid or "", {})}
        for kind, name in sorted(wanted - found.keys()):
            try:
                held = await self._get(kind, name, meta.namespace or "")
            except ApiError as error:
                found[kind, name] = None if error.code == 404 else VolumeError(str(error))
            except TransportError as error:
                found[kind, name] = SourceUnreachable(str(error))
            else:
                found[kind, name] = held
                if held.immutable:
                    self._immutable.setdefault(meta.uid or "", {})[kind, name] = held
        return found

    async def _get(
        self, kind: str, name: str, namespace: str
    ) -> core_v1.ConfigMap | core_v1.Secret:
        if kind == "configmap":
            return await self._client.get(core_v1.ConfigMap, name, namespace)
        return await self._client.get(core_v1.Secret, name, namespace)

    # ---- starting

    async def start(
        self,
        pod: core_v1.Pod,
        item: StartContainer,
        sandbox_id: str,
        *,
        pod_ip: str,
        wanted: Callable[[], bool] = lambda: True,
    ) -> str:
        """The new container's ID; `StartFailure` after the event that tells of it.

        `wanted` is asked once more before the command begins: the Pod may have been deleted meanwhile.
        """
        await self._ensure_image(pod, item)
        try:
            config = await self._config(pod, item, pod_ip)
        except (ConfigError, VolumeError) as error:
            self._tell(pod, item, "Warning", "Failed", f"Error: {error}")
            raise StartFailure("CreateContainerConfigError", str(error)) from error
        try:
            container_id = await self._runtime.create_container(sandbox_id, config)
        except RuntimeFailure as error:
            self._tell(pod, item, "Warning", "Failed", f"Error: {error}")
            raise StartFailure(CreateContainerError.__name__, str(error)) from error
        self._tell(pod, item, "Normal", "Created", "Container created")
        if not wanted():
            raise StartFailure("RunContainerError", "context canceled")
        try:
            await self._runtime.start_container(container_id)
        except RuntimeFailure as error:
            self._tell(pod, item, "Warning", "Failed", f"Error: {error}")
            raise StartFailure("RunContainerError", str(error)) from error
        self._tell(pod, item, "Normal", "Started", "Container started")
        return container_id

    async def _ensure_image(self, pod: core_v1.Pod, item: StartContainer) -> None:
        def tell(type_: str, reason: str, message: str) -> None:
            self._tell(pod, item, type_, reason, message)

        container = item.container
        policy = container.imagePullPolicy or "IfNotPresent"
        try:
            await self._images.ensure(_meta(pod).uid or "", container.image or "", policy, tell)
        except ImageFailure as failure:
            raise StartFailure(failure.reason, failure.message, failure.retry_after) from failure

    async def _config(self, pod: core_v1.Pod, item: StartContainer, pod_ip: str) -> ContainerConfig:
        container = item.container
        objects = _objects(await self._fetch(pod, _env_references(container)))
        env = environment(
            pod,
            container,
            lambda kind, name: _text(objects(kind, name)),
            pod_ip=pod_ip,
            node_ip=self._facts.node_ip,
            capacity=self._facts.capacity,
            services=self._api_access.environment(_meta(pod).uid or ""),
        )
        mounted = await self.mount_volumes(pod, pod_ip)
        if mounted.failures:
            raise mounted.failures[0]
        mounts: list[Mount] = []
        if container.volumeMounts:
            mounts = self._volumes(pod).mounts(pod, container, mounted.places, env)
        logs = f"{self.log_folder(pod)}/{container.name}"
        attempt = item.attempt if item.attempt is not None else next_attempt(Path(logs))
        message_file = self._message_file(pod, container)
        path = container.terminationMessagePath or "/dev/termination-log"
        mounts.append(Mount(message_file, path))
        meta = _meta(pod)
        return ContainerConfig(
            name=container.name,
            attempt=attempt,
            image=container.image or "",
            command=expand_all(container.command, env),
            args=expand_all(container.args, env),
            working_dir=container.workingDir or "",
            env=env,
            mounts=mounts,
            log_path=f"{logs}/{attempt}.log",
            resources=Resources(memory_limit_bytes=_memory_limit(container)),
            stdin=bool(container.stdin),
            tty=bool(container.tty),
            labels={
                "io.kubernetes.pod.name": meta.name or "",
                "io.kubernetes.pod.namespace": meta.namespace or "",
                "io.kubernetes.pod.uid": meta.uid or "",
                "io.kubernetes.container.name": container.name,
            },
            annotations={
                HASH_ANNOTATION: container_hash(container),
                RESTART_COUNT: str(attempt),
                MESSAGE_FILE: message_file,
                MESSAGE_PATH: path,
                "io.kubernetes.container.terminationMessagePolicy": (
                    container.terminationMessagePolicy or "File"
                ),
            },
        )

    def _message_file(self, pod: core_v1.Pod, container: core_v1.Container) -> str:
        folder = f"{self.pod_folder(pod)}/containers/{container.name}"
        path = f"{folder}/{self._entropy.hex(8)}"
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)
            descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
        os.fchmod(descriptor, 0o666)  # whoever the container runs as may write
        os.close(descriptor)
        return path

    def termination_message(self, pod: core_v1.Pod, status: ContainerStatus) -> str:
        """What the container left to say, by its policy."""
        annotations = status.config.annotations
        policy = annotations.get("io.kubernetes.container.terminationMessagePolicy")
        path = annotations.get(MESSAGE_FILE, "")
        try:
            text = _tail_bytes(path, _MESSAGE_BYTES) if path else ""
        except OSError as error:
            where = status.config.annotations.get(MESSAGE_PATH, path)
            return f"Error on reading termination log {where}: {errno_text(error)}"
        if text or policy != "FallbackToLogsOnError" or not status.exit_code:
            return text
        try:
            log = _tail_bytes(status.config.log_path, _LOG_BYTES)
        except OSError:
            return ""
        return "".join(log.splitlines(keepends=True)[-_LOG_LINES:])

    def forget(self, status: ContainerStatus) -> None:
        """Of an instance that is removed: what it left to say goes too."""
        path = status.config.annotations.get(MESSAGE_FILE)
        if path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def _tell(
        self, pod: core_v1.Pod, item: StartContainer, type_: str, reason: str, message: str
    ) -> None:
        reference = pod_reference(pod, field_path(pod, item.name))
        self._recorder.event(reference, type_, reason, message)


def next_attempt(logs: Path) -> int:
    """No instance is known: the log directory remembers how many there were."""
    if not logs.is_dir():
        return 0
    numbers = [int(m[1]) for p in logs.iterdir() if (m := re.match(r"(\d+)\.log", p.name))]
    return max(numbers) + 1 if numbers else 0


def _tail_bytes(path: str, count: int) -> str:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        return os.pread(descriptor, count, max(size - count, 0)).decode(errors="replace")
    finally:
        os.close(descriptor)


def _objects(found: Found) -> Objects:
    def look_up(kind: str, name: str) -> core_v1.ConfigMap | core_v1.Secret | None:
        held = found.get((kind, name))
        if isinstance(held, VolumeError):
            raise held
        return held

    return look_up


def _text(found: core_v1.ConfigMap | core_v1.Secret | None) -> Mapping[str, str] | None:
    if found is None:
        return None
    return secret_text(found) if isinstance(found, core_v1.Secret) else found.data or {}


def _env_references(container: core_v1.Container) -> set[Source]:
    found: set[Source] = set()
    for source in container.envFrom or ():
        if source.configMapRef is not None:
            found.add(("configmap", source.configMapRef.name or ""))
        if source.secretRef is not None:
            found.add(("secret", source.secretRef.name or ""))
    for variable in container.env or ():
        value = variable.valueFrom
        if value is not None and value.configMapKeyRef is not None:
            found.add(("configmap", value.configMapKeyRef.name or ""))
        if value is not None and value.secretKeyRef is not None:
            found.add(("secret", value.secretKeyRef.name or ""))
    return found


def _meta(pod: core_v1.Pod) -> meta_v1.ObjectMeta:
    return pod.metadata or meta_v1.ObjectMeta()


def _memory_limit(container: core_v1.Container) -> int:
    limits = (container.resources and container.resources.limits) or {}
    return int(parse_quantity(str(limits["memory"]))) if "memory" in limits else 0
