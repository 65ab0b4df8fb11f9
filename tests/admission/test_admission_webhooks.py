"""The API server asks webhooks: who is asked, when, with what, and what becomes of the answers."""

import asyncio
import json
import logging
from typing import Any

import msgspec
import pytest
from lightkube.models import core_v1
from tests.admission.webhook_support import (
    MUTATING,
    VALIDATING,
    Behaviour,
    Json,
    Outside,
    after,
    answer,
    configure,
    failing,
    labelling,
    patch,
    patching,
    rule,
    serving,
    webhook,
)
from tests.apiserver.support import PODS, Caller, pod

from podward.admission.base import AdmissionPlugin, AdmissionRequest
from podward.admission.plugins.pod_preset.plugin import PodPreset
from podward.api.scheme import SCHEME
from podward.apiserver.registry import WriteOptions
from podward.machinery.http_client import HttpAnswer
from podward.simulate.virtual_loop import run
from podward.store.memory import MemoryStore

MERGE = {"content-type": "application/merge-patch+json"}
DENIED = 'admission webhook "{}.example.org" denied the request: {}'


def denying(message: str = "no", **status: Any) -> Behaviour:
    return lambda request: answer(request, allowed=False, status={"message": message} | status)


def warning(*texts: str) -> Behaviour:
    return lambda request: answer(request, warnings=list(texts))


def allowing(request: Json) -> HttpAnswer:
    return answer(request)


def labelled(**labels: str) -> Json:
    made = pod()
    made["metadata"]["labels"] = labels
    return made


async def created(api: Caller, body: Json | None = None, **query: str) -> Json:
    got = await api("POST", PODS, body or pod(), query=query)
    assert got.status == 201, got.body
    made: Json = got.json
    return made


async def refused(api: Caller, body: Json | None = None, **query: str) -> tuple[int, str, str]:
    """(code, reason, message); nothing was stored."""
    got = await api("POST", PODS, body or pod(), query=query)
    assert (await api("GET", PODS)).json["items"] == []
    status = got.json
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", got.status)
    return got.status, status.get("reason", ""), status["message"]


# ---- who is asked, and when


def test_one_after_the_other_by_configuration_then_as_listed() -> None:
    async def main() -> None:
        outside = Outside(a=labelling("a"), b=labelling("b"), c=labelling("c"))
        api = await serving(outside)
        await configure(api, "second", webhook("a"))
        await configure(api, "first", webhook("c"), webhook("b"))
        made = await created(api)
        assert outside.hosts == ["c", "b", "a"]
        seen = [request["object"]["metadata"].get("labels") for _, request in outside.asked]
        assert seen == [None, {"c": "yes"}, {"c": "yes", "b": "yes"}]
        assert made["metadata"]["labels"] == {"a": "yes", "b": "yes", "c": "yes"}

    run(main())


def test_a_configuration_counts_from_the_moment_it_is_written() -> None:
    async def main() -> None:
        outside = Outside(a=allowing, b=allowing)
        api = await serving(outside)
        await created(api, pod("one"))
        await configure(api, "x", webhook("a"))
        await created(api, pod("two"))
        assert outside.hosts == ["a"]
        other = {"webhooks": [webhook("b")]}
        assert (await api("PATCH", f"{MUTATING}/x", other, headers=MERGE)).status == 200
        await created(api, pod("three"))
        assert outside.hosts == ["a", "b"]
        await api("DELETE", f"{MUTATING}/x")
        await created(api, pod("four"))
        assert outside.hosts == ["a", "b"]

    run(main())


def test_configurations_themselves_are_never_sent() -> None:
    """A broken one can always be removed."""

    async def main() -> None:
        outside = Outside(a=failing())
        api = await serving(outside)
        everything = webhook("a", rules=[rule("*/*", group="*")])
        for path in (MUTATING, VALIDATING):
            await configure(api, "x", everything, path=path)
        assert (await refused(api))[0] == 500
        for path in (MUTATING, VALIDATING):
            more = {"metadata": {"labels": {"a": "b"}}}
            assert (await api("PATCH", f"{path}/x", more, headers=MERGE)).status == 200
            assert (await api("DELETE", f"{path}/x")).status == 200
        asked = len(outside.asked)
        await created(api)
        assert len(outside.asked) == asked

    run(main())


