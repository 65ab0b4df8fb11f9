"""What the API server fills in (spec/health.md 1.1): inputs and what they become."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightkube.models import core_v1

from podward.api import codec
from podward.api.defaults import default_pull_policy, pod_spec, set_defaults, volume_sources
from podward.api.scheme import SCHEME


def made(kind: type[Any], document: dict[str, Any]) -> Any:
    return codec.decode_builtins(document, SCHEME.of_type(kind), "Strict")[0]


def defaulted(document: dict[str, Any], kind: type[Any] = core_v1.Pod) -> Any:
    return msgspec.to_builtins(set_defaults(made(kind, document)))


def spec(**fields: Any) -> dict[str, Any]:
    found = defaulted({"spec": {"containers": [], **fields}})["spec"]
    assert isinstance(found, dict)
    return found


def container(**fields: Any) -> dict[str, Any]:
    found = spec(containers=[{"name": "c", "image": "i:1", **fields}])["containers"][0]
    assert isinstance(found, dict)
    return found


def test_a_pod_of_nothing_gets_the_defaults_of_a_pod() -> None:
    assert defaulted({"spec": {"containers": []}}) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {
            "containers": [],
            "restartPolicy": "Always",
            "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler",
            "terminationGracePeriodSeconds": 30,
            "enableServiceLinks": True,
            "securityContext": {},
        },
        "status": {},
    }


def test_a_container_gets_the_defaults_of_a_container() -> None:
    assert container() == {
        "name": "c",
        "image": "i:1",
        "imagePullPolicy": "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "resources": {},
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("restartPolicy", "Never"),
        ("dnsPolicy", "Default"),
        ("schedulerName", "mine"),
        ("terminationGracePeriodSeconds", 0),
        ("terminationGracePeriodSeconds", 5),
        ("terminationGracePeriodSeconds", -1),
        ("enableServiceLinks", False),
        ("securityContext", {"runAsUser": 0}),
    ],
)
def test_what_a_spec_says_is_kept(field: str, value: Any) -> None:
    assert spec(**{field: value})[field] == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("imagePullPolicy", "Never"),
        ("terminationMessagePath", "/x"),
        ("terminationMessagePolicy", "FallbackToLogsOnError"),
    ],
)
def test_what_a_container_says_is_kept(field: str, value: Any) -> None:
    assert container(**{field: value})[field] == value


@pytest.mark.parametrize("field", ["restartPolicy", "dnsPolicy", "schedulerName"])
def test_an_empty_text_is_an_absent_one(field: str) -> None:
    assert spec(**{field: ""})[field] == spec()[field]


DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("busybox", "Always"),
        ("busybox:latest", "Always"),
        ("busybox:1.36", "IfNotPresent"),
        ("busybox:latest-musl", "IfNotPresent"),
        ("registry.example:5000/busybox", "Always"),
        ("registry.example:5000/busybox:latest", "Always"),
        ("registry.example:5000/busybox:1", "IfNotPresent"),
        (f"busybox@{DIGEST}", "IfNotPresent"),
        (f"busybox:1@{DIGEST}", "IfNotPresent"),
        (f"registry.example:5000/busybox@{DIGEST}", "IfNotPresent"),
    ],
)
def test_only_the_latest_is_always_pulled(image: str, policy: str) -> None:
    assert default_pull_policy(image) == policy
    assert container(image=image)["imagePullPolicy"] == policy


PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
EXEC = {"exec": {"command": ["true"]}}


@pytest.mark.parametrize("kind", ["livenessProbe", "readinessProbe", "startupProbe"])
@pytest.mark.parametrize(
    ("given_probe", "expected"),
    [
        pytest.param(EXEC, EXEC | PROBE, id="nothing said"),
        pytest.param(EXEC | dict.fromkeys(PROBE, 0), EXEC | PROBE, id="zero is absent"),
        pytest.param(
            EXEC | {"periodSeconds": 7}, EXEC | PROBE | {"periodSeconds": 7}, id="one number"
        ),
        pytest.param(
            EXEC | {"initialDelaySeconds": 4, "failureThreshold": 1},
            EXEC | PROBE | {"initialDelaySeconds": 4, "failureThreshold": 1},
            id="two numbers",
        ),
        pytest.param(EXEC | {"initialDelaySeconds": 0}, EXEC | PROBE, id="no delay"),
        pytest.param(
            EXEC | {"periodSeconds": -1}, EXEC | PROBE | {"periodSeconds": -1}, id="a bad number"
        ),
        pytest.param(
            {"httpGet": {"port": 80}},
            {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}} | PROBE,
            id="http",
        ),
        pytest.param(
            {"httpGet": {"port": "web", "path": "/h?x=1", "scheme": "HTTPS", "host": "h"}},
            {"httpGet": {"port": "web", "path": "/h?x=1", "scheme": "HTTPS", "host": "h"}} | PROBE,
            id="http, everything said",
        ),
        pytest.param(
            {"tcpSocket": {"port": 1}}, {"tcpSocket": {"port": 1}} | PROBE, id="no host for tcp"
        ),
        pytest.param(
            {"grpc": {"port": 1}}, {"grpc": {"port": 1, "service": ""}} | PROBE, id="grpc"
        ),
        pytest.param(
            {"grpc": {"port": 1, "service": "s"}},
            {"grpc": {"port": 1, "service": "s"}} | PROBE,
            id="grpc, a service",
        ),
    ],
)
def test_a_probe_is_completed(
    kind: str, given_probe: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert container(**{kind: given_probe})[kind] == expected


@pytest.mark.parametrize("group", ["initContainers", "ephemeralContainers"])
def test_other_containers_are_completed_as_well(group: str) -> None:
    found = spec(**{group: [{"name": "x", "image": "i", "livenessProbe": EXEC}]})[group][0]
    assert found["livenessProbe"] == EXEC | PROBE
    assert found["imagePullPolicy"] == "Always"
    assert found["terminationMessagePolicy"] == "File"


@pytest.mark.parametrize("hook", ["postStart", "preStop"])
def test_a_hook_asks_for_the_root_over_http(hook: str) -> None:
    lifecycle = container(lifecycle={hook: {"httpGet": {"port": 80}}})["lifecycle"]
    assert lifecycle == {hook: {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}}}


@pytest.mark.parametrize(
    ("host_network", "port", "expected"),
    [
        (False, {"containerPort": 80}, {"containerPort": 80, "protocol": "TCP"}),
        (
            False,
            {"containerPort": 53, "protocol": "UDP"},
            {"containerPort": 53, "protocol": "UDP"},
        ),
        (True, {"containerPort": 80}, {"containerPort": 80, "hostPort": 80, "protocol": "TCP"}),
        (
            True,
            {"containerPort": 80, "hostPort": 81},
            {"containerPort": 80, "hostPort": 81, "protocol": "TCP"},
        ),
    ],
    ids=["tcp", "udp", "the host's network", "a host port on the host's network"],
)
def test_a_port_is_completed(
    host_network: bool, port: dict[str, Any], expected: dict[str, Any]
) -> None:
    containers = [{"name": "c", "image": "i", "ports": [port]}]
    found = spec(containers=containers, hostNetwork=host_network)
    assert found["containers"][0]["ports"] == [expected]


@given(
    st.dictionaries(st.sampled_from(["cpu", "memory"]), st.sampled_from(["1", "2"])),
    st.dictionaries(st.sampled_from(["cpu", "memory"]), st.sampled_from(["1", "2"])),
)
def test_a_limit_without_a_request_is_one(limits: dict[str, str], requests: dict[str, str]) -> None:
    found = container(resources={"limits": limits, "requests": requests})["resources"]
    assert (found.get("requests") or {}) == limits | requests
    assert (found.get("limits") or {}) == limits


def test_the_old_name_of_the_service_account_is_kept_in_step() -> None:
    for said in ({"serviceAccount": "a"}, {"serviceAccountName": "a"}):
        found = spec(**said)
        assert (found["serviceAccount"], found["serviceAccountName"]) == ("a", "a")
    found = spec(serviceAccount="old", serviceAccountName="new")
    assert (found["serviceAccount"], found["serviceAccountName"]) == ("new", "new")


def test_a_template_is_completed_like_a_pod() -> None:
    template = core_v1.PodSpec(containers=[core_v1.Container(name="c", image="i")])
    pod_spec(template)
    assert template.restartPolicy == "Always"
    assert template.containers[0].imagePullPolicy == "Always"
    assert volume_sources(core_v1.Volume(name="v")) == []
