"""What is wrong with a Pod, in the API server's words and order (tests/golden/kubectl/invalid-pod.*)."""

from pathlib import Path
from typing import Any

import pytest
from lightkube.models import core_v1

from podward.api import codec
from podward.api.defaults import set_defaults
from podward.api.errors import ApiStatusError
from podward.api.scheme import SCHEME
from podward.api.validation import creation_errors, validate_create, validate_update
from podward.api.yaml_loader import load_one

PODS = SCHEME.of_type(core_v1.Pod)
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "kubectl"
MUST_BE_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
    "and end with an alphanumeric character"
)


def make(document: dict[str, Any]) -> Any:
    obj, _ = codec.decode_builtins(document, PODS, "Strict")
    return set_defaults(obj)


def pod(container: dict[str, Any] | None = None, **spec: Any) -> Any:
    containers = [{"name": "c", "image": "i", **(container or {})}]
    return make(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"containers": containers, **spec},
        }
    )


def errors(obj: Any) -> list[str]:
    return [str(error) for error in creation_errors(obj, PODS)]


def test_a_plain_pod_is_valid() -> None:
    assert errors(pod()) == []


def test_the_golden_invalid_pod_gets_the_golden_causes() -> None:
    document = load_one((GOLDEN / "invalid-pod.yaml").read_bytes())
    document["metadata"]["namespace"] = "default"
    with pytest.raises(ApiStatusError) as refused:
        validate_create(make(document), PODS)
    status = refused.value.status
    assert (status.code, status.reason) == (422, "Invalid")
    assert status.details is not None
    causes = status.details.causes or []
    _, *golden = (GOLDEN / "invalid-pod.txt").read_text().splitlines()
    assert [f"* {cause.field}: {cause.message}" for cause in causes] == golden


@pytest.mark.parametrize(
    ("container", "path", "begins"),
    [
        ({"name": "Bad"}, "spec.containers[0].name", 'Invalid value: "Bad": a lowercase RFC 1123'),
        ({"image": ""}, "spec.containers[0].image", "Required value"),
        (
            {"imagePullPolicy": "Sometimes"},
            "spec.containers[0].imagePullPolicy",
            'Unsupported value: "Sometimes"',
        ),
        (
            {"ports": [{"containerPort": 0}]},
            "spec.containers[0].ports[0].containerPort",
            "Required value",
        ),
        (
            {"ports": [{"containerPort": 70000}]},
            "spec.containers[0].ports[0].containerPort",
            "Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        ({"env": [{"name": ""}]}, "spec.containers[0].env[0].name", "Required value"),
        (
            {"env": [{"name": "A", "valueFrom": {}}]},
            "spec.containers[0].env[0].valueFrom",
            "Invalid value",
        ),
        (
            {"volumeMounts": [{"name": "none", "mountPath": "/x"}]},
            "spec.containers[0].volumeMounts[0].name",
            'Not found: "none"',
        ),
        (
            {"livenessProbe": {"exec": {"command": []}}},
            "spec.containers[0].livenessProbe.exec.command",
            "Required value",
        ),
        (
            {"livenessProbe": {"tcpSocket": {"port": 0}}},
            "spec.containers[0].livenessProbe.tcpSocket.port",
            "Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            {"startupProbe": {"exec": {"command": ["a"]}, "successThreshold": 2}},
            "spec.containers[0].startupProbe.successThreshold",
            "Invalid value: 2: must be 1",
        ),
        (
            {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
            "spec.containers[0].resources.requests",
            'Invalid value: "2": must be less than or equal to cpu limit of 1',
        ),
        (
            {"terminationMessagePolicy": "Loud"},
            "spec.containers[0].terminationMessagePolicy",
            "",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("spec") else "",
)
def test_what_is_wrong_with_a_container(container: dict[str, Any], path: str, begins: str) -> None:
    found = errors(pod(container))
    assert any(text.startswith(f"{path}: {begins}") for text in found), found


def test_names_of_containers_are_unique() -> None:
    twice = pod(initContainers=[{"name": "c", "image": "i"}])
    assert any("Duplicate value" in text for text in errors(twice))


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"restartPolicy": "Sometimes"}, "spec.restartPolicy"),
        ({"activeDeadlineSeconds": 0}, "spec.activeDeadlineSeconds"),
        ({"volumes": [{"name": "v"}, {"name": "v"}]}, "spec.volumes[1].name"),
        ({"volumes": [{"name": "v", "hostPath": {"path": ""}}]}, "spec.volumes[0].hostPath.path"),
        ({"containers": []}, "spec.containers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_with_a_spec(spec: dict[str, Any], path: str) -> None:
    assert any(text.startswith(f"{path}: ") for text in errors(pod(**spec))), errors(pod(**spec))


def test_only_a_few_fields_of_a_pod_may_change() -> None:
    old = pod()
    image = pod({"image": "other"})
    validate_update(image, old, PODS)
    with pytest.raises(ApiStatusError) as refused:
        validate_update(pod({"command": ["other"]}), old, PODS)
    message = refused.value.status.message or ""
    assert "spec: Forbidden: pod updates may not change fields other than" in message


def test_a_deadline_may_only_come_nearer() -> None:
    old = pod(activeDeadlineSeconds=60)
    validate_update(pod(activeDeadlineSeconds=30), old, PODS)
    for worse in (pod(activeDeadlineSeconds=90), pod()):
        with pytest.raises(ApiStatusError, match=r"spec\.activeDeadlineSeconds"):
            validate_update(worse, old, PODS)