def test_every_resource_and_operation_is_sent_to_who_asks_for_it() -> None:
    async def main() -> None:
        outside = Outside(m=allowing, v=allowing)
        api = await serving(outside)
        await configure(api, "x", webhook("m", rules=[rule("*/*", group="*")]))
        await configure(api, "x", webhook("v", rules=[rule("*/*", group="*")]), path=VALIDATING)
        await created(api)
        node = {"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "n1"}}
        await api("POST", f"{PODS}/web/binding", node)
        status = {"status": {"phase": "Running"}}
        await api("PATCH", f"{PODS}/web/status", status, headers=MERGE)
        await api("DELETE", f"{PODS}/web")
        event = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "web"}}
        await api("POST", "/api/v1/namespaces/default/events", event)
        told = [
            (host, r["operation"], r["resource"]["resource"], r.get("subResource", ""))
            for host, r in outside.asked
        ]
        assert told == [
            ("m", "CREATE", "pods", ""), ("v", "CREATE", "pods", ""),
            ("v", "CREATE", "pods", "binding"),
            ("m", "UPDATE", "pods", "status"), ("v", "UPDATE", "pods", "status"),
            ("m", "DELETE", "pods", ""), ("v", "DELETE", "pods", ""),
            ("m", "CREATE", "events", ""), ("v", "CREATE", "events", ""),
        ]  # fmt: skip
        binding = outside.asked[2][1]
        assert (binding["kind"]["kind"], binding["name"]) == ("Binding", "web")
        assert binding["object"]["target"] == {"kind": "Node", "name": "n1"}
        deletion = outside.asked[5][1]
        assert (deletion["object"], deletion["oldObject"]["kind"]) == (None, "Pod")

    run(main())


def test_a_made_up_name_is_known_to_those_that_come_after_it() -> None:
    async def main() -> None:
        outside = Outside(m=allowing, v=allowing)
        api = await serving(outside)
        await configure(api, "x", webhook("m"))
        await configure(api, "x", webhook("v"), path=VALIDATING)
        body = pod()
        body["metadata"] = {"generateName": "web-"}
        made = await created(api, body)
        (_, first), (_, second) = outside.asked
        assert "name" not in first
        assert "name" not in first["object"]["metadata"]
        assert first["object"]["metadata"]["generateName"] == "web-"
        assert first["namespace"] == first["object"]["metadata"]["namespace"] == "default"
        assert second["name"] == second["object"]["metadata"]["name"] == made["metadata"]["name"]

    run(main())


def test_the_object_is_shown_completed_and_the_request_with_its_author() -> None:
    async def main() -> None:
        outside = Outside(a=allowing)
        api = await serving(outside)
        await configure(api, "x", webhook("a"))
        await created(api, fieldManager="me", dryRun="All")
        ((_, asked),) = outside.asked
        assert asked["object"]["spec"]["restartPolicy"] == "Always"
        assert asked["userInfo"] == {"username": "system:podward", "groups": ["system:masters"]}
        assert asked["options"] == {
            "kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me",
            "dryRun": ["All"],
        }  # fmt: skip
        assert asked["dryRun"] is True
        assert (await api("GET", PODS)).json["items"] == []

    run(main())


def test_how_it_is_asked() -> None:
    async def main() -> None:
        outside = Outside(a=allowing)
        api = await serving(outside)
        await configure(api, "x", webhook("a", timeoutSeconds=3))
        await created(api)
        assert outside.urls == ["https://a.example.org/review?timeout=3s"]
        assert outside.headers[0]["Content-Type"] == "application/json"
        assert outside.headers[0]["Idempotency-Key"] == outside.asked[0][1]["uid"]

    run(main())


# ---- selectors and conditions


