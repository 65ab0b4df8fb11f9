"""A recording as a trace: one line for each change of a Pod, below the dashes the events. Pure.

14.2  Running | ContainersReady=T Ready=T | c running ready=true started=true restarts=1 last=Error(137)
"""

from collections.abc import Iterator

from lightkube.models import core_v1

from podward.simulate.simulation import PodChange, Recording


def trace(recording: Recording) -> str:
    """All Pods, one after another."""
    return "\n".join(
        "".join(f"{line}\n" for line in pod_lines(recording, uid)) for uid in recording.pods()
    )


def pod_lines(recording: Recording, uid: str) -> Iterator[str]:
    changes = recording.of(uid)
    previous = ""
    for change in changes:
        line = "DELETED" if change.type == "DELETED" else state(change.pod)
        if line != previous:
            yield f"{change.at:7.1f}  {line}"
            previous = line
    yield "--- events: first last count type reason source message"
    for event in events_of(recording, changes):
        yield event_line(recording, event)


def events_of(recording: Recording, changes: list[PodChange]) -> list[core_v1.Event]:
    uid = changes[0].pod.metadata.uid if changes and changes[0].pod.metadata else None
    return [e for e in recording.events.values() if e.involvedObject.uid == uid]


def state(pod: core_v1.Pod) -> str:
    """Phase, conditions and containers on one line."""
    status = pod.status or core_v1.PodStatus()
    conditions = sorted(status.conditions or (), key=lambda c: c.type)
    shown = " ".join(f"{c.type}={c.status[:1]}" for c in conditions)
    parts = [status.phase or "", shown]
    parts += [f"init:{_container(c)}" for c in status.initContainerStatuses or ()]
    parts += [_container(c) for c in status.containerStatuses or ()]
    meta = pod.metadata
    if meta is not None and meta.deletionTimestamp is not None:
        parts.append(f"deleting(grace={meta.deletionGracePeriodSeconds})")
    return " | ".join(parts)


def _container(status: core_v1.ContainerStatus) -> str:
    last = status.lastState.terminated if status.lastState else None
    ended = f" last={last.reason}({last.exitCode})" if last is not None else ""
    started = "none" if status.started is None else str(status.started).lower()
    return (
        f"{status.name} {container_state(status)} ready={str(bool(status.ready)).lower()} "
        f"started={started} restarts={status.restartCount}{ended}"
    )


def container_state(status: core_v1.ContainerStatus) -> str:
    """`running`, `waiting:CrashLoopBackOff`, `terminated:Error(1)`."""
    held = status.state or core_v1.ContainerState()
    if held.running is not None:
        return "running"
    if held.terminated is not None:
        return f"terminated:{held.terminated.reason}({held.terminated.exitCode})"
    return f"waiting:{held.waiting.reason if held.waiting else ''}"


def event_line(recording: Recording, event: core_v1.Event) -> str:
    first, last = event.firstTimestamp or event.eventTime, event.lastTimestamp or event.eventTime
    times = [recording.seconds_of(at) if at else 0.0 for at in (first, last)]
    source = (event.source and event.source.component) or ""
    path = event.involvedObject.fieldPath or "-"
    return (
        f"{int(max(times[0], 0)):6} {int(max(times[1], 0)):6} x{event.count or 1} {event.type} "
        f"{event.reason} {source} {path} {event.message!r}"
    )
