"""Pitfalls 1 to 24 of spec/health.md section 10: when a probe asks, and what its answers do.

A probe without numbers asks every ten seconds and needs three failures; support.py says what the times are.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import pytest
from lightkube.models import core_v1, meta_v1
from tests.pitfalls.support import (
    LIVES,
    STUBBORN,
    Manifest,
    Request,
    Seen,
    answer_of,
    answering,
    check,
    container,
    container_of,
    delete,
    ends,
    get,
    later,
    no,
    now,
    plain,
    play,
    pod,
    web,
    world_of,
)

from podward.cli.describers import pod as pod_describer
from podward.cluster import Cluster
from podward.kubelet.prober.manager import ProberManager
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.probes.base import ExecOutput, Outcome
from podward.simulate import virtual_loop
from podward.simulate.answers import Behaviour, Ends
from podward.simulate.commands.system import for_ever
from podward.simulate.ports import Ports, SimulatedNetwork, Stream
from podward.simulate.processes import Process
from podward.simulate.simulation import EPOCH

P = TypeVar("P", bound=asyncio.BaseProtocol)
KILLED = "Container c failed liveness probe, will be restarted"


def first_asked(seen: Seen, kind: str) -> dict[int, float]:
    """Instance -> when it was first asked."""
    return {instance: at for at, instance in reversed(seen.asked(kind))}


def test_01_failures_before_a_crash_count_against_the_next_instance() -> None:
    """A container fails liveness twice and crashes: the new instance is killed at its first failure."""
    seen = play(pod(container(livenessProbe=check("live"))), 35, does=[ends(25), LIVES], answer=no)
    assert seen.asked("live") == [(10, 0), (20, 0), (30, 1)]
    assert seen.said("Killing") == [(30, KILLED)]


def test_02_successes_before_a_crash_count_for_the_next_instance() -> None:
    """Readiness needs three successes in a row; after a crash of a long ready container one is enough."""
    probe = check("ready", successThreshold=3, timeoutSeconds=5)
    seen = play(pod(container(readinessProbe=probe)), 120, does=[ends(65), LIVES], takes=1.0)
    asked, ready = seen.asked("ready"), seen.condition("Ready")
    assert [status for _, status in ready] == ["False", "True", "False", "True"]
    (became_ready, _), (crashed, _), (ready_again, _) = ready[1:]
    assert len([at for at, _ in asked if at < became_ready]) == 3
    assert crashed == 65.55
    second = seen.starts()[1]
    assert [at for at, _ in asked if crashed < at < ready_again] == [second]
    assert ready_again == second + 1  # each answer takes a second


def test_03_failures_before_a_liveness_kill_are_forgotten() -> None:
    """Each instance fails from its first attempt on: each is given the full three failures."""
    seen = play(pod(container(livenessProbe=check("live"))), 95, answer=no)
    assert seen.said("Killing") == [(30, KILLED), (60, KILLED), (90, KILLED)]
    assert [instance for _, instance in seen.asked("live")] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_04_nothing_is_asked_about_liveness_while_the_container_is_being_killed() -> None:
    """The process ignores SIGTERM for the whole grace: liveness is silent, readiness goes on asking."""
    seen = play(
        pod(container(livenessProbe=check("live"), readinessProbe=check("ready"))),
        60,
        does=[STUBBORN],
        answer=lambda q: q.kind == "ready",
    )
    assert seen.said("Killing") == [(30, KILLED)]
    assert seen.instances()[0].ended == 60
    assert seen.asked("live") == [(10, 0), (20, 0), (30, 0)]
    assert [at for at, _ in seen.said("Unhealthy")] == [10, 20, 30]
    assert [at for at, _ in seen.asked("ready") if at > 30] == [30.55, 40.55, 50.55]


def test_05_the_delay_counts_from_each_instances_start_beside_the_startup_probe() -> None:
    """It is in whole seconds since the start the status shows; startup's success adds nothing to it."""
    each_second = check("live", initialDelaySeconds=5, periodSeconds=1)
    seen = play(pod(container(livenessProbe=each_second)), 30, does=[ends(12), LIVES])
    assert seen.starts() == [0.55, 12.6]  # shown as 0 and 12
    assert first_asked(seen, "live") == {0: 5, 1: 17}

    seen = play(
        pod(
            container(
                startupProbe=check("startup", periodSeconds=5, failureThreshold=30),
                livenessProbe=check("live", periodSeconds=7, initialDelaySeconds=15),
            )
        ),
        30,
        answer=lambda q: q.at >= 20,
    )
    assert [at for at, _ in seen.asked("startup")] == [5, 10, 15, 20]
    assert [at for at, _ in seen.asked("live")] == [21, 28]


