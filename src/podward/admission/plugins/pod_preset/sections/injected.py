"""initContainers and sidecars: containers that the Pod gets, each by a name that must be free. Pure.

In a second admission an injected container has grown: presets, the server's defaults and other webhooks have
put things into it. It is this preset's if the provenance on the Pod says so; where that is missing, if all that
the preset writes is found in it.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from podward.admission.plugins.pod_preset import earlier
from podward.admission.plugins.pod_preset.containers import named_container
from podward.admission.plugins.pod_preset.model import Document, Preset
from podward.admission.plugins.pod_preset.sections import canonical, sleeps
from podward.admission.plugins.pod_preset.sections.base import Draft, Proposal
from podward.admission.plugins.pod_preset.sections.places import (
    Bar,
    Place,
    Write,
    asked,
    joined,
    list_at,
    object_at,
    replaced_later,
)
from podward.admission.plugins.pod_preset.sections.whole import contradiction

_LIST = "initContainers"
_FIRST = "#first"
_LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "env": ("name",),
    "ports": ("containerPort", "protocol"),
    "resizePolicy": ("resourceName",),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
}
"""Lists of a container that others add to; its other lists (command, args) are one value."""


class InitContainerSection:
    def proposals(self, preset: Preset, draft: Draft) -> Iterator[Proposal]:
        for item in asked(preset, _LIST) or ():
            if item.get("container"):
                first = item.get("position") != "last"
                yield _weigh(preset, draft, item["container"], _LIST, first=first)


class SidecarSection:
    def proposals(self, preset: Preset, draft: Draft) -> Iterator[Proposal]:
        for container in asked(preset, "sidecars") or ():
            wanted = {**container, "restartPolicy": "Always"}
            yield _weigh(preset, draft, wanted, "sidecars", first=False)


def _weigh(
    preset: Preset, draft: Draft, wanted: Mapping[str, Any], section: str, *, first: bool
) -> Proposal:
    name = wanted.get("name") or ""
    taken = named_container(draft.pod, name)
    there = (draft.pod.get("spec") or {}).get(_LIST) or []
    index = taken.index if taken else _leading(draft, there) if first else len(there)
    place = Place(
        key=joined(f"/spec/{_LIST}", name),
        pointer=f"/spec/{taken.list if taken else _LIST}/{index}",
        field=f"spec.{_LIST}[{name}]",
        section=section,
        identity=name,
        container=name,
    )
    existing = taken.of(draft.pod) if taken else None
    values: dict[str, Any] = {"wanted": wanted, "existing": existing}
    also = _also(place.key, wanted, first=first)
    write = _writer(wanted, index, replace=taken is not None)
    bar = sleeps.too_long(wanted.get("lifecycle"), preset, draft)
    if taken is None or existing is None:
        if bar is not None:
            return place.says("skip", *bar, **values)
        return place.says("add", write=write, also=also, **values)
    if taken.list == _LIST:
        if earlier.put_by(draft.pod, place.key) == preset.id:
            return place.says("identical", also=also, **values)
        bar = _of_a_preset_to_come(place, preset, draft) or bar
        later = replaced_later(draft, place)
        if _is(existing, wanted) and (later is None or earlier.applied(draft.pod, preset.id)):
            return place.says("identical", also=also, **values)
    claim = next((c for c in draft.claims if c == place.key or c.startswith(f"{taken.key}/")), None)
    if claim is not None:
        return contradiction(place, preset, draft, claim, **values)
    if taken.list != _LIST:
        # No init container takes the place of an app container.
        bar = Bar("nameTaken", f"the Pod has a container {name} in spec.{taken.list}")
    if bar is not None and (preset.on_conflict == "Override" or bar.reason == "laterPreset"):
        return place.says("skip", *bar, **values)
    text = f"the Pod has another container of the name {name}"
    return place.says("clash", "otherContainer", text, write=write, also=also, **values)


def _of_a_preset_to_come(place: Place, preset: Preset, draft: Draft) -> Bar | None:
    """At this point of an earlier admission it was not there, and this preset had a reason not to add its own;
    unless it is what replaced the author's, for which this preset was left out."""
    later = draft.to_come.get(earlier.put_by(draft.pod, place.key) or "")
    if later is None:
        return None
    if later.on_conflict == "Override" and not earlier.applied(draft.pod, preset.id):
        return None
    return Bar("laterPreset", f"{later.id}, which comes later, put a container of this name there")


def _writer(wanted: Mapping[str, Any], index: int, *, replace: bool) -> Write:
    def write(pod: Document) -> None:
        found = list_at(object_at(pod, "spec"), _LIST)
        found[index : index + replace] = [copy.deepcopy(dict(wanted))]

    return write


def _leading(draft: Draft, there: list[Document]) -> int:
    """Where the next one that is to be first goes: behind those that presets have put first before."""
    count = 0
    for container in there:
        if f"{joined(f'/spec/{_LIST}', container.get('name') or '')}{_FIRST}" not in draft.claims:
            break
        count += 1
    return count


def _also(key: str, wanted: Mapping[str, Any], *, first: bool) -> tuple[str, ...]:
    """What of the container is its preset's word, so that no later one replaces it."""
    found = [f"{key}{_FIRST}"] if first else []
    found += [joined(key, field) for field in _CLAIMED if wanted.get(field)]
    for field, (item_key, *_) in _LIST_KEYS.items():
        items = wanted.get(field) or ()
        found += [joined(key, field, str(item.get(item_key) or "")) for item in items]
    return tuple(found)


_CLAIMED = (
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "resources",
    "startupProbe",
    "terminationMessagePolicy",
)


def _is(existing: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether all that `wanted` says is in `existing`, which may say more."""
    same_class = (existing.get("restartPolicy") == "Always") == (
        wanted.get("restartPolicy") == "Always"
    )
    asked = {n: v for n, v in canonical.container(wanted).items() if wanted.get(n) is not None}
    return same_class and _within(asked, canonical.container(existing))


def _within(asked: Any, found: Any, name: str = "") -> bool:
    if isinstance(asked, Mapping) and isinstance(found, Mapping):
        return all(_within(below, found.get(n), n) for n, below in asked.items())
    keys = _LIST_KEYS.get(name)
    if keys is not None and isinstance(asked, list) and isinstance(found, list):
        return all(_has(found, item, keys) for item in asked)
    if name == "envFrom" and isinstance(asked, list) and isinstance(found, list):
        return all(item in found for item in asked)
    return bool(asked == found)


def _has(found: list[Document], item: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    alike = [f for f in found if all(f.get(key) == item.get(key) for key in keys)]
    return any(_within(item, other) for other in alike)
