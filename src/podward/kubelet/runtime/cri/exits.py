"""Waiting for the end of one container, for whoever follows it."""

import asyncio

from podward.kubelet.runtime.base import RuntimeFailure
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.client import CriClient, EngineNotFound
from podward.kubelet.runtime.cri.verbose import read_info
from podward.kubelet.runtime.linux.children import ended

_FIRST_SECONDS, _LAST_SECONDS = 0.005, 1.0
"""Between questions once its process has ended, or where that cannot be seen; each doubles it."""
_ASK_AGAIN_SECONDS = 10.0
"""The number that the engine tells may be another process's here: nobody waits for that alone."""


async def until_exit(client: CriClient, container_id: str) -> None:
    """Until the engine says that it has ended, or knows it no more: all that it wrote is in its log then."""
    request = pb.ContainerStatusRequest(container_id=container_id, verbose=True)
    delay = _FIRST_SECONDS
    while True:
        pid = 0
        try:
            found = await client.runtime("ContainerStatus", request, pb.ContainerStatusResponse)
        except EngineNotFound:
            return
        except RuntimeFailure:
            pass  # it comes back, and then it knows
        else:
            if found.status.state not in (pb.CONTAINER_CREATED, pb.CONTAINER_RUNNING):
                return
            pid = read_info(found.info).pid
        if pid > 0 and not await _has_ended(pid):
            delay = _FIRST_SECONDS
            continue
        await asyncio.sleep(delay)
        delay = min(2 * delay, _LAST_SECONDS)


async def _has_ended(pid: int) -> bool:
    """Waits for it; False if it lives on for long. Nobody knows of one that cannot be watched."""
    try:
        async with asyncio.timeout(_ASK_AGAIN_SECONDS):
            await ended(pid)
    except TimeoutError:
        return False
    except OSError:
        pass
    return True
