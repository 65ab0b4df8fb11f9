"""What may be written as a preset, and who is asked whether they may."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.client.support import started
from tests.webhook.reviews import asked, preset, response

from podward.admission.plugins.pod_preset.model import InvalidPreset, Mode, Preset
from podward.api.errors import field_invalid, field_required
from podward.client.api_client import ApiClient
from podward.client.base import Response, TransportError
from podward.simulate.virtual_loop import run
from podward.webhook import review, validation
from podward.webhook.access import SubjectAccessReviewer
from podward.webhook.presets import WEBHOOK_SCHEME
from podward.webhook.validation import AccessQuestion, Judgement

SETTINGS = ("settings.k8s.io", "v1alpha1", "podpresets")
OWN = ("podward.dev", "v1alpha1", "podpresets")
CLUSTER = ("podward.dev", "v1alpha1", "clusterpodpresets")
Json = dict[str, Any]


def document(spec: Any = None, **metadata: Any) -> Json:
    return {"metadata": {"name": "cal", **metadata}, "spec": spec or {"selector": {}}}


def reads(document: Mapping[str, Any], *, namespace: str) -> Preset:
    return preset(document["metadata"]["name"], namespace=namespace)


def refuses(document: Mapping[str, Any], *, namespace: str) -> Preset:
    errors = (field_required("spec.selector"), field_invalid("spec.env[0].name", "", "no name"))
    raise InvalidPreset(document["metadata"]["name"], errors, "PodPreset is invalid: [a, b]")


def judged(body: bytes, read: Any = reads, mode: Mode = "safe") -> Judgement:
    return validation.validate(review.read(body), mode, read=read)


def allowed(judgement: Judgement) -> bool:
    return bool(response(judgement.answer.body)["allowed"])


@pytest.mark.parametrize(
    ("resource", "api_version", "kind"),
    [
        (SETTINGS, "settings.k8s.io/v1alpha1", "PodPreset"),
        (OWN, "podward.dev/v1alpha1", "PodPreset"),
        (CLUSTER, "podward.dev/v1alpha1", "ClusterPodPreset"),
    ],
)
def test_the_resource_says_which_kind_is_read(
    resource: tuple[str, str, str], api_version: str, kind: str
) -> None:
    seen: list[tuple[Any, ...]] = []

    def read(document: Mapping[str, Any], *, namespace: str) -> Preset:
        seen.append((document["apiVersion"], document["kind"], namespace))
        return reads(document, namespace=namespace)

    assert allowed(judged(asked(document(), resource=resource), read))
    assert seen == [(api_version, kind, "edge")]


def test_an_invalid_preset_is_denied_with_every_field_that_is_wrong() -> None:
    judgement = judged(asked(document(), resource=OWN), refuses)
    status = response(judgement.answer.body)["status"]
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert status["message"] == "PodPreset is invalid: [a, b]"
    assert status["details"] == {
        "name": "cal", "group": "podward.dev", "kind": "PodPreset",
        "causes": [
            {"reason": "FieldValueRequired", "field": "spec.selector", "message": "Required value"},
            {"reason": "FieldValueInvalid", "field": "spec.env[0].name",
             "message": 'Invalid value: "": no name'},
        ],
    }  # fmt: skip
    assert judgement.access is None


def test_a_change_is_checked_as_a_new_one_is() -> None:
    body = asked(document({"env": []}), resource=OWN, operation="UPDATE", oldObject=document())
    assert not allowed(judged(body, refuses))


def test_what_is_stored_may_keep_its_spec_and_what_is_on_its_way_out_may_go() -> None:
    same = asked(
        document(labels={"a": "b"}), resource=OWN, operation="UPDATE", oldObject=document()
    )
    leaving = asked(
        document({"env": []}, deletionTimestamp="2026-01-01T00:00:00Z"), resource=OWN,
        operation="UPDATE", oldObject=document(),
    )  # fmt: skip
    for body in (same, leaving):
        assert allowed(judged(body, refuses))


@pytest.mark.parametrize(
    "request_",
    [
        {"resource": OWN, "operation": "DELETE"},
        {"resource": OWN, "operation": "UPDATE", "subResource": "status"},
        {"resource": ("", "v1", "pods")},
        {"resource": ("settings.k8s.io", "v1alpha1", "clusterpodpresets")},
    ],
    ids=str,
)
def test_everything_else_is_let_through(request_: Json) -> None:
    assert allowed(judged(asked(document(), **request_), refuses))


def test_a_name_that_is_still_to_be_drawn_counts_as_drawn() -> None:
    body = asked({"metadata": {"generateName": "cal-"}, "spec": {}}, resource=OWN)
    seen: list[str] = []

    def read(document: Mapping[str, Any], *, namespace: str) -> Preset:
        seen.append(document["metadata"]["name"])
        return reads(document, namespace=namespace)

    judged(body, read)
    assert seen == ["cal-xxxxx"]


def test_safe_mode_refuses_what_it_would_leave_out() -> None:
    def read(document: Mapping[str, Any], *, namespace: str) -> Preset:
        return preset("cal", problems=(field_invalid("metadata.name", "x", "too long"),))

    body = asked(document(), resource=SETTINGS)
    status = response(judged(body, read).answer.body)["status"]
    assert status["code"] == 422
    assert status["message"] == (
        'PodPreset.settings.k8s.io "cal" is invalid: metadata.name: Invalid value: "x": too long'
    )
    assert status["details"]["causes"] == [
        {"reason": "FieldValueInvalid", "field": "metadata.name",
         "message": 'Invalid value: "x": too long'},
    ]  # fmt: skip
    assert allowed(judged(body, read, "compat"))


PROBE = {"mode": "override", "value": {"tcpSocket": {"port": 1}}}


@pytest.mark.parametrize(
    ("resource", "spec", "why"),
    [
        (CLUSTER, {}, "every ClusterPodPreset"),
        (OWN, {"onConflict": "Override"}, "onConflict: Override"),
        (OWN, {"terminationGracePeriodSeconds": {"mode": "override"}},
         "mode: override of terminationGracePeriodSeconds"),
        (OWN, {"affinity": {"mode": "override"}}, "mode: override of affinity"),
        (OWN, {"containers": [{}, {"livenessProbe": PROBE}]}, "mode: override of livenessProbe"),
        (OWN, {"containers": [{"lifecycle": PROBE}]}, "mode: override of lifecycle"),
        (OWN, {"containers": [{"resources": PROBE}]}, "mode: override of resources"),
        (OWN, {"containers": [{"terminationMessagePolicy": PROBE}]},
         "mode: override of terminationMessagePolicy"),
        (OWN, {"onConflict": "KeepPod", "terminationGracePeriodSeconds": {"mode": "floor"}}, ""),
        (OWN, {"labels": {"mode": "override"}, "env": [{"name": "mode", "value": "override"}]}, ""),
        (SETTINGS, {"onConflict": "Override"}, ""),
    ],
)  # fmt: skip
def test_who_has_the_last_word_over_pods_of_others_must_be_allowed_to(
    resource: tuple[str, str, str], spec: Json, why: str
) -> None:
    access = judged(asked(document(spec), resource=resource)).access
    assert (access.why if access else "") == why
    if access is not None:
        assert (access.verb, access.group, access.resource) == ("override", *resource[::2])
        assert (access.namespace, access.name, access.user.username) == ("edge", "cal", "jane")


# ---- asking the cluster


class Server:
    """Answers one SubjectAccessReview."""

    def __init__(self, status: int, answer: Any) -> None:
        self.status, self.answer = status, answer
        self.asked: list[tuple[str, str, Any]] = []

    async def request(self, method: str, path: str, **rest: Any) -> Response:
        self.asked.append((method, path, json.loads(rest["body"])))
        if isinstance(self.answer, Exception):
            raise self.answer
        return Response(self.status, {}, json.dumps(self.answer).encode())

    def stream(self, path: str, **rest: Any) -> Any:
        raise NotImplementedError


def question() -> AccessQuestion:
    body = asked(
        document({"onConflict": "Override"}), resource=OWN,
        userInfo={"username": "jane", "uid": "1", "groups": ["devs"], "extra": {"k": ["v"]}},
    )  # fmt: skip
    found = judged(body).access
    assert found is not None
    return found


def refusal(server: Server) -> str:
    client = ApiClient(server, WEBHOOK_SCHEME)
    return run(SubjectAccessReviewer(client).refusal(question()))


def test_the_cluster_is_asked_in_the_writers_name() -> None:
    server = Server(201, {"spec": {}, "status": {"allowed": True}})
    assert refusal(server) == ""
    [(method, path, sent)] = server.asked
    assert (method, path) == ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews")
    assert sent["spec"] == {
        "user": "jane", "uid": "1", "groups": ["devs"], "extra": {"k": ["v"]},
        "resourceAttributes": {
            "group": "podward.dev", "version": "v1alpha1", "resource": "podpresets",
            "verb": "override", "namespace": "edge", "name": "cal",
        },
    }  # fmt: skip


NEEDS = 'user "jane" needs the verb "override" on podpresets.podward.dev, for onConflict: Override'


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (201, {"spec": {}, "status": {"allowed": False}}, NEEDS),
        (201, {"spec": {}, "status": {"allowed": False, "reason": "no rule"}}, f"{NEEDS}: no rule"),
        (201, {"spec": {}}, NEEDS),
        (403, {"kind": "Status", "code": 403, "message": "you may not ask"},
         f"{NEEDS}; whether it has that cannot be found out: you may not ask"),
        (200, TransportError("cut"), f"{NEEDS}; whether it has that cannot be found out: cut"),
    ],
)  # fmt: skip
def test_a_right_that_is_not_given_or_cannot_be_looked_up_is_none(
    status: int, answer: Any, said: str
) -> None:
    assert refusal(Server(status, answer)) == said


def test_a_server_without_that_api_has_nothing_to_forbid() -> None:
    missing = {"kind": "Status", "code": 404, "reason": "NotFound", "message": "none"}
    assert refusal(Server(404, missing)) == ""


def test_podwards_own_server_knows_who_may() -> None:
    async def main() -> str:
        api = await started()
        client = ApiClient(api.line, WEBHOOK_SCHEME)
        return await SubjectAccessReviewer(client).refusal(question())

    assert run(main()) == NEEDS


@pytest.mark.parametrize(
    ("resource", "obj", "field"),
    [
        (SETTINGS, document({"selector": {}, "volumeMounts": [{"name": "x", "mountPath": "/x"}]}),
         "spec.volumeMounts[0].name"),
        (SETTINGS, {**document({"selector": {}, "env": [{"name": "A"}]}),
                    "metadata": {"name": "n" * 54, "namespace": "edge"}}, "metadata.name"),
    ],
)  # fmt: skip
def test_the_rules_are_those_of_podwards_own_server(
    resource: tuple[str, str, str], obj: Json, field: str
) -> None:
    judgement = validation.validate(review.read(asked(obj, resource=resource)), "safe")
    status = response(judgement.answer.body)["status"]
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert field in [cause["field"] for cause in status["details"]["causes"]]
