"""How a Pod ends: hooks, grace, the order of sidecars (spec/health.md 3.5, 4.7, 6.2)."""

import asyncio
from typing import Any

import pytest
from lightkube.models import core_v1
from tests.kubelet.support import events, live, pod, shell, states

from podward.cluster import Cluster
from podward.simulate.simulation import Recording

FOREVER = "trap '' TERM; while true; do sleep 1; done"
POLITE = "trap 'exit 0' TERM; while true; do sleep 1; done"


async def delete(cluster: Cluster) -> None:
    await asyncio.sleep(10)
    await cluster.client.delete(core_v1.Pod, "p", "default")


def ended_at(recording: Recording, name: str) -> float:
    statuses = [
        (one, change.at)
        for change in recording.changes
        for one in (
            *((change.pod.status and change.pod.status.initContainerStatuses) or ()),
            *((change.pod.status and change.pod.status.containerStatuses) or ()),
        )
        if one.name == name and one.state and one.state.terminated
    ]
    ended = statuses[0][0].state
    assert ended is not None
    assert ended.terminated is not None
    assert ended.terminated.finishedAt is not None
    return recording.seconds_of(ended.terminated.finishedAt)


def sidecar(name: str, script: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "busybox", "restartPolicy": "Always",
            "command": shell(script), **fields}  # fmt: skip


def test_sidecars_end_after_the_regular_containers_the_last_one_first() -> None:
    slow = "trap 'sleep 3; exit 0' TERM; while true; do sleep 1; done"
    manifest = pod(
        [{"command": shell(slow)}],
        initContainers=[sidecar("first", slow), sidecar("second", slow)],
        terminationGracePeriodSeconds=30,
    )
    recording = live(manifest, 60, delete)
    order = [ended_at(recording, name) for name in ("a", "second", "first")]
    assert order[0] >= 13
    assert order[1] - order[0] >= 3
    assert order[2] - order[1] >= 3
    # All are told of at once, before anything ends.
    assert [at for at, _, _ in events(recording, "Killing")] == [10.0, 10.0, 10.0]


def test_waiting_for_its_turn_uses_up_a_sidecars_grace() -> None:
    manifest = pod(
        [{"command": shell(FOREVER)}],
        initContainers=[sidecar("s", FOREVER)],
        terminationGracePeriodSeconds=8,
    )
    recording = live(manifest, 60, delete)
    assert 17 <= ended_at(recording, "a") <= 18.5
    assert 19 <= ended_at(recording, "s") <= 21
    assert recording.changes[-1].type == "DELETED"


def test_a_hook_longer_than_the_grace_is_left_running_and_dies_with_its_container() -> None:
    hook = {"preStop": {"exec": {"command": ["sleep", "100"]}}}
    manifest = pod([{"command": shell(POLITE), "lifecycle": hook}], terminationGracePeriodSeconds=6)
    recording = live(manifest, 60, delete)
    # Six seconds for the hook, then TERM, at which it ends at once.
    assert 16 <= ended_at(recording, "a") <= 17.5
    assert [m for _, _, m in events(recording, "FailedPreStopHook")] == ["PreStopHook failed"]


@pytest.mark.parametrize("lifecycle", [{}, {"preStop": {"exec": {"command": ["sleep", "100"]}}}])
@pytest.mark.parametrize(("grace", "at"), [(25, 35), (5, 21), (1, 21), (0, 21), (40, 40)])
def test_deleted_again_with_less_time_it_ends_sooner(
    grace: int, at: float, lifecycle: dict[str, Any]
) -> None:
    """Whether its hook runs or its container is waited for; from then on it has two seconds at least."""
    stopped: list[float] = []

    async def twice(cluster: Cluster) -> None:
        began = asyncio.get_running_loop().time()
        await delete(cluster)
        await asyncio.sleep(9)
        await cluster.client.delete(core_v1.Pod, "p", "default", grace_period_seconds=grace)
        while await cluster.runtime.list_containers():
            await asyncio.sleep(0.1)
        stopped.append(asyncio.get_running_loop().time() - began)

    manifest = pod(
        [{"command": shell(FOREVER), "lifecycle": lifecycle}], terminationGracePeriodSeconds=30
    )
    recording = live(manifest, 60, twice)
    assert recording.changes[-1].type == "DELETED"
    longest = at + 2 if grace > 30 and lifecycle else at  # its hook has had all of the thirty
    assert stopped[0] == pytest.approx(longest, abs=1)


