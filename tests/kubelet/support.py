"""A Pod's life in virtual time, and what was seen of it."""

from collections.abc import Callable
from typing import Any

from podward.cluster import Cluster
from podward.simulate.simulation import Recording, simulate
from podward.simulate.world import World


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def pod(containers: list[dict[str, Any]], **spec: Any) -> dict[str, Any]:
    """A manifest; containers get an image, and names a, b, c ... where they have none."""
    named = [{"name": chr(97 + i), "image": "busybox", **c} for i, c in enumerate(containers)]
    whole = {"containers": named, **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": whole}


def live(
    manifest: dict[str, Any],
    seconds: float,
    script: Callable[[Cluster], Any] | None = None,
    prepare: Callable[[World], None] | None = None,
) -> Recording:
    return simulate([manifest], seconds, script=script, prepare=prepare)


def events(recording: Recording, *reasons: str) -> list[tuple[float, str, str]]:
    """(second it was last said, reason, message) of every time one of these was said."""
    said = [s for s in recording.said if s.event.reason in reasons]
    return [(round(s.at, 1), s.event.reason or "", s.event.message or "") for s in said]


def states(recording: Recording, name: str) -> list[tuple[float, str, int]]:
    """(second, state, restarts) of one container, equal neighbours folded."""
    out: list[tuple[float, str, int]] = []
    for change in recording.changes:
        status = change.pod.status
        listed = [
            *((status and status.initContainerStatuses) or ()),
            *((status and status.containerStatuses) or ()),
        ]
        for one in listed:
            if one.name != name or change.type == "DELETED":
                continue
            shown = (_shown(one.state), one.restartCount)
            if not out or out[-1][1:] != shown:
                out.append((round(change.at, 1), *shown))
    return out


def _shown(state: Any) -> str:
    if state is None:
        return "none"
    if state.waiting is not None:
        return f"waiting:{state.waiting.reason}"
    if state.terminated is not None:
        return f"terminated:{state.terminated.reason}({state.terminated.exitCode})"
    return "running"
