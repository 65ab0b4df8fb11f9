"""The lives of a container: when each instance began, fell ill, was killed, ended, and why. Pure.

Read from what any watcher of the API sees, statuses and events; the verdict and the picture tell it. The events
are budgeted (spec/health.md 7.3): after a few restarts the kubelet writes no more why. The statuses still tell:
who ends by itself is seen `terminated` before anything follows, and whom a probe has killed is followed in the
same turn (4.2), so never is.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest
from typing import Literal

from lightkube.models import core_v1

from podward.simulate.simulation import PodChange, Recording

Kind = Literal["init", "sidecar", "container"]
Cause = Literal[
    "liveness", "startup", "hook", "changed", "stopped", "exit", "OOMKilled", "StartError"
]
Verdict = Literal["liveness", "startup"]
"""Of the probes that kill."""
ProbeName = Literal["liveness", "readiness", "startup"]
State = Literal["waiting", "running", "ready", "terminating", "back-off", "ended"]

LEAST_GRACE_SECONDS = 2.0
"""Between SIGTERM and SIGKILL, whatever the Pod says (4.7)."""
SIGKILLED = 137
_SLACK = 1.5
"""Times in a status are whole seconds, and a watcher hears of a change a moment later."""
_AT_ONCE = 0.1


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt, as its event told it."""

    at: float
    probe: ProbeName
    errored: bool
    """No answer at all: it is not counted, whatever the threshold (2.3, 10)."""
    message: str


@dataclass(frozen=True, slots=True)
class Life:
    """One instance of a container; all times in seconds since the manifests were applied."""

    id: str
    number: int
    """How many were before it: the restart count."""
    began: float
    started: float | None = None
    """When it counted as started: at once, or when its startup probe had succeeded."""
    ready: float | None = None
    """When it was first; not if it was being killed by then."""
    failed: float | None = None
    """The first failed attempt of those that killed it; None if its events were not written."""
    killed: float | None = None
    """When the kubelet decided to end it."""
    ended: float | None = None
    cause: Cause | None = None
    exit_code: int = 0
    followed: float | None = None
    """When the next one began."""

    @property
    def by_probe(self) -> bool:
        return self.cause in ("liveness", "startup")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A container was in one state from one moment to another."""

    state: State
    begin: float
    end: float
    note: str = ""
    """Why it waits, or how it ended."""
    life: str = ""
    """The instance that ran."""


@dataclass(frozen=True, slots=True)
class ContainerStory:
    kind: Kind
    container: core_v1.Container
    lives: tuple[Life, ...]
    failures: tuple[Failure, ...]
    stretches: tuple[Stretch, ...]

    @property
    def name(self) -> str:
        return self.container.name


@dataclass(frozen=True, slots=True)
class PodStory:
    changes: tuple[PodChange, ...]
    containers: tuple[ContainerStory, ...]
    end: float
    """When it was gone, or the watch was over."""

    @property
    def last(self) -> core_v1.Pod:
        return self.changes[-1].pod

    @property
    def name(self) -> str:
        return (self.last.metadata and self.last.metadata.name) or ""

    @property
    def namespace(self) -> str:
        return (self.last.metadata and self.last.metadata.namespace) or ""


def stories(recording: Recording) -> list[PodStory]:
    """Every Pod, in the order of their appearance."""
    return [_story(recording, uid) for uid in recording.pods()]


def _story(recording: Recording, uid: str) -> PodStory:
    changes = recording.of(uid)
    gone = next((change.at for change in changes if change.type == "DELETED"), None)
    end = recording.seconds if gone is None else gone
    leaving = next((change.at for change in changes if _is_leaving(change.pod)), None)
    told = [said for said in recording.said if said.event.involvedObject.uid == uid]
    containers = []
    for kind, container in _declared(changes[-1].pod):
        own = [
            (said.at, said.event)
            for said in told
            if (said.event.involvedObject.fieldPath or "").endswith(f"{{{container.name}}}")
        ]
        evidence = _Evidence(
            changes[-1].pod,
            container,
            failures=tuple(_failures(own)),
            kills=tuple(
                (at, event.message or "") for at, event in own if event.reason == "Killing"
            ),
            leaving=leaving,
        )
        lives = _lives(recording, changes, evidence)
        stretches = tuple(_stretches(changes, container.name, lives, end))
        containers.append(ContainerStory(kind, container, lives, evidence.failures, stretches))
    return PodStory(tuple(changes), tuple(containers), end)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What tells why the instances of a container ended."""

    pod: core_v1.Pod
    container: core_v1.Container
    failures: tuple[Failure, ...]
    kills: tuple[tuple[float, str], ...]
    """When, and in which words, the kubelet said that it kills one."""
    leaving: float | None
    """When the Pod was deleted."""


