"""What must hold, whatever goes wrong; one function each. They say what is wrong; nothing, if all is well."""

from collections.abc import Iterator

from lightkube.models import core_v1, meta_v1
from tests.simulate.lives.witness import Rules, Watched, key_of, named

from podward.kubelet.runtime.base import ContainerState
from podward.simulate.world import Container

DEADLINE_SLACK = 30.0

# ---- when a container begins to run


def never_two_of_one(machine: Watched, container: Container) -> Iterator[str]:
    count = len(machine.seen.running[key_of(container)])
    if count > 1:
        yield f"{named(container)} starts and {count - 1} other of it still runs"


def never_before_the_ladder(machine: Watched, container: Container) -> Iterator[str]:
    key = key_of(container)
    seen = machine.seen
    killed = seen.last_ended.get(key, "") in seen.asked_to_stop
    early = seen.ladder(key).started(container.config.attempt, seen.decided[key], killed=killed)
    if early > 0:
        yield f"{named(container)} was restarted {early:.2f}s before its back-off was over"


# ---- when the kubelet asks for a start


def nothing_starts_that_was_deleted(machine: Watched, container: Container) -> Iterator[str]:
    if container.sandbox.config.pod_uid in machine.seen.leaving:
        yield f"{named(container)} is started, and the kubelet knew that its Pod was deleted"


def nothing_starts_that_is_over(machine: Watched, container: Container) -> Iterator[str]:
    """spec/health.md 5.1: a terminal phase is never left."""
    phase = machine.seen.phases.get(container.sandbox.config.pod_uid, "")
    if phase in ("Succeeded", "Failed"):
        yield f"{named(container)} is started, and its Pod is {phase}"


# ---- when a Pod was written


def restart_counts_never_fall(machine: Watched, pod: core_v1.Pod) -> Iterator[str]:
    for one in statuses(pod):
        key = uid_of(pod), one.name
        highest = machine.seen.counts.get(key, 0)
        if one.restartCount < highest:
            yield f"restartCount of {name_of(pod)}/{one.name} fell from {highest} to {one.restartCount}"
        machine.seen.counts[key] = max(highest, one.restartCount)


def ready_only_while_it_runs(machine: Watched, pod: core_v1.Pod) -> Iterator[str]:
    """A plain init container is ready when it has succeeded."""
    plain = {c.name for c in init_containers(pod) if c.restartPolicy != "Always"}
    for one in statuses(pod):
        state = one.state or core_v1.ContainerState()
        done = one.name in plain and state.terminated is not None
        if one.ready and state.running is None and not done:
            yield f"{name_of(pod)}/{one.name} is told ready and not running"


def what_ended_never_runs_again(machine: Watched, pod: core_v1.Pod) -> Iterator[str]:
    ended = machine.seen.ended
    for one in statuses(pod):
        identity, state = one.containerID or "", one.state or core_v1.ContainerState()
        if state.terminated is not None:
            ended[identity] = one.name
        elif state.running is not None and identity in ended:
            yield f"{name_of(pod)}/{one.name} is told running after its end was told"


def what_is_over_stays_over(machine: Watched, pod: core_v1.Pod) -> Iterator[str]:
    phase = (pod.status and pod.status.phase) or ""
    before = machine.seen.phases.get(uid_of(pod), "")
    if before in ("Succeeded", "Failed") and phase != before:
        yield f"{name_of(pod)} was {before} and is {phase}"
    machine.seen.phases[uid_of(pod)] = phase


def start_time_never_changes(machine: Watched, pod: core_v1.Pod) -> Iterator[str]:
    began = pod.status.startTime.isoformat() if pod.status and pod.status.startTime else None
    known = machine.seen.began.setdefault(uid_of(pod), began) if began else None
    if known != began:
        yield f"startTime of {name_of(pod)} changed from {known} to {began}"


RULES = Rules(
    at_start=(never_two_of_one, never_before_the_ladder),
    at_asking=(nothing_starts_that_was_deleted, nothing_starts_that_is_over),
    at_status=(
        restart_counts_never_fall,
        ready_only_while_it_runs,
        what_ended_never_runs_again,
        what_is_over_stays_over,
        start_time_never_changes,
    ),
)

# ---- at the end


