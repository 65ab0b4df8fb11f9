"""How containers find the API server: the environment of the Service `kubernetes`, and who listens there.

In the machine's own network that is the server's own address. A Pod with a network of its own gets a door into
it: a socket that listens there, on a loopback address that nobody outside of the Pod can reach, and which the
server serves as it serves its own. It is opened when the sandbox is first seen, made or adopted, and closed
when it goes.
"""

import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from podward.kubelet.runtime.base import SandboxState, SandboxStatus
from podward.machinery.network_namespaces import listen_in

SERVICE_PORT: Final = 443

Close = Callable[[], None]
Serve = Callable[[socket.socket], Awaitable[Close]]
"""Answers whoever connects; what it hands back ends that, and closes the socket."""
Listen = Callable[[str, str, int], Awaitable[socket.socket]]

log = logging.getLogger(__name__)


def service_environment(host: str, port: int) -> dict[str, str]:
    """What a kubelet tells each container of the Service `kubernetes`, whether or not it asks for links."""
    url, prefix = f"tcp://{_shown(host)}:{port}", "KUBERNETES_PORT"
    named = f"{prefix}_{port}_TCP"
    return {
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": str(port),
        "KUBERNETES_SERVICE_PORT_HTTPS": str(port),
        prefix: url,
        named: url,
        f"{named}_PROTO": "tcp",
        f"{named}_PORT": str(port),
        f"{named}_ADDR": host,
    }


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@dataclass(frozen=True, slots=True)
class _Door:
    sandbox_id: str
    close: Close


class ApiAccess:
    """Knows nothing until `begin`: where no server listens, containers are told of none."""

    def __init__(self, service_address: str = "", listen: Listen = listen_in) -> None:
        """`service_address`: where the server is found in a Pod's own network."""
        self._service_address = service_address
        self._listen = listen
        self._serve: Serve | None = None
        self._host, self._port = "", 0
        self._doors: dict[str, _Door] = {}
        """By Pod: of its sandboxes only the newest lives."""
        self._apart: set[str] = set()
        """Pods that have a network of their own."""

    def begin(self, serve: Serve, host: str, port: int) -> None:
        """The server listens at `host:port` of this machine, and wherever `serve` is told to."""
        self._serve, self._host, self._port = serve, host, port

    def environment(self, pod_uid: str) -> dict[str, str]:
        if self._serve is None:
            return {}
        if pod_uid in self._apart:
            return service_environment(self._service_address, SERVICE_PORT)
        return service_environment(self._host, self._port)

    async def follow(self, pod_uid: str, sandboxes: Sequence[SandboxStatus]) -> None:
        """What there is of a Pod now, newest first."""
        if self._serve is None:
            return
        live = next((s for s in sandboxes if s.state is SandboxState.READY), None)
        door = self._doors.get(pod_uid)
        if door is not None and (live is None or live.id != door.sandbox_id):
            self.forget(pod_uid)
            door = None
        if live is None or not live.network_namespace:
            return
        self._apart.add(pod_uid)
        if door is None:
            await self._open(pod_uid, live, self._serve)

    async def _open(self, pod_uid: str, sandbox: SandboxStatus, serve: Serve) -> None:
        where = sandbox.network_namespace, self._service_address, SERVICE_PORT
        try:
            listener = await self._listen(*where)
            if pod_uid in self._doors:  # somebody else was faster
                listener.close()
                return
            self._doors[pod_uid] = _Door(sandbox.id, listener.close)
            self._doors[pod_uid] = _Door(sandbox.id, await serve(listener))
        except OSError as error:
            name = f"{sandbox.config.pod_namespace}/{sandbox.config.pod_name}"
            log.warning("pod %s cannot reach the API server: %s", name, error)

    def forget(self, pod_uid: str) -> None:
        """Its sandbox is gone."""
        self._apart.discard(pod_uid)
        door = self._doors.pop(pod_uid, None)
        if door is not None:
            door.close()
