"""A Pod's status from what runs: a good Pod, one mutation, what is published."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightkube.models import core_v1, meta_v1

from podward.kubelet.resources import qos_class
from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    PodObservation,
    SandboxConfig,
    SandboxState,
    SandboxStatus,
)
from podward.kubelet.status.generate import (
    generate_status,
    mark_lost,
    reopens,
    set_container_readiness,
    set_container_started,
)
from podward.probes.base import Outcome, ProbeType, ProbeVerdicts

NOW = datetime(2026, 1, 1, 12, 0, 0, 987654, tzinfo=UTC)
NONE = ProbeVerdicts()
BACKOFF = {"a": ("CrashLoopBackOff", "back-off 10s restarting failed container")}


def make_pod(
    policy: str = "Always",
    names: str = "a",
    init: list[core_v1.Container] | None = None,
    **fields: Any,
) -> core_v1.Pod:
    containers = [core_v1.Container(name=name, image="busybox", **fields) for name in names]
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(name="p", namespace="default", uid="u", generation=3),
        spec=core_v1.PodSpec(containers=containers, restartPolicy=policy, initContainers=init),
    )


def instance(
    name: str,
    state: ContainerState = ContainerState.RUNNING,
    code: int | None = None,
    attempt: int = 0,
    message: str = "",
) -> ContainerStatus:
    over = state is ContainerState.EXITED
    return ContainerStatus(
        id=f"{name}{attempt}",
        sandbox_id="s0",
        config=ContainerConfig(name=name, attempt=attempt, image="busybox"),
        pod_uid="u",
        state=state,
        created_at=NOW,
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=5) if over else None,
        exit_code=code,
        reason=("Error" if code else "Completed") if over else "",
        message=message,
    )


def exited(name: str, code: int, attempt: int = 0, message: str = "") -> ContainerStatus:
    return instance(name, ContainerState.EXITED, code, attempt, message)


SANDBOX = SandboxStatus(
    "s0", SandboxConfig("p", "default", "u"), SandboxState.READY, NOW, ("10.0.0.1",)
)


def generate(pod: core_v1.Pod, *containers: ContainerStatus, **over: Any) -> core_v1.PodStatus:
    arguments: dict[str, Any] = {
        "verdicts": NONE,
        "waiting": {},
        "previous": core_v1.PodStatus(phase="Pending"),
        "terminal": False,
        "now": NOW,
        "runtime_name": "test",
        "node_ips": ["192.0.2.1"],
    }
    sandboxes = over.pop("sandboxes", (SANDBOX,))
    return generate_status(pod, PodObservation(sandboxes, containers), **(arguments | over))


def conditions_of(status: core_v1.PodStatus) -> dict[str, core_v1.PodCondition]:
    return {condition.type: condition for condition in status.conditions or ()}


def only(status: core_v1.PodStatus) -> core_v1.ContainerStatus:
    (one,) = status.containerStatuses or []
    return one


def state_of(one: core_v1.ContainerStatus) -> str:
    state = one.state or core_v1.ContainerState()
    if state.waiting is not None:
        return f"waiting:{state.waiting.reason}"
    if state.terminated is not None:
        return f"terminated:{state.terminated.reason}({state.terminated.exitCode})"
    return "running" if state.running is not None else "none"


def plain(name: str) -> core_v1.Container:
    return core_v1.Container(name=name, image="busybox")


def sidecar(name: str, **fields: Any) -> core_v1.Container:
    return core_v1.Container(name=name, image="busybox", restartPolicy="Always", **fields)


RUN_A, RUN_B = instance("a"), instance("b")
PHASES: list[tuple[str, core_v1.Pod, list[ContainerStatus], dict[str, Any], str]] = [
    ("nothing was created yet", make_pod(), [], {}, "Pending"),
    ("one of two is not created yet", make_pod(names="ab"), [RUN_A], {}, "Pending"),
    ("all run", make_pod(names="ab"), [RUN_A, RUN_B], {}, "Running"),
    ("an Always container exited", make_pod(), [exited("a", 0)], {}, "Running"),
    ("it crash-loops", make_pod(), [exited("a", 1)], {"waiting": BACKOFF}, "Running"),
    ("a Never container succeeded", make_pod("Never"), [exited("a", 0)], {}, "Succeeded"),
    ("a Never container failed", make_pod("Never"), [exited("a", 3)], {}, "Failed"),
    ("one of two Never containers failed", make_pod("Never", "ab"),
     [exited("a", 1), exited("b", 0)], {}, "Failed"),
    ("one of two Never containers runs on", make_pod("Never", "ab"), [exited("a", 1), RUN_B], {},
     "Running"),
    ("an OnFailure container failed", make_pod("OnFailure"), [exited("a", 1)], {}, "Running"),
    ("an OnFailure container succeeded", make_pod("OnFailure"), [exited("a", 0)], {}, "Succeeded"),
    ("an Always pod was stopped and exited 0", make_pod(), [exited("a", 0)], {"terminal": True},
     "Succeeded"),
    ("an Always pod was stopped by force", make_pod(), [exited("a", 137)], {"terminal": True},
     "Failed"),
    ("its deadline passed and all has ended", make_pod(), [exited("a", 0)],
     {"deadline_exceeded": True}, "Failed"),
    ("its deadline passed and something still runs", make_pod(), [RUN_A],
     {"deadline_exceeded": True, "previous": core_v1.PodStatus(phase="Running")}, "Running"),
    ("an init container failed for good beside a sidecar that runs",
     make_pod("Never", init=[sidecar("s"), plain("i")]), [instance("s"), exited("i", 1)], {},
     "Pending"),
    ("an init container runs", make_pod(init=[plain("i")]), [instance("i")], {}, "Pending"),
    ("an init container failed and is tried again", make_pod(init=[plain("i")]),
     [exited("i", 1)], {}, "Pending"),
    ("an init container failed for good", make_pod("Never", init=[plain("i")]), [exited("i", 1)],
     {}, "Failed"),
    ("init is over and all run", make_pod(init=[plain("i")]), [RUN_A, exited("i", 0)], {},
     "Running"),
    ("a sidecar runs and nothing else yet", make_pod(init=[sidecar("i")]), [instance("i")], {},
     "Pending"),
    ("a terminated sidecar does not spoil success", make_pod("Never", init=[sidecar("i")]),
     [exited("a", 0), exited("i", 137)], {"terminal": True}, "Succeeded"),
    ("it had failed before", make_pod(), [RUN_A], {"previous": core_v1.PodStatus(phase="Failed")},
     "Failed"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("pod", "containers", "over", "phase"), [row[1:] for row in PHASES], ids=[r[0] for r in PHASES]
)
def test_the_phase(
    pod: core_v1.Pod, containers: list[ContainerStatus], over: dict[str, Any], phase: str
) -> None:
    assert generate(pod, *containers, **over).phase == phase


def test_crash_loop_back_off_shows_waiting_and_moves_the_end_to_last_state() -> None:
    one = only(generate(make_pod(), exited("a", 1, 2), exited("a", 7, 1), waiting=BACKOFF))
    assert state_of(one) == "waiting:CrashLoopBackOff"
    assert one.lastState is not None
    assert one.lastState.terminated is not None
    assert (one.lastState.terminated.exitCode, one.containerID) == (1, "test://a2")
    assert (one.restartCount, one.ready, one.started) == (2, False, False)


def test_between_exit_and_restart_the_state_stays_terminated() -> None:
    one = only(generate(make_pod(), exited("a", 7, 1), exited("a", 1, 0)))
    assert state_of(one) == "terminated:Error(7)"
    assert one.lastState is not None
    assert one.lastState.terminated is not None
    assert one.lastState.terminated.exitCode == 1


def test_a_waiting_reason_is_not_shown_for_what_will_not_start() -> None:
    assert state_of(only(generate(make_pod(), RUN_A, waiting=BACKOFF))) == "running"
    one = only(generate(make_pod("Never"), exited("a", 1), waiting=BACKOFF))
    assert state_of(one) == "terminated:Error(1)"


def test_a_new_pod_waits_for_creation_or_initialization() -> None:
    assert state_of(only(generate(make_pod()))) == "waiting:ContainerCreating"
    status = generate(make_pod(init=[plain("i")]))
    assert state_of(only(status)) == "waiting:PodInitializing"


def test_a_container_that_vanished_ended_out_of_sight_once() -> None:
    pod = make_pod()
    before = generate(pod, instance("a", attempt=4))
    status = generate(pod, previous=before)
    again = generate(pod, previous=status)
    for one in (only(status), only(again)):
        assert state_of(one) == "waiting:ContainerCreating"
        assert one.lastState is not None
        assert one.lastState.terminated is not None
        assert one.lastState.terminated.reason == "ContainerStatusUnknown"
        assert one.restartCount == 5


def test_ready_conditions_name_who_is_not() -> None:
    status = generate(make_pod(names="cab"), RUN_A)
    found = conditions_of(status)
    assert [c.type for c in status.conditions or ()] == [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ]
    for name in ("Ready", "ContainersReady"):
        assert (found[name].status, found[name].reason) == ("False", "ContainersNotReady")
        assert found[name].message == "containers with unready status: [c b]"
    assert {c.observedGeneration for c in found.values()} == {3}
    assert [one.name for one in status.containerStatuses or ()] == ["a", "b", "c"]


def test_initialization_is_reported_until_it_is_over() -> None:
    pod = make_pod(init=[plain("i"), sidecar("j")])
    found = conditions_of(generate(pod, exited("i", 0)))["Initialized"]
    assert found.message == "containers with incomplete status: [j]"
    assert found.reason == "ContainersNotInitialized"
    found = conditions_of(generate(pod, instance("j"), exited("i", 0)))["Initialized"]
    assert found.status == "True"


@pytest.mark.parametrize(("code", "reason"), [(0, "PodCompleted"), (1, "PodFailed")])
def test_a_finished_pod_is_not_ready_and_says_why(code: int, reason: str) -> None:
    found = conditions_of(generate(make_pod("Never"), exited("a", code)))
    assert (found["Ready"].status, found["Ready"].reason) == ("False", reason)
    assert found["Initialized"].reason == ("PodCompleted" if code == 0 else None)


def test_readiness_gates_hold_back_ready_only() -> None:
    pod = make_pod()
    assert pod.spec is not None
    pod.spec.readinessGates = [core_v1.PodReadinessGate(conditionType="x/y")]
    found = conditions_of(generate(pod, RUN_A))
    assert found["ContainersReady"].status == "True"
    assert found["Ready"].message == (
        'corresponding condition of pod readiness gate "x/y" does not exist.'
    )
    foreign = core_v1.PodCondition(type="x/y", status="False")
    pod.status = core_v1.PodStatus(conditions=[foreign])
    status = generate(pod, RUN_A)
    assert conditions_of(status)["Ready"].message == (
        'the status of pod readiness gate "x/y" is not "True", but False'
    )
    assert (status.conditions or [])[0] is foreign


def test_a_transition_time_moves_only_with_the_status() -> None:
    first = generate(make_pod(names="ab"))
    later = NOW + timedelta(seconds=9)
    second = generate(make_pod(names="ab"), RUN_A, previous=first, now=later)
    third = generate(make_pod(names="ab"), RUN_A, RUN_B, previous=second, now=later)
    times = [conditions_of(s)["Ready"].lastTransitionTime for s in (first, second, third)]
    assert times == [NOW.replace(microsecond=0)] * 2 + [later.replace(microsecond=0)]
    assert third.startTime == NOW.replace(microsecond=0)


def test_a_status_generated_twice_is_the_same() -> None:
    first = generate(make_pod(), RUN_A)
    second = generate(make_pod(), RUN_A, previous=first, now=NOW + timedelta(seconds=5))
    assert first == second
    assert first != generate(make_pod(), exited("a", 0), previous=first)


PROBE = core_v1.Probe(exec=core_v1.ExecAction(command=["x"]))


def test_ready_follows_running_startup_and_readiness() -> None:
    both = make_pod(startupProbe=PROBE, readinessProbe=PROBE)
    workers = frozenset({("a", ProbeType.STARTUP), ("a", ProbeType.READINESS)})

    def shown(**verdicts: Any) -> tuple[bool, bool | None]:
        one = only(generate(both, RUN_A, verdicts=ProbeVerdicts(workers=workers, **verdicts)))
        return one.ready, one.started

    passed = {"a0": Outcome.SUCCESS}
    assert shown() == (False, False)
    assert shown(readiness=passed) == (False, False)
    assert shown(startup=passed) == (False, True)
    assert shown(startup=passed, readiness=passed) == (True, True)
    assert shown(startup=passed, readiness={"other": Outcome.SUCCESS}) == (False, True)
    one = only(generate(make_pod(), RUN_A))
    assert (one.ready, one.started) == (True, True)


def test_started_is_not_inherited_by_the_next_instance_but_survives_a_new_kubelet() -> None:
    pod = make_pod(startupProbe=PROBE, readinessProbe=PROBE)
    passed = {"a0": Outcome.SUCCESS}
    before = generate(pod, RUN_A, verdicts=ProbeVerdicts(startup=passed, readiness=passed))
    same = only(generate(pod, RUN_A, previous=before))
    assert (same.ready, same.started) == (True, True)
    other = only(generate(pod, instance("a", attempt=1), exited("a", 1), previous=before))
    assert (other.ready, other.started) == (False, False)


def test_a_verdict_acts_on_the_published_status_at_once() -> None:
    pod = make_pod(readinessProbe=PROBE)
    workers = frozenset({("a", ProbeType.READINESS)})
    status = generate(pod, RUN_A, verdicts=ProbeVerdicts(workers=workers))
    ready = set_container_readiness(pod, status, "a0", True, NOW)
    assert (only(ready).ready, conditions_of(ready)["Ready"].status) == (True, "True")
    assert only(status).ready is False
    assert set_container_readiness(pod, status, "other", True, NOW) is status
    assert only(set_container_started(pod, status, "a0", False, NOW)).started is False


@given(
    state=st.sampled_from(ContainerState),
    code=st.integers(0, 3),
    policy=st.sampled_from(["Always", "OnFailure", "Never"]),
    probed=st.booleans(),
    outcome=st.sampled_from([Outcome.SUCCESS, Outcome.FAILURE]),
    was_ready=st.booleans(),
)
def test_what_does_not_run_is_never_ready(
    state: ContainerState, code: int, policy: str, probed: bool, outcome: Outcome, was_ready: bool
) -> None:
    pod = make_pod(policy, readinessProbe=PROBE if probed else None)
    previous = generate(pod, RUN_A)
    only(previous).ready = was_ready
    seen = instance("a", state, code if state is ContainerState.EXITED else None)
    verdicts = ProbeVerdicts(readiness={"a0": outcome} if probed else {})
    status = generate(pod, seen, previous=previous, verdicts=verdicts)
    status = set_container_readiness(pod, status, "a0", True, NOW)
    one = only(status)
    running = one.state is not None and one.state.running is not None
    assert running or not one.ready
    assert (conditions_of(status)["Ready"].status == "True") <= running


def test_addresses_come_from_the_sandbox_or_the_node_and_stay() -> None:
    pod = make_pod()
    status = generate(pod, RUN_A)
    assert (status.podIP, status.hostIP) == ("10.0.0.1", "192.0.2.1")
    assert generate(pod, sandboxes=(), previous=status).podIP == "10.0.0.1"
    both = msgspec.structs.replace(pod)
    dual = SandboxStatus("s0", SANDBOX.config, SANDBOX.state, NOW, ("fd00::1", "10.0.0.1"))
    ips = [ip.ip for ip in generate(both, RUN_A, sandboxes=(dual,)).podIPs or ()]
    assert ips == ["10.0.0.1", "fd00::1"]


def test_long_termination_messages_are_cut_to_their_share() -> None:
    one = only(generate(make_pod(names="a"), exited("a", 1, message="x" * 20_000)))
    assert one.state is not None
    assert one.state.terminated is not None
    assert len(one.state.terminated.message or "") == 12_288


def test_the_deadline_gives_its_reason_and_keeps_it() -> None:
    before = core_v1.PodStatus(phase="Running")
    ending = generate(make_pod(), RUN_A, previous=before, deadline_exceeded=True)
    assert (ending.phase, ending.reason) == ("Running", None)
    assert conditions_of(ending)["Ready"].reason == "PodFailed"
    over = generate(make_pod(), exited("a", 143), previous=ending, deadline_exceeded=True)
    later = generate(make_pod(), exited("a", 143), previous=over, terminal=True)
    for one in (over, later):
        assert (one.phase, one.reason) == ("Failed", "DeadlineExceeded")


def test_the_end_of_a_container_that_may_not_run_again_is_never_taken_back() -> None:
    pod = make_pod("Never")
    ended, running = generate(pod, exited("a", 0)), generate(pod, RUN_A)
    assert reopens(pod, ended, running)
    assert not reopens(pod, running, ended)
    assert not reopens(make_pod("Always"), ended, running)
    # Begun anew with all the others: a rule of another container says so.
    assert not reopens(pod, ended, generate(pod, instance("a", attempt=1)))


def test_restarting_all_containers_is_a_condition_while_it_lasts() -> None:
    pod = make_pod(names="ab")
    waiting = {"a": ("RestartingAllContainers", "because")}
    status = generate(pod, waiting=waiting, previous=generate(pod, RUN_A, RUN_B))
    condition = conditions_of(status)["AllContainersRestarting"]
    assert (condition.status, condition.reason) == ("True", "RestartAllContainersStarted")
    again = generate(pod, instance("a", attempt=1), RUN_B, previous=status)
    assert "AllContainersRestarting" not in conditions_of(again)


def test_an_init_container_killed_for_memory_waits_to_be_tried_again_though_it_exited_zero() -> (
    None
):
    pod = make_pod(init=[plain("i")])
    oom = msgspec.structs.replace(exited("i", 0), reason="OOMKilled")
    status = generate(pod, oom, waiting={"i": ("CrashLoopBackOff", "back-off")})
    (one,) = status.initContainerStatuses or []
    assert state_of(one) == "waiting:CrashLoopBackOff"


def test_what_never_ended_in_sight_is_marked_lost() -> None:
    pod = make_pod()
    status = mark_lost(pod, generate(pod, RUN_A), NOW)
    assert (status.phase, state_of(only(status))) == (
        "Failed",
        "terminated:ContainerStatusUnknown(137)",
    )


def test_quality_of_service() -> None:
    def pod(**resources: Any) -> core_v1.Pod:
        return make_pod(resources=core_v1.ResourceRequirements(**resources))

    both = {"cpu": "1", "memory": "1Gi"}
    assert qos_class(make_pod()) == "BestEffort"
    assert qos_class(pod(limits=both)) == "Guaranteed"
    assert qos_class(pod(limits=both, requests={"cpu": "1"})) == "Guaranteed"
    assert qos_class(pod(requests={"cpu": "1"})) == "Burstable"