def _is_leaving(pod: core_v1.Pod) -> bool:
    return pod.metadata is not None and pod.metadata.deletionTimestamp is not None


def _declared(pod: core_v1.Pod) -> Iterator[tuple[Kind, core_v1.Container]]:
    spec = pod.spec
    for container in (spec and spec.initContainers) or ():
        yield ("sidecar" if container.restartPolicy == "Always" else "init"), container
    for container in (spec and spec.containers) or ():
        yield "container", container


def status_of(pod: core_v1.Pod, name: str) -> core_v1.ContainerStatus | None:
    held = pod.status or core_v1.PodStatus()
    listed = (*(held.initContainerStatuses or ()), *(held.containerStatuses or ()))
    return next((status for status in listed if status.name == name), None)


def grace_of(pod: core_v1.Pod, container: core_v1.Container, cause: Cause | None) -> float:
    """How long after the decision it is killed; a probe's own grace comes before the Pod's (4.7)."""
    spec = pod.spec
    grace = spec.terminationGracePeriodSeconds if spec is not None else None
    probe = {"liveness": container.livenessProbe, "startup": container.startupProbe}.get(
        cause or ""
    )
    if probe is not None and probe.terminationGracePeriodSeconds is not None:
        grace = probe.terminationGracePeriodSeconds
    deletion = pod.metadata.deletionGracePeriodSeconds if pod.metadata is not None else None
    if cause == "stopped" and deletion is not None:
        grace = deletion
    return max(float(30 if grace is None else grace), LEAST_GRACE_SECONDS)


# ---------------------------------------------------------------------------------------- failed attempts


def _failures(own: Sequence[tuple[float, core_v1.Event]]) -> Iterator[Failure]:
    for at, event in own:
        text = (event.message or "").removeprefix("(combined from similar events): ")
        name, _, rest = text.partition(" probe ")
        if event.reason != "Unhealthy" or not rest:
            continue
        probe: ProbeName
        match name:
            case "Liveness":
                probe = "liveness"
            case "Readiness":
                probe = "readiness"
            case "Startup":
                probe = "startup"
            case _:
                continue
        message = rest.partition(": ")[2].strip()
        yield Failure(at, probe, rest.startswith("errored"), message)


# ------------------------------------------------------------------------------------------------- lives


@dataclass(frozen=True, slots=True)
class _Seen:
    """The status of a container in one change of its Pod."""

    at: float
    status: core_v1.ContainerStatus

    @property
    def id(self) -> str:
        return self.status.containerID or ""

    @property
    def running(self) -> bool:
        return self.status.state is not None and self.status.state.running is not None

    def end_of(self, id: str) -> core_v1.ContainerStateTerminated | None:
        for held in (self.status.state, self.status.lastState):
            ended = held.terminated if held is not None else None
            if ended is not None and ended.containerID == id:
                return ended
        return None


