"""What Kubernetes' own node conformance groups describe, on real containers, by real clients.

One module applies every Pod at once and looks at each when it has come to what it should; groups with a file of
their own (volumes, the Pod's spec, streams, service accounts) are not repeated here.
"""

import asyncio
import base64
import http.server
import json
import shutil
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import yaml
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tests.e2e.conformance import Space, condition, field, main_of, one_of, sh, spec
from tests.e2e.support import Kubectl, Podward, component_missing, eventually, kubectl_current
from tests.engine.containerd import Containerd
from tests.engine.images import Image, busybox_files
from yarl import URL

from podward.machinery.certificates import make_authority, make_leaf

NAMESPACE = "conformance"

# ---- Pods: name -> spec


SLEEP = "exec sleep 3600"
"""Deaf to SIGTERM, as the first process of a container is to what it does not handle."""
STOPS = "trap 'exit 0' TERM; while :; do sleep 0.2; done"
SERVE = (
    "mkdir -p /www/cgi-bin; echo ok > /www/healthz; touch /tmp/seen;"
    " printf '#!/bin/sh\\necho\\necho $QUERY_STRING >> /tmp/seen\\n' > /www/cgi-bin/hook;"
    " printf '#!/bin/sh\\necho Status: 302 Found; echo Location: $QUERY_STRING; echo\\n' > /www/cgi-bin/to;"
    " chmod +x /www/cgi-bin/*; exec httpd -f -p 8080 -h /www"
)
QUICK = {"periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 5}
PATIENT = {**QUICK, "failureThreshold": 4}
"""For those that are well: on a busy machine a server is late to listen."""
ONCE_THEN_WELL = "if [ -e /state/ran ]; then exec sleep 3600; fi; touch /state/ran; exit {code}"
STATE = {"volumeMounts": [{"name": "state", "mountPath": "/state"}]}
VOLUME = {"volumes": [{"name": "state", "emptyDir": {}}]}
FALLBACK = {"terminationMessagePolicy": "FallbackToLogsOnError"}
LOG_AND_FILE = "printf {log}; printf {file} > /dev/termination-log; exit {code}"

AMPLE = {"cpu": "50m", "memory": "64Mi"}
HEALTH = {"exec": {"command": ["cat", "/tmp/health"]}, **QUICK}
ENDING: dict[str, Any] = {
    "readinessProbe": HEALTH, "livenessProbe": HEALTH,
    "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "rm /tmp/health; sleep 4"]}}},
}  # fmt: skip
NUMBERED = "docker.io/library/numbered:1"
TELL_VARIABLES = "env | sort > /dev/termination-log"

LATE = {"exec": {"command": ["sleep", "30"]}, **QUICK, "timeoutSeconds": 1}


def http_probe(path: str, times: dict[str, Any]) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": 8080}, "initialDelaySeconds": 1, **times}


def other(name: str, script: str = STOPS, **more: Any) -> dict[str, Any]:
    """A container beside `main`."""
    return {**sh(script, **more), "name": name}


PODS: dict[str, dict[str, Any]] = {
    # Probing container
    "well": spec(
        sh(SERVE, livenessProbe={"httpGet": {"path": "/healthz", "port": 8080}, **PATIENT}),
        other("exec", livenessProbe={"exec": {"command": ["true"]}, **PATIENT}),
        other("tcp", livenessProbe={"tcpSocket": {"port": 8080}, **PATIENT}),
        # A redirect to another host is the end of the way, and a warning.
        other("sent-away", livenessProbe=http_probe("/cgi-bin/to?http://192.0.2.1/", PATIENT)),
        other("never-ready", readinessProbe={"exec": {"command": ["false"]}, **QUICK}),
        other("never-answers", readinessProbe=LATE),
    ),
    "ill": spec(
        sh(SERVE),
        {**sh("touch /tmp/health; sleep 2; rm /tmp/health; " + STOPS,
              livenessProbe={"exec": {"command": ["cat", "/tmp/health"]}, **QUICK}), "name": "exec"},
        other("times-out", livenessProbe=LATE),
        other("http", livenessProbe=http_probe("/gone", QUICK)),
        # One on the same host leads on.
        other("sent-home", livenessProbe=http_probe("/cgi-bin/to?/gone", QUICK)),
        other("never-starts", startupProbe={"exec": {"command": ["false"]}, **QUICK}),
        policy="Always",
    ),
    "ready-later": spec(sh(SLEEP, readinessProbe={"exec": {"command": ["true"]}, "periodSeconds": 1,
                                                  "initialDelaySeconds": 3})),
    "short-patience": spec(  # the probe's own grace, not the Pod's ten minutes
        sh("[ -e /state/ran ] || trap '' TERM; touch /state/ran; while :; do sleep 0.2; done", **STATE,
           livenessProbe={"exec": {"command": ["false"]}, **QUICK, "periodSeconds": 4,
                          "terminationGracePeriodSeconds": 1}),
        policy="Always", **VOLUME,
    ) | {"terminationGracePeriodSeconds": 600},
    "ending": spec(
        sh("touch /tmp/health; " + STOPS, **ENDING),
        policy="Always",
    ) | {"terminationGracePeriodSeconds": 60},
    "starting": spec(
        sh("sleep 4; touch /tmp/started; exec sleep 3600",
           readinessProbe={"exec": {"command": ["true"]}, "periodSeconds": 1},
           startupProbe={"exec": {"command": ["cat", "/tmp/started"]}, "periodSeconds": 1,
                         "failureThreshold": 60},
           livenessProbe={"exec": {"command": ["cat", "/tmp/started"]}, **QUICK}),
    ),
    # Container runtime: exit status
    "terminate-always": spec(sh(ONCE_THEN_WELL.format(code=0), **STATE), policy="Always", **VOLUME),
    "terminate-on-failure": spec(
        sh("if [ -e /state/ran ]; then exit 0; fi; touch /state/ran; exit 1", **STATE),
        policy="OnFailure", **VOLUME,
    ),
    "terminate-never": spec(sh("exit 3")),
    # Container runtime: termination messages
    "messages": spec(
        other("file", LOG_AND_FILE.format(log="LOG", file="OK", code=0), **FALLBACK),
        other("none", "printf DONE; exit 0", **FALLBACK),
        other("log", "printf DONE; exit 1", **FALLBACK),
        other("user", "printf DONE > /dev/termination-custom-log; exit 0",
              terminationMessagePath="/dev/termination-custom-log",
              securityContext={"runAsUser": 1000}),
    ),
    # Init containers
    "init-never": spec(
        sh("exit 0"), initContainers=[{**sh("true"), "name": "i1"}, {**sh("true"), "name": "i2"}],
    ),
    "init-always": spec(
        sh(SLEEP), policy="Always",
        initContainers=[{**sh("true"), "name": "i1"}, {**sh("true"), "name": "i2"}],
    ),
    "init-fails": spec(
        sh("exit 0"), initContainers=[{**sh("exit 1"), "name": "i1"}, {**sh("true"), "name": "i2"}],
    ),
    "init-fails-again": spec(
        sh(SLEEP), policy="Always",
        initContainers=[{**sh("exit 1"), "name": "i1"}, {**sh("true"), "name": "i2"}],
    ),
    # Container lifecycle hooks, exec
    "post-start": spec(
        sh(SERVE, lifecycle={"postStart": {"exec": {"command": ["sh", "-c", "echo post > /tmp/seen"]}}}),
    ),
    # Pods
    "sleeps-first": spec(sh(STOPS, lifecycle={"preStop": {"sleep": {"seconds": 3}}}))
    | {"terminationGracePeriodSeconds": 60},
    "sleeps-long": spec(sh(STOPS, lifecycle={"preStop": {"sleep": {"seconds": 50}}}))
    | {"terminationGracePeriodSeconds": 60},
    "target": spec(sh(SERVE, readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1})),
    "updated": spec(sh(SLEEP)),
    "deadline": spec(sh(SLEEP), activeDeadlineSeconds=3600),
    "graceful": spec(sh("trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done"))
    | {"terminationGracePeriodSeconds": 20},
    "logs": spec(sh("echo container is alive; exec sleep 3600",
                    resources={"requests": AMPLE, "limits": AMPLE})),
    "gated": spec(sh(SLEEP), readinessGates=[{"conditionType": "one"}, {"conditionType": "two"}]),
    "image-changes": spec(sh(SLEEP), policy="Always"),
    "windows": spec(sh(SLEEP), os={"name": "windows"}),
    # Variables, and paths made of them
    "variables": spec(
        sh(TELL_VARIABLES, env=[
            *({"name": name, "valueFrom": {"resourceFieldRef": {"resource": resource}}}
              for name, resource in {"CPU": "limits.cpu", "MEMORY": "limits.memory"}.items()),
            {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "colour"}}},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "words", "key": "pw"}}},
            {"name": "NOBODY", "valueFrom": {"secretKeyRef": {"name": "none", "key": "x", "optional": True}}},
        ], envFrom=[
            {"configMapRef": {"name": "words"}, "prefix": "C_"},
            {"secretRef": {"name": "words"}, "prefix": "S_"},
            {"configMapRef": {"name": "none", "optional": True}},
        ]),
    ),
    "expressions": spec(
        *(sh(SLEEP, env=[field("PART", f"metadata.annotations['{name}']")], volumeMounts=[
            {"name": "state", "mountPath": "/here", "subPathExpr": expression}]) | {"name": name}
          for name, expression in {"main": "$(PART)", "dots": "$(PART)", "tick": "`$(PART)`"}.items()),
        policy="Always", **VOLUME,
    ),
    # Security context, Sysctls, RuntimeClass
    "as-its-image-says": spec(
        sh("(id -u; cat /proc/sys/kernel/shm_rmid_forced) > /dev/termination-log",
           image=NUMBERED),
        runtimeClassName="conformance-plain",
        securityContext={"runAsNonRoot": True,
                         "sysctls": [{"name": "kernel/shm_rmid_forced", "value": "1"}]},
    ),
    # Kubelet
    "fails-always": spec(sh("exit 1"), policy="Always"),
    "sidecar": spec(
        sh("sleep 1; exit 0"),
        initContainers=[{**sh(SLEEP), "name": "helper", "restartPolicy": "Always"}],
    ),
}  # fmt: skip


