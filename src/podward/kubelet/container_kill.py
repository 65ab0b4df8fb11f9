"""Killing: the event, the hook, whose turn it is, the signal (spec/health.md 4.7, 4.9).

One container is killed in a fixed order: `Killing` is said, preStop runs, a sidecar waits for its turn, then
the runtime stops it with what is left of the grace, never less than two seconds.
"""

import asyncio
from collections.abc import Iterable

from lightkube.models import core_v1

from podward.client.recorder import EventRecorder, pod_reference
from podward.kubelet.lifecycle_hooks import HookError, HookRunner
from podward.kubelet.restart_policy import (
    MINIMUM_GRACE_SECONDS,
    KillReason,
    container_named,
    field_path,
    init_containers,
    is_sidecar,
    regular_containers,
    requested_grace,
)
from podward.kubelet.runtime.base import ContainerState, PodObservation, Runtime
from podward.machinery.clock import Clock

_LAST_WORDS_SECONDS = 0.5
"""For a hook whose container has just been killed."""


class TerminationOrder:
    """When a whole Pod ends, a sidecar waits for the regular containers and for the sidecars after it."""

    def __init__(self, pod: core_v1.Pod, running: Iterable[str]) -> None:
        self._ended = {name: asyncio.Event() for name in running}
        later = [container.name for container in regular_containers(pod)]
        self._first: dict[str, list[str]] = {}
        for container in reversed(init_containers(pod)):
            if is_sidecar(container):
                self._first[container.name] = list(later)
                later.append(container.name)

    async def wait_for_turn(self, name: str, at_most: float) -> None:
        before = [self._ended[n] for n in self._first.get(name, ()) if n in self._ended]
        try:
            async with asyncio.timeout(at_most):
                for ended in before:
                    await ended.wait()
        except TimeoutError:
            pass  # its own grace is over: it does not live on because others do

    def ended(self, name: str) -> None:
        if name in self._ended:
            self._ended[name].set()


class ContainerKiller:
    def __init__(
        self, runtime: Runtime, clock: Clock, recorder: EventRecorder, hooks: HookRunner
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._recorder = recorder
        self._hooks = hooks

    async def kill_all(
        self, pod: core_v1.Pod, observed: PodObservation, override: int | None = None
    ) -> None:
        """Everything that runs, at once but for the order of sidecars. Raises what the first failure raised."""
        running = [c for c in observed.containers if c.state is ContainerState.RUNNING]
        order = TerminationOrder(pod, [c.config.name for c in running])
        kills = [
            self.kill(
                pod,
                c.id,
                c.config.name,
                f"Stopping container {c.config.name}",
                "stop",
                override,
                order,
            )
            for c in running
        ]
        results = await asyncio.gather(*kills, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def kill(
        self,
        pod: core_v1.Pod,
        container_id: str,
        name: str,
        message: str,
        reason: KillReason,
        override: int | None = None,
        order: TerminationOrder | None = None,
    ) -> None:
        """Returns when it has exited; raises `RuntimeFailure`."""
        self._event(pod, name, "Normal", "Killing", message)
        container = container_named(pod, name)
        grace = float(MINIMUM_GRACE_SECONDS)
        if container is not None:
            grace = requested_grace(pod, container, reason, override)
        hook: asyncio.Task[None] | None = None
        try:
            if container is not None and grace > 0:
                hook = self._pre_stop(pod, container, container_id)
                grace -= await self._whole_seconds(hook, grace)
            if order is not None and grace > 0:
                began = self._clock.monotonic()
                await order.wait_for_turn(name, grace)
                grace -= int(self._clock.monotonic() - began)
            await self._runtime.stop_container(container_id, max(grace, MINIMUM_GRACE_SECONDS))
            if hook is not None and not hook.done():
                # Its command died with the container, and says so; what is no command is of no use any more.
                await asyncio.wait({hook}, timeout=_LAST_WORDS_SECONDS)
        finally:
            if hook is not None:
                hook.cancel()
            if order is not None:
                order.ended(name)

    def _pre_stop(
        self, pod: core_v1.Pod, container: core_v1.Container, container_id: str
    ) -> "asyncio.Task[None] | None":
        lifecycle = container.lifecycle
        if lifecycle is None or lifecycle.preStop is None:
            return None
        return asyncio.create_task(
            self._run_pre_stop(lifecycle.preStop, pod, container, container_id),
            name=f"preStop of {container.name}",
        )

    async def _run_pre_stop(
        self,
        handler: core_v1.LifecycleHandler,
        pod: core_v1.Pod,
        container: core_v1.Container,
        container_id: str,
    ) -> None:
        try:
            await self._hooks.run(handler, pod, container, container_id)
        except HookError:
            text = "PreStopHook failed"
            self._event(pod, container.name, "Warning", "FailedPreStopHook", text)

    async def _whole_seconds(self, hook: "asyncio.Task[None] | None", at_most: float) -> int:
        """Wait for the hook; how long it took. One that is too slow is left running, as a kubelet leaves it."""
        if hook is None:
            return 0
        began = self._clock.monotonic()
        await asyncio.wait({hook}, timeout=at_most)
        return int(self._clock.monotonic() - began)

    def _event(
        self, pod: core_v1.Pod, container: str, type_: str, reason: str, message: str
    ) -> None:
        reference = pod_reference(pod, field_path(pod, container))
        self._recorder.event(reference, type_, reason, message)
