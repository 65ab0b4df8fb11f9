"""A Pod's status from what runs and what the probes said (spec/health.md 4.5, 4.6, 5). Pure.

It reports what was *observed*: a turn publishes this before it kills or starts anything. Verdicts are keyed
by bare container IDs.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from lightkube.models import core_v1, meta_v1

from podward.kubelet.resources import qos_class
from podward.kubelet.restart_policy import (
    TERMINAL_PHASES,
    init_containers,
    is_sidecar,
    regular_containers,
    restarts_after_exit,
    should_restart,
)
from podward.kubelet.runtime.base import (
    ContainerState,
    PodObservation,
    SandboxState,
)
from podward.kubelet.status.conditions import (
    RESTARTING_ALL,
    conditions,
    findings,
    foreign_conditions,
    phase_of,
)
from podward.kubelet.status.containers import (
    LOST_CODE,
    WaitingReasons,
    container_status,
    cut,
    edit_container,
    ephemeral,
    finished,
    judged,
)
from podward.machinery.clock import whole_seconds
from podward.probes.base import ProbeVerdicts

MAX_MESSAGES_BYTES = 12 * 1024
"""All termination messages of one status together; each container has an equal share."""

DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


def generate_status(
    pod: core_v1.Pod,
    observed: PodObservation,
    *,
    verdicts: ProbeVerdicts,
    waiting: WaitingReasons,
    previous: core_v1.PodStatus,
    terminal: bool,
    now: datetime,
    runtime_name: str,
    node_ips: Sequence[str],
    deadline_exceeded: bool = False,
    evicted: str = "",
) -> core_v1.PodStatus:
    """The whole status, with nothing empty in it and in whole seconds, so that equal ones are equal.

    `terminal`: the worker has stopped everything and will start nothing again. `evicted`: why, if it was."""
    old = _by_name(previous)
    regular, init = _container_statuses(pod, observed, verdicts, waiting, old, runtime_name)
    ephemerals = ephemeral(pod, observed, waiting, old, runtime_name)
    share = MAX_MESSAGES_BYTES // max(1, len(regular) + len(init) + len(ephemerals))
    regular = sorted((cut(status, share) for status in regular), key=lambda status: status.name)
    init = [cut(status, share) for status in init]
    cut_short = deadline_exceeded or bool(evicted)
    wanted = _phase(pod, observed, regular, init, previous, terminal, cut_short)
    phase = _held_back(wanted, previous, observed)
    same_phase = phase == previous.phase
    status = msgspec.structs.replace(
        previous,
        phase=phase,
        reason=previous.reason if same_phase else None,
        message=previous.message if same_phase else None,
        containerStatuses=regular or None,
        initContainerStatuses=init or None,
        ephemeralContainerStatuses=[cut(status, share) for status in ephemerals] or None,
        startTime=previous.startTime or whole_seconds(now),
        qosClass=previous.qosClass or qos_class(pod),
        observedGeneration=pod.metadata.generation if pod.metadata else None,
    )
    if cut_short and not same_phase and phase == "Failed":
        status.reason = "Evicted" if evicted else "DeadlineExceeded"
        status.message = evicted or DEADLINE_MESSAGE
    _set_addresses(status, pod, observed, node_ips)
    ready = _sandbox_ready(pod, observed, node_ips)
    return _with_conditions(pod, status, now, sandbox_ready=ready, phase=wanted)


def sources_in(pod: core_v1.Pod, verdicts: ProbeVerdicts) -> object:
    """All that `generate_status` looks at: not what it said itself, come back with the Pod, and no liveness."""
    meta = pod.metadata or meta_v1.ObjectMeta()
    of_pod = pod.spec, meta.generation, meta.deletionTimestamp, foreign_conditions(pod)
    return of_pod, verdicts.startup, verdicts.readiness, verdicts.workers


def _container_statuses(
    pod: core_v1.Pod,
    observed: PodObservation,
    verdicts: ProbeVerdicts,
    waiting: WaitingReasons,
    old: Mapping[str, core_v1.ContainerStatus],
    runtime_name: str,
) -> tuple[list[core_v1.ContainerStatus], list[core_v1.ContainerStatus]]:
    """Of the regular containers and of the init containers, each in the order of the spec."""

    def status_of(container: core_v1.Container, plain_init: bool) -> core_v1.ContainerStatus:
        known = old.get(container.name)
        status = container_status(pod, container, observed, waiting, known, runtime_name)
        return finished(status) if plain_init else judged(container, status, known, verdicts)

    regular = [status_of(container, False) for container in regular_containers(pod)]
    return regular, [status_of(c, not is_sidecar(c)) for c in init_containers(pod)]


def set_container_readiness(
    pod: core_v1.Pod, status: core_v1.PodStatus, container_id: str, ready: bool, now: datetime
) -> core_v1.PodStatus:
    """A readiness verdict acts on the published status at once, without waiting for the worker's turn.

    `container_id` is bare. An ID that the status does not show changes nothing.
    """
    changed = edit_container(status, container_id, ready=ready)
    return status if changed is status else _with_conditions(pod, changed, now)


def set_container_started(
    pod: core_v1.Pod, status: core_v1.PodStatus, container_id: str, started: bool, now: datetime
) -> core_v1.PodStatus:
    """Likewise for a startup verdict; an init container's `started` completes Initialized."""
    changed = edit_container(status, container_id, started=started)
    return status if changed is status else _with_conditions(pod, changed, now)


