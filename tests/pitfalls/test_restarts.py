"""Pitfalls 25 to 45 of spec/health.md section 10: who is restarted, when, and how a container is killed.

`waits()` is how long after each end the next start was begun: the back-off ladder, to the millisecond.
"""

import asyncio
import signal
from functools import partial
from itertools import pairwise

import pytest
from lightkube.models import core_v1, meta_v1
from tests.pitfalls.support import (
    LIVES,
    POLITE,
    STUBBORN,
    check,
    container,
    delete,
    edit,
    end_of,
    ends,
    later,
    lose_sandbox,
    no,
    now,
    play,
    pod,
    waiting,
)

from podward.cluster import Cluster
from podward.simulate.answers import Behaviour
from podward.simulate.processes import Process

LIVENESS_KILL = "Container c failed liveness probe, will be restarted"


def test_25_the_first_exit_restarts_at_once_and_the_second_waits_ten_seconds() -> None:
    """It crashes after five seconds each time: Error at the first end, CrashLoopBackOff from the second."""
    seen = play(pod(), 25, does=[ends(5)])
    assert seen.starts() == [0.55, 5.6, 20.65]
    assert seen.shown()[2:] == [
        (0.55, "1/1 Running"),
        (5.55, "0/1 Error"),
        (5.6, "1/1 Running"),
        (10.6, "0/1 Error"),
        (10.6, "0/1 CrashLoopBackOff"),
        (20.65, "1/1 Running"),
    ]


def test_26_exit_code_0_climbs_the_ladder_as_well() -> None:
    """Under policy Always a container that completes is a container that crashes."""
    seen = play(pod(), 700, does=[ends(1, code=0)])
    assert seen.waits() == [0, 10, 20, 40, 80, 160, 300]
    assert seen.words()[2:8] == [
        "Running", "Completed", "Running", "Completed", "CrashLoopBackOff", "Running",
    ]  # fmt: skip
    assert set(seen.words()[2:]) == {"Running", "Completed", "CrashLoopBackOff"}


def test_27_a_wait_counts_from_the_end_and_not_from_when_it_was_noticed() -> None:
    """It ends during a sibling's kill of 30 s: only what is left of its 20 s is waited for."""
    seen = play(
        pod(container("c"), container("d", livenessProbe=check("live"))),
        75,
        does={"c": [ends(2), ends(2), ends(35), LIVES], "d": [STUBBORN]},
        answer=lambda q: q.instance > 0,
    )
    assert seen.instances("d")[0].ended == 60  # the worker was busy with it since 30
    third = seen.instances("c")[2]
    assert 30 < (third.ended or 0) < 60
    assert seen.waits("c") == [0, 10, 20]


def test_28_a_run_of_more_than_ten_minutes_or_a_new_image_begins_the_ladder_anew() -> None:
    """An end 599 s after the last restart was decided is the next step; 601 s, or a new image, the first."""

    def third_runs(seconds: float) -> list[Behaviour]:
        return [ends(1), ends(1), ends(seconds), ends(1)]

    assert play(pod(), 660, does=third_runs(570)).waits() == [0, 10, 20, 40]
    assert play(pod(), 635, does=third_runs(599)).waits()[:3] == [0, 10, 20]
    assert play(pod(), 640, does=third_runs(601)).waits() == [0, 10, 0, 10]

    async def new_image(cluster: Cluster) -> None:
        await edit(cluster, {"image": "busybox:2"})

    seen = play(pod(), 45, does=[ends(1)], script=later(20, new_image))
    third, fourth = seen.instances()[2:4]
    assert (third.ended, fourth.began) == (13.65, 20.05)  # it would have waited until 33.65
    assert seen.waits()[3:] == [10]