NODE_LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-1"
ANNOTATIONS = {"expressions": {"main": "/whole", "dots": "..", "tick": "x"}}
OBJECTS: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words", "namespace": NAMESPACE},
     "data": {"colour": "blue"}},
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "words", "namespace": NAMESPACE},
     "stringData": {"pw": "hush"}},
    {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "conformance-plain"},
     "handler": "runc"},
]  # fmt: skip


@pytest.fixture(scope="module")
def grpc_port() -> Iterator[int]:
    """Of a server on this machine that says of itself how its services are."""
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    servicer.set("well", health_pb2.HealthCheckResponse.SERVING)
    servicer.set("ill", health_pb2.HealthCheckResponse.NOT_SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("0.0.0.0:0")
    server.start()
    yield port
    server.stop(0)


def asked_by_grpc(port: int) -> dict[str, Any]:
    """In the machine's network: what is asked there is the test's own server."""

    def probe(service: str) -> dict[str, Any]:
        return {"grpc": {"port": port, "service": service}, **QUICK}

    return spec(
        sh(SLEEP, livenessProbe=probe("well")),
        sh(SLEEP, livenessProbe=probe("ill")) | {"name": "ill"},
        policy="Always",
        hostNetwork=True,
    )


@pytest.fixture(scope="module")
def space(
    engine_podward: Podward,
    containerd: Containerd,
    tmp_path_factory: pytest.TempPathFactory,
    grpc_port: int,
) -> Iterator[Space]:
    """All of them, begun together."""
    binary = kubectl_current()
    if binary is None:
        component_missing("a recent kubectl on the PATH")
        raise AssertionError
    containerd.load(Image([NUMBERED], *busybox_files(), user="1001"))
    made = Space(Kubectl(binary, engine_podward, tmp_path_factory.mktemp("home")), NAMESPACE)
    pods = [
        made.pod(
            name,
            wanted,
            labels={"group": "conformance", "name": name},
            annotations=ANNOTATIONS.get(name, {}),
        )
        for name, wanted in (PODS | {"grpc": asked_by_grpc(grpc_port)}).items()
    ]
    made.apply(*OBJECTS)
    made.apply(*pods)
    made.seen["lease"] = made.ask("GET", NODE_LEASE)
    yield made
    made.kubectl("delete", "runtimeclass", "conformance-plain")
    made.leave()


def has_phase(phase: str, found: Any) -> bool:
    return bool(found["phase"] == phase)


def restarted(found: Any) -> bool:
    return bool(main_of(found)["restartCount"] >= 1)


# ---- probing


@pytest.mark.parametrize("name", ["exec", "times-out", "http", "sent-home", "never-starts"])
def test_a_failing_probe_restarts_its_container_alone(space: Space, name: str) -> None:
    found = space.comes("ill", lambda s: one_of(s, name)["restartCount"] >= 1)
    assert main_of(found)["restartCount"] == 0


def test_a_probes_own_grace_counts_not_its_pods(space: Space) -> None:
    space.comes("short-patience", restarted)


def test_grpc_liveness_is_asked_of_each_container_alone(space: Space) -> None:
    def restarts(status: Any) -> dict[str, int]:
        return {c["name"]: c["restartCount"] for c in status["containerStatuses"]}

    found = space.comes("grpc", lambda status: restarts(status).get("ill", 0) >= 1)
    assert restarts(found)["main"] == 0


def test_a_slow_start_is_given_its_time(space: Space) -> None:
    found = space.comes("starting", lambda found: main_of(found)["ready"])
    assert main_of(found)["started"]
    assert main_of(found)["restartCount"] == 0


def test_readiness_comes_after_its_delay(space: Space) -> None:
    found = space.comes("ready-later", lambda found: main_of(found)["ready"])
    ready = next(c for c in found["conditions"] if c["type"] == "Ready")
    started = main_of(found)["state"]["running"]["startedAt"]
    assert ready["lastTransitionTime"] > started


def test_containers_that_are_well_or_only_not_ready_are_left_alone(
    space: Space,
) -> None:
    # So that probes have run for a while.
    space.comes("ill", lambda s: one_of(s, "exec")["restartCount"] >= 1)
    found = space.comes(
        "well", lambda s: all(one_of(s, n)["ready"] for n in ("main", "exec", "tcp"))
    )
    unready = {"never-ready", "never-answers"}
    assert len(found["containerStatuses"]) == 6
    assert all(one["restartCount"] == 0 for one in found["containerStatuses"])
    assert {one["name"] for one in found["containerStatuses"] if not one["ready"]} == unready
    warned = eventually(lambda: space.told("well", "ProbeWarning"))
    assert warned[0].startswith("Liveness probe warning: Probe terminated redirects")


# ---- the container runtime


@pytest.mark.parametrize(
    ("name", "phase", "restarts", "ready"),
    [
        ("terminate-always", "Running", 1, True),
        ("terminate-on-failure", "Succeeded", 1, False),
        ("terminate-never", "Failed", 0, False),
    ],
)
def test_a_container_that_exits_has_the_status_its_policy_gives(
    space: Space, name: str, phase: str, restarts: int, ready: bool
) -> None:
    found = space.comes(
        name, lambda s: (s["phase"], main_of(s)["restartCount"]) == (phase, restarts)
    )
    assert space.comes(name, lambda s: main_of(s)["ready"] is ready)
    if name == "terminate-never":
        ended = main_of(found)["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (3, "Error")
        assert ended["startedAt"]
        assert ended["finishedAt"]
        assert ended["containerID"].startswith("containerd://")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file", "OK"),
        ("none", ""),
        ("log", "DONE"),
        ("user", "DONE"),
    ],
)
def test_a_termination_message_comes_from_where_its_policy_says(
    space: Space, name: str, message: str
) -> None:
    found = space.comes("messages", lambda s: one_of(s, name)["state"].get("terminated"))
    assert one_of(found, name)["state"]["terminated"].get("message", "") == message


