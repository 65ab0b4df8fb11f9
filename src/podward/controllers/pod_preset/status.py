"""What a preset's status says (spec/podpreset.md R16). Pure: what was seen in, a `PodPresetStatus` out.

Of presets of `podward.dev` only: those of `settings.k8s.io` have no status, as they never had.

    matchedPods   Pods that the preset would be merged into if they were created now: namespace and selectors
                  choose them, and they are not excluded, nor mirrors. Labels that presets put there do not
                  count, as in admission.
    currentPods   Pods that carry the preset as it is now: admission noted its hash on them.
    stalePods     Pods that carry an earlier form of it, or match and carry none: older than the preset,
                  created while nobody admitted, or left alone after a clash. Only a new Pod mends that.

A Pod that carries the preset counts whether or not it matches still. One that has ended (Succeeded, Failed)
does not count at all, for nothing in it will run again; one that is being deleted does, for it still runs.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec
from lightkube.models import core_v1, meta_v1

from podward.admission.plugins.pod_preset import provenance
from podward.admission.plugins.pod_preset.merge import admit
from podward.admission.plugins.pod_preset.model import (
    Conflict,
    Document,
    InvalidPreset,
    Notice,
    Origin,
    Preset,
)
from podward.admission.plugins.pod_preset.selection import reaches, untouchable
from podward.api import codec
from podward.api.kinds.podward_v1alpha1 import PodPresetStatus, PresetCondition
from podward.controllers.pod_preset import words
from podward.machinery.clock import whole_seconds

WITNESSES: Final = 10
"""Stored Pods that are looked at for a clash: the newest of each owner, of so many owners. Pods of one owner
are alike, and a look is a merge."""
_ENDED: Final = ("Succeeded", "Failed")
_FORETOLD: Final = "MatchedPodsClash"


class PresetKey(NamedTuple):
    origin: Origin
    namespace: str
    name: str


def key_of(preset: Preset) -> PresetKey:
    return PresetKey(preset.origin, preset.namespace, preset.name)


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What a Pod is to presets. Two are equal if no preset could tell them apart."""

    namespace: str
    name: str
    uid: str
    owner: str
    """UID of the controller that made it; its own if there is none."""
    created: str
    labels: Mapping[str, str]
    """The author's: without those that presets put there."""
    carried: Mapping[str, str]
    """`Preset.id` -> `Preset.spec_hash`, of each preset that was applied to it."""
    open: bool
    """Presets may reach it: it is neither excluded nor a mirror."""
    ended: bool
    pod: core_v1.Pod = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Admission:
    """What the last admission that the preset took part in came to."""

    spec_hash: str
    """Of the preset as it was then."""
    conflicts: tuple[Conflict, ...]
    """Those of this preset; none if the Pod took it."""
    applied: bool
    pod: str
    blocked: str = ""
    """How others clashed, so that the Pod got nothing of this one either."""

    def after(self, earlier: "Admission | None") -> "Admission":
        """Whether the preset itself clashes, a Pod that was kept from it does not tell."""
        if not self.blocked or earlier is None or earlier.spec_hash != self.spec_hash:
            return self
        return replace(self, conflicts=earlier.conflicts, pod=earlier.pod)


@dataclass(frozen=True, slots=True)
class Seen:
    """All that is known when a status is made."""

    count: "Count | None"
    """None if Pods are not watched: then admission alone says whether a preset has an effect."""
    namespaces: Mapping[str, Mapping[str, str]]
    """Labels by namespace; for cluster presets."""
    admission: Admission | None = None
    as_it_came: Callable[[Document], Document] = lambda pod: pod
    """A stored Pod without what a later plug-in put into it: presets would not have met that."""


@dataclass(frozen=True, slots=True)
class Count:
    """What Pods are to a preset; counts of some and of others can be added."""

    matched: int = 0
    current: int = 0
    stale: int = 0
    without: tuple[PodFacts, ...] = ()
    """Those that match and carry it in no form."""

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.matched + other.matched,
            self.current + other.current,
            self.stale + other.stale,
            self.without + other.without,
        )


# ---- what was seen


def facts_of(pod: core_v1.Pod) -> PodFacts:
    meta = pod.metadata or meta_v1.ObjectMeta()
    annotations = meta.annotations or {}
    document: Document = {"metadata": {"labels": meta.labels, "annotations": annotations}}
    record = provenance.read(document)
    owner = next((o.uid for o in meta.ownerReferences or () if o.controller), meta.uid)
    return PodFacts(
        namespace=meta.namespace or "",
        name=meta.name or "",
        uid=meta.uid or "",
        owner=owner or "",
        created=meta.creationTimestamp.isoformat() if meta.creationTimestamp else "",
        labels=provenance.author_labels(document, record),
        carried=record.presets,
        open=not untouchable(document),
        ended=has_ended(pod),
        pod=pod,
    )


