"""pods/{name}/ephemeralcontainers: what `kubectl debug` asks for."""

from typing import Any

import pytest
from tests.apiserver.support import PODS, NoNode, pod, started

from podward.simulate.virtual_loop import run

STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
DEBUGGER = {"name": "debugger", "image": "busybox", "stdin": True, "tty": True}


async def debugged(*patches: Any) -> list[Any]:
    """The answers to patches of a Pod's ephemeral containers, then the Pod."""
    call = await started(NoNode())
    await call("POST", PODS, pod(nodeName="n1"))
    answers = []
    for patch in patches:
        body = {"spec": {"ephemeralContainers": patch}}
        answers.append(
            await call("PATCH", f"{PODS}/web/ephemeralcontainers", body, headers=STRATEGIC)
        )
    return [*answers, await call("GET", f"{PODS}/web")]


def test_a_container_is_added_with_its_defaults() -> None:
    added, now = run(debugged([DEBUGGER]))
    assert added.status == 200
    [container] = now.json["spec"]["ephemeralContainers"]
    assert container == {
        **DEBUGGER,
        "imagePullPolicy": "Always",
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }


def test_none_goes_and_none_changes() -> None:
    other = {**DEBUGGER, "image": "other"}
    _, changed, removed, now = run(
        debugged([DEBUGGER], [other], [{"name": "debugger", "$patch": "delete"}])
    )
    assert changed.status == removed.status == 422
    assert 'existing ephemeral containers "debugger" may not be changed' in changed.json["message"]
    assert 'existing ephemeral containers "debugger" may not be removed' in removed.json["message"]
    assert [c["image"] for c in now.json["spec"]["ephemeralContainers"]] == ["busybox"]


@pytest.mark.parametrize(
    ("container", "cause"),
    [
        ({**DEBUGGER, "targetContainerName": "gone"},
         'spec.ephemeralContainers[0].targetContainerName: Not found: "gone"'),
        ({**DEBUGGER, "name": "app"}, 'spec.ephemeralContainers[0].name: Duplicate value: "app"'),
        ({"name": "x"}, "spec.ephemeralContainers[0].image: Required value"),
    ],
)  # fmt: skip
def test_what_cannot_be_added_is_said(container: Any, cause: str) -> None:
    refused, _ = run(debugged([container]))
    assert refused.status == 422
    assert cause in refused.json["message"]


def test_only_ephemeral_containers_change_there() -> None:
    async def scenario() -> None:
        call = await started(NoNode())
        await call("POST", PODS, pod(nodeName="n1"))
        body = {"metadata": {"labels": {"a": "b"}}, "spec": {"activeDeadlineSeconds": 5}}
        await call("PATCH", f"{PODS}/web/ephemeralcontainers", body, headers=STRATEGIC)
        now = (await call("GET", f"{PODS}/web")).json
        assert "activeDeadlineSeconds" not in now["spec"]
        assert "labels" not in now["metadata"]

    run(scenario())


def test_a_pod_is_not_created_with_them() -> None:
    async def scenario() -> None:
        call = await started(NoNode())
        refused = await call("POST", PODS, pod(ephemeralContainers=[DEBUGGER]))
        assert refused.status == 422
        text = "spec.ephemeralContainers: Forbidden: cannot be set on create"
        assert text in refused.json["message"]

    run(scenario())
