"""The words of the preset engine: what goes in, what comes out.

Pods and presets are plain documents (dicts) here, never Structs: a field that this Podward does not know
must survive (spec/podpreset.md R4).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from podward.api.errors import FieldError
from podward.machinery.selectors import LabelSelector

Document = dict[str, Any]
Mode = Literal["compat", "safe"]
"""compat: Kubernetes 1.19 to the letter; safe: the same without its accidents (spec section 6, deltas)."""
Origin = Literal["settings", "namespaced", "cluster"]
"""settings.k8s.io PodPreset, podward.dev PodPreset, podward.dev ClusterPodPreset."""
OnConflict = Literal["SkipAll", "SkipPreset", "KeepPod", "Override", "Reject"]

EXCLUDE_ANNOTATION = "podpreset.admission.kubernetes.io/exclude"
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
APPLIED_PREFIX = "podpreset.admission.kubernetes.io/podpreset-"
"""+ name of a settings.k8s.io preset; the value is its resourceVersion."""
PROVENANCE_ANNOTATION = "podward.dev/presets"
"""What safe mode writes beside them; see `provenance.py`."""
NAMESPACE_OPT_OUT = "podward.dev/presets"
"""Label of a namespace: with the value `disabled` no ClusterPodPreset reaches its Pods."""


_RESOURCES: dict[Origin, str] = {
    "settings": "podpreset",
    "namespaced": "podpreset.podward.dev",
    "cluster": "clusterpodpreset",
}


_NESTED = (dict, list)


def copied(value: Any) -> Any:
    """`copy.deepcopy` of a document, at a fifth of its price."""
    if isinstance(value, dict):
        return {k: copied(v) if isinstance(v, _NESTED) else v for k, v in value.items()}
    if isinstance(value, list):
        return [copied(v) if isinstance(v, _NESTED) else v for v in value]
    return value


@dataclass(frozen=True, slots=True)
class Preset:
    """One preset, read and checked (`parse.preset_of`)."""

    origin: Origin
    name: str
    namespace: str
    """Empty for a cluster preset."""
    uid: str
    resource_version: str
    generation: int
    created: str
    """RFC 3339; empty if it is not stored yet: such a one comes after those that are."""
    priority: int
    on_conflict: OnConflict
    selector: LabelSelector | None
    """None if the selector cannot be evaluated, though a server of old would have stored it."""
    selector_error: str
    namespace_selector: LabelSelector
    spec: Mapping[str, Any]
    """As it was written."""
    spec_hash: str
    """16 hex digits of the defaulted spec: it changes with the meaning, not with spelling or metadata."""
    problems: tuple[FieldError, ...] = ()
    """Rules of safe mode that it breaks: safe mode leaves it out and says so."""
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What is worked out from `spec` once and for all, by whoever needs it, under his own name."""

    @property
    def id(self) -> str:
        """`podpreset/cal`, `podpreset.podward.dev/cal`, `clusterpodpreset/cal`: as kubectl would take it."""
        return f"{_RESOURCES[self.origin]}/{self.name}"


class InvalidPreset(Exception):
    """No API server would have stored this preset."""

    def __init__(self, name: str, errors: tuple[FieldError, ...], message: str) -> None:
        super().__init__(message)
        self.name = name
        self.errors = errors


Action = Literal["added", "replaced", "raised", "lowered", "identical", "kept", "skipped"]
"""identical, kept: the Pod had it, the same or its own; skipped: left out for a reason."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one item of one preset in one place of the Pod."""

    preset: str
    """`Preset.id`."""
    path: str
    """JSON pointer into the resulting Pod, or of where it would have gone."""
    field: str
    """For people: `spec.containers[app].env[TZ]`, `spec.volumes[cache]`."""
    action: Action
    reason: str = ""
    """One word: noPort, initContainer, notDefault, present, jobs, execNotOptedIn, higherPriority ..."""
    text: str = ""
    """The reason as a sentence."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two words on one thing. Values are shown as hashes: an env value may be a secret."""

    presets: tuple[str, ...]
    """`Preset.id` of the one that clashed, and of the one that it clashed with unless that is the Pod."""
    container: str
    """Its name; empty for the Pod itself."""
    list: str
    """env, envFrom, volumes, volumeMounts, or the section (livenessProbe, labels ...)."""
    identity: str
    """The name, mount path or source that both speak of."""
    path: str
    """JSON pointer of the item in the Pod as it came; empty if the Pod has no such item."""
    pod_hash: str
    preset_hash: str
    outcome: OnConflict
    """What was done about it."""
    message: str
    """One sentence for people, with no value in it."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one admission came to."""

    pod: Document
    """The very object that went in if nothing was changed."""
    patch: tuple[Document, ...] = ()
    """RFC 6902 operations that make `pod` of what went in."""
    matched: tuple[Preset, ...] = ()
    """Presets that select the Pod, in the order of merging."""
    applied: tuple[Preset, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    decisions: tuple[Decision, ...] = ()
    invalid: tuple[Preset, ...] = ()
    """Presets of this namespace that safe mode left out (`Preset.problems`)."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """JSON pointer -> `Preset.id`, of everything that presets put there, earlier admissions included."""
    error: str = ""
    """compat: the admission itself failed (an API server answers 500 with this text)."""
    rejected: str = ""
    """A preset with onConflict Reject refuses the Pod with this text (403)."""

    @property
    def untouched(self) -> bool:
        return not self.patch


@dataclass(frozen=True, slots=True)
class Notice:
    """What an admission has to tell to those who make Events, metrics and status of it."""

    result: Result
    namespace: str
    pod_name: str
    """As far as it is known: `web-` and no more for a generated name."""
    owner: Mapping[str, Any] | None
    """The ownerReference with controller=true."""
    dry_run: bool
