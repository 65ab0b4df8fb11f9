"""Create, read, update, patch and delete, as a client sees them."""

import asyncio
from typing import Any

import pytest
from tests.apiserver.support import PODS, pod, started

from podward.simulate.virtual_loop import run


def test_a_created_pod_is_stamped_defaulted_and_pending() -> None:
    async def scenario() -> None:
        call = await started()
        answer = await call("POST", PODS, pod() | {"status": {"phase": "Running"}})
        assert answer.status == 201, answer.body
        made = answer.json
        assert made["metadata"]["uid"]
        assert made["metadata"]["namespace"] == "default"
        assert made["metadata"]["generation"] == 1
        assert made["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
        assert made["spec"]["restartPolicy"] == "Always"
        assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
        assert (await call("GET", f"{PODS}/web")).json == made

    run(scenario())


def test_what_is_wrong_with_a_request_is_said_with_a_status() -> None:
    async def scenario() -> None:
        call = await started()
        await call("POST", PODS, pod())
        cases: list[tuple[Any, int, str]] = [
            (("GET", f"{PODS}/nope"), 404, "NotFound"),
            (("POST", PODS, pod()), 409, "AlreadyExists"),
            (("POST", "/api/v1/namespaces/nope/pods", pod()), 404, "NotFound"),
            (("POST", PODS, b"{"), 400, "BadRequest"),
            (("POST", "/api/v1/pods", pod("x")), 405, "MethodNotAllowed"),
            (("PUT", PODS, pod()), 405, "MethodNotAllowed"),
            (("GET", "/api/v1/nonsense"), 404, "NotFound"),
            (("POST", PODS, b" " * (3 * 1024 * 1024 + 1)), 413, "RequestEntityTooLarge"),
        ]
        for arguments, code, reason in cases:
            answer = await call(*arguments)
            assert (answer.status, answer.json["reason"]) == (code, reason), arguments
            assert answer.json["kind"] == "Status"
        missing = await call("POST", "/api/v1/namespaces/nope/pods", pod())
        assert missing.json["message"] == 'namespaces "nope" not found'

    run(scenario())


@pytest.mark.parametrize(
    ("accept", "code"),
    [
        ("application/vnd.kubernetes.protobuf", 406),
        ("application/vnd.kubernetes.protobuf, application/json", 200),
    ],
)
def test_protobuf_alone_is_not_served(accept: str, code: int) -> None:
    async def scenario() -> None:
        call = await started()
        assert (await call("GET", PODS, headers={"accept": accept})).status == code

    run(scenario())


def test_a_protobuf_body_of_what_no_command_sends_is_not_read() -> None:
    async def scenario() -> None:
        call = await started()
        kind = {"content-type": "application/vnd.kubernetes.protobuf"}
        nodes = "/api/v1/nodes"
        assert (await call("POST", nodes, b"k8s\x00", headers=kind)).status == 415

    run(scenario())


def test_dry_run_writes_nothing() -> None:
    async def scenario() -> None:
        call = await started()
        before = call.server.registry.store.revision
        assert (await call("POST", PODS, pod(), dryRun="All")).status == 201
        assert (await call("GET", f"{PODS}/web")).status == 404
        assert call.server.registry.store.revision == before

    run(scenario())


def test_an_update_with_an_old_resource_version_is_a_conflict() -> None:
    async def scenario() -> None:
        call = await started()
        made = (await call("POST", PODS, pod())).json
        made["metadata"]["labels"] = {"a": "1"}
        assert (await call("PUT", f"{PODS}/web", made)).status == 200
        made["metadata"]["labels"] = {"a": "2"}
        answer = await call("PUT", f"{PODS}/web", made)
        assert (answer.status, answer.json["reason"]) == (409, "Conflict")

    run(scenario())


def test_an_update_that_changes_nothing_writes_nothing() -> None:
    async def scenario() -> None:
        call = await started()
        made = (await call("POST", PODS, pod())).json
        answer = await call("PUT", f"{PODS}/web", made)
        assert answer.json["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]

    run(scenario())


def test_status_and_spec_are_written_apart() -> None:
    async def scenario() -> None:
        call = await started()
        made = (await call("POST", PODS, pod())).json
        made["status"]["phase"] = "Running"
        assert (await call("PUT", f"{PODS}/web", made)).json["status"]["phase"] == "Pending"
        answer = await call("PUT", f"{PODS}/web/status", made)
        assert answer.status == 200, answer.body
        assert answer.json["status"]["phase"] == "Running"
        assert answer.json["metadata"]["generation"] == 1

    run(scenario())


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/merge-patch+json", {"metadata": {"labels": {"a": "b"}}}),
        ("application/strategic-merge-patch+json", {"metadata": {"labels": {"a": "b"}}}),
        (
            "application/json-patch+json",
            [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}],
        ),
    ],
)
def test_patches(kind: str, body: Any) -> None:
    async def scenario() -> None:
        call = await started()
        await call("POST", PODS, pod())
        answer = await call("PATCH", f"{PODS}/web", body, headers={"content-type": kind})
        assert answer.status == 200, answer.body
        assert answer.json["metadata"]["labels"] == {"a": "b"}

    run(scenario())


