"""Each known mistake is found where it is, and its absence is no mistake."""

from typing import Any

import pytest
from lightkube.models import core_v1

from podward.api import codec
from podward.api.defaults import set_defaults
from podward.api.scheme import SCHEME
from podward.lint.promises import promises
from podward.lint.rules import RULES, findings


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
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "below", "mistake", "spec", "cure"), CASES, ids=[case[0] for case in CASES]
)
def test_a_mistake_is_found_where_it_is_and_its_cure_is_none(
    rule: str, below: str, mistake: dict[str, Any], spec: dict[str, Any], cure: dict[str, Any]
) -> None:
    assert (rule, f"spec.containers[0].{below}") in found(mistake, **spec)
    assert rule not in [name for name, _ in found(cure, **spec)]


def test_every_rule_has_its_case() -> None:
    assert {case[0] for case in CASES} == set(RULES)


def test_the_notes_pod_promises_what_it_keeps() -> None:
    probe = {**EXEC, "initialDelaySeconds": 5, "periodSeconds": 5}
    (promise,) = promises(spec_of({"livenessProbe": probe}), "spec")
    assert (promise.path, promise.earliest, promise.latest) == (
        "spec.containers[0].livenessProbe", 10, 15,
    )  # fmt: skip
    assert "up to 30 s later" in promise.text
    assert "20 s to start" in promise.text


def test_a_startup_probe_is_a_budget() -> None:
    probe = {**EXEC, "periodSeconds": 10, "failureThreshold": 30}
    (promise,) = promises(spec_of({"startupProbe": probe}), "spec")
    assert "300 s to start" in promise.text
