"""What Kubernetes' own node conformance groups describe, on real containers, by real clients.

One module applies every Pod at once and looks at each when it has come to what it should; groups with a file of
their own (volumes, the Pod's spec, streams, service accounts) are not repeated here.
"""

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from tests.e2e.support import Kubectl, Podward, component_missing, eventually, kubectl_current

from podward.cli.http_client import HttpClient

NAMESPACE = "conformance"

# ---- Pods: name -> spec


def sh(script: str, **more: Any) -> dict[str, Any]:
    """A container that runs a script."""
    return {"name": "main", "image": "busybox", "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", script], **more}  # fmt: skip


def spec(*containers: dict[str, Any], policy: str = "Never", **more: Any) -> dict[str, Any]:
    return {"restartPolicy": policy, "terminationGracePeriodSeconds": 0,
            "containers": list(containers), **more}  # fmt: skip


SLEEP = "exec sleep 3600"
SERVE = (
    "mkdir -p /www/cgi-bin; echo ok > /www/healthz; touch /tmp/seen;"
    " printf '#!/bin/sh\\necho\\necho $QUERY_STRING >> /tmp/seen\\n' > /www/cgi-bin/hook;"
    " chmod +x /www/cgi-bin/hook; exec httpd -f -p 8080 -h /www"
)
QUICK = {"periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 2}
ONCE_THEN_WELL = "if [ -e /state/ran ]; then exec sleep 3600; fi; touch /state/ran; exit {code}"
STATE = {"volumeMounts": [{"name": "state", "mountPath": "/state"}]}
VOLUME = {"volumes": [{"name": "state", "emptyDir": {}}]}
LOG_AND_FILE = "printf {log}; printf {file} > /dev/termination-log; exit {code}"

PODS: dict[str, dict[str, Any]] = {
    # Probing container
    "exec-well": spec(sh(SLEEP, livenessProbe={"exec": {"command": ["true"]}, **QUICK})),
    "exec-ill": spec(
        sh("touch /tmp/health; sleep 2; rm /tmp/health; exec sleep 3600",
           livenessProbe={"exec": {"command": ["cat", "/tmp/health"]}, **QUICK}),
        policy="Always",
    ),
    "exec-times-out": spec(
        sh(SLEEP, livenessProbe={"exec": {"command": ["sleep", "30"]}, **QUICK, "timeoutSeconds": 1}),
        policy="Always",
    ),
    "http-well": spec(sh(SERVE, livenessProbe={"httpGet": {"path": "/healthz", "port": 8080},
                                               "initialDelaySeconds": 1, **QUICK})),
    "http-ill": spec(
        sh(SERVE, livenessProbe={"httpGet": {"path": "/gone", "port": 8080},
                                 "initialDelaySeconds": 1, **QUICK}),
        policy="Always",
    ),
    "tcp-well": spec(sh(SERVE, livenessProbe={"tcpSocket": {"port": 8080},
                                              "initialDelaySeconds": 1, **QUICK})),
    "never-ready": spec(sh(SLEEP, readinessProbe={"exec": {"command": ["false"]}, **QUICK})),
    "ready-later": spec(sh(SLEEP, readinessProbe={"exec": {"command": ["true"]}, "periodSeconds": 1,
                                                  "initialDelaySeconds": 3})),
    "starting": spec(
        sh("sleep 4; touch /tmp/started; exec sleep 3600",
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
    "message-file": spec(
        sh(LOG_AND_FILE.format(log="LOG", file="OK", code=0),
           terminationMessagePolicy="FallbackToLogsOnError"),
    ),
    "message-none": spec(
        sh("printf DONE; exit 0", terminationMessagePolicy="FallbackToLogsOnError"),
    ),
    "message-log": spec(
        sh("printf DONE; exit 1", terminationMessagePolicy="FallbackToLogsOnError"),
    ),
    "message-user": spec(
        sh("printf DONE > /dev/termination-custom-log; exit 0",
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
    "target": spec(sh(SERVE, readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1})),
    "updated": spec(sh(SLEEP)),
    "deadline": spec(sh(SLEEP), activeDeadlineSeconds=3600),
    "graceful": spec(sh("trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done"))
    | {"terminationGracePeriodSeconds": 20},
    "logs": spec(sh("echo container is alive; exec sleep 3600")),
    # Kubelet
    "fails-always": spec(sh("exit 1"), policy="Always"),
    "sidecar": spec(
        sh("sleep 1; exit 0"),
        initContainers=[{**sh(SLEEP), "name": "helper", "restartPolicy": "Always"}],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def pods(engine_podward: Podward, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    binary = kubectl_current()
    if binary is None:
        component_missing("a recent kubectl on the PATH")
        raise AssertionError
    kubectl = Kubectl(binary, engine_podward, tmp_path_factory.mktemp("home"))
    documents: list[Any] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    ]
    for name, wanted in PODS.items():
        labels = {"group": "conformance", "name": name}
        meta = {"name": name, "namespace": NAMESPACE, "labels": labels}
        documents.append({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": wanted})
    kubectl.apply(yaml.safe_dump_all(documents))
    yield kubectl
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
def status(pods: Kubectl) -> Callable[[str], Any]:
    """A Pod's status now."""

    def read(name: str) -> Any:
        return pods.json("get", "pod", name, "-n", NAMESPACE)["status"]

    return read


def main_of(status: Any) -> Any:
    return next(c for c in status.get("containerStatuses") or [{}] if c.get("name") == "main")


def comes(status: Callable[[str], Any], name: str, check: Callable[[Any], Any]) -> Any:
    """The Pod's status once `check` finds it right."""

    def look() -> Any:
        found = status(name)
        return found if found.get("containerStatuses") and check(found) else None

    return eventually(look, timeout=40, what=f"{name} comes to what it should")


def has_phase(phase: str, found: Any) -> bool:
    return bool(found["phase"] == phase)


def restarted(found: Any) -> bool:
    return bool(main_of(found)["restartCount"] >= 1)


# ---- probing


@pytest.mark.parametrize("name", ["exec-ill", "http-ill", "exec-times-out"])
def test_a_failing_liveness_probe_restarts(status: Callable[[str], Any], name: str) -> None:
    comes(status, name, restarted)


def test_a_slow_start_is_given_its_time(status: Callable[[str], Any]) -> None:
    found = comes(status, "starting", lambda found: main_of(found)["started"])
    assert main_of(found)["restartCount"] == 0


def test_readiness_comes_after_its_delay(status: Callable[[str], Any]) -> None:
    found = comes(status, "ready-later", lambda found: main_of(found)["ready"])
    ready = next(c for c in found["conditions"] if c["type"] == "Ready")
    started = main_of(found)["state"]["running"]["startedAt"]
    assert ready["lastTransitionTime"] > started


def test_containers_that_are_well_or_only_not_ready_are_left_alone(
    status: Callable[[str], Any],
) -> None:
    comes(status, "exec-ill", restarted)  # so that probes have run for a while
    for name in ("exec-well", "http-well", "tcp-well", "never-ready"):
        found = comes(status, name, lambda found: main_of(found)["state"].get("running"))
        assert main_of(found)["restartCount"] == 0, name
        assert main_of(found)["ready"] == (name != "never-ready")


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
    status: Callable[[str], Any], name: str, phase: str, restarts: int, ready: bool
) -> None:
    found = comes(
        status, name, lambda s: (s["phase"], main_of(s)["restartCount"]) == (phase, restarts)
    )
    assert comes(status, name, lambda s: main_of(s)["ready"] is ready)
    if name == "terminate-never":
        ended = main_of(found)["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (3, "Error")
        assert ended["startedAt"]
        assert ended["finishedAt"]
        assert ended["containerID"].startswith("containerd://")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("message-file", "OK"),
        ("message-none", ""),
        ("message-log", "DONE"),
        ("message-user", "DONE"),
    ],
)
def test_a_termination_message_comes_from_where_its_policy_says(
    status: Callable[[str], Any], name: str, message: str
) -> None:
    found = comes(status, name, lambda s: main_of(s)["state"].get("terminated"))
    assert main_of(found)["state"]["terminated"].get("message", "") == message


# ---- init containers


def test_init_containers_run_in_order_before_the_others(status: Callable[[str], Any]) -> None:
    for name, phase in (("init-never", "Succeeded"), ("init-always", "Running")):
        found = comes(status, name, partial(has_phase, phase))
        first, second = found["initContainerStatuses"]
        assert first["state"]["terminated"]["exitCode"] == 0
        assert (
            first["state"]["terminated"]["finishedAt"] <= second["state"]["terminated"]["startedAt"]
        )
        initialized = next(c for c in found["conditions"] if c["type"] == "Initialized")
        assert initialized["status"] == "True"


def test_a_failed_init_container_keeps_the_others_from_starting(
    status: Callable[[str], Any],
) -> None:
    failed = comes(status, "init-fails", lambda s: s["phase"] == "Failed")
    assert main_of(failed)["state"]["waiting"]["reason"] == "PodInitializing"
    assert "waiting" in failed["initContainerStatuses"][1]["state"]
    again = comes(
        status, "init-fails-again", lambda s: s["initContainerStatuses"][0]["restartCount"] >= 1
    )
    assert again["phase"] == "Pending"
    assert main_of(again)["state"]["waiting"]["reason"] == "PodInitializing"


def test_a_sidecar_runs_beside_and_its_end_is_no_failure(status: Callable[[str], Any]) -> None:
    found = comes(status, "sidecar", lambda s: s["phase"] == "Succeeded")
    assert found["initContainerStatuses"][0]["state"]["terminated"]


# ---- lifecycle hooks


def pod_ip(status: Callable[[str], Any], name: str) -> str:
    return str(comes(status, name, lambda s: main_of(s)["ready"])["podIP"])


def test_post_start_hooks_run(pods: Kubectl, status: Callable[[str], Any]) -> None:
    comes(status, "post-start", lambda s: main_of(s)["ready"])
    said = pods("exec", "-n", NAMESPACE, "post-start", "--", "cat", "/tmp/seen")
    assert said == "post\n"


@pytest.mark.parametrize("when", ["postStart", "preStop"])
def test_http_hooks_reach_another_pod(
    pods: Kubectl, status: Callable[[str], Any], when: str
) -> None:
    ip = pod_ip(status, "target")
    hook = {"httpGet": {"host": ip, "port": 8080, "path": f"/cgi-bin/hook?{when}"}}
    meta = {"name": f"hook-{when.lower()}", "namespace": NAMESPACE}
    wanted = spec(sh(SLEEP, lifecycle={when: hook}))
    wanted["terminationGracePeriodSeconds"] = 5
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": wanted}
    pods.apply(json.dumps(pod))
    comes(status, meta["name"], lambda s: s["phase"] == "Running")
    if when == "preStop":
        pods("delete", "-n", NAMESPACE, "pod", meta["name"], "--wait=false")

    def heard() -> bool:
        return when in pods("exec", "-n", NAMESPACE, "target", "--", "cat", "/tmp/seen")

    eventually(heard, what=f"the target was asked by {when}")


# ---- Pods


def test_labels_and_deadline_are_updated_while_it_runs(
    pods: Kubectl, status: Callable[[str], Any]
) -> None:
    comes(status, "updated", lambda s: s["phase"] == "Running")
    pods("label", "pod", "updated", "-n", NAMESPACE, "--overwrite", "time=later")
    found = pods.json("get", "pods", "-n", NAMESPACE, "-l", "time=later")["items"]
    assert [pod["metadata"]["name"] for pod in found] == ["updated"]
    comes(status, "deadline", lambda s: s["phase"] == "Running")
    pods("patch", "pod", "deadline", "-n", NAMESPACE, "-p", '{"spec":{"activeDeadlineSeconds":2}}')
    ended = comes(status, "deadline", lambda s: s["phase"] == "Failed")
    assert ended["reason"] == "DeadlineExceeded"


def test_a_host_ip_is_told(status: Callable[[str], Any]) -> None:
    found = comes(status, "updated", lambda s: s["phase"] == "Running")
    assert found["hostIP"]
    assert found["podIPs"] == [{"ip": found["podIP"]}]


def test_a_deletion_is_graceful_and_seen_by_a_watch(
    pods: Kubectl, status: Callable[[str], Any]
) -> None:
    comes(status, "graceful", lambda s: s["phase"] == "Running")
    client = HttpClient(str(pods.podward.kubeconfig))
    watch = client.stream(
        f"/api/v1/namespaces/{NAMESPACE}/pods",
        query={"watch": "true", "fieldSelector": "metadata.name=graceful"},
    )
    pods("delete", "pod", "graceful", "-n", NAMESPACE, "--wait=false")
    marked = False
    for line in watch:
        event = json.loads(line)
        marked = marked or bool(event["object"]["metadata"].get("deletionTimestamp"))
        if event["type"] == "DELETED":
            break
    assert marked
    gone = pods.result("get", "pod", "graceful", "-n", NAMESPACE)
    assert gone[0] == 1
    assert "NotFound" in gone[2]


def test_logs_come_through_a_websocket(pods: Kubectl, status: Callable[[str], Any]) -> None:
    comes(status, "logs", lambda s: main_of(s)["state"].get("running"))
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/logs/log?container=main"
    assert read_websocket(pods.podward, path).strip() == b"container is alive"


def read_websocket(podward: Podward, path: str) -> bytes:
    """Everything a WebSocket of `binary.k8s.io` says until it is closed."""
    config = yaml.safe_load(podward.kubeconfig.read_text())
    authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
    user = config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(authority).decode())
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("client-certificate-data", "client-key-data"):
            Path(folder, kind).write_bytes(base64.b64decode(user[kind]))
        context.load_cert_chain(f"{folder}/client-certificate-data", f"{folder}/client-key-data")

    async def read() -> bytes:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                podward.url + path, ssl=context, protocols=["binary.k8s.io"]
            ) as socket,
        ):
            return b"".join([message.data async for message in socket])

    return asyncio.run(read())


def test_a_container_that_always_fails_can_be_deleted(
    pods: Kubectl, status: Callable[[str], Any]
) -> None:
    found = comes(
        status,
        "fails-always",
        lambda s: main_of(s)["state"].get("terminated") or main_of(s).get("lastState"),
    )
    main = main_of(found)
    ended = main["state"].get("terminated") or main["lastState"]["terminated"]
    assert ended["reason"] == "Error"
    pods("delete", "pod", "fails-always", "-n", NAMESPACE, "--timeout=20s")


def test_leases_and_status_are_written_through_the_api(
    pods: Kubectl, status: Callable[[str], Any]
) -> None:
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
             "metadata": {"name": "a", "namespace": NAMESPACE, "labels": {"group": "leases"}},
             "spec": {"holderIdentity": "me", "leaseDurationSeconds": 30}}  # fmt: skip
    pods.apply(json.dumps(lease))
    pods(
        "patch",
        "lease",
        "a",
        "-n",
        NAMESPACE,
        "--type=merge",
        "-p",
        '{"spec":{"holderIdentity":"you"}}',
    )
    assert pods.json("get", "lease", "a", "-n", NAMESPACE)["spec"]["holderIdentity"] == "you"
    pods("delete", "lease", "-n", NAMESPACE, "-l", "group=leases")
    assert pods.json("get", "leases", "-n", NAMESPACE)["items"] == []
    patch = '{"status":{"conditions":[{"type":"Extra","status":"True"}]}}'
    pods("patch", "pod", "updated", "-n", NAMESPACE, "--subresource=status", "-p", patch)
    assert "Extra" in [c["type"] for c in status("updated")["conditions"]]