def test_29_five_textbook_liveness_restarts_pass_before_the_first_wait() -> None:
    """Healthy for 30 s, deaf to SIGTERM: five restarts, one every 75 s; the sixth is refused for 80 s."""
    script = "touch /tmp/healthy; sleep 30; rm -f /tmp/healthy; sleep 600"
    probe = {
        "exec": {"command": ["cat", "/tmp/healthy"]},
        "initialDelaySeconds": 5,
        "periodSeconds": 5,
    }
    seen = play(pod(container("c", "sh", "-c", script, livenessProbe=probe)), 540)
    assert seen.starts() == [0.55, 75.05, 150.05, 225.05, 300.05, 375.05, 530.05]
    assert [at for at, _ in seen.said("Killing")] == [45, 120, 195, 270, 345, 420]
    assert seen.said("BackOff")[0][0] == 450
    waiting = [at for at, text in seen.shown() if text == "0/1 CrashLoopBackOff"]
    assert waiting == [450]


def test_30_a_pod_in_crash_loop_back_off_is_running_and_its_container_the_dead_one() -> None:
    """Waiting, the end in lastState; not ready, not started; the count rises with the new instance only."""
    seen = play(pod(), 25, does=[ends(5)])
    dead, held = seen.container(at=10.59), seen.container(at=15)
    text = f"back-off 10s restarting failed container=c pod=p_default({seen.uid})"
    assert seen.status(at=15).phase == "Running"
    assert held.state == waiting("CrashLoopBackOff", text)
    assert end_of(held.lastState).exitCode == 1
    assert end_of(held.lastState).containerID == held.containerID == dead.containerID
    assert (held.ready, held.started) == (False, False)
    assert [seen.container(at=at).restartCount for at in (10, 15, 20.6, 20.7)] == [1, 1, 1, 2]
    assert seen.container(at=20.7).containerID != dead.containerID
    text = f"Back-off restarting failed container c in pod p_default({seen.uid})"
    assert {message for _, message in seen.said("BackOff")} == {text}


def test_31_a_crash_loop_leaves_siblings_alone_but_a_slow_kill_delays_them() -> None:
    """The worker is serial: who crashes during a sibling's kill of 30 s is started again only after it."""
    seen = play(pod(container("crash"), container("steady")), 300, does={"crash": [ends(1)]})
    assert len(seen.starts("crash")) > 4
    assert len(seen.starts("steady")) == 1
    ids = {seen.container("steady", at=at).containerID for at in (1, 10, 100, 300)}
    assert len(ids) == 1
    assert all(seen.container("steady", at=at).ready for at in (1, 10, 100, 300))

    seen = play(
        pod(container("crash"), container("killed", livenessProbe=check("live"))),
        65,
        does={"crash": [ends(39.4), LIVES], "killed": [STUBBORN]},
        answer=lambda q: q.instance > 0,
    )
    assert seen.instances("killed")[0].ended == 60
    assert seen.instances("crash")[0].ended == pytest.approx(39.95)
    assert seen.starts("killed")[1] == 60.05
    assert seen.starts("crash")[1] == 60.1


def test_32_under_never_a_liveness_failure_ends_the_pod() -> None:
    """Killed as `Stopping container c`: Failed/Error, or Succeeded/Completed if it exits 0 on SIGTERM."""
    manifest = pod(container(livenessProbe=check("live")), restartPolicy="Never")
    for does, phase, word in ((LIVES, "Failed", "Error"), (POLITE, "Succeeded", "Completed")):
        seen = play(manifest, 120, does=[does], answer=no)
        assert seen.said("Killing") == [(30, "Stopping container c")]
        assert (seen.status().phase, seen.shown()[-1]) == (phase, (30, f"0/1 {word}"))
        assert (seen.container().restartCount, len(seen.starts())) == (0, 1)


def test_33_under_on_failure_a_polite_container_completes_when_a_restart_is_refused() -> None:
    """It exits 0 on SIGTERM: restarted until back-off refuses a start, then the Pod has succeeded."""
    seen = play(
        pod(container(livenessProbe=check("live", periodSeconds=5)), restartPolicy="OnFailure"),
        300,
        does=[POLITE],
        answer=no,
    )
    assert [at for at, _ in seen.said("Killing")] == [15, 30, 45, 60]
    assert {text for _, text in seen.said("Killing")} == {LIVENESS_KILL}
    assert seen.starts() == [0.55, 15.05, 30.05, 45.05]
    assert [at for at, _ in seen.said("BackOff")] == [60]
    assert seen.shown()[-1] == (60, "0/1 Completed")
    assert (seen.status().phase, seen.container().restartCount) == ("Succeeded", 3)


