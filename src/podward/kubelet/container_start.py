"""Starting one container: image, volumes, environment, hosts file, create, start (spec/health.md 4.3, 4.6)."""

import contextlib
import dataclasses
import logging
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lightkube.models import core_v1, meta_v1

from podward.client.base import ApiError, Client, TransportError
from podward.client.recorder import EventRecorder, pod_reference
from podward.kubelet.api_access import ApiAccess
from podward.kubelet.container_config import (
    MESSAGE_FILE,
    MESSAGE_PATH,
    MESSAGE_POLICY,
    container_config,
)
from podward.kubelet.container_logs import remove_logs
from podward.kubelet.environment import ConfigError, environment, secret_text
from podward.kubelet.hosts_file import HOSTS_PATH, hosts_file, mounts_own
from podward.kubelet.image_credentials import not_retrieved, pull_secret_names
from podward.kubelet.image_pulls import ImageFailure, ImagePuller
from podward.kubelet.pod_actions import StartContainer
from podward.kubelet.restart_policy import field_path, target_container_name
from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerStatus,
    CreateContainerError,
    ImageStatus,
    LogOptions,
    Mount,
    Runtime,
    RuntimeFailure,
    RuntimeUnavailable,
)
from podward.kubelet.security_context import NonRootError
from podward.kubelet.volume_mounter import Mounter
from podward.kubelet.volume_plan import (
    Facts,
    Objects,
    Source,
    SourceUnreachable,
    VolumeError,
    references,
)
from podward.kubelet.volume_tokens import Tokens
from podward.kubelet.volumes import Outcome, Volumes, asks_for_recursion
from podward.machinery.entropy import Entropy
from podward.machinery.quantity import parse_quantity
from podward.probes.ports import errno_text

MACHINES_HOSTS = Path("/etc/hosts")
_MESSAGE_BYTES, _LOG_BYTES, _LOG_LINES = 4096, 2048, 80

