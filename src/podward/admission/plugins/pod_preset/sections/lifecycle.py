"""lifecycle: both hooks at once, as one value. Pure."""

import copy
from collections.abc import Iterator

from podward.admission.plugins.pod_preset.model import Document, Preset
from podward.admission.plugins.pod_preset.sections import canonical, sleeps, whole
from podward.admission.plugins.pod_preset.sections.base import Draft, Proposal
from podward.admission.plugins.pod_preset.sections.places import Bar, Wish, wishes
from podward.admission.plugins.pod_preset.sections.probes import of_a_handler, of_an_init_container


class LifecycleSection:
    def proposals(self, preset: Preset, draft: Draft) -> Iterator[Proposal]:
        for wish in wishes(preset, draft, "lifecycle"):
            yield wish if isinstance(wish, Proposal) else _weigh(wish, preset, draft)


def _weigh(wish: Wish, preset: Preset, draft: Draft) -> Proposal:
    existing = wish.ref.of(draft.pod).get("lifecycle")

    def write(pod: Document) -> None:
        wish.ref.of(pod)["lifecycle"] = copy.deepcopy(wish.value)

    return whole.weigh(
        wish.place,
        preset,
        draft,
        mode=wish.mode,
        wanted=wish.value,
        existing=existing,
        same=canonical.same(wish.value, existing, canonical.lifecycle),
        absent=not existing or not canonical.lifecycle(existing),
        write=write,
        bar=_bar(wish, draft),
        late_bar=sleeps.too_long(wish.value, preset, draft),
    )


def _bar(wish: Wish, draft: Draft) -> Bar | None:
    if wish.ref.kind == "init":
        return of_an_init_container(wish, "lifecycle hooks")
    if wish.value.get("stopSignal") and not _names_its_system(draft.pod):
        text = "a stopSignal needs a Pod that says in spec.os which system it is for"
        return Bar("noOs", text)
    for name in ("postStart", "preStop"):
        bar = of_a_handler(wish, wish.value.get(name) or {}, draft)
        if bar is not None:
            return bar
    return None


def _names_its_system(pod: Document) -> bool:
    return bool(((pod.get("spec") or {}).get("os") or {}).get("name"))