def _lives(
    recording: Recording, changes: Sequence[PodChange], evidence: _Evidence
) -> tuple[Life, ...]:
    by_id: dict[str, list[_Seen]] = {}
    for change in changes:
        status = status_of(change.pod, evidence.container.name)
        if status is None:
            continue
        one = _Seen(change.at, status)
        last = status.lastState.terminated if status.lastState is not None else None
        for id in dict.fromkeys((last.containerID if last is not None else None, one.id)):
            if id:
                by_id.setdefault(id, []).append(one)
    lives = [_life(recording, id, held) for id, held in by_id.items()]
    nexts = [life.began for life in lives[1:]]
    lives = [replace(life, followed=began) for life, began in zip_longest(lives, nexts)]
    return tuple(_explained(life, by_id[life.id], evidence) for life in lives)


def _life(recording: Recording, id: str, held: Sequence[_Seen]) -> Life:
    own = [one for one in held if one.id == id]
    running = [one for one in own if one.running]
    ending = next(((one.at, end) for one in held if (end := one.end_of(id)) is not None), None)
    if running:
        began = running[0].at
    elif ending is not None and ending[1].startedAt is not None:
        began = max(recording.seconds_of(ending[1].startedAt), 0.0)
    else:
        began = held[0].at
    number = own[0].status.restartCount if own else max(held[0].status.restartCount - 1, 0)
    life = Life(
        id,
        number,
        began,
        started=next((one.at for one in running if one.status.started), None),
        ready=next((one.at for one in running if one.status.ready), None),
    )
    if ending is None:
        return life
    at, end = ending
    if end.finishedAt is not None:
        # A worker that is busy killing somebody else tells late; the status itself is to the second.
        truly = recording.seconds_of(end.finishedAt)
        at = max(truly, began) if at - truly > _SLACK else at
    return replace(life, ended=at, exit_code=end.exitCode, cause=_own_cause(end))


def _own_cause(end: core_v1.ContainerStateTerminated) -> Cause:
    match end.reason:
        case "OOMKilled":
            return "OOMKilled"
        case "StartError" | "ContainerCannotRun":
            return "StartError"
    return "exit"


_WORDS: dict[str, Cause] = {
    "failed liveness probe": "liveness",
    "failed startup probe": "startup",
    "definition changed": "changed",
    "FailedPostStartHook": "hook",
    "Stopping container": "stopped",
}
"""In the message of `Killing` -> why."""


def _explained(life: Life, held: Sequence[_Seen], evidence: _Evidence) -> Life:
    """With the cause of its end, where its own exit code does not tell."""
    cause: Cause
    verdict: Verdict
    said = _said(life, evidence.kills)
    if said is not None:
        killed, text = said
        cause = next((cause for words, cause in _WORDS.items() if words in text), "stopped")
        if cause == "stopped":
            # A Pod with nothing else to run is stopped as a whole, and the event hides the probe (4.2).
            cause = _verdict_at(killed, evidence) or cause
    elif evidence.leaving is not None and _outlives(life, evidence.leaving):
        cause, killed = "stopped", max(evidence.leaving, life.began)
    elif _killed_unsaid(life, held, evidence.container):
        probed = life.started is not None and evidence.container.livenessProbe is not None
        verdict = "liveness" if probed else "startup"
        grace = grace_of(evidence.pod, evidence.container, verdict)
        return _killed(life, verdict, _when_killed(life, grace))
    else:
        return life
    life = _killed(life, cause, killed)
    if cause == "liveness" or cause == "startup":
        streak = _streak(cause, killed, evidence)
        life = replace(life, failed=streak[0].at if streak else None)
    return life


def _killed(life: Life, cause: Cause, at: float | None) -> Life:
    late = life.ready is not None and at is not None and life.ready > at
    return replace(life, cause=cause, killed=at, ready=None if late else life.ready)


def _said(life: Life, kills: Sequence[tuple[float, str]]) -> tuple[float, str] | None:
    """The kubelet's own word that it kills this instance."""
    until = life.ended if life.ended is not None else math.inf
    if life.followed is not None:
        until = min(until, life.followed)
    return next(((at, text) for at, text in kills if life.began <= at <= until), None)