def test_34_under_never_one_of_two_containers_is_killed_alone() -> None:
    """No `will be restarted`; the Pod runs until the other has ended, and is Failed for one exit was not 0."""
    seen = play(
        pod(container("c", livenessProbe=check("live")), container("d"), restartPolicy="Never"),
        120,
        does={"d": [ends(60, code=0)]},
        answer=no,
    )
    assert seen.said("Killing") == [(30, "Container c failed liveness probe")]
    assert [seen.status(at=at).phase for at in (29, 31, 60, 61)] == [
        "Running", "Running", "Running", "Failed",
    ]  # fmt: skip
    assert (len(seen.starts("c")), len(seen.starts("d"))) == (1, 1)


def test_35_under_on_failure_a_container_that_exits_0_stays_down() -> None:
    """One of two completes: READY 1/2, STATUS NotReady, and the Ready condition names it."""
    seen = play(
        pod(container("c"), container("d"), restartPolicy="OnFailure"),
        60,
        does={"c": [ends(9, code=0)]},
    )
    assert seen.shown()[-1] == (9.55, "1/2 NotReady")
    end = end_of(seen.container("c").state)
    assert (end.reason, end.exitCode) == ("Completed", 0)
    assert len(seen.starts("c")) == 1
    (ready,) = [c for c in seen.status().conditions or () if c.type == "Ready"]
    assert (ready.status, ready.reason) == ("False", "ContainersNotReady")
    assert ready.message == "containers with unready status: [c]"


def test_36_the_probes_own_grace_is_for_probe_kills_that_restart() -> None:
    """Probe 5 s, Pod 20 s: a restart takes 5, but the end of a Never Pod 20, and a deletion what it says."""
    probed = container(livenessProbe=check("live", terminationGracePeriodSeconds=5))
    manifest = pod(probed, terminationGracePeriodSeconds=20)
    never = pod(probed, terminationGracePeriodSeconds=20, restartPolicy="Never")
    assert play(manifest, 60, does=[STUBBORN], answer=no).instances()[0].ended == 30 + 5
    assert play(never, 60, does=[STUBBORN], answer=no).instances()[0].ended == 30 + 20
    for grace, takes in ((None, 20), (8, 8)):
        deletion = later(9, partial(delete, grace=grace))
        seen = play(manifest, 60, does=[STUBBORN], script=deletion)
        assert seen.instances()[0].ended == 9 + takes


def test_37_a_grace_of_0_still_gives_two_seconds_and_no_pre_stop() -> None:
    """A liveness kill of a deaf process, no grace: SIGKILL two seconds later, and the hook is skipped."""
    hook = {"preStop": {"exec": {"command": ["check", "hook"]}}}
    seen = play(
        pod(container(livenessProbe=check("live"), lifecycle=hook), terminationGracePeriodSeconds=0),
        40,
        does=[STUBBORN],
        answer=no,
    )  # fmt: skip
    assert seen.said("Killing")[0] == (30, LIVENESS_KILL)
    assert (seen.instances()[0].ended, seen.instances()[0].code) == (32, 137)
    assert seen.asked("hook") == []


