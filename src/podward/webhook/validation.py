"""What is answered when a preset is written: `/validate`. Pure.

An API server with a CustomResourceDefinition checks a preset's shape; what the shape cannot say is checked
here, by the same rules as in Podward's own API server. And who writes a preset that has the last word over Pods
of others must be allowed to (spec/podpreset.md 11.5): that question is handed out, for only the cluster knows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from podward.admission.plugins.pod_preset import parse
from podward.admission.plugins.pod_preset.model import Document, InvalidPreset, Mode, Preset
from podward.api import errors
from podward.api.scheme import SCHEME
from podward.webhook import review
from podward.webhook.naming import OVERRIDE_VERB
from podward.webhook.review import Answer, Request, UserInfo

_KINDS: Final = {
    ("settings.k8s.io", "podpresets"): ("settings.k8s.io/v1alpha1", "PodPreset"),
    ("podward.dev", "podpresets"): ("podward.dev/v1alpha1", "PodPreset"),
    ("podward.dev", "clusterpodpresets"): ("podward.dev/v1alpha1", "ClusterPodPreset"),
}
_SECTIONS: Final = ("affinity", "terminationGracePeriodSeconds")
_CONTAINER_SECTIONS: Final = (
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "resources",
    "terminationMessagePolicy",
)


@dataclass(frozen=True, slots=True)
class AccessQuestion:
    """May this user use `verb` on this preset?"""

    user: UserInfo
    verb: str
    group: str
    version: str
    resource: str
    namespace: str
    name: str
    why: str
    """What in the preset asks for it, for people."""

    @property
    def text(self) -> str:
        return (
            f'user "{self.user.username}" needs the verb "{self.verb}" on '
            f"{self.resource}.{self.group}, for {self.why}"
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    answer: Answer
    """If `access` is none, or granted."""
    access: AccessQuestion | None = None


class Read(Protocol):
    """`parse.preset_of`."""

    def __call__(self, document: Mapping[str, Any], *, namespace: str) -> Preset: ...


def validate(request: Request, mode: Mode, *, read: Read = parse.preset_of) -> Judgement:
    kind = _KINDS.get((request.resource.group, request.resource.resource))
    if kind is None or request.subResource or request.operation not in ("CREATE", "UPDATE"):
        return Judgement(review.let_through(request))
    preset = review.document(request.object, "request.object")
    if request.operation == "UPDATE" and _changes_nothing(preset, request):
        return Judgement(review.let_through(request))
    named = _named({**preset, "apiVersion": kind[0], "kind": kind[1]})
    try:
        found = read(named, namespace=request.namespace or "")
    except InvalidPreset as error:
        return Judgement(_invalid(request, kind[1], error))
    if mode == "safe" and found.problems:
        return Judgement(_breaks_rules(request, found))
    return Judgement(review.let_through(request), _access(request, kind[1], preset))


def _changes_nothing(preset: Document, request: Request) -> bool:
    """What is stored already, or on its way out, must not be held up: a finalizer could never be taken off."""
    if (preset.get("metadata") or {}).get("deletionTimestamp"):
        return True
    old = review.document(request.oldObject, "request.oldObject")
    return bool(old.get("spec") == preset.get("spec"))


def _named(preset: Document) -> Document:
    """A name that the server is still to draw counts as drawn."""
    metadata = dict(preset.get("metadata") or {})
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = f"{metadata['generateName']}xxxxx"
    return {**preset, "metadata": metadata}


def _invalid(request: Request, kind: str, error: InvalidPreset) -> Answer:
    causes = [
        {"reason": problem.type, "message": problem.body, "field": problem.field}
        for problem in error.errors
    ]
    group = request.resource.group
    details = {"name": error.name, "group": group, "kind": kind, "causes": causes}
    return review.denied(request, 422, "Invalid", str(error), details=details)


def _breaks_rules(request: Request, preset: Preset) -> Answer:
    """What a server of 1.19 stored and then could not use, or not without harm."""
    of = request.resource
    row = SCHEME.of_plural(of.group, "v1alpha1", of.resource)
    assert row is not None, "kinds of presets are known"
    status = errors.invalid(row, preset.name, preset.problems).status
    details = msgspec.to_builtins(status.details)
    return review.denied(request, 422, "Invalid", status.message or "", details=details)


def _access(request: Request, kind: str, preset: Document) -> AccessQuestion | None:
    why = "every ClusterPodPreset" if kind == "ClusterPodPreset" else _overrides(request, preset)
    if not why:
        return None
    return AccessQuestion(
        user=request.userInfo,
        verb=OVERRIDE_VERB,
        group=request.resource.group,
        version=request.resource.version,
        resource=request.resource.resource,
        namespace=request.namespace or "",
        name=request.name or (preset.get("metadata") or {}).get("name") or "",
        why=why,
    )


def _overrides(request: Request, preset: Document) -> str:
    """What in a preset of podward.dev has the last word over a Pod's author; empty if nothing has."""
    if request.resource.group != "podward.dev":
        return ""
    spec = preset.get("spec") or {}
    if spec.get("onConflict") == "Override":
        return "onConflict: Override"
    modes = (name for name, section in _moded(spec) if section.get("mode") == "override")
    name = next(modes, "")
    return f"mode: override of {name}" if name else ""


def _moded(spec: Document) -> Iterator[tuple[str, Document]]:
    places: list[tuple[Document, tuple[str, ...]]] = [(spec, _SECTIONS)]
    places += [(part, _CONTAINER_SECTIONS) for part in spec.get("containers") or ()]
    for place, names in places:
        for name in names:
            section = place.get(name)
            if isinstance(section, dict):
                yield name, section
