"""Probe workers as tasks: when they wake, whom they ask, whom they tell (spec/health.md 2.1, 2.2, 2.4, 2.6).

Nobody here kills or starts anything. A worker records a verdict about one container instance; whoever
listens (`on_result`) wakes the Pod's worker, which decides.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lightkube.models import core_v1

from podward.kubelet.prober.results import ResultCache
from podward.kubelet.prober.worker import (
    Next,
    Observation,
    ProbeSubject,
    Step,
    WorkerState,
    conclude,
    prepare,
    threshold_of,
)
from podward.kubelet.restart_policy import probed_containers, regular_containers
from podward.kubelet.runtime.base import ExecTimeout, RuntimeFailure
from podward.machinery.alarm import Alarm
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy
from podward.machinery.network import Network
from podward.probes import exec as exec_probe
from podward.probes import grpc, http_get, tcp_socket
from podward.probes.base import (
    ExecOutput,
    ExecTimedOut,
    Outcome,
    ProbeError,
    ProbeResult,
    ProbeTarget,
    ProbeType,
    ProbeVerdicts,
)

Mechanism = Callable[[Any, ProbeTarget, float], Awaitable[ProbeResult]]

MECHANISMS: Mapping[str, Mechanism] = {
    "exec": exec_probe.attempt,
    "httpGet": http_get.attempt,
    "tcpSocket": tcp_socket.attempt,
    "grpc": grpc.attempt,
}
"""Field of `Probe` -> mechanism. A new one is a row here."""

MAX_TRIES = 3
"""Of one attempt, one right after another, while the handler errors. A clean failure is never retried."""

ExecSync = Callable[[str, Sequence[str], float], Awaitable[ExecOutput]]
Record = Callable[[core_v1.Pod, str, str, str, str], None]
OnResult = Callable[[str, ProbeType, str, Outcome], None]


@dataclass(slots=True)
class _Worker:
    subject: ProbeSubject
    field_path: str
    state: WorkerState = field(default_factory=WorkerState)
    alarm: Alarm = field(default_factory=Alarm)
    target: ProbeTarget | None = None
    """Of `target_of`: made once for an instance at an address, not for every question."""
    target_of: tuple[str, str] = ("", "")
    task: asyncio.Task[None] | None = None

    @property
    def threshold(self) -> int:
        return threshold_of(self.subject, self.state.last_result)


@dataclass(frozen=True, slots=True)
class ProbeStreak:
    """The latest answers of one probe: `run` times `last` in a row, of the `threshold` that makes a verdict."""

    container: str
    type: ProbeType
    last: Outcome | None
    run: int
    threshold: int


_Key = tuple[str, ProbeType]


class ProberManager:
    """All probe workers of one kubelet, one task each. Container IDs are bare throughout."""

    def __init__(
        self,
        *,
        clock: Clock,
        entropy: Entropy,
        network: Network,
        status_of: Callable[[str], core_v1.PodStatus | None],
        deletion_of: Callable[[str], bool],
        exec_sync: ExecSync,
        record: Record,
        on_result: OnResult,
        kubelet_started_at: datetime,
        mechanisms: Mapping[str, Mechanism] = MECHANISMS,
    ) -> None:
        """`record` takes (pod, field path, type, reason, message); `on_result` (uid, type, ID, verdict)."""
        self._clock = clock
        self._entropy = entropy
        self._network = network
        self._status_of = status_of
        self._deletion_of = deletion_of
        self._exec_sync = exec_sync
        self._record = record
        self._on_result = on_result
        self._kubelet_started_at = kubelet_started_at
        self._mechanisms = mechanisms
        self._results = ResultCache()
        self._workers: dict[str, dict[_Key, _Worker]] = {}
        self._finished: dict[str, set[_Key]] = {}

    def add_pod(self, pod: core_v1.Pod) -> None:
        """Start the workers that this Pod lacks. One that has left for good does not come back."""
        uid = _uid(pod)
        workers = self._workers.setdefault(uid, {})
        finished = self._finished.setdefault(uid, set())
        regular = {container.name for container in regular_containers(pod)}
        for container in probed_containers(pod):
            for type, probe in (
                (ProbeType.STARTUP, container.startupProbe),
                (ProbeType.READINESS, container.readinessProbe),
                (ProbeType.LIVENESS, container.livenessProbe),
            ):
                key = (container.name, type)
                if probe is None or key in workers or key in finished:
                    continue
                section = "containers" if container.name in regular else "initContainers"
                worker = _Worker(
                    ProbeSubject(pod, container, type, probe),
                    f"spec.{section}{{{container.name}}}",
                )
                workers[key] = worker
                name = f"probe {type} {uid} {container.name}"
                worker.task = asyncio.create_task(self._run(uid, key, worker), name=name)

    def stop_liveness_and_startup(self, pod_uid: str) -> None:
        """The Pod is ending: of its regular containers, only readiness is still asked."""
        for key, worker in list(self._workers.get(pod_uid, {}).items()):
            if key[1] is not ProbeType.READINESS and worker.field_path.startswith(
                "spec.containers{"
            ):
                self._stop(pod_uid, key, worker)

    def remove_pod(self, pod_uid: str) -> None:
        for key, worker in list(self._workers.get(pod_uid, {}).items()):
            self._stop(pod_uid, key, worker)
        self._workers.pop(pod_uid, None)
        self._finished.pop(pod_uid, None)

    def trigger_readiness(self, pod_uid: str) -> None:
        """Ask at once about the containers that run, have started and are not ready (2.2, 5)."""
        status = self._status_of(pod_uid)
        if status is None:
            return
        ready = self._results.of(ProbeType.READINESS)
        statuses = (*(status.containerStatuses or ()), *(status.initContainerStatuses or ()))
        for one in statuses:
            worker = self._workers.get(pod_uid, {}).get((one.name, ProbeType.READINESS))
            running = one.state is not None and one.state.running is not None
            if worker is None or not running or not one.started:
                continue
            if ready.get((one.containerID or "").partition("://")[2]) is not Outcome.SUCCESS:
                worker.alarm.ring()

    def verdicts(self, pod_uid: str) -> ProbeVerdicts:
        return ProbeVerdicts(
            liveness=self._results.of(ProbeType.LIVENESS),
            readiness=self._results.of(ProbeType.READINESS),
            startup=self._results.of(ProbeType.STARTUP),
            workers=frozenset(self._workers.get(pod_uid, {})),
        )

    def streaks(self, pod_uid: str) -> list[ProbeStreak]:
        """How each probe of a Pod stands, for people to look at."""
        return [
            ProbeStreak(
                name, type, worker.state.last_result, worker.state.result_run, worker.threshold
            )
            for (name, type), worker in self._workers.get(pod_uid, {}).items()
        ]

    async def close(self) -> None:
        tasks = [
            worker.task
            for workers in self._workers.values()
            for worker in workers.values()
            if worker.task is not None
        ]
        for pod_uid in list(self._workers):
            self.remove_pod(pod_uid)
        await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------------- one worker

    async def _run(self, uid: str, key: _Key, worker: _Worker) -> None:
        """Attempts at once, then with each tick of a clock of its own; a late tick is made up for once."""
        period = float(worker.subject.probe.periodSeconds or 10)
        age = (self._clock.now() - self._kubelet_started_at).total_seconds()
        if age < period:
            # A kubelet that just started has all its workers at once; spread them.
            await asyncio.sleep(self._entropy.uniform(0, period))
        tick = self._clock.monotonic() + period
        while await self._attempt(uid, worker):
            tick = await self._wait(worker.alarm, tick, period)
        self._stop(uid, key, worker, cancel=False)
        self._finished.setdefault(uid, set()).add(key)

    async def _wait(self, alarm: Alarm, tick: float, period: float) -> float:
        """Sleep until the tick or a trigger; the time of the tick after that."""
        triggered = await alarm.wait_until(tick)
        now = self._clock.monotonic()
        if triggered:
            return now + period
        return tick + period * (max((now - tick) // period, 0) + 1)

    async def _attempt(self, uid: str, worker: _Worker) -> bool:
        """False once the worker has nothing left to do."""
        status = self._status_of(uid)
        seen = Observation(
            status, self._deletion_of(uid), self._clock.now(), self._kubelet_started_at
        )
        step = self._apply(uid, worker, prepare(worker.subject, worker.state, seen))
        if step.next is Next.PROBE and status is not None and _addressed(worker.subject, status):
            outcome = await self._ask(worker, status)
            if outcome is not None:
                self._apply(uid, worker, conclude(worker.subject, worker.state, outcome))
        return step.next is not Next.EXIT

    def _apply(self, uid: str, worker: _Worker, step: Step) -> Step:
        worker.state = step.state
        type = worker.subject.type
        if step.forget:
            self._results.forget(type, step.forget)
        for verdict in step.verdicts:
            if self._results.set(type, step.state.container_id, verdict):
                self._on_result(uid, type, step.state.container_id, verdict)
        return step

    def _stop(self, uid: str, key: _Key, worker: _Worker, cancel: bool = True) -> None:
        self._workers.get(uid, {}).pop(key, None)
        self._results.forget(worker.subject.type, worker.state.container_id)
        if cancel and worker.task is not None:
            self._finished.setdefault(uid, set()).add(key)
            worker.task.cancel()

    # ------------------------------------------------------------------------------------ one question

    async def _ask(self, worker: _Worker, status: core_v1.PodStatus) -> Outcome | None:
        """The answer as a worker counts it, SUCCESS or FAILURE, and its event; None if discarded."""
        target_of = (worker.state.container_id, status.podIP or "")
        if worker.target is None or worker.target_of != target_of:
            worker.target, worker.target_of = self._target(worker, status), target_of
        target = worker.target
        error = ProbeError("no attempt was made")
        for _ in range(MAX_TRIES):
            try:
                result = await self._once(worker.subject.probe, target)
            except ProbeError as raised:
                error = raised
                continue
            except Exception as raised:
                # A defect of a mechanism must not end the watch over this container, nor stay unseen.
                error = ProbeError(f"{type(raised).__name__}: {raised}")
                continue
            return self._classify(worker, result)
        self._warn(
            worker,
            "Unhealthy",
            f"{worker.subject.type} probe errored and resulted in {error.state} state: {error}",
        )
        return None

    def _classify(self, worker: _Worker, result: ProbeResult) -> Outcome:
        type = worker.subject.type
        match result.outcome:
            case Outcome.SUCCESS:
                return Outcome.SUCCESS
            case Outcome.WARNING:
                self._warn(worker, "ProbeWarning", f"{type} probe warning: {result.output}")
                return Outcome.SUCCESS
            case Outcome.FAILURE:
                self._warn(worker, "Unhealthy", f"{type} probe failed: {result.output}")
        return Outcome.FAILURE

    async def _once(self, probe: core_v1.Probe, target: ProbeTarget) -> ProbeResult:
        timeout = float(probe.timeoutSeconds or 1)
        for name, attempt in self._mechanisms.items():
            action = getattr(probe, name)
            if action is not None:
                return await attempt(action, target, timeout)
        raise ProbeError("missing probe handler")

    def _target(self, worker: _Worker, status: core_v1.PodStatus) -> ProbeTarget:
        container, container_id = worker.subject.container, worker.state.container_id

        async def exec_sync(command: Sequence[str], timeout: float) -> ExecOutput:
            try:
                return await self._exec_sync(container_id, command, timeout)
            except ExecTimeout as error:
                raise ExecTimedOut(str(error)) from error
            except RuntimeFailure as error:
                raise ProbeError(str(error)) from error

        return ProbeTarget(
            pod_ip=status.podIP or "",
            named_ports={
                port.name: port.containerPort for port in container.ports or () if port.name
            },
            exec_sync=exec_sync,
            network=self._network,
            literal_env={
                variable.name: variable.value or ""
                for variable in container.env or ()
                if variable.valueFrom is None
            },
        )

    def _warn(self, worker: _Worker, reason: str, message: str) -> None:
        self._record(worker.subject.pod, worker.field_path, "Warning", reason, message)


def _uid(pod: core_v1.Pod) -> str:
    if pod.metadata is None or pod.metadata.uid is None:
        raise ValueError("cannot probe a pod without uid")
    return pod.metadata.uid


def _addressed(subject: ProbeSubject, status: core_v1.PodStatus) -> bool:
    """A probe of the Pod's address waits until there is one: an empty host is the node's own loopback."""
    probe = subject.probe
    if status.podIP or probe.exec is not None:
        return True
    action = probe.httpGet or probe.tcpSocket
    return action is not None and bool(action.host)
