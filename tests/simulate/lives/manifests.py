"""Pods by dice: everything that decides whether, when and how containers start, end and are judged."""

from typing import Any

from tests.simulate.lives.draws import Draws

Manifest = dict[str, Any]

COMMANDS = (
    "sleep 100000",
    "exit 0",
    "exit 1",
    "sleep 5",
    "sleep 3; exit 2",
    "sleep 25; exit 3",
    "trap 'exit 0' TERM; while true; do sleep 1; done",
    "trap 'sleep 4; exit 5' TERM; while true; do sleep 1; done",
    "trap '' TERM; sleep 100000",
    "touch /tmp/ok; sleep 20; rm /tmp/ok; sleep 100000",
    "sleep 8; touch /tmp/ok; trap 'exit 0' TERM; while true; do sleep 1; done",
    "trap 'exit 0' TERM; httpd -p 8080; while true; do sleep 1; done",
    "exec no-such-command",
)
INIT_COMMANDS = ("exit 0", "sleep 2", "sleep 1; exit 1", "sleep 15", "trap '' TERM; sleep 40")
ATTEMPTS = (
    {"exec": {"command": ["cat", "/tmp/ok"]}},
    {"exec": {"command": ["true"]}},
    {"exec": {"command": ["false"]}},
    {"exec": {"command": ["sleep", "3"]}},
    {"httpGet": {"port": 8080, "path": "/"}},
    {"tcpSocket": {"port": 8080}},
)
HOOKS = (
    {"exec": {"command": ["true"]}},
    {"exec": {"command": ["sleep", "3"]}},
    {"exec": {"command": ["false"]}},
    {"sleep": {"seconds": 2}},
    {"httpGet": {"port": 8080, "path": "/"}},
)
POLICIES = ("Always", "OnFailure", "Never")


def manifests(draws: Draws) -> list[Manifest]:
    return [_pod(draws, f"p{number}") for number in range(draws.whole(1, 3))]


def _pod(draws: Draws, name: str) -> Manifest:
    grace = draws.whole(0, 12)
    spec: dict[str, Any] = {
        "restartPolicy": draws.one_of(POLICIES if draws.happens(50) else POLICIES[:1]),
        "terminationGracePeriodSeconds": grace,
        "containers": [_container(draws, letter, grace) for letter in "ab"[: draws.whole(1, 2)]],
    }
    if draws.happens(30):
        spec["activeDeadlineSeconds"] = draws.whole(1, 60)
    init = [_init(draws, letter, grace) for letter in "ij"[: draws.whole(0, 2)]]
    if init and draws.happens(60):
        spec["initContainers"] = init
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _init(draws: Draws, name: str, grace: int) -> dict[str, Any]:
    if draws.happens(50):
        sidecar = _container(draws, name, grace)
        sidecar.pop("restartPolicyRules", None)
        return {**sidecar, "restartPolicy": "Always"}
    return _bare(name, draws.one_of(INIT_COMMANDS))


def _container(draws: Draws, name: str, grace: int) -> dict[str, Any]:
    container = _bare(name, draws.one_of(COMMANDS))
    for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
        if draws.happens(25):
            container[kind] = _probe(draws, kind)
    if draws.happens(20):
        hooks = draws.one_of((("postStart",), ("preStop",), ("postStart", "preStop")))
        container["lifecycle"] = {hook: _hook(draws, grace) for hook in hooks}
    if draws.happens(15):
        container["restartPolicy"] = draws.one_of(POLICIES)
        if draws.happens(50):
            codes = [draws.whole(0, 3), 137]
            operator = draws.one_of(("In", "NotIn"))
            rule = {"action": "Restart", "exitCodes": {"operator": operator, "values": codes}}
            container["restartPolicyRules"] = [rule]
    return container


def _bare(name: str, script: str) -> dict[str, Any]:
    return {"name": name, "image": "busybox", "command": ["sh", "-c", script]}


def _probe(draws: Draws, kind: str) -> dict[str, Any]:
    probe: dict[str, Any] = {
        **draws.one_of(ATTEMPTS),
        "periodSeconds": draws.whole(1, 6),
        "failureThreshold": draws.whole(1, 3),
        "timeoutSeconds": draws.whole(1, 2),
    }
    if draws.happens(40):
        probe["initialDelaySeconds"] = draws.whole(1, 8)
    if kind == "readinessProbe" and draws.happens(30):
        probe["successThreshold"] = 2
    if kind != "readinessProbe" and draws.happens(20):
        probe["terminationGracePeriodSeconds"] = draws.whole(1, 10)
    return probe


def _hook(draws: Draws, grace: int) -> dict[str, Any]:
    hook: dict[str, Any] = draws.one_of(HOOKS)
    return HOOKS[0] if "sleep" in hook and grace < 2 else hook
