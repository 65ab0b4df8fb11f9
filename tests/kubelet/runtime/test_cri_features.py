"""What an engine tells of its runtime handlers, and what is made of it."""

from typing import Any

import pytest
import uvloop

from podward.kubelet.runtime.base import SandboxConfig
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.client import CriClient
from podward.kubelet.runtime.cri.configs import sandbox_config
from podward.kubelet.runtime.cri.runtime import CriRuntime

ABLE = pb.RuntimeHandlerFeatures(recursive_read_only_mounts=True)


@pytest.mark.parametrize(
    ("handlers", "wanted", "able"),
    [
        ([], "", False),
        ([pb.RuntimeHandler(name="", features=ABLE)], "", True),
        ([pb.RuntimeHandler(name="")], "", False),
        ([pb.RuntimeHandler(name="", features=ABLE), pb.RuntimeHandler(name="kata")], "kata", False),
        ([pb.RuntimeHandler(name=""), pb.RuntimeHandler(name="kata", features=ABLE)], "kata", True),
        ([pb.RuntimeHandler(name="", features=ABLE)], "gone", False),
    ],
    ids=["an engine that tells nothing", "able", "unable", "another is able", "this one is", "unknown"],
)  # fmt: skip
def test_whether_mounts_are_read_only_with_all_below(
    monkeypatch: pytest.MonkeyPatch, handlers: list[pb.RuntimeHandler], wanted: str, able: bool
) -> None:
    made = sandbox_config(SandboxConfig("p", "ns", "u", runtime_handler=wanted), "i")
    sandbox = pb.PodSandboxStatus(metadata=made.metadata, annotations=made.annotations)

    async def answer(self: CriClient, method: str, *_: Any) -> Any:
        if method == "Status":
            return pb.StatusResponse(runtime_handlers=handlers)
        assert method == "PodSandboxStatus"
        return pb.PodSandboxStatusResponse(status=sandbox)

    monkeypatch.setattr(CriClient, "runtime", answer)

    async def main() -> None:
        runtime = CriRuntime("/nowhere", instance="i")
        assert await runtime.read_only_recursively("s") is able
        await runtime.close()

    uvloop.run(main())