def test_06_liveness_first_asks_at_its_next_tick_and_readiness_at_once() -> None:
    """No delay, period 10: readiness asks once the container is seen running, liveness up to 10 s later."""
    seen = play(pod(container(livenessProbe=check("live"), readinessProbe=check("ready"))), 15)
    assert seen.starts() == [0.55]
    assert seen.asked("ready")[0] == (0.55, 0)
    assert seen.condition("Ready") == [(0.0, "False"), (0.55, "True")]
    assert seen.asked("live") == [(10, 0)]


def test_07_a_restart_does_not_realign_the_ticks() -> None:
    """Two instances are started three seconds after a tick: both are first asked seven seconds later."""
    seen = play(
        pod(container(livenessProbe=check("live"))),
        65,
        does=[ends(22.4), ends(19.95), LIVES],
    )
    assert seen.starts() == [0.55, 23, 53]
    assert first_asked(seen, "live") == {0: 10, 1: 30, 2: 60}


def test_08_slow_attempts_follow_each_other_and_never_overlap() -> None:
    """Timeout 8 s, period 5 s, a target that hangs: an attempt every 8 s, nothing queues up."""
    seen = play(
        pod(container(livenessProbe=check("live", timeoutSeconds=8, periodSeconds=5, failureThreshold=99))),
        60,
        takes=1000,
    )  # fmt: skip
    assert [at for at, _ in seen.asked("live")] == [5, 13, 21, 29, 37, 45, 53]
    text = 'Liveness probe failed: command timed out: "check live" timed out after 8s'
    assert seen.said("Unhealthy") == [(at, text) for at in (13, 21, 29, 37, 45, 53)]


def test_09_an_answer_that_comes_after_the_instance_died_says_nothing_of_the_next() -> None:
    """One failure kills; an attempt begun on A fails after A crashed and B runs: B is left alone."""

    async def judge(request: Request, stream: Stream) -> None:
        early = now() < 12
        await asyncio.sleep(6 if early else 0)
        stream.write(answer_of("500 No" if early else "200 OK"))

    async def listen(cluster: Cluster) -> None:
        world_of(cluster).ports.listen("10.9.9.9", 8080, answering(judge))

    elsewhere = {"httpGet": {"host": "10.9.9.9", "port": 8080}}
    probe = {**elsewhere, "failureThreshold": 1, "timeoutSeconds": 8}
    seen = play(pod(container(livenessProbe=probe)), 120, does=[ends(12.45), LIVES], script=listen)
    assert seen.starts() == [0.55, 13.05]
    text = "Liveness probe failed: HTTP probe failed with statuscode: 500"
    assert seen.said("Unhealthy") == [(16, text)]
    assert seen.said("Killing") == []


def test_10_every_failed_attempt_is_an_event_and_a_success_is_none() -> None:
    """One blip below the threshold is one event and no restart; an unready container is told of each time."""
    seen = play(pod(container(livenessProbe=check("live"))), 120, answer=lambda q: q.at != 30)
    assert [at for at, _ in seen.said("Unhealthy")] == [30]
    assert len(seen.starts()) == 1

    seen = play(pod(container(readinessProbe=check("ready", failureThreshold=2))), 60, answer=no)
    told = [at for at, text in seen.said("Unhealthy") if text.startswith("Readiness probe failed")]
    assert told == [at for at, _ in seen.asked("ready")]
    assert len(told) >= 6


