"""When an image is asked for, what is told of it, and what becomes of a failure (spec/health.md 4.6, 7.2)."""

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from lightkube.models import core_v1, meta_v1

from podward.kubelet.image_pulls import ImageFailure, ImagePuller
from podward.kubelet.runtime.base import Credentials, ImageStatus, RuntimeFailure
from podward.machinery.clock import LoopClock
from podward.simulate import virtual_loop
from podward.simulate.simulation import EPOCH

Event = tuple[str, str, str]
Script = Callable[[ImagePuller, Callable[..., None]], Coroutine[Any, Any, Any]]
HERE = ImageStatus(
    "docker.io/library/nginx:1", "sha256:1", ref="sha256:1", size_bytes=7, from_registry=True
)


class Registry:
    """A runtime as far as images go."""

    def __init__(
        self,
        here: ImageStatus | RuntimeFailure | None = None,
        answer: Callable[[Credentials | None], str] = lambda _: "",
        seconds: float = 0,
    ) -> None:
        self.here, self.answer, self.seconds = here, answer, seconds
        self.asked: list[tuple[float, str, Credentials | None]] = []
        self.under_way = self.most = 0

    async def image_status(self, image: str) -> ImageStatus | None:
        if isinstance(self.here, RuntimeFailure):
            raise self.here
        return self.here

    async def pull_image(self, image: str, credentials: Credentials | None = None) -> ImageStatus:
        self.asked.append((asyncio.get_running_loop().time(), image, credentials))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(self.seconds)
        self.under_way -= 1
        failure = self.answer(credentials)
        if failure:
            raise RuntimeFailure(failure)
        return HERE


def run(script: Script, registry: Registry) -> tuple[Any, list[Event]]:
    told: list[Event] = []

    async def main() -> Any:
        runtime: Any = registry
        return await script(
            ImagePuller(runtime, LoopClock(EPOCH)), lambda *event: told.append(event)
        )

    return virtual_loop.run(main()), told


def once(registry: Registry, policy: str, image: str = "nginx:1") -> tuple[Any, list[Event]]:
    async def script(puller: ImagePuller, tell: Callable[..., None]) -> Any:
        try:
            return await puller.ensure("u", image, policy, tell)
        except ImageFailure as failure:
            return failure.reason, failure.message

    return run(script, registry)


PRESENT = [("Normal", "Pulled", 'Container image "nginx:1" already present on machine')]
PULLED = [
    ("Normal", "Pulling", 'Pulling image "nginx:1"'),
    ("Normal", "Pulled",
     'Successfully pulled image "nginx:1" in 1.25s (1.25s including waiting). Image size: 7 bytes.'),
]  # fmt: skip
NEVER = 'Container image "nginx:1" is not present with pull policy of Never'


@pytest.mark.parametrize(
    ("policy", "here", "told"),
    [
        ("Always", None, PULLED),
        ("Always", HERE, PULLED),
        ("IfNotPresent", None, PULLED),
        ("IfNotPresent", HERE, PRESENT),
        ("Never", HERE, PRESENT),
        ("Always", ImageStatus("x", "host:1"), PRESENT),  # there is no registry to ask
    ],
)
def test_when_a_registry_is_asked(policy: str, here: ImageStatus | None, told: list[Event]) -> None:
    registry = Registry(here, seconds=1.25)
    found, events = once(registry, policy)
    assert isinstance(found, ImageStatus)
    assert events == told
    assert len(registry.asked) == (told is PULLED)


def test_an_image_that_is_here_does_not_help_where_the_registry_must_be_asked() -> None:
    registry = Registry(HERE, lambda _: "no route")
    found, told = once(registry, "Always")
    assert found == ("ErrImagePull", "no route")
    assert len(registry.asked) == 1
    assert told[1:] == [
        ("Warning", "Failed", 'Failed to pull image "nginx:1": no route'),
        ("Warning", "Failed", "Error: ErrImagePull"),
    ]


def test_never_means_never() -> None:
    registry = Registry(None)
    found, told = once(registry, "Never")
    assert found == ("ErrImageNeverPull", NEVER)
    assert told == [
        ("Warning", "ErrImageNeverPull", NEVER),
        ("Warning", "Failed", "Error: ErrImageNeverPull"),
    ]
    assert registry.asked == []


def test_the_default_tag_is_asked_for_and_not_shown() -> None:
    registry = Registry()
    _, told = once(registry, "Always", "nginx")
    assert [image for _, image, _ in registry.asked] == ["nginx:latest"]
    assert told[0] == ("Normal", "Pulling", 'Pulling image "nginx"')


def test_what_is_no_name_is_never_asked_for() -> None:
    registry = Registry()
    found, told = once(registry, "Always", "Nginx")
    text = (
        'Failed to apply default image tag "Nginx": couldn\'t parse image name "Nginx": invalid '
        "reference format: repository name (library/Nginx) must be lowercase"
    )
    assert found == ("InvalidImageName", text)
    assert told == [
        ("Warning", "InspectFailed", text),
        ("Warning", "Failed", "Error: InvalidImageName"),
    ]
    assert registry.asked == []


def test_an_engine_that_cannot_say_whether_it_is_here() -> None:
    found, told = once(Registry(RuntimeFailure("rpc error: broken")), "IfNotPresent")
    text = 'Failed to inspect image "nginx:1": rpc error: broken'
    assert found == ("ImageInspectError", text)
    assert told == [
        ("Warning", "InspectFailed", text),
        ("Warning", "Failed", "Error: ImageInspectError"),
    ]