def test_38_a_pre_stop_longer_than_the_grace_is_cut_and_then_two_seconds_are_left() -> None:
    """Grace 5 s, hook 60 s: SIGTERM after five seconds, SIGKILL after seven."""
    terminated: list[float] = []

    async def deaf(process: Process) -> int:
        process.handlers[signal.SIGTERM] = "noted"
        await process.signalled.wait()
        terminated.append(now())
        await asyncio.sleep(1000)
        return 0

    hook = {"preStop": {"exec": {"command": ["sleep", "60"]}}}
    seen = play(
        pod(
            container("c", "deaf", livenessProbe=check("live"), lifecycle=hook),
            terminationGracePeriodSeconds=5,
        ),
        40,
        programs={"deaf": deaf},
        answer=no,
    )
    assert seen.said("Killing")[0] == (30, LIVENESS_KILL)
    assert terminated == [35]
    assert (seen.instances()[0].ended, seen.instances()[0].code) == (37, 137)


def test_39_a_crash_runs_no_pre_stop_and_a_failed_post_start_is_a_crash() -> None:
    """preStop is only for stops; a postStart that fails kills the container, which then climbs the ladder."""
    hook = {"preStop": {"exec": {"command": ["check", "hook"]}}}
    seen = play(pod(container(lifecycle=hook)), 60, does=[ends(5)])
    assert len(seen.starts()) == 4
    assert seen.asked("hook") == []

    hook = {"postStart": {"exec": {"command": ["false"]}}}
    seen = play(pod(container(lifecycle=hook)), 60)
    assert seen.waits() == [0, 10, 20]
    assert {text for _, text in seen.said("Killing")} == {"FailedPostStartHook"}
    assert {text for _, text in seen.said("FailedPostStartHook")} == {"PostStartHook failed"}
    assert seen.events("FailedPostStartHook")[0].type == "Warning"
    assert seen.container().restartCount == 3
    assert "PostStartHookError" in seen.words()
    assert seen.words()[-1] == "CrashLoopBackOff"


def test_40_a_restart_keeps_everything_and_a_lost_sandbox_costs_the_address() -> None:
    """UID, IP, node, emptyDir survive a crash; a lost sandbox changes the IP and runs init containers again."""
    kept = {"volumeMounts": [{"name": "kept", "mountPath": "/kept"}]}
    script = "cat /kept/notes; echo main >> /kept/notes; sleep 9; exit 1"
    seen = play(
        pod(
            container("c", "sh", "-c", script, **kept),
            initContainers=[container("first", "sh", "-c", "echo init >> /kept/notes", **kept)],
            volumes=[{"name": "kept", "emptyDir": {}}],
        ),
        60,
        script=later(30, lose_sandbox),
    )
    crashed = [seen.pod(at=at) for at in (5, 15)]
    assert [seen.container(at=at).restartCount for at in (5, 15)] == [0, 1]
    assert len({identity(at_one_time) for at_one_time in crashed}) == 1
    assert seen.printed("c", 1) == "init\nmain\n"

    assert seen.said("SandboxChanged") == [
        (30.0, "Pod sandbox changed, it will be killed and re-created.")
    ]
    assert seen.status(at=40).podIP != seen.status(at=15).podIP
    assert (len(seen.starts("first")), len(seen.starts("c"))) == (2, 4)
    assert seen.printed("c", 3) == "init\nmain\nmain\nmain\ninit\n"
    assert identity(seen.pod())[:2] == identity(crashed[0])[:2]


def identity(pod: core_v1.Pod) -> tuple[str | None, str | None, str | None]:
    """UID, node, address."""
    assert pod.metadata is not None
    assert pod.spec is not None
    assert pod.status is not None
    return pod.metadata.uid, pod.spec.nodeName, pod.status.podIP


def test_41_only_an_oom_that_ends_the_container_restarts_it() -> None:
    """A child killed for memory is its parent's affair; if all is killed, the container is OOMKilled, 137."""

    async def with_child(process: Process) -> int:
        async def child(process: Process) -> int:
            await asyncio.sleep(10)
            return 137

        born = process.group.spawn(
            child, ["child"], env={}, cwd="/",
            stdin=process.stdin, stdout=process.stdout, stderr=process.stderr,
        )  # fmt: skip
        assert await born.wait() == 137
        await asyncio.sleep(10_000)
        return 0

    seen = play(pod(container("c", "parent")), 600, programs={"parent": with_child})
    assert seen.shown()[-1] == (0.55, "1/1 Running")
    assert len(seen.starts()) == 1

    seen = play(pod(), 30, does=[Behaviour(out_of_memory_after=10), LIVES])
    end = end_of(seen.container(at=10.55).state)
    assert (end.reason, end.exitCode) == ("OOMKilled", 137)
    assert seen.words()[2:] == ["Running", "OOMKilled", "Running"]
    assert seen.starts() == [0.55, 10.6]


