"""A command that a thread of ours takes into a container finds what nsenter would have shown it."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from podward.kubelet.runtime.base import ContainerConfig, ExecResult, SandboxConfig
from podward.kubelet.runtime.linux import entering
from podward.kubelet.runtime.linux.children import run_to_end, spawning
from podward.kubelet.runtime.process import ProcessRuntime, bubblewrap
from podward.machinery.clock import SystemClock
from podward.machinery.entropy import Entropy

Run = Callable[..., Awaitable[ExecResult]]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root can enter so")

QUESTIONS = {
    "namespaces": ["sh", "-c", "for n in mnt pid uts ipc; do readlink /proc/self/ns/$n; done"],
    "init's namespaces": ["sh", "-c", "for n in mnt pid uts ipc; do readlink /proc/1/ns/$n; done"],
    "init's capabilities": ["grep", "-E", "^Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs", "/proc/1/status"],
    "capabilities": ["grep", "-E", "^Cap|NoNewPrivs", "/proc/self/status"],
    "hostname": ["hostname"],
    "working directory": ["pwd"],
    "environment": ["sh", "-c", "env | sort | grep -v ^_="],
    "file system": ["ls", "/tmp", "/run", "/dev"],
    # No pipe: a shell that makes one has its ends open for a moment, seen or not seen by who looks meanwhile.
    "open files": ["sh", "-c", "echo /proc/self/fd/*"],
    "exit code": ["sh", "-c", "exit 7"],
    "end by signal": ["sh", "-c", "kill -9 $$"],
    "output": ["sh", "-c", "echo out; echo err >&2"],
}


async def both_ways(folder: Path) -> None:
    runtime = ProcessRuntime(
        folder / "state", clock=SystemClock(), entropy=Entropy(), node_ip="127.0.0.1",
        isolation="bwrap", log=pytest.fail,
    )  # fmt: skip
    await runtime.start()
    sandbox = await runtime.run_pod_sandbox(SandboxConfig("web", "default", "uid-1"))
    config = ContainerConfig(
        "main", 0, "busybox", command=["sleep", "60"], working_dir="/usr",
        env={"COLOUR": "blue"}, log_path=str(folder / "log"),
    )  # fmt: skip
    container = await runtime.create_container(sandbox, config)
    await runtime.start_container(container)
    try:
        record = runtime._records.load_containers()[0]
        assert record.init is not None
        for what, command in QUESTIONS.items():
            through = bubblewrap.enter_command(record.init.pid, command, "/usr", as_root=True)
            env = runtime._command(record, command).env
            theirs = await run_to_end(spawning(through, env, None), 5)
            ours = await runtime.exec_sync(container, command, 5)
            assert ours == theirs, what
        assert runtime._enters
    finally:
        await runtime.remove_pod_sandbox(sandbox)
        await runtime.close()


def test_a_command_finds_itself_where_nsenter_would_have_put_it(tmp_path: Path) -> None:
    uvloop.run(both_ways(tmp_path))


def test_this_process_stays_where_it_was(tmp_path: Path) -> None:
    def here() -> list[str]:
        names = [os.readlink(f"/proc/self/ns/{name}") for name in ("mnt", "pid", "uts", "ipc")]
        status = Path("/proc/self/status").read_text().splitlines()
        return [*names, os.getcwd(), *(line for line in status if line.startswith("Cap"))]

    before = here()
    uvloop.run(both_ways(tmp_path))
    assert here() == before


def test_where_it_is_forbidden_nsenter_does_it_and_it_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(pid: int) -> None:
        raise entering.CannotEnter(1, "setns: Operation not permitted")

    monkeypatch.setattr(entering, "_join", forbidden)
    said: list[str] = []

    async def main() -> None:
        runtime = ProcessRuntime(
            tmp_path / "state", clock=SystemClock(), entropy=Entropy(), node_ip="127.0.0.1",
            isolation="bwrap", log=said.append,
        )  # fmt: skip
        await runtime.start()
        sandbox = await runtime.run_pod_sandbox(SandboxConfig("web", "default", "uid-1"))
        config = ContainerConfig(
            "main", 0, "busybox", command=["sleep", "60"], log_path=str(tmp_path / "log")
        )
        container = await runtime.create_container(sandbox, config)
        await runtime.start_container(container)
        for _ in range(2):
            assert (await runtime.exec_sync(container, ["echo", "hi"], 5)).stdout == b"hi\n"
        await runtime.remove_pod_sandbox(sandbox)
        await runtime.close()

    asyncio.run(main())
    assert len(said) == 1
    assert "nsenter" in said[0]
