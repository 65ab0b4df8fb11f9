"""A stop signal of the Pod's own (`lifecycle.stopSignal`), where the engine knows only the image's.

Engines learnt it late (containerd 2.1); an older one is told and says nothing. Then the signal is sent from
here, the container has its time, and the engine is left to end what is still there.
"""

import asyncio
import contextlib
import os
import re
import signal

from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.client import CriClient, EngineNotFound
from podward.kubelet.runtime.cri.configs import SIGNAL_ANNOTATION
from podward.kubelet.runtime.cri.verbose import read_info
from podward.kubelet.runtime.linux.children import ended


async def after_own_signal(client: CriClient, container_id: str, grace_seconds: float) -> float:
    """The grace that is left for the engine to give: all of it, unless the signal was sent from here."""
    if grace_seconds <= 0:
        return grace_seconds
    try:
        status = (await _status(client, container_id, verbose=False)).status
        name = status.annotations.get(SIGNAL_ANNOTATION)
        running = status.state == pb.CONTAINER_RUNNING
        if not name or not running or status.stop_signal != pb.SIGNAL_RUNTIME_DEFAULT:
            return grace_seconds
        pid = read_info((await _status(client, container_id, verbose=True)).info).pid
    except EngineNotFound:
        return grace_seconds
    if not pid:
        return grace_seconds
    with contextlib.suppress(ProcessLookupError, TimeoutError):
        os.kill(pid, signal_number(name))
        async with asyncio.timeout(grace_seconds):
            await ended(pid)
    return 0.0


def signal_number(name: str) -> int:
    """Of `SIGUSR1`, `SIGRTMIN+3` or `SIGRTMAX-1`."""
    match = re.fullmatch(r"(SIG[A-Z0-9]+?)(?:([+-]\d+))?", name)
    if match is None:
        raise ValueError(f"no signal is called {name}")
    return int(getattr(signal, match[1])) + int(match[2] or 0)


async def _status(
    client: CriClient, container_id: str, *, verbose: bool
) -> pb.ContainerStatusResponse:
    request = pb.ContainerStatusRequest(container_id=container_id, verbose=verbose)
    return await client.runtime("ContainerStatus", request, pb.ContainerStatusResponse)
