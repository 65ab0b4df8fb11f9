"""Pods offered to a real `podward webhook` at a fixed rate, whether it keeps up or not: how long each waits.

200 presets stand in one namespace; a Pod gets what three of them bring. Requests fall due on a timetable, and
their latency is counted from there, so that a stall is paid by everyone who came in it. The senders are kept
connections over TLS, as an API server has them, in this process.
"""

import asyncio
import base64
import contextlib
import json
import os
import re
import ssl
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop
from harness import TICKS, Server, report, server

PRESETS = int(os.environ.get("PRESETS", "200"))
RATE = int(os.environ.get("RATE", "500"))
SECONDS = float(os.environ.get("SECONDS", "10"))
CONNECTIONS = 32
NAMESPACE = "edge"


def preset(i: int) -> dict[str, Any]:
    """The first brings a variable to the tier, every other one something to an application of its own."""
    name = f"p{i:03}"
    if i == 0:
        spec: dict[str, Any] = {
            "selector": {"matchLabels": {"tier": "web"}},
            "env": [{"name": "TZ", "value": "UTC"}],
        }
    else:
        spec = {
            "selector": {"matchLabels": {"app": f"app-{i // 2}"}},
            "env": [{"name": f"SETTING_{name}", "value": "on"},
                    {"name": f"NODE_{name}", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
            "volumes": [{"name": f"cache-{name}", "emptyDir": {}},
                        {"name": f"tls-{name}", "secret": {"secretName": "tls"}}],
            "volumeMounts": [{"name": f"cache-{name}", "mountPath": f"/cache/{name}"},
                             {"name": f"tls-{name}", "mountPath": f"/tls/{name}", "readOnly": True}],
        }  # fmt: skip
    return {"apiVersion": "settings.k8s.io/v1alpha1", "kind": "PodPreset",
            "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}  # fmt: skip


def review(i: int) -> bytes:
    """As an API server sends a ReplicaSet's Pod, defaults and token included."""
    probe = {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1,
             "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}  # fmt: skip
    token = {"name": "kube-api-access-x", "readOnly": True,
             "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}  # fmt: skip
    sources = [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
               {"configMap": {"name": "kube-root-ca.crt",
                              "items": [{"key": "ca.crt", "path": "ca.crt"}]}}]  # fmt: skip
    container = {"image": "registry.example.org/team/web:1.2.3", "imagePullPolicy": "IfNotPresent",
                 "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                 "env": [{"name": f"OWN_{n}", "value": "x" * 40} for n in range(8)],
                 "volumeMounts": [token], "livenessProbe": probe, "readinessProbe": probe,
                 "terminationMessagePath": "/dev/termination-log",
                 "terminationMessagePolicy": "File"}  # fmt: skip
    pod = {"apiVersion": "v1", "kind": "Pod",
           "metadata": {"generateName": "web-7d4b9c6f5-",
                        "labels": {"tier": "web", "app": f"app-{i % (PRESETS // 2)}",
                                   "pod-template-hash": "7d4b9c6f5"},
                        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                                             "name": "web-7d4b9c6f5", "uid": "1", "controller": True}]},
           "spec": {"containers": [{"name": "web", **container}, {"name": "helper", **container}],
                    "volumes": [{"name": "kube-api-access-x",
                                 "projected": {"defaultMode": 420, "sources": sources}}],
                    "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
                    "dnsPolicy": "ClusterFirst", "serviceAccountName": "default",
                    "securityContext": {}, "schedulerName": "default-scheduler"}}  # fmt: skip
    request = {"uid": f"uid-{i}", "kind": {"group": "", "version": "v1", "kind": "Pod"},
               "resource": {"group": "", "version": "v1", "resource": "pods"}, "name": "",
               "namespace": NAMESPACE, "operation": "CREATE", "dryRun": False, "object": pod,
               "oldObject": None, "userInfo": {"username": "system:serviceaccount:kube-system:rs"},
               "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"}}  # fmt: skip
    body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                       "request": request}).encode()  # fmt: skip
    head = (f"POST /mutate?timeout=5s HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n")  # fmt: skip
    return head.encode() + body


