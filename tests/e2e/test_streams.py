"""exec, attach, cp and port-forward: every kubectl, on every road it knows."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import KUBECTLS
from tests.e2e.support import Kubectl, Podward, component_missing, eventually

NAMESPACE = "streams"
POD = """
apiVersion: v1
kind: Namespace
metadata: {name: streams}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: streams}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: app
    image: busybox
    command: [sh, -c, "echo before; n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.2; done"]
    volumeMounts: [{name: scratch, mountPath: /scratch}]
  volumes: [{name: scratch, emptyDir: {}}]
"""

ROADS = {
    "1.20-spdy": ("kubectl-1.20", {}),
    "recent-websocket": ("kubectl-on-path", {
        "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "true", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "true",
    }),
    "recent-spdy": ("kubectl-on-path", {
        "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false",
    }),
}  # fmt: skip


@pytest.fixture(scope="module")
def web(podward: Podward) -> Iterator[Podward]:
    """A Pod for all tests here."""
    podward.cli("apply", "-f", "-", input=POD)
    eventually(lambda: "1/1" in podward.cli("get", "pod", "web", "-n", NAMESPACE), what="web ready")
    yield podward
    podward.cli("delete", "namespace", NAMESPACE, "--wait=false", check=False)


@pytest.fixture(params=ROADS)
def road(
    request: pytest.FixtureRequest, web: Podward, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    name, environment = ROADS[request.param]
    binary = KUBECTLS[name]()
    if binary is None:
        component_missing(name)
        raise AssertionError
    kubectl = Kubectl(binary, web, tmp_path_factory.mktemp("home"))
    kubectl.env.update(environment)
    return kubectl


def test_exec_passes_everything_on(road: Kubectl) -> None:
    script = "cat; echo told >&2; exit 3"
    code, out, err = road.result(
        "exec", "-i", "web", "-n", NAMESPACE, "--", "sh", "-c", script, stdin="typed\n" * 20_000
    )
    assert (code, out) == (3, "typed\n" * 20_000)
    assert err.splitlines() == ["told", "command terminated with exit code 3"]


def test_exec_gives_a_terminal_with_a_size(road: Kubectl) -> None:
    inside = "tty; sleep 0.5; stty size; exit 7"
    command = f"stty cols 77 rows 22; {road.binary} exec -it web -n {NAMESPACE} -- sh -c '{inside}'"
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        capture_output=True, text=True, timeout=30, env={**road.env, "TERM": "dumb"},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "/dev/pts/" in done.stdout
    assert "22 77" in done.stdout
    assert done.returncode == 7


def test_what_cannot_be_entered_is_said_as_ever(road: Kubectl) -> None:
    code, _, err = road.result("exec", "web", "-c", "no", "-n", NAMESPACE, "--", "true")
    assert (code, "container no is not valid for pod web" in err) == (1, True)
    code, _, err = road.result("exec", "gone", "-n", NAMESPACE, "--", "true")
    assert (code, 'pods "gone" not found' in err) == (1, True)
    code, _, err = road.result("exec", "web", "-n", NAMESPACE, "--", "no-such-command")
    assert (code, "executable file not found in $PATH" in err) == (1, True)


def test_a_client_that_is_killed_takes_its_command_along(road: Kubectl) -> None:
    mark = f"86{abs(hash(road.binary)) % 1000 + len(road.env)}"
    with road.background("exec", "web", "-n", NAMESPACE, "--", "sleep", mark) as process:
        eventually(lambda: _runs(f"sleep {mark}"), what="the command runs")
        process.kill()
        eventually(lambda: not _runs(f"sleep {mark}"), what="the command is gone")


def _runs(command: str) -> bool:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return command in (line.strip() for line in listed.stdout.splitlines())


def test_cp_carries_a_folder_in_and_out(road: Kubectl, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    large = bytes(range(256)) * 20_000
    (source / "deep" / "large.bin").write_bytes(large)
    (source / "small.txt").write_text("hello\n")
    road("cp", str(source), f"{NAMESPACE}/web:/scratch/copied-{tmp_path.name}")
    inside = f"/scratch/copied-{tmp_path.name}"
    assert road("exec", "web", "-n", NAMESPACE, "--", "cat", f"{inside}/small.txt") == "hello\n"
    road("cp", f"{NAMESPACE}/web:{inside}", str(tmp_path / "back"))
    assert (tmp_path / "back/deep/large.bin").read_bytes() == large
    assert (tmp_path / "back/small.txt").read_text() == "hello\n"
    said = road("cp", f"{NAMESPACE}/web:/no/such", str(tmp_path / "none"), check=False)
    assert "/no/such" in said
    assert "No such file" in said