# ---- init containers


def test_init_containers_run_in_order_before_the_others(space: Space) -> None:
    for name, phase in (("init-never", "Succeeded"), ("init-always", "Running")):
        found = space.comes(name, partial(has_phase, phase))
        first, second = found["initContainerStatuses"]
        assert first["state"]["terminated"]["exitCode"] == 0
        assert (
            first["state"]["terminated"]["finishedAt"] <= second["state"]["terminated"]["startedAt"]
        )
        initialized = next(c for c in found["conditions"] if c["type"] == "Initialized")
        assert initialized["status"] == "True"


def test_a_failed_init_container_keeps_the_others_from_starting(
    space: Space,
) -> None:
    failed = space.comes("init-fails", lambda s: s["phase"] == "Failed")
    assert main_of(failed)["state"]["waiting"]["reason"] == "PodInitializing"
    assert "waiting" in failed["initContainerStatuses"][1]["state"]
    again = space.comes(
        "init-fails-again", lambda s: s["initContainerStatuses"][0]["restartCount"] >= 1
    )
    assert again["phase"] == "Pending"
    assert main_of(again)["state"]["waiting"]["reason"] == "PodInitializing"


def test_a_sidecar_runs_beside_and_its_end_is_no_failure(space: Space) -> None:
    found = space.comes("sidecar", lambda s: s["phase"] == "Succeeded")
    assert found["initContainerStatuses"][0]["state"]["terminated"]