def has_ended(pod: core_v1.Pod) -> bool:
    return pod.status is not None and pod.status.phase in _ENDED


def admissions_of(notice: Notice) -> dict[PresetKey, Admission]:
    """What it says of each preset that matched."""
    result = notice.result
    said: dict[PresetKey, Admission] = {}
    applied = {preset.id for preset in result.applied} if not result.rejected else set()
    pod = words.pod_of(notice)
    for preset in result.matched:
        if preset.origin == "settings":
            continue
        own = tuple(conflict for conflict in result.conflicts if preset.id in conflict.presets)
        taken, blocked = preset.id in applied, ""
        if not own and not taken and result.conflicts:
            blocked = f"Pod {pod} was kept from it: {words.clash(result.conflicts)}"
        if own or taken or blocked:
            said[key_of(preset)] = Admission(preset.spec_hash, own, taken, pod, blocked)
    return said


def chosen(preset: Preset, pod: PodFacts, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether the preset would be merged into this Pod, were it created now."""
    return (
        pod.open
        and not pod.ended
        and reaches(preset, pod.namespace, namespaces.get(pod.namespace, {}))
        and preset.selector is not None
        and preset.selector.matches(pod.labels)
    )


def carries(preset: Preset, pod: PodFacts) -> bool:
    return (
        preset.id in pod.carried
        and not pod.ended
        and (preset.origin == "cluster" or preset.namespace == pod.namespace)
    )


def count_of(
    preset: Preset, pods: Iterable[PodFacts], namespaces: Mapping[str, Mapping[str, str]]
) -> Count:
    matched = current = stale = 0
    without: list[PodFacts] = []
    for pod in pods:
        matches = chosen(preset, pod, namespaces)
        matched += matches
        if carries(preset, pod):
            if pod.carried[preset.id] == preset.spec_hash:
                current += 1
            else:
                stale += 1
        elif matches:
            stale += 1
            without.append(pod)
    return Count(matched, current, stale, tuple(without))


# ---- the status


@dataclass(frozen=True, slots=True)
class _Word:
    """A condition but for its times."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def status_of(
    preset: Preset, previous: PodPresetStatus | None, seen: Seen, now: datetime
) -> PodPresetStatus:
    count = seen.count
    before = _Before.of(previous, preset.generation)
    conflicting = _conflicting(preset, before, seen)
    said = {
        "Valid": _valid(preset),
        "Conflicting": conflicting,
        "Effective": _effective(preset, conflicting, before, seen),
    }
    return PodPresetStatus(
        conditions=_conditions(said, previous, preset.generation, now),
        currentPods=count.current if count else None,
        matchedPods=count.matched if count else None,
        observedGeneration=preset.generation,
        stalePods=count.stale if count else None,
    )


def status_of_invalid(
    error: InvalidPreset, generation: int, previous: PodPresetStatus | None, now: datetime
) -> PodPresetStatus:
    """Of a preset that cannot be read at all, which an API server that does not check presets may keep."""
    listed = "; ".join(str(e) for e in error.errors) or str(error)
    idle = _Word("False", "Invalid", "the preset is invalid, and left out")
    said = {
        "Valid": _Word("False", "InvalidSpec", words.shortened(listed)),
        "Conflicting": idle,
        "Effective": idle,
    }
    return PodPresetStatus(
        conditions=_conditions(said, previous, generation, now), observedGeneration=generation
    )


def _valid(preset: Preset) -> _Word:
    if preset.problems:
        listed = "; ".join(str(error) for error in preset.problems)
        return _Word("False", "InvalidSpec", words.shortened(listed))
    if preset.selector is None:
        return _Word("False", "InvalidSpec", words.shortened(preset.selector_error))
    return _Word("True", "Valid", "the preset can be merged")


def _conflicting(preset: Preset, before: "_Before", seen: Seen) -> _Word:
    """The last admission's word comes first, if need be as it was known before a restart; then what stored
    Pods foretell."""
    if _left_out(preset):
        return _Word("False", "Invalid", "the preset is invalid, and left out")
    last = _last_admission(preset, seen)
    if last is not None and last.conflicts:
        text = f"Pod {last.pod}: {words.clash(last.conflicts)}"
        return _Word("True", words.OUTCOMES[last.conflicts[0].outcome][0], words.shortened(text))
    if (last is None or last.blocked) and before.clashed_at_admission():
        assert before.conflicting is not None
        return before.conflicting
    foretold = _foretold(preset, seen)
    if foretold is not None:
        return foretold
    return _Word("False", "NoClash", "no Pod has clashed with the preset as it is now")


