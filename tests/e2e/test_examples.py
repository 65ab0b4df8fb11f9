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