# ---- lifecycle hooks


def pod_ip(space: Space, name: str) -> str:
    return str(space.comes(name, lambda s: main_of(s)["ready"])["podIP"])


def test_post_start_hooks_run(space: Space) -> None:
    space.comes("post-start", lambda s: main_of(s)["ready"])
    said = space.kubectl("exec", "-n", NAMESPACE, "post-start", "--", "cat", "/tmp/seen")
    assert said == "post\n"


@pytest.mark.parametrize("when", ["postStart", "preStop"])
def test_http_hooks_reach_another_pod(space: Space, when: str) -> None:
    ip = pod_ip(space, "target")
    hook = {"httpGet": {"host": ip, "port": 8080, "path": f"/cgi-bin/hook?{when}"}}
    meta = {"name": f"hook-{when.lower()}", "namespace": NAMESPACE}
    wanted = spec(sh(STOPS, lifecycle={when: hook}))
    wanted["terminationGracePeriodSeconds"] = 5
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": wanted}
    space.kubectl.apply(json.dumps(pod))
    space.comes(meta["name"], lambda s: s["phase"] == "Running")
    if when == "preStop":
        space.kubectl("delete", "-n", NAMESPACE, "pod", meta["name"], "--wait=false")

    def heard() -> bool:
        return when in space.kubectl("exec", "-n", NAMESPACE, "target", "--", "cat", "/tmp/seen")

    eventually(heard, what=f"the target was asked by {when}")


