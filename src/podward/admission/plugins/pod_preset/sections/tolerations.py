"""tolerations: one is known by all of it but how long it lasts. Pure."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from podward.admission.plugins.pod_preset.model import Document, Preset
from podward.admission.plugins.pod_preset.sections.base import Draft, Proposal
from podward.admission.plugins.pod_preset.sections.places import (
    Place,
    asked,
    joined,
    list_at,
    object_at,
    replaced_later,
)
from podward.admission.plugins.pod_preset.sections.whole import contradiction


class TolerationSection:
    def proposals(self, preset: Preset, draft: Draft) -> Iterator[Proposal]:
        for toleration in asked(preset, "tolerations") or ():
            yield _weigh(preset, draft, toleration)


def _weigh(preset: Preset, draft: Draft, wanted: Mapping[str, Any]) -> Proposal:
    there = (draft.pod.get("spec") or {}).get("tolerations") or []
    alike = [i for i, other in enumerate(there) if _identity(other) == _identity(wanted)]
    index = alike[0] if alike else len(there)
    identity = _in_words(wanted)
    place = Place(
        key=joined("/spec/tolerations", identity),
        pointer=f"/spec/tolerations/{index}",
        field=f"spec.tolerations[{identity}]",
        section="tolerations",
        identity=identity,
    )
    values: dict[str, Any] = {"wanted": wanted, "existing": there[index] if alike else None}

    def write(pod: Document) -> None:
        found = list_at(object_at(pod, "spec"), "tolerations")
        found[index : index + 1] = [copy.deepcopy(dict(wanted))]

    if not alike:
        return place.says("add", write=write, **values)
    seconds = wanted.get("tolerationSeconds")
    if any(there[i].get("tolerationSeconds") == seconds for i in alike):
        later = replaced_later(draft, place)
        if later is not None:
            return place.says("clash", *later, write=write, **values)
        return place.says("identical", **values)
    if draft.holder(place.key) is not None:
        return contradiction(place, preset, draft, place.key, **values)
    text = f"the Pod tolerates {identity} for another time"
    return place.says("clash", "otherValue", text, write=write, **values)


def _identity(toleration: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return (
        toleration.get("key") or "",
        toleration.get("operator") or "Equal",
        toleration.get("effect") or "",
        toleration.get("value") or "",
    )


def _in_words(toleration: Mapping[str, Any]) -> str:
    """As kubectl writes taints: `dedicated=gpu:NoSchedule`; without `=` any value will do."""
    key, operator, effect, value = _identity(toleration)
    if operator == "Exists":
        return f"{key}:{effect}" if not value else f"{key} Exists {value}:{effect}"
    return (
        f"{key}={value}:{effect}" if operator == "Equal" else f"{key} {operator} {value}:{effect}"
    )