def test_42_an_init_container_that_was_out_of_memory_is_tried_again_even_with_code_0() -> None:
    """Its shell exits 0 although something in it was killed for memory: the init is not done."""

    async def prepare(process: Process) -> int:
        process.group.out_of_memory = now() < 5
        await asyncio.sleep(5)
        return 0

    seen = play(
        pod(initContainers=[container("first", "prepare")]), 30, programs={"prepare": prepare}
    )
    first, second = seen.instances("first")
    assert (first.code, first.reason) == (0, "OOMKilled")
    assert (second.code, second.reason) == (0, "Completed")
    assert seen.container("first").restartCount == 1
    assert seen.starts("c")[0] > (second.ended or 0)


def test_43_a_sidecar_comes_back_whatever_its_code_and_never_holds_up_success() -> None:
    """Policy Never, exit code 0: restarted, with back-off; when the main container is done, so is the Pod."""
    seen = play(
        pod(
            container("c"),
            initContainers=[container("sidecar", restartPolicy="Always")],
            restartPolicy="Never",
        ),
        60,
        does={"c": [ends(30, code=0)], "sidecar": [ends(5, code=0), ends(5, code=0), LIVES]},
    )
    assert seen.waits("sidecar") == [0, 10]
    assert seen.instances("sidecar")[2].code == 143  # ended with the Pod
    assert (seen.status().phase, seen.shown()[-1][1]) == ("Succeeded", "0/2 Completed")


def test_44_a_command_that_cannot_be_started_is_an_instance_each_time() -> None:
    """StartError and 128 in lastState, RunContainerError, CrashLoopBackOff; each try counts as a restart."""
    seen = play(pod(container("c", "no-such-program")), 120, strict=False)
    words = [word for word in seen.words() if word not in ("Pending", "ContainerCreating")]
    assert set(words) <= {"RunContainerError", "CrashLoopBackOff", "StartError"}
    assert words.index("RunContainerError") < words.index("CrashLoopBackOff")
    last = end_of(seen.container().lastState)
    assert (last.reason, last.exitCode) == ("StartError", 128)
    tries = [text for _, text in seen.said("Failed")]
    assert len(tries) >= 3
    assert all(text.startswith("Error: ") and "no-such-program" in text for text in tries)
    assert seen.container().restartCount == len(tries) - 1
    assert seen.said("Started") == []


def test_45_a_missing_config_map_is_asked_for_again_every_ten_to_fifteen_seconds() -> None:
    """No ladder, no instances: CreateContainerConfigError until it is there, then the first one starts."""

    async def bring(cluster: Cluster) -> None:
        config = core_v1.ConfigMap(data={"A": "1"})
        config.metadata = meta_v1.ObjectMeta(name="settings", namespace="default")
        await cluster.client.create(config)

    settings = {"configMapRef": {"name": "settings"}}
    seen = play(pod(container(envFrom=[settings])), 170, script=later(150, bring))
    error = 'configmap "settings" not found'
    assert seen.container(at=140).state == waiting("CreateContainerConfigError", error)
    told = seen.said("Failed")
    assert {text for _, text in told} == {f"Error: {error}"}
    gaps = [after - before for (before, _), (after, _) in pairwise(told)]
    assert len(gaps) >= 9
    assert min(gaps) >= 10
    assert max(gaps) <= 15
    assert (seen.container(at=149).restartCount, seen.container().restartCount) == (0, 0)
    assert len(seen.starts()) == 1
    assert 150 <= seen.starts()[0] <= 165.05