# ---- Pods


def test_labels_and_deadline_are_updated_while_it_runs(space: Space) -> None:
    space.comes("updated", lambda s: s["phase"] == "Running")
    space.kubectl("label", "pod", "updated", "-n", NAMESPACE, "--overwrite", "time=later")
    found = space.kubectl.json("get", "pods", "-n", NAMESPACE, "-l", "time=later")["items"]
    assert [pod["metadata"]["name"] for pod in found] == ["updated"]
    space.comes("deadline", lambda s: s["phase"] == "Running")
    space.kubectl(
        "patch", "pod", "deadline", "-n", NAMESPACE, "-p", '{"spec":{"activeDeadlineSeconds":2}}'
    )
    ended = space.comes("deadline", lambda s: s["phase"] == "Failed")
    assert ended["reason"] == "DeadlineExceeded"


def test_a_host_ip_is_told(space: Space) -> None:
    found = space.comes("updated", lambda s: s["phase"] == "Running")
    assert found["hostIP"]
    assert found["podIPs"] == [{"ip": found["podIP"]}]


def test_a_deletion_is_graceful_and_seen_by_a_watch(space: Space) -> None:
    space.comes("graceful", lambda s: s["phase"] == "Running")
    space.run("delete", "pod", "graceful", "--wait=false")
    seen = []
    for kind, pod in space.watch("pods", fieldSelector="metadata.name=graceful"):
        seen.append(kind)
        marked = bool(pod["metadata"].get("deletionTimestamp"))
        if kind == "DELETED":
            break
    assert marked
    assert seen[0] == "ADDED"
    gone = space.kubectl.result("get", "pod", "graceful", "-n", NAMESPACE)
    assert gone[0] == 1
    assert "NotFound" in gone[2]


def test_logs_come_through_a_websocket(space: Space) -> None:
    space.comes("logs", lambda s: main_of(s)["state"].get("running"))
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/logs/log?container=main"
    said = asyncio.run(read_websocket(space.kubectl.podward, path, "binary.k8s.io"))
    assert b"".join(said).strip() == b"container is alive"


async def read_websocket(podward: Podward, path: str, protocol: str) -> list[bytes]:
    """The messages of a WebSocket until it is closed."""
    config = yaml.safe_load(podward.kubeconfig.read_text())
    authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
    user = config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(authority).decode())
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("client-certificate-data", "client-key-data"):
            Path(folder, kind).write_bytes(base64.b64decode(user[kind]))
        context.load_cert_chain(f"{folder}/client-certificate-data", f"{folder}/client-key-data")
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            URL(podward.url + path, encoded=True), ssl=context, protocols=[protocol]
        ) as socket,
    ):
        assert socket.protocol == protocol
        return [message.data async for message in socket]


def test_a_container_that_always_fails_can_be_deleted(space: Space) -> None:
    found = space.comes(
        "fails-always",
        lambda s: main_of(s)["state"].get("terminated") or main_of(s).get("lastState"),
    )
    main = main_of(found)
    ended = main["state"].get("terminated") or main["lastState"]["terminated"]
    assert ended["reason"] == "Error"
    space.kubectl("delete", "pod", "fails-always", "-n", NAMESPACE, "--timeout=20s")