def test_11_a_handlers_error_is_told_for_ever_and_changes_nothing() -> None:
    """Unknown port name, missing binary, body that never ends: the Pod stays as it was, ready and alive."""

    async def fine_at_first(request: Request, stream: Stream) -> None:
        if now() > 30:
            await stall_in_body(request, stream)
        stream.write(answer_of("200 OK"))

    missing = {"exec": {"command": ["no-such-program"]}, "failureThreshold": 1}
    seen = play(
        pod(
            container("body", "server", readinessProbe=get("/", failureThreshold=1)),
            container("name", livenessProbe=get("/", port="web", failureThreshold=1)),
            container("binary", livenessProbe=missing),
        ),
        85,
        programs={"server": web(fine_at_first)},
        strict=False,
    )
    assert [status for _, status in seen.condition("Ready")] == ["False", "True"]
    assert [len(seen.starts(name)) for name in ("body", "name", "binary")] == [1, 1, 1]
    assert seen.said("Killing") == []
    told = [text for _, text in seen.said("Unhealthy")]
    unknown = "Liveness probe errored and resulted in unknown state: "
    port = f'{unknown}strconv.Atoi: parsing "web": invalid syntax'
    binary = {text for text in told if text.startswith(unknown) and "no-such-program" in text}
    assert len(binary) == 1
    assert [told.count(text) for text in (STALLED.format("Readiness"), port, *binary)] == [6, 8, 8]
    assert len(told) == 22


STALLED = (
    "{} probe errored and resulted in failure state: context deadline exceeded "
    "(Client.Timeout or context cancellation while reading body)"
)


async def stall_in_body(request: Request, stream: Stream) -> None:
    stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of")
    await for_ever()


def test_12_a_body_that_stalls_is_tried_three_times_and_then_ignored() -> None:
    """200 and headers come, the body does not: three tries back to back, an event, and no verdict."""
    connected: list[float] = []

    async def stall(request: Request, stream: Stream) -> None:
        connected.append(now())
        await stall_in_body(request, stream)

    seen = play(
        pod(container("c", "server", livenessProbe=get("/", failureThreshold=1))),
        29,
        programs={"server": web(stall)},
    )
    assert connected == [10, 11, 12, 20, 21, 22]
    text = STALLED.format("Liveness")
    assert seen.said("Unhealthy") == [(13, text), (23, text)]
    assert (seen.said("Killing"), len(seen.starts())) == ([], 1)


def asks_of_one_server(*paths: str) -> Manifest:
    """A server, and a container for each path whose readiness asks for it."""
    asking = (container(path[1:], readinessProbe=get(path)) for path in paths)
    return pod(container("server", "server"), *asking)


def test_13_a_redirect_that_ends_elsewhere_is_a_success_with_a_warning() -> None:
    """To another host, 304, without Location: ready, with a warning; another port of the host is followed."""
    followed: list[str] = []

    async def redirect(request: Request, stream: Stream) -> None:
        onward = f"Location: http://{request.host}:8081/there"
        answers = {
            "/foreign": answer_of("302 Found", "Location: http://elsewhere/", body="go there"),
            "/unchanged": answer_of("304 Not Modified"),
            "/nowhere": answer_of("302 Found", body="lost"),
            "/port": answer_of("302 Found", onward),
        }
        stream.write(answers[request.path])

    async def other_port(request: Request, stream: Stream) -> None:
        followed.append(request.path)
        stream.write(answer_of("200 OK"))

    seen = play(
        asks_of_one_server("/foreign", "/unchanged", "/nowhere", "/port"),
        5,
        programs={"server": web(redirect, other_port)},
    )
    assert seen.shown()[-1][1] == "5/5 Running"
    warned = {(e.involvedObject.fieldPath, e.type, e.message) for e in seen.events("ProbeWarning")}
    text = "Readiness probe warning: Probe terminated redirects, Response body: "
    assert warned == {
        ("spec.containers{foreign}", "Warning", f"{text}go there"),
        ("spec.containers{unchanged}", "Warning", text),
        ("spec.containers{nowhere}", "Warning", f"{text}lost"),
    }
    assert set(followed) == {"/there"}
    assert seen.said("Unhealthy") == []


