"""Two Podwards: one is a cluster without presets of its own, the other its webhook. kubectl drives both."""

import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.support import (
    Kubectl,
    Podward,
    component_missing,
    eventually,
    kubectl_current,
    run,
)

from podward.machinery.certificates import make_authority, make_leaf

PRESETS = """
apiVersion: settings.k8s.io/v1alpha1
kind: PodPreset
metadata: {name: cal}
spec:
  selector: {matchLabels: {tier: web}}
  env: [{name: TZ, value: UTC}]
  volumes: [{name: cache, emptyDir: {}}]
  volumeMounts: [{name: cache, mountPath: /cache}]
---
apiVersion: podward.dev/v1alpha1
kind: ClusterPodPreset
metadata: {name: org}
spec:
  selector: {matchLabels: {tier: web}}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: default}}
  onConflict: KeepPod
  env: [{name: ORG, value: example}]
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {tier: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: app, image: busybox, command: [sleep, "600"], env: %s}]
"""
CAL = "podpreset.admission.kubernetes.io/podpreset-cal"


@dataclass
class Files:
    """A certificate in two files, and the authority that API servers are told of."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> "Files":
        now = datetime.now(UTC)
        authority = make_authority("test", now=now)
        leaf = make_leaf(authority, "webhook", now=now, life=timedelta(days=1), names=["127.0.0.1"])
        for name, data in (("ca.crt", authority.certificate), ("tls.crt", leaf.certificate),
                           ("tls.key", leaf.key)):  # fmt: skip
            (folder / name).write_bytes(data)
        return cls(folder)

    @property
    def authority(self) -> Path:
        return self.folder / "ca.crt"


class Webhook:
    """A `podward webhook` process."""

    def __init__(self, cluster: Podward, files: Files, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self._log = (files.folder / "webhook.stderr").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "podward", "webhook", "--kubeconfig", str(cluster.kubeconfig),
             "--namespace", "default", "--listen", f"127.0.0.1:{self.port}",
             "--cert-file", str(files.folder / "tls.crt"), "--key-file",
             str(files.folder / "tls.key"), *options],
            stdout=subprocess.PIPE, stderr=self._log, text=True, start_new_session=True,
        )  # fmt: skip
        self.tls = ssl.create_default_context(cafile=files.authority)

    def wait_ready(self) -> str:
        """What it says then."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if "is ready" not in line:
            self.end()
            pytest.fail(f"podward webhook is not ready: {line!r} {self.stderr()}")
        return line

    def connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=10)

    def get(self, path: str) -> tuple[int, str]:
        """(0, why) if nobody answers."""
        connection = self.connection()
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError as error:
            return 0, str(error)
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics")[1], re.M)
        return float(found[1]) if found else 0.0

    def stderr(self) -> str:
        self._log.seek(0)
        return self._log.read()

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=40)
        if self.process.stdout and not self.process.stdout.closed:
            self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files.made(tmp_path_factory.mktemp("webhook"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podward]:
    server = Podward(tmp_path_factory.mktemp("cluster") / "data", "--pod-presets", "off").start()
    yield server
    server.tear_down()


@pytest.fixture(scope="module")
def webhook(cluster: Podward, files: Files) -> Iterator[Webhook]:
    made = Webhook(cluster, files, "--drain", "0")
    made.wait_ready()
    yield made
    made.end()


@pytest.fixture(scope="module")
def kubectl(cluster: Podward, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    binary = kubectl_current()
    if binary is None:
        component_missing("a recent kubectl on the PATH")
        raise AssertionError
    return Kubectl(binary, cluster, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def installed(kubectl: Kubectl, webhook: Webhook, files: Files) -> Webhook:
    """The webhook, known to the cluster, and presets there that it has heard of."""
    manifests = run(
        sys.executable, "-m", "podward", "webhook", "manifests", "--dev-url", webhook.url,
        "--ca-file", str(files.authority), "--failure-policy", "Fail",
    )  # fmt: skip
    kubectl.apply(manifests)
    kubectl.apply(PRESETS)
    eventually(lambda: '"ORG"' in dry_run(kubectl), what="the webhook knows the presets")
    return webhook


def dry_run(kubectl: Kubectl) -> str:
    return kubectl.result("create", "--dry-run=server", "-o", "json", "-f", "-",
                          stdin=POD % ("dry", "[]"))[1]  # fmt: skip


def test_a_pod_comes_back_preset(kubectl: Kubectl, installed: Webhook) -> None:
    code, said, warned = kubectl.result("apply", "-f", "-", stdin=POD % ("web", "[]"))
    assert (code, said, warned) == (0, "pod/web created\n", "")
    pod = kubectl.json("get", "pod", "web")
    [container] = pod["spec"]["containers"]
    assert container["env"] == [{"name": "ORG", "value": "example"}, {"name": "TZ", "value": "UTC"}]
    assert {"name": "cache", "mountPath": "/cache"} in container["volumeMounts"]
    assert {"name": "cache", "emptyDir": {}} in pod["spec"]["volumes"]
    preset = kubectl.json("get", "podpreset", "cal")
    assert pod["metadata"]["annotations"][CAL] == preset["metadata"]["resourceVersion"]
    assert json.loads(pod["metadata"]["annotations"]["podward.dev/presets"])["presets"].keys() == {
        "clusterpodpreset/org", "podpreset/cal",
    }  # fmt: skip


def test_a_dry_run_shows_it_and_a_conflict_is_seen(kubectl: Kubectl, installed: Webhook) -> None:
    shown = json.loads(dry_run(kubectl))
    assert shown["metadata"]["annotations"].keys() >= {CAL}
    before = installed.metric(
        'podward_webhook_conflicts_total{list="env",namespace="default",preset="podpreset/cal"}'
    )
    own = "[{name: TZ, value: hunter2}]"
    code, _, warned = kubectl.result("apply", "-f", "-", stdin=POD % ("clash", own))
    assert code == 0
    assert warned.startswith("Warning: PodPreset: ")
    assert "TZ" in warned
    assert "hunter2" not in warned + installed.stderr() + installed.get("/metrics")[1]
    pod = kubectl.json("get", "pod", "clash")
    assert pod["spec"]["containers"][0]["env"] == [{"name": "TZ", "value": "hunter2"}]
    assert CAL not in pod["metadata"].get("annotations", {})
    after = installed.metric(
        'podward_webhook_conflicts_total{list="env",namespace="default",preset="podpreset/cal"}'
    )
    assert after == before + 1
    eventually(
        lambda: "PresetConflict" in kubectl("get", "events", "-o", "jsonpath={.items[*].reason}"),
        what="an Event of the conflict",
    )


def test_presets_are_checked_by_it_and_their_status_is_written(
    kubectl: Kubectl, installed: Webhook
) -> None:
    path = 'podward_webhook_calls_total{outcome="untouched",path="/validate"}'
    before = installed.metric(path)
    kubectl.apply(PRESETS.replace("example", "example.org"))
    assert installed.metric(path) > before  # who may override is not known to this cluster: all may

    def up_to_date() -> bool:
        preset = kubectl.json("get", "clusterpodpreset", "org")
        status = preset.get("status", {})
        valid = [c["status"] for c in status.get("conditions", ()) if c["type"] == "Valid"]
        return (
            valid == ["True"] and status["observedGeneration"] == preset["metadata"]["generation"]
        )

    eventually(up_to_date, what="a status, written by the webhook")
    settled = kubectl.json("get", "clusterpodpreset", "org")["metadata"]["resourceVersion"]
    time.sleep(2.5)  # a second writer, who never agrees, would have written by now
    now = kubectl.json("get", "clusterpodpreset", "org")["metadata"]["resourceVersion"]
    assert now == settled
    kubectl.apply(PRESETS)
    eventually(lambda: "example.org" not in dry_run(kubectl), what="the old preset again")


def test_what_ends_it_while_it_is_asked_fails_no_request(
    kubectl: Kubectl, cluster: Podward, files: Files, installed: Webhook
) -> None:
    """As a Service does it: those who ask hear within a second that it is not ready, and go elsewhere."""
    ending = Webhook(cluster, files, "--drain", "3")
    ending.wait_ready()
    review = {
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "u", "operation": "CREATE", "namespace": "default",
                    "resource": {"group": "", "version": "v1", "resource": "pods"},
                    "object": {"metadata": {"labels": {"tier": "web"}},
                               "spec": {"containers": [{"name": "a", "image": "b"}]}}},
    }  # fmt: skip
    askers = [Asker(ending, json.dumps(review)) for _ in range(4)]
    eventually(lambda: all(asker.answered > 5 for asker in askers), what="load")
    told = time.monotonic()
    ending.process.send_signal(signal.SIGTERM)
    eventually(lambda: ending.get("/readyz") == (503, "draining\n"), what="readiness off")
    time.sleep(1.0)
    assert ending.process.poll() is None
    answered = [asker.stop() for asker in askers]
    assert [asker.failures for asker in askers] == [[]] * 4
    assert min(answered) > 10
    assert all(asker.moved > 5 for asker in askers), "each answer asked for a new connection"
    assert ending.end() == 0
    assert 3.0 <= time.monotonic() - told < 15.0


class Asker:
    """Asks without pause on a kept connection, from a thread."""

    def __init__(self, webhook: Webhook, body: str) -> None:
        self._webhook, self._body = webhook, body
        self.answered = self.moved = 0
        self.failures: list[str] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        connection = self._webhook.connection()
        while not self._stopped.is_set():
            try:
                connection.request(
                    "POST", "/mutate", self._body, {"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                review: Any = json.loads(answer.read())
                if answer.status != 200 or "patch" not in review["response"]:
                    self.failures.append(f"{answer.status}: {review}")
                self.moved += answer.will_close
                self.answered += 1
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failures.append(repr(error))
                connection.close()
        connection.close()

    def stop(self) -> int:
        self._stopped.set()
        self._thread.join()
        return self.answered


def test_it_is_not_ready_before_it_knows_the_presets(tmp_path: Path, files: Files) -> None:
    cluster = Podward(tmp_path / "data", "--pod-presets", "off").start()
    try:
        cluster.kill()
        early = Webhook(cluster, files, "--drain", "0")
        eventually(lambda: early.get("/livez") == (200, "ok\n"), what="it is alive")
        assert early.get("/readyz") == (503, "presets are not known yet\n")
        assert early.metric("podward_webhook_ready") == 0
        cluster.start()
        assert early.url in early.wait_ready()
        assert early.get("/readyz") == (200, "ok\n")
        assert early.end() == 0
        assert "Traceback" not in early.stderr()
    finally:
        cluster.tear_down()


def test_a_port_in_use_is_one_line(cluster: Podward, files: Files) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "podward", "webhook", "--kubeconfig", str(cluster.kubeconfig),
             "--namespace", "default", "--listen", address,
             "--cert-file", str(files.folder / "tls.crt"),
             "--key-file", str(files.folder / "tls.key")],
            text=True, timeout=30, capture_output=True,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: cannot listen on {address}: Address already in use\n"