class Sender(asyncio.Protocol):
    """One kept connection: one request at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._answer = b""
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def send(self, request: bytes, due: float) -> None:
        self._due, self._answer = due, b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end:
            return
        length = re.search(rb"content-length: (\d+)", head)
        if length is None or len(body) >= int(length[1]):
            good = head.startswith(b"HTTP/1.1 200 ") and b'"patch":"' in body
            self._load.done(self, self._due, body if good else None)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lose()


class Load:
    def __init__(self) -> None:
        self.free: deque[Sender] = deque()
        self.waiting: deque[tuple[bytes, float]] = deque()
        self.latencies: list[float] = []
        self.errors = self.lost = 0
        self.last = b""
        self._wanted = 0
        self._finished = asyncio.Event()

    def offer(self, request: bytes, due: float) -> None:
        if self.free:
            self.free.popleft().send(request, due)
        else:
            self.waiting.append((request, due))

    async def finished(self, count: int) -> None:
        self._wanted = count
        if len(self.latencies) < count and not self.lost:
            await self._finished.wait()

    def done(self, sender: Sender, due: float, body: bytes | None) -> None:
        self.latencies.append(time.perf_counter() - due)
        if body is None:
            self.errors += 1
        else:
            self.last = body
        if self.waiting:
            sender.send(*self.waiting.popleft())
        else:
            self.free.append(sender)
        if len(self.latencies) == self._wanted:
            self._finished.set()

    def lose(self) -> None:
        self.lost += 1
        self._finished.set()


async def offered(port: int, rate: float, seconds: float) -> tuple[Load, float]:
    """The load when all is answered, and how long that took."""
    loop, load = asyncio.get_running_loop(), Load()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for _ in range(CONNECTIONS):
        _, sender = await loop.create_connection(
            lambda: Sender(load), "127.0.0.1", port, ssl=context
        )
        load.free.append(sender)
    requests = [review(i) for i in range(PRESETS // 2)]
    count, began = int(rate * seconds), time.perf_counter()
    for i in range(count):
        due = began + i / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        load.offer(requests[i % len(requests)], due)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(load.finished(count), 30)
    return load, time.perf_counter() - began


class Api:
    def __init__(self, podward: Server) -> None:
        token = re.search(r"token: (\S+)", podward.kubeconfig.read_text())
        assert token is not None
        self._url, self._token = podward.url, token[1]
        self._context = ssl.create_default_context()
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE

    def create(self, path: str, document: dict[str, Any]) -> None:
        request = urllib.request.Request(
            self._url + path, json.dumps(document).encode(),
            {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )  # fmt: skip
        urllib.request.urlopen(request, context=self._context).read()


def prepare(podward: Server) -> None:
    api = Api(podward)
    api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace",
                                      "metadata": {"name": NAMESPACE}})  # fmt: skip
    for i in range(PRESETS):
        path = f"/apis/settings.k8s.io/v1alpha1/namespaces/{NAMESPACE}/podpresets"
        api.create(path, preset(i))


@contextmanager
def webhook(podward: Server) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    pki = podward.data_dir / "pki"
    process = subprocess.Popen(
        [sys.executable, "-m", "podward", "webhook", "--kubeconfig", str(podward.kubeconfig),
         "--listen", "127.0.0.1:0", "--cert-file", str(pki / "server.crt"),
         "--key-file", str(pki / "server.key"), "--namespace", "default",
         "--drain", "0"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if match := re.search(r"is ready: https://\S+:(\d+)", line):
                yield process, int(match[1])
                break
        else:
            raise SystemExit("podward webhook did not become ready")
    finally:
        process.terminate()
        process.wait(30)


def cpu_s(process: "subprocess.Popen[str]") -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(podward: Server) -> None:
    prepare(podward)
    with webhook(podward) as (process, port), asyncio.Runner(
        loop_factory=uvloop.new_event_loop
    ) as runner:  # fmt: skip
        runner.run(offered(port, RATE, 1.0))
        began = cpu_s(process)
        load, took = runner.run(offered(port, RATE, SECONDS))
        cpu = cpu_s(process) - began
    taken = sorted(load.latencies)
    patch = json.loads(base64.b64decode(json.loads(load.last)["response"]["patch"]))

    def percentile(share: float) -> float:
        return round(taken[min(int(len(taken) * share), len(taken) - 1)] * 1e3, 2)

    count = int(RATE * SECONDS)
    report(
        "webhook",
        presets=PRESETS,
        offered_per_s=RATE,
        answered_per_s=round(len(taken) / took, 1),
        requests=count,
        errors=load.errors + count - len(taken),
        p50_ms=percentile(0.5),
        p99_ms=percentile(0.99),
        max_ms=percentile(1),
        webhook_cpu_us=round(cpu / count * 1e6),
        operations_of_a_patch=len(patch),
        request_bytes=len(review(0)),
    )


if __name__ == "__main__":
    with server() as podward:
        measure(podward)
