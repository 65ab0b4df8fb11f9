"""Rows W01 to W10 of spec/podpreset.md with the real engine: presets as documents in, an answer out.

The answer is applied as an API server applies it, and the result goes through defaulting before the next call.
"""

import json
from typing import Any

import msgspec
from tests.webhook.reviews import asked, operations, patched, pod, response

from podward.admission.plugins.pod_preset.model import PROVENANCE_ANNOTATION
from podward.admission.plugins.pod_preset.parse import preset_of
from podward.admission.plugins.pod_preset.selection import PresetIndex
from podward.api.codec import decode_builtins
from podward.api.defaults import set_defaults
from podward.api.scheme import SCHEME
from podward.webhook import review
from podward.webhook.presets import NamespaceView
from podward.webhook.review import Answer

Json = dict[str, Any]
APPLIED = "podpreset.admission.kubernetes.io/podpreset-cal"
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN: Json = {"name": "kube-api-access-x", "mountPath": TOKEN_PATH, "readOnly": True}


def settings(name: str = "cal", namespace: str = "edge", **spec: Any) -> Json:
    return {
        "apiVersion": "settings.k8s.io/v1alpha1", "kind": "PodPreset",
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": "70"},
        "spec": {"selector": {"matchLabels": {"tier": "web"}}, **spec},
    }  # fmt: skip


def own(name: str = "own", **spec: Any) -> Json:
    return {**settings(name, **spec), "apiVersion": "podward.dev/v1alpha1"}


ENV: list[Json] = [{"name": "TZ", "value": "UTC"}]
VOLUME: Json = {"volumes": [{"name": "cache", "emptyDir": {}}],
                "volumeMounts": [{"name": "cache", "mountPath": "/cache"}]}  # fmt: skip


def answered(obj: Json, *presets: Json, labels: Json | None = None, **request: Any) -> Answer:
    """By a webhook that knows `presets`; of all namespaces, for the engine has to choose."""
    index = PresetIndex(preset_of(document) for document in presets)
    view = NamespaceView(index, labels or {})
    return review.mutate(review.read(asked(obj, **request)), view, "safe")


def as_stored(obj: Json) -> Json:
    """What an API server makes of it before it calls the next webhook."""
    row = SCHEME.of_kind("v1", "Pod")
    assert row is not None
    decoded, _ = decode_builtins(obj, row, "Ignore")
    found: Json = msgspec.to_builtins(set_defaults(decoded))
    return {"apiVersion": "v1", "kind": "Pod", **found}


def container(obj: Json, index: int = 0) -> Json:
    found: Json = obj["spec"]["containers"][index]
    return found


def test_w01_no_matching_preset() -> None:
    answer = answered(pod(labels={"tier": "db"}), settings(env=ENV))
    assert response(answer.body) == {"uid": "u-77", "allowed": True}


def test_w02_parents_are_made_before_they_are_used() -> None:
    answer = answered(pod(), settings(env=ENV, **VOLUME))
    paths = [operation["path"] for operation in operations(answer.body)]
    for parent in ("/metadata/annotations", "/spec/volumes"):
        first = next(path for path in paths if path.startswith(parent))
        assert first == parent
    made = patched(answer.body, pod())
    assert made["metadata"]["annotations"][APPLIED] == "70"
    assert made["spec"]["volumes"] == VOLUME["volumes"]
    assert container(made)["env"] == ENV
    assert container(made)["volumeMounts"] == VOLUME["volumeMounts"]


def test_w02_parents_that_are_null_are_replaced() -> None:
    obj = pod(annotations=None)
    obj["spec"]["volumes"] = None
    container(obj)["env"] = None
    made = patched(answered(obj, settings(env=ENV, **VOLUME)).body, obj)
    assert made["spec"]["volumes"] == VOLUME["volumes"]
    assert container(made)["env"] == ENV
    assert APPLIED in made["metadata"]["annotations"]


