"""exec, attach, cp and port-forward: every kubectl, on every road it knows."""

import itertools
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.e2e.streams import ROADS, Terminal, fetch, forwarded, free_port, on_the_road
from tests.e2e.support import Kubectl, Podward, eventually

NAMESPACE = "streams"
PORT = free_port()
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
  - name: http
    image: python
    workingDir: /scratch
    command: [python3, -m, http.server, "%(port)d", --bind, 127.0.0.1]
    volumeMounts: [{name: scratch, mountPath: /scratch}]
    readinessProbe: {tcpSocket: {host: 127.0.0.1, port: %(port)d}, periodSeconds: 1}
  - name: listener
    image: busybox
    stdin: true
    command: [sh, -c, "while read line; do echo heard $line; done; sleep 60"]
  volumes: [{name: scratch, emptyDir: {}}]
"""

BRIEF = """
apiVersion: v1
kind: Pod
metadata: {name: brief}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - name: app
    image: busybox
    command: [sh, -c, "echo before; until [ -e /tmp/now ]; do echo tick; sleep 0.1; done; echo bye"]
"""


@pytest.fixture(scope="module")
def web(podward: Podward) -> Iterator[Podward]:
    """A Pod for all tests here."""
    podward.cli("apply", "-f", "-", input=POD % {"port": PORT})
    eventually(lambda: "3/3" in podward.cli("get", "pod", "web", "-n", NAMESPACE), what="web ready")
    yield podward
    podward.cli("delete", "namespace", NAMESPACE, "--wait=false", check=False)


@pytest.fixture(params=ROADS)
def road(
    request: pytest.FixtureRequest, web: Podward, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    return on_the_road(request.param, web, tmp_path_factory.mktemp("home"))


def test_exec_passes_everything_on(road: Kubectl) -> None:
    script = "cat; echo told >&2; exit 3"
    code, out, err = road.result(
        "exec",
        "-i",
        "web",
        "-c",
        "app",
        "-n",
        NAMESPACE,
        "--",
        "sh",
        "-c",
        script,
        stdin="typed\n" * 20_000,
    )
    assert (code, out) == (3, "typed\n" * 20_000)
    assert err.splitlines() == ["told", "command terminated with exit code 3"]


def test_exec_gives_a_terminal_with_a_size(road: Kubectl) -> None:
    inside = "tty; sleep 0.5; stty size; exit 7"
    command = f"stty cols 77 rows 22; {road.binary} exec -it web -c app -n {NAMESPACE} -- sh -c '{inside}'"
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
    code, _, err = road.result("exec", "web", "-c", "app", "-n", NAMESPACE, "--", "no-such-command")
    assert (code, "executable file not found in $PATH" in err) == (1, True)


def test_a_client_that_is_killed_takes_its_command_along(road: Kubectl) -> None:
    mark = f"86{abs(hash(road.binary)) % 1000 + len(road.env)}"
    with road.background(
        "exec", "web", "-c", "app", "-n", NAMESPACE, "--", "sleep", mark
    ) as process:
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
    road("cp", "-c", "app", str(source), f"{NAMESPACE}/web:/scratch/copied-{tmp_path.name}")
    inside = f"/scratch/copied-{tmp_path.name}"
    assert (
        road("exec", "web", "-c", "app", "-n", NAMESPACE, "--", "cat", f"{inside}/small.txt")
        == "hello\n"
    )
    road("cp", "-c", "app", f"{NAMESPACE}/web:{inside}", str(tmp_path / "back"))
    assert (tmp_path / "back/deep/large.bin").read_bytes() == large
    assert (tmp_path / "back/small.txt").read_text() == "hello\n"


def test_port_forward_carries_many_requests_one_after_the_other_and_at_once(
    road: Kubectl,
) -> None:
    large = "head -c 10000000 /dev/zero > /scratch/large; echo small > /scratch/small"
    road("exec", "web", "-c", "app", "-n", NAMESPACE, "--", "sh", "-c", large)
    with forwarded(road, PORT, NAMESPACE) as (url, process, said):
        assert all(fetch(f"{url}/small") == b"small\n" for _ in range(100))
        with ThreadPoolExecutor(20) as threads:
            got = list(threads.map(fetch, [f"{url}/small"] * 10 + [f"{url}/large"] * 10))
        assert [len(body) for body in got] == [6] * 10 + [10_000_000] * 10
        assert process.poll() is None
    assert not [line for line in said if not line.startswith(("Handling", "Forwarding"))]


def test_a_port_where_nobody_listens_is_told_to_the_user(road: Kubectl) -> None:
    nobody = free_port()
    with forwarded(road, nobody, NAMESPACE) as (url, _, said):
        with pytest.raises(OSError):
            fetch(url)
        eventually(lambda: "connection refused" in "".join(said), what="the reason is told")
    assert f"error forwarding port {nobody} to pod web_{NAMESPACE}" in "".join(said)


def test_attach_shows_what_the_container_writes_from_now_on(road: Kubectl) -> None:
    with road.background("attach", "web", "-c", "app", "-n", NAMESPACE) as process:
        assert process.stdout is not None
        lines = (line.strip() for line in process.stdout)
        ticks = [next(line for line in lines if line.startswith("tick")) for _ in range(3)]
    numbers = [int(tick.split()[1]) for tick in ticks]
    assert numbers == list(range(numbers[0], numbers[0] + 3))


def test_attach_ends_with_the_container(road: Kubectl, namespace: str) -> None:
    road.apply(BRIEF, "-n", namespace)
    road("wait", "--for=condition=Ready", "pod/brief", "-n", namespace, "--timeout=20s")
    with road.background("attach", "brief", "-n", namespace) as process:
        assert process.stdout is not None
        assert "before\n" not in itertools.takewhile(lambda line: line != "tick\n", process.stdout)
        road("exec", "brief", "-n", namespace, "--", "touch", "/tmp/now")
        said = process.stdout.read()
        assert (process.wait(10), said.endswith("bye\n")) == (0, True)


def test_attach_cannot_speak_to_the_container_and_says_so(road: Kubectl) -> None:
    code, _, err = road.result("attach", "-i", "web", "-c", "http", "-n", NAMESPACE)
    assert code == 1
    assert 'container "http" has no stdin: its spec asks for none' in err


def test_run_takes_what_is_piped_into_it(road: Kubectl) -> None:
    name = f"pipe-{abs(hash(str(road.env))) % 10**8}"
    code, out, err = road.result(
        "run", name, "-i", "--image=busybox", "--restart=Never", "--rm", "-n", NAMESPACE, "--",
        "sh", "-c", "cat; echo over", stdin="words\n" * 10,
    )  # fmt: skip
    assert code == 0, err
    assert "words\n" * 10 + "over" in out


def test_who_attaches_with_an_input_is_heard(road: Kubectl) -> None:
    for word in ("first", "second"):
        attach = ("attach", "-i", "web", "-c", "listener", "-n", NAMESPACE)
        with Terminal(road, *attach) as terminal:
            terminal.type(f"{word}\n")
            terminal.sees(f"heard {word}")