def test_no_grace_no_hook_and_two_seconds_all_the_same() -> None:
    hook = {"preStop": {"exec": {"command": ["touch", "/tmp/hooked"]}}}
    manifest = pod(
        [{"command": shell(FOREVER), "lifecycle": hook}], terminationGracePeriodSeconds=0
    )
    probe = {
        "exec": {"command": ["test", "!", "-e", "/tmp/ill"]},
        "periodSeconds": 1,
        "failureThreshold": 1,
    }
    manifest["spec"]["containers"][0]["command"] = shell(
        "trap '' TERM; sleep 5; touch /tmp/ill; sleep 100"
    )
    manifest["spec"]["containers"][0]["livenessProbe"] = probe
    recording = live(manifest, 12)
    (killed, *_), (second, *_) = events(recording, "Killing")[0], states(recording, "a")[-1]
    assert 1.9 <= second - killed <= 2.2


def test_a_failed_post_start_hook_names_container_and_pod_and_kills() -> None:
    hook = {"postStart": {"exec": {"command": shell("echo no; exit 4")}}}
    recording = live(pod([{"command": shell(POLITE), "lifecycle": hook}]), 30)
    waiting = [
        one.state.waiting.message
        for change in recording.changes
        for one in (change.pod.status and change.pod.status.containerStatuses) or ()
        if one.state and one.state.waiting and one.state.waiting.reason == "PostStartHookError"
    ]
    uid = recording.pods()[0]
    assert waiting[0] == (
        f'Exec lifecycle hook ([sh -c echo no; exit 4]) for Container "a" in Pod "p_default({uid})" failed - '
        "error: command 'sh -c echo no; exit 4' exited with 4: no\n, message: \"no\\n\""
    )
    assert events(recording, "Killing")[0][2] == "FailedPostStartHook"


def with_http_hook(port: int, **action: Any) -> dict[str, Any]:
    hook = {"preStop": {"httpGet": {"port": port, **action}}}
    serve = shell("httpd -p 80 -h /tmp; " + POLITE)
    return pod([{"command": serve, "lifecycle": hook}])


def test_an_http_hook_asks_the_pods_own_address_and_any_answer_will_do() -> None:
    assert events(live(with_http_hook(80, path="/nowhere"), 20, delete), "FailedPreStopHook") == []
    refused = live(with_http_hook(81), 20, delete)
    assert [at for at, _, _ in events(refused, "FailedPreStopHook")] == [10.0]


def test_an_https_hook_answered_in_plain_http_is_asked_again_in_http() -> None:
    recording = live(with_http_hook(80, scheme="HTTPS"), 20, delete)
    assert events(recording, "FailedPreStopHook") == []
    ((_, _, text),) = events(recording, "LifecycleHTTPFallback")
    assert text.startswith("request to HTTPS lifecycle hook 10.42.")
    assert text.endswith(":80 got HTTP response, retry with HTTP succeeded")


def test_a_deadline_lets_a_pod_run_until_all_has_ended_then_it_is_failed() -> None:
    manifest = pod(
        [{"command": shell(FOREVER)}], activeDeadlineSeconds=10, terminationGracePeriodSeconds=5
    )
    recording = live(manifest, 40)
    phases = [
        (round(c.at), c.pod.status.phase, c.pod.status.reason)
        for c in recording.changes
        if c.pod.status
    ]
    assert ("Running", None) in {(phase, reason) for at, phase, reason in phases if 10 <= at <= 14}
    assert phases[-1] == (15, "Failed", "DeadlineExceeded")
    assert states(recording, "a")[-1][1] == "terminated:Error(137)"
