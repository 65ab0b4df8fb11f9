"""What goes over the wire: the envelope that an API server checks, whatever the engine came to."""

import json
from typing import Any

import pytest
from tests.webhook.reviews import (
    EMPTY,
    admits,
    asked,
    conflict,
    operations,
    patched,
    pod,
    preset,
    response,
)

from podward.admission.plugins.pod_preset.model import Result
from podward.webhook import review
from podward.webhook.review import Admit, Answer, BadReview

SECRET = "hunter2"


def mutated(body: bytes, admit: Admit) -> Answer:
    return review.mutate(review.read(body), EMPTY, "safe", admit=admit)


def never(pod: Any) -> Result:
    raise AssertionError("the engine was asked")


def test_w01_nothing_to_do_is_an_answer_without_a_patch() -> None:
    answer = mutated(asked(), admits(lambda pod: Result(pod)))
    assert response(answer.body) == {"uid": "u-77", "allowed": True}
    assert (answer.outcome, answer.notice) == ("untouched", None)


def test_w07_uid_and_version_come_back() -> None:
    answer = mutated(asked(uid="other-uid"), admits(lambda pod: Result(pod)))
    assert list(json.loads(answer.body)) == ["apiVersion", "kind", "response"]
    assert response(answer.body)["uid"] == "other-uid"


def test_a_patch_is_base64_of_the_operations_and_the_audit_says_what_was_applied() -> None:
    patch = ({"op": "add", "path": "/metadata/annotations", "value": {"ü": "1"}},)
    applied = (
        preset("cal"),
        preset("health", origin="namespaced", resource_version="71"),
        preset("org", origin="cluster", namespace="", resource_version="9"),
    )
    answer = mutated(
        asked(), admits(lambda pod: Result(pod, patch, matched=applied, applied=applied))
    )
    assert operations(answer.body) == list(patch)
    assert patched(answer.body, pod())["metadata"]["annotations"] == {"ü": "1"}
    assert response(answer.body)["auditAnnotations"] == {
        "applied": "cal@70,podpreset.podward.dev/health@71,clusterpodpreset/org@9"
    }
    assert answer.outcome == "patched"


def test_w05_a_dry_run_with_a_conflict_warns_once_and_is_told_as_a_dry_run() -> None:
    clash = conflict("podpreset/cal: env TZ of app clashes with the Pod")
    result = admits(lambda pod: Result(pod, matched=(preset(),), conflicts=(clash, clash)))
    answer = mutated(asked(dryRun=True), result)
    said = response(answer.body)
    assert said["allowed"] is True
    assert said["warnings"] == [f"PodPreset: {clash.message}"]
    assert said["auditAnnotations"] == {"conflicts": "cal:app.env[TZ]"}
    assert answer.notice is not None
    assert answer.notice.dry_run


def test_a_notice_names_the_pod_as_far_as_it_is_known_and_who_made_it() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1",
             "controller": True}  # fmt: skip
    others = [{**owner, "name": "other", "controller": False}, owner]
    made = pod(generateName="web-", ownerReferences=others)
    found = admits(lambda pod: Result(pod, matched=(preset(),)))
    notice = mutated(asked(made), found).notice
    assert notice is not None
    assert (notice.namespace, notice.pod_name, notice.owner) == ("edge", "web-", owner)
    named = mutated(asked(pod(name="a"), name="a"), found).notice
    assert named is not None
    assert (named.pod_name, named.owner) == ("a", None)


def test_the_requests_namespace_counts_and_not_the_pods() -> None:
    seen: list[str] = []

    def admit(pod: Any, presets: Any, *, namespace: str, **_: Any) -> Result:
        seen.append(namespace)
        return Result(pod)

    mutated(asked(pod(namespace="elsewhere")), admit)
    mutated(asked(pod(), namespace=None), admit)
    assert seen == ["edge", ""]


def test_reject_and_compats_failure_deny_with_their_codes() -> None:
    refused = mutated(asked(), admits(lambda pod: Result(pod, rejected="preset x says no")))
    assert response(refused.body) == {
        "uid": "u-77", "allowed": False,
        "status": {"metadata": {}, "status": "Failure", "message": "preset x says no",
                   "reason": "Forbidden", "code": 403},
    }  # fmt: skip
    failed = mutated(
        asked(), admits(lambda pod: Result(pod, error="filtering pod presets failed: x"))
    )
    status = response(failed.body)["status"]
    assert (status["code"], status["reason"]) == (500, "")
    assert status["message"] == "filtering pod presets failed: x"
    assert (refused.outcome, failed.outcome) == ("denied", "failed")


@pytest.mark.parametrize(
    "request_",
    [
        {"operation": "UPDATE"},
        {"operation": "DELETE", "obj": None},
        {"operation": "CONNECT"},
        {"subResource": "binding"},
        {"subResource": "ephemeralcontainers"},
        {"resource": ("apps", "v1", "deployments")},
        {"resource": ("metrics.k8s.io", "v1", "pods")},
        {"resource": ("", "v1", "services")},
    ],
    ids=str,
)
def test_what_creates_no_pod_is_let_through_untouched(request_: dict[str, Any]) -> None:
    answer = mutated(asked(**request_), admits(never))
    assert response(answer.body) == {"uid": "u-77", "allowed": True}


BROKEN = json.loads(asked())


def without(**changes: Any) -> bytes:
    return json.dumps({**BROKEN, "request": {**BROKEN["request"], **changes}}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}',
        b'{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": null}',
        b"\xff\xfe",
        b"[" * 100_000,
        asked().replace(b"admission.k8s.io/v1", b"admission.k8s.io/v1beta1"),
        asked().replace(b"AdmissionReview", b"AdmissionRequest"),
        asked(uid=""),
        without(uid=None),
        without(resource="pods"),
        without(object=None),
        without(object=[]),
        without(object=SECRET),
        without(operation=7),
    ],
)
def test_what_is_no_review_is_refused_without_a_word_of_what_was_in_it(body: bytes) -> None:
    with pytest.raises(BadReview) as refused:
        mutated(body, admits(never))
    assert SECRET not in str(refused.value)
    assert len(str(refused.value)) < 200


def test_fields_that_are_null_or_unknown_are_as_if_they_were_not_there() -> None:
    body = without(
        subResource=None, name=None, dryRun=None, later={"new": True},
        userInfo={"username": "x", "groups": None, "extra": None},
    )  # fmt: skip
    assert response(mutated(body, admits(lambda pod: Result(pod))).body)["allowed"]


@pytest.mark.parametrize("count", [1, 5, 15, 16, 17, 40, 400])
def test_warnings_fit_into_what_an_api_server_hands_on(count: int) -> None:
    words = [f"{i}: " + "x" * 300 for i in range(count)]
    kept = review.limited(words)
    assert all(len(line) <= review.WARNING_LIMIT for line in kept)
    assert sum(map(len, kept)) <= review.WARNINGS_LIMIT
    told = [line for line in kept if "more of these" not in line]
    assert kept[: len(told)] == told
    left = int(kept[-1].split()[1]) if len(told) < len(kept) else 0
    assert len(told) + left == count
    assert len(told) >= min(count, 15)


def test_a_warning_is_one_line_and_said_once() -> None:
    assert review.limited(["a\n  b", "a b", "c"]) == ["a b", "c"]