def acknowledged_writes_are_there(machine: Watched) -> Iterator[str]:
    for version, document in machine.seen.acknowledged:
        if machine.seen.documents.get(version) != document:
            yield f"a write was acknowledged as {version}, and that is not what is stored"


def podward_never_ends_by_itself(machine: Watched) -> Iterator[str]:
    yield from (f"podward ended by itself: {text}" for text in machine.ends)


def every_program_is_known(machine: Watched) -> Iterator[str]:
    if machine.world.problem is not None:
        yield f"the simulation itself failed: {machine.world.problem!r}"


AT_END = (acknowledged_writes_are_there, podward_never_ends_by_itself, every_program_is_known)


# ---- once it has been calm for long enough


def nothing_runs_unwanted(machine: Watched, pods: list[core_v1.Pod]) -> Iterator[str]:
    wanted = {uid_of(pod) for pod in pods if not is_over(pod)}
    for container in machine.world.containers.values():
        uid = container.sandbox.config.pod_uid
        if container.state is ContainerState.RUNNING and uid not in wanted:
            yield f"{named(container)} still runs, and its Pod is over or gone"


def deletions_end(machine: Watched, pods: list[core_v1.Pod]) -> Iterator[str]:
    for pod in pods:
        if pod.metadata is not None and pod.metadata.deletionTimestamp is not None:
            yield f"{name_of(pod)} is still being deleted"


def statuses_are_true(machine: Watched, pods: list[core_v1.Pod]) -> Iterator[str]:
    for pod in pods:
        told = {one.name: one for one in statuses(pod)}
        for container in (*init_containers(pod), *containers(pod)):
            one = told.get(container.name)
            if one is None:
                yield f"{name_of(pod)}/{container.name} has no status"
                continue
            yield from _untrue(machine, pod, container, one)


def _untrue(
    machine: Watched, pod: core_v1.Pod, container: core_v1.Container, one: core_v1.ContainerStatus
) -> Iterator[str]:
    where, newest = f"{name_of(pod)}/{one.name}", machine.newest(uid_of(pod), one.name)
    says = one.state is not None and one.state.running is not None
    runs = newest is not None and newest.state is ContainerState.RUNNING
    if says is not runs:
        yield f"{where}: told running {says}, the truth is {runs}"
    if newest is not None and one.restartCount != newest.config.attempt:
        yield f"{where}: told {one.restartCount} restarts, the truth is {newest.config.attempt}"
    if newest is not None and (one.containerID or "").partition("://")[2] != newest.id:
        yield f"{where}: another instance is told than the newest"
    judged = container.readinessProbe or container.startupProbe
    lasts = container in containers(pod) or container.restartPolicy == "Always"
    if runs and lasts and not judged and not one.ready:
        yield f"{where}: runs, has no probe that could say otherwise, and is not ready"


def what_shall_run_runs(machine: Watched, pods: list[core_v1.Pod]) -> Iterator[str]:
    """Each container runs, waits in back-off, is done for good, or waits for another that does."""
    for pod in pods:
        if is_over(pod):
            continue
        for container in (*init_containers(pod), *containers(pod)):
            if _at_rest(machine, pod, container):
                continue
            yield f"{name_of(pod)}/{container.name} neither runs nor waits nor is done"
            break
        yield from _past_its_deadline(machine, pod)


def _at_rest(machine: Watched, pod: core_v1.Pod, container: core_v1.Container) -> bool:
    uid = uid_of(pod)
    newest = machine.newest(uid, container.name)
    told = next((one for one in statuses(pod) if one.name == container.name), None)
    waiting = told.state.waiting if told is not None and told.state is not None else None
    if newest is None:
        return any(_holds_back(machine, pod, c) for c in init_containers(pod) if c != container)
    if newest.state is ContainerState.RUNNING:
        return True
    if newest.state is ContainerState.CREATED:
        return False
    plain_init = container in init_containers(pod) and container.restartPolicy != "Always"
    if plain_init and newest.exit_code == 0 and newest.reason != "OOMKilled":
        return True
    if waiting is not None and waiting.reason == "CrashLoopBackOff":
        return True
    if any(_holds_back(machine, pod, c) for c in init_containers(pod) if c != container):
        return True  # after a new sandbox the init containers come first again
    return not plain_init and not comes_back(pod, container, newest.exit_code or 0)


