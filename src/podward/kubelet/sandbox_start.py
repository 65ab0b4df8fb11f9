"""Making a Pod's sandbox: what it needs to know is looked up here, from the API server and this machine."""

from collections.abc import Sequence
from pathlib import Path

from lightkube.models import core_v1, node_v1

from podward.client.base import ApiError, Client, TransportError
from podward.client.recorder import EventRecorder, pod_reference
from podward.kubelet.dns import FALLBACK, parse_resolv_conf, pod_dns
from podward.kubelet.pod_admission import Refusal, refusal
from podward.kubelet.pod_cgroups import PodCgroups
from podward.kubelet.resources import pod_cgroup, pod_resources
from podward.kubelet.runtime.base import Dns, Runtime
from podward.kubelet.sandbox_config import SandboxError, sandbox_config

RESOLV_CONF = Path("/etc/resolv.conf")
APPARMOR = Path("/sys/module/apparmor/parameters/enabled")


class SandboxStarter:
    def __init__(
        self,
        client: Client,
        runtime: Runtime,
        recorder: EventRecorder,
        *,
        allowed_sysctls: Sequence[str],
    ) -> None:
        self._client = client
        self._runtime = runtime
        self._recorder = recorder
        self._allowed_sysctls = allowed_sysctls
        self._cgroups = PodCgroups()
        self._told: set[str] = set()
        """Pods whose users know that there is no cluster DNS."""

    async def refusal(self, pod: core_v1.Pod) -> Refusal | None:
        """Why this node cannot run the Pod, if it cannot."""
        features = await self._runtime.features()
        return refusal(pod, features, self._allowed_sysctls, apparmor=_text(APPARMOR)[:1] == "Y")

    async def start(self, pod: core_v1.Pod, attempt: int, log_directory: str) -> str:
        """The sandbox's ID. Raises `SandboxError` or `RuntimeFailure`."""
        features = await self._runtime.features()
        if features.security_contexts and pod.spec is not None and pod.spec.hostUsers is False:
            raise SandboxError("user namespaces (hostUsers: false) cannot be had on this node")
        config = sandbox_config(
            pod,
            attempt,
            log_directory=log_directory,
            dns=self._dns(pod) if features.own_network else None,
            cgroup_driver=features.cgroup_driver,
            runtime_handler=await self._handler(pod),
        )
        sandbox_id = await self._runtime.run_pod_sandbox(config)
        self._cgroups.weigh(config.cgroup_parent, pod_resources(pod).cpu_shares)
        return sandbox_id

    async def remove_pod(self, pod: core_v1.Pod) -> None:
        """It is gone, and all that ran of it."""
        self._told.discard((pod.metadata and pod.metadata.uid) or "")
        features = await self._runtime.features()
        await self.remove_cgroup(pod_cgroup(pod, features.cgroup_driver))

    async def remove_cgroup(self, parent: str) -> None:
        await self._cgroups.remove(parent)

    async def _handler(self, pod: core_v1.Pod) -> str:
        name = pod.spec.runtimeClassName if pod.spec is not None else None
        if not name:
            return ""
        try:
            return (await self._client.get(node_v1.RuntimeClass, name)).handler
        except ApiError as error:
            if error.code != 404:
                raise SandboxError(f"failed to lookup RuntimeClass {name}: {error}") from error
            text = f'runtimeclass.node.k8s.io "{name}" not found'
            raise SandboxError(text) from error
        except TransportError as error:
            raise SandboxError(f"failed to lookup RuntimeClass {name}: {error}") from error

    def _dns(self, pod: core_v1.Pod) -> Dns:
        meta = pod.metadata
        assert meta is not None
        found = pod_dns(pod, parse_resolv_conf(_text(RESOLV_CONF)))
        if found.cluster_dns_missing and meta.uid not in self._told:
            self._told.add(meta.uid or "")
            whose = f'"{meta.name}_{meta.namespace}({meta.uid})"'
            self._warn(pod, "MissingClusterDNS", f"pod: {whose}. {FALLBACK}")
        for text in found.omitted:
            self._warn(pod, "DNSConfigForming", text)
        return found.dns

    def _warn(self, pod: core_v1.Pod, reason: str, message: str) -> None:
        self._recorder.event(pod_reference(pod), "Warning", reason, message)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
