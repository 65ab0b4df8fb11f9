"""labels and annotations: each key by itself, and none taken from the Pod's author. Pure."""

from collections.abc import Iterator
from typing import Any, Literal

from podward.admission.plugins.pod_preset.model import (
    APPLIED_PREFIX,
    EXCLUDE_ANNOTATION,
    MIRROR_ANNOTATION,
    PROVENANCE_ANNOTATION,
    Document,
    Preset,
)
from podward.admission.plugins.pod_preset.sections.base import Draft, Proposal
from podward.admission.plugins.pod_preset.sections.places import (
    Place,
    asked,
    joined,
    object_at,
    replaced_later,
)
from podward.admission.plugins.pod_preset.sections.whole import contradiction


class MetadataSection:
    def __init__(self, name: Literal["labels", "annotations"]) -> None:
        self._name = name

    def proposals(self, preset: Preset, draft: Draft) -> Iterator[Proposal]:
        for key, value in (asked(preset, self._name) or {}).items():
            yield self._weigh(preset, draft, key, value)

    def _weigh(self, preset: Preset, draft: Draft, key: str, value: Any) -> Proposal:
        path = joined("/metadata", self._name, key)
        place = Place(path, path, f"metadata.{self._name}[{key}]", self._name, key)
        there = (draft.pod.get("metadata") or {}).get(self._name) or {}
        existing = there.get(key)
        values: dict[str, Any] = {"wanted": value, "existing": existing}

        def write(pod: Document) -> None:
            object_at(object_at(pod, "metadata"), self._name)[key] = value

        if self._name == "annotations" and _reserved(key):
            text = f"the annotation {key} is how admission itself is steered and recorded"
            return place.says("skip", "reserved", text, **values)
        if key not in there:
            return place.says("add", write=write, **values)
        if (existing or "") == (value or ""):
            later = replaced_later(draft, place)
            if later is not None:
                return place.says("clash", *later, write=write, **values)
            return place.says("identical", **values)
        if draft.holder(path) is not None:
            return contradiction(place, preset, draft, path, **values)
        text = f"the Pod has another value in {place.field}"
        return place.says("clash", "otherValue", text, write=write, **values)


def _reserved(key: str) -> bool:
    """What a preset could use to switch others off, or to forge who put what there."""
    fixed = (EXCLUDE_ANNOTATION, MIRROR_ANNOTATION, PROVENANCE_ANNOTATION)
    return key in fixed or key.startswith(APPLIED_PREFIX)