def _outlives(life: Life, moment: float) -> bool:
    return life.ended is None or life.ended > moment


def _killed_unsaid(life: Life, held: Sequence[_Seen], container: core_v1.Container) -> bool:
    """Killed by a probe, though no event says so: nobody saw it `terminated`, it was at once followed."""
    if life.ended is None or life.cause != "exit":
        return False
    if container.livenessProbe is None and container.startupProbe is None:
        return False
    states = [one.status.state for one in held if one.id == life.id]
    return not any(state is not None and state.terminated is not None for state in states)


def _when_killed(life: Life, grace: float) -> float | None:
    """SIGKILL comes when the grace is over; when somebody ends in time, it is not known since when."""
    if life.ended is None or life.exit_code != SIGKILLED:
        return None
    return max(life.ended - grace, life.began)


def _verdict_at(moment: float, evidence: _Evidence) -> Cause | None:
    """The probe that had given its verdict in this very moment."""
    verdicts: tuple[Verdict, ...] = ("liveness", "startup")
    for verdict in verdicts:
        streak = _streak(verdict, moment, evidence)
        if streak and streak[-1].at >= moment - _AT_ONCE:
            return verdict
    return None


def _streak(verdict: Verdict, moment: float, evidence: _Evidence) -> list[Failure]:
    """The attempts that made the verdict; none if the kubelet did not write them all down."""
    container = evidence.container
    probe = container.livenessProbe if verdict == "liveness" else container.startupProbe
    if probe is None:
        return []
    threshold = probe.failureThreshold or 3
    before = (f for f in evidence.failures if f.at <= moment + _AT_ONCE)
    counted = [f for f in before if f.probe == verdict and not f.errored][-threshold:]
    longest = (probe.periodSeconds or 10) + (probe.timeoutSeconds or 1) + _SLACK
    gaps = [b - a for a, b in pairwise([*(f.at for f in counted), moment])]
    return counted if len(counted) == threshold and max(gaps) <= longest else []


# ----------------------------------------------------------------------------------------------- states


def _stretches(
    changes: Sequence[PodChange], name: str, lives: Sequence[Life], end: float
) -> Iterator[Stretch]:
    known = {life.id: life for life in lives}
    for stretch in _as_seen(changes, name, end):
        life = known.get(stretch.life)
        if life is None or life.killed is None or stretch.state not in ("running", "ready"):
            yield stretch
            continue
        until = stretch.end if life.ended is None else min(life.ended, stretch.end)
        since = min(max(life.killed, stretch.begin), until)
        parts = (
            replace(stretch, end=since),
            replace(stretch, state="terminating", begin=since, end=until, note=life.cause or ""),
            replace(stretch, state="ended", begin=until, note=""),
        )
        yield from (part for part in parts if part.end > part.begin)


def _as_seen(changes: Sequence[PodChange], name: str, end: float) -> list[Stretch]:
    out: list[Stretch] = []
    for index, change in enumerate(changes):
        if change.type == "DELETED":
            break
        state, note, life = _state(change.pod, name)
        until = changes[index + 1].at if index + 1 < len(changes) else end
        last = out[-1] if out else None
        if last is not None and (last.state, last.note, last.life) == (state, note, life):
            out[-1] = replace(last, end=until)
        elif until > change.at:
            out.append(Stretch(state, change.at, until, note, life))
    return out


def _state(pod: core_v1.Pod, name: str) -> tuple[State, str, str]:
    status = status_of(pod, name)
    state = (status and status.state) or core_v1.ContainerState()
    id = (status and status.containerID) or ""
    if state.running is not None:
        return ("ready" if status is not None and status.ready else "running"), "", id
    if state.terminated is not None:
        return "ended", f"{state.terminated.reason or 'Ended'} ({state.terminated.exitCode})", id
    reason = (state.waiting and state.waiting.reason) or ""
    return ("back-off" if reason.endswith("BackOff") else "waiting"), reason, ""