def _foretold(preset: Preset, seen: Seen) -> _Word | None:
    """Stored Pods that would clash if they were created again: so the next rollout is known before it comes.

    Each is merged with this preset alone: what presets do to each other, admission tells.
    """
    clashes: list[tuple[PodFacts, tuple[Conflict, ...]]] = []
    for pod in _witnesses(seen.count.without if seen.count else ()):
        document = seen.as_it_came(msgspec.json.decode(codec.encode(pod.pod)))
        result = admit(
            document,
            (preset,),
            namespace=pod.namespace,
            namespace_labels=seen.namespaces.get(pod.namespace),
        )
        if result.conflicts:
            clashes.append((pod, result.conflicts))
    if not clashes:
        return None
    pod, conflicts = clashes[0]
    text = (
        f"stored Pod {pod.namespace}/{pod.name}, if it were created again: {words.clash(conflicts)}"
    )
    return _Word("True", _FORETOLD, words.shortened(text))


def _witnesses(pods: Iterable[PodFacts]) -> list[PodFacts]:
    newest: dict[str, PodFacts] = {}
    for pod in sorted(pods, key=lambda p: (p.namespace, p.name)):
        held = newest.get(pod.owner)
        if held is None or pod.created > held.created:
            newest[pod.owner] = pod
    return sorted(newest.values(), key=lambda p: p.created, reverse=True)[:WITNESSES]


def _effective(preset: Preset, conflicting: _Word, before: "_Before", seen: Seen) -> _Word:
    count = seen.count
    if count is None:
        return _effective_unwatched(preset, before, seen)
    if count.current:
        if not count.stale:
            return _Word(
                "True", "AllCurrent", f"{words.counted(count.current)} with it as it is now"
            )
        text = (
            f"{words.counted(count.current)} with it as it is now; {words.counted(count.stale)} "
            "with an earlier form or without it, until made anew"
        )
        return _Word("True", "SomeStale", text)
    if _left_out(preset):
        return _Word("False", "Invalid", "the preset is invalid, and left out")
    if not count.stale:
        return _Word("False", "NoPodMatches", "the selectors choose no Pod")
    if conflicting.status == "True":
        text = f"{words.counted(count.stale)} without it, for it clashes"
        return _Word("False", "Conflicting", text)
    last = _last_admission(preset, seen)
    if last is not None and last.blocked:
        return _Word("False", "Blocked", words.shortened(last.blocked))
    text = f"{words.counted(count.stale)} with an earlier form or without it, until made anew"
    return _Word("False", "AllStale", text)


def _effective_unwatched(preset: Preset, before: "_Before", seen: Seen) -> _Word:
    last = _last_admission(preset, seen)
    if last is not None and last.applied:
        return _Word("True", "Applied", "a Pod was created with it as it is now")
    if _left_out(preset):
        return _Word("False", "Invalid", "the preset is invalid, and left out")
    if before.effective is not None and before.effective.reason == "Applied":
        return before.effective
    return _Word(
        "Unknown", "PodsNotWatched", "no Pod was created with it as it is now, as far as is known"
    )


def _left_out(preset: Preset) -> bool:
    return bool(preset.problems) or preset.selector is None


def _last_admission(preset: Preset, seen: Seen) -> Admission | None:
    """Of the preset as it is now: what an earlier form of it did is over."""
    last = seen.admission
    return last if last is not None and last.spec_hash == preset.spec_hash else None


@dataclass(frozen=True, slots=True)
class _Before:
    """What the stored status said of the preset as it is now."""

    conflicting: _Word | None = None
    effective: _Word | None = None

    @classmethod
    def of(cls, previous: PodPresetStatus | None, generation: int) -> "_Before":
        if previous is None or previous.observedGeneration != generation:
            return cls()
        said: dict[str, _Word] = {
            c.type: _Word(_status(c.status), c.reason or "", c.message or "")
            for c in previous.conditions or ()
        }
        return cls(said.get("Conflicting"), said.get("Effective"))

    def clashed_at_admission(self) -> bool:
        return (
            self.conflicting is not None
            and self.conflicting.status == "True"
            and self.conflicting.reason != _FORETOLD
        )


def _status(text: str) -> Literal["True", "False", "Unknown"]:
    return "True" if text == "True" else "False" if text == "False" else "Unknown"


def _conditions(
    said: Mapping[str, _Word], previous: PodPresetStatus | None, generation: int, now: datetime
) -> list[PresetCondition]:
    """`lastTransitionTime` moves only when the status does."""
    known = {c.type: c for c in (previous.conditions if previous else None) or ()}
    return [
        PresetCondition(
            type=type,
            status=word.status,
            reason=word.reason,
            message=word.message,
            observedGeneration=generation,
            lastTransitionTime=_since(known.get(type), word, now),
        )
        for type, word in said.items()
    ]


def _since(known: PresetCondition | None, word: _Word, now: datetime) -> Any:
    if known is not None and known.status == word.status and known.lastTransitionTime is not None:
        return known.lastTransitionTime
    return whole_seconds(now)