def test_w03_a_second_call_sees_defaulted_items_and_changes_nothing() -> None:
    preset = settings(
        env=[*ENV, {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        volumes=[{"name": "crt", "secret": {"secretName": "crt"}},
                 {"name": "host", "hostPath": {"path": "/p"}}],
        volumeMounts=[{"name": "crt", "mountPath": "/crt"}],
    )  # fmt: skip
    first = as_stored(patched(answered(pod(), preset).body, pod()))
    crt, host = first["spec"]["volumes"]
    assert (crt["secret"]["defaultMode"], host["hostPath"]["type"]) == (420, "")
    again = response(answered(first, preset).body)
    assert again == {"uid": "u-77", "allowed": True, "auditAnnotations": {"applied": "cal@70"}}


def test_w04_a_generated_name_and_the_requests_namespace() -> None:
    obj = pod(generateName="web-")
    answer = answered(
        obj, settings(env=ENV), settings("other", "lab", env=[{"name": "LAB", "value": "1"}]),
        name="", namespace="edge",
    )  # fmt: skip
    assert container(patched(answer.body, obj))["env"] == ENV


def test_w05_a_dry_run_with_a_conflict() -> None:
    obj = pod()
    container(obj)["env"] = [{"name": "TZ", "value": "hunter2"}]
    answer = answered(obj, settings(env=ENV), dryRun=True)
    said = response(answer.body)
    assert said["allowed"]
    assert "patch" not in said
    [warning] = said["warnings"]
    assert "TZ" in warning
    assert "cal" in warning
    assert "hunter2" not in answer.body.decode()
    assert "UTC" not in answer.body.decode()
    assert answer.notice is not None
    assert answer.notice.dry_run


def test_w06_behind_service_account_a_mount_at_the_tokens_path_is_a_conflict() -> None:
    obj = pod()
    container(obj)["volumeMounts"] = [TOKEN]
    preset = settings(volumes=[{"name": "mine", "emptyDir": {}}],
                      volumeMounts=[{"name": "mine", "mountPath": TOKEN_PATH}])  # fmt: skip
    answer = answered(obj, preset)
    assert "patch" not in response(answer.body)
    assert answer.notice is not None
    [clash] = answer.notice.result.conflicts
    assert (clash.list, clash.identity) == ("volumeMounts", TOKEN_PATH)


def test_w07_uid_and_version_are_echoed() -> None:
    answer = answered(pod(), settings(env=ENV), uid="u-77")
    document = json.loads(answer.body)
    assert document["apiVersion"] == "admission.k8s.io/v1"
    assert document["kind"] == "AdmissionReview"
    assert document["response"]["uid"] == "u-77"


def test_w08_keys_are_escaped() -> None:
    answer = answered(pod(annotations={"a": "b"}), settings(env=ENV))
    paths = [operation["path"] for operation in operations(answer.body)]
    assert f"/metadata/annotations/{APPLIED.replace('/', '~1')}" in paths


def test_w09_a_container_that_another_webhook_added_gets_it_too() -> None:
    preset = settings(env=ENV, **VOLUME)
    first = as_stored(patched(answered(pod(), preset).body, pod()))
    between = json.loads(json.dumps(first))
    between["spec"]["containers"].append({"name": "proxy", "image": "p"})
    between = as_stored(between)
    after = patched(answered(between, preset).body, between)
    assert container(after) == container(first)
    assert container(after, 1)["env"] == ENV
    assert container(after, 1)["volumeMounts"] == VOLUME["volumeMounts"]


def test_w10_a_native_sidecar_is_an_init_container_for_env_and_mounts() -> None:
    obj = pod()
    obj["spec"]["initContainers"] = [{"name": "log", "image": "l", "restartPolicy": "Always"}]
    made = patched(answered(obj, settings(env=ENV, **VOLUME)).body, obj)
    [sidecar] = made["spec"]["initContainers"]
    assert sidecar["env"] == ENV
    assert sidecar["volumeMounts"] == VOLUME["volumeMounts"]


def test_fields_that_nobody_knows_are_not_touched() -> None:
    obj = pod()
    container(obj)["novel"] = {"x": [1, None]}
    preset = settings(env=[{"name": "A", "value": "1", "later": True}])
    made = patched(answered(obj, preset).body, obj)
    assert container(made)["novel"] == {"x": [1, None]}
    assert container(made)["env"] == [{"name": "A", "value": "1", "later": True}]


def test_reject_refuses_the_pod_and_says_which_preset_does() -> None:
    obj = pod()
    container(obj)["env"] = [{"name": "TZ", "value": "hunter2"}]
    said = response(answered(obj, own(env=ENV, onConflict="Reject")).body)
    assert said["allowed"] is False
    assert said["status"]["code"] == 403
    assert "own" in said["status"]["message"]
    assert "hunter2" not in said["status"]["message"]


def test_cluster_presets_reach_the_namespaces_whose_labels_they_select() -> None:
    cluster = {
        "apiVersion": "podward.dev/v1alpha1", "kind": "ClusterPodPreset",
        "metadata": {"name": "org", "resourceVersion": "9"},
        "spec": {"selector": {}, "namespaceSelector": {"matchLabels": {"zone": "a"}}, "env": ENV},
    }  # fmt: skip
    answer = answered(pod(), cluster, labels={"zone": "a"})
    assert container(patched(answer.body, pod()))["env"] == ENV
    assert response(answer.body)["auditAnnotations"] == {"applied": "clusterpodpreset/org@9"}
    assert PROVENANCE_ANNOTATION in patched(answer.body, pod())["metadata"]["annotations"]
    assert "patch" not in response(answered(pod(), cluster, labels={"zone": "b"}).body)
