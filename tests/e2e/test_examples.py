"""Every example does what its README says."""

import re
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from tests.e2e.support import ROOT, Podward, eventually, run

EXPECTED = {
    "03-startup": ["1/1", "Running", "0"],
    "04-readiness": ["0/1", "Running", "0"],
    "05-init": ["1/1", "Running", "0"],
    "06-sidecar": ["0/2", "Completed", "0"],
    "07-graceful-shutdown": ["1/1", "Running", "0"],
    "08-crash-loop": ["0/1", "CrashLoopBackOff", "1"],
}
"""Example -> READY, STATUS and RESTARTS that its Pod comes to."""


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text()
    for folder in (ROOT / "examples").iterdir():
        assert not folder.is_dir() or folder.name in text


def test_small_examples_come_to_what_they_say(podward: Podward, namespace: str) -> None:
    for name in EXPECTED:
        podward.cli("apply", "-n", namespace, "-f", str(ROOT / "examples" / name / "pod.yaml"))
    left = dict(EXPECTED)

    def all_seen() -> bool:
        lines = podward.cli("get", "pods", "-n", namespace, "--no-headers").splitlines()
        rows = {line.split()[0]: line.split()[1:4] for line in lines}
        for name, wanted in list(left.items()):
            manifest = (ROOT / "examples" / name / "pod.yaml").read_text()
            pod = re.search(r"metadata: \{name: (\S+)\}", manifest)
            assert pod is not None
            if rows.get(pod[1]) == wanted:
                del left[name]
        return not left

    eventually(all_seen, timeout=60, what=f"every example at {left}")
    began = time.monotonic()
    podward.cli("delete", "pod", "polite", "-n", namespace)
    assert 4 < time.monotonic() - began < 11


def test_the_notes_pod_falls_ill_and_heals(notes_run: "subprocess.Popen[str]") -> None:
    """examples/01-liveness: what `make run` shows."""
    out, _ = notes_run.communicate(timeout=150)
    lines = re.findall(r"^\+ *([\d.]+)s  (.*)$", out, re.M)
    said = [(float(stamp), text) for stamp, text in lines]
    unhealthy = [at for at, text in said if "Unhealthy" in text]
    killing = next(at for at, text in said if "will be restarted" in text)
    restarted = next(at for at, text in said if "Running" in text and "restarts 1" in text)
    assert notes_run.returncode == 0, out
    assert len([at for at in unhealthy if at <= killing]) == 3
    assert 38 <= killing <= 47
    # The shell ignores SIGTERM: the whole grace of 30 s passes.
    assert 29.5 <= restarted - killing <= 34


@pytest.fixture
def web(podward: Podward) -> Podward:
    podward.cli("apply", "-f", str(ROOT / "examples/02-web-service/pod.yaml"))
    return podward


def row(podward: Podward) -> list[str]:
    return podward.cli("get", "pod", "web", "--no-headers").split()


def test_the_web_service_is_ready_when_it_answers_and_restarted_when_it_does_not(
    web: Podward,
) -> None:
    """examples/02-web-service."""
    eventually(lambda: row(web)[1:4] == ["1/1", "Running", "0"], what="ready")
    with urllib.request.urlopen("http://127.0.0.1:18080/") as answer:
        assert answer.read() == b"served by Podward\n"
    web.cli("exec", "web", "--", "mv", "/site/index.html", "/site/away.html")
    eventually(lambda: row(web)[1:4] == ["0/1", "Running", "0"], what="not ready, alive")
    web.cli("exec", "web", "--", "mv", "/site/away.html", "/site/index.html")
    eventually(lambda: row(web)[1:4] == ["1/1", "Running", "0"], what="ready again")
    pid = run("pgrep", "-f", "http.server 18080 --bind").split()[-1]
    run("kill", "-STOP", pid)
    eventually(lambda: row(web)[1:4] == ["1/1", "Running", "1"], timeout=30, what="restarted")
    events = web.cli("get", "events", "--field-selector", "involvedObject.name=web")
    assert "Liveness probe failed" in events
    assert "Readiness probe failed: HTTP probe failed with statuscode: 404" in events
    web.cli("delete", "pod", "web")


def applied(podward: Podward, namespace: str, example: str, *files: str) -> str:
    """What `podward apply` says; the namespace is the test's unless the manifest names one."""
    names = [str(ROOT / "examples" / example / file) for file in files]
    return "".join(podward.cli("apply", "-n", namespace, "-f", name) for name in names)


def log_of(podward: Podward, namespace: str, pod: str) -> str:
    return podward.cli("logs", pod, "-n", namespace, check=False)


def test_the_notes_preset_reaches_its_pod(podward: Podward, namespace: str) -> None:
    """examples/09-pod-preset."""
    applied(podward, namespace, "09-pod-preset", "preset.yaml", "pod.yaml")
    eventually(
        lambda: log_of(podward, namespace, "website") == "database on port 6379\n",
        what="the variable and the volume in the container",
    )


def test_a_health_preset_restarts_what_nobody_watched(podward: Podward, namespace: str) -> None:
    """examples/10-health-preset."""
    applied(podward, namespace, "10-health-preset", "preset.yaml", "pod.yaml")

    def shop() -> list[str]:
        return podward.cli("get", "pod", "shop", "-n", namespace, "--no-headers").split()

    eventually(lambda: shop()[1:4] == ["1/1", "Running", "1"], timeout=40, what="restarted")


def test_a_cluster_preset_reaches_production(podward: Podward) -> None:
    """examples/11-cluster-preset."""
    try:
        applied(podward, "default", "11-cluster-preset", "preset.yaml", "pod.yaml")
        eventually(
            lambda: (
                podward.cli("get", "pod", "payments", "-n", "checkout", "--no-headers").split()[1:3]
                == ["2/2", "Running"]
            ),
            what="the sidecar beside the container",
        )
        log = podward.cli("logs", "payments", "-n", "checkout", "-c", "payments")
        assert log == "stage production\n"
    finally:
        podward.cli("delete", "clusterpodpreset", "production")
        podward.cli("delete", "namespace", "checkout")


def test_a_conflict_is_said_and_settled_as_each_preset_wants(
    podward: Podward, namespace: str
) -> None:
    """examples/12-preset-conflict."""
    said = applied(podward, namespace, "12-preset-conflict", "presets.yaml", "pods.yaml")
    assert said.count("Warning: PodPreset: ") == 2
    eventually(lambda: log_of(podward, namespace, "chatty") == "debug plain\n", what="no preset")
    eventually(lambda: log_of(podward, namespace, "modern") == "debug json\n", what="its format")
    eventually(
        lambda: podward.cli("get", "events", "-n", namespace).count("PresetConflict") == 2,
        what="an event on each preset",
    )
