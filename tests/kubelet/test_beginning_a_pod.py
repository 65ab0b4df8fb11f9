"""What a start meets: rules that begin all anew, images that are not there (spec/health.md 4.4, 4.6, 4.9)."""

from typing import Any

import pytest
from tests.kubelet.support import live, pod, shell, states

from podward.kubelet.image_pulls import ImageFailure, ImagePuller
from podward.kubelet.runtime.base import ImageStatus, RuntimeFailure
from podward.machinery.clock import LoopClock
from podward.simulate import virtual_loop
from podward.simulate.simulation import EPOCH

ALL = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}


def test_restart_all_containers_begins_with_the_init_containers_in_the_same_sandbox() -> None:
    trigger = {
        "command": shell("sleep 20; exit 42"),
        "restartPolicy": "Never",
        "restartPolicyRules": [ALL],
    }
    bystander = {"command": shell("trap '' TERM; while true; do sleep 1; done")}
    init = [{"name": "i", "image": "busybox", "command": shell("sleep 1")}]
    recording = live(pod([trigger, bystander], initContainers=init, restartPolicy="Never"), 70)
    assert [s[1:] for s in states(recording, "i")][:4] == [
        ("waiting:PodInitializing", 0), ("running", 0), ("terminated:Completed(0)", 0),
        ("waiting:RestartingAllContainers", 0),
    ]  # fmt: skip
    for name in ("i", "a", "b"):
        assert states(recording, name)[-1][2] >= 1
    # The one that did nothing wrong was killed, and given the two seconds that everybody gets.
    ended = next(
        at for at, state, _ in states(recording, "b") if state == "waiting:RestartingAllContainers"
    )
    assert 2 <= ended - 21.6 <= 2.7
    addresses = {
        c.pod.status.podIP for c in recording.changes if c.pod.status and c.pod.status.podIP
    }
    assert len(addresses) == 1
    statuses = [change.pod.status for change in recording.changes if change.pod.status]
    flags = [{c.type for c in status.conditions or ()} for status in statuses]
    assert any("AllContainersRestarting" in types for types in flags)
    assert "AllContainersRestarting" not in flags[-1]


def test_a_pod_that_restarts_all_again_and_again_climbs_the_ladder() -> None:
    trigger = {"command": shell("exit 42"), "restartPolicy": "Never", "restartPolicyRules": [ALL]}
    recording = live(pod([trigger]), 40)
    running = [at for at, state, _ in states(recording, "a") if state == "running"]
    assert len(running) <= 5


class Registry:
    """A runtime as far as pulls go: it answers as it is told."""

    def __init__(self, answers: list[str]) -> None:
        self.answers = answers

    async def image_status(self, image: str) -> ImageStatus | None:
        return None

    async def pull_image(self, image: str, credentials: object = None) -> ImageStatus:
        answer = self.answers.pop(0)
        if answer:
            raise RuntimeFailure(answer)
        return ImageStatus(image, "id")


def test_a_failed_pull_waits_ten_seconds_then_twenty() -> None:
    told: list[tuple[str, str, str]] = []

    async def main() -> list[str]:
        import asyncio

        registry: Any = Registry(["no route", "no route", ""])
        puller = ImagePuller(registry, LoopClock(EPOCH))
        reasons: list[str] = []
        for wait in (0, 1, 9, 19, 1):
            await asyncio.sleep(wait)
            try:
                await puller.ensure("u", "nginx", "Always", lambda *event: told.append(event))
                reasons.append("pulled")
            except ImageFailure as failure:
                reasons.append(f"{failure.reason} {failure.message}")
        return reasons

    assert virtual_loop.run(main()) == [
        "ErrImagePull no route",
        'ImagePullBackOff Back-off pulling image "nginx": ErrImagePull: no route',
        "ErrImagePull no route",
        'ImagePullBackOff Back-off pulling image "nginx": ErrImagePull: no route',
        "pulled",
    ]
    assert told[:5] == [
        ("Normal", "Pulling", 'Pulling image "nginx"'),
        ("Warning", "Failed", 'Failed to pull image "nginx": no route'),
        ("Warning", "Failed", "Error: ErrImagePull"),
        ("Normal", "BackOff", 'Back-off pulling image "nginx"'),
        ("Warning", "Failed", "Error: ImagePullBackOff"),
    ]


@pytest.mark.parametrize("policy", ["Never"])
def test_an_image_that_must_not_be_pulled_and_is_not_here(policy: str) -> None:
    async def main() -> str:
        registry: Any = Registry([])
        puller = ImagePuller(registry, LoopClock(EPOCH))
        with pytest.raises(ImageFailure) as failure:
            await puller.ensure("u", "nginx", policy, lambda *event: None)
        return failure.value.reason

    assert virtual_loop.run(main()) == "ErrImageNeverPull"
