"""Candidates for one Lease, over a real API server in virtual time."""

import asyncio
import logging
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from lightkube.models import coordination_v1, core_v1, meta_v1
from tests.client.support import EPOCH, Api, Line, started

from podward.apiserver.identity import SYSTEM
from podward.client.api_client import ApiClient
from podward.client.base import ApiError, Response
from podward.client.transports.in_process import InProcessTransport
from podward.machinery.clock import Clock, LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate.virtual_loop import run
from podward.webhook.leader import LeaderElector, LeaseTiming

NAMESPACE, NAME = "podward-system", "podward-webhook"


class SkewedClock:
    """A machine whose wall clock is wrong: what it reads must not matter."""

    def __init__(self, inner: LoopClock, skew: timedelta) -> None:
        self._inner = inner
        self._skew = skew

    def now(self) -> datetime:
        return self._inner.now() + self._skew

    def monotonic(self) -> float:
        return self._inner.monotonic()


class SilentLine(Line):
    """It can also fall silent: requests get no answer, and no error."""

    silent = False

    async def request(self, *args: Any, **options: Any) -> Response:
        if self.silent:
            await asyncio.Event().wait()
        return await super().request(*args, **options)


class Candidate:
    """One process: its own line to the API server, its own dice."""

    def __init__(self, api: Api, number: int, clock: Clock) -> None:
        self.line = SilentLine(InProcessTransport(api.server, SYSTEM))
        self.elector = LeaderElector(
            ApiClient(self.line),
            clock,
            Entropy(number),
            namespace=NAMESPACE,
            name=NAME,
            identity=f"replica-{number}",
        )
        self.running = asyncio.Event()
        """Cleared, the process is frozen at its next wait."""
        self.running.set()
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self._process())

    async def _process(self) -> None:
        await freezable(self.elector.run(), self.running)

    async def stop(self) -> None:
        """As SIGTERM does it."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@types.coroutine
def freezable(
    coroutine: Coroutine[Any, None, None], running: asyncio.Event
) -> Generator[Any, None, None]:
    """Step it as a task would, but not while it is frozen."""
    step: Callable[[], Any] = partial(coroutine.send, None)
    while True:
        try:
            waited_for = step()
        except StopIteration:
            return
        try:
            yield waited_for
            yield from running.wait().__await__()
            step = partial(coroutine.send, None)
        except asyncio.CancelledError as cancelled:
            step = partial(coroutine.throw, cancelled)


@dataclass
class Election:
    api: Api
    candidates: list[Candidate]
    history: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)
    """Since when who takes himself for the leader."""

    def leaders(self) -> list[Candidate]:
        return [c for c in self.candidates if c.elector.is_leader]

    async def pass_time(self, seconds: float) -> None:
        """Ten looks a second."""
        for _ in range(round(seconds * 10)):
            await asyncio.sleep(0.1)
            now = tuple(c.elector._identity for c in self.leaders())
            assert len(now) <= 1, f"{now} lead at once"
            if not self.history or self.history[-1][1] != now:
                self.history.append((asyncio.get_running_loop().time(), now))

    async def lease(self) -> coordination_v1.LeaseSpec:
        lease = await self.api.client.get(coordination_v1.Lease, NAME, NAMESPACE)
        assert lease.spec is not None
        return lease.spec

    async def end(self) -> None:
        for candidate in self.candidates:
            candidate.line.down = candidate.line.silent = False
            await candidate.stop()


async def election(count: int = 2, skew: timedelta = timedelta()) -> Election:
    api = await started()
    await api.client.create(core_v1.Namespace(metadata=meta_v1.ObjectMeta(name=NAMESPACE)))
    clock = LoopClock(EPOCH)
    candidates = [Candidate(api, n, SkewedClock(clock, n * skew)) for n in range(count)]
    for candidate in candidates:
        candidate.start()
    return Election(api, candidates)


def play(scenario: Callable[[Election], Awaitable[None]], skew: timedelta = timedelta()) -> None:
    async def whole() -> None:
        held = await election(skew=skew)
        try:
            await scenario(held)
        finally:
            await held.end()

    run(whole())


def test_one_of_two_leads_and_goes_on() -> None:
    async def scenario(held: Election) -> None:
        await held.pass_time(120)
        assert len(held.history) == 1, "one, for good"
        spec = await held.lease()
        (leader,) = held.leaders()
        assert spec.holderIdentity == leader.elector.holder
        assert (spec.leaseDurationSeconds, spec.leaseTransitions) == (15, 0)
        assert spec.renewTime is not None
        assert spec.acquireTime is not None
        assert spec.acquireTime < EPOCH + timedelta(seconds=1)
        assert EPOCH + timedelta(seconds=118) < spec.renewTime <= EPOCH + timedelta(seconds=121)

    play(scenario)


def test_a_leader_that_stops_gives_the_lease_up_and_nobody_waits_for_its_end() -> None:
    async def scenario(held: Election) -> None:
        await held.pass_time(10)
        (first,) = held.leaders()
        await first.stop()
        spec = await held.lease()
        assert not spec.holderIdentity
        assert spec.leaseDurationSeconds == 1
        await held.pass_time(5)
        (second,) = held.leaders()
        assert second is not first
        assert (await held.lease()).leaseTransitions == 1

    play(scenario)


def test_a_leader_that_dies_is_followed_after_the_leases_duration() -> None:
    async def scenario(held: Election) -> None:
        await held.pass_time(10)
        (first,) = held.leaders()
        first.line.down = True
        await first.stop()  # it cannot tell anybody
        began = asyncio.get_running_loop().time()
        await held.pass_time(25)
        assert held.leaders()
        assert 13 <= held.history[-1][0] - began <= 20

    play(scenario)


@pytest.mark.parametrize("trouble", ["down", "silent"])
@pytest.mark.parametrize("skew", [timedelta(), timedelta(hours=3), timedelta(hours=-3)])
def test_a_leader_that_cannot_reach_the_api_ends_before_another_begins(
    skew: timedelta, trouble: str
) -> None:
    async def scenario(held: Election) -> None:
        await held.pass_time(10)
        (first,) = held.leaders()
        setattr(first.line, trouble, True)
        await held.pass_time(30)
        (second,) = held.leaders()
        assert second is not first
        ended, begun = held.history[-2][0], held.history[-1][0]
        assert held.history[-2][1] == ()
        assert begun - ended >= 3, "the time between 10 s and 15 s, less what a renewal took"
        setattr(first.line, trouble, False)
        await held.pass_time(30)
        assert held.leaders() == [second], "who comes back does not take it away"
        await second.stop()
        await held.pass_time(10)
        assert held.leaders() == [first], "but it is a candidate again"

    play(scenario, skew)


def test_while_nobody_reaches_the_api_nobody_leads(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(held: Election) -> None:
        await held.pass_time(10)
        for candidate in held.candidates:
            candidate.line.down = True
        await held.pass_time(11)
        assert not held.leaders()
        await held.pass_time(600)
        assert not held.leaders()
        for candidate in held.candidates:
            candidate.line.down = False
        await held.pass_time(20)
        assert held.leaders()

    with caplog.at_level(logging.WARNING):
        play(scenario)
    complaints = [record for record in caplog.records if "cannot get or renew" in record.message]
    assert len(complaints) == 2, "once an outage, each"


def test_a_paused_leader_knows_at_once_that_it_leads_no_more() -> None:
    """SIGSTOP, or a frozen machine: nothing of the process runs, but its clock does."""

    async def scenario(held: Election) -> None:
        await held.pass_time(10)
        (first,) = held.leaders()
        first.running.clear()
        await held.pass_time(30)
        (second,) = held.leaders()
        assert second is not first, "the frozen one says nothing else, whenever it is asked"
        first.running.set()
        await held.pass_time(30)
        assert held.leaders() == [second]
        assert (await held.lease()).leaseTransitions == 1

    play(scenario)


def test_listeners_hear_both_turns() -> None:
    heard: list[bool] = []

    async def scenario(held: Election) -> None:
        elector = held.candidates[0].elector
        elector.on_change(lambda: heard.append(elector.is_leader))
        await held.candidates[1].stop()
        await held.pass_time(10)
        held.candidates[0].line.down = True
        await held.pass_time(15)

    play(scenario)
    assert heard == [True, False]


def test_who_took_a_lease_that_was_deleted_is_obeyed() -> None:
    """The algorithm allows for two leaders here, until the first looks: two seconds at most."""

    async def scenario(held: Election) -> None:
        await held.pass_time(10)
        (first,) = held.leaders()
        lease = await held.api.client.get(coordination_v1.Lease, NAME, NAMESPACE)
        assert lease.spec is not None
        lease.spec.holderIdentity = "somebody"
        await held.api.client.update(lease)
        await asyncio.sleep(2.1)
        assert not first.elector.is_leader
        assert first.elector.holder == "somebody"
        await held.pass_time(12)
        assert not held.leaders()
        await held.pass_time(8)
        assert held.leaders()

    play(scenario)


def test_a_lease_can_be_read_by_a_go_server() -> None:
    """`metav1.MicroTime` wants six digits; a moment on the whole second would be written without."""

    async def scenario(held: Election) -> None:
        await held.pass_time(1)
        spec = await held.lease()
        assert spec.renewTime is not None
        assert spec.renewTime.microsecond
        assert spec.acquireTime is not None
        assert spec.acquireTime.microsecond

    play(scenario)


def test_the_namespace_is_missing() -> None:
    async def scenario() -> None:
        api = await started()
        candidate = Candidate(api, 0, LoopClock(EPOCH))
        candidate.start()
        await asyncio.sleep(60)
        assert not candidate.elector.is_leader
        with pytest.raises(ApiError):
            await api.client.get(coordination_v1.Lease, NAME, NAMESPACE)
        await candidate.stop()

    run(scenario())


@pytest.mark.parametrize("timing", [(10, 10, 2), (15, 2, 2), (15, 10, 0)])
def test_a_timing_that_cannot_work_is_refused(timing: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="does not hold"):
        LeaseTiming(*timing)
