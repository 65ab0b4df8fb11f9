"""What a recording says in words: how soon it was noticed, what it cost, what would change it. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lightkube.models import core_v1

from podward.machinery.gotext import human_duration
from podward.simulate.simulation import PodChange, Recording


@dataclass(frozen=True, slots=True)
class Span:
    """Ready, or not, from one moment to another; seconds since the manifests were applied."""

    ready: bool
    begin: float
    end: float


def spans(changes: Sequence[PodChange], end: float) -> list[Span]:
    """Readiness over time, from the Pod's creation to its deletion or `end`."""
    out: list[Span] = []
    for index, change in enumerate(changes):
        if change.type == "DELETED":
            break
        until = changes[index + 1].at if index + 1 < len(changes) else end
        if out and out[-1].ready == is_ready(change.pod):
            out[-1] = Span(out[-1].ready, out[-1].begin, until)
        else:
            out.append(Span(is_ready(change.pod), change.at, until))
    return out


def is_ready(pod: core_v1.Pod) -> bool:
    conditions = (pod.status and pod.status.conditions) or ()
    return any(c.type == "Ready" and c.status == "True" for c in conditions)


def verdict(recording: Recording) -> str:
    """A few sentences for each Pod."""
    return "\n".join("\n".join(_of_pod(recording, uid)) for uid in recording.pods())


def _of_pod(recording: Recording, uid: str) -> Iterator[str]:
    changes = recording.of(uid)
    pod = changes[-1].pod
    name = (pod.metadata and pod.metadata.name) or ""
    held = spans(changes, recording.seconds)
    ready = sum(s.end - s.begin for s in held if s.ready)
    watched = sum(s.end - s.begin for s in held) or 1.0
    restarts = sum(c.restartCount for c in (pod.status and pod.status.containerStatuses) or ())
    phase = (pod.status and pod.status.phase) or ""
    yield (
        f"{name}: ready {ready / watched:.0%} of {_text(watched)}, {restarts} restarts, {phase} at the end."
    )
    first = next((s for s in held if s.ready), None)
    if first is None:
        yield "  It was never ready."
    else:
        yield f"  First ready after {_text(first.begin)}."
    gaps = [s for s in held if not s.ready and first is not None and s.begin > first.begin]
    if gaps:
        longest = max(gaps, key=lambda s: s.end - s.begin)
        total = sum(s.end - s.begin for s in gaps)
        times = f"{len(gaps)} times, " if len(gaps) > 1 else ""
        yield (
            f"  Without service {times}{_text(total)} in all; the longest, "
            f"{_text(longest.end - longest.begin)}, began at {_text(longest.begin)}."
        )
    yield from (f"  {line}" for line in _probe_advice(recording, pod, changes))


def _probe_advice(
    recording: Recording, pod: core_v1.Pod, changes: Sequence[PodChange]
) -> Iterator[str]:
    spec = pod.spec
    events = [e for e in recording.events.values() if e.involvedObject.uid == _uid(pod)]
    for container in (spec and spec.containers) or ():
        path = f"spec.containers{{{container.name}}}"
        killings = [
            e
            for e in events
            if e.reason == "Killing"
            and e.involvedObject.fieldPath == path
            and "probe" in (e.message or "")
        ]
        probe = container.livenessProbe
        if not killings or probe is None:
            continue
        period, threshold = probe.periodSeconds or 10, probe.failureThreshold or 3
        yield (
            f"{container.name}: periodSeconds {period} x failureThreshold {threshold} notices a failure "
            f"after {(threshold - 1) * period}-{threshold * period} s."
        )
        grace = _grace(pod, probe)
        if _ignores_term(container.name, changes):
            yield (
                f"{container.name} ignores SIGTERM, so each restart costs {grace} s more: handle it, or lower "
                "terminationGracePeriodSeconds."
            )


def _grace(pod: core_v1.Pod, probe: core_v1.Probe) -> int:
    spec = pod.spec
    own = probe.terminationGracePeriodSeconds
    whole = spec.terminationGracePeriodSeconds if spec is not None else None
    return own if own is not None else (whole if whole is not None else 30)


def _ignores_term(name: str, changes: Sequence[PodChange]) -> bool:
    """Whether it had to be killed: SIGKILL's exit code."""
    for change in changes:
        for one in (change.pod.status and change.pod.status.containerStatuses) or ():
            last = one.lastState.terminated if one.lastState else None
            if one.name == name and last is not None and last.exitCode == 137:
                return True
    return False


def _text(seconds: float) -> str:
    if 0 < seconds < 10:
        return f"{seconds:.1f} s"
    return human_duration(seconds)


def _uid(pod: core_v1.Pod) -> str:
    return (pod.metadata and pod.metadata.uid) or ""
