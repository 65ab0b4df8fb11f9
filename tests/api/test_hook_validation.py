"""Hooks and restart rules that are refused: the field, and the words (spec/health.md 1.3)."""

from typing import Any

import pytest
from tests.api.support import causes, pod

EXEC = {"exec": {"command": ["true"]}}


@pytest.mark.parametrize("hook", ["postStart", "preStop"])
@pytest.mark.parametrize(
    ("handler", "below", "message"),
    [
        ({}, "", "Required value: must specify a handler type"),
        ({"exec": {"command": []}}, ".exec.command", "Required value"),
        (EXEC | {"sleep": {"seconds": 1}}, ".sleep",
         "Forbidden: may not specify more than 1 handler type"),
        ({"httpGet": {"port": "8080"}}, ".httpGet.port",
         'Invalid value: "8080": must contain at least one letter (a-z)'),
    ],
    ids=["no handler", "no command", "two handlers", "a port"],
)  # fmt: skip
def test_what_is_wrong_with_a_hook(
    hook: str, handler: dict[str, Any], below: str, message: str
) -> None:
    found = causes(pod({"lifecycle": {hook: handler}}))
    assert found == [(f"spec.containers[0].lifecycle.{hook}{below}", message)]


@pytest.mark.parametrize(("seconds", "valid"), [(0, True), (30, True), (31, False), (-1, False)])
def test_a_sleep_fits_into_the_grace_period(seconds: int, valid: bool) -> None:
    messages = [
        text for _, text in causes(pod({"lifecycle": {"preStop": {"sleep": {"seconds": seconds}}}}))
    ]
    bound = "must be non-negative and less than terminationGracePeriodSeconds (30)"
    assert messages == ([] if valid else [f"Invalid value: {seconds}: {bound}"])


def rule(**fields: Any) -> dict[str, Any]:
    return {"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}} | fields


@pytest.mark.parametrize(
    ("container", "below", "message"),
    [
        ({"restartPolicyRules": [rule()]}, "restartPolicy",
         "Required value: must specify restartPolicy when restart rules are used"),
        ({"restartPolicy": "Never", "restartPolicyRules": [rule()] * 21}, "restartPolicyRules",
         "Too many: 21: must have at most 20 items"),
        ({"restartPolicy": "Never", "restartPolicyRules": [rule(action="Stop")]},
         "restartPolicyRules[0].action",
         'Unsupported value: "Stop": supported values: "Restart", "RestartAllContainers"'),
        ({"restartPolicy": "Never", "restartPolicyRules": [rule(), rule(exitCodes=None)]},
         "restartPolicyRules[1].exitCodes", "Required value: must be specified"),
        ({"restartPolicy": "Never",
          "restartPolicyRules": [rule(exitCodes={"operator": "Is", "values": [1]})]},
         "restartPolicyRules[0].exitCodes.operator",
         'Unsupported value: "Is": supported values: "In", "NotIn"'),
        ({"restartPolicy": "Never",
          "restartPolicyRules": [rule(exitCodes={"operator": "In", "values": [1] * 256})]},
         "restartPolicyRules[0].exitCodes.values", "Too many: 256: must have at most 255 items"),
    ],
    ids=["no policy", "21 rules", "an action", "no exit codes", "an operator", "256 codes"],
)  # fmt: skip
def test_what_is_wrong_with_restart_rules(
    container: dict[str, Any], below: str, message: str
) -> None:
    assert causes(pod(container)) == [(f"spec.containers[0].{below}", message)]
    inits = [{"name": "init", "image": "i", **container}]
    assert causes(pod(initContainers=inits)) == [(f"spec.initContainers[0].{below}", message)]


@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_a_container_may_have_a_policy_and_as_many_rules_as_allowed(policy: str) -> None:
    assert causes(pod({"restartPolicy": policy, "restartPolicyRules": [rule()] * 20})) == []
