"""One worker a Pod, strictly serial, woken by whatever happens to the Pod (design.md section 3).

    SYNC --deleted--> TERMINATING --all dead--> TERMINATED --object gone--> FINISHED

A turn in SYNC observes, decides (`pod_actions`), reports and acts. The decision looks at what was there before
the turn, so a container that this turn kills is started again in it, and back-off sees only what had exited
before (spec/health.md 4.4). Nothing in a turn waits for the API server.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from lightkube.models import core_v1, meta_v1

from podward.client.base import ApiError, Client, TransportError
from podward.client.recorder import EventRecorder, pod_reference
from podward.kubelet.api_access import ApiAccess
from podward.kubelet.container_kill import ContainerKiller
from podward.kubelet.container_start import ContainerStarter, StartFailure
from podward.kubelet.lifecycle_hooks import HookError, HookRunner
from podward.kubelet.pod_actions import PodActions, StartContainer, pod_actions
from podward.kubelet.prober.manager import ProberManager
from podward.kubelet.restart_policy import (
    MINIMUM_GRACE_SECONDS,
    TERMINAL_PHASES,
    container_named,
    field_path,
    is_sidecar,
    restart_backoff_key,
)
from podward.kubelet.runtime.base import (
    ContainerState,
    ContainerStatus,
    PodObservation,
    Runtime,
    RuntimeFailure,
    RuntimeUnavailable,
    SandboxState,
)
from podward.kubelet.sandbox_config import SandboxError
from podward.kubelet.sandbox_start import SandboxStarter
from podward.kubelet.status.conditions import RESTARTING_ALL
from podward.kubelet.status.generate import generate_status, mark_lost, sources_in
from podward.kubelet.status.manager import StatusManager
from podward.kubelet.volume_limits import VolumeLimits
from podward.kubelet.volume_plan import (
    SourceUnreachable,
    VolumeError,
    made_of_files,
    references,
    tells_of_its_pod,
)
from podward.kubelet.volume_sources import VolumeSources
from podward.machinery.backoff import Backoff, go_duration
from podward.machinery.clock import Clock, whole_seconds
from podward.machinery.entropy import Entropy

RESYNC_SECONDS = 60.0
"""Times 1 to 1.5: a look at every Pod, whatever was or was not heard of it."""
RETRY_SECONDS = 10.0
"""After an error that only time can mend, times 1 to 1.5."""
UNAVAILABLE_SECONDS = 1.0
"""After a turn that found nobody to ask, times 1 to 1.5."""
REMOUNT_FIRST_SECONDS, REMOUNT_LAST_SECONDS = 0.5, 122.0
"""Between attempts to bring the files of a running Pod up to date; each failure doubles it."""
_EVICTION_GRACE_SECONDS = 1

_RESTARTING_ALL_TEXT = "The container is removed because RestartAllContainers in place"

log = logging.getLogger(__name__)


class State(StrEnum):
    SYNC = "sync"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    FINISHED = "finished"


@dataclass(frozen=True)
class Tools:
    """What every worker of one kubelet works with."""

    client: Client
    runtime: Runtime
    clock: Clock
    entropy: Entropy
    recorder: EventRecorder
    statuses: StatusManager
    prober: ProberManager
    backoff: Backoff
    sandboxes: SandboxStarter
    starter: ContainerStarter
    killer: ContainerKiller
    hooks: HookRunner
    sources: VolumeSources
    limits: VolumeLimits
    node_ip: str
    api_access: ApiAccess
    finished: Callable[[str], None]


class PodWorker:
    def __init__(self, tools: Tools, pod: core_v1.Pod) -> None:
        self._tools = tools
        self.pod = pod
        self.state = State.SYNC
        self._gone = self._retired = False
        self._ended = pod.status is not None and pod.status.phase in TERMINAL_PHASES
        """Nothing of it will run again: its phase may become terminal, or was so before we came."""
        if self._ended:
            tools.starter.tear_down_volumes(pod)  # whoever ended it may have died over that
        self._deadline_exceeded = False
        self._taken = False
        """This node found that it can run it."""
        self._rejected = False
        """It found the contrary, and said so; there is nothing more to tell."""
        self._evicted = ""
        """Why it must go, as its status will say."""
        self._probed = False
        self._reported: object = None
        """What the last status was made from."""
        self._killing: frozenset[str] = frozenset()
        self._waiting: dict[str, tuple[str, str]] = {}
        self._ends: dict[str, tuple[ContainerStatus, ContainerStatus]] = {}
        """Of each instance that ended, by ID: as the runtime tells it, and with what it left to say."""
        self._removed: dict[str, int] = {}
        """Restart counts of instances that were removed so that the whole Pod begins anew."""
        volumes = (pod.spec and pod.spec.volumes) or ()
        self._has_files = any(map(made_of_files, volumes))
        self._files_stale = self._has_files
        """Containers run whose files may not be what they should be."""
        self._remount_delay = 0.0
        self._remount_at = 0.0
        """Not before this, in the loop's time."""
        self._wake = asyncio.Event()
        self._wake.set()
        self._timer: asyncio.Handle | None = None
        self._due = 0.0
        """When it strikes. What is due at once has no time of its own on every loop."""
        self._deleting: asyncio.Task[None] | None = None
        self._grace = 0
        """Seconds that it was given to end, once it is being ended."""
        self._hurrying: asyncio.Task[None] | None = None
        self.task = asyncio.create_task(
            self._run(), name=f"pod {self._meta.namespace}/{self._meta.name}"
        )

    # ---- what happens to it

    def update(self, pod: core_v1.Pod) -> None:
        """Our own words, come back as the object's status, are no news."""
        news = _wishes(self.pod) != _wishes(pod)
        if news and self._has_files and _told(self.pod) != _told(pod) and tells_of_its_pod(pod):
            self.files_changed()
        self.pod = pod if news else msgspec.structs.replace(pod, spec=self.pod.spec)
        if news:
            self._tools.prober.tell(self._uid)
            self._wake.set()
            self._hurry(self._meta.deletionGracePeriodSeconds)

    def vanish(self) -> None:
        """Its object is gone from the API."""
        self._gone = True
        self._wake.set()
        self._hurry(0)

    def _hurry(self, grace: int | None) -> None:
        """Deleted again with less time than the turn gave it that waits for its end: that comes sooner."""
        if self.state is State.TERMINATING and grace is not None and grace < self._grace:
            self._grace = grace
            due = self._meta.deletionTimestamp if grace > 0 else None
            left = (due - self._tools.clock.now()).total_seconds() if due is not None else 0
            self._hurrying = asyncio.create_task(
                self._stop_within(max(left, MINIMUM_GRACE_SECONDS))
            )

    async def _stop_within(self, seconds: float) -> None:
        runtime = self._tools.runtime
        with contextlib.suppress(RuntimeFailure):
            running = [
                runtime.stop_container(one.id, seconds)
                for one in await runtime.list_containers(self._uid)
                if one.state is ContainerState.RUNNING
            ]
            await asyncio.gather(*running, return_exceptions=True)  # the turn tells of failures

    def files_changed(self) -> None:
        """What files of its volumes are made of is not what it was."""
        self._files_stale = True
        self._remount_delay = self._remount_at = 0.0
        self._wake.set()

    def evict(self, message: str) -> None:
        """End all of it at once, and for good; its object stays."""
        if not (self._leaving or self._ended):
            self._evicted = message
            self._event("Warning", "Evicted", message)
            self._wake.set()

    def retire(self) -> None:
        """The turn that it is in is its last, and starts nothing more."""
        self._retired = True
        self._wake.set()

    def wake(self) -> None:
        self._wake.set()

    def ended(self, identity: str) -> None:
        """A container or sandbox came to its end. One that this very turn kills is seen by this turn."""
        if identity not in self._killing:
            self._wake.set()

    def resync(self) -> None:
        """A look at the Pod for no reason, unless one is due soon for a reason: that takes its place."""
        now = asyncio.get_running_loop().time()
        if self._timer is None or not now < self._due <= now + 1.5 * RESYNC_SECONDS:
            self._wake.set()

    def status_written(self) -> None:
        if self.state is State.TERMINATED and self._deleting is None:
            self._deleting = asyncio.create_task(self._delete_object())

    # ---- turns

    async def _run(self) -> None:
        while self.state is not State.FINISHED:
            await self._wake.wait()
            if self._retired:
                return
            self._wake.clear()
            try:
                await self._turn()
            except RuntimeUnavailable:
                # The node tells of it, once; no turn of any Pod can do anything.
                self._look_again(UNAVAILABLE_SECONDS * self._tools.entropy.uniform(1, 1.5))
            except RuntimeFailure as error:
                log.warning("pod %s/%s: %s", self._meta.namespace, self._meta.name, error)
                self._look_again(self._retry_delay())

    async def _turn(self) -> None:
        if self._gone:
            await self._clean_up()
        elif self.state is State.TERMINATED:
            # The look after the last kill may have failed: the server must hear of the end all the same.
            self._report(await self._observe())
        elif self._meta.deletionTimestamp is not None:
            await self._terminate()
        else:
            await self._sync()

    async def _sync(self) -> None:
        observed = await self._observe()
        if self._rejected or (not self._ended and await self._refused(observed)):
            return
        if not self._ended and not self._probed:
            self._tools.prober.add_pod(self.pod)
            self._probed = True
        if not self._ended:
            self._follow_volumes()
        verdicts = self._tools.prober.verdicts(self._uid)
        self._report(observed)
        if self._ended:
            return
        self._check_deadline()  # it counts from the first report
        if self._deadline_exceeded:
            self._report(observed)
        if self._deadline_exceeded or self._evicted or self._told_over():
            await self._kill_pod(observed, _EVICTION_GRACE_SECONDS if self._evicted else None)
            self._end()
            self._report(await self._observe())
            return
        self._check_tokens()
        if self._files_stale and any(
            c.state is ContainerState.RUNNING for c in observed.containers
        ):
            await self._refresh_files()
        actions = pod_actions(self.pod, observed, verdicts)
        if not actions.idle and await self._act(actions, observed):
            self._report(await self._observe())

    async def _refused(self, observed: PodObservation) -> bool:
        """Whether this node cannot run the Pod at all: it failed, then, and is not tried again.

        Asked once. A Pod that runs was taken, whatever is allowed by now.
        """
        if self._taken or observed.containers:
            return False
        refusal = await self._tools.sandboxes.refusal(self.pod)
        self._taken = refusal is None
        if refusal is None:
            return False
        self._event("Warning", refusal.reason, refusal.message)
        self._end()
        self._rejected = True
        text = f"Pod was rejected: {refusal.message}"
        previous = self._tools.statuses.get(self._uid) or core_v1.PodStatus()
        status = core_v1.PodStatus(
            phase="Failed",
            reason=refusal.reason,
            message=text,
            startTime=previous.startTime or whole_seconds(self._tools.clock.now()),
            qosClass=previous.qosClass,
        )
        self._tools.statuses.publish(self.pod, status)
        return True

    def _told_over(self) -> bool:
        """What was told is over stays over, whatever a lost sandbox would have started anew (5.1)."""
        status = self._tools.statuses.get(self._uid)
        return status is not None and status.phase in TERMINAL_PHASES

    async def _act(self, actions: PodActions, observed: PodObservation) -> bool:
        """False if nothing was done that a status could show."""
        if actions.kill_pod:
            await self._kill_pod(observed)
            if actions.terminal:
                self._end()
                return True
        if actions.restart_all is not None:
            await self._restart_all(actions.restart_all, observed)
            return True
        self._killing = frozenset(kill.container_id for kill in actions.kill)
        for kill in actions.kill:
            await self._tools.killer.kill(
                self.pod, kill.container_id, kill.name, kill.message, kill.reason
            )
        if self._leaving:  # told so while it killed: the kubelet's sync is cancelled then
            return True
        sandbox_id = actions.sandbox_id
        if actions.create_sandbox:
            if actions.sandbox_id is not None:
                text = "Pod sandbox changed, it will be killed and re-created."
                self._event("Normal", "SandboxChanged", text)
            sandbox_id = await self._create_sandbox(actions.sandbox_attempt)
        if sandbox_id is None:
            return False
        started = await self._start_all(actions.start, sandbox_id, observed)
        await self._prune(observed)
        return started or bool(actions.kill or actions.create_sandbox)

    def _report(self, observed: PodObservation) -> None:
        """Make the status and publish it, unless it would be made from what the last one was made from."""
        tools = self._tools
        verdicts = tools.prober.verdicts(self._uid)
        ending = self._ended, self._deadline_exceeded, self._evicted, self.state
        sources = sources_in(self.pod, verdicts), observed, dict(self._waiting), ending
        if sources == self._reported and self.state is State.SYNC:
            tools.prober.trigger_readiness(self._uid)
            return
        self._reported = sources
        previous = tools.statuses.get(self._uid) or core_v1.PodStatus()
        status = generate_status(
            self.pod,
            observed,
            verdicts=verdicts,
            waiting=self._waiting,
            previous=previous,
            terminal=self._ended,
            now=tools.clock.now(),
            runtime_name=tools.runtime.name,
            node_ips=[tools.node_ip],
            deadline_exceeded=self._deadline_exceeded,
            evicted=self._evicted,
        )
        if self.state is State.TERMINATED:
            status = mark_lost(self.pod, status, tools.clock.now())
        if tools.statuses.publish(self.pod, status):
            tools.prober.tell(self._uid)
            if not (self._leaving or self._ended):
                tools.prober.revive(self.pod, status)
        else:
            self.status_written()
        tools.prober.trigger_readiness(self._uid)

    async def _observe(self) -> PodObservation:
        runtime = self._tools.runtime
        try:
            sandboxes = await runtime.list_pod_sandboxes(self._uid)
            containers = await runtime.list_containers(self._uid)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as error:
            self._event("Warning", "FailedSync", f"error determining status: {error}")
            raise
        await self._tools.api_access.follow(self._uid, sandboxes)
        told = [await self._with_message(one) for one in containers]
        return PodObservation(tuple(sandboxes), tuple(told))

    async def _with_message(self, status: ContainerStatus) -> ContainerStatus:
        if status.state is not ContainerState.EXITED:
            return status
        known = self._ends.get(status.id)
        if known is not None and known[0] == status:
            return known[1]
        message = await self._tools.starter.termination_message(self.pod, status)
        text = ": ".join(part for part in (status.message, message) if part)
        told = msgspec.structs.replace(status, message=text)
        self._ends[status.id] = (status, told)
        return told

    # ---- starting

    async def _create_sandbox(self, attempt: int) -> str | None:
        logs = self._tools.starter.log_folder(self.pod)
        try:
            return await self._tools.sandboxes.start(self.pod, attempt, logs)
        except RuntimeUnavailable:
            raise
        except (RuntimeFailure, SandboxError) as error:
            text = f"Failed to create pod sandbox: {error}"
            self._event("Warning", "FailedCreatePodSandBox", text)
            self._look_again(self._retry_delay())
            return None

    async def _start_all(
        self, starts: Sequence[StartContainer], sandbox_id: str, observed: PodObservation
    ) -> bool:
        """False if nothing happened that a status could show: all of them wait, as they did before."""
        waited = dict(self._waiting)
        pod_ips: tuple[str, ...] = ()
        tried = False
        for item in starts:
            if self._leaving:
                return True
            started = False
            if not self._backing_off(item.container, observed):
                tried = True
                if not pod_ips:
                    pod_ips = await self._pod_ips()
                    if not await self._mount_volumes(next(iter(pod_ips), "")):
                        return True
                await self._remove_never_started(item.name, observed)
                started = await self._start(item, sandbox_id, pod_ips)
            if not started and item.kind == "init" and not is_sidecar(item.container):
                break
        return tried or self._waiting != waited

    async def _mount_volumes(self, pod_ip: str) -> bool:
        outcome = await self._tools.starter.mount_volumes(self.pod, pod_ip)
        for failure in outcome.failures:
            self._event("Warning", "FailedMount", str(failure))
        if outcome.failures:
            self._look_again(self._retry_delay())
        return not outcome.failures

    async def _start(self, item: StartContainer, sandbox_id: str, pod_ips: Sequence[str]) -> bool:
        name = item.name
        if item.attempt is None and name in self._removed:
            item = msgspec.structs.replace(item, attempt=self._removed[name] + 1)
        try:
            container_id = await self._tools.starter.start(
                self.pod, item, sandbox_id, pod_ips=pod_ips, wanted=lambda: not self._leaving
            )
        except StartFailure as failure:
            self._waiting[name] = (failure.reason, failure.message)
            after = failure.retry_after
            self._look_again(self._retry_delay() if after is None else after)
            return False
        self._waiting.pop(name, None)
        self._removed.pop(name, None)
        if item.kind == "init":
            self._wake.set()  # a sidecar that runs may let the next one go
        return await self._post_start(item, container_id)

    def _backing_off(self, container: core_v1.Container, observed: PodObservation) -> bool:
        """Whether this start must wait; if not, it is counted as decided (spec/health.md 4.4)."""
        exited = next(
            (c for c in observed.instances(container.name) if c.state is ContainerState.EXITED),
            None,
        )
        if exited is None or exited.finished_at is None:
            return False
        tools = self._tools
        key = restart_backoff_key(self.pod, container)
        finished, now = exited.finished_at.timestamp(), tools.clock.now().timestamp()
        remaining = tools.backoff.delay_remaining(key, finished, now)
        if remaining <= 0:
            tools.backoff.advance(key, now, finished)
            return False
        whose = f"{self._meta.name}_{self._meta.namespace}({self._uid})"
        delay = go_duration(tools.backoff.current(key))
        text = f"back-off {delay} restarting failed container={container.name} pod={whose}"
        self._waiting[container.name] = ("CrashLoopBackOff", text)
        text = f"Back-off restarting failed container {container.name} in pod {whose}"
        self._container_event(container.name, "Warning", "BackOff", text)
        # Not only when the wait is over: a kubelet looks, and says so, once in 60 to 90 s all the while.
        self._look_again(min(remaining, RESYNC_SECONDS * tools.entropy.uniform(1, 1.5)))
        return True

    async def _post_start(self, item: StartContainer, container_id: str) -> bool:
        lifecycle = item.container.lifecycle
        if lifecycle is None or lifecycle.postStart is None:
            return True
        try:
            await self._tools.hooks.run(lifecycle.postStart, self.pod, item.container, container_id)
        except HookError as error:
            text = "PostStartHook failed"
            self._container_event(item.name, "Warning", "FailedPostStartHook", text)
            self._waiting[item.name] = ("PostStartHookError", str(error))
            await self._tools.killer.kill(
                self.pod, container_id, item.name, "FailedPostStartHook", "stop"
            )
            return False
        return True

    async def _prune(self, observed: PodObservation) -> None:
        """Of each container the newest dead instance is kept: back-off and `lastState` need it (4.5). Of the
        sandboxes the newest, and those that hold what is kept."""
        kept, needed = set(), set()
        for one in observed.containers:
            dead = one.state not in (ContainerState.RUNNING, ContainerState.CREATED)
            # One that never ran tells of no end, and goes when the next one starts.
            if dead and one.config.name in kept:
                await self._remove(one)
                continue
            needed.add(one.sandbox_id)
            if dead:
                kept.add(one.config.name)
        for sandbox in observed.sandboxes[1:]:
            if sandbox.state is SandboxState.NOT_READY and sandbox.id not in needed:
                await self._tools.runtime.remove_pod_sandbox(sandbox.id)

    async def _remove_never_started(self, name: str, observed: PodObservation) -> None:
        """We died, or the engine did, before the command began: the next one takes its place and its name."""
        for one in observed.instances(name):
            if one.state is ContainerState.CREATED:
                await self._remove(one)

    async def _remove(self, instance: ContainerStatus) -> None:
        await self._tools.runtime.remove_container(instance.id)
        self._ends.pop(instance.id, None)
        self._tools.starter.forget(instance)

    async def _restart_all(self, trigger: ContainerStatus, observed: PodObservation) -> None:
        """Everything of the Pod is removed and begins anew in the same sandbox (spec/health.md 4.9).

        The trigger goes last: whoever dies on the way finds it again and goes on. Its back-off holds here
        too, or a Pod that fails at once would do nothing but start.
        """
        tools, names = self._tools, {c.config.name for c in observed.containers}
        container = container_named(self.pod, trigger.config.name)
        if container is None or self._backing_off(container, observed):
            return
        for name in names:
            self._waiting[name] = (RESTARTING_ALL, _RESTARTING_ALL_TEXT)
        await tools.killer.kill_all(self.pod, observed, override=0)
        self._report(await self._observe())
        tools.prober.remove_pod(self._uid)
        self._probed = False
        for one in sorted(observed.containers, key=lambda one: one.id == trigger.id):
            counted = self._removed.get(one.config.name, 0)
            self._removed[one.config.name] = max(counted, one.config.attempt)
            await self._remove(one)
        self._wake.set()

    # ---- files that change while containers run

    def _follow_volumes(self) -> None:
        if self._has_files:
            self._tools.sources.follow(
                self._uid, self._meta.namespace or "", references(self.pod), self.files_changed
            )
        self._tools.limits.follow(
            self.pod, self._tools.starter.volumes_folder(self.pod), self.evict
        )

    def _check_tokens(self) -> None:
        due = self._tools.starter.tokens_due_in(self.pod)
        if due is not None and due > 0:
            self._look_again(due)
        elif due is not None:
            self._files_stale = True

    async def _refresh_files(self) -> None:
        """Write what differs; what cannot be read stays as it is, and is tried again. Nothing is restarted."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._remount_at:
            self._look_again(self._remount_at - loop.time())
            return
        pod_ip = next(iter(await self._pod_ips()), "")
        self._files_stale = False
        outcome = await self._tools.starter.mount_volumes(self.pod, pod_ip, running=True)
        self._tell_failures(outcome.failures)
        if self._files_stale or not outcome.failures:  # stale again: the next turn looks at once
            self._remount_delay = 0.0
            return
        self._files_stale = True
        doubled = 2 * self._remount_delay or REMOUNT_FIRST_SECONDS
        self._remount_delay = min(doubled, REMOUNT_LAST_SECONDS)
        self._remount_at = loop.time() + self._remount_delay
        self._look_again(self._remount_delay)

    def _tell_failures(self, failures: Sequence[VolumeError]) -> None:
        for failure in failures:
            if isinstance(failure, SourceUnreachable):
                # A kubelet answers from its cache while the server is away, and says nothing.
                log.warning("pod %s/%s: %s", self._meta.namespace, self._meta.name, failure)
            else:
                self._event("Warning", "FailedMount", str(failure))

    # ---- stopping

    async def _kill_pod(self, observed: PodObservation, override: int | None = None) -> None:
        """All containers, then the sandboxes."""
        try:
            await self._tools.killer.kill_all(self.pod, observed, override)
            for sandbox in observed.sandboxes:
                await self._tools.runtime.stop_pod_sandbox(sandbox.id)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as error:
            self._event("Warning", "FailedKillPod", f"error killing pod: {error}")
            raise

    async def _terminate(self) -> None:
        self.state = State.TERMINATING
        self._grace = self._meta.deletionGracePeriodSeconds or 0
        self._tools.prober.stop_liveness_and_startup(self._uid)
        observed = await self._observe()
        self._report(observed)
        await self._kill_pod(observed)
        self.state = State.TERMINATED
        self._end()
        self._report(await self._observe())

    async def _delete_object(self) -> None:
        """The kubelet, not the server, ends a graceful deletion."""
        while not self._gone:
            try:
                await self._tools.client.delete(
                    core_v1.Pod, self._meta.name or "", self._meta.namespace or "",
                    grace_period_seconds=0, uid=self._uid,
                )  # fmt: skip
                return
            except ApiError as error:
                if error.code in (404, 409):
                    return
                log.warning("cannot delete pod %s: %s", self._meta.name, error)
            except TransportError as error:
                log.warning("cannot delete pod %s: %s", self._meta.name, error)
            await asyncio.sleep(1)

    async def _clean_up(self) -> None:
        observed = await self._observe()
        self._tools.prober.remove_pod(self._uid)
        self._tools.sources.forget(self._uid)
        self._tools.limits.forget(self._uid)
        await self._kill_pod(observed, override=1)
        for sandbox in observed.sandboxes:
            await self._tools.runtime.remove_pod_sandbox(sandbox.id)
        self._tools.api_access.forget(self._uid)
        await self._tools.sandboxes.remove_pod(self.pod)
        self._tools.starter.remove_pod(self.pod)
        self._tools.statuses.forget(self._uid)
        if self._timer is not None:
            self._timer.cancel()
        self.state = State.FINISHED
        self._tools.finished(self._uid)

    def _end(self) -> None:
        self._ended = True
        self._tools.prober.remove_pod(self._uid)
        self._tools.sources.forget(self._uid)
        self._tools.limits.forget(self._uid)
        self._tools.starter.tear_down_volumes(self.pod)

    def _check_deadline(self) -> None:
        limit = self.pod.spec.activeDeadlineSeconds if self.pod.spec else None
        status = self._tools.statuses.get(self._uid)
        if limit is None or status is None or status.startTime is None or self._deadline_exceeded:
            return
        elapsed = (self._tools.clock.now() - status.startTime).total_seconds()
        if elapsed < limit:
            self._look_again(limit - elapsed)
        elif not self._ended:
            self._deadline_exceeded = True
            text = "Pod was active on the node longer than the specified deadline"
            self._event("Normal", "DeadlineExceeded", text)

    # ---- small things

    @property
    def _meta(self) -> meta_v1.ObjectMeta:
        return self.pod.metadata or meta_v1.ObjectMeta()

    @property
    def _uid(self) -> str:
        return self._meta.uid or ""

    @property
    def _leaving(self) -> bool:
        """Nothing is started for a Pod that is being deleted or evicted, or that nobody will look after."""
        going = self._gone or self._retired
        return going or self._meta.deletionTimestamp is not None or bool(self._evicted)

    async def _pod_ips(self) -> tuple[str, ...]:
        """From the runtime: containers are started before any status tells the addresses."""
        if self.pod.spec is not None and self.pod.spec.hostNetwork:
            return (self._tools.node_ip,)
        sandboxes = await self._tools.runtime.list_pod_sandboxes(self._uid)
        await self._tools.api_access.follow(self._uid, sandboxes)
        return next((sandbox.ips for sandbox in sandboxes if sandbox.ips), ())

    def _look_again(self, seconds: float) -> None:
        """The earliest wish wins; each turn wishes anew."""
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        if self._timer is not None and loop.time() < self._due <= when:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due = loop.call_at(when, self._wake.set), when

    def _retry_delay(self) -> float:
        return RETRY_SECONDS * self._tools.entropy.uniform(1, 1.5)

    def _event(self, type_: str, reason: str, message: str) -> None:
        self._tools.recorder.event(pod_reference(self.pod), type_, reason, message)

    def _container_event(self, name: str, type_: str, reason: str, message: str) -> None:
        reference = pod_reference(self.pod, field_path(self.pod, name))
        self._tools.recorder.event(reference, type_, reason, message)


def _told(pod: core_v1.Pod) -> object:
    """What files may tell of a Pod and others may change."""
    meta = pod.metadata or meta_v1.ObjectMeta()
    return meta.labels, meta.annotations


def _wishes(pod: core_v1.Pod) -> object:
    """What others want of a Pod: what a stock kubelet compares, and the conditions its readiness gates name."""
    meta = pod.metadata or meta_v1.ObjectMeta()
    gates = {gate.conditionType for gate in (pod.spec and pod.spec.readinessGates) or ()}
    conditions = (pod.status and pod.status.conditions) or ()
    passed = {c.type: c.status for c in conditions if c.type in gates}
    leaving = meta.deletionTimestamp, meta.deletionGracePeriodSeconds
    return pod.spec, meta.labels, meta.annotations, leaving, passed