def test_leases_and_status_are_written_through_the_api(space: Space) -> None:
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
             "metadata": {"name": "a", "namespace": NAMESPACE, "labels": {"group": "leases"}},
             "spec": {"holderIdentity": "me", "leaseDurationSeconds": 30}}  # fmt: skip
    space.kubectl.apply(json.dumps(lease))
    space.kubectl(
        "patch",
        "lease",
        "a",
        "-n",
        NAMESPACE,
        "--type=merge",
        "-p",
        '{"spec":{"holderIdentity":"you"}}',
    )
    assert (
        space.kubectl.json("get", "lease", "a", "-n", NAMESPACE)["spec"]["holderIdentity"] == "you"
    )
    space.kubectl("delete", "lease", "-n", NAMESPACE, "-l", "group=leases")
    assert space.kubectl.json("get", "leases", "-n", NAMESPACE)["items"] == []
    patch = '{"status":{"conditions":[{"type":"Extra","status":"True"}]}}'
    space.kubectl("patch", "pod", "updated", "-n", NAMESPACE, "--subresource=status", "-p", patch)
    assert "Extra" in [c["type"] for c in space.status("updated")["conditions"]]


def test_restarts_are_only_counted_upwards(space: Space) -> None:
    counts = [0]

    def look(status: Any) -> bool:
        counts.append(one_of(status, "http")["restartCount"])
        return counts[-1] >= 2

    space.comes("ill", look)
    assert counts == sorted(counts)


@pytest.fixture(scope="module")
def endings(space: Space) -> dict[str, list[tuple[float, Any]]]:
    """Pods that take their time to end: what was seen of each since they were told to, and after how long."""
    names = ("ending", "sleeps-first", "sleeps-long")
    for name in names:
        space.comes(name, lambda s: main_of(s)["ready"])
    began = time.monotonic()
    space.run("delete", "pod", "ending", "sleeps-first", "--wait=false")
    space.ask("DELETE", "pods/sleeps-long", {"gracePeriodSeconds": 3})
    seen: dict[str, list[tuple[float, Any]]] = {name: [] for name in names}
    left = set(names)
    for kind, pod in space.watch("pods", labelSelector=f"name in ({','.join(names)})"):
        name = pod["metadata"]["name"]
        seen[name].append((time.monotonic() - began, pod["status"]))
        if kind == "DELETED":
            left.remove(name)
        if not left:
            break
    return seen


def test_a_pod_that_ends_is_not_ready_and_its_liveness_is_not_asked_for(
    space: Space, endings: dict[str, list[tuple[float, Any]]]
) -> None:
    statuses = [status for _, status in endings["ending"]]
    assert all(main_of(status)["restartCount"] == 0 for status in statuses)
    unready = [s for s in statuses if "running" in main_of(s)["state"] and not main_of(s)["ready"]]
    assert [condition(s, "Ready") for s in unready][:1] == ["False"]
    assert [m for m in space.told("ending", "Unhealthy") if m.startswith("Liveness")] == []


def test_a_hook_that_sleeps_delays_the_end_as_long_as_the_grace_allows(
    endings: dict[str, list[tuple[float, Any]]],
) -> None:
    for name in ("sleeps-first", "sleeps-long"):
        seconds, _ = endings[name][-1]
        assert 3 <= seconds < 40, name


# ---- Pods, further


def test_gates_are_asked_before_a_pod_is_ready(space: Space) -> None:
    space.comes("gated", lambda s: main_of(s)["ready"])

    def set_gates(**states: str) -> None:
        conditions = [{"type": kind, "status": state} for kind, state in states.items()]
        body = {"status": {"conditions": conditions}}
        space.ask("PATCH", "pods/gated/status", body, kind="strategic-merge")

    assert condition(space.status("gated"), "Ready") == "False"
    set_gates(one="True")
    set_gates(two="True")
    space.comes("gated", lambda s: condition(s, "Ready") == "True")
    set_gates(one="False")
    space.comes("gated", lambda s: condition(s, "Ready") == "False")


