"""Images from a registry, as kubectl sees them come: who may, what happens to who may not, a tag that moves."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.support import Kubectl, Podward, eventually
from tests.engine.containerd import Containerd
from tests.engine.images import Image, busybox_files
from tests.engine.registry import Registry


@pytest.fixture
def registry() -> Iterator[Registry]:
    one = Registry({"me": "secret"})
    yield one
    one.stop()


def application(version: str) -> Image:
    """Its files lie apart from busybox's links, so that a version is a small layer of little work."""
    files, links = busybox_files()
    files["version"] = version.encode()
    links = {path: to for path, to in links.items() if path in ("bin/sh", "bin/cat")}
    return Image([], files, links)


def pod(name: str, image: str, policy: str = "Always", *secrets: str) -> dict[str, Any]:
    command = ["sh", "-c", "cat /version >/dev/termination-log"]
    container = {"name": "main", "image": image, "imagePullPolicy": policy, "command": command}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "imagePullSecrets": [{"name": secret} for secret in secrets],
            "containers": [container],
        },
    }


def container_status(kubectl: Kubectl, namespace: str, name: str) -> dict[str, Any]:
    found = kubectl.json("-n", namespace, "get", "pod", name)
    return dict((found["status"].get("containerStatuses") or [{}])[0])


def waiting(kubectl: Kubectl, namespace: str, name: str) -> tuple[str, str]:
    state = container_status(kubectl, namespace, name).get("state", {}).get("waiting", {})
    return state.get("reason", ""), state.get("message", "")


def ended(kubectl: Kubectl, namespace: str, name: str) -> dict[str, Any]:
    """The status of a container that has exited; its message is the version that it ran."""

    def look() -> dict[str, Any] | None:
        status = container_status(kubectl, namespace, name)
        return status if "terminated" in status.get("state", {}) else None

    found = eventually(look, what=f"{name} ends")
    assert found is not None
    return found


def messages(kubectl: Kubectl, namespace: str, name: str) -> list[tuple[str, str]]:
    events = kubectl.json(
        "-n", namespace, "get", "events", "--field-selector", f"involvedObject.name={name}"
    )
    return [(event["reason"], event["message"]) for event in events["items"]]


def test_a_private_registry(
    engine_kubectl: Kubectl, engine_namespace: str, registry: Registry
) -> None:
    kubectl, namespace = engine_kubectl, engine_namespace
    digest = registry.push(application("1"), "team/app", "1")
    image = f"{registry.host}/team/app:1"
    for secret, password in (("right", "secret"), ("wrong", "guess")):
        made = kubectl(
            "create", "secret", "docker-registry", secret, "--dry-run=client", "-o", "json",
            f"--docker-server={registry.host}/team", "--docker-username=me",
            f"--docker-password={password}",
        )  # fmt: skip
        kubectl.apply(made, "-n", namespace)
    pods = [
        pod("nobody", image),
        pod("guest", image, "Always", "wrong", "absent"),
        pod("member", image, "Always", "wrong", "right"),
    ]
    kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}), "-n", namespace)

    status = ended(kubectl, namespace, "member")
    assert status["state"]["terminated"]["message"] == "1"
    assert status["image"] == image
    assert status["imageID"] == f"{registry.host}/team/app@{digest}"
    [text] = [m for r, m in messages(kubectl, namespace, "member") if r == "Pulled"]
    assert text.startswith(f'Successfully pulled image "{image}" in ')
    assert "s including waiting). Image size: " in text
    assert set(registry.pulls("team/app")) == {"", "?", "me"}

    for name in ("nobody", "guest"):
        eventually(
            lambda name=name: waiting(kubectl, namespace, name)[0] == "ImagePullBackOff",  # type: ignore[misc]
            what=f"{name} backs off",
        )
        message = waiting(kubectl, namespace, name)[1]
        assert message.startswith(f'Back-off pulling image "{image}": ErrImagePull: failed to pull')
        assert "401 Unauthorized" in message
        told = dict(messages(kubectl, namespace, name))
        assert told["BackOff"] == f'Back-off pulling image "{image}"'
    assert ("Failed", "Error: ErrImagePull") in messages(kubectl, namespace, "guest")
    assert dict(messages(kubectl, namespace, "guest"))["FailedToRetrieveImagePullSecret"] == (
        "Unable to retrieve some image pull secrets (absent); attempting to pull the image may not succeed."
    )


def test_a_tag_that_moves_and_a_registry_that_goes_away(
    engine_kubectl: Kubectl, engine_namespace: str
) -> None:
    kubectl, namespace = engine_kubectl, engine_namespace
    registry = Registry()
    image = f"{registry.host}/team/app"

    def run(name: str, policy: str) -> dict[str, Any]:
        kubectl.apply(json.dumps(pod(name, image, policy)), "-n", namespace)
        return ended(kubectl, namespace, name)

    try:
        first = registry.push(application("one"), "team/app", "latest")
        status = run("first", "IfNotPresent")
        assert status["state"]["terminated"]["message"] == "one"
        assert status["imageID"] == f"{image}@{first}"

        second = registry.push(application("two"), "team/app", "latest")
        assert run("satisfied", "IfNotPresent")["state"]["terminated"]["message"] == "one"
        status = run("curious", "Always")
        assert status["state"]["terminated"]["message"] == "two"
        assert status["imageID"] == f"{image}@{second}"
    finally:
        registry.stop()
    assert run("content", "Never")["state"]["terminated"]["message"] == "two"
    kubectl.apply(json.dumps(pod("lost", image)), "-n", namespace)
    eventually(lambda: "connection refused" in waiting(kubectl, namespace, "lost")[1])


def test_names_that_are_none_and_images_that_must_not_be_asked_for(
    engine_kubectl: Kubectl, engine_namespace: str
) -> None:
    kubectl, namespace = engine_kubectl, engine_namespace
    for name, image, policy in (("bad", "Bad//name", "Always"), ("never", "no/such:1", "Never")):
        kubectl.apply(json.dumps(pod(name, image, policy)), "-n", namespace)
    text = (
        'Failed to apply default image tag "Bad//name": couldn\'t parse image name "Bad//name": '
        "invalid reference format"
    )
    eventually(lambda: waiting(kubectl, namespace, "bad") == ("InvalidImageName", text))
    never = 'Container image "no/such:1" is not present with pull policy of Never'
    eventually(lambda: waiting(kubectl, namespace, "never") == ("ErrImageNeverPull", never))
    assert ("ErrImageNeverPull", never) in messages(kubectl, namespace, "never")


def test_the_machines_own_credentials(
    containerd: Containerd, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whoever runs podward: a Pod needs no secret for what `docker login` has opened."""
    registry.push(application("ours"), "team/app", "1")
    entry = {"auth": base64.b64encode(b"me:secret").decode()}
    (tmp_path / ".docker").mkdir()
    config = tmp_path / ".docker/config.json"
    config.write_text(json.dumps({"auths": {f"https://{registry.host}/v1/": entry}}))
    monkeypatch.setenv("HOME", str(tmp_path))
    options = ("--runtime", f"cri://{containerd.socket}", "--stop-pods")
    server = Podward(tmp_path / "data", *options).start()
    try:
        server.cli("apply", "-f", "-", input=json.dumps(pod("p", f"{registry.host}/team/app:1")))
        eventually(lambda: '"message": "ours"' in server.cli("get", "pod", "p", "-o", "json"))
    finally:
        server.stop()