def test_14_399_is_a_success_400_a_failure_and_1xx_never_the_answer() -> None:
    """The final status decides; 100 and 103 only announce it, and alone they end in a time-out."""

    async def respond(request: Request, stream: Stream) -> None:
        if request.path == "/h100":
            stream.write(b"HTTP/1.1 100 Continue\r\n\r\n" + answer_of("200 OK"))
        elif request.path == "/h103":
            stream.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await for_ever()
        else:
            stream.write(answer_of(f"{request.path[2:]} Whatever"))

    paths = ("/h399", "/h400", "/h100", "/h103")
    seen = play(asks_of_one_server(*paths), 9, programs={"server": web(respond)})
    assert [seen.container(path[1:]).ready for path in paths] == [True, False, True, False]
    failed = {(e.involvedObject.fieldPath, e.message) for e in seen.events("Unhealthy")}
    ip = seen.status().podIP
    assert failed == {
        (
            "spec.containers{h400}",
            "Readiness probe failed: HTTP probe failed with statuscode: 400",
        ),
        (
            "spec.containers{h103}",
            f'Readiness probe failed: Get "http://{ip}:8080/h103": context deadline exceeded '
            "(Client.Timeout exceeded while awaiting headers)",
        ),
    }


def test_15_of_a_command_only_the_exit_code_counts() -> None:
    """Noise with code 0 is success; 127 from a shell is a failure in its words; silence leaves a space."""
    scripts = {"noisy": "echo trouble >&2", "unknown": "no-such-program", "silent": "exit 3"}
    asking = (
        container(name, livenessProbe={"exec": {"command": ["sh", "-c", text]}})
        for name, text in scripts.items()
    )
    seen = play(pod(*asking), 15, strict=False)
    told = {e.involvedObject.fieldPath: e.message for e in seen.events("Unhealthy")}
    assert told == {
        "spec.containers{unknown}": "Liveness probe failed: sh: no-such-program: not found\n",
        "spec.containers{silent}": "Liveness probe failed: ",
    }
    events = [plain(event) for event in seen.events("Unhealthy")]
    described = pod_describer.describe(plain(seen.pod()), events, seen.moment(15)).splitlines()
    assert [line for line in described if line.endswith("Liveness probe failed:")]
    assert [line for line in described if line.endswith("sh: no-such-program: not found")]


def test_16_long_output_is_cut_and_fails_nothing() -> None:
    """Twenty kibibytes: a success stays one, a failure is told with the first ten."""

    async def talk(process: Process) -> int:
        process.stdout.write(b"x" * 20 * 1024)
        return int(process.argv[1])

    def talking(code: str) -> Manifest:
        return {"exec": {"command": ["talk", code]}}

    seen = play(
        pod(container("a", readinessProbe=talking("0")), container("b", readinessProbe=talking("1"))),
        9,
        programs={"talk": talk},
    )  # fmt: skip
    assert (seen.container("a").ready, seen.container("b").ready) == (True, False)
    assert {text for _, text in seen.said("Unhealthy")} == {
        "Readiness probe failed: " + "x" * 10 * 1024
    }


def test_17_no_address_no_question() -> None:
    """The Pod's IP is not known yet: what listens on the node's loopback is not mistaken for the Pod."""
    connected: list[str] = []
    told: list[str] = []

    async def respond(request: Request, stream: Stream) -> None:
        connected.append(request.host)
        stream.write(answer_of("200 OK"))

    async def main() -> None:
        ports = Ports()
        for address in ("127.0.0.1", "10.0.0.7"):
            ports.listen(address, 8080, answering(respond))
        status = core_v1.PodStatus(phase="Running", containerStatuses=[running_status("a")])
        probe = core_v1.Probe(httpGet=core_v1.HTTPGetAction(port=8080, path="/"), periodSeconds=10)
        prober = ProberManager(
            clock=LoopClock(EPOCH),
            entropy=Entropy(1),
            network=NodeNetwork(ports),
            status_of=lambda uid: status,
            deletion_of=lambda uid: False,
            exec_sync=no_exec,
            record=lambda pod, path, type, reason, message: told.append(message),
            on_result=lambda uid, type, container_id, outcome: None,
            kubelet_started_at=EPOCH - timedelta(hours=1),
        )
        prober.add_pod(
            core_v1.Pod(
                metadata=meta_v1.ObjectMeta(name="p", namespace="default", uid="u"),
                spec=core_v1.PodSpec([core_v1.Container(name="c", readinessProbe=probe)]),
            )
        )
        await asyncio.sleep(25)
        assert (connected, told) == ([], [])
        assert prober.verdicts("u").readiness == {"a": Outcome.FAILURE}
        status.podIP = "10.0.0.7"
        await asyncio.sleep(10)
        assert (connected, told) == (["10.0.0.7"], [])
        assert prober.verdicts("u").readiness == {"a": Outcome.SUCCESS}
        await prober.close()

    virtual_loop.run(main())