def test_a_pod_is_changed_watched_and_given_a_status(space: Space) -> None:
    """Label and image of a Pod that runs, then its status, put as a whole."""
    space.comes("image-changes", lambda s: s["phase"] == "Running")
    change: dict[str, Any] = {
        "metadata": {"labels": {"changed": "yes"}},
        "spec": {"containers": [{"name": "main", "image": "busybox:1.36"}],
                 "terminationGracePeriodSeconds": 1},
    }  # fmt: skip
    refusal = space.refused("PATCH", "pods/image-changes", change, kind="strategic-merge")
    assert refusal["reason"] == "Invalid"
    del change["spec"]["terminationGracePeriodSeconds"]
    space.ask("PATCH", "pods/image-changes", change, kind="strategic-merge")
    found = space.comes(
        "image-changes", lambda s: main_of(s)["restartCount"] == 1 and main_of(s)["ready"]
    )
    assert main_of(found)["state"]["running"]
    messages = space.told("image-changes", "Killing")
    assert messages == ["Container main definition changed, will be restarted"]
    pod = space.get("image-changes")
    pod["status"]["message"] = "put"
    pod["spec"]["containers"][0]["image"] = "other"
    put = space.ask("PUT", "pods/image-changes/status", pod)
    assert put["status"]["message"] == "put"
    assert put["spec"]["containers"][0]["image"] == "busybox:1.36"


def test_the_class_of_service_is_told(space: Space) -> None:
    assert space.status("logs")["qosClass"] == "Guaranteed"
    assert space.status("ill")["qosClass"] == "BestEffort"


def test_a_pod_of_another_system_is_rejected_by_the_node(space: Space) -> None:
    found = eventually(lambda: (s := space.status("windows"))["phase"] == "Failed" and s)
    assert found["reason"] == "PodOSNotSupported"


def test_a_command_runs_through_a_bare_websocket(space: Space) -> None:
    space.comes("logs", lambda s: main_of(s)["state"].get("running"))
    command = "command=sh&command=-c&command=echo%20out;echo%20err%20%3E%262;exit%203"
    path = f"{space.base}/pods/logs/exec?container=main&stdout=1&stderr=1&{command}"
    frames = asyncio.run(read_websocket(space.kubectl.podward, path, "v4.channel.k8s.io"))
    said = {
        number: b"".join(f[1:] for f in frames if f[:1] == bytes([number])) for number in range(4)
    }
    assert (said[1], said[2]) == (b"out\n", b"err\n")
    end = json.loads(said[3])
    assert (end["reason"], end["details"]["causes"]) == (
        "NonZeroExitCode", [{"reason": "ExitCode", "message": "3"}],
    )  # fmt: skip


def test_an_ephemeral_container_is_put_beside_the_others(space: Space) -> None:
    space.comes("updated", lambda s: s["phase"] == "Running")
    for name in ("first", "second"):
        script = f"echo {name} in $(hostname); exec sleep 3600"
        space.run("debug", "updated", "--image=busybox", "--image-pull-policy=IfNotPresent",
                  f"--container={name}", "--", "sh", "-c", script)  # fmt: skip

    def running(status: Any) -> bool:
        found = {c["name"]: c["state"] for c in status.get("ephemeralContainerStatuses", ())}
        return all("running" in found.get(name, {}) for name in ("first", "second"))

    space.comes("updated", running)
    assert space.run("logs", "updated", "-c", "second") == "second in updated\n"
    assert space.run("exec", "updated", "-c", "first", "--", "hostname") == "updated\n"
    refusal = space.refused("PATCH", "pods/updated", {
        "spec": {"ephemeralContainers": [{"name": "third", "image": "busybox"}]}},
        kind="strategic-merge")  # fmt: skip
    assert refusal["reason"] == "Invalid"


# ---- lifecycle hooks, further


@contextmanager
def https_server(folder: Path) -> Iterator[tuple[int, list[str]]]:
    """(its port, the paths that it was asked for)."""
    now = datetime.now(UTC)
    pair = make_leaf(make_authority("hooks", now=now), "hooks", now=now, names=["127.0.0.1"])
    (folder / "pair.pem").write_bytes(pair.certificate + pair.key)
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers['X-Hook']}")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, asked
        server.shutdown()
        thread.join()


