"""affinity: one value, for the author's is a whole as well. Pure."""

import copy
from collections.abc import Iterator

from podward.admission.plugins.pod_preset.model import Document, Preset
from podward.admission.plugins.pod_preset.sections import canonical, whole
from podward.admission.plugins.pod_preset.sections.base import Draft, Proposal
from podward.admission.plugins.pod_preset.sections.places import Place, asked, object_at

_PLACE = Place("/spec/affinity", "/spec/affinity", "spec.affinity", "affinity", "affinity")


class AffinitySection:
    def proposals(self, preset: Preset, draft: Draft) -> Iterator[Proposal]:
        given = asked(preset, "affinity") or {}
        wanted = given.get("value")
        if not wanted:
            return
        existing = (draft.pod.get("spec") or {}).get("affinity")

        def write(pod: Document) -> None:
            object_at(pod, "spec")["affinity"] = copy.deepcopy(wanted)

        yield whole.weigh(
            _PLACE,
            preset,
            draft,
            mode=given.get("mode") or "",
            wanted=wanted,
            existing=existing,
            same=canonical.same(wanted, existing, canonical.affinity),
            absent=not canonical.affinity(existing),
            write=write,
        )