class NodeNetwork(SimulatedNetwork):
    """As a kernel has it: no host is the node itself."""

    async def connect(
        self,
        host: str,
        port: int,
        protocol_factory: Callable[[], P],
        *,
        tls_name: str | None = None,
    ) -> tuple[asyncio.Transport, P]:
        return await super().connect(host or "127.0.0.1", port, protocol_factory, tls_name=tls_name)


def running_status(container_id: str) -> core_v1.ContainerStatus:
    state = core_v1.ContainerState(running=core_v1.ContainerStateRunning(startedAt=EPOCH))
    return core_v1.ContainerStatus(
        name="c", image="i", imageID="", ready=False, restartCount=0, started=True,
        containerID=f"test://{container_id}", state=state,
    )  # fmt: skip


async def no_exec(container_id: str, command: Sequence[str], timeout: float) -> ExecOutput:
    raise AssertionError("an http probe runs no command")


def test_18_readiness_never_restarts_and_startup_restarts_as_liveness_does() -> None:
    """Unready for ten minutes: no restart; a failed startup probe kills, within its own grace of 7 s."""
    seen = play(pod(container(readinessProbe=check("ready"))), 600, answer=no)
    assert (len(seen.starts()), seen.said("Killing")) == (1, [])
    assert seen.shown()[-1] == (0.55, "0/1 Running")

    probe = check("startup", periodSeconds=5, failureThreshold=2, terminationGracePeriodSeconds=7)
    seen = play(pod(container(startupProbe=probe)), 19, does=[STUBBORN], answer=no)
    text = "Container c failed startup probe, will be restarted"
    assert seen.said("Killing") == [(10, text)]
    first, second = seen.instances()
    assert (first.ended, first.code, second.began) == (17, 137, 17.05)


def test_19_without_a_readiness_probe_ready_means_running_and_started() -> None:
    """No probe: 1/1 as soon as it runs; only a startup probe: 0/1 Running until that succeeds."""
    seen = play(pod(), 20)
    assert seen.shown()[-1] == (0.55, "1/1 Running")

    seen = play(pod(container(startupProbe=check("startup"))), 40, answer=lambda q: q.at > 15)
    assert seen.shown()[-2:] == [(0.55, "0/1 Running"), (20, "1/1 Running")]


def test_20_a_startup_probe_gives_the_delay_and_its_periods_and_silences_the_others() -> None:
    """Delay 10, four failures at period 5: killed after 25 s, and until then nobody else has asked anything."""
    seen = play(
        pod(
            container(
                startupProbe=check("startup", initialDelaySeconds=10, periodSeconds=5, failureThreshold=4),
                livenessProbe=check("live", periodSeconds=1),
                readinessProbe=check("ready", periodSeconds=1),
            )
        ),
        26,
        answer=no,
    )  # fmt: skip
    assert [at for at, _ in seen.asked("startup")] == [10, 15, 20, 25]
    assert seen.said("Killing") == [(25, "Container c failed startup probe, will be restarted")]
    assert (seen.asked("live"), seen.asked("ready")) == ([], [])
    assert {text for _, text in seen.said("Unhealthy")} == {"Startup probe failed: "}


def test_21_each_instance_must_start_anew() -> None:
    """After a kill and after a crash `started` is false again, and liveness waits for startup's success."""
    seen = play(
        pod(
            container(
                startupProbe=check("startup", periodSeconds=5),
                livenessProbe=check("live", periodSeconds=6),
            )
        ),
        62,
        does=[LIVES, ends(22), LIVES],
        answer=lambda q: q.instance > 0 if q.kind == "live" else q.at in (10, 35, 55),
    )
    assert seen.said("Killing") == [(24, KILLED)]
    assert seen.starts() == [0.55, 24.05, 46.1]
    assert seen.asked("startup") == [
        (5, 0), (10, 0), (25, 1), (30, 1), (35, 1), (50, 2), (55, 2),
    ]  # fmt: skip
    assert first_asked(seen, "live") == {0: 12, 1: 36, 2: 60}
    running = [
        (one.restartCount, one.started)
        for change in seen.changes()
        for one in (change.pod.status and change.pod.status.containerStatuses) or ()
        if one.state is not None and one.state.running is not None
    ]
    assert list(dict.fromkeys(running)) == [
        (0, False), (0, True), (1, False), (1, True), (2, False), (2, True),
    ]  # fmt: skip


