"""Every example does what its README says."""

import re
import subprocess
import urllib.request
from pathlib import Path

import pytest
from tests.e2e.support import ROOT, Podward, eventually, run


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text()
    for folder in (ROOT / "examples").iterdir():
        assert not folder.is_dir() or folder.name in text


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
