"""Where containers find the API server, and when somebody listens for them."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from podward.kubelet.api_access import ApiAccess, service_environment
from podward.kubelet.runtime.base import SandboxConfig, SandboxState, SandboxStatus
from podward.machinery.network_namespaces import listen_in

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def sandbox(id_: str, namespace: str = "/ns/1", *, ready: bool = True) -> SandboxStatus:
    state = SandboxState.READY if ready else SandboxState.NOT_READY
    return SandboxStatus(
        id_, SandboxConfig("web", "default", "u1"), state, NOW, (), network_namespace=namespace
    )


class Doors:
    """What listens where, in the order in which it happened."""

    def __init__(self, *, locked: bool = False) -> None:
        self.said: list[str] = []
        self.locked = locked

    async def listen(self, namespace: str, host: str, port: int) -> socket.socket:
        if self.locked:
            raise PermissionError(1, "Operation not permitted")
        self.said.append(f"open {namespace} {host}:{port}")
        return socket.socket()

    async def serve(self, listener: socket.socket) -> "object":
        def close() -> None:
            listener.close()
            self.said.append("close")

        return close


def access(doors: Doors, *, begun: bool = True) -> ApiAccess:
    made = ApiAccess("127.96.0.1", doors.listen)
    if begun:
        made.begin(doors.serve, "127.0.0.1", 6443)  # type: ignore[arg-type]
    return made


def test_a_door_is_opened_once_and_closed_when_the_sandbox_goes() -> None:
    async def scenario() -> None:
        doors = Doors()
        api = access(doors)
        for _ in range(3):
            await api.follow("u1", [sandbox("a")])
        assert doors.said == ["open /ns/1 127.96.0.1:443"]
        await api.follow("u1", [sandbox("a", ready=False)])
        assert doors.said[1:] == ["close"]
        await api.follow("u1", [sandbox("b", "/ns/2"), sandbox("a", ready=False)])
        assert doors.said[2:] == ["open /ns/2 127.96.0.1:443"]
        api.forget("u1")
        api.forget("u1")
        assert doors.said[3:] == ["close"]

    asyncio.run(scenario())


def test_a_new_sandbox_gets_a_door_though_nobody_saw_the_old_one_go() -> None:
    async def scenario() -> None:
        doors = Doors()
        api = access(doors)
        await api.follow("u1", [sandbox("a")])
        await api.follow("u1", [sandbox("b", "/ns/2"), sandbox("a")])
        assert doors.said[1:] == ["close", "open /ns/2 127.96.0.1:443"]
        api.forget("u1")

    asyncio.run(scenario())


def test_two_who_look_at_once_open_one_door() -> None:
    async def scenario() -> None:
        doors = Doors()
        api = access(doors)
        await asyncio.gather(*(api.follow("u1", [sandbox("a")]) for _ in range(2)))
        api.forget("u1")
        assert doors.said.count("close") == 1

    asyncio.run(scenario())


def test_a_network_that_cannot_be_entered_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        doors = Doors(locked=True)
        api = access(doors)
        await api.follow("u1", [sandbox("a")])
        assert "pod default/web cannot reach the API server" in caplog.text
        assert api.environment("u1")["KUBERNETES_SERVICE_HOST"] == "127.96.0.1"
        doors.locked = False
        await api.follow("u1", [sandbox("a")])
        assert len(doors.said) == 1
        api.forget("u1")

    asyncio.run(scenario())


def test_in_the_machines_network_it_is_the_servers_own_address() -> None:
    async def scenario() -> None:
        doors = Doors()
        api = access(doors)
        await api.follow("u1", [sandbox("a", "")])
        assert api.environment("u1") == {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": "6443",
            "KUBERNETES_SERVICE_PORT_HTTPS": "6443",
            "KUBERNETES_PORT": "tcp://127.0.0.1:6443",
            "KUBERNETES_PORT_6443_TCP": "tcp://127.0.0.1:6443",
            "KUBERNETES_PORT_6443_TCP_PROTO": "tcp",
            "KUBERNETES_PORT_6443_TCP_PORT": "6443",
            "KUBERNETES_PORT_6443_TCP_ADDR": "127.0.0.1",
        }
        assert doors.said == []

    asyncio.run(scenario())


def test_an_address_of_the_sixth_version_is_written_as_one() -> None:
    told = service_environment("::1", 443)
    assert (told["KUBERNETES_SERVICE_HOST"], told["KUBERNETES_PORT"]) == ("::1", "tcp://[::1]:443")


def test_where_no_server_listens_containers_are_told_of_none() -> None:
    async def scenario() -> None:
        doors = Doors()
        api = access(doors, begun=False)
        await api.follow("u1", [sandbox("a")])
        assert (api.environment("u1"), doors.said) == ({}, [])

    asyncio.run(scenario())


@pytest.fixture
def network() -> Iterator[str]:
    """A network namespace with its loopback up."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("NOT TESTED, cannot be had on this machine: root and unshare")
    script = "ip link set lo up && echo up && exec sleep 60"
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield f"/proc/{process.pid}/ns/net"
        process.kill()


def test_a_socket_listens_in_the_other_network_and_in_none_of_ours(network: str) -> None:
    async def scenario() -> None:
        listener = await listen_in(network, "127.96.0.1", 443)
        served = await asyncio.start_server(lambda r, w: w.close(), sock=listener)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.96.0.1", 443)
        inside = await asyncio.create_subprocess_exec(
            "nsenter", f"--net={network}", "busybox", "nc", "127.96.0.1", "443",
            stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert await inside.wait() == 0
        with pytest.raises(OSError, match="in use"):
            await listen_in(network, "127.96.0.1", 443)
        served.close()
        own = os.readlink("/proc/self/ns/net")
        assert os.readlink("/proc/thread-self/ns/net") == own

    asyncio.run(scenario())


def test_a_network_that_is_none_cannot_be_listened_in() -> None:
    with pytest.raises(FileNotFoundError):
        asyncio.run(listen_in("/nowhere", "127.0.0.1", 0))
    if os.geteuid() == 0:
        with pytest.raises(OSError, match="setns"):
            asyncio.run(listen_in("/proc/self/ns/mnt", "127.0.0.1", 0))
