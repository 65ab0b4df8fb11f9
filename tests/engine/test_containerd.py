"""What a killed test run leaves on the machine is cleared by the next one; what is in use is not."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.containerd import LOCK, PREFIX, Containerd, nat, pod_cgroups, sweep

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import asyncio, signal, sys
from pathlib import Path
from tests.engine.containerd import Containerd
from tests.engine.images import busybox, pause
from podward.kubelet.runtime.base import ContainerConfig, PortMapping, SandboxConfig
from podward.kubelet.runtime.cri import CriRuntime
from podward.machinery.clock import SystemClock

async def main():
    engine = Containerd().start()
    print(engine.folder, flush=True)
    engine.load(pause(), busybox())
    runtime = CriRuntime(str(engine.socket), instance="left")
    await runtime.start()
    uid = f"uid-{engine.folder.name}"
    made = SandboxConfig(
        "left", "default", uid, cgroup_parent=f"/kubepods/burstable/pod{uid}",
        port_mappings=[PortMapping(container_port=80, host_port=38472)],
    )
    sandbox = await runtime.run_pod_sandbox(made)
    command = ("sh", "-c", f"sleep 1000 # {engine.folder}")
    config = ContainerConfig("main", 0, "busybox", command=command)
    await runtime.start_container(await runtime.create_container(sandbox, config))
    print("runs", flush=True)
    signal.pause()

asyncio.run(main())
"""
"""A test run that has a Pod on an engine of its own."""


@pytest.fixture
def killed(containerd: Containerd) -> Iterator[Path]:
    """The folder of the engine of a run that was killed. (That the machine can have one, the shared one
    shows.)"""
    with subprocess.Popen(
        [sys.executable, "-c", RUN], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        folder = Path(run.stdout.readline().strip())
        try:
            assert run.stdout.readline() == "runs\n"
            assert traces(folder) == {"process", "mount", "cgroup", "bridge", "port", "folder"}
            sweep()
            assert "folder" in traces(folder), "it is held"
        finally:
            run.kill()
        run.wait()
    yield folder
    sweep()


def traces(folder: Path) -> set[str]:
    """What there is of an engine on this machine."""
    engine = Containerd(folder)
    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(path.read_text())
        except OSError:
            pass
    found = {
        "process": any(str(folder) in command for command in commands),
        "mount": f" {folder}/" in Path("/proc/self/mounts").read_text(),
        "cgroup": bool(pod_cgroups(f"uid-{folder.name}")),
        "bridge": Path("/sys/class/net", engine.bridge).exists(),
        "port": any(engine.bridge in rule for rule in nat("-S")),
        "folder": folder.exists(),
    }
    return {what for what, there in found.items() if there}


def test_what_a_killed_run_left_is_cleared_and_what_is_in_use_is_not(
    killed: Path, containerd: Containerd
) -> None:
    assert "process" in traces(killed)
    sweep()
    deadline = time.monotonic() + 5  # the last shim ends by itself
    while traces(killed) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert traces(killed) == set()
    assert "client" in containerd.ctr("version").lower()


@pytest.mark.usefixtures("containerd")
def test_what_was_killed_before_it_could_start_is_cleared_too() -> None:
    begun = Path(tempfile.mkdtemp(prefix=PREFIX))
    (begun / LOCK).touch()
    other = Path(tempfile.mkdtemp(prefix=PREFIX))
    sweep()
    assert not begun.exists()
    assert other.exists(), "nobody says that it is an engine's"
    other.rmdir()
