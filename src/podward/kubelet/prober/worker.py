"""The rules of one probe worker: one container, one probe type (spec/health.md 2.3). Pure.

An attempt has two halves, with the handler between them. `prepare` looks at the container's *published* status
and says whether to ask at all; `conclude` counts the answer and says whether it is a verdict yet. A verdict
belongs to the instance that `prepare` saw, however late the answer comes.

The streak (`last_result`, `result_run`) is deliberately not reset when a new instance appears, only when the
worker goes on hold: a container that failed twice and then crashed by itself is on its last chance.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

import msgspec
from lightkube.models import core_v1
from msgspec.structs import replace

from podward.kubelet.prober.results import INITIAL
from podward.kubelet.restart_policy import TERMINAL_PHASES, restarts_after_exit
from podward.probes.base import Outcome, ProbeType

# A container running since before the kubelet by this much was judged by the kubelet before.
_ADOPTED_SECONDS = 10


@dataclass(frozen=True, slots=True)
class ProbeSubject:
    """What a worker is made for; it keeps this snapshot for life, probes never change."""

    pod: core_v1.Pod
    container: core_v1.Container
    type: ProbeType
    probe: core_v1.Probe


class WorkerState(msgspec.Struct, frozen=True):
    container_id: str = ""
    """Bare; the instance that is being judged."""
    last_result: Outcome | None = None
    result_run: int = 0
    on_hold: bool = False
    """A conclusive answer was given; nothing more is asked of this instance."""


class Observation(msgspec.Struct, frozen=True):
    """What the kubelet knows when the worker wakes."""

    status: core_v1.PodStatus | None
    deleted: bool
    now: datetime
    kubelet_started_at: datetime


class Next(Enum):
    LATER = auto()
    """With the next tick."""
    IDLE = auto()
    """With the first tick after the Pod or its status has changed: ticks before it would find the same."""
    PROBE = auto()
    EXIT = auto()


class Step(msgspec.Struct, frozen=True):
    state: WorkerState
    next: Next
    verdicts: tuple[Outcome, ...] = ()
    """To be cached for `state.container_id`, in this order."""
    forget: str = ""
    """The container ID whose verdict is dropped first; empty for none."""


def prepare(subject: ProbeSubject, state: WorkerState, seen: Observation) -> Step:
    """Everything before the question; the order of the checks is the kubelet's."""
    if seen.status is None:
        return Step(state, Next.IDLE)
    if seen.status.phase in TERMINAL_PHASES:
        return Step(state, Next.EXIT)
    container = find_status(seen.status, subject.container.name)
    if container is None or not container.containerID:
        return Step(state, Next.IDLE)
    forget = ""
    verdicts: tuple[Outcome, ...] = ()
    identity = container.containerID.partition("://")[2]
    if identity != state.container_id:
        forget = state.container_id
        state = replace(state, container_id=identity, on_hold=False)
        verdicts = _first_verdicts(subject, container, seen)
    if state.on_hold:
        return Step(state, Next.IDLE, verdicts, forget)
    running = container.state.running if container.state else None
    if running is None:
        ended = container.state.terminated if container.state else None
        over = ended is not None and not restarts_after_exit(
            subject.pod, subject.container, ended.exitCode
        )
        return Step(state, Next.EXIT if over else Next.IDLE, (*verdicts, Outcome.FAILURE), forget)
    if seen.deleted and subject.type is not ProbeType.READINESS:
        return Step(state, Next.EXIT, (*verdicts, Outcome.SUCCESS), forget)
    return Step(state, _next(subject, container, running, seen.now), verdicts, forget)


def conclude(subject: ProbeSubject, state: WorkerState, outcome: Outcome) -> Step:
    """Count an answer, SUCCESS or FAILURE. An attempt that errored must not come here."""
    run = state.result_run + 1 if outcome is state.last_result else 1
    state = WorkerState(state.container_id, outcome, run, state.on_hold)
    failed = outcome is Outcome.FAILURE
    if run < threshold_of(subject, outcome):
        return Step(state, Next.LATER)
    if (failed and subject.type is ProbeType.LIVENESS) or subject.type is ProbeType.STARTUP:
        # What comes next must not count attempts made while the instance is being killed, or has started.
        state = replace(state, on_hold=True, result_run=0)
    return Step(state, Next.LATER, (outcome,))


def threshold_of(subject: ProbeSubject, outcome: Outcome | None) -> int:
    """How many answers like this in a row are a verdict."""
    if outcome is Outcome.FAILURE:
        return subject.probe.failureThreshold or 3
    return subject.probe.successThreshold or 1


def _first_verdicts(
    subject: ProbeSubject, container: core_v1.ContainerStatus, seen: Observation
) -> tuple[Outcome, ...]:
    running = container.state.running if container.state else None
    if running is not None and running.startedAt is not None:
        age = (seen.kubelet_started_at - running.startedAt).total_seconds()
        if age > _ADOPTED_SECONDS:
            # A restarted kubelet must not flip what the one before had found out.
            known = subject.type is ProbeType.STARTUP and container.started
            return (Outcome.SUCCESS,) if known else ()
    return (INITIAL[subject.type],)


def _next(
    subject: ProbeSubject,
    container: core_v1.ContainerStatus,
    running: core_v1.ContainerStateRunning,
    now: datetime,
) -> Next:
    if running.startedAt is not None:
        age = int((now - running.startedAt).total_seconds())
        if age < (subject.probe.initialDelaySeconds or 0):
            return Next.LATER
    # Startup asks until started; the others from then on.
    due = bool(container.started) is not (subject.type is ProbeType.STARTUP)
    return Next.PROBE if due else Next.IDLE


def find_status(status: core_v1.PodStatus, name: str) -> core_v1.ContainerStatus | None:
    for statuses in (status.containerStatuses, status.initContainerStatuses):
        for container in statuses or ():
            if container.name == name:
                return container
    return None
