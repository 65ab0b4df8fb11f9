"""Commands in an engine's containers, without the engine.

What a container is (its first process, and the OCI spec that it was made from) comes from the engine once; each
command is then forked beside it by `linux.forker`. Whatever cannot be done the way the engine would do it, or
does not come to execute its command, is left to the engine, whose words and exit codes are thereby its own.
What is true of a container for good is remembered; what is true of one command is tried again.
"""

import asyncio
import errno
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import msgspec

from podward.kubelet.runtime.base import ExecResult, RuntimeFailure
from podward.kubelet.runtime.linux.children import Streams, run_to_end
from podward.kubelet.runtime.linux.forks import Forked, Forker, NotForked, plan_file
from podward.kubelet.runtime.linux.identity import identify
from podward.kubelet.runtime.linux.inspecting import look
from podward.kubelet.runtime.linux.plans import plan_of
from podward.kubelet.runtime.linux.seccomp import compile_profile
from podward.kubelet.runtime.linux.unfaithful import Unfaithful

_RUNTIMES = ("io.containerd.runc.v2", "io.containerd.runc.v1", "io.containerd.runtime.v1.linux")
_BINARIES = ("", "runc", "crun", "nvidia-container-runtime")
_REMEMBERED = 1000
_FOR_GOOD = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)

log = logging.getLogger(__name__)

Info = Callable[[str], Awaitable[Mapping[str, Any]]]
"""What the engine tells of a container beyond the protocol (`info` of a verbose ContainerStatus)."""


@dataclass(frozen=True, slots=True)
class _Entrance:
    """Of a container that lives: its plan as a file, and the very process it is for."""

    plan: int
    pidfd: int
    pid_namespace: bool


class DirectExec:
    def __init__(self, info: Info) -> None:
        self._info = info
        self._forker = Forker()
        self._entrances: dict[str, asyncio.Task[_Entrance | None]] = {}
        """None: the engine does it."""
        self._open: dict[str, _Entrance] = {}
        self._said: set[str] = set()
        self._able = os.geteuid() == 0

    def close(self) -> None:
        for container_id in list(self._entrances):
            self.forget(container_id)
        self._forker.close()

    async def exec_sync(
        self, container_id: str, command: Sequence[str], timeout: float | None
    ) -> ExecResult | None:
        """None: nothing was executed, and the engine is to do it."""
        if not self._able or not command:
            return None
        entrance = await self._entrance(container_id)
        if entrance is None:
            return None

        async def spawn(streams: Streams) -> Forked:
            try:
                await self._forker.pid()
                if self._open.get(container_id) is not entrance:
                    raise NotForked(errno.ESRCH, "its container has ended", of_the_command=True)
            except NotForked:
                streams.close()
                raise
            return await self._forker.spawn(
                entrance.plan, entrance.pidfd, entrance.pid_namespace, command, streams
            )

        try:
            return await run_to_end(spawn, timeout, to_the_last_word=True)
        except NotForked as error:
            if not error.of_the_command and error.errno in _FOR_GOOD:
                self._leave_to_the_engine(container_id, str(error))
            return None

    def forget(self, container_id: str) -> None:
        """It is gone."""
        self._entrances.pop(container_id, None)
        self._close(container_id)

    def _close(self, container_id: str) -> None:
        entrance = self._open.pop(container_id, None)
        if entrance is not None:
            asyncio.get_running_loop().remove_reader(entrance.pidfd)
            os.close(entrance.pidfd)
            os.close(entrance.plan)

    async def _entrance(self, container_id: str) -> _Entrance | None:
        making = self._entrances.get(container_id)
        if making is None:
            while len(self._entrances) >= _REMEMBERED:
                self.forget(next(iter(self._entrances)))
            making = asyncio.ensure_future(self._make(container_id))
            self._entrances[container_id] = making
        try:
            return await asyncio.shield(making)
        except (RuntimeFailure, OSError) as error:
            # Of this moment: the engine was away, or the container ended while we looked.
            log.debug("container %s is not entered: %s", container_id, error)
            self._entrances.pop(container_id, None)
            return None

    async def _make(self, container_id: str) -> _Entrance | None:
        info = await self._info(container_id)
        try:
            return await self._open_entrance(container_id, info)
        except Unfaithful as reason:
            self._say(container_id, str(reason))
            return None

    async def _open_entrance(self, container_id: str, info: Mapping[str, Any]) -> _Entrance:
        pid, spec = info.get("pid"), info.get("runtimeSpec")
        if not isinstance(pid, int) or pid <= 0 or not isinstance(spec, dict):
            raise Unfaithful("the engine does not tell its process and spec")
        _is_runc(info)
        try:
            forking = await self._forker.pid()
        except NotForked as error:
            self._able = False
            raise Unfaithful(error.strerror) from error
        process = identify(pid)
        pidfd = os.pidfd_open(pid)
        try:
            plan = plan_of(spec, look(pid, forking), container_id, _compiled)
            if process is None or identify(pid) != process:
                raise ProcessLookupError(errno.ESRCH, "its first process has ended")
            file = plan_file(plan.encode())
        except BaseException:
            os.close(pidfd)
            raise
        entrance = self._open[container_id] = _Entrance(file, pidfd, plan.pid_namespace)
        asyncio.get_running_loop().add_reader(pidfd, self.forget, container_id)
        return entrance

    def _leave_to_the_engine(self, container_id: str, reason: str) -> None:
        self._say(container_id, reason)
        self._close(container_id)
        nothing: asyncio.Task[_Entrance | None] = asyncio.ensure_future(_nothing())
        self._entrances[container_id] = nothing

    def _say(self, container_id: str, reason: str) -> None:
        if reason not in self._said:
            self._said.add(reason)
            log.warning(
                "commands in container %s (and others like it) go through the engine, the dearer way: %s",
                container_id[:12],
                reason,
            )


async def _nothing() -> None:
    return None


def _is_runc(info: Mapping[str, Any]) -> None:
    """containerd tells what runs it; a virtual machine, or a kernel in user space, is not entered so."""
    kind = info.get("runtimeType", "")
    options = info.get("runtimeOptions") or {}
    binary = PurePosixPath(options.get("BinaryName") or options.get("binary_name") or "").name
    if (kind and kind not in _RUNTIMES) or binary not in _BINARIES:
        raise Unfaithful(f"runtime {kind} {binary}".strip())


def _compiled(profile: Mapping[str, Any]) -> bytes:
    """Most containers have the engine's default profile: it is compiled once."""
    return _compiled_text(msgspec.json.encode(profile, order="sorted"))


@lru_cache(maxsize=32)
def _compiled_text(profile: bytes) -> bytes:
    return compile_profile(msgspec.json.decode(profile))
