"""A probe worker in virtual time: a scripted handler, a status that the test edits, exact seconds."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from lightkube.models import core_v1, meta_v1

from podward.kubelet.prober.manager import ProberManager
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.machinery.network import SystemNetwork
from podward.probes.base import (
    ExecOutput,
    Outcome,
    ProbeError,
    ProbeResult,
    ProbeTarget,
    ProbeType,
)
from podward.simulate.virtual_loop import run

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
OK, BAD = ProbeResult(Outcome.SUCCESS), ProbeResult(Outcome.FAILURE, "no")
Script = Callable[[float], ProbeResult | float | str]
"""Time -> the answer; a number: seconds the attempt takes, then failure; a text: an error."""


class World:
    """One Pod of one container, and whatever its probes did."""

    def __init__(self, script: Script, deletion: bool = False, **probes: Any) -> None:
        self.clock = LoopClock(EPOCH)
        self.script = script
        self.deleted = deletion
        self.attempts: list[tuple[float, str]] = []
        self.events: list[tuple[float, str, str]] = []
        self.results: list[tuple[float, ProbeType, str, Outcome]] = []
        self.pod = core_v1.Pod(
            metadata=meta_v1.ObjectMeta(name="p", namespace="default", uid="u"),
            spec=core_v1.PodSpec(containers=[core_v1.Container(name="c", **probes)]),
        )
        self.status: core_v1.PodStatus | None = core_v1.PodStatus(phase="Pending")
        self.manager = ProberManager(
            clock=self.clock,
            entropy=Entropy(1),
            network=SystemNetwork(),
            status_of=lambda uid: self.status,
            deletion_of=lambda uid: self.deleted,
            exec_sync=self._exec_sync,
            record=self._record,
            on_result=self._on_result,
            kubelet_started_at=EPOCH - timedelta(hours=1),
            mechanisms={"exec": self._attempt},
        )

    @property
    def time(self) -> float:
        return round(asyncio.get_running_loop().time(), 6)

    def running(self, container_id: str, started: bool = True, ready: bool = False) -> None:
        """A container as of now, in the published status."""
        state = core_v1.ContainerState(
            running=core_v1.ContainerStateRunning(startedAt=self.clock.now())
        )
        self.show(container_id, state, started, ready)

    def ended(self, container_id: str, code: int = 1) -> None:
        terminated = core_v1.ContainerStateTerminated(exitCode=code)
        self.show(container_id, core_v1.ContainerState(terminated=terminated), False, False)

    def show(
        self, container_id: str, state: core_v1.ContainerState, started: bool, ready: bool
    ) -> None:
        one = core_v1.ContainerStatus(
            name="c",
            image="i",
            imageID="",
            ready=ready,
            restartCount=0,
            containerID=f"test://{container_id}",
            started=started,
            state=state,
        )
        self.status = core_v1.PodStatus(phase="Running", podIP="10.0.0.1", containerStatuses=[one])
        self.manager.tell("u")

    def times(self) -> list[float]:
        return [time for time, _ in self.attempts]

    async def _attempt(self, action: Any, target: ProbeTarget, timeout: float) -> ProbeResult:
        worker = asyncio.current_task()
        assert worker is not None
        self.attempts.append((self.time, worker.get_name().split()[1]))
        answer = self.script(self.time)
        if isinstance(answer, ProbeResult):
            return answer
        if isinstance(answer, str):
            raise ProbeError(answer)
        await asyncio.sleep(answer)
        return BAD

    async def _exec_sync(self, cid: str, command: Sequence[str], timeout: float) -> ExecOutput:
        raise AssertionError("the mechanism is scripted")

    def _record(self, pod: core_v1.Pod, path: str, type: str, reason: str, text: str) -> None:
        assert (path, type) == ("spec.containers{c}", "Warning")
        self.events.append((self.time, reason, text))

    def _on_result(self, uid: str, type: ProbeType, cid: str, outcome: Outcome) -> None:
        self.results.append((self.time, type, cid, outcome))

    def verdict(self, type: ProbeType, container_id: str) -> Outcome | None:
        verdicts = self.manager.verdicts("u")
        maps = {
            ProbeType.LIVENESS: verdicts.liveness,
            ProbeType.READINESS: verdicts.readiness,
            ProbeType.STARTUP: verdicts.startup,
        }
        return maps[type].get(container_id)


def probe(**fields: Any) -> core_v1.Probe:
    return core_v1.Probe(exec=core_v1.ExecAction(command=["x"]), **fields)


def play(
    world_of: Callable[[], World], story: Callable[[World], Coroutine[Any, Any, None]]
) -> World:
    async def whole() -> World:
        world = world_of()
        world.manager.add_pod(world.pod)
        try:
            await story(world)
        finally:
            await world.manager.close()
        return world

    return run(whole())


LIVE = probe(periodSeconds=10, failureThreshold=3)


def failing(_: float) -> ProbeResult:
    return BAD


def fine(_: float) -> ProbeResult:
    return OK


def test_liveness_first_runs_at_the_workers_tick_not_at_the_containers_start() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(13)
        world.running("a")
        await asyncio.sleep(20)

    world = play(lambda: World(fine, livenessProbe=LIVE), story)
    assert world.times() == [20, 30]


def test_restarts_do_not_realign_the_period() -> None:
    async def story(world: World) -> None:
        for start, name in ((3, "a"), (23, "b")):
            await asyncio.sleep(start - world.time)
            world.running(name)
            await asyncio.sleep(start + 9 - world.time)

    assert play(lambda: World(fine, livenessProbe=LIVE), story).times() == [10, 20, 30]


def test_the_delay_counts_from_each_instances_start_in_whole_seconds() -> None:
    live = probe(periodSeconds=1, initialDelaySeconds=5)

    async def story(world: World) -> None:
        await asyncio.sleep(0.5)
        world.running("a")
        await asyncio.sleep(7)
        world.running("b")
        await asyncio.sleep(6)

    assert play(lambda: World(fine, livenessProbe=live), story).times() == [6, 7, 13]


def test_the_third_failure_is_the_verdict_and_then_nothing_more_is_asked_of_the_instance() -> None:
    async def story(world: World) -> None:
        world.running("a")
        await asyncio.sleep(65)
        world.running("b")
        await asyncio.sleep(40)

    world = play(lambda: World(failing, livenessProbe=LIVE), story)
    assert world.times() == [0, 10, 20, 70, 80, 90]
    assert [text for _, _, text in world.events] == ["Liveness probe failed: no"] * 6
    failures = [(t, cid) for t, _, cid, outcome in world.results if outcome is Outcome.FAILURE]
    assert failures == [(20, "a"), (90, "b")]


def test_a_streak_survives_a_crash() -> None:
    async def story(world: World) -> None:
        world.running("a")
        await asyncio.sleep(15)
        world.running("b")
        await asyncio.sleep(6)
        assert world.verdict(ProbeType.LIVENESS, "b") is Outcome.FAILURE

    assert play(lambda: World(failing, livenessProbe=LIVE), story).times() == [0, 10, 20]


def test_a_streak_of_successes_survives_too_and_readiness_needs_only_one_more() -> None:
    ready = probe(periodSeconds=10, successThreshold=3)

    async def story(world: World) -> None:
        world.running("a")
        await asyncio.sleep(15)
        assert world.verdict(ProbeType.READINESS, "a") is Outcome.FAILURE
        await asyncio.sleep(10)
        assert world.verdict(ProbeType.READINESS, "a") is Outcome.SUCCESS
        world.running("b")
        await asyncio.sleep(6)
        assert world.verdict(ProbeType.READINESS, "b") is Outcome.SUCCESS

    play(lambda: World(fine, readinessProbe=ready), story)


def test_one_blip_is_one_event_and_no_verdict() -> None:
    async def story(world: World) -> None:
        world.running("a")
        await asyncio.sleep(45)

    world = play(lambda: World(lambda t: BAD if t == 20 else OK, livenessProbe=LIVE), story)
    assert len(world.events) == 1
    assert Outcome.FAILURE not in [outcome for *_, outcome in world.results]


def test_slow_attempts_follow_one_another_and_never_overlap() -> None:
    async def story(world: World) -> None:
        world.running("a")
        await asyncio.sleep(39)

    slow = probe(periodSeconds=5, failureThreshold=99)
    world = play(lambda: World(lambda t: 8.0, livenessProbe=slow), story)
    assert world.times() == [0, 8, 16, 24, 32]


def test_a_late_answer_about_a_dead_instance_has_no_effect_on_the_next() -> None:
    once = probe(periodSeconds=10, failureThreshold=1)

    async def story(world: World) -> None:
        world.running("a")
        await asyncio.sleep(3)
        world.running("b")
        await asyncio.sleep(6)
        assert world.verdict(ProbeType.LIVENESS, "a") is Outcome.FAILURE
        assert world.verdict(ProbeType.LIVENESS, "b") is None
        await asyncio.sleep(2)
        assert world.verdict(ProbeType.LIVENESS, "a") is None
        assert world.verdict(ProbeType.LIVENESS, "b") is Outcome.SUCCESS

    play(lambda: World(lambda t: 5.0 if t < 5 else OK, livenessProbe=once), story)


def test_errors_are_tried_three_times_and_change_nothing() -> None:
    async def story(world: World) -> None:
        world.running("a")
        await asyncio.sleep(95)
        assert world.verdict(ProbeType.LIVENESS, "a") is Outcome.SUCCESS

    world = play(lambda: World(lambda t: "no such port", livenessProbe=LIVE), story)
    assert world.times() == [float(t) for t in range(0, 100, 10) for _ in range(3)]
    assert {text for _, _, text in world.events} == {
        "Liveness probe errored and resulted in unknown state: no such port"
    }
    assert len(world.events) == 10


def test_a_warning_is_a_success_with_an_event() -> None:
    async def story(world: World) -> None:
        world.running("a")
        await asyncio.sleep(1)
        assert world.verdict(ProbeType.READINESS, "a") is Outcome.SUCCESS

    warning = ProbeResult(Outcome.WARNING, "w")
    world = play(lambda: World(lambda t: warning, readinessProbe=probe()), story)
    assert world.events == [(0, "ProbeWarning", "Readiness probe warning: w")]


def test_a_trigger_asks_readiness_at_once_and_restarts_its_period() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(4)
        world.running("a")
        world.manager.trigger_readiness("u")
        await asyncio.sleep(11)
        world.manager.trigger_readiness("u")
        await asyncio.sleep(10)

    world = play(
        lambda: World(fine, readinessProbe=probe(periodSeconds=10), livenessProbe=LIVE), story
    )
    assert [t for t, type in world.attempts if type == "Readiness"] == [4, 14, 24]
    assert [t for t, type in world.attempts if type == "Liveness"] == [10, 20]


def test_the_others_wait_for_startup_and_startup_is_asked_of_each_instance() -> None:
    start = probe(periodSeconds=5, failureThreshold=2)

    async def story(world: World) -> None:
        world.running("a", started=False)
        await asyncio.sleep(12)
        assert world.verdict(ProbeType.STARTUP, "a") is Outcome.FAILURE
        world.script = fine
        world.running("b", started=False)
        await asyncio.sleep(4)
        assert world.verdict(ProbeType.STARTUP, "b") is Outcome.SUCCESS
        assert world.status is not None
        assert world.status.containerStatuses is not None
        world.status.containerStatuses[0].started = True
        world.manager.tell("u")
        await asyncio.sleep(6)

    world = play(lambda: World(failing, startupProbe=start, livenessProbe=LIVE), story)
    assert world.attempts == [
        (0, "Startup"),
        (5, "Startup"),
        (15, "Startup"),
        (20, "Liveness"),
    ]


def test_deletion_ends_liveness_and_startup_quietly_and_readiness_goes_on() -> None:
    async def story(world: World) -> None:
        world.running("a")
        await asyncio.sleep(1)
        world.deleted, world.script = True, failing
        world.manager.tell("u")
        await asyncio.sleep(40)
        assert world.verdict(ProbeType.READINESS, "a") is Outcome.FAILURE
        assert world.manager.verdicts("u").workers == {("c", ProbeType.READINESS)}

    world = play(
        lambda: World(fine, readinessProbe=LIVE, livenessProbe=LIVE, startupProbe=LIVE), story
    )
    assert {type for t, type in world.attempts if t > 1} == {"Readiness"}


def test_the_terminating_pod_keeps_only_readiness_and_the_terminated_nothing() -> None:
    async def story(world: World) -> None:
        world.running("a")
        await asyncio.sleep(1)
        world.manager.stop_liveness_and_startup("u")
        world.manager.add_pod(world.pod)
        assert world.manager.verdicts("u").workers == {("c", ProbeType.READINESS)}
        world.manager.remove_pod("u")
        assert world.manager.verdicts("u").workers == frozenset()
        assert world.verdict(ProbeType.READINESS, "a") is None

    play(lambda: World(fine, readinessProbe=LIVE, livenessProbe=LIVE), story)


def test_a_worker_leaves_when_its_container_will_not_come_back_and_stays_away() -> None:
    def world_of() -> World:
        world = World(fine, readinessProbe=LIVE)
        assert world.pod.spec is not None
        world.pod.spec.restartPolicy = "OnFailure"
        return world

    async def story(world: World) -> None:
        world.running("a")
        await asyncio.sleep(15)
        world.ended("a", code=0)
        await asyncio.sleep(10)
        assert world.manager.verdicts("u").workers == frozenset()
        world.manager.add_pod(world.pod)
        await asyncio.sleep(10)
        assert world.manager.verdicts("u").workers == frozenset()

    play(world_of, story)


def test_a_restarted_kubelet_does_not_flip_what_was_ready() -> None:
    async def story(world: World) -> None:
        world.running("a", ready=True)
        assert world.status is not None
        assert world.status.containerStatuses is not None
        state = world.status.containerStatuses[0].state
        assert state is not None
        assert state.running is not None
        state.running.startedAt = EPOCH - timedelta(hours=2)
        await asyncio.sleep(3)
        assert world.verdict(ProbeType.READINESS, "a") is None

    world = play(lambda: World(lambda t: 5.0, readinessProbe=probe(timeoutSeconds=9)), story)
    assert world.results == []


def test_no_address_no_probe() -> None:
    async def story(world: World) -> None:
        assert world.pod.spec is not None
        world.running("a")
        assert world.status is not None
        world.status.podIP = None
        await asyncio.sleep(25)

    get = core_v1.Probe(httpGet=core_v1.HTTPGetAction(port=80), periodSeconds=10)
    world = play(lambda: World(fine, livenessProbe=get), story)
    assert (world.attempts, world.events) == ([], [])
