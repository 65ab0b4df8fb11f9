"""One turn decided: a good Pod, one mutation, the expected record."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from lightkube.models import core_v1, meta_v1

from podward.kubelet.pod_actions import PodActions, pod_actions, should_restart
from podward.kubelet.restart_policy import HASH_ANNOTATION, container_hash, requested_grace
from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    PodObservation,
    SandboxConfig,
    SandboxState,
    SandboxStatus,
)
from podward.probes.base import Outcome, ProbeVerdicts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAILED = Outcome.FAILURE


def make_pod(policy: str = "Always", names: str = "a", **spec: object) -> core_v1.Pod:
    containers = [core_v1.Container(name=name, image="busybox") for name in names]
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(name="p", namespace="default", uid="u"),
        spec=core_v1.PodSpec(
            containers=containers,
            restartPolicy=policy,
            terminationGracePeriodSeconds=30,
            **spec,  # type: ignore[arg-type]
        ),
    )


def instance(
    name: str,
    state: ContainerState = ContainerState.RUNNING,
    code: int | None = None,
    attempt: int = 0,
    image: str = "busybox",
    sandbox: str = "s0",
    reason: str = "",
) -> ContainerStatus:
    container = core_v1.Container(name=name, image=image)
    return ContainerStatus(
        id=f"{name}{attempt}",
        sandbox_id=sandbox,
        config=ContainerConfig(
            name=name,
            attempt=attempt,
            image=image,
            annotations={HASH_ANNOTATION: container_hash(container)},
        ),
        pod_uid="u",
        state=state,
        created_at=NOW,
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=5) if state is ContainerState.EXITED else None,
        exit_code=code,
        reason=reason,
    )


def exited(name: str, code: int, attempt: int = 0, reason: str = "") -> ContainerStatus:
    return instance(name, ContainerState.EXITED, code, attempt, reason=reason)


def sandbox(state: SandboxState = SandboxState.READY, attempt: int = 0) -> SandboxStatus:
    config = SandboxConfig("p", "default", "u", attempt)
    return SandboxStatus(f"s{attempt}", config, state, NOW, ("10.0.0.1",))


def observe(*containers: ContainerStatus, sandboxes: tuple[SandboxStatus, ...] | None = None):  # type: ignore[no-untyped-def]
    return PodObservation((sandbox(),) if sandboxes is None else sandboxes, containers)


def summary(actions: PodActions) -> str:
    words = []
    if actions.kill_pod:
        words.append("kill-pod")
    if actions.create_sandbox:
        words.append(f"sandbox:{actions.sandbox_attempt}")
    words += [f"kill({one.message})" for one in actions.kill]
    words += [f"start:{one.name}" for one in actions.start]
    if actions.terminal:
        words.append("terminal")
    return " ".join(words)


def sidecar(name: str, **fields: object) -> core_v1.Container:
    return core_v1.Container(name=name, image="busybox", restartPolicy="Always", **fields)  # type: ignore[arg-type]


def plain(name: str) -> core_v1.Container:
    return core_v1.Container(name=name, image="busybox")


LIVENESS = ProbeVerdicts(liveness={"a0": FAILED})
STARTUP = ProbeVerdicts(startup={"a0": FAILED})
NONE = ProbeVerdicts()
I1, I2 = [plain("i"), plain("j")], [sidecar("i"), plain("j")]

ROWS: list[tuple[str, core_v1.Pod, PodObservation, ProbeVerdicts, str]] = [
    ("a new pod gets a sandbox and all its containers", make_pod(names="ab"),
     observe(sandboxes=()), NONE, "sandbox:0 start:a start:b"),
    ("a new pod with init containers starts only the first", make_pod(initContainers=I1),
     observe(sandboxes=()), NONE, "sandbox:0 start:i"),
    ("a pod whose containers run needs nothing", make_pod(), observe(instance("a")), NONE, ""),
    ("an exited container of an Always pod starts", make_pod(), observe(exited("a", 0)), NONE,
     "start:a"),
    ("an OnFailure container that exited 0 stays", make_pod("OnFailure", "ab"),
     observe(exited("a", 0), instance("b")), NONE, ""),
    ("an OnFailure container that failed starts", make_pod("OnFailure"), observe(exited("a", 1)),
     NONE, "start:a"),
    ("a Never pod that ended is killed and over", make_pod("Never"), observe(exited("a", 1)), NONE,
     "kill-pod terminal"),
    ("a failed liveness probe kills and starts in one turn", make_pod(), observe(instance("a")),
     LIVENESS, "kill(Container a failed liveness probe, will be restarted) start:a"),
    ("a failed startup probe does likewise", make_pod(), observe(instance("a")), STARTUP,
     "kill(Container a failed startup probe, will be restarted) start:a"),
    ("a verdict about an earlier instance does nothing", make_pod(),
     observe(instance("a", attempt=1), exited("a", 1)), LIVENESS, ""),
    ("a readiness verdict does nothing", make_pod(), observe(instance("a")),
     ProbeVerdicts(readiness={"a0": FAILED}), ""),
    ("Never and the only container fails liveness: the pod is killed", make_pod("Never"),
     observe(instance("a")), LIVENESS, "kill-pod terminal"),
    ("Never and one of two fails liveness: it alone is killed, for good", make_pod("Never", "ab"),
     observe(instance("a"), instance("b")), LIVENESS, "kill(Container a failed liveness probe)"),
    ("a new image replaces the container even under Never", make_pod("Never"),
     observe(instance("a", image="old")), NONE,
     "kill(Container a definition changed, will be restarted) start:a"),
    ("a container in unknown state is killed first", make_pod(),
     observe(instance("a", ContainerState.UNKNOWN)), NONE,
     'kill(Container is in "unknown" state, try killing it before restart) start:a'),
    ("one created and never started starts whatever the policy", make_pod("Never"),
     observe(instance("a", ContainerState.CREATED)), NONE, "start:a"),
    ("a dead sandbox is replaced and all starts again", make_pod(),
     observe(instance("a"), sandboxes=(sandbox(SandboxState.NOT_READY),)), NONE,
     "kill-pod sandbox:1 start:a"),
    ("a dead sandbox of a Never pod ends it", make_pod("Never"),
     observe(exited("a", 0), sandboxes=(sandbox(SandboxState.NOT_READY),)), NONE,
     "kill-pod terminal"),
    ("after a dead sandbox OnFailure does not repeat what succeeded", make_pod("OnFailure", "ab"),
     observe(exited("a", 0), exited("b", 1), sandboxes=(sandbox(SandboxState.NOT_READY),)), NONE,
     "kill-pod sandbox:1 start:b"),
    ("the next init container follows one that succeeded", make_pod(initContainers=I1),
     observe(exited("i", 0)), NONE, "start:j"),
    ("while an init container runs nothing else starts", make_pod(initContainers=I1),
     observe(instance("i")), NONE, ""),
    ("a failed init container is tried again", make_pod(initContainers=I1),
     observe(exited("i", 1)), NONE, "start:i"),
    ("one killed for memory is tried again though it exited 0", make_pod(initContainers=I1),
     observe(exited("i", 0, reason="OOMKilled")), NONE, "start:i"),
    ("a failed init container of a Never pod ends it", make_pod("Never", initContainers=I1),
     observe(exited("i", 1)), NONE, "kill-pod terminal"),
    ("after the last init container the regular ones start", make_pod(initContainers=I1),
     observe(exited("j", 0), exited("i", 0)), NONE, "start:a"),
    ("a running sidecar lets the next go", make_pod(initContainers=I2), observe(instance("i")),
     NONE, "start:j"),
    ("a sidecar whose startup probe has not passed does not",
     make_pod(initContainers=[sidecar("i", startupProbe=core_v1.Probe()), plain("j")]),
     observe(instance("i")), NONE, ""),
    ("a sidecar that exited 0 comes back even under Never", make_pod("Never", initContainers=I2),
     observe(instance("a"), exited("i", 0), exited("j", 0)), NONE, "start:i"),
    ("a sidecar that fails liveness is killed and started", make_pod(initContainers=I2),
     observe(instance("a"), instance("i"), exited("j", 0)),
     ProbeVerdicts(liveness={"i0": FAILED}),
     "kill(Init container i failed liveness probe) start:i"),
    ("a sidecar does not keep a finished pod alive", make_pod("Never", initContainers=I2),
     observe(exited("a", 0), instance("i"), exited("j", 0)), NONE, "kill-pod terminal"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("pod", "observed", "verdicts", "expected"),
    [row[1:] for row in ROWS],
    ids=[row[0] for row in ROWS],
)
def test_one_turn(
    pod: core_v1.Pod, observed: PodObservation, verdicts: ProbeVerdicts, expected: str
) -> None:
    assert summary(pod_actions(pod, observed, verdicts)) == expected


def test_a_new_instance_carries_the_next_restart_count() -> None:
    (start,) = pod_actions(make_pod(), observe(exited("a", 1, attempt=4)), NONE).start
    assert start.attempt == 5


def test_one_that_was_created_and_never_started_is_no_restart() -> None:
    created = instance("a", ContainerState.CREATED, attempt=4)
    (start,) = pod_actions(make_pod(), observe(created, exited("a", 1, attempt=3)), NONE).start
    assert start.attempt == 4


def test_nothing_starts_once_the_pod_is_being_deleted() -> None:
    pod = make_pod()
    assert pod.metadata is not None
    pod.metadata.deletionTimestamp = NOW
    for one in (exited("a", 1), exited("a", 0), instance("a", ContainerState.CREATED)):
        assert not pod_actions(pod, observe(one), NONE).start
    assert not pod_actions(pod, observe(instance("a")), LIVENESS).start


def rule(operator: str, values: list[int]) -> core_v1.ContainerRestartRule:
    codes = core_v1.ContainerRestartRuleOnExitCodes(operator=operator, values=values)
    return core_v1.ContainerRestartRule(action="Restart", exitCodes=codes)


@pytest.mark.parametrize(
    ("policy", "rules", "code", "expected"),
    [
        ("Never", [rule("In", [42])], 42, True),
        ("Never", [rule("In", [42])], 1, False),
        ("Never", [rule("NotIn", [42])], 1, True),
        (None, [rule("In", [42])], 42, False),
        ("OnFailure", None, 0, False),
        ("OnFailure", None, 1, True),
    ],
)
def test_the_containers_own_policy_and_rules_win_over_the_pods(
    policy: str | None, rules: list[core_v1.ContainerRestartRule] | None, code: int, expected: bool
) -> None:
    container = core_v1.Container(name="a", restartPolicy=policy, restartPolicyRules=rules)
    assert should_restart(make_pod("Never"), container, exited("a", code)) is expected


def test_a_rule_can_begin_the_whole_pod_anew() -> None:
    everything = core_v1.ContainerRestartRule(
        action="RestartAllContainers",
        exitCodes=core_v1.ContainerRestartRuleOnExitCodes(operator="In", values=[42]),
    )
    pod = make_pod("Never", "ab")
    assert pod.spec is not None
    first = pod.spec.containers[0]
    first.restartPolicy, first.restartPolicyRules = "Never", [everything]
    actions = pod_actions(pod, observe(exited("a", 42), instance("b")), NONE)
    assert actions == PodActions(restart_all=exited("a", 42))
    assert not actions.idle
    assert pod_actions(pod, observe(exited("a", 1), instance("b")), NONE).restart_all is None
    # Of an earlier sandbox: what begins anew began anew already.
    old = msgspec.structs.replace(exited("a", 42), sandbox_id="s-1")
    assert pod_actions(pod, observe(old, instance("b")), NONE).restart_all is None


def test_a_rule_saves_a_plain_init_container_that_may_never_restart() -> None:
    pod = make_pod("Never", initContainers=[core_v1.Container(name="i", image="busybox")])
    assert pod.spec is not None
    assert pod.spec.initContainers is not None
    init = pod.spec.initContainers[0]
    init.restartPolicy, init.restartPolicyRules = "Never", [rule("In", [7])]
    (start,) = pod_actions(pod, observe(exited("i", 7)), NONE).start
    assert start.name == "i"
    assert pod_actions(pod, observe(exited("i", 8)), NONE).terminal


def grace(edit: Callable[[core_v1.Pod], None], reason: str) -> int:
    pod = make_pod()
    assert pod.spec is not None
    pod.spec.containers[0].livenessProbe = core_v1.Probe(terminationGracePeriodSeconds=60)
    edit(pod)
    return requested_grace(pod, pod.spec.containers[0], reason)  # type: ignore[arg-type]


def deleted_with_five(pod: core_v1.Pod) -> None:
    assert pod.metadata is not None
    pod.metadata.deletionGracePeriodSeconds = 5


def without_grace(pod: core_v1.Pod) -> None:
    assert pod.spec is not None
    pod.spec.containers[0].livenessProbe = None
    pod.spec.terminationGracePeriodSeconds = 0


def test_the_grace_that_a_kill_asks_for() -> None:
    assert grace(lambda pod: None, "stop") == 30
    assert grace(lambda pod: None, "liveness") == 60
    assert grace(deleted_with_five, "liveness") == 5
    assert grace(without_grace, "liveness") == 0
