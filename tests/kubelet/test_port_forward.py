"""The node's end of port-forward: which addresses a Pod's port is looked for at."""

import errno
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from lightkube.models import core_v1, meta_v1

from podward.client.node_access import NodeAccessError
from podward.kubelet.runtime.base import RuntimeFailure, SandboxConfig, SandboxState, SandboxStatus
from podward.kubelet.server import NodeServer
from podward.machinery.clock import LoopClock
from podward.machinery.network import ByteStream
from podward.simulate.virtual_loop import run

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
POD = core_v1.Pod(metadata=meta_v1.ObjectMeta(name="web", uid="u1"))


class Sandboxes:
    def __init__(self, *, host_network: bool, state: SandboxState = SandboxState.READY) -> None:
        config = SandboxConfig("web", "default", "u1")
        self.way: Any = None
        """What the runtime's own way into the sandbox is."""
        self.held = [SandboxStatus("s1", config, state, EPOCH, ("10.0.0.7",), host_network)]

    async def list_pod_sandboxes(self, pod_uid: str | None = None) -> list[SandboxStatus]:
        return self.held if pod_uid == "u1" else []

    async def port_forward(self, sandbox_id: str, port: int) -> Any:
        assert (sandbox_id, port) == ("s1", 80)
        if isinstance(self.way, Exception):
            raise self.way
        return self.way


class Addresses:
    """A `Network` where some hosts listen."""

    def __init__(self, *listening: str) -> None:
        self.listening = listening
        self.tried: list[str] = []

    async def connect(self, host: str, port: int, factory: Callable[[], Any], **_: Any) -> Any:
        self.tried.append(host)
        if host in self.listening:
            return None, factory()
        raise OSError(errno.ECONNREFUSED, "refused")


def forward(sandboxes: Any, network: Any) -> ByteStream:
    async def main() -> Any:
        return await NodeServer(sandboxes, LoopClock(EPOCH), network).port_forward(POD, 80)

    stream = run(main())
    assert isinstance(stream, ByteStream)
    return stream


@pytest.mark.parametrize(
    ("host_network", "listening", "tried"),
    [
        (True, "127.0.0.1", ["127.0.0.1"]),
        (True, "::1", ["127.0.0.1", "::1"]),
        (True, "10.0.0.7", ["127.0.0.1", "::1", "10.0.0.7"]),
        (False, "10.0.0.7", ["10.0.0.7"]),
    ],
)
def test_the_loopback_is_the_pods_only_in_the_machines_network(
    host_network: bool, listening: str, tried: list[str]
) -> None:
    network = Addresses(listening, "127.0.0.1") if not host_network else Addresses(listening)
    forward(Sandboxes(host_network=host_network), network)
    assert network.tried == tried


def test_a_port_where_nobody_listens_is_said_as_a_dialler_says_it() -> None:
    with pytest.raises(NodeAccessError) as refused:
        forward(Sandboxes(host_network=False), Addresses())
    assert str(refused.value) == "dial tcp 10.0.0.7:80: connect: connection refused"


def test_the_runtimes_own_way_comes_first() -> None:
    sandboxes, network = Sandboxes(host_network=False), Addresses("10.0.0.7")
    sandboxes.way = ByteStream()
    assert forward(sandboxes, network) is sandboxes.way
    assert network.tried == []


def test_in_the_machines_network_the_runtime_is_not_asked() -> None:
    sandboxes, network = Sandboxes(host_network=True), Addresses("127.0.0.1")
    sandboxes.way = ByteStream()
    assert forward(sandboxes, network) is not sandboxes.way


def test_what_the_runtime_refuses_is_told() -> None:
    sandboxes = Sandboxes(host_network=False)
    sandboxes.way = RuntimeFailure("failed to find sandbox")
    with pytest.raises(NodeAccessError, match=r"^failed to find sandbox$") as refused:
        forward(sandboxes, Addresses("10.0.0.7"))
    assert refused.value.code == 500


def test_a_pod_that_does_not_run_has_no_ports() -> None:
    stopped = Sandboxes(host_network=True, state=SandboxState.NOT_READY)
    network = Addresses("127.0.0.1")
    with pytest.raises(NodeAccessError, match="sandbox is not running"):
        forward(stopped, network)
    assert network.tried == []