def test_the_labels_of_the_namespace_choose() -> None:
    async def main() -> None:
        outside = Outside(a=allowing)
        api = await serving(outside)
        selector = {"matchLabels": {"preset": "on"}}
        rules = [rule("*", operations=["CREATE", "UPDATE", "DELETE"])]
        await configure(api, "x", webhook("a", namespaceSelector=selector, rules=rules))
        await created(api)
        assert outside.hosts == []
        spaces = "/api/v1/namespaces"
        one = {"metadata": {"name": "edge", "labels": {"preset": "on"}}}
        assert (
            await api("POST", spaces, one)
        ).status == 201  # its own labels, though not stored yet
        assert (await api("POST", f"{spaces}/edge/pods", pod())).status == 201
        node = {"metadata": {"name": "n1"}}
        assert (await api("POST", "/api/v1/nodes", node)).status == 201  # never exempted
        off = {"metadata": {"labels": {"preset": "off"}}}
        assert (await api("PATCH", f"{spaces}/edge", off, headers=MERGE)).status == 200
        assert (await api("POST", f"{spaces}/edge/pods", pod("two"))).status == 201
        assert [r["resource"]["resource"] for _, r in outside.asked] == [
            "namespaces", "pods", "nodes",
        ]  # fmt: skip

    run(main())


def test_the_labels_of_the_object_choose_before_or_after_the_change() -> None:
    async def main() -> None:
        outside = Outside(a=allowing)
        api = await serving(outside)
        selector = {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}
        await configure(api, "x", webhook("a", objectSelector=selector, rules=[rule("pods")]))
        await created(api, pod("plain"))
        assert outside.hosts == []
        await created(api, labelled(tier="web"))
        off: Json = {"metadata": {"labels": {"tier": None}}}
        await api("PATCH", f"{PODS}/web", off, headers=MERGE)
        assert outside.hosts == ["a", "a"]
        await api("PATCH", f"{PODS}/web", {"metadata": {"labels": {"x": "y"}}}, headers=MERGE)
        assert outside.hosts == ["a", "a"]

    run(main())


@pytest.mark.parametrize(
    ("expression", "policy", "asked"),
    [
        ("object.metadata.name == 'web'", "Fail", True),
        ("request.userInfo.username == 'jane'", "Fail", False),
        ("oldObject == null && request.operation == 'CREATE'", "Fail", True),
        ("object.metadata.annotations['a'] == 'b'", "Ignore", False),
    ],
)
def test_conditions_choose(expression: str, policy: str, asked: bool) -> None:
    async def main() -> None:
        outside = Outside(a=allowing)
        api = await serving(outside)
        conditions = [{"name": "c", "expression": expression}]
        await configure(api, "x", webhook("a", matchConditions=conditions, failurePolicy=policy))
        await created(api)
        assert outside.hosts == ["a"] * asked

    run(main())


def test_a_condition_without_a_value_refuses_the_request_unless_it_is_to_be_ignored() -> None:
    async def main() -> None:
        outside = Outside(a=allowing)
        api = await serving(outside)
        conditions = [{"name": "c", "expression": "object.metadata.uid == 'x'"}]
        await configure(api, "x", webhook("a", matchConditions=conditions))
        code, reason, message = await refused(api)
        assert (code, reason) == (403, "Forbidden")
        assert message == (
            "pods \"web\" is forbidden: expression 'object.metadata.uid == 'x'' resulted in error: no such "
            "key: uid"
        )
        assert outside.hosts == []

    run(main())


# ---- patches


def test_what_comes_back_is_completed_again() -> None:
    async def main() -> None:
        proxy = {"name": "proxy", "image": "envoy", "livenessProbe": {"httpGet": {"port": 80}}}
        outside = Outside(a=patching({"op": "add", "path": "/spec/containers/-", "value": proxy}))
        api = await serving(outside)
        await configure(api, "x", webhook("a"))
        made = (await created(api))["spec"]["containers"][1]
        assert made["imagePullPolicy"] == "Always"
        assert made["livenessProbe"]["periodSeconds"] == 10
        assert made["livenessProbe"]["httpGet"] == {"path": "/", "port": 80, "scheme": "HTTP"}

    run(main())


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({"op": "add", "path": "/metadata/labels/a", "value": "b"},
         'add operation does not apply: doc is missing path: "/metadata/labels/a": missing value'),
        ({"op": "replace", "path": "/spec/containers", "value": "none"}, "Pod in version \"v1\" cannot be "
         "handled as a Pod: json: cannot unmarshal string into Go struct field PodSpec.spec.containers of "
         "type []"),
        ({"op": "replace", "path": "/kind", "value": "Node"}, "the API version in the data (v1) or its kind "
         "(Node) does not match the expected API version (v1) and kind (Pod)"),
        ({"op": "replace", "path": "", "value": None}, "couldn't get version/kind; json parse error: not an "
         "object: None"),
    ],
)  # fmt: skip
def test_a_patch_that_does_not_fit_is_an_error_whatever_the_policy(
    policy: str, operation: Json, message: str
) -> None:
    async def main() -> None:
        api = await serving(Outside(a=patching(operation)))
        await configure(api, "x", webhook("a", failurePolicy=policy))
        expected = (500, "InternalError", f"Internal error occurred: {message}")
        assert await refused(api) == expected

    run(main())