def test_22_the_agents_own_restart_does_not_flip_ready() -> None:
    """Ready for a minute, Podward dies and returns: Ready stays True, and readiness is asked again."""
    seen = play(pod(container(readinessProbe=check("ready"))), 90, agent_away=(60, 65))
    assert seen.condition("Ready") == [(0.0, "False"), (0.55, "True")]
    assert seen.condition("ContainersReady") == [(0.0, "False"), (0.55, "True")]
    again = [at for at, _ in seen.asked("ready") if at > 60]
    assert again
    assert 65 <= again[0] <= 75  # spread over one period
    assert len(seen.starts()) == 1


def test_23_the_agents_own_restart_keeps_restart_counts_and_forgets_ladders_and_streaks() -> None:
    """Podward dies while one container waits 20 s to restart and another has failed liveness twice."""
    seen = play(
        [
            pod(container("crash"), name="crash"),
            pod(container("sick", livenessProbe=check("live")), name="sick"),
        ],
        70,
        does={"crash": [ends(5)]},
        answer=no,
        agent_away=(26, 30),
    )
    # The third end was at 25.65: the wait of 20 s is forgotten at 30, and the ladder begins anew with 10 s.
    assert seen.waits("crash", "crash")[:4] == pytest.approx([0, 10, 4.35, 10], abs=0.01)
    counts = [
        container_of(c.pod.status, "crash").restartCount
        for c in seen.changes("crash")
        if c.pod.status and c.pod.status.containerStatuses
    ]
    assert counts == sorted(counts)
    assert counts[-1] == len(seen.starts("crash", "crash")) - 1
    before, after = seen.events("Started", "crash")
    assert (before.count, after.count) == (3, len(seen.starts("crash", "crash")) - 3)

    asked = [at for at, instance in seen.asked("live") if instance == 0]
    assert asked[:2] == [10, 20]
    assert len(asked) == 5
    assert seen.said("Killing", "sick")[0][0] == asked[4]


def test_24_a_pod_that_is_deleted_is_asked_only_for_readiness_and_restarts_nothing() -> None:
    """It drains for 20 s: liveness and startup stop at once, readiness may fall, what exits stays down."""
    often = {"periodSeconds": 2}
    asked_all = {"livenessProbe": check("live", **often), "readinessProbe": check("ready", **often)}
    seen = play(
        pod(
            container("drains", **asked_all),
            container("exits", startupProbe=check("startup", **often, failureThreshold=100)),
            initContainers=[
                container("sidecar", livenessProbe=check("beside", **often), restartPolicy="Always")
            ],
        ),
        60,
        does={"drains": [Behaviour(term=Ends(0, 20))], "exits": [ends(35, term=None)]},
        answer=lambda q: q.kind != "startup" and q.at < 31,
        script=later(31, delete),
    )
    for kind in ("live", "startup", "beside"):
        assert max(at for at, _ in seen.asked(kind)) == 30
    after = [at for at, _ in seen.asked("ready") if at > 31]
    assert len(after) >= 3
    assert [seen.container("drains", at=at).ready for at in (after[1], after[2])] == [True, False]
    assert seen.instances("drains")[0].ended == 51
    assert 35 < (seen.instances("exits")[0].ended or 0) < 36
    assert [len(seen.starts(name)) for name in ("drains", "exits", "sidecar")] == [1, 1, 1]
    assert (seen.changes()[-1].type, round(seen.changes()[-1].at, 3)) == ("DELETED", 51)

    seen = play(
        pod(container(livenessProbe=check("live"))),
        90,
        does=[STUBBORN],
        answer=no,
        script=later(40, delete),  # in the middle of a kill that would have ended in a restart
    )
    assert seen.said("Killing")[0] == (30, KILLED)
    assert len(seen.starts()) == 1
    assert (seen.changes()[-1].type, round(seen.changes()[-1].at, 3)) == ("DELETED", 60)
