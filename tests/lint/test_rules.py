"""Each known mistake is found where it is, and its absence is no mistake."""

from typing import Any

import pytest
from lightkube.models import core_v1

from podward.api import codec
from podward.api.defaults import set_defaults
from podward.api.scheme import SCHEME
from podward.lint.rules import INIT_RULES, RULES, findings


def spec_of(container: dict[str, Any], **spec: Any) -> core_v1.PodSpec:
    row = SCHEME.of_kind("v1", "Pod")
    assert row is not None
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i", **container}], **spec},
    }
    pod, _ = codec.decode_builtins(document, row, "Strict")
    held: core_v1.PodSpec = set_defaults(pod).spec
    return held


def found(container: dict[str, Any], **spec: Any) -> list[tuple[str, str]]:
    return [(f.rule, f.path) for f in findings(spec_of(container, **spec), "spec")]


HTTP = {"httpGet": {"port": 80}}
EXEC = {"exec": {"command": ["cat", "/tmp/ok"]}}

CASES: list[tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("liveness-equals-readiness", "livenessProbe", {"livenessProbe": HTTP, "readinessProbe": HTTP}, {},
     {"livenessProbe": {**HTTP, "failureThreshold": 9}, "readinessProbe": HTTP}),
    ("long-delay-instead-of-startup-probe", "livenessProbe.initialDelaySeconds",
     {"livenessProbe": {**EXEC, "initialDelaySeconds": 60}}, {},
     {"livenessProbe": {**EXEC, "initialDelaySeconds": 60}, "startupProbe": EXEC}),
    ("timeout-longer-than-period", "readinessProbe.timeoutSeconds",
     {"readinessProbe": {**HTTP, "periodSeconds": 2, "timeoutSeconds": 5}}, {},
     {"readinessProbe": {**HTTP, "periodSeconds": 5, "timeoutSeconds": 5}}),
    ("dear-exec-probe", "livenessProbe.exec",
     {"livenessProbe": {"exec": {"command": ["sh", "-c", "curl -f localhost"]}, "periodSeconds": 2,
                        "timeoutSeconds": 5}}, {},
     {"livenessProbe": {**EXEC, "periodSeconds": 2}}),
    ("grace-shorter-than-pre-stop", "lifecycle.preStop",
     {"lifecycle": {"preStop": {"exec": {"command": ["sleep", "30"]}}}}, {},
     {"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}),
    ("liveness-without-restart", "livenessProbe", {"livenessProbe": EXEC}, {"restartPolicy": "Never"},
     {"readinessProbe": EXEC}),
    ("liveness-threshold-of-one", "livenessProbe.failureThreshold",
     {"livenessProbe": {**EXEC, "failureThreshold": 1}}, {},
     {"livenessProbe": {**EXEC, "failureThreshold": 2}}),
    ("shell-hides-term", "command", {"command": ["/bin/sh", "-c", "server --port 80"]}, {},
     {"command": ["/bin/sh", "-c", "exec server --port 80"]}),
    ("port-without-probe", "ports", {"ports": [{"containerPort": 80}]}, {},
     {"ports": [{"containerPort": 80}], "readinessProbe": HTTP}),
    ("port-without-probe", "ports", {"ports": [{"containerPort": 80}], "livenessProbe": HTTP}, {},
     {"ports": [{"containerPort": 9090, "name": "metrics"}], "livenessProbe": {"httpGet": {"port": 9090}}}),
    ("liveness-asks-for-readiness", "livenessProbe.httpGet.path",
     {"livenessProbe": {"httpGet": {"port": 80, "path": "/readyz"}}}, {},
     {"livenessProbe": {"httpGet": {"port": 80, "path": "/already"}}}),
    ("completed-by-liveness", "livenessProbe", {"livenessProbe": EXEC}, {"restartPolicy": "OnFailure"},
     {"livenessProbe": EXEC, "restartPolicy": "Always"}),
    ("liveness-without-restart", "startupProbe", {"startupProbe": EXEC}, {"restartPolicy": "Never"}, {}),
    ("impatient-liveness", "livenessProbe",
     {"livenessProbe": {**HTTP, "periodSeconds": 2, "failureThreshold": 2}}, {},
     {"livenessProbe": {**HTTP, "periodSeconds": 2, "failureThreshold": 2, "timeoutSeconds": 2}}),
    ("readiness-threshold-of-one", "readinessProbe.failureThreshold",
     {"readinessProbe": {**HTTP, "failureThreshold": 1}}, {}, {"readinessProbe": HTTP}),
    ("killed-before-ready", "livenessProbe",
     {"livenessProbe": EXEC, "readinessProbe": {**HTTP, "initialDelaySeconds": 21}}, {},
     {"livenessProbe": EXEC, "readinessProbe": {**HTTP, "initialDelaySeconds": 20}}),
    ("delay-beside-startup-probe", "readinessProbe.initialDelaySeconds",
     {"startupProbe": EXEC, "readinessProbe": {**HTTP, "initialDelaySeconds": 5}}, {},
     {"startupProbe": {**EXEC, "initialDelaySeconds": 5}, "readinessProbe": HTTP}),
    ("strict-startup-probe", "startupProbe",
     {"startupProbe": {**EXEC, "periodSeconds": 5}, "livenessProbe": EXEC}, {},
     {"startupProbe": {**EXEC, "failureThreshold": 30}, "livenessProbe": EXEC}),
    ("unknown-port", "livenessProbe.httpGet.port",
     {"ports": [{"containerPort": 80, "name": "http"}], "livenessProbe": {"httpGet": {"port": "web"}}}, {},
     {"ports": [{"containerPort": 80, "name": "web"}], "livenessProbe": {"httpGet": {"port": "web"}}}),
    ("unknown-port", "readinessProbe.grpc.port",
     {"ports": [{"containerPort": 80}], "readinessProbe": {"grpc": {"port": 81}}}, {},
     {"readinessProbe": {"grpc": {"port": 81}}}),
    ("another-host", "livenessProbe.httpGet.host",
     {"livenessProbe": {"httpGet": {"port": 80, "host": "db.example"}}}, {}, {"livenessProbe": HTTP}),
    ("another-host", "livenessProbe.tcpSocket.host",
     {"livenessProbe": {"tcpSocket": {"port": 80, "host": "localhost"}}}, {}, {"livenessProbe": HTTP}),
    ("another-host", "readinessProbe.exec.command",
     {"readinessProbe": {"exec": {"command": ["curl", "http://db:5432/x"]}}}, {},
     {"readinessProbe": {"exec": {"command": ["curl", "http://localhost:5432/x"]}}}),
    ("tcp-liveness-of-http", "livenessProbe.tcpSocket",
     {"livenessProbe": {"tcpSocket": {"port": 80}}, "readinessProbe": HTTP}, {},
     {"livenessProbe": {"tcpSocket": {"port": 5432}}, "readinessProbe": HTTP}),
    ("tcp-liveness-of-http", "livenessProbe.tcpSocket",
     {"ports": [{"containerPort": 80, "name": "http"}], "livenessProbe": {"tcpSocket": {"port": 80}}}, {},
     {"ports": [{"containerPort": 80, "name": "smtp"}], "livenessProbe": {"tcpSocket": {"port": 80}}}),
    ("grpc-service", "livenessProbe.grpc.service",
     {"livenessProbe": {"grpc": {"port": 80, "service": "shop"}}}, {},
     {"livenessProbe": {"grpc": {"port": 80}}}),
    ("frequent-exec-probe", "readinessProbe.periodSeconds",
     {"readinessProbe": {**EXEC, "periodSeconds": 1}}, {}, {"readinessProbe": {**HTTP, "periodSeconds": 1}}),
    ("shell-for-nothing", "livenessProbe.exec.command",
     {"livenessProbe": {"exec": {"command": ["sh", "-c", "cat /tmp/ok"]}}}, {},
     {"livenessProbe": {"exec": {"command": ["sh", "-c", "cat /tmp/ok | grep ok"]}}}),
    ("grace-shorter-than-pre-stop", "livenessProbe.terminationGracePeriodSeconds",
     {"lifecycle": {"preStop": {"sleep": {"seconds": 9}}},
      "livenessProbe": {**EXEC, "terminationGracePeriodSeconds": 5}}, {},
     {"lifecycle": {"preStop": {"sleep": {"seconds": 4}}},
      "livenessProbe": {**EXEC, "terminationGracePeriodSeconds": 5}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "below", "mistake", "spec", "cure"), CASES, ids=[f"{c[0]}: {c[1]}" for c in CASES]
)
def test_a_mistake_is_found_where_it_is_and_its_cure_is_none(
    rule: str, below: str, mistake: dict[str, Any], spec: dict[str, Any], cure: dict[str, Any]
) -> None:
    assert (rule, f"spec.containers[0].{below}") in found(mistake, **spec)
    assert rule not in [name for name, _ in found(cure, **spec)]


def test_every_rule_has_its_case() -> None:
    several_containers = {"shared-exec-probe"}
    assert {case[0] for case in CASES} | several_containers == set(RULES)
    assert set(INIT_RULES) == {"endless-init"}


def severity(container: dict[str, Any], rule: str, **spec: Any) -> str:
    return next(f.severity for f in findings(spec_of(container, **spec), "spec") if f.rule == rule)


def test_what_cannot_work_is_an_error_and_what_may_be_meant_is_not() -> None:
    named = {"ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": "web"}}}
    assert severity(named, "unknown-port") == "error"
    other = {"ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": 81}}}
    assert severity(other, "unknown-port") == "info"
    assert severity({"ports": [{"containerPort": 80}]}, "port-without-probe") == "warning"
    live = {"ports": [{"containerPort": 80}], "livenessProbe": HTTP}
    assert severity(live, "port-without-probe") == "info"


