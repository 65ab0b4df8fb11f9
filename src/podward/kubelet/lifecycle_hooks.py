"""postStart and preStop: one handler, run in or against a container (spec/health.md 3.5)."""

import asyncio
from collections.abc import Sequence

from lightkube.models import core_v1, meta_v1

from podward.client.recorder import EventRecorder, pod_reference
from podward.kubelet.runtime.base import Runtime, RuntimeFailure
from podward.machinery.gotext import quote
from podward.machinery.network import Network
from podward.probes import http_get
from podward.probes.base import HOOK_USER_AGENT, ExecOutput, ProbeError, ProbeTarget


class HookError(Exception):
    """The hook failed; the text says which, of whom, and how."""


class HookRunner:
    """Runs hooks without a time limit of its own: whoever calls sets one, or waits as the kubelet does."""

    def __init__(self, runtime: Runtime, network: Network, recorder: EventRecorder) -> None:
        self._runtime = runtime
        self._network = network
        self._recorder = recorder

    async def run(
        self,
        handler: core_v1.LifecycleHandler,
        pod: core_v1.Pod,
        container: core_v1.Container,
        container_id: str,
    ) -> None:
        """Raises `HookError`."""
        whose = f'for Container "{container.name}" in Pod "{_full_name(pod)}"'
        if handler.exec is not None:
            await self._exec(handler.exec.command or [], whose, container_id)
        elif handler.sleep is not None:
            await asyncio.sleep(handler.sleep.seconds)
        elif handler.httpGet is not None:
            await self._http(handler.httpGet, pod, container, whose)
        else:
            raise HookError("invalid handler: it names nothing that can be run")

    async def _exec(self, command: Sequence[str], whose: str, container_id: str) -> None:
        hook = f"Exec lifecycle hook ([{' '.join(command)}]) {whose} failed"
        try:
            result = await self._runtime.exec_sync(container_id, command, None)
        except RuntimeFailure as error:
            raise HookError(f'{hook} - error: {error}, message: ""') from error
        if result.exit_code != 0:
            said = (result.stdout + result.stderr).decode(errors="replace")
            raise HookError(
                f"{hook} - error: command '{' '.join(command)}' exited with "
                f"{result.exit_code}: {said}, message: {quote(said)}"
            )

    async def _http(
        self,
        action: core_v1.HTTPGetAction,
        pod: core_v1.Pod,
        container: core_v1.Container,
        whose: str,
    ) -> None:
        """Any answer is success; only not getting one is a failure."""
        target = await self._target(pod, container)
        try:
            await self._ask(action, target, pod)
        except http_get.BodyFailure:
            pass
        except (ProbeError, http_get.TransportFailure) as error:
            hook = f"HTTP lifecycle hook ({action.path}) {whose} failed"
            raise HookError(f'{hook} - error: {error}, message: ""') from error

    async def _ask(
        self, action: core_v1.HTTPGetAction, target: ProbeTarget, pod: core_v1.Pod
    ) -> None:
        try:
            await http_get.get(action, target, HOOK_USER_AGENT)
        except http_get.TransportFailure as failure:
            if str(failure) != http_get.PLAIN_ANSWER:
                raise
            await http_get.get(action, target, HOOK_USER_AGENT, scheme="HTTP")
            host = http_get.url_of(action, target).split("/")[2]
            self._recorder.event(
                pod_reference(pod),
                "Warning",
                "LifecycleHTTPFallback",
                f"request to HTTPS lifecycle hook {host} got HTTP response, retry with HTTP succeeded",
            )

    async def _target(self, pod: core_v1.Pod, container: core_v1.Container) -> ProbeTarget:
        """The Pod's address comes from the runtime: a postStart hook may run before any status tells it."""
        sandboxes = await self._runtime.list_pod_sandboxes(_meta(pod).uid)
        address = next((sandbox.ips[0] for sandbox in sandboxes if sandbox.ips), "")
        ports = {port.name: port.containerPort for port in container.ports or () if port.name}
        return ProbeTarget(address, ports, _no_exec, self._network)


async def _no_exec(argv: Sequence[str], timeout: float) -> ExecOutput:
    raise ProbeError("an http hook runs no command")


def _full_name(pod: core_v1.Pod) -> str:
    meta = _meta(pod)
    return f"{meta.name}_{meta.namespace}({meta.uid})"


def _meta(pod: core_v1.Pod) -> meta_v1.ObjectMeta:
    return pod.metadata or meta_v1.ObjectMeta()