def mark_lost(pod: core_v1.Pod, status: core_v1.PodStatus, now: datetime) -> core_v1.PodStatus:
    """Of a Pod that is over: whatever is not shown as terminated ended out of our sight.

    Its last status is sent with a terminal phase, so that whoever waits for the end of the Pod sees it.
    """
    lost = core_v1.ContainerState(
        terminated=core_v1.ContainerStateTerminated(
            exitCode=LOST_CODE,
            reason="ContainerStatusUnknown",
            message="The container could not be located when the pod was terminated",
        )
    )

    def ended(one: core_v1.ContainerStatus) -> core_v1.ContainerStatus:
        if one.state is not None and one.state.terminated is not None:
            return one
        return msgspec.structs.replace(one, state=lost, ready=False, started=False)

    marked = msgspec.structs.replace(
        status,
        phase=status.phase if status.phase in TERMINAL_PHASES else "Failed",
        containerStatuses=[ended(one) for one in status.containerStatuses or ()] or None,
    )
    return _with_conditions(pod, marked, now)


def reopens(pod: core_v1.Pod, old: core_v1.PodStatus, new: core_v1.PodStatus) -> bool:
    """Whether `new` takes back the end of a container that may not run again: such a status is dropped whole.

    The kubelet's own guard (spec/health.md 5.3): whoever saw a `Never` container end relies on it.
    """
    known = _by_name(old)
    after = {one.name: one for one in new.containerStatuses or ()}
    for container in regular_containers(pod):
        before = known.get(container.name)
        ended = before.state.terminated if before is not None and before.state else None
        if ended is None or before is None or restarts_after_exit(pod, container, ended.exitCode):
            continue
        now = after.get(container.name)
        state = now.state if now is not None else None
        if now is None or state is None or state.terminated is not None:
            continue
        anew = state.waiting is not None and state.waiting.reason == RESTARTING_ALL
        if not anew and now.restartCount == before.restartCount:
            return True
    return False


# --------------------------------------------------------------------------------------------- the Pod


def _phase(
    pod: core_v1.Pod,
    observed: PodObservation,
    regular: Sequence[core_v1.ContainerStatus],
    init: Sequence[core_v1.ContainerStatus],
    previous: core_v1.PodStatus,
    terminal: bool,
    cut_short: bool,
) -> str:
    if previous.phase in TERMINAL_PHASES:
        return str(previous.phase)
    if cut_short:
        return "Failed"
    statuses = {status.name: status for status in (*regular, *init)}
    sandbox = observed.sandboxes[0].id if observed.sandboxes else None
    names = {container.name for container in regular_containers(pod)}
    created = any(
        instance.config.name in names and (sandbox is None or instance.sandbox_id == sandbox)
        for instance in observed.containers
    )
    restartable = {
        container.name
        for container in regular_containers(pod)
        if should_restart(pod, container, observed.newest(container.name))
    }
    phase = phase_of(
        pod, statuses, terminal=terminal, regular_created=created, restartable=restartable
    )
    # Nothing will run again, and something never ran: it is over all the same.
    return "Failed" if terminal and phase not in TERMINAL_PHASES else phase


def _held_back(wanted: str, previous: core_v1.PodStatus, observed: PodObservation) -> str:
    """A Pod is over only when nothing of it can run any more (spec/health.md 5.1)."""
    running = any(c.state is ContainerState.RUNNING for c in observed.containers)
    if wanted in TERMINAL_PHASES and previous.phase not in TERMINAL_PHASES and running:
        return previous.phase or "Pending"
    return wanted


def _with_conditions(
    pod: core_v1.Pod,
    status: core_v1.PodStatus,
    now: datetime,
    sandbox_ready: bool | None = None,
    phase: str | None = None,
) -> core_v1.PodStatus:
    """`status` with its conditions recomputed; None leaves what was said of the sandbox, and the phase."""
    previous = status.conditions or []
    if sandbox_ready is None:
        sandbox_ready = any(
            c.type == "PodReadyToStartContainers" and c.status == "True" for c in previous
        )
    foreign = foreign_conditions(pod)
    found = findings(
        pod,
        _by_name(status),
        phase or status.phase or "Pending",
        sandbox_ready=sandbox_ready,
        foreign=foreign,
    )
    return msgspec.structs.replace(
        status, conditions=conditions(pod, found, previous, foreign, now)
    )


def _sandbox_ready(pod: core_v1.Pod, observed: PodObservation, node_ips: Sequence[str]) -> bool:
    if not observed.sandboxes or observed.sandboxes[0].state is not SandboxState.READY:
        return False
    host_network = pod.spec is not None and bool(pod.spec.hostNetwork)
    return bool(node_ips if host_network else observed.sandboxes[0].ips)


def _set_addresses(
    status: core_v1.PodStatus,
    pod: core_v1.Pod,
    observed: PodObservation,
    node_ips: Sequence[str],
) -> None:
    """On a status of our own. A Pod that is over keeps the addresses it had."""
    if node_ips:
        status.hostIP = node_ips[0]
        status.hostIPs = [core_v1.HostIP(ip=address) for address in node_ips]
    addresses: Sequence[str] = ()
    if pod.spec is not None and pod.spec.hostNetwork:
        addresses = node_ips
    else:
        ready = (s for s in observed.sandboxes if s.state is SandboxState.READY)
        addresses = next((sandbox.ips for sandbox in ready), ())
    if not addresses:
        return
    first_family = _family(node_ips[0]) if node_ips else 4
    one_each: dict[int, str] = {}
    for address in addresses:
        one_each.setdefault(_family(address), address)
    ordered = sorted(one_each, key=lambda family: family != first_family)
    status.podIPs = [core_v1.PodIP(ip=one_each[family]) for family in ordered]
    status.podIP = one_each[ordered[0]]


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _by_name(status: core_v1.PodStatus) -> dict[str, core_v1.ContainerStatus]:
    statuses = (
        *(status.containerStatuses or ()),
        *(status.initContainerStatuses or ()),
        *(status.ephemeralContainerStatuses or ()),
    )
    return {one.name: one for one in statuses}
