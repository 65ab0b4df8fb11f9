"""`podward doctor` on this machine: an engine that is well, engines that are not, and nobody's rights."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.e2e.support import eventually
from tests.engine.containerd import Containerd
from tests.engine.images import pause

from podward.cli.doctor import command
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.client import CriClient
from podward.kubelet.runtime.cri.configs import INSTANCE_LABEL


def doctor(*arguments: str, **options: Any) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "podward", "doctor", "--listen", "127.0.0.1:0", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, **options,
    )  # fmt: skip
    assert "Traceback" not in done.stdout, done.stdout
    return done.returncode, done.stdout


def checks(*arguments: str, **options: Any) -> tuple[int, dict[str, Any]]:
    """(exit code, check -> what was said of it)."""
    code, text = doctor(*arguments, "-o", "json", **options)
    return code, {one["check"]: one for one in json.loads(text)["checks"]}


def test_an_engine_that_is_well(containerd: Containerd, tmp_path: Path) -> None:
    code, text = doctor(
        "--runtime", f"cri://{containerd.socket}", "--run", "--data-dir", str(tmp_path)
    )
    assert code == 0, text
    lines = text.splitlines()
    assert lines[0] == "this machine"
    assert lines[-1] == "--runtime cri: works"
    assert not any(line.startswith("  error") for line in lines)
    [trial] = [line for line in lines if line.split()[1:2] == ["trial"]]
    assert re.fullmatch(
        r"  ok       trial           sandbox \S+ s, container \S+ s, start \S+ s, exec \S+ s, removal \S+ s",
        trial,
    )
    assert "doctor" not in containerd.ctr("containers", "ls")
    assert "bubblewrap" not in text


@pytest.fixture
def unwell(containerd: Containerd) -> Iterator[Containerd]:
    """`containerd` is asked for what it takes to have one; this one has no network and no image."""
    engine = Containerd()
    for file in (engine.folder / "cni").iterdir():
        file.unlink()
    engine.start()
    yield engine
    engine.tear_down()


def test_an_engine_that_is_not_and_what_mends_it(unwell: Containerd, tmp_path: Path) -> None:
    asked = ("--runtime", f"cri://{unwell.socket}", "--data-dir", str(tmp_path))
    code, found = checks(*asked, "--run")
    assert code == 1
    assert found["network"]["severity"] == "error"
    assert "cni plugin not initialized" in found["network"]["text"]
    assert found["sandbox image"]["severity"] == "warning"
    assert found["sandbox image"]["text"].startswith("podward.test/pause:1 is not here")
    assert found["trial"]["severity"] == "error"
    assert 'failed to get sandbox image "podward.test/pause:1"' in found["trial"]["text"]

    mend = found["network"]["mend"].replace("cni0", unwell.bridge)
    subprocess.run(["sh", "-c", mend], check=True)
    unwell.load(pause())

    def well() -> bool:
        code, found = checks(*asked)
        return code == 0 and found["sandbox image"]["severity"] == "ok"

    eventually(well, what="the engine has a network and an image")
    assert checks(*asked, "--run")[1]["trial"]["severity"] == "ok"


def sandbox(name: str, **labels: str) -> pb.PodSandboxConfig:
    return pb.PodSandboxConfig(
        metadata=pb.PodSandboxMetadata(name=name, namespace="kube-system", uid=name),
        labels={
            "io.kubernetes.pod.uid": name,
            "io.kubernetes.pod.name": name,
            "io.kubernetes.pod.namespace": "kube-system",
            **labels,
        },
        linux=pb.LinuxPodSandboxConfig(),
    )


def test_pods_of_somebody_else(containerd: Containerd, tmp_path: Path) -> None:
    def call(method: str, request: Any, answer: Any) -> Any:
        async def main() -> Any:
            client = CriClient(str(containerd.socket))
            try:
                return await client.runtime(method, request, answer)
            finally:
                await client.close()

        return asyncio.run(main())

    def names() -> list[str]:
        found = call("ListPodSandbox", pb.ListPodSandboxRequest(), pb.ListPodSandboxResponse)
        return [one.metadata.name for one in found.items]

    made = [
        call("RunPodSandbox", pb.RunPodSandboxRequest(config=one), pb.RunPodSandboxResponse)
        for one in (sandbox("theirs"), sandbox("ours", **{INSTANCE_LABEL: "another"}))
    ]
    try:
        asked = ("--runtime", f"cri://{containerd.socket}", "--run", "--data-dir", str(tmp_path))
        _, found = checks(*asked)
        assert found["strangers"]["severity"] == "warning"
        assert found["strangers"]["text"].startswith(
            "1 Pods on this engine are nobody's of ours (kube-system/theirs)"
        )
        assert {"theirs", "ours"} <= set(names())  # looked at, not touched
    finally:
        for one in made:
            for method, request, answer in (
                ("StopPodSandbox", pb.StopPodSandboxRequest, pb.StopPodSandboxResponse),
                ("RemovePodSandbox", pb.RemovePodSandboxRequest, pb.RemovePodSandboxResponse),
            ):
                call(method, request(pod_sandbox_id=one.pod_sandbox_id), answer)


def test_no_engine_where_it_should_be(tmp_path: Path) -> None:
    code, text = doctor("--runtime", "cri:///nowhere/c.sock", "--data-dir", str(tmp_path))
    assert code == 1
    assert "there is no engine's socket /nowhere/c.sock" in text
    assert "-> see whether the engine runs (systemctl status containerd)" in text
    assert text.endswith("--runtime cri: does not work\n")


def test_the_process_runtime_needs_no_engine(tmp_path: Path) -> None:
    code, found = checks("--runtime", "process", "--data-dir", str(tmp_path))
    assert code == 0
    assert found["bubblewrap"]["about"] == "process"
    assert "engine" not in found


def test_a_machine_without_any_tool(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    environ = {**os.environ, "PATH": str(tmp_path / "bin")}
    code, found = checks("--runtime", "process", "--data-dir", str(tmp_path), env=environ)
    assert code == 0
    assert found["bubblewrap"]["mend"] == "apt-get install bubblewrap"
    assert found["entering"]["mend"] == "apt-get install util-linux"


def test_a_port_that_is_taken(containerd: Containerd, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        asked = ("--runtime", "process", "--data-dir", str(tmp_path), "--listen", place)
        code, found = checks(*asked)
    assert code == 0
    assert found["port"]["text"] == f"{place} cannot be listened at: address already in use"


@pytest.mark.parametrize("runtime", ["docker", "process://x", "tcp://1.2.3.4"])
def test_no_such_runtime(runtime: str) -> None:
    code, text = doctor("--runtime", runtime)
    assert (code, text) == (1, f"no runtime is called {runtime}: process, cri or cri://SOCKET\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become somebody else")
def test_somebody_without_rights(containerd: Containerd, tmp_path: Path) -> None:
    """In this very process: an interpreter that lies in root's home is nobody else's to run."""
    containerd.folder.chmod(0o755)  # the socket can be seen, not opened
    (tmp_path / "locked").mkdir(mode=0o700)
    asked = [
        *("--runtime", f"cri://{containerd.socket}", "--listen", "127.0.0.1:0", "-o", "json"),
        *("--data-dir", str(tmp_path / "locked/data")),
    ]
    assert CliRunner().invoke(command, asked).exit_code == 0  # and all modules are here now
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        result = CliRunner().invoke(command, asked)
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
    assert result.exit_code == 1
    found = {one["check"]: one for one in json.loads(result.output)["checks"]}
    assert found["engine"]["text"] == f"may not open the engine's socket {containerd.socket}"
    assert found["engine"]["mend"].startswith("run podward as root")
    assert found["data directory"]["severity"] == "error"
