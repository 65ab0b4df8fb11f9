"""`podward run`: manifests in the foreground, nothing left behind, an exit code that tells."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.engine.containerd import Containerd

OK = """
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
"""
ENDS = OK + "  containers: [{name: c, image: host, command: [sh, -c, 'echo hello; exit %d']}]\n"
STAYS = OK + "  containers: [{name: c, image: host, command: [sleep, '%s']}]\n"


def start(folder: Path, manifest: str, *options: str) -> "subprocess.Popen[str]":
    file = folder / "pod.yaml"
    file.write_text(manifest)
    return subprocess.Popen(
        [sys.executable, "-m", "podward", "run", str(file), *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_tells_whether_the_pods_ended_well(code: int, tmp_path: Path) -> None:
    process = start(tmp_path, ENDS % code)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == (0 if code == 0 else 1), out
    assert "[p/c] hello" in out
    assert "Started" in out
    assert [path.name for path in tmp_path.iterdir()] == ["pod.yaml"]


def test_it_stops_by_itself_and_takes_its_containers_along(tmp_path: Path) -> None:
    seconds = f"4{os.getpid()}"
    process = start(tmp_path, STAYS % seconds, "--for", "2s")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert subprocess.run(["pgrep", "-f", f"sleep {seconds}"]).returncode == 1


def test_control_c_tears_down(tmp_path: Path) -> None:
    seconds = f"5{os.getpid()}"
    process = start(tmp_path, STAYS % seconds)
    assert process.stdout is not None
    for line in process.stdout:
        if "Started" in line:
            break
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert "stopping" in out
    assert subprocess.run(["pgrep", "-f", f"sleep {seconds}"]).returncode == 1


def test_on_an_engine_nothing_is_left_either(containerd: Containerd, tmp_path: Path) -> None:
    runtime = f"--runtime=cri://{containerd.socket}"
    only = 'labels."io.kubernetes.pod.name"==briefly'  # others use the engine at the same time
    manifest = STAYS.replace("image: host", "image: busybox, imagePullPolicy: IfNotPresent")
    manifest = manifest.replace("{name: p}", "{name: briefly}")
    process = start(tmp_path, manifest % 600, "--for", "4s", runtime)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert "Started" in out
    assert containerd.ctr("containers", "ls", "-q", only).split() == []


def test_on_a_terminal_a_table_stays_below_the_lines(tmp_path: Path) -> None:
    seconds = f"6{os.getpid()}"
    file = tmp_path / "pod.yaml"
    file.write_text(STAYS % seconds)
    typescript = tmp_path / "typescript"
    command = f"{sys.executable} -m podward run {file} --for 3s"
    subprocess.run(
        ["script", "-qec", f"stty cols 120 rows 40; {command}", str(typescript)],
        stdout=subprocess.DEVNULL, timeout=60, check=True, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    shown = typescript.read_text()
    assert "PROBES" in shown
    assert "\x1b[32mRunning" in shown
    assert "Started" in shown


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("a: [", "error"),
        (OK, "spec.containers: Required value"),
        ("", "no objects"),
    ],
    ids=["broken YAML", "a Pod without containers", "nothing"],
)
def test_what_cannot_run_is_said_in_one_line(manifest: str, said: str, tmp_path: Path) -> None:
    process = start(tmp_path, manifest)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said in out
    assert "Traceback" not in out
    assert [path.name for path in tmp_path.iterdir()] == ["pod.yaml"]


def test_a_terminated_run_leaves_nothing_either(tmp_path: Path) -> None:
    seconds = f"7{os.getpid()}"
    process = start(tmp_path, STAYS % seconds)
    time.sleep(2)
    process.terminate()
    process.communicate(timeout=60)
    assert subprocess.run(["pgrep", "-f", f"sleep {seconds}"]).returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["pod.yaml"]
