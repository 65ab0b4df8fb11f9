"""Presets out of files, and Pods admitted with them: what `podward preset` does without a server."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podward.admission.plugins.pod_preset.merge import admit
from podward.admission.plugins.pod_preset.model import InvalidPreset, Mode, Preset, Result
from podward.admission.plugins.pod_preset.parse import preset_of
from podward.api.codec import decode_builtins
from podward.api.defaults import set_defaults
from podward.api.errors import ApiStatusError, FieldError
from podward.api.scheme import SCHEME
from podward.api.validation import creation_errors
from podward.cli import manifests
from podward.cli.errors import CliError

PRESET_KINDS = (
    ("settings.k8s.io/v1alpha1", "PodPreset"),
    ("podward.dev/v1alpha1", "PodPreset"),
    ("podward.dev/v1alpha1", "ClusterPodPreset"),
)


@dataclass(frozen=True, slots=True)
class PresetFiles:
    """What `--presets` came to. Other kinds are passed over; Namespaces lend their labels."""

    documents: tuple[Mapping[str, Any], ...]
    namespace_labels: Mapping[str, Mapping[str, str]]

    def presets(self, namespace: str) -> list[Preset]:
        """All of them; one that names no namespace is of `namespace`.

        `CliError` for what no server would store.
        """
        try:
            return [preset_of(document, namespace=namespace) for document in self.documents]
        except InvalidPreset as error:
            raise CliError(f"error: {error}") from None

    def labels_of(self, namespace: str) -> dict[str, str]:
        """Of the namespace, as a server has them."""
        given = self.namespace_labels.get(namespace, {})
        return {"kubernetes.io/metadata.name": namespace, **given}


@dataclass(frozen=True, slots=True)
class Admitted:
    """One document, before and after."""

    before: dict[str, Any]
    after: dict[str, Any]
    namespace: str
    result: Result | None
    """None for what presets never touch: everything but Pods."""
    refusals: tuple[FieldError, ...] = ()
    """What a server would refuse in `after` that it would not have refused in `before`."""

    @property
    def name(self) -> str:
        metadata = self.before["metadata"]
        name = metadata.get("name") or f"{metadata.get('generateName', '')}<generated>"
        return f"{str(self.before['kind']).lower()}/{name}"


def read_presets(sources: Sequence[str]) -> PresetFiles:
    documents = manifests.read(sources)
    presets = tuple(d for d in documents if (d["apiVersion"], d["kind"]) in PRESET_KINDS)
    if not presets:
        raise CliError(f"error: no presets in {', '.join(sources)}")
    namespaces = {
        d["metadata"].get("name", ""): d["metadata"].get("labels") or {}
        for d in documents
        if (d["apiVersion"], d["kind"]) == ("v1", "Namespace")
    }
    return PresetFiles(presets, namespaces)


def admit_document(
    document: dict[str, Any], files: PresetFiles, namespace: str, mode: Mode
) -> Admitted:
    """`document` as a create in `namespace` (its own, else `default`, if empty) would leave it."""
    where = namespace or document["metadata"].get("namespace") or "default"
    if (document["apiVersion"], document["kind"]) != ("v1", "Pod"):
        return Admitted(document, document, where, None)
    before_errors = _refusals(document, where)
    presets = files.presets(where)
    result = admit(
        document, presets, namespace=where, namespace_labels=files.labels_of(where), mode=mode
    )
    if mode == "safe" and presets and len(result.invalid) == len(presets):
        problems = "; ".join(invalid_text(preset) for preset in result.invalid)
        raise CliError(f"error: {problems}")
    refusals: tuple[FieldError, ...] = ()
    if not result.untouched:
        known = set(map(str, before_errors))
        after_errors = _refusals(result.pod, where)
        refusals = tuple(error for error in after_errors if str(error) not in known)
    return Admitted(document, result.pod, where, result, refusals)


def pod_of_template(document: dict[str, Any]) -> dict[str, Any] | None:
    """The Pod that a workload's controller would create; None for what makes no Pods."""
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return None
    if document["kind"] == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    template = spec.get("template")
    if not isinstance(template, dict) or not isinstance(template.get("spec"), dict):
        return None
    metadata = copy.deepcopy(template.get("metadata") or {})
    metadata.setdefault("generateName", f"{document['metadata'].get('name', '')}-")
    namespace = document["metadata"].get("namespace")
    if namespace:
        metadata["namespace"] = namespace
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": copy.deepcopy(template["spec"]),
    }


def invalid_text(preset: Preset) -> str:
    """Why safe mode leaves it out."""
    return f"{preset.id} is invalid: {', '.join(str(problem) for problem in preset.problems)}"


def _refusals(document: dict[str, Any], namespace: str) -> list[FieldError]:
    """What a server would say to this Pod. `CliError` if it is not even one."""
    resource = SCHEME.of_kind("v1", "Pod")
    assert resource is not None, "the scheme always has Pods"
    metadata = {"name": "generated", **document["metadata"], "namespace": namespace}
    try:
        pod, _ = decode_builtins({**document, "metadata": metadata}, resource, "Ignore")
    except ApiStatusError as error:
        raise CliError(f"error: {error.status.message}") from None
    return creation_errors(set_defaults(pod), resource)
