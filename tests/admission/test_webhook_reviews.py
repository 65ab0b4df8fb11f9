"""AdmissionReview v1: what is sent word by word, and how strictly an answer is read."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightkube.models import core_v1, meta_v1

from podward.admission.base import AdmissionRequest, Operation
from podward.admission.plugins.admission_webhooks.review import (
    AnswerError,
    BadPatch,
    Described,
    audit_annotations,
    operations_of,
    patched,
    read_answer,
)
from podward.api.scheme import SCHEME

POD = core_v1.Pod(
    metadata=meta_v1.ObjectMeta(name="web", namespace="edge"),
    spec=core_v1.PodSpec(containers=[core_v1.Container(name="app", image="busybox")]),
)
SHOWN = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "edge"},
    "spec": {"containers": [{"name": "app", "image": "busybox"}]},
    "status": {},
}


def request(
    operation: Operation = "CREATE", obj: Any = POD, old: Any = None, **fields: Any
) -> AdmissionRequest:
    told: dict[str, Any] = {
        "resource": SCHEME.of_type(core_v1.Pod), "subresource": "", "namespace": "edge",
        "name": "web", "user": "jane", "groups": ("dev", "system:authenticated"),
    } | fields  # fmt: skip
    return AdmissionRequest(operation=operation, object=obj, old_object=old, **told)


def question(asked: AdmissionRequest) -> Any:
    review = json.loads(Described(asked).question("u-77"))
    assert (review.pop("apiVersion"), review.pop("kind")) == (
        "admission.k8s.io/v1", "AdmissionReview",
    )  # fmt: skip
    assert list(review) == ["request"]
    return review["request"]


# ---- what is sent


def test_a_creation_word_by_word() -> None:
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    resource = {"group": "", "version": "v1", "resource": "pods"}
    sent = {"fieldManager": "kubectl-create"}
    assert question(request(options=sent)) == {
        "uid": "u-77",
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "name": "web",
        "namespace": "edge",
        "operation": "CREATE",
        "userInfo": {"username": "jane", "groups": ["dev", "system:authenticated"]},
        "object": SHOWN,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"} | sent,
    }


def test_a_name_to_be_made_up_is_no_name() -> None:
    assert "name" not in question(request(name=""))


def test_an_update_of_a_status() -> None:
    asked = question(request("UPDATE", old=POD, subresource="status", dry_run=True))
    assert (asked["subResource"], asked["requestSubResource"]) == ("status", "status")
    assert (asked["operation"], asked["dryRun"], asked["oldObject"]) == ("UPDATE", True, SHOWN)
    assert asked["options"]["kind"] == "UpdateOptions"


def test_a_deletion() -> None:
    asked = question(request("DELETE", None, POD, options={"gracePeriodSeconds": 3}))
    assert (asked["object"], asked["oldObject"]) == (None, SHOWN)
    assert asked["options"] == {
        "kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "gracePeriodSeconds": 3,
    }  # fmt: skip


def test_a_binding_is_what_the_scheduler_sent() -> None:
    binding = core_v1.Binding(
        metadata=meta_v1.ObjectMeta(name="web", namespace="edge"),
        target=core_v1.ObjectReference(kind="Node", name="n1"),
    )
    asked = question(request(obj=binding, subresource="binding"))
    assert asked["kind"]["kind"] == "Binding"
    assert asked["resource"]["resource"] == "pods"
    assert asked["object"] == {
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web", "namespace": "edge"},
        "target": {"kind": "Node", "name": "n1"},
    }  # fmt: skip


def test_a_connection() -> None:
    options = {"kind": "PodExecOptions", "apiVersion": "v1", "command": ["ls"]}
    asked = question(request("CONNECT", options, subresource="exec"))
    assert (asked["kind"]["kind"], asked["object"]) == ("PodExecOptions", options)
    assert (asked["oldObject"], asked["options"]) == (None, None)


def test_a_namespace_is_in_itself() -> None:
    space = core_v1.Namespace(metadata=meta_v1.ObjectMeta(name="edge"))
    row = SCHEME.of_type(core_v1.Namespace)
    asked = question(request(obj=space, resource=row, namespace="", name="edge"))
    assert (asked["name"], asked["namespace"]) == ("edge", "edge")
    node = core_v1.Node(metadata=meta_v1.ObjectMeta(name="n1"))
    row = SCHEME.of_type(core_v1.Node)
    assert "namespace" not in question(request(obj=node, resource=row, namespace="", name="n1"))


def test_conditions_speak_of_the_same_request_without_its_objects() -> None:
    variables = Described(request()).variables
    assert (variables["object"], variables["oldObject"]) == (SHOWN, None)
    assert variables["request"]["userInfo"]["username"] == "jane"
    assert not {"object", "oldObject", "uid"} & variables["request"].keys()


# ---- what is answered

GOOD = {"uid": "u-77", "allowed": True}
PATCH = base64.b64encode(b'[{"op":"remove","path":"/a"}]').decode()


def body(response: Any = GOOD, **review: Any) -> bytes:
    told = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
    return json.dumps(told | review).encode()


def test_it_is_allowed() -> None:
    verdict = read_answer(body(), "u-77", "x.y.z", mutating=True)
    assert (verdict.allowed, verdict.status, verdict.patch) == (True, None, b"")


def test_all_that_can_be_said() -> None:
    response = GOOD | {
        "patch": PATCH, "patchType": "JSONPatch", "warnings": ["a", "b"],
        "auditAnnotations": {"k": "v"}, "unknown": 1,
    }  # fmt: skip
    verdict = read_answer(body(response), "u-77", "x.y.z", mutating=True)
    assert verdict.patch == b'[{"op":"remove","path":"/a"}]'
    assert (verdict.warnings, verdict.audit) == (("a", "b"), {"k": "v"})


INVALID = "received invalid webhook response: "
FAILED = "failed to call webhook: "


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (body(None), INVALID + "webhook response was absent"),
        (b"{}", INVALID + "webhook response was absent"),
        (body({"allowed": True}), INVALID + 'expected response.uid="u-77", got ""'),
        (body(GOOD | {"uid": "x"}), INVALID + 'expected response.uid="u-77", got "x"'),
        (body(apiVersion="admission.k8s.io/v1beta1"), INVALID + "expected webhook response of "
         "admission.k8s.io/v1, Kind=AdmissionReview, got admission.k8s.io/v1beta1, Kind=AdmissionReview"),
        (body(apiVersion=None, kind=None), INVALID + "expected webhook response of "
         "admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind="),
        (body(GOOD | {"patch": PATCH}),
         INVALID + "webhook returned response.patch but not response.patchType"),
        (body(GOOD | {"patchType": "JSONPatch"}),
         INVALID + "webhook returned response.patchType but not response.patch"),
        (body(GOOD | {"patch": PATCH, "patchType": ""}),
         INVALID + 'webhook returned invalid response.patchType of ""'),
        (body(GOOD | {"patch": PATCH, "patchType": "Merge"}), 'unsupported patch type "Merge"'),
        (body(GOOD | {"patch": "%", "patchType": "JSONPatch"}),
         FAILED + "illegal base64 data in response.patch"),
        (body(GOOD | {"allowed": "yes"}), FAILED + "couldn't get version/kind; json parse error: "),
        (body(GOOD | {"warnings": "x"}), FAILED + "couldn't get version/kind; json parse error: "),
        (b"<html>", FAILED + "couldn't get version/kind; json parse error: "),
        (b"[]", FAILED + "couldn't get version/kind; json parse error: "),
        (b"\xff\xfe", FAILED + "couldn't get version/kind; json parse error: "),
    ],
)  # fmt: skip
def test_what_a_mutating_webhook_may_not_answer(answer: bytes, text: str) -> None:
    with pytest.raises(AnswerError) as caught:
        read_answer(answer, "u-77", "x.y.z", mutating=True)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"patch": PATCH, "patchType": "JSONPatch"}, "validating webhook may not return response.patch"),
        ({"patchType": "JSONPatch"}, "validating webhook may not return response.patchType"),
    ],
)  # fmt: skip
def test_a_validating_webhook_changes_nothing(more: dict[str, Any], text: str) -> None:
    with pytest.raises(AnswerError) as caught:
        read_answer(body(GOOD | more), "u-77", "x.y.z", mutating=False)
    assert str(caught.value) == INVALID + text


@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["response", "uid", "allowed", "status", "patch", "kind", "code"]), inner
    ), max_leaves=8,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_answer_is_a_verdict_or_an_error(answer: bytes) -> None:
    try:
        read_answer(answer, "u-77", "x.y.z", mutating=True)
    except AnswerError:
        pass


# ---- denials

DENIED = 'admission webhook "x.y.z" denied the request'


@pytest.mark.parametrize(
    ("status", "message", "reason", "code"),
    [
        (None, f"{DENIED} without explanation", None, 400),
        ({}, f"{DENIED} without explanation", None, 400),
        ({"message": "no"}, f"{DENIED}: no", None, 400),
        ({"reason": "Forbidden"}, f"{DENIED}: Forbidden", "Forbidden", 400),
        ({"message": "no", "reason": "Forbidden", "code": 403}, f"{DENIED}: no", "Forbidden", 403),
        ({"message": "no", "code": 200}, f"{DENIED}: no", None, 400),
        ({"message": "no", "code": 418}, f"{DENIED}: no", None, 418),
        ({"message": "no", "code": 1234}, f"{DENIED}: no", None, 400),
        ({"message": "no", "status": "Success"}, f"{DENIED}: no", None, 400),
    ],
)
def test_a_denial_keeps_the_webhooks_words(
    status: Any, message: str, reason: str | None, code: int
) -> None:
    response = {"uid": "u-77", "allowed": False, "status": status}
    verdict = read_answer(body(response), "u-77", "x.y.z", mutating=True)
    told = verdict.status
    assert told is not None
    assert (told.message, told.reason, told.code) == (message, reason, code)
    assert told.status == "Failure"


def test_not_to_say_that_it_is_allowed_is_a_denial() -> None:
    assert not read_answer(body({"uid": "u-77"}), "u-77", "x.y.z", mutating=True).allowed


def test_details_of_a_denial_are_handed_on() -> None:
    details = {"name": "web", "kind": "pods", "causes": [{"field": "spec", "message": "no"}]}
    response = {"uid": "u-77", "allowed": False, "status": {"details": details}}
    told = read_answer(body(response), "u-77", "x.y.z", mutating=True).status
    assert told is not None
    assert told.details is not None
    assert told.details.to_dict() == details


def test_audit_annotations_are_kept_below_the_webhooks_name() -> None:
    given_ = {"a": "1", "b/c": "2", "no no": "3", "": "4"}
    assert audit_annotations("x.y.z", given_) == ({"x.y.z/a": "1"}, ["b/c", "no no", ""])


# ---- patches

DOCUMENT = {"metadata": {"name": "web"}, "spec": {"list": [1, 2]}}


@pytest.mark.parametrize("patch", [b"", b"[]", b" [] "])
def test_no_operations(patch: bytes) -> None:
    assert operations_of(patch) == []


@pytest.mark.parametrize("patch", [b"{}", b"no", b"\xff", b'"x"'])
def test_what_is_no_patch(patch: bytes) -> None:
    with pytest.raises(BadPatch, match=r"^received undecodable patch in webhook response: "):
        operations_of(patch)


def test_a_patch_changes_a_copy() -> None:
    before = json.dumps(DOCUMENT)
    changed = patched(DOCUMENT, [{"op": "add", "path": "/spec/list/-", "value": 3}])
    assert changed["spec"]["list"] == [1, 2, 3]
    assert json.dumps(DOCUMENT) == before


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        ({"op": "add", "path": "/metadata/labels/a", "value": ""},
         'add operation does not apply: doc is missing path: "/metadata/labels/a": missing value'),
        ({"op": "remove", "path": "/spec/none"},
         'remove operation does not apply: doc is missing path: "/spec/none": missing value'),
        ({"op": "replace", "path": "/spec/list/7", "value": 1},
         'replace operation does not apply: doc is missing path: "/spec/list/7": missing value'),
        ({"op": "test", "path": "/spec/list", "value": 1}, "testing value /spec/list failed: test failed"),
        ({"op": "merge", "path": "/spec"}, "Unexpected kind: merge"),
        ("x", "an operation of the patch is not an object"),
    ],
)  # fmt: skip
def test_a_patch_that_does_not_fit_says_where(operation: Any, text: str) -> None:
    good = {"op": "add", "path": "/spec/x", "value": "secret"}
    with pytest.raises(BadPatch) as caught:
        patched(DOCUMENT, [good, operation])
    assert str(caught.value) == text


@given(st.lists(st.fixed_dictionaries({}, optional={
    "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]) | st.none(),
    "path": st.sampled_from(["", "/", "/spec", "/spec/list/-", "/spec/list/9", "/a/b", "x"]) | st.integers(),
    "from": st.sampled_from(["", "/spec", "/spec/list/0", "/none"]) | st.none(),
    "value": st.none() | st.integers(),
}) | st.integers(), max_size=3))  # fmt: skip
def test_any_operations_fit_or_are_an_error(operations: list[Any]) -> None:
    try:
        patched(DOCUMENT, operations)
    except BadPatch:
        pass