def test_a_shell_with_one_command_may_replace_itself_by_it() -> None:
    assert severity({"command": ["sh", "-c", "server --port 80"]}, "shell-hides-term") == "info"
    two = ["sh", "-c", "setup; server"]
    assert severity({"command": two}, "shell-hides-term") == "warning"


def test_the_same_exec_probe_on_many_containers_is_said_once() -> None:
    row = SCHEME.of_kind("v1", "Pod")
    assert row is not None
    probe = {**EXEC, "periodSeconds": 6}
    containers = [{"name": f"c{n}", "image": "i", "livenessProbe": probe} for n in range(3)]
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": containers},
    }
    pod, _ = codec.decode_builtins(document, row, "Strict")
    shared = [f for f in findings(set_defaults(pod).spec, "spec") if f.rule == "shared-exec-probe"]
    assert [f.path for f in shared] == ["spec.containers[0].livenessProbe.exec"]
    assert "3 containers" in shared[0].message
    assert "30 processes a minute" in shared[0].message


@pytest.mark.parametrize(
    ("fields", "is_found"),
    [
        ({"command": ["tail", "-f", "/log"]}, True),
        ({"command": ["sh", "-c", "while true; do sleep 1; done"]}, True),
        ({"command": ["sh", "-c", "while true; do nc -z db 5432 && exit 0; sleep 1; done"]}, False),
        ({"command": ["sleep", "infinity"], "restartPolicy": "Always"}, False),
        ({"ports": [{"containerPort": 80}]}, True),
        ({"command": ["migrate"]}, False),
    ],
)
def test_an_init_container_that_does_not_end_is_a_sidecar_without_its_policy(
    fields: dict[str, Any], is_found: bool
) -> None:
    spec = spec_of({}, initContainers=[{"name": "first", "image": "i", **fields}])
    rules = [(f.rule, f.path) for f in findings(spec, "spec")]
    assert (("endless-init", "spec.initContainers[0].restartPolicy") in rules) is is_found


