"""Hooks that sleep must fit into the Pod's grace period: the API server refuses a Pod where one does not. Pure.

Both sides may come from presets. What a preset decided about one stands in a second admission, though a later
preset has changed the other meanwhile.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from podward.admission.plugins.pod_preset import earlier
from podward.admission.plugins.pod_preset.containers import containers
from podward.admission.plugins.pod_preset.model import Preset
from podward.admission.plugins.pod_preset.sections.base import Draft
from podward.admission.plugins.pod_preset.sections.places import Bar

GRACE = "terminationGracePeriodSeconds"
GRACE_KEY = f"/spec/{GRACE}"
DEFAULT_GRACE = 30


def grace_of(pod: Mapping[str, Any]) -> int:
    given = (pod.get("spec") or {}).get(GRACE)
    return given if isinstance(given, int) else DEFAULT_GRACE


def longest(lifecycle: Mapping[str, Any] | None) -> int:
    """Seconds that its hooks sleep; -1 if none does."""
    handlers = [(lifecycle or {}).get(name) or {} for name in ("postStart", "preStop")]
    sleeps = [h["sleep"].get("seconds") or 0 for h in handlers if h.get("sleep") is not None]
    return max(sleeps, default=-1)


def too_long(lifecycle: Mapping[str, Any] | None, preset: Preset, draft: Draft) -> Bar | None:
    """Why a container may not get these hooks."""
    seconds, grace = longest(lifecycle), grace_of(draft.pod)
    if seconds > grace:
        text = f"a hook would sleep {seconds} s, and the Pod's grace period is {grace} s"
        return Bar("longerThanGrace", text)
    later = earlier.put_later(draft.pod, draft.claims, GRACE_KEY, preset.id)
    if later and seconds > _fitted(preset, draft):
        text = f"the Pod's grace period is {grace} s by {later}, which comes later"
        return Bar("longerThanGrace", text)
    return None


def too_short(grace: int, draft: Draft) -> Bar | None:
    """Why the Pod's grace period may not become this. A preset's own hooks come after it."""
    for name, later, lifecycle in _hooks(draft):
        if longest(lifecycle) > grace:
            text = f"a hook of container {name} sleeps {longest(lifecycle)} s"
            return Bar("shorterThanSleep", text)
        if later:
            text = f"a hook of container {name} slept too long before {later} replaced it"
            return Bar("shorterThanSleep", text)
    return None


def _fitted(preset: Preset, draft: Draft) -> int:
    """What the grace period had room for when it was this preset's turn in the earlier admission."""
    sleeps = [longest(lifecycle) for _, later, lifecycle in _hooks(draft, preset.id) if not later]
    return max(sleeps, default=-1)


def _hooks(draft: Draft, own: str = "") -> Iterator[tuple[str, str | None, Any]]:
    """Of each container: its name, the preset to come (other than `own`) that gave it its hooks, the hooks."""
    for ref in containers(draft.pod):
        key = f"{ref.key}/lifecycle"
        later = earlier.put_later(draft.pod, draft.claims, key, own)
        yield ref.name, later, ref.of(draft.pod).get("lifecycle")