def test_a_patch_that_cannot_be_read_is_an_error_whatever_the_policy() -> None:
    async def main() -> None:
        def behave(request: Json) -> HttpAnswer:
            return answer(request, patchType="JSONPatch", patch="bm8=")

        api = await serving(Outside(a=behave))
        await configure(api, "x", webhook("a", failurePolicy="Ignore"))
        code, _, message = await refused(api)
        assert code == 500
        assert message.startswith(
            "Internal error occurred: received undecodable patch in webhook response: "
        )

    run(main())


def test_a_patch_may_make_an_object_invalid_and_that_is_said() -> None:
    async def main() -> None:
        bad = {"op": "add", "path": "/spec/restartPolicy", "value": "Sometimes"}
        api = await serving(Outside(a=patching(bad)))
        await configure(api, "x", webhook("a"))
        code, reason, message = await refused(api)
        assert (code, reason) == (422, "Invalid")
        assert "spec.restartPolicy: Unsupported value" in message

    run(main())


def test_a_webhook_may_not_do_what_no_client_may() -> None:
    async def main() -> None:
        outside = Outside(
            a=patching({"op": "add", "path": "/status/phase", "value": "Succeeded"}),
            b=patching({"op": "replace", "path": "/metadata/namespace", "value": "other"}),
            c=patching({"op": "replace", "path": "/metadata/name", "value": "other"}),
        )
        api = await serving(outside)
        await configure(api, "b", webhook("b"))
        assert (await refused(api))[0] == 400
        await api("DELETE", f"{MUTATING}/b")
        await created(api)
        await configure(api, "a", webhook("a", rules=[rule("pods", operations=["UPDATE"])]))
        label = {"metadata": {"labels": {"a": "b"}}}
        changed = (await api("PATCH", f"{PODS}/web", label, headers=MERGE)).json
        assert changed["metadata"]["labels"] == {"a": "b"}
        assert changed["status"]["phase"] == "Pending"
        await configure(api, "c", webhook("c", rules=[rule("pods", operations=["UPDATE"])]))
        other = {"metadata": {"labels": {"a": "c"}}}
        assert (await api("PATCH", f"{PODS}/web", other, headers=MERGE)).status == 400

    run(main())


def test_a_status_can_be_patched_where_it_is_written() -> None:
    async def main() -> None:
        outside = Outside(a=patching({"op": "add", "path": "/status/message", "value": "seen"}))
        api = await serving(outside)
        await configure(api, "a", webhook("a", rules=[rule("pods/status")]))
        await created(api)
        running = {"status": {"phase": "Running"}}
        got = (await api("PATCH", f"{PODS}/web/status", running, headers=MERGE)).json
        assert (got["status"]["phase"], got["status"]["message"]) == ("Running", "seen")

    run(main())


def test_there_is_nothing_to_change_in_a_deletion() -> None:
    async def main() -> None:
        outside = Outside(a=patching({"op": "add", "path": "/x", "value": 1}), b=patching())
        api = await serving(outside)
        await created(api)
        await configure(api, "a", webhook("b", rules=[rule("pods", operations=["DELETE"])]),
                        webhook("a", rules=[rule("pods", operations=["DELETE"])]))  # fmt: skip
        got = await api("DELETE", f"{PODS}/web", gracePeriodSeconds="0")
        assert (got.status, got.json["message"]) == (
            500,
            'Internal error occurred: admission webhook "a.example.org" attempted to modify the object, '
            "which is not supported for this operation",
        )
        assert (await api("GET", f"{PODS}/web")).status == 200
        options = outside.asked[-1][1]["options"]
        assert options["gracePeriodSeconds"] == 0

    run(main())


