"""exec, attach, run, cp and port-forward on real containers, on both roads that lead to them."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.e2e.streams import Terminal, fetch, forwarded, free_port, on_the_road
from tests.e2e.support import Kubectl, Podward, eventually

NAMESPACE = "engine-streams"
PORT = 8080
POD = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web, namespace: {NAMESPACE}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: app
    image: busybox
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo before; n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.2; done"]
    volumeMounts: [{{name: scratch, mountPath: /scratch}}]
  - name: http
    image: busybox
    imagePullPolicy: IfNotPresent
    command: [httpd, -f, -p, "127.0.0.1:{PORT}", -h, /scratch]
    volumeMounts: [{{name: scratch, mountPath: /scratch}}]
  - name: listener
    image: busybox
    imagePullPolicy: IfNotPresent
    stdin: true
    command: [sh, -c, "while read line; do echo heard $line; done; sleep 60"]
  volumes: [{{name: scratch, emptyDir: {{}}}}]
"""
HOST_NETWORK = """
apiVersion: v1
kind: Pod
metadata: {name: outside}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers:
  - name: http
    image: busybox
    imagePullPolicy: IfNotPresent
    command: [httpd, -f, -p, "127.0.0.1:%d", -h, /etc]
"""
APP = ("web", "-c", "app", "-n", NAMESPACE, "--")


@pytest.fixture(scope="module")
def web(engine_podward: Podward) -> Iterator[Podward]:
    """A Pod for all tests here."""
    engine_podward.cli("apply", "-f", "-", input=POD)
    ready = "3/3"
    eventually(
        lambda: ready in engine_podward.cli("get", "pod", "web", "-n", NAMESPACE), what="web ready"
    )
    yield engine_podward
    engine_podward.cli("delete", "namespace", NAMESPACE, "--wait=false", check=False)


