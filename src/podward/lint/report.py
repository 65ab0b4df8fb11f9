"""What is said of a manifest: its probes' promises and its mistakes, less those that its author knows. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lightkube.models import core_v1

from podward.api import codec
from podward.api.defaults import set_defaults
from podward.api.scheme import SCHEME
from podward.api.validation import creation_errors
from podward.lint.promises import Promise, promises
from podward.lint.rules import INIT_RULES, RULES, Finding, Severity, findings

TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "PodTemplate": ("template",),
}
"""Where kinds keep the Pod that they make."""
IGNORE = "podward.dev/lint-ignore"
"""Annotation of the Pod, or of its template: IDs of rules, separated by commas."""
_FOR_EVER = ("Deployment", "ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet")
_ORDER: tuple[Severity, ...] = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Report:
    kind: str
    name: str
    promises: tuple[Promise, ...]
    findings: tuple[Finding, ...]
    """Errors first."""
    ignored: int
    """How many more the annotation hides."""


def has_pod(document: Mapping[str, Any]) -> bool:
    return document.get("kind") in TEMPLATES


def report(document: Mapping[str, Any]) -> Report:
    """Raises `ApiStatusError` if it cannot be decoded: an unknown field, a word where a number should be."""
    kind, steps = str(document["kind"]), TEMPLATES[str(document["kind"])]
    name = str((document.get("metadata") or {}).get("name") or "")
    inner: Any = document
    for step in steps:
        inner = inner.get(step) if isinstance(inner, dict) else None
    pod = _pod(inner if isinstance(inner, dict) else {}, name)
    prefix = "".join(f"{step}." for step in steps)
    found = [*_invalid(kind, pod, prefix)]
    told: list[Promise] = []
    if pod.spec is not None:
        told += promises(pod.spec, f"{prefix}spec")
        found += findings(pod.spec, f"{prefix}spec")
    ignored = _ignored(pod)
    found += _unheard_of(ignored, prefix)
    kept = [one for one in found if one.rule not in ignored or one.rule == "invalid"]
    kept.sort(key=lambda one: _ORDER.index(one.severity))
    return Report(kind, name, tuple(told), tuple(kept), len(found) - len(kept))


def _pod(template: Mapping[str, Any], name: str) -> core_v1.Pod:
    row = SCHEME.of_kind("v1", "Pod")
    assert row is not None
    metadata = {"name": name, "namespace": "default", **(template.get("metadata") or {})}
    document = {**template, "apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    pod, _ = codec.decode_builtins(document, row, "Strict")
    defaulted: core_v1.Pod = set_defaults(pod)
    return defaulted


def _invalid(kind: str, pod: core_v1.Pod, prefix: str) -> Iterator[Finding]:
    """What the API server would refuse (spec/health.md 1.3)."""
    row = SCHEME.of_type(type(pod))
    for wrong in creation_errors(pod, row):
        yield Finding("invalid", "error", f"{prefix}{wrong.field}", wrong.body)
    policy = pod.spec.restartPolicy if pod.spec is not None else None
    where = f"{prefix}spec.restartPolicy"
    if kind in _FOR_EVER and policy in ("OnFailure", "Never"):
        body = f'Unsupported value: "{policy}": supported values: "Always"'
        yield Finding("invalid", "error", where, body)
    if kind in ("Job", "CronJob") and policy == "Always":
        yield Finding(
            "invalid", "error", where, 'Required value: valid values: "OnFailure", "Never"'
        )


def _ignored(pod: core_v1.Pod) -> list[str]:
    annotations = (pod.metadata and pod.metadata.annotations) or {}
    return [word.strip() for word in annotations.get(IGNORE, "").split(",") if word.strip()]


def _unheard_of(ignored: list[str], prefix: str) -> Iterator[Finding]:
    """A rule that is misspelt is not ignored, and its author thinks it is."""
    for word in ignored:
        if word not in RULES and word not in INIT_RULES:
            yield Finding(
                "unknown-rule",
                "warning",
                f"{prefix}metadata.annotations",
                f'{IGNORE} names "{word}", which is no rule',
            )
