"""A trial leaves nothing behind, wherever it ends."""

import asyncio

from tests.engine.containerd import Containerd
from tests.engine.images import Image

from podward.doctor import trial
from podward.doctor.facts import Trial
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.client import CriClient
from podward.machinery.clock import SystemClock
from podward.machinery.entropy import Entropy


def tried(engine: Containerd, image: str) -> tuple[Trial, list[str]]:
    """(what came of it, the sandboxes of doctors afterwards)."""

    async def main() -> tuple[Trial, list[str]]:
        found = await trial.run(str(engine.socket), image, SystemClock(), Entropy())
        client = CriClient(str(engine.socket))
        listed = await client.runtime(
            "ListPodSandbox", pb.ListPodSandboxRequest(), pb.ListPodSandboxResponse
        )
        await client.close()
        names = [one.metadata.name for one in listed.items]
        return found, [name for name in names if name.startswith("doctor-")]

    return asyncio.run(main())


def test_a_container_that_does_not_start(containerd: Containerd) -> None:
    containerd.load(Image(["podward.test/broken:1"], entrypoint=["/no/such/program"]))
    found, left = tried(containerd, "podward.test/broken:1")
    assert [name for name, _ in found.steps] == ["sandbox", "container"]
    assert found.failed == "start"
    assert "/no/such/program" in found.failure
    assert left == []


def test_without_an_image_there_is_a_sandbox_alone(containerd: Containerd) -> None:
    found, left = tried(containerd, "")
    assert [name for name, _ in found.steps] == ["sandbox", "removal"]
    assert (found.failed, left) == ("", [])


def test_an_image_without_a_shell_can_be_entered(containerd: Containerd) -> None:
    """As a sandbox's own image: its one program runs, and `true` is not there."""
    from tests.engine.images import busybox_files

    files, _ = busybox_files()
    one = Image(["podward.test/one:1"], files, entrypoint=["/bin/busybox", "sleep", "60"])
    containerd.load(one)
    found, left = tried(containerd, "podward.test/one:1")
    assert [name for name, _ in found.steps] == [
        "sandbox", "container", "start", "exec", "removal",
    ]  # fmt: skip
    assert left == []