@pytest.mark.parametrize(
    "command",
    [
        ["cat", "/opt/python"],
        ["cat", "/tmp/node"],
        ["/opt/python/bin/check"],
        ["sh", "-c", "test -e /var/lib/mysql && cat /tmp/curl"],
    ],
)
def test_the_name_of_a_file_is_no_program(command: list[str]) -> None:
    probe = {"livenessProbe": {"exec": {"command": command}, "periodSeconds": 2}}
    assert "dear-exec-probe" not in [rule for rule, _ in found(probe)]


@pytest.mark.parametrize(
    "command",
    [
        ["/usr/bin/curl", "-f", "localhost"],
        ["sh", "-c", "test -e /x && timeout 3 curl localhost"],
        ["bash", "-ec", "if ! PGPASSWORD=x psql; then exit 1; fi"],
    ],
)
def test_a_program_is_found_where_it_is_started(command: list[str]) -> None:
    probe = {"livenessProbe": {"exec": {"command": command}, "periodSeconds": 2}}
    assert "dear-exec-probe" in [rule for rule, _ in found(probe)]


def test_the_node_itself_may_be_asked_by_a_pod_of_its_network() -> None:
    probe = {"livenessProbe": {"httpGet": {"port": 80, "host": "127.0.0.1"}}}
    assert "another-host" in [rule for rule, _ in found(probe)]
    assert "another-host" not in [rule for rule, _ in found(probe, hostNetwork=True)]


def test_a_plain_healthy_container_is_not_complained_of() -> None:
    web = {
        "command": ["server"],
        "ports": [{"containerPort": 80, "name": "http"}],
        "startupProbe": {"httpGet": {"port": "http", "path": "/up"}, "failureThreshold": 30},
        "readinessProbe": {"httpGet": {"port": "http", "path": "/ready"}},
        "livenessProbe": {"httpGet": {"port": "http", "path": "/up"}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    }
    assert found(web) == []
