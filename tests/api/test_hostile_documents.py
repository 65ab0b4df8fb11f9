"""Documents that once ended in a traceback, or in the end of the process."""

import json
from typing import Any

import pytest
from lightkube.models import core_v1
from tests.apiserver.support import PODS, pod, started

from podward.api import codec
from podward.api.defaults import default_pull_policy
from podward.api.errors import ApiStatusError
from podward.api.scheme import SCHEME
from podward.api.yaml_loader import ManifestError, load_all
from podward.machinery.patch import MergeSchema, PatchError, strategic_merge_patch
from podward.simulate.virtual_loop import run

POD_ROW = SCHEME.of_type(core_v1.Pod)


def labelled(labels: Any) -> dict[str, Any]:
    return {**pod(), "metadata": {"name": "p", "labels": labels}}


@pytest.mark.parametrize(
    ("value", "kind"), [(5, "number"), (True, "bool"), ([], "array"), ({}, "object")]
)
def test_a_label_that_is_no_text_is_refused_in_gos_words(value: Any, kind: str) -> None:
    with pytest.raises(ApiStatusError) as refused:
        codec.decode_builtins(labelled({"v": value}), POD_ROW, "Strict")
    assert (refused.value.status.code, refused.value.status.message) == (
        400,
        'Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal '
        f"{kind} into Go struct field ObjectMeta.metadata.labels of type string",
    )


def test_a_label_that_is_null_is_empty() -> None:
    obj, _ = codec.decode_builtins(labelled({"v": None}), POD_ROW, "Strict")
    assert obj.metadata.labels == {"v": ""}


def test_managed_fields_are_read() -> None:
    document = {**pod(), "metadata": {"name": "p", "managedFields": [{"fieldsV1": {"f:a": {}}}]}}
    obj, _ = codec.decode_builtins(document, POD_ROW, "Strict")
    assert obj.metadata.name == "p"


@pytest.mark.parametrize("content_type", ["application/json", "application/yaml"])
def test_what_is_nested_too_deeply_is_a_bad_request(content_type: str) -> None:
    async def scenario() -> None:
        call = await started()
        body = b'{"a":' * 3000 + b"1" + b"}" * 3000
        answer = await call("POST", PODS, body, headers={"content-type": content_type})
        assert answer.status == 400

    run(scenario())


@pytest.mark.parametrize("text", [b"[" * 50_000, b"- " * 50_000, b"? " * 50_000])
def test_deep_yaml_is_an_error_and_not_the_end_of_the_process(text: bytes) -> None:
    with pytest.raises(ManifestError):
        load_all(text)


@pytest.mark.parametrize(
    "patch",
    [
        {"$setElementOrder/containers": 5},
        {"$retainKeys": 5},
        {"containers": [{"name": "a"}]},
    ],
)
def test_a_strategic_patch_that_does_not_fit_is_refused(patch: dict[str, Any]) -> None:
    schema = MergeSchema({"containers": "name"})
    with pytest.raises(PatchError):
        strategic_merge_patch({"containers": ["x"], "other": 1}, patch, schema)


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("busybox", "Always"),
        ("busybox:latest", "Always"),
        ("busybox:latest@sha256:" + 64 * "0", "Always"),
        ("busybox:1@sha256:" + 64 * "0", "IfNotPresent"),
        ("busybox@sha256:" + 64 * "0", "IfNotPresent"),
        ("BusyBox", "IfNotPresent"),  # no name of an image: none is meant
        ("busybox:", "IfNotPresent"),
        ("host:5000/busybox", "Always"),
    ],
)
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert default_pull_policy(image) == policy


def test_such_a_pod_is_answered_over_http_too() -> None:
    async def scenario() -> None:
        call = await started()
        answer = await call("POST", PODS, json.dumps(labelled({"v": 5})).encode())
        assert answer.status == 400

    run(scenario())