# ---- failures


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (failing("connection refused"),
         'failed to call webhook: Post "https://a.example.org/review?timeout=2s": connection refused'),
        (after(60, allowing),
         'failed to call webhook: Post "https://a.example.org/review?timeout=2s": context deadline exceeded'),
        (lambda request: HttpAnswer(404, {}, b""),
         "failed to call webhook: the server could not find the requested resource"),
        (lambda request: HttpAnswer(500, {"content-type": "text/plain; charset=utf-8"}, b"oh \"no\"\n"),
         'failed to call webhook: an error on the server ("oh \\"no\\"") has prevented the request from '
         "succeeding"),
        (lambda request: HttpAnswer(502, {}, b"<html>"),
         'failed to call webhook: an error on the server ("unknown") has prevented the request from '
         "succeeding"),
        (lambda request: HttpAnswer(503, {}, b'{"kind":"Status","message":"not yet"}'),
         "failed to call webhook: not yet"),
        (lambda request: HttpAnswer(503, {}, b'{"kind":"Status","message":1}'),
         "failed to call webhook: the server is currently unable to handle the request"),
        (lambda request: HttpAnswer(302, {}, b""), "failed to call webhook: the server responded with the "
         "status code 302 but did not return more information"),
        (lambda request: HttpAnswer(403, {"content-type": "text/plain"}, b"go away"),
         "failed to call webhook: go away"),
        (lambda request: HttpAnswer(200, {"content-type": "text/x"}, b""),
         "failed to call webhook: 0-length response with status code: 200 and content type: text/x"),
        (lambda request: answer(request, uid="other"), None),
        (lambda request: HttpAnswer(200, {}, b"no json"), None),
    ],
)  # fmt: skip
def test_a_call_that_fails_is_what_the_policy_says(
    behaviour: Behaviour, reason: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        outside = Outside(a=behaviour, b=labelling("b"))
        api = await serving(outside)
        await configure(api, "x", webhook("a", timeoutSeconds=2), webhook("b"))
        code, told, message = await refused(api)
        assert (code, told) == (500, "InternalError")
        start = 'Internal error occurred: failed calling webhook "a.example.org": '
        assert message.startswith(start)
        if reason is not None:
            assert message == start + reason
        assert outside.hosts == ["a"]
        open_ = {"webhooks": [webhook("a", timeoutSeconds=2, failurePolicy="Ignore"), webhook("b")]}
        await api("PATCH", f"{MUTATING}/x", open_, headers=MERGE)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert (await created(api))["metadata"]["labels"] == {"b": "yes"}
        assert outside.hosts == ["a", "a", "b"]
        assert 'failed calling webhook "a.example.org": ' in caplog.text

    run(main())


def test_a_webhook_has_the_time_it_is_given() -> None:
    async def main() -> float:
        outside = Outside(a=after(4.5, allowing), b=after(60, allowing))
        api = await serving(outside)
        await configure(
            api, "x", webhook("a", timeoutSeconds=5), webhook("b", failurePolicy="Ignore")
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        await created(api)
        return loop.time() - began

    assert run(main()) == pytest.approx(4.5 + 10)


def test_a_service_cannot_be_reached_and_that_is_said_early() -> None:
    async def main() -> None:
        api = await serving(Outside())
        service = {"namespace": "edge", "name": "hook", "path": "/mutate"}
        hook = webhook("a", clientConfig={"service": service})
        body = {"metadata": {"name": "x"}, "webhooks": [hook]}
        made = await api("POST", MUTATING, body)
        assert "Podward serves no Services" in made.headers["warning"]
        code, _, message = await refused(api)
        assert (code, message) == (
            500,
            'Internal error occurred: failed calling webhook "a.example.org": failed to call webhook: Post '
            '"https://hook.edge.svc:443/mutate?timeout=10s": service "hook" not found: Podward serves no '
            "Services, give a url",
        )

    run(main())


# ---- denials and warnings


@pytest.mark.parametrize("path", [MUTATING, VALIDATING])
def test_a_denial_is_the_answer_whatever_the_policy(path: str) -> None:
    async def main() -> None:
        outside = Outside(a=denying("no latest", code=403, reason="Forbidden"), b=allowing)
        api = await serving(outside)
        await configure(api, "x", webhook("a", failurePolicy="Ignore"), webhook("b"), path=path)
        expected = (403, "Forbidden", DENIED.format("a", "no latest"))
        assert await refused(api) == expected
        assert outside.hosts == (["a"] if path == MUTATING else ["a", "b"])
        assert await refused(api, dryRun="All") == expected

    run(main())


def test_warnings_come_to_the_client() -> None:
    async def main() -> None:
        outside = Outside(m=warning("old field", "old field"), v=warning("slow"))
        api = await serving(outside)
        await configure(api, "x", webhook("m"))
        await configure(api, "x", webhook("v"), path=VALIDATING)
        got = await api("POST", PODS, pod())
        assert got.headers["warning"] == '299 - "old field", 299 - "slow"'

    run(main())


def test_audit_annotations_go_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        def behave(request: Json) -> HttpAnswer:
            return answer(request, auditAnnotations={"applied": "cal@70", "no/good": "x"})

        api = await serving(Outside(a=behave))
        await configure(api, "x", webhook("a"))
        await created(api)

    with caplog.at_level(logging.INFO):
        run(main())
    assert '{"a.example.org/applied":"cal@70"}' in caplog.text
    assert "['no/good']" in caplog.text


# ---- validating


def test_validating_webhooks_are_asked_at_once_and_see_the_end() -> None:
    async def main() -> float:
        outside = Outside(m=labelling("m"), v=after(4, allowing), w=after(5, allowing))
        api = await serving(outside)
        await configure(api, "x", webhook("v"), webhook("w"), path=VALIDATING)
        await configure(api, "z", webhook("m"))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await created(api)
        assert outside.hosts == ["m", "v", "w"]
        assert len({request["uid"] for _, request in outside.asked}) == 3
        for _, request in outside.asked[1:]:
            metadata = request["object"]["metadata"]
            assert (metadata["labels"], bool(metadata["uid"])) == ({"m": "yes"}, True)
        return loop.time() - began

    assert run(main()) == pytest.approx(5)


def test_the_first_in_order_that_refuses_is_obeyed_and_all_are_heard() -> None:
    async def main() -> None:
        outside = Outside(
            v=after(3, denying("slow")), w=denying("quick"), x=warning("heard"), y=failing()
        )
        api = await serving(outside)
        hooks = [webhook("x"), webhook("v"), webhook("w"), webhook("y", failurePolicy="Ignore")]
        await configure(api, "x", *hooks, path=VALIDATING)
        assert await refused(api) == (400, "", DENIED.format("v", "slow"))
        await api("DELETE", f"{VALIDATING}/x")
        await configure(api, "x", webhook("x"), webhook("y"), path=VALIDATING)
        assert (await refused(api))[:2] == (500, "InternalError")

    run(main())


def test_a_validating_webhook_that_sends_a_patch_has_failed() -> None:
    async def main() -> None:
        outside = Outside(v=patching({"op": "remove", "path": "/spec"}))
        api = await serving(outside)
        await configure(api, "x", webhook("v"), path=VALIDATING)
        code, _, message = await refused(api)
        assert code == 500
        assert message.endswith("validating webhook may not return response.patch")

    run(main())


# ---- the second round


class EnvAdder(AdmissionPlugin):
    """As a preset does: every container that has not got it yet gets a variable."""

    def __init__(self) -> None:
        self.calls = 0

    async def mutate(self, request: AdmissionRequest) -> Any:
        if not request.is_pod_creation():
            return request.object
        self.calls += 1
        spec = request.object.spec
        containers = [
            container
            if container.env
            else msgspec.structs.replace(container, env=[core_v1.EnvVar("TZ", "UTC")])
            for container in spec.containers
        ]
        return msgspec.structs.replace(
            request.object, spec=msgspec.structs.replace(spec, containers=containers)
        )


def sidecar(request: Json) -> HttpAnswer:
    names = [container["name"] for container in request["object"]["spec"]["containers"]]
    if "proxy" in names:
        return answer(request)
    proxy = {"name": "proxy", "image": "envoy"}
    return answer(request, **patch({"op": "add", "path": "/spec/containers/-", "value": proxy}))


def counting(request: Json) -> HttpAnswer:
    """Changes the object each time: what no good webhook does."""
    annotations = request["object"]["metadata"].get("annotations") or {}
    value = {"n": str(int(annotations.get("n", "0")) + 1)}
    return answer(request, **patch({"op": "add", "path": "/metadata/annotations", "value": value}))


def test_a_container_that_a_webhook_brings_gets_what_the_plug_ins_give() -> None:
    """spec/podpreset.md W09, with a plug-in in the preset's place."""

    async def main() -> None:
        outside, presets = Outside(a=sidecar), EnvAdder()
        api = await serving(outside, [presets])
        await configure(api, "x", webhook("a"))
        app, proxy = (await created(api))["spec"]["containers"]
        assert (app["name"], app["env"]) == ("app", [{"name": "TZ", "value": "UTC"}])
        assert (proxy["name"], proxy["env"]) == ("proxy", [{"name": "TZ", "value": "UTC"}])
        assert presets.calls == 2
        assert outside.hosts == ["a"]  # reinvocationPolicy Never

    run(main())


def test_a_container_that_a_webhook_brings_is_preset_too() -> None:
    """The same with the preset engine: spec/podpreset.md W09."""

    async def main() -> None:
        api = await serving(Outside(a=sidecar), [PodPreset()])
        await configure(api, "x", webhook("a"))
        preset = {"metadata": {"name": "cal"}, "spec": {"env": [{"name": "TZ", "value": "UTC"}]}}
        presets = "/apis/settings.k8s.io/v1alpha1/namespaces/default/podpresets"
        assert (await api("POST", presets, preset)).status == 201
        made = await created(api)
        environments = {c["name"]: c["env"] for c in made["spec"]["containers"]}
        zone = [{"name": "TZ", "value": "UTC"}]
        assert environments == {"app": zone, "proxy": zone}
        assert "podpreset.admission.kubernetes.io/podpreset-cal" in made["metadata"]["annotations"]

    run(main())


def test_without_a_change_there_is_no_second_round() -> None:
    async def main() -> None:
        same = {"op": "replace", "path": "/metadata/name", "value": "web"}
        outside, presets = Outside(a=patching(same), b=patching(), c=allowing), EnvAdder()
        api = await serving(outside, [presets])
        hooks = [webhook(name, reinvocationPolicy="IfNeeded") for name in "abc"]
        await configure(api, "x", *hooks)
        await created(api)
        assert (outside.hosts, presets.calls) == (["a", "b", "c"], 1)

    run(main())


@pytest.mark.parametrize(
    ("hooks", "asked"),
    [
        # Asked again: who said IfNeeded, and was asked before another changed the object.
        ([("allow", "IfNeeded"), ("label", "Never")], "allow label allow"),
        ([("allow", "Never"), ("label", "Never")], "allow label"),
        ([("label", "IfNeeded"), ("allow", "IfNeeded")], "label allow"),
        ([("label", "Never"), ("allow", "IfNeeded"), ("sidecar", "Never")],
         "label allow sidecar allow"),
        # Its own change is no reason to ask it again, nobody else having come after it.
        ([("label", "IfNeeded")], "label"),
        # No third round, however much the second changes.
        ([("count", "IfNeeded"), ("label", "Never")], "count label count"),
        ([("count", "IfNeeded"), ("label", "IfNeeded")], "count label count label"),
        ([("count", "IfNeeded"), ("recount", "IfNeeded")], "count recount count recount"),
    ],
)  # fmt: skip
def test_who_is_asked_again(hooks: list[tuple[str, str]], asked: str) -> None:
    async def main() -> None:
        outside = Outside(
            allow=allowing, label=labelling("x"), sidecar=sidecar, count=counting, recount=counting
        )
        api = await serving(outside)
        made = [webhook(name, reinvocationPolicy=policy) for name, policy in hooks]
        await configure(api, "x", *made)
        await created(api)
        assert " ".join(outside.hosts) == asked

    run(main())


def test_a_plug_in_that_changes_the_object_in_the_second_round_is_a_reason_to_ask_again() -> None:
    async def main() -> None:
        outside = Outside(a=sidecar)
        api = await serving(outside, [EnvAdder()])
        await configure(api, "x", webhook("a", reinvocationPolicy="IfNeeded"))
        await created(api)
        assert outside.hosts == ["a", "a"]
        again = outside.asked[1][1]["object"]["spec"]["containers"]
        assert [bool(container.get("env")) for container in again] == [True, True]

    run(main())


def test_nobody_is_asked_for_the_first_time_in_the_second_round() -> None:
    async def main() -> None:
        outside = Outside(a=allowing, b=labelling("tier", "web"))
        api = await serving(outside)
        chosen = {"matchLabels": {"tier": "web"}}
        hooks = [webhook("a", objectSelector=chosen, reinvocationPolicy="IfNeeded"), webhook("b")]
        await configure(api, "x", *hooks)
        await created(api)
        assert outside.hosts == ["b"]

    run(main())


def test_validating_webhooks_see_what_the_second_round_made() -> None:
    async def main() -> None:
        outside = Outside(a=sidecar, v=allowing)
        api = await serving(outside, [EnvAdder()])
        await configure(api, "x", webhook("a"))
        await configure(api, "x", webhook("v"), path=VALIDATING)
        await created(api)
        host, request = outside.asked[-1]
        assert host == "v"
        assert all(c["env"] for c in request["object"]["spec"]["containers"])

    run(main())


# ---- connections


def test_a_command_in_a_container_is_sent_and_may_be_changed() -> None:
    async def main() -> None:
        calm = {"op": "replace", "path": "/command", "value": ["true"]}
        outside = Outside(m=patching(calm), v=denying("no shells"))
        api = await serving(outside)
        row = SCHEME.of_type(core_v1.Pod)
        registry = api.server.registry
        asked = {"kind": "PodExecOptions", "apiVersion": "v1", "command": ["sh"]}
        options = WriteOptions(subresource="exec")
        connect = [rule("pods/exec", operations=["CONNECT"])]
        await configure(api, "x", webhook("m", rules=connect))
        made = await registry.connect(row, "default", "web", asked, options)
        assert made["command"] == ["true"]
        await configure(api, "x", webhook("v", rules=connect), path=VALIDATING)
        with pytest.raises(Exception, match="denied the request: no shells"):
            await registry.connect(row, "default", "web", asked, options)
        assert outside.asked[-1][1]["object"] == made

    run(main())


# ---- what it costs those who have none


def test_without_a_configuration_nothing_is_read_or_written_for_it() -> None:
    """Thousands of status patches must not pay for webhooks that are not there."""

    async def main() -> None:
        outside = Outside()
        api = await serving(outside)
        await created(api)
        objects = api.server.registry.objects
        listed = []

        async def counted(kind: Any, namespace: str = "") -> Any:
            listed.append(kind)
            return []

        objects.list = counted  # type: ignore[method-assign]
        for i in range(20):
            body = {"status": {"phase": "Running", "message": str(i)}}
            got = await api("PATCH", f"{PODS}/web/status", body, headers=MERGE)
            assert json.loads(got.body)["status"]["message"] == str(i)
        assert listed == []

    run(main())


# ---- what no webhook may stop


def test_a_server_starts_though_a_webhook_that_wants_everything_is_gone() -> None:
    """Else its configuration could never be removed."""

    async def main() -> None:
        store = MemoryStore()
        before = await serving(Outside(a=failing()), store=store)
        await before("DELETE", "/api/v1/namespaces/default/serviceaccounts/default")
        for path in (MUTATING, VALIDATING):
            await configure(before, "x", webhook("a", rules=[rule("*/*", group="*")]), path=path)
        api = await serving(Outside(a=failing()), store=store)
        assert (
            await api("GET", "/api/v1/namespaces/default/serviceaccounts/default")
        ).status == 200
        assert (await refused(api))[0] == 500
        for path in (MUTATING, VALIDATING):
            assert (await api("DELETE", f"{path}/x")).status == 200
        await created(api)

    run(main())


def test_old_events_go_without_anybody_being_asked() -> None:
    async def main() -> None:
        outside = Outside(a=failing())
        api = await serving(outside)
        event = {
            "metadata": {"name": "e"},
            "involvedObject": {"kind": "Pod", "name": "web", "namespace": "default"},
            "lastTimestamp": "2026-01-01T00:00:00Z",
        }
        events = "/api/v1/namespaces/default/events"
        assert (await api("POST", events, event)).status == 201
        await configure(api, "x", webhook("a", rules=[rule("*/*", group="*")]))
        sweeping = asyncio.create_task(api.server.run_event_ttl())
        await asyncio.sleep(2 * 3600)
        sweeping.cancel()
        assert (await api("GET", events)).json["items"] == []
        assert outside.asked == []

    run(main())