def _holds_back(machine: Watched, pod: core_v1.Pod, init: core_v1.Container) -> bool:
    """Those after it wait: it has not succeeded, or, a sidecar, has not started."""
    newest = machine.newest(uid_of(pod), init.name)
    if newest is None:
        return True
    if init.restartPolicy == "Always":
        told = next((one for one in statuses(pod) if one.name == init.name), None)
        return newest.state is not ContainerState.RUNNING or told is None or not told.started
    return newest.state is not ContainerState.EXITED or newest.exit_code != 0


def _past_its_deadline(machine: Watched, pod: core_v1.Pod) -> Iterator[str]:
    limit = pod.spec.activeDeadlineSeconds if pod.spec else None
    if limit is None or pod.status is None or pod.status.startTime is None:
        return
    age = (machine.clock.now() - pod.status.startTime).total_seconds()
    if age > limit + DEADLINE_SLACK:
        yield f"{name_of(pod)} is {age:.0f}s old and its deadline was {limit}s"


def probes_are_heeded(machine: Watched, pods: list[core_v1.Pod]) -> Iterator[str]:
    """Of those whose answer never changes: a sick container is killed, a ready one is ready."""
    for pod in pods:
        if is_over(pod):
            continue
        told = {one.name: one for one in statuses(pod)}
        for container in (*init_containers(pod), *containers(pod)):
            newest, one = machine.newest(uid_of(pod), container.name), told.get(container.name)
            if newest is not None and newest.state is ContainerState.RUNNING and one is not None:
                yield from _unheeded(machine, container, newest, one)


def _unheeded(
    machine: Watched, container: core_v1.Container, newest: Container, one: core_v1.ContainerStatus
) -> Iterator[str]:
    startup = _answer(container.startupProbe)
    liveness, readiness = _answer(container.livenessProbe), _answer(container.readinessProbe)
    if startup is True and not one.started:
        yield f"{named(newest)} is not told started, and its startup probe succeeds"
    sick = startup is False or (liveness is False and (startup or container.startupProbe is None))
    if sick and machine.seen.began_at[newest.id] < machine.calm_since:
        yield f"{named(newest)} still runs, and a probe that would have it killed fails"
    if one.started and readiness is not None and bool(one.ready) is not readiness:
        yield f"{named(newest)} is told ready={one.ready}, and its probe says {readiness}"


def _answer(probe: core_v1.Probe | None) -> bool | None:
    """None: it depends."""
    command = (probe.exec.command if probe is not None and probe.exec is not None else None) or [""]
    return {"true": True, "false": False, "sleep": False}.get(command[0])


WHEN_CALM = (
    nothing_runs_unwanted,
    deletions_end,
    statuses_are_true,
    what_shall_run_runs,
    probes_are_heeded,
)


def comes_back(pod: core_v1.Pod, container: core_v1.Container, code: int) -> bool:
    """spec/health.md 4.1, written once more."""
    policy = (pod.spec and pod.spec.restartPolicy) or "Always"
    if container.restartPolicy:
        policy = container.restartPolicy
        for rule in container.restartPolicyRules or ():
            codes = rule.exitCodes
            if codes is not None and (code in (codes.values or ())) is (codes.operator == "In"):
                return True
    return policy == "Always" or (policy == "OnFailure" and code != 0)


# ---- small things


def statuses(pod: core_v1.Pod) -> Iterator[core_v1.ContainerStatus]:
    if pod.status is not None:
        yield from pod.status.initContainerStatuses or ()
        yield from pod.status.containerStatuses or ()


def containers(pod: core_v1.Pod) -> list[core_v1.Container]:
    return list(pod.spec.containers) if pod.spec else []


def init_containers(pod: core_v1.Pod) -> list[core_v1.Container]:
    return list((pod.spec and pod.spec.initContainers) or ())


def is_over(pod: core_v1.Pod) -> bool:
    return pod.status is not None and pod.status.phase in ("Succeeded", "Failed")


def uid_of(pod: core_v1.Pod) -> str:
    return (pod.metadata or meta_v1.ObjectMeta()).uid or ""


def name_of(pod: core_v1.Pod) -> str:
    return (pod.metadata or meta_v1.ObjectMeta()).name or ""
