"""Every example does what its README says, as processes of this machine and in containers of an engine."""

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import SERVERS
from tests.e2e.golden import Watched
from tests.e2e.support import ROOT, Podward, eventually, run
from tests.golden.records import first_start

EXPECTED = {
    "03-startup": ["1/1", "Running", "0"],
    "04-readiness": ["0/1", "Running", "0"],
    "05-init": ["1/1", "Running", "0"],
    "06-sidecar": ["0/2", "Completed", "0"],
    "07-graceful-shutdown": ["1/1", "Running", "0"],
    "08-crash-loop": ["0/1", "CrashLoopBackOff", "1"],
    "10-health-preset": ["1/1", "Running", "1"],
}
"""Example -> READY, STATUS and RESTARTS that its Pod comes to; 13-real-containers has a file of its own,
`test_real_containers.py`."""


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Podward:
    """Each of them in its turn."""
    found: Podward = request.getfixturevalue(SERVERS[request.param])
    return found


@pytest.fixture
def space(request: pytest.FixtureRequest, server: Podward) -> Iterator[str]:
    """A namespace of the server."""
    name = "t-" + str(abs(hash(request.node.nodeid)))[:12]
    manifest = f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"
    server.cli("apply", "-f", "-", input=manifest)
    yield name
    server.cli("delete", "namespace", name, "--wait=false", check=False)


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text()
    for folder in (ROOT / "examples").iterdir():
        assert not folder.is_dir() or folder.name in text


@pytest.mark.parametrize("name", EXPECTED)
def test_a_small_example_comes_to_what_it_says(name: str, golden_run: Watched) -> None:
    assert EXPECTED[name] in golden_run.rows(name)


def test_told_to_end_a_pod_finishes_what_it_has_begun(golden_run: Watched) -> None:
    """examples/07-graceful-shutdown: two seconds of a hook, three of its own."""
    assert 4 < golden_run.leaving_took("07-graceful-shutdown") < 11


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


@pytest.mark.parametrize("golden_run", ["containers"], indirect=True)
def test_the_notes_pod_falls_ill_and_heals_in_a_real_container(golden_run: Watched) -> None:
    """examples/01-liveness."""
    events = golden_run.events("01-liveness")
    unhealthy = [one for one in events if one.reason == "Unhealthy"]
    assert unhealthy[0].message.startswith("Liveness probe failed: cat: can't open '/tmp/healthy'")
    began = first_start(events)
    killing = next(one.first for one in events if "will be restarted" in one.message)
    restarted = next(
        step.at
        for step in golden_run.steps("01-liveness")
        if ("liveness", "running", 1) in [one[:3] for one in step.step.containers]
    )
    assert 38 <= killing - began <= 47
    # The shell ignores SIGTERM: the whole grace of 30 s passes.
    assert 29 <= restarted - killing <= 34


@pytest.fixture
def web(server: Podward) -> Podward:
    server.cli("apply", "-f", str(ROOT / "examples/02-web-service/pod.yaml"))
    return server


def row(server: Podward) -> list[str]:
    return server.cli("get", "pod", "web", "--no-headers").split()


def test_the_web_service_is_ready_when_it_answers_and_restarted_when_it_does_not(
    web: Podward,
) -> None:
    """examples/02-web-service."""
    eventually(lambda: row(web)[1:4] == ["1/1", "Running", "0"], what="ready")
    status = json.loads(web.cli("get", "pod", "web", "-o", "json"))["status"]
    address = "127.0.0.1" if status["podIP"] == status["hostIP"] else status["podIP"]
    with urllib.request.urlopen(f"http://{address}:18080/") as answer:
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


def applied(server: Podward, space: str, example: str, *files: str) -> str:
    """What `podward apply` says; the namespace is the test's unless the manifest names one."""
    names = [str(ROOT / "examples" / example / file) for file in files]
    return "".join(server.cli("apply", "-n", space, "-f", name) for name in names)


def log_of(server: Podward, space: str, pod: str) -> str:
    return server.cli("logs", pod, "-n", space, check=False)


def test_the_notes_preset_reaches_its_pod(server: Podward, space: str) -> None:
    """examples/09-pod-preset."""
    applied(server, space, "09-pod-preset", "preset.yaml", "pod.yaml")
    eventually(
        lambda: log_of(server, space, "website") == "database on port 6379\n",
        what="the variable and the volume in the container",
    )


def test_a_cluster_preset_reaches_production(server: Podward) -> None:
    """examples/11-cluster-preset."""
    try:
        applied(server, "default", "11-cluster-preset", "preset.yaml", "pod.yaml")
        eventually(
            lambda: (
                server.cli("get", "pod", "payments", "-n", "checkout", "--no-headers").split()[1:3]
                == ["2/2", "Running"]
            ),
            what="the sidecar beside the container",
        )
        log = server.cli("logs", "payments", "-n", "checkout", "-c", "payments")
        assert log == "stage production\n"
    finally:
        server.cli("delete", "clusterpodpreset", "production")
        server.cli("delete", "namespace", "checkout")


def test_a_conflict_is_said_and_settled_as_each_preset_wants(server: Podward, space: str) -> None:
    """examples/12-preset-conflict."""
    said = applied(server, space, "12-preset-conflict", "presets.yaml", "pods.yaml")
    assert said.count("Warning: PodPreset: ") == 2
    eventually(lambda: log_of(server, space, "chatty") == "debug plain\n", what="no preset")
    eventually(lambda: log_of(server, space, "modern") == "debug json\n", what="its format")
    eventually(
        lambda: server.cli("get", "events", "-n", space).count("PresetConflict") == 2,
        what="an event on each preset",
    )