def test_a_patch_of_a_type_nobody_knows_is_415() -> None:
    async def scenario() -> None:
        call = await started()
        await call("POST", PODS, pod())
        assert (await call("PATCH", f"{PODS}/web", {})).status == 415

    run(scenario())


def test_patches_at_the_same_time_all_arrive() -> None:
    async def scenario() -> None:
        call = await started()
        await call("POST", PODS, pod())
        kind = {"content-type": "application/merge-patch+json"}
        answers = await asyncio.gather(
            *(
                call("PATCH", f"{PODS}/web", {"metadata": {"labels": {f"k{i}": "v"}}}, headers=kind)
                for i in range(4)
            )
        )
        assert [a.status for a in answers] == [200] * 4
        labels = (await call("GET", f"{PODS}/web")).json["metadata"]["labels"]
        assert sorted(labels) == ["k0", "k1", "k2", "k3"]

    run(scenario())


def test_a_binding_gives_a_pod_its_node_once() -> None:
    async def scenario() -> None:
        call = await started()
        await call("POST", PODS, pod())
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web"}}
        body = binding | {"target": {"kind": "Node", "name": "n1"}}
        assert (await call("POST", f"{PODS}/web/binding", body)).status == 201
        bound = (await call("GET", f"{PODS}/web")).json
        assert bound["spec"]["nodeName"] == "n1"
        assert bound["status"]["conditions"][0]["type"] == "PodScheduled"
        assert (await call("POST", f"{PODS}/web/binding", body)).status == 409

    run(scenario())


def test_an_unscheduled_pod_is_deleted_at_once_and_returned() -> None:
    async def scenario() -> None:
        call = await started()
        await call("POST", PODS, pod())
        answer = await call("DELETE", f"{PODS}/web")
        assert (answer.status, answer.json["kind"]) == (200, "Pod")
        assert (await call("GET", f"{PODS}/web")).status == 404

    run(scenario())


def test_how_to_delete_may_be_said_in_protobuf() -> None:
    """`kubectl drain` does."""
    grace_of_seven = (
        b"k8s\x00\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12\x02\x08\x07\x1a\x00\x22\x00"
    )
    headers = {"content-type": "application/vnd.kubernetes.protobuf"}

    async def scenario() -> None:
        call = await started()
        await call("POST", PODS, pod(nodeName="n1"))
        marked = await call("DELETE", f"{PODS}/web", grace_of_seven, headers=headers)
        assert marked.json["metadata"]["deletionGracePeriodSeconds"] == 7
        refused = await call("DELETE", f"{PODS}/web", b"k8s\x00\x0a\x7f", headers=headers)
        assert refused.status == 400
        assert "cannot read DeleteOptions" in refused.json["message"]

    run(scenario())


