"""Admission's results become Events and counts, at once and without waiting: an Event is queued, not written.

A Pod that is being created is not stored yet, and may have no name: so Events speak of the owner that made it
and of the presets. Of a preset that was applied there is no Event: it would be one for every Pod, and the Pod's
annotations, the preset's status and the counters say it.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from lightkube.models import core_v1

from podward.admission.plugins.pod_preset.model import Conflict, Notice, Preset
from podward.controllers.pod_preset import words

_KINDS: Final = {
    "settings": ("settings.k8s.io/v1alpha1", "PodPreset"),
    "namespaced": ("podward.dev/v1alpha1", "PodPreset"),
    "cluster": ("podward.dev/v1alpha1", "ClusterPodPreset"),
}
_TOLD_LIMIT: Final = 4096

log = logging.getLogger(__name__)


class Recorder(Protocol):
    """Of `client.recorder.EventRecorder`, what is needed."""

    def event(
        self, involved: core_v1.ObjectReference, type: str, reason: str, message: str
    ) -> None: ...


class NoticeCounter(Protocol):
    """`metrics.PresetMetrics`, or what a webhook counts."""

    def count(self, notice: Notice) -> None: ...


class PresetReporter:
    """Called with each `Notice`; nothing that goes wrong here reaches admission."""

    def __init__(
        self, recorder: Recorder, metrics: NoticeCounter, observe: Callable[[Notice], None]
    ) -> None:
        """`observe` hears what was no dry run: it feeds the status of presets."""
        self._recorder = recorder
        self._metrics = metrics
        self._observe = observe
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()
        """(UID, resourceVersion) of invalid presets that an Event was made of: once is enough."""

    def __call__(self, notice: Notice) -> None:
        if notice.dry_run:
            return
        try:
            self._metrics.count(notice)
            self._say(notice)
            self._observe(notice)
        except Exception:
            log.exception("cannot report what presets did to Pod %s", words.pod_of(notice))

    def _say(self, notice: Notice) -> None:
        result = notice.result
        for preset in result.invalid:
            self._say_invalid(preset)
        if result.error:
            self._warn_owner(notice, "PresetFailed", result.error)
            return
        reason = "PresetRejected" if result.rejected else "PresetConflict"
        answerable: list[Conflict] = [
            c for c in result.conflicts if not result.rejected or c.outcome == "Reject"
        ]
        if result.rejected:
            self._warn_owner(notice, reason, result.rejected)
        elif answerable:
            self._warn_owner(notice, reason, words.clash(answerable))
        for preset in _named(answerable, result.matched):
            own = [conflict for conflict in answerable if preset.id in conflict.presets]
            text = f"Pod {words.pod_of(notice)}: {words.clash(own)}"
            self._warn(reference(preset), reason, text)

    def _say_invalid(self, preset: Preset) -> None:
        key = (preset.uid, preset.resource_version)
        if key in self._told:
            return
        self._told[key] = None
        if len(self._told) > _TOLD_LIMIT:
            self._told.popitem(last=False)
        fields = ", ".join(dict.fromkeys(error.field for error in preset.problems))
        self._warn(reference(preset), "PresetInvalid", f"left out of every Pod, for its {fields}")

    def _warn_owner(self, notice: Notice, reason: str, text: str) -> None:
        owner = notice.owner
        if owner is None:
            return
        involved = core_v1.ObjectReference(
            apiVersion=owner.get("apiVersion"),
            kind=owner.get("kind"),
            name=owner.get("name"),
            namespace=notice.namespace,
            uid=owner.get("uid"),
        )
        self._warn(involved, reason, f"Pod {words.pod_of(notice)}: {text}")

    def _warn(self, involved: core_v1.ObjectReference, reason: str, text: str) -> None:
        self._recorder.event(involved, "Warning", reason, words.shortened(text))


def reference(preset: Preset) -> core_v1.ObjectReference:
    """What an Event about this preset points at. A cluster preset has no namespace, so its Events are kept
    in `default`, as Kubernetes does."""
    api_version, kind = _KINDS[preset.origin]
    return core_v1.ObjectReference(
        apiVersion=api_version,
        kind=kind,
        name=preset.name,
        namespace=preset.namespace or None,
        uid=preset.uid or None,
        resourceVersion=preset.resource_version or None,
    )


def _named(conflicts: Iterable[Conflict], presets: Iterable[Preset]) -> list[Preset]:
    ids = {id for conflict in conflicts for id in conflict.presets}
    return [preset for preset in presets if preset.id in ids]
