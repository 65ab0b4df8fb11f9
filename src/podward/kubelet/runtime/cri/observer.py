"""What an engine holds of us, kept up to date, and told of as it changes (spec/health.md 4.5, 4.8).

An end is learnt first from the container's own first process, if it is one of this machine (a pidfd), and
then from the engine, which is asked until it has seen it too. Beside that everything is looked at: once a
second, or, where the engine serves `GetContainerEvents`, whenever it says that something happened.

A status is asked for once in each state of a container or sandbox: nothing that the kubelet reads of it changes
while the state, which each list tells, does not.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from podward.kubelet.runtime.base import (
    ContainerEvent,
    ContainerState,
    ContainerStatus,
    RuntimeFailure,
    RuntimeUnavailable,
    SandboxState,
    SandboxStatus,
)
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.client import (
    CriClient,
    EngineFailure,
    EngineNotFound,
    EngineTimeout,
    EngineUnavailable,
    Unimplemented,
)
from podward.kubelet.runtime.cri.configs import INSTANCE_LABEL, POD_UID_LABEL
from podward.kubelet.runtime.cri.events import Container, Ledger, Look, Sandbox
from podward.kubelet.runtime.cri.statuses import container_state, container_status, sandbox_status
from podward.kubelet.runtime.cri.verbose import read_info
from podward.kubelet.runtime.linux.children import ended

RELIST_SECONDS = 1.0
STREAMED_RELIST_SECONDS = 10.0
"""Where the engine tells of what happens, looking is for what it might have missed."""
STREAM_RETRY_SECONDS = 60.0
LOOK_TIMEOUT_SECONDS = 30.0
_GATHER_SECONDS = 0.01
"""News comes in bursts: one look is for all of them."""
_SETTLED_SECONDS = 1.0
"""An engine that does not serve events says so at once; one that has been silent for this long does."""
_SEEN_FIRST, _SEEN_AGAIN, _SEEN_STEADY, _SEEN_AT_MOST = 0.015, 0.004, 0.2, 10.0
"""Seconds from an end to the question whether the engine has seen it, between questions, until they become
rarer, and until they end. containerd 1.6 takes 30 to 50 ms: it removes the task first."""

log = logging.getLogger(__name__)


class Observer:
    def __init__(
        self, client: CriClient, instance: str, tell: Callable[[ContainerEvent], None]
    ) -> None:
        self._client = client
        self._instance = instance
        self.ledger = Ledger(tell)
        self._containers: dict[str, ContainerStatus] = {}
        self._sandboxes: dict[str, SandboxStatus] = {}
        self._watched: set[str] = set()
        self._unwatchable: set[str] = set()
        """Their processes are not where we can see them."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._hint = asyncio.Event()
        self._streams = False
        self._away_since: float | None = None

    async def start(self) -> None:
        await self._look(tell=False)
        self._spawn(self._look_forever())
        self._spawn(self._follow_stream())

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- what is there

    async def sandboxes(self, pod_uid: str | None) -> list[SandboxStatus]:
        listed = await self._list_sandboxes(pod_uid)
        found = await asyncio.gather(*map(self._sandbox, listed))
        there = [one for one in found if one is not None]
        return sorted(there, key=lambda s: (s.config.attempt, s.created_at), reverse=True)

    async def containers(self, pod_uid: str | None) -> list[ContainerStatus]:
        listed = await self._list_containers(pod_uid)
        found = await asyncio.gather(*map(self._container, listed))
        there = [one for one in found if one is not None]
        return sorted(there, key=lambda c: (c.config.attempt, c.created_at), reverse=True)

    async def _sandbox(self, listed: pb.PodSandbox) -> SandboxStatus | None:
        held = self._sandboxes.get(listed.id)
        ready = listed.state == pb.SANDBOX_READY
        if held is not None and (held.state is SandboxState.READY) == ready:
            return held
        return await self._ask_sandbox(listed.id)

    async def _container(self, listed: pb.Container) -> ContainerStatus | None:
        held = self._containers.get(listed.id)
        if held is not None and held.state is container_state(listed.state):
            return held
        return await self._ask_container(listed.id, listed.pod_sandbox_id)

    async def _list_sandboxes(self, pod_uid: str | None = None) -> list[pb.PodSandbox]:
        request = pb.ListPodSandboxRequest(
            filter=pb.PodSandboxFilter(label_selector=self._ours(pod_uid))
        )
        answer = await self._client.runtime(
            "ListPodSandbox", request, pb.ListPodSandboxResponse, LOOK_TIMEOUT_SECONDS
        )
        return list(answer.items)

    async def _list_containers(self, pod_uid: str | None = None) -> list[pb.Container]:
        request = pb.ListContainersRequest(
            filter=pb.ContainerFilter(label_selector=self._ours(pod_uid))
        )
        answer = await self._client.runtime(
            "ListContainers", request, pb.ListContainersResponse, LOOK_TIMEOUT_SECONDS
        )
        return list(answer.containers)

    def _ours(self, pod_uid: str | None) -> dict[str, str]:
        labels = {INSTANCE_LABEL: self._instance}
        return labels if pod_uid is None else {**labels, POD_UID_LABEL: pod_uid}

    async def _ask_sandbox(self, sandbox_id: str) -> SandboxStatus | None:
        request = pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id, verbose=True)
        try:
            found = await self._client.runtime(
                "PodSandboxStatus", request, pb.PodSandboxStatusResponse
            )
        except EngineNotFound:
            return None
        info = read_info(found.info)
        status = sandbox_status(found.status, info.network_namespace)
        self._sandboxes[sandbox_id] = status
        if status.state is SandboxState.READY:
            self._watch(sandbox_id, info.pid, lambda: self._sandbox_is_over(sandbox_id))
        return status

    async def _ask_container(self, container_id: str, sandbox_id: str) -> ContainerStatus | None:
        """With the process, if it may still have to be watched."""
        request = pb.ContainerStatusRequest(
            container_id=container_id, verbose=not self._is_watched(container_id)
        )
        try:
            found = await self._client.runtime(
                "ContainerStatus", request, pb.ContainerStatusResponse
            )
        except EngineNotFound:
            return None
        status = container_status(sandbox_id, found.status)
        self._containers[container_id] = status
        if status.state is ContainerState.RUNNING and request.verbose:
            self._watch(
                container_id, read_info(found.info).pid, lambda: self._is_over(container_id)
            )
        return status

    # ---- what was done

    async def started(self, container_id: str) -> None:
        self.ledger.container(container_id, ContainerState.RUNNING)
        held = self.ledger.containers.get(container_id)
        with contextlib.suppress(RuntimeFailure):  # it runs; the next look learns the rest
            status = await self._ask_container(container_id, held.sandbox_id if held else "")
            if status is not None:
                self.ledger.container(container_id, status.state)

    # ---- the ends of processes

    def _is_watched(self, identity: str) -> bool:
        return identity in self._watched or identity in self._unwatchable

    def _watch(self, identity: str, pid: int, over: Callable[[], Awaitable[bool]]) -> None:
        if self._is_watched(identity):
            return
        if pid > 0:
            self._watched.add(identity)
            self._spawn(self._until_over(identity, pid, over))
        else:
            self._unwatchable.add(identity)

    async def _until_over(
        self, identity: str, pid: int, over: Callable[[], Awaitable[bool]]
    ) -> None:
        """Wait for the end of a first process, then for the engine to have noticed it too."""
        try:
            await ended(pid)
            loop = asyncio.get_running_loop()
            began, delay = loop.time(), _SEEN_FIRST
            while loop.time() - began < _SEEN_AT_MOST:
                await asyncio.sleep(delay)
                if await over():
                    return
                steady = loop.time() - began < _SEEN_STEADY
                delay = _SEEN_AGAIN if steady else min(2 * delay, RELIST_SECONDS)
            self._unwatchable.add(identity)  # it was another machine's number, or a namespace's
        except OSError:
            self._unwatchable.add(identity)
        except RuntimeFailure:
            pass  # the next look that succeeds watches it again
        finally:
            self._watched.discard(identity)

    async def _is_over(self, container_id: str) -> bool:
        held = self._containers.get(container_id)
        found = await self._ask_container(container_id, held.sandbox_id if held else "")
        if found is None:
            return True  # removed; whoever did that tells of it, or the next look does
        self.ledger.container(container_id, found.state)
        return found.state is not ContainerState.RUNNING

    async def _sandbox_is_over(self, sandbox_id: str) -> bool:
        found = await self._ask_sandbox(sandbox_id)
        if found is None:
            return True
        if found.state is SandboxState.NOT_READY:
            self.ledger.sandbox_lost(sandbox_id)
        return found.state is SandboxState.NOT_READY

    # ---- looking at everything

    async def _look_forever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                seconds = STREAMED_RELIST_SECONDS if self._streams else RELIST_SECONDS
                async with asyncio.timeout(seconds):
                    await self._hint.wait()
                await asyncio.sleep(_GATHER_SECONDS)
            self._hint.clear()
            try:
                await self._look()
            except (EngineUnavailable, EngineTimeout) as error:
                self._engine_is_away(error)
            except RuntimeFailure as error:
                log.warning("cannot list what the engine runs: %s", error)
            else:
                self._engine_is_there()

    def _engine_is_away(self, error: EngineFailure) -> None:
        if self._away_since is None:
            self._away_since = asyncio.get_running_loop().time()
            cause = error.cause if isinstance(error, EngineUnavailable) else error.message
            log.warning("the engine at %s does not answer: %s", self._client.socket_path, cause)

    def _engine_is_there(self) -> None:
        if self._away_since is not None:
            seconds = asyncio.get_running_loop().time() - self._away_since
            self._away_since = None
            log.warning("the engine at %s answers again, after %.1f s",
                        self._client.socket_path, seconds)  # fmt: skip

    async def _look(self, *, tell: bool = True) -> None:
        self.ledger.look_begins()
        sandboxes, containers = await asyncio.gather(
            self._list_sandboxes(), self._list_containers()
        )
        found = Look(
            {
                one.id: Sandbox(one.labels.get(POD_UID_LABEL, ""), one.state == pb.SANDBOX_READY)
                for one in sandboxes
            },
            {
                one.id: Container(
                    one.labels.get(POD_UID_LABEL, ""),
                    one.pod_sandbox_id,
                    container_state(one.state),
                )
                for one in containers
            },
        )
        self.ledger.look_ended(found, tell=tell)
        self._forget_what_is_gone()
        await self._watch_what_is_not()

    def _forget_what_is_gone(self) -> None:
        ledger = self.ledger
        for identity in self._containers.keys() - ledger.containers.keys():
            del self._containers[identity]
        for identity in self._sandboxes.keys() - ledger.sandboxes.keys():
            del self._sandboxes[identity]
        self._unwatchable &= ledger.containers.keys() | ledger.sandboxes.keys()

    async def _watch_what_is_not(self) -> None:
        ledger = self.ledger
        await asyncio.gather(
            *(
                self._ask_container(identity, one.sandbox_id)
                for identity, one in ledger.containers.items()
                if one.state is ContainerState.RUNNING and not self._is_watched(identity)
            ),
            *(
                self._ask_sandbox(identity)
                for identity, one in ledger.sandboxes.items()
                if one.ready and not self._is_watched(identity)
            ),
        )

    # ---- being told

    async def _follow_stream(self) -> None:
        """Every word of it is a hint to look, no more: what is told comes from one place only."""
        while True:
            delay = RELIST_SECONDS
            try:
                async for _ in self._stream():
                    self._hint.set()
            except Unimplemented:
                delay = STREAM_RETRY_SECONDS  # the engine may be a newer one after a restart
            except EngineUnavailable:
                pass
            except EngineFailure as error:
                log.info("the engine does not tell of events: %s", error)
                delay = STREAM_RETRY_SECONDS
            self._hint.set()  # something may have happened after its last word
            await asyncio.sleep(delay)

    async def _stream(self) -> AsyncIterator[None]:
        def settled() -> None:
            self._streams = True

        timer = asyncio.get_running_loop().call_later(_SETTLED_SECONDS, settled)
        try:
            async for _ in self._client.stream(
                "GetContainerEvents", pb.GetEventsRequest(), pb.ContainerEventResponse
            ):
                settled()
                yield
        finally:
            timer.cancel()
            self._streams = False

    # ---- how it is

    async def problem(self) -> str | None:
        try:
            answer = await self._client.runtime(
                "Status", pb.StatusRequest(), pb.StatusResponse, LOOK_TIMEOUT_SECONDS
            )
        except EngineUnavailable:
            raise
        except EngineFailure as error:
            raise RuntimeUnavailable(str(error)) from error
        return problem_in(answer.status)


def problem_in(status: pb.RuntimeStatus) -> str | None:
    """What a kubelet's node says of it: both conditions are required, whatever else an engine tells."""
    found = {one.type: one for one in status.conditions}
    problems = []
    for type_, what in (("RuntimeReady", "runtime"), ("NetworkReady", "runtime network")):
        one = found.get(type_)
        if one is None:
            problems.append(f"container {what} not ready: {type_} is not told")
        elif not one.status:
            text = f"{type_}=false reason:{one.reason} message:{one.message}"
            problems.append(f"container {what} not ready: {text}")
    return (
        None if not problems else problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    )