log = logging.getLogger(__name__)

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
        mounter: Mounter | None,
        tokens: Tokens,
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
        self._memory = int(parse_quantity(capacity.get("memory", "0")))
        self._mounter = mounter
        self._tokens = tokens
        self._immutable: dict[str, Held] = {}
        """By Pod: read once, they are not asked for again, though others may take their names."""

    # ---- places

    def pod_folder(self, pod: core_v1.Pod) -> str:
        return f"{self._root}/pods/{_meta(pod).uid or ''}"

    def log_folder(self, pod: core_v1.Pod) -> str:
        meta = _meta(pod)
        return f"{self._root}/logs/{meta.namespace}_{meta.name}_{meta.uid}"

    def volumes_folder(self, pod: core_v1.Pod) -> Path:
        return Path(self.pod_folder(pod), "volumes")

    def tear_down_volumes(self, pod: core_v1.Pod) -> None:
        """Of a Pod of which nothing runs and nothing will."""
        self._tokens.forget(_meta(pod).uid or "")
        try:
            self._volumes(pod).tear_down()
        except OSError as error:
            log.warning("volumes of pod %s: %s", _meta(pod).name, error)

    def remove_pod(self, pod: core_v1.Pod) -> None:
        self._immutable.pop(_meta(pod).uid or "", None)
        self._tokens.forget(_meta(pod).uid or "")
        self._remove_folder(Path(self.pod_folder(pod)))
        shutil.rmtree(self.log_folder(pod), ignore_errors=True)

    def _remove_folder(self, folder: Path) -> None:
        """Never through a mount: what lies behind one is not ours to remove."""
        try:
            if self._mounter is not None:
                self._mounter.unmount_below(folder)
        except OSError as error:
            log.warning("%s is left as it is: %s", folder, error)
        else:
            shutil.rmtree(folder, ignore_errors=True)

    def unmount_all(self) -> None:
        """When all containers have been ended and we go too. What was in memory is gone then."""
        try:
            if self._mounter is not None:
                self._mounter.unmount_below(Path(f"{self._root}/pods"))
        except OSError as error:
            log.warning("volumes stay mounted: %s", error)

    # ---- what a Pod refers to

    async def mount_volumes(
        self, pod: core_v1.Pod, pod_ip: str, *, running: bool = False
    ) -> Outcome:
        """Set up every volume, or bring it up to date; `running`: only those made of files, only the latter."""
        if pod.spec is None or not pod.spec.volumes:
            return Outcome()
        found = await self._fetch(pod, references(pod))
        tokens = await self._tokens.of(pod)
        facts = dataclasses.replace(self._facts, pod_ip=pod_ip, tokens=tokens)
        return self._volumes(pod).set_up(pod, _objects(found), facts, running=running)

    def _volumes(self, pod: core_v1.Pod) -> Volumes:
        return Volumes(Path(self.pod_folder(pod)), self._mounter)

    def tokens_due_in(self, pod: core_v1.Pod) -> float | None:
        """Seconds until a token in its volumes is renewed; None if there is none."""
        return self._tokens.due_in(_meta(pod).uid or "")

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
        pod_ips: Sequence[str],
        wanted: Callable[[], bool] = lambda: True,
    ) -> str:
        """The new container's ID; `StartFailure` after the event that tells of it.

        `wanted` is asked once more before the command begins: the Pod may have been deleted meanwhile.
        """
        image = await self._ensure_image(pod, item)
        try:
            config = await self._config(pod, item, image, sandbox_id, pod_ips)
        except (ConfigError, NonRootError, VolumeError) as error:
            self._tell(pod, item, "Warning", "Failed", f"Error: {error}")
            raise StartFailure("CreateContainerConfigError", str(error)) from error
        try:
            container_id = await self._runtime.create_container(sandbox_id, config)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as error:
            self._tell(pod, item, "Warning", "Failed", f"Error: {error}")
            raise StartFailure(CreateContainerError.__name__, str(error)) from error
        self._tell(pod, item, "Normal", "Created", "Container created")
        if not wanted():
            raise StartFailure("RunContainerError", "context canceled")
        try:
            await self._runtime.start_container(container_id)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as error:
            self._tell(pod, item, "Warning", "Failed", f"Error: {error}")
            raise StartFailure("RunContainerError", str(error)) from error
        self._tell(pod, item, "Normal", "Started", "Container started")
        return container_id

    async def _ensure_image(self, pod: core_v1.Pod, item: StartContainer) -> ImageStatus:
        def tell(type_: str, reason: str, message: str) -> None:
            self._tell(pod, item, type_, reason, message)

        container = item.container
        policy = container.imagePullPolicy or "IfNotPresent"
        secrets = await self._pull_secrets(pod)
        uid, image = _meta(pod).uid or "", container.image or ""
        try:
            return await self._images.ensure(uid, image, policy, tell, secrets)
        except ImageFailure as failure:
            raise StartFailure(failure.reason, failure.message, failure.retry_after) from failure

    async def _pull_secrets(self, pod: core_v1.Pod) -> list[core_v1.Secret]:
        """Those that are there; of the others an event tells, and the pull is tried without them."""
        names = pull_secret_names(pod)
        if not names:
            return []
        found = await self._fetch(pod, {("secret", name) for name in names})
        held = {name: found["secret", name] for name in names}
        missing = [name for name, one in held.items() if not isinstance(one, core_v1.Secret)]
        if missing:
            reason = "FailedToRetrieveImagePullSecret"
            self._recorder.event(pod_reference(pod), "Warning", reason, not_retrieved(missing))
        return [one for one in held.values() if isinstance(one, core_v1.Secret)]

    async def _config(
        self,
        pod: core_v1.Pod,
        item: StartContainer,
        image: ImageStatus,
        sandbox_id: str,
        pod_ips: Sequence[str],
    ) -> ContainerConfig:
        container, pod_ip = item.container, next(iter(pod_ips), "")
        objects = _objects(await self._fetch(pod, _env_references(container)))
        env = environment(
            pod,
            container,
            lambda kind, name: _text(objects(kind, name)),
            pod_ips=pod_ips,
            node_ip=self._facts.node_ip,
            capacity=self._facts.capacity,
            services=self._api_access.environment(_meta(pod).uid or ""),
        )
        mounted = await self.mount_volumes(pod, pod_ip)
        if mounted.failures:
            raise mounted.failures[0]
        mounts: list[Mount] = []
        if container.volumeMounts:
            able = asks_for_recursion(container) and await self._runtime.read_only_recursively(
                sandbox_id
            )
            mounts = self._volumes(pod).mounts(pod, container, mounted.places, env, recursive=able)
        features = await self._runtime.features()
        mounts += self._hosts_mount(pod, container, pod_ips, own_network=features.own_network)
        logs = f"{self.log_folder(pod)}/{container.name}"
        return container_config(
            pod,
            container,
            image,
            attempt=item.attempt if item.attempt is not None else next_attempt(Path(logs)),
            env=env,
            mounts=mounts,
            message_file=self._message_file(pod, container),
            logs=logs,
            memory_capacity=self._memory,
            seccomp_root=f"{self._root}/seccomp",
            users=features.security_contexts,
            process_namespace_of=await self._target(pod, container.name),
        )

    async def _target(self, pod: core_v1.Pod, name: str) -> str:
        """Of an ephemeral container: the ID of the one whose processes it shall see, as that runs now."""
        wanted = target_container_name(pod, name)
        if not wanted:
            return ""
        listed = await self._runtime.list_containers(_meta(pod).uid or "")
        found = next((c for c in listed if c.config.name == wanted), None)
        if found is None:
            raise ConfigError(f"unable to find target container {wanted}")
        return found.id

    def _hosts_mount(
        self,
        pod: core_v1.Pod,
        container: core_v1.Container,
        pod_ips: Sequence[str],
        *,
        own_network: bool,
    ) -> list[Mount]:
        """The hosts file that the kubelet writes, as long as the container brings none.

        Where all Pods live in the machine's network, its own file is there already: only aliases need another.
        """
        spec = pod.spec
        assert spec is not None
        if mounts_own(container) or not (own_network or spec.hostAliases):
            return []
        machines = None
        if spec.hostNetwork or not own_network:
            with contextlib.suppress(OSError):
                machines = MACHINES_HOSTS.read_text()
        path = Path(self.pod_folder(pod), "etc-hosts")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(hosts_file(pod, pod_ips, machines))
        path.chmod(0o644)
        return [Mount(str(path), HOSTS_PATH)]

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

    async def termination_message(self, pod: core_v1.Pod, status: ContainerStatus) -> str:
        """What the container left to say, by its policy."""
        annotations = status.config.annotations
        policy = annotations.get(MESSAGE_POLICY)
        path = annotations.get(MESSAGE_FILE, "")
        try:
            text = _tail_bytes(path, _MESSAGE_BYTES) if path else ""
        except FileNotFoundError:
            text = ""
        except OSError as error:
            where = status.config.annotations.get(MESSAGE_PATH, path)
            return f"Error on reading termination log {where}: {errno_text(error)}"
        if text or policy != "FallbackToLogsOnError" or not status.exit_code:
            return text
        try:
            return await self._end_of_log(status.config.log_path)
        except (RuntimeFailure, OSError) as error:
            return f"Error reading termination message from logs: {error}"

    async def _end_of_log(self, log_path: str) -> str:
        tail = b""
        chunks = self._runtime.read_log(log_path, LogOptions(tail_lines=_LOG_LINES), None)
        async for chunk in chunks:
            tail = (tail + chunk)[-_LOG_BYTES:]
        return tail.decode(errors="replace")

    def forget(self, status: ContainerStatus) -> None:
        """Of an instance that is removed: what it left to say goes too, in its log as well."""
        if status.config.log_path:
            remove_logs(Path(status.config.log_path))
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
