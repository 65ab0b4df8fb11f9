"""Presets, Pods and notices to try the controller with; and an engine that knows env only.

The engine itself has tests of its own: here it only matters what is made of its answers.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from lightkube.models import core_v1, meta_v1

from podward.admission.plugins.pod_preset.model import (
    Conflict,
    Document,
    InvalidPreset,
    Notice,
    OnConflict,
    Origin,
    Preset,
    Result,
)
from podward.api.errors import FieldError
from podward.machinery.selectors import LabelSelector, Requirement

ZONE = {"env": [{"name": "TZ", "value": "UTC"}]}


def preset(
    name: str = "cal",
    *,
    origin: Origin = "namespaced",
    namespace: str = "edge",
    spec: Mapping[str, Any] = ZONE,
    selector: Mapping[str, str] | None = None,
    namespaces: Mapping[str, str] | None = None,
    on_conflict: OnConflict = "SkipAll",
    generation: int = 1,
    problems: tuple[FieldError, ...] = (),
) -> Preset:
    """It selects Pods with the label `tier: web` unless told otherwise."""
    wanted = {"tier": "web"} if selector is None else selector
    return Preset(
        origin=origin,
        name=name,
        namespace="" if origin == "cluster" else namespace,
        uid=f"uid-{name}",
        resource_version="70",
        generation=generation,
        created="2026-01-01T00:00:00Z",
        priority=0,
        on_conflict=on_conflict,
        selector=selecting(wanted),
        selector_error="",
        namespace_selector=selecting(namespaces or {}),
        spec=spec,
        spec_hash=hash_of(spec),
        problems=problems,
    )


def selecting(labels: Mapping[str, str]) -> LabelSelector:
    return LabelSelector(tuple(Requirement(k, "in", frozenset({v})) for k, v in labels.items()))


def hash_of(spec: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]


def pod(
    name: str = "web",
    *carried: Preset,
    namespace: str = "edge",
    labels: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
    phase: str = "Running",
    owner: str = "",
    created: str = "2026-01-01T00:00:00Z",
) -> core_v1.Pod:
    """One that carries these presets as they are given."""
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(
            name=name,
            namespace=namespace,
            uid=f"uid-{name}",
            labels={"tier": "web"} if labels is None else dict(labels),
            annotations={**noted(*carried, fields=fields), **(annotations or {})} or None,
            creationTimestamp=datetime.fromisoformat(created),
            ownerReferences=[reference(owner)] if owner else None,
        ),
        spec=core_v1.PodSpec(
            containers=[
                core_v1.Container(
                    name="app",
                    image="busybox",
                    env=[core_v1.EnvVar(k, value=v) for k, v in (env or {}).items()] or None,
                )
            ]
        ),
        status=core_v1.PodStatus(phase=phase),
    )


def noted(*carried: Preset, fields: Mapping[str, str] | None = None) -> dict[str, str]:
    """The annotation by which a Pod carries presets."""
    if not carried:
        return {}
    provenance = {"fields": fields or {}, "presets": {p.id: p.spec_hash for p in carried}, "v": 1}
    return {"podward.dev/presets": json.dumps(provenance)}


def reference(name: str) -> meta_v1.OwnerReference:
    return meta_v1.OwnerReference(
        apiVersion="apps/v1", kind="ReplicaSet", name=name, uid=f"uid-{name}", controller=True
    )


def conflict(
    *presets: Preset,
    outcome: OnConflict = "SkipAll",
    list: str = "env",
    message: str = "two words on env TZ",
) -> Conflict:
    return Conflict(
        presets=tuple(p.id for p in presets),
        container="app",
        list=list,
        identity="TZ",
        path="/spec/containers/0/env/0",
        pod_hash="a" * 12,
        preset_hash="b" * 12,
        outcome=outcome,
        message=message,
    )


def notice(
    *,
    matched: Sequence[Preset] = (),
    applied: Sequence[Preset] = (),
    conflicts: Sequence[Conflict] = (),
    invalid: Sequence[Preset] = (),
    rejected: str = "",
    error: str = "",
    namespace: str = "edge",
    owner: str = "web-rs",
    dry_run: bool = False,
) -> Notice:
    result = Result(
        {},
        matched=tuple(matched or applied),
        applied=tuple(applied),
        conflicts=tuple(conflicts),
        invalid=tuple(invalid),
        rejected=rejected,
        error=error,
    )
    owned = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": f"uid-{owner}"}
    return Notice(result, namespace, "web-", owned if owner else None, dry_run)


# ---- an engine for env alone


def preset_of(document: Mapping[str, Any], *, namespace: str = "") -> Preset:
    """One named `unreadable` is stored by a server that checks less than Podward's."""
    meta, spec = document["metadata"], document.get("spec") or {}
    if meta["name"] == "unreadable":
        error = FieldError("FieldValueRequired", "spec.selector")
        raise InvalidPreset(meta["name"], (error,), "cannot be read")
    namespaces = spec.get("namespaceSelector") or {}
    return preset(
        meta["name"],
        origin="cluster" if document["kind"] == "ClusterPodPreset" else "namespaced",
        namespace=meta.get("namespace") or namespace,
        spec=spec,
        selector=spec["selector"].get("matchLabels") or {},
        namespaces=namespaces.get("matchLabels") or {},
        on_conflict=spec.get("onConflict", "SkipAll"),
        generation=meta.get("generation") or 0,
    )


def admit(
    pod: Document,
    presets: Sequence[Preset],
    *,
    namespace: str,
    namespace_labels: Mapping[str, str] | None = None,
    mode: str = "safe",
) -> Result:
    found = []
    for one in presets:
        wanted = {e["name"]: e.get("value") for e in one.spec.get("env") or ()}
        for container in pod["spec"]["containers"]:
            for held in container.get("env") or ():
                if held["name"] in wanted and held.get("value") != wanted[held["name"]]:
                    message = f"env {held['name']} of container {container['name']} differs"
                    found.append(conflict(one, outcome=one.on_conflict, message=message))
    return Result(pod, matched=tuple(presets), conflicts=tuple(found))
