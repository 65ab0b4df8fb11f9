"""AdmissionReviews to ask with, and answers taken apart."""

import base64
import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from podward.admission.plugins.pod_preset.model import Conflict, Mode, Preset, Result
from podward.admission.plugins.pod_preset.selection import PresetIndex
from podward.machinery.patch import json_patch
from podward.machinery.selectors import LabelSelector
from podward.webhook.presets import NamespaceView
from podward.webhook.review import Admit

Json = dict[str, Any]


def pod(**metadata: Any) -> Json:
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"labels": {"tier": "web"}, **metadata},
        "spec": {"containers": [{"name": "app", "image": "i"}]},
    }  # fmt: skip


def asked(
    obj: Any = None,
    *,
    resource: tuple[str, str, str] = ("", "v1", "pods"),
    uid: str = "u-77",
    **request: Any,
) -> bytes:
    """The bytes that an API server sends."""
    group, version, plural = resource
    return json.dumps({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": uid, "kind": {"group": group, "version": version, "kind": "X"},
            "resource": {"group": group, "version": version, "resource": plural},
            "requestKind": {}, "requestResource": {}, "name": "", "namespace": "edge",
            "operation": "CREATE", "userInfo": {"username": "jane", "groups": ["devs"]},
            "object": pod() if obj is None else obj, "oldObject": None, "dryRun": False,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"}, **request,
        },
    }).encode()  # fmt: skip


def response(body: bytes) -> Json:
    """What an API server takes of an answer, having checked what it checks."""
    review = json.loads(body)
    assert (review["apiVersion"], review["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    answer: Json = review["response"]
    assert ("patch" in answer) == ("patchType" in answer)
    assert answer.get("patchType", "JSONPatch") == "JSONPatch"
    return answer


def operations(body: bytes) -> list[Json]:
    return cast(list[Json], json.loads(base64.b64decode(response(body)["patch"])))


def patched(body: bytes, obj: Json) -> Json:
    return cast(Json, json_patch(obj, operations(body)))


def preset(name: str = "cal", **fields: Any) -> Preset:
    selector = LabelSelector()
    usual = Preset(
        origin="settings", name=name, namespace="edge", uid=f"uid-{name}", resource_version="70",
        generation=1, created="2026-01-01T00:00:00Z", priority=0, on_conflict="SkipAll",
        selector=selector, selector_error="", namespace_selector=selector, spec={}, spec_hash="h",
    )  # fmt: skip
    return dataclasses.replace(usual, **fields)


def conflict(message: str, **fields: Any) -> Conflict:
    usual = Conflict(
        presets=("podpreset/cal",), container="app", list="env", identity="TZ",
        path="/spec/containers/0/env/0", pod_hash="a", preset_hash="b", outcome="SkipAll",
        message=message,
    )  # fmt: skip
    return dataclasses.replace(usual, **fields)


def admits(result: Callable[[Json], Result]) -> Admit:
    """An engine that comes to `result`, whatever it is asked."""

    def admit(
        pod: Json,
        presets: PresetIndex,
        *,
        namespace: str,
        namespace_labels: Mapping[str, str] | None,
        mode: Mode,
    ) -> Result:
        return result(pod)

    return admit


EMPTY = NamespaceView(PresetIndex())