def test_a_running_pod_is_deleted_gracefully() -> None:
    async def scenario() -> None:
        call = await started()
        await call("POST", PODS, pod(nodeName="n1"))
        marked = (await call("DELETE", f"{PODS}/web")).json["metadata"]
        assert marked["deletionGracePeriodSeconds"] == 30
        assert marked["deletionTimestamp"] == "2026-01-01T00:00:30Z"
        again = (await call("DELETE", f"{PODS}/web", gracePeriodSeconds="60")).json["metadata"]
        assert again["resourceVersion"] == marked["resourceVersion"]
        sooner = (await call("DELETE", f"{PODS}/web", gracePeriodSeconds="5")).json["metadata"]
        assert sooner["deletionTimestamp"] == "2026-01-01T00:00:05Z"
        await call("DELETE", f"{PODS}/web", {"kind": "DeleteOptions", "gracePeriodSeconds": 0})
        assert (await call("GET", f"{PODS}/web")).status == 404

    run(scenario())


def test_other_kinds_answer_a_deletion_with_a_status() -> None:
    async def scenario() -> None:
        call = await started()
        maps = "/api/v1/namespaces/default/configmaps"
        await call("POST", maps, {"metadata": {"name": "m", "finalizers": ["a.b/c"]}})
        held = await call("DELETE", f"{maps}/m")
        assert held.json["metadata"]["deletionTimestamp"]
        held.json["metadata"]["finalizers"] = []
        freed = held.json
        freed["metadata"]["finalizers"] = []
        assert (await call("PUT", f"{maps}/m", freed)).status == 200
        assert (await call("GET", f"{maps}/m")).status == 404
        await call("POST", maps, {"metadata": {"name": "m"}})
        answer = (await call("DELETE", f"{maps}/m")).json
        assert (answer["status"], answer["details"]["kind"]) == ("Success", "configmaps")

    run(scenario())


def test_a_uid_precondition_protects_a_successor() -> None:
    async def scenario() -> None:
        call = await started()
        await call("POST", PODS, pod())
        body = {"preconditions": {"uid": "another"}}
        assert (await call("DELETE", f"{PODS}/web", body)).status == 409

    run(scenario())


def test_a_deleted_namespace_is_emptied_and_then_goes() -> None:
    async def scenario() -> None:
        call = await started()
        lifecycle = asyncio.create_task(call.server.run_namespace_lifecycle())
        await call("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}})
        await asyncio.sleep(1)
        assert (await call("GET", "/api/v1/namespaces/shop/serviceaccounts/default")).status == 200
        inside = "/api/v1/namespaces/shop/pods"
        assert (await call("POST", inside, pod(nodeName="n1"))).status == 201
        answer = await call("DELETE", "/api/v1/namespaces/shop")
        assert answer.json["status"]["phase"] == "Terminating"
        await asyncio.sleep(1)
        late = await call("POST", inside, pod("late"))
        assert late.status == 403
        [cause] = late.json["details"]["causes"]
        assert (cause["reason"], cause["field"]) == ("NamespaceTerminating", "metadata.namespace")
        assert (await call("GET", f"{inside}/web")).json["metadata"]["deletionTimestamp"]
        await call("DELETE", f"{inside}/web", gracePeriodSeconds="0")
        await asyncio.sleep(1)
        assert (await call("GET", "/api/v1/namespaces/shop")).status == 404
        lifecycle.cancel()

    run(scenario())


def test_events_are_forgotten_after_an_hour() -> None:
    async def scenario() -> None:
        call = await started()
        sweeper = asyncio.create_task(call.server.run_event_ttl())
        events = "/api/v1/namespaces/default/events"
        body = {
            "metadata": {"name": "e"},
            "involvedObject": {"kind": "Pod", "name": "web", "namespace": "default"},
            "lastTimestamp": "2026-01-01T00:00:00Z",
        }
        assert (await call("POST", events, body)).status == 201
        await asyncio.sleep(3500)
        assert (await call("GET", f"{events}/e")).status == 200
        await asyncio.sleep(200)
        assert (await call("GET", f"{events}/e")).status == 404
        sweeper.cancel()

    run(scenario())
