"""A recording at a glance: one lane a container, what it was when, its probes' failures as ticks. Pure; SVG."""

from collections.abc import Iterator
from html import escape

from lightkube.models import core_v1

from podward.machinery.gotext import human_duration
from podward.simulate.simulation import PodChange, Recording

WIDTH, LEFT, RIGHT, TOP = 1100, 190, 30, 46
LANE, BAR = 46, 20

COLOURS = {
    "ready": "#2e9e5b",
    "running": "#9ed8b2",
    "waiting": "#d7dbe0",
    "back-off": "#e07a3f",
    "ended": "#8c96a3",
    "terminating": "#6d5bd0",
}
_TICK, _TEXT, _LINE = "#c22f3d", "#2b2f36", "#e6e8eb"


def svg(recording: Recording) -> str:
    lanes = [(uid, name) for uid in recording.pods() for name in _containers(recording.of(uid))]
    height = TOP + LANE * len(lanes) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{_TEXT}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        *_legend(),
        *_axis(recording.seconds, height - 34),
    ]
    for index, (uid, name) in enumerate(lanes):
        parts += _lane(recording, uid, name, TOP + LANE * index)
    return "\n".join([*parts, "</svg>\n"])


def _containers(changes: list[PodChange]) -> list[str]:
    spec = changes[0].pod.spec
    listed = [*((spec and spec.initContainers) or ()), *((spec and spec.containers) or ())]
    return [container.name for container in listed]


def _x(seconds: float, whole: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(max(seconds / whole, 0.0), 1.0)


def _legend() -> Iterator[str]:
    x = LEFT
    for name, colour in COLOURS.items():
        yield f'<rect x="{x}" y="12" width="12" height="12" rx="2" fill="{colour}"/>'
        yield f'<text x="{x + 17}" y="22">{name}</text>'
        x += 100
    yield f'<path d="M{x + 6} 11v14" stroke="{_TICK}" stroke-width="2"/>'
    yield f'<text x="{x + 14}" y="22">a probe failed</text>'


_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def _axis(whole: float, bottom: float) -> Iterator[str]:
    step = next((s for s in _STEPS if whole / s <= 12), _STEPS[-1])
    for index in range(int(whole // step) + 1):
        x = _x(index * step, whole)
        yield f'<path d="M{x:.1f} {TOP - 8}V{bottom}" stroke="{_LINE}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{human_duration(index * step)}</text>'


def _lane(recording: Recording, uid: str, name: str, top: int) -> Iterator[str]:
    changes = recording.of(uid)
    meta = changes[0].pod.metadata
    pod = escape((meta and meta.name) or "")
    yield f'<text x="10" y="{top + 10}" font-weight="600">{pod}</text>'
    yield f'<text x="10" y="{top + 26}">{escape(name)}</text>'
    for kind, begin, end in _spans(changes, name, recording.seconds):
        x, until = _x(begin, recording.seconds), _x(end, recording.seconds)
        width = max(until - x, 0.6)
        title = f"{kind}: {human_duration(begin)} to {human_duration(end)}"
        yield (
            f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="{BAR}" fill="{COLOURS[kind]}">'
            f"<title>{title}</title></rect>"
        )
    yield from _restarts(changes, name, recording.seconds, top)
    for said in recording.said:
        involved = said.event.involvedObject
        own = involved.uid == uid and (involved.fieldPath or "").endswith(f"{{{name}}}")
        if own and said.event.reason == "Unhealthy":
            x = _x(said.at, recording.seconds)
            text = escape((said.event.message or "").strip())
            yield (
                f'<path d="M{x:.1f} {top + BAR + 2}v8" stroke="{_TICK}" stroke-width="1.5">'
                f"<title>{text}</title></path>"
            )


def _restarts(changes: list[PodChange], name: str, whole: float, top: int) -> Iterator[str]:
    """Numbers where instances began; those too close to the one before are left out."""
    count, last_x = 0, -100.0
    for change in changes:
        status = _status(change.pod, name)
        if status is None or status.restartCount <= count:
            continue
        count = status.restartCount
        x = _x(change.at, whole)
        if x - last_x > 14:
            yield f'<text x="{x:.1f}" y="{top - 3}" text-anchor="middle" font-size="10">{count}</text>'
            last_x = x


def _spans(changes: list[PodChange], name: str, whole: float) -> list[tuple[str, float, float]]:
    out: list[tuple[str, float, float]] = []
    for index, change in enumerate(changes):
        if change.type == "DELETED":
            break
        kind = _kind(change.pod, name)
        end = changes[index + 1].at if index + 1 < len(changes) else whole
        if out and out[-1][0] == kind:
            out[-1] = (kind, out[-1][1], end)
        else:
            out.append((kind, change.at, end))
    return out


def _kind(pod: core_v1.Pod, name: str) -> str:
    status = _status(pod, name)
    state = (status and status.state) or core_v1.ContainerState()
    leaving = pod.metadata is not None and pod.metadata.deletionTimestamp is not None
    if state.running is not None:
        if leaving:
            return "terminating"
        return "ready" if status is not None and status.ready else "running"
    if state.terminated is not None:
        return "ended"
    backing_off = state.waiting is not None and "BackOff" in (state.waiting.reason or "")
    return "back-off" if backing_off else "waiting"


def _status(pod: core_v1.Pod, name: str) -> core_v1.ContainerStatus | None:
    held = pod.status or core_v1.PodStatus()
    listed = (*(held.initContainerStatuses or ()), *(held.containerStatuses or ()))
    return next((status for status in listed if status.name == name), None)
