"""Probe workers as tasks: when they wake, whom they ask, whom they tell (spec/health.md 2.1, 2.2, 2.4, 2.6).

Nobody here kills or starts anything. A worker records a verdict about one container instance; whoever
listens (`on_result`) wakes the Pod's worker, which decides.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lightkube.models import core_v1

from podward.kubelet.prober.results import Results
from podward.kubelet.prober.worker import (
    Next,
    Observation,
    ProbeSubject,
    Step,
    WorkerState,
    conclude,
    find_status,
    prepare,
    threshold_of,
)
from podward.kubelet.restart_policy import field_path, probed_containers
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
    idle: bool = False
    """Nothing but news of the Pod can give it something to ask."""

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


@dataclass(slots=True)
class _Pod:
    """Of one Pod: who asks, who has left for good, and what was concluded."""

    workers: dict[_Key, _Worker] = field(default_factory=dict)
    finished: set[_Key] = field(default_factory=set)
    results: Results = field(default_factory=Results)
    told: ProbeVerdicts | None = None
    """What is told of it, until something changes."""


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
        self._pods: dict[str, _Pod] = {}

    def add_pod(self, pod: core_v1.Pod) -> None:
        """Start the workers that this Pod lacks. One that has left for good does not come back."""
        uid = _uid(pod)
        held = self._pods.setdefault(uid, _Pod())
        for container in probed_containers(pod):
            self._add(uid, held, pod, container)

    def revive(self, pod: core_v1.Pod, status: core_v1.PodStatus) -> None:
        """Workers that left because their container was over come back if it runs all the same (2.1).

        A new sandbox starts even a container that its own policy would not.
        """
        uid = _uid(pod)
        held = self._pods.get(uid)
        if held is None or not held.finished:
            return
        for container in probed_containers(pod):
            one = find_status(status, container.name)
            if one is not None and one.state is not None and one.state.running is not None:
                held.finished = {key for key in held.finished if key[0] != container.name}
                self._add(uid, held, pod, container)

    def _add(self, uid: str, held: _Pod, pod: core_v1.Pod, container: core_v1.Container) -> None:
        for type, probe in (
            (ProbeType.STARTUP, container.startupProbe),
            (ProbeType.READINESS, container.readinessProbe),
            (ProbeType.LIVENESS, container.livenessProbe),
        ):
            key = (container.name, type)
            if probe is None or key in held.workers or key in held.finished:
                continue
            subject = ProbeSubject(pod, container, type, probe)
            worker = _Worker(subject, field_path(pod, container.name))
            held.workers[key] = worker
            held.told = None
            name = f"probe {type} {uid} {container.name}"
            worker.task = asyncio.create_task(self._run(uid, held, key, worker), name=name)

    def stop_liveness_and_startup(self, pod_uid: str) -> None:
        """The Pod is ending: of its regular containers, only readiness is still asked."""
        held = self._pods.get(pod_uid, _NOBODY)
        for key, worker in list(held.workers.items()):
            regular = worker.field_path.startswith("spec.containers{")
            if regular and key[1] is not ProbeType.READINESS:
                self._stop(held, key, worker)

    def remove_pod(self, pod_uid: str) -> None:
        held = self._pods.pop(pod_uid, _NOBODY)
        for key, worker in list(held.workers.items()):
            self._stop(held, key, worker)

    def tell(self, pod_uid: str) -> None:
        """The Pod or its status changed: who had nothing to ask until then looks again with its next tick."""
        for worker in self._pods.get(pod_uid, _NOBODY).workers.values():
            if worker.idle:
                worker.alarm.nudge()

    def trigger_readiness(self, pod_uid: str) -> None:
        """Ask at once about the containers that run, have started and are not ready (2.2, 5)."""
        held, status = self._pods.get(pod_uid), self._status_of(pod_uid)
        if held is None or status is None:
            return
        for (_, type), worker in held.workers.items():
            if type is ProbeType.READINESS and _asked_at_once(worker, status, held):
                worker.alarm.ring()

    def verdicts(self, pod_uid: str) -> ProbeVerdicts:
        held = self._pods.get(pod_uid)
        if held is None:
            return ProbeVerdicts()
        if held.told is None:
            verdicts = held.results.verdicts
            held.told = ProbeVerdicts(
                liveness=dict(verdicts[ProbeType.LIVENESS]),
                readiness=dict(verdicts[ProbeType.READINESS]),
                startup=dict(verdicts[ProbeType.STARTUP]),
                workers=frozenset(held.workers),
            )
        return held.told

    def streaks(self, pod_uid: str) -> list[ProbeStreak]:
        """How each probe of a Pod stands, for people to look at."""
        return [
            ProbeStreak(
                name, type, worker.state.last_result, worker.state.result_run, worker.threshold
            )
            for (name, type), worker in self._pods.get(pod_uid, _NOBODY).workers.items()
        ]

    async def close(self) -> None:
        workers = [worker for held in self._pods.values() for worker in held.workers.values()]
        tasks = [worker.task for worker in workers if worker.task is not None]
        for pod_uid in list(self._pods):
            self.remove_pod(pod_uid)
        await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------------- one worker

    async def _run(self, uid: str, held: _Pod, key: _Key, worker: _Worker) -> None:
        """Attempts at once, then with each tick of a clock of its own; a late tick is made up for once."""
        period = float(worker.subject.probe.periodSeconds or 10)
        age = (self._clock.now() - self._kubelet_started_at).total_seconds()
        if age < period:
            # A kubelet that just started has all its workers at once; spread them.
            await asyncio.sleep(self._entropy.uniform(0, period))
        tick = self._clock.monotonic() + period
        while (then := await self._attempt(uid, held, worker)) is not Next.EXIT:
            if then is Next.IDLE:
                await self._idle(worker)
                tick += period * max(math.ceil((self._clock.monotonic() - tick) / period), 0)
            tick = await self._wait(worker.alarm, tick, period)
        self._stop(held, key, worker, cancel=False)
        held.finished.add(key)

    async def _idle(self, worker: _Worker) -> None:
        """Ticks that could change nothing are not waited for: only news of the Pod ends this."""
        worker.idle = True
        try:
            await worker.alarm.wait()
        finally:
            worker.idle = False

    async def _wait(self, alarm: Alarm, tick: float, period: float) -> float:
        """Sleep until the tick or a trigger; the time of the tick after that."""
        triggered = await alarm.wait_until(tick)
        now = self._clock.monotonic()
        if triggered:
            return now + period
        return tick + period * (max((now - tick) // period, 0) + 1)

    async def _attempt(self, uid: str, held: _Pod, worker: _Worker) -> Next:
        """What is left for the worker to do."""
        status = self._status_of(uid)
        seen = Observation(
            status, self._deletion_of(uid), self._clock.now(), self._kubelet_started_at
        )
        step = self._apply(uid, held, worker, prepare(worker.subject, worker.state, seen))
        if step.next is not Next.PROBE or status is None or not _addressed(worker.subject, status):
            return step.next
        outcome = await self._ask(worker, status)
        if outcome is not None:
            self._apply(uid, held, worker, conclude(worker.subject, worker.state, outcome))
        return Next.LATER

    def _apply(self, uid: str, held: _Pod, worker: _Worker, step: Step) -> Step:
        worker.state = step.state
        type = worker.subject.type
        if step.forget:
            held.results.forget(type, step.forget)
            held.told = None
        for verdict in step.verdicts:
            if held.results.set(type, step.state.container_id, verdict):
                held.told = None
                self._on_result(uid, type, step.state.container_id, verdict)
        return step

    def _stop(self, held: _Pod, key: _Key, worker: _Worker, cancel: bool = True) -> None:
        held.told = None
        held.workers.pop(key, None)
        held.results.forget(worker.subject.type, worker.state.container_id)
        if cancel and worker.task is not None:
            held.finished.add(key)
            worker.task.cancel()

    # ------------------------------------------------------------------------------------ one question

    async def _ask(self, worker: _Worker, status: core_v1.PodStatus) -> Outcome | None:
        """The answer as a worker counts it, SUCCESS or FAILURE, and its event; None if discarded."""
        target_of = (worker.state.container_id, status.podIP or "")
        if worker.target is None or worker.target_of != target_of:
            worker.target, worker.target_of = self._target(worker, status), target_of
        target = worker.target
        error: ProbeError | None = None
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
        assert error is not None, "every try ended in an answer or an error"
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


_NOBODY = _Pod()
"""Of a Pod that is not probed; never written to."""


def _asked_at_once(worker: _Worker, status: core_v1.PodStatus, held: _Pod) -> bool:
    one = find_status(status, worker.subject.container.name)
    if one is None or one.state is None or one.state.running is None or not one.started:
        return False
    identity = (one.containerID or "").partition("://")[2]
    return held.results.verdicts[ProbeType.READINESS].get(identity) is not Outcome.SUCCESS


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