@pytest.fixture(params=["1.20-spdy", "recent-websocket"])
def road(
    request: pytest.FixtureRequest, web: Podward, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    return on_the_road(request.param, web, tmp_path_factory.mktemp("home"))


def test_exec_passes_everything_on(road: Kubectl) -> None:
    script = "cat; echo told >&2; exit 3"
    typed = "typed\n" * 20_000
    code, out, err = road.result("exec", "-i", *APP, "sh", "-c", script, stdin=typed)
    assert (code, out) == (3, typed)
    assert err.splitlines() == ["told", "command terminated with exit code 3"]


def test_what_cannot_be_started_is_said_as_ever(road: Kubectl) -> None:
    code, _, err = road.result("exec", *APP, "no-such-command")
    assert (code, "executable file not found in $PATH" in err) == (1, True)


def test_exec_gives_a_terminal_that_changes_its_size(road: Kubectl) -> None:
    with Terminal(road, "exec", "-it", *APP, "sh") as terminal:
        terminal.sees("# ")
        terminal.type("tty; stty size\n")
        terminal.sees("/dev/pts/")
        terminal.sees("22 77")
        terminal.resize(33, 99)
        eventually(lambda: _size(terminal) == "33 99", what="the new size")
        terminal.type("exit 7\n")
        assert terminal.ends() == 7


def _size(terminal: Terminal) -> str:
    terminal.type("echo '<'$(stty size)'>'\n")
    terminal.sees("\n<")
    return terminal.sees(">")


def test_cp_carries_a_folder_in_and_out(road: Kubectl, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    large = bytes(range(256)) * 20_000
    (source / "deep" / "large.bin").write_bytes(large)
    (source / "small.txt").write_text("hello\n")
    inside = f"/scratch/copied-{tmp_path.name}"
    road("cp", "-c", "app", str(source), f"{NAMESPACE}/web:{inside}")
    assert road("exec", *APP, "cat", f"{inside}/small.txt") == "hello\n"
    road("cp", "-c", "app", f"{NAMESPACE}/web:{inside}", str(tmp_path / "back"))
    assert (tmp_path / "back/deep/large.bin").read_bytes() == large
    assert (tmp_path / "back/small.txt").read_text() == "hello\n"


def test_port_forward_reaches_a_server_on_the_pods_loopback(road: Kubectl) -> None:
    pod_ip = road.json("get", "pod", "web", "-n", NAMESPACE)["status"]["podIP"]
    with pytest.raises(OSError):
        socket.create_connection((pod_ip, PORT), 5).close()
    road(
        "exec",
        *APP,
        "sh",
        "-c",
        "head -c 5000000 /dev/zero > /scratch/large; echo small > /scratch/small",
    )
    with forwarded(road, PORT, NAMESPACE) as (url, process, said):
        assert all(fetch(f"{url}/small") == b"small\n" for _ in range(10))
        with ThreadPoolExecutor(10) as threads:
            got = list(threads.map(fetch, [f"{url}/small"] * 5 + [f"{url}/large"] * 5))
        assert [len(body) for body in got] == [6] * 5 + [5_000_000] * 5
        assert process.poll() is None
    assert not [line for line in said if not line.startswith(("Handling", "Forwarding"))]


def test_a_port_where_nobody_listens_is_told_to_the_user(road: Kubectl) -> None:
    with forwarded(road, 9, NAMESPACE) as (url, _, said):
        with pytest.raises(OSError):
            fetch(url)
        eventually(lambda: "connection refused" in "".join(said), what="the reason is told")
    assert "".join(said).count("error forwarding port 9 to pod") == 1


def test_attach_shows_what_the_container_writes_from_now_on(road: Kubectl) -> None:
    with road.background("attach", "web", "-c", "app", "-n", NAMESPACE) as process:
        assert process.stdout is not None
        lines = (line.strip() for line in process.stdout)
        ticks = [next(line for line in lines if line.startswith("tick")) for _ in range(3)]
    numbers = [int(tick.split()[1]) for tick in ticks]
    assert numbers == list(range(numbers[0], numbers[0] + 3))


def test_who_attaches_with_an_input_is_heard_and_may_come_again(road: Kubectl) -> None:
    for word in ("first", "second"):
        attach = ("attach", "-i", "web", "-c", "listener", "-n", NAMESPACE)
        with Terminal(road, *attach) as terminal:
            terminal.type(f"{word}\n")
            terminal.sees(f"heard {word}")


RUN = (
    "--image=busybox",
    "--image-pull-policy=IfNotPresent",
    "--restart=Never",
    "--rm",
    "-n",
    NAMESPACE,
)


def test_run_gives_a_shell_and_takes_it_away_again(road: Kubectl) -> None:
    name = f"shell-{abs(hash(road.podward.url + str(road.env))) % 10**8}"
    with Terminal(road, "run", name, "-it", *RUN, "--", "sh") as terminal:
        terminal.sees("# ")
        terminal.type("stty size; hostname\n")
        terminal.sees("22 77")
        terminal.sees(name)
        terminal.type("exit 3\n")
        assert terminal.ends() == 3
        assert f'pod "{name}" deleted' in terminal.shown
    assert name not in road("get", "pods", "-n", NAMESPACE)


def test_in_the_machines_network_a_port_is_found_on_its_loopback(
    engine_kubectl: Kubectl, web: Podward
) -> None:
    port = free_port()
    engine_kubectl.apply(HOST_NETWORK % port, "-n", NAMESPACE)
    ready = ("--for=condition=Ready", "--timeout=20s", "-n", NAMESPACE)
    engine_kubectl("wait", "pod/outside", *ready)
    with forwarded(engine_kubectl, port, NAMESPACE, pod="outside") as (url, _, _said):
        assert b"root:" in eventually(lambda: _fetched(f"{url}/passwd"), what="it answers")


def _fetched(url: str) -> bytes:
    try:
        return fetch(url)
    except OSError:
        return b""


def test_run_takes_what_is_piped_into_it(road: Kubectl) -> None:
    name = f"pipe-{abs(hash(road.podward.url + str(road.env))) % 10**8}"
    script = "sleep 0.5; cat; echo over"
    code, out, err = road.result(
        "run", name, "-i", *RUN, "--", "sh", "-c", script, stdin="words\n" * 10
    )
    assert code == 0, err
    assert "words\n" * 10 + "over" in out
