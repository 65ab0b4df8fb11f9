"""What the API server needs of a node: the logs of a container, and ways into it and its Pod.

In Kubernetes these are HTTPS calls to the kubelet's own port; here the composition root hands in whatever
serves them (`kubelet/server.py`). The server knows no kubelet, it declares what it uses.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from lightkube.models.core_v1 import Pod


class NodeAccessError(Exception):
    """The node cannot do it; `code` is the HTTP status that the client gets (400, 404, 500)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class LogQuery:
    container: str
    follow: bool = False
    previous: bool = False
    tail_lines: int | None = None
    since_seconds: int | None = None
    since_time: datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


class ExecSession(Protocol):
    """A conversation with a process in a container: a command of its own, or the container's first."""

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """(1, data) stdout, (2, data) stderr, until both have ended."""

    async def write(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    async def resize(self, width: int, height: int) -> None: ...

    async def wait(self) -> int:
        """The exit code; `NodeAccessError` if there is none."""

    async def close(self) -> None: ...


class PortConnection(Protocol):
    """A connection to a port of a Pod; each side can end before the other."""

    async def read(self) -> bytes:
        """What has come; empty once the Pod has ended or is gone."""

    async def write(self, data: bytes) -> None: ...

    async def end(self) -> None:
        """No more will be written; what the Pod writes is still read."""

    async def problem(self) -> str:
        """Once it is read to its end: why it has failed, as a whole sentence; empty if it has not."""

    async def close(self) -> None: ...

    def abort(self) -> None:
        """Close, and let go of what is not sent yet."""


class NodeAccess(Protocol):
    async def logs(self, pod: Pod, query: LogQuery) -> AsyncIterator[bytes]:
        """Opens the log (`NodeAccessError` before the first byte), then streams it."""

    async def exec(
        self, pod: Pod, container: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> ExecSession: ...

    async def attach(self, pod: Pod, container: str, *, stdin: bool) -> ExecSession:
        """To the container's first process: what it writes from now on. `wait` is 0 however it ends."""

    async def port_forward(self, pod: Pod, port: int) -> PortConnection: ...
