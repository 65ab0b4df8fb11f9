"""livenessProbe, readinessProbe, startupProbe: put in whole, and only where they can work. Pure.

Where not (spec/podpreset.md R10): in a container that ends before others start, on a port it does not declare,
by a command that nobody said its image has.
"""

import copy
from collections.abc import Iterator
from typing import Any

from podward.admission.plugins.pod_preset.containers import named_port
from podward.admission.plugins.pod_preset.model import Document, Preset
from podward.admission.plugins.pod_preset.sections import canonical, whole
from podward.admission.plugins.pod_preset.sections.base import Draft, Proposal
from podward.admission.plugins.pod_preset.sections.places import Bar, Wish, wishes
from podward.api.validation.probes import ProbeField

_OF_LONG_RUNNERS: tuple[ProbeField, ...] = ("livenessProbe",)
"""A job that is slow is not ill: these need restartPolicy Always, or the preset's `includeJobs`."""


class ProbeSection:
    def __init__(self, kind: ProbeField) -> None:
        self._kind = kind

    def proposals(self, preset: Preset, draft: Draft) -> Iterator[Proposal]:
        for wish in wishes(preset, draft, self._kind):
            yield wish if isinstance(wish, Proposal) else self._weigh(wish, preset, draft)

    def _weigh(self, wish: Wish, preset: Preset, draft: Draft) -> Proposal:
        existing = wish.ref.of(draft.pod).get(self._kind)

        def write(pod: Document) -> None:
            wish.ref.of(pod)[self._kind] = copy.deepcopy(wish.value)

        return whole.weigh(
            wish.place,
            preset,
            draft,
            mode=wish.mode,
            wanted=wish.value,
            existing=existing,
            same=canonical.same(wish.value, existing, canonical.probe),
            absent=existing is None,
            write=write,
            bar=self._bar(wish, preset, draft),
        )

    def _bar(self, wish: Wish, preset: Preset, draft: Draft) -> Bar | None:
        if wish.ref.kind == "init":
            return of_an_init_container(wish, "probes")
        policy = (draft.pod.get("spec") or {}).get("restartPolicy") or "Always"
        restarted = policy == "Always" or preset.spec.get("includeJobs")
        if self._kind in _OF_LONG_RUNNERS and not restarted:
            text = f"the Pod's restartPolicy is {policy}, and the preset does not set includeJobs"
            return Bar("jobs", text)
        if self._kind == "readinessProbe" and wish.value.get("terminationGracePeriodSeconds"):
            text = "a readinessProbe kills nothing: it has no terminationGracePeriodSeconds"
            return Bar("graceOfReadiness", text)
        return of_a_handler(wish, wish.value, draft)


def of_an_init_container(wish: Wish, what: str) -> Bar:
    text = f"{wish.ref.name} is an init container that ends: it has no {what}"
    return Bar("initContainer", text)


def of_a_handler(wish: Wish, handler: Any, draft: Draft) -> Bar | None:
    """What keeps a probe's or a hook's handler out of this container."""
    if handler.get("exec") is not None and not wish.match.get("images"):
        text = "a command is only put into containers that `match.images` chooses"
        return Bar("execNotOptedIn", text)
    for mechanism in ("httpGet", "tcpSocket"):
        port = (handler.get(mechanism) or {}).get("port")
        if isinstance(port, str) and not named_port(wish.ref.of(draft.pod), port):
            return Bar("noPort", f"container {wish.ref.name} has no port named {port}")
    return None