def test_hooks_by_https_and_by_command(space: Space, tmp_path: Path) -> None:
    host = Path(tempfile.mkdtemp(prefix="pw-hooks"))
    with https_server(tmp_path) as (port, asked):

        def hook(path: str) -> dict[str, Any]:
            headers = [{"name": "X-Hook", "value": "yes"}]
            return {"httpGet": {"scheme": "HTTPS", "host": "127.0.0.1", "port": port, "path": path,
                                "httpHeaders": headers}}  # fmt: skip

        command = {"exec": {"command": ["sh", "-c", "echo stopping > /host/seen"]}}
        wanted = spec(
            sh(STOPS, lifecycle={"postStart": hook("/begun"), "preStop": hook("/ending")}),
            sh(STOPS, lifecycle={"preStop": command},
               volumeMounts=[{"name": "host", "mountPath": "/host"}]) | {"name": "other"},
            volumes=[{"name": "host", "hostPath": {"path": str(host)}}],
        )  # fmt: skip
        wanted["terminationGracePeriodSeconds"] = 10
        space.apply(space.pod("https-hooks", wanted))
        space.comes("https-hooks", lambda s: s["phase"] == "Running")
        assert asked == ["/begun yes"]
        space.run("delete", "pod", "https-hooks")
        assert asked == ["/begun yes", "/ending yes"]
        assert (host / "seen").read_text() == "stopping\n"
    shutil.rmtree(host)


# ---- variables, and paths made of them


def test_variables_of_objects_and_of_the_node(space: Space) -> None:
    found = space.comes("variables", lambda s: main_of(s)["state"].get("terminated"))
    lines = main_of(found)["state"]["terminated"]["message"].splitlines()
    env = dict(line.split("=", 1) for line in lines)
    names = ("COLOUR", "PASSWORD", "C_colour", "S_pw", "NOBODY")
    assert [env.get(name) for name in names] == ["blue", "hush", "blue", "hush", None]
    [node] = space.ask("GET", "/api/v1/nodes")["items"]
    allocatable = node["status"]["allocatable"]
    assert env["CPU"] == allocatable["cpu"]
    assert int(env["MEMORY"]) == int(allocatable["memory"].removesuffix("Ki")) * 1024


def test_a_path_of_variables_must_stay_inside_and_may_be_mended(space: Space) -> None:
    def waiting(status: Any, name: str) -> str:
        states = {c["name"]: c["state"] for c in status["containerStatuses"]}
        return str(states.get(name, {}).get("waiting", {}).get("reason", ""))

    space.comes(
        "expressions",
        lambda s: [waiting(s, n) for n in ("main", "dots")] == ["CreateContainerConfigError"] * 2,
    )
    space.run("annotate", "pod", "expressions", "--overwrite", "main=whole", "dots=fine")
    space.comes(
        "expressions", lambda s: all("running" in c["state"] for c in s["containerStatuses"])
    )


# ---- security context, sysctls, runtime classes


def test_who_its_image_names_by_number_is_somebody(space: Space) -> None:
    found = space.comes("as-its-image-says", lambda s: main_of(s)["state"].get("terminated"))
    assert main_of(found)["state"]["terminated"]["message"].split() == ["1001", "1"]
    assert "overhead" not in space.get("as-its-image-says")["spec"]


def test_names_of_sysctls_that_are_none_are_invalid(space: Space) -> None:
    bad = ["foo-", "kernel.shmmax", "safe-and-unsafe", "bar.."]
    sysctls = [{"name": name, "value": "1"} for name in bad]
    refusal = space.refused(
        "POST", "pods", space.pod("bad", spec(sh("true"), securityContext={"sysctls": sysctls}))
    )
    causes = [cause["field"] for cause in refusal["details"]["causes"]]
    assert causes == [f"spec.securityContext.sysctls[{n}].name" for n in (0, 3)]


# ---- the end


def test_the_node_has_a_lease_of_its_own_that_it_renews(space: Space) -> None:
    before, lease = space.seen["lease"], space.ask("GET", NODE_LEASE)
    node = space.ask("GET", "/api/v1/nodes/node-1")
    owner = {"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": node["metadata"]["uid"]}
    assert lease["metadata"]["ownerReferences"] == [owner]
    spec = lease["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == ("node-1", 40)
    eventually(  # every ten seconds: long ago
        lambda: space.ask("GET", NODE_LEASE)["spec"]["renewTime"] > before["spec"]["renewTime"]
    )


def test_a_collection_of_pods_is_deleted_as_one(space: Space) -> None:
    body = {"gracePeriodSeconds": 0}
    doomed = ("init-never", "terminate-never", "messages", "well")
    chosen = f"name in ({','.join(doomed)})"
    assert len(space.ask("GET", "pods", labelSelector=chosen)["items"]) == len(doomed)
    space.ask("DELETE", "pods", body, labelSelector=chosen)
    eventually(lambda: not space.ask("GET", "pods", labelSelector=chosen)["items"])
    assert space.status("logs")["phase"] == "Running"