@pytest.mark.parametrize(
    ("failure", "reason", "message"),
    [
        ("not found", "ErrImagePull", "not found"),
        ("RegistryUnavailable: 503", "RegistryUnavailable",
         "image pull failed for nginx:1 because the registry is unavailable: 503"),
        ("SignatureValidationFailed", "SignatureValidationFailed",
         "image pull failed for nginx:1 because the signature validation failed"),
        ("no RegistryUnavailable", "ErrImagePull", "no RegistryUnavailable"),
    ],
)  # fmt: skip
def test_what_kind_of_failure_it_is(failure: str, reason: str, message: str) -> None:
    async def script(puller: ImagePuller, tell: Callable[..., None]) -> list[Any]:
        seen = []
        for _ in range(2):
            with pytest.raises(ImageFailure) as failed:
                await puller.ensure("u", "nginx:1", "Always", tell)
            seen.append((failed.value.reason, failed.value.message))
        return seen

    seen, told = run(script, Registry(answer=lambda _: failure))
    assert seen == [
        (reason, message),
        ("ImagePullBackOff", f'Back-off pulling image "nginx:1": {reason}: {message}'),
    ]
    assert ("Warning", "Failed", f'Failed to pull image "nginx:1": {failure}') in told
    assert ("Warning", "Failed", f"Error: {reason}") in told


def test_one_image_is_pulled_at_a_time_and_the_waiting_is_told() -> None:
    registry = Registry(seconds=2)

    async def script(puller: ImagePuller, tell: Callable[..., None]) -> None:
        pulls = [puller.ensure(f"u{i}", f"app:{i}", "Always", tell) for i in range(3)]
        await asyncio.gather(*pulls)

    _, told = run(script, registry)
    assert registry.most == 1
    assert [(round(at), image) for at, image, _ in registry.asked] == [
        (0, "app:0"), (2, "app:1"), (4, "app:2"),
    ]  # fmt: skip
    assert [message.partition(". ")[0] for _, reason, message in told if reason == "Pulled"] == [
        'Successfully pulled image "app:0" in 2s (2s including waiting)',
        'Successfully pulled image "app:1" in 2s (4s including waiting)',
        'Successfully pulled image "app:2" in 2s (6s including waiting)',
    ]


def test_a_pod_that_goes_away_while_it_waits_makes_room() -> None:
    registry = Registry(seconds=2)

    async def script(puller: ImagePuller, tell: Callable[..., None]) -> None:
        tasks = [
            asyncio.create_task(puller.ensure(f"u{i}", "app:1", "Always", tell)) for i in range(3)
        ]
        await asyncio.sleep(1)
        tasks[0].cancel()
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(script, registry)
    assert [round(at) for at, _, _ in registry.asked] == [0, 1]


def test_pods_back_off_each_for_itself() -> None:
    async def script(puller: ImagePuller, tell: Callable[..., None]) -> list[str]:
        reasons = []
        for pod, image in (("u", "a:1"), ("v", "a:1"), ("u", "b:1"), ("u", "a:1")):
            with pytest.raises(ImageFailure) as failed:
                await puller.ensure(pod, image, "Always", tell)
            reasons.append(failed.value.reason)
        return reasons

    reasons, _ = run(script, Registry(answer=lambda _: "no"))
    assert reasons == ["ErrImagePull", "ErrImagePull", "ErrImagePull", "ImagePullBackOff"]


def pull_secret(**passwords: str) -> core_v1.Secret:
    auths = {
        f"registry.io/{'team' * i}".rstrip("/"): {"username": name, "password": password}
        for i, (name, password) in enumerate(passwords.items())
    }
    text = json.dumps({"auths": auths}).encode()
    return core_v1.Secret(
        metadata=meta_v1.ObjectMeta(name="s"),
        type="kubernetes.io/dockerconfigjson",
        data={".dockerconfigjson": base64.b64encode(text).decode()},
    )


def pulled_with(registry: Registry, *secrets: core_v1.Secret) -> tuple[Any, list[str | None]]:
    async def script(puller: ImagePuller, tell: Callable[..., None]) -> Any:
        try:
            return await puller.ensure("u", "registry.io/team/app:1", "Always", tell, secrets)
        except ImageFailure as failure:
            return failure.message

    found, _ = run(script, registry)
    return found, [who.username if who else None for _, _, who in registry.asked]


def test_all_credentials_that_fit_are_tried_until_one_is_taken() -> None:
    registry = Registry(answer=lambda who: "" if who and who.password == "right" else "denied")
    found, tried = pulled_with(registry, pull_secret(a="right", b="wrong"))
    assert (found, tried) == (HERE, ["b", "a"])


def test_none_is_taken_and_nobody_is_not_tried() -> None:
    registry = Registry(answer=lambda who: f"denied to {who.username if who else 'nobody'}")
    found, tried = pulled_with(registry, pull_secret(a="1", b="2"))
    assert tried == ["b", "a"]
    assert found == "[denied to b, denied to a]"


def test_the_same_refusal_is_told_once() -> None:
    found, _ = pulled_with(Registry(answer=lambda _: "denied"), pull_secret(a="1", b="2"))
    assert found == "denied"


def test_a_secret_that_is_none_fails_the_pull() -> None:
    broken = pull_secret()
    broken.data = {".dockerconfigjson": base64.b64encode(b"{").decode()}
    registry = Registry()
    found, tried = pulled_with(registry, broken)
    assert "truncated" in found
    assert tried == []
