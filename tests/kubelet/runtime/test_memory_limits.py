"""A container that outgrows its memory limit is killed, and its status says why."""

import os
from pathlib import Path

import pytest
import uvloop
from tests.contracts.runtime import exited

from podward.kubelet.runtime.base import ContainerConfig, Resources, SandboxConfig
from podward.kubelet.runtime.process import ProcessRuntime
from podward.kubelet.runtime.process.memory import MemoryGroups
from podward.machinery.clock import SystemClock
from podward.machinery.entropy import Entropy

MIB = 1024 * 1024


def need_cgroups() -> None:
    groups = MemoryGroups()
    made = groups.enter(f"test-{os.getpid()}", 64 * MIB) is not None
    groups.remove(f"test-{os.getpid()}")
    if not made:
        # A property of the machine, not of what can be installed on it.
        pytest.skip("NOT TESTED: no memory cgroup can be made here")


def outcome(folder: Path, command: list[str], limit: int) -> tuple[int | None, str, list[str]]:
    """(exit code, reason, what the runtime said) of a container."""
    said: list[str] = []

    async def main() -> tuple[int | None, str, list[str]]:
        runtime = ProcessRuntime(
            folder / "state", clock=SystemClock(), entropy=Entropy(), node_ip="127.0.0.1", log=said.append
        )  # fmt: skip
        await runtime.start()
        sandbox = await runtime.run_pod_sandbox(SandboxConfig("web", "default", "uid-1"))
        config = ContainerConfig(
            "main", 0, "busybox", command=command, log_path=str(folder / "log"),
            resources=Resources(memory_limit_bytes=limit),
        )  # fmt: skip
        container = await runtime.create_container(sandbox, config)
        await runtime.start_container(container)
        code, reason = await exited(runtime, container)
        await runtime.remove_pod_sandbox(sandbox)
        await runtime.close()
        return code, reason, said

    return uvloop.run(main())


GROW = ["python3", "-c", "hoard = [bytes(1024 * 1024) * 2 for _ in range(200)]; print(len(hoard))"]


def test_a_container_beyond_its_limit_is_oom_killed(tmp_path: Path) -> None:
    need_cgroups()
    before = set(groups())
    assert outcome(tmp_path, GROW, 48 * MIB)[:2] == (137, "OOMKilled")
    assert set(groups()) == before


def test_a_container_within_its_limit_is_left_alone(tmp_path: Path) -> None:
    need_cgroups()
    assert outcome(tmp_path, ["sh", "-c", "exit 7"], 48 * MIB)[:2] == (7, "Error")


def test_where_no_cgroup_can_be_made_it_runs_unlimited_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryGroups, "enter", lambda *_: None)
    code, reason, said = outcome(tmp_path, ["true"], 48 * MIB)
    assert (code, reason) == (0, "Completed")
    assert said == ["memory limits are not enforced: no cgroup can be made here"]


def groups() -> list[Path]:
    """Where they are made; whatever else comes and goes on the machine is not looked at."""
    root = Path("/sys/fs/cgroup")
    return [p for one in ("podward/*", "*/podward/*") for p in root.glob(one) if p.is_dir()]
