"""The order of things in virtual time, what moves it, and what happens when nothing can."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from podward.machinery.clock import LoopClock
from podward.simulate.virtual_loop import ClosedWorld, Deadlock, run

DAY = 86_400.0


def now() -> float:
    return asyncio.get_running_loop().time()


def test_every_run_begins_at_zero_and_hands_back_its_result() -> None:
    async def main() -> tuple[float, float]:
        began = now()
        await asyncio.sleep(90 * DAY)
        return began, now()

    assert [run(main()), run(main())] == [(0.0, 90 * DAY)] * 2


def test_what_main_raises_comes_out() -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(main())


def test_the_wall_clock_moves_with_the_loop() -> None:
    epoch = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
    clock = LoopClock(epoch)

    async def main() -> None:
        assert (clock.now(), clock.monotonic()) == (epoch, 0.0)
        await asyncio.sleep(1.5)
        assert clock.now() == datetime(2026, 3, 1, 0, 0, 0, 500_000, tzinfo=UTC)
        assert clock.now() - epoch == timedelta(seconds=clock.monotonic())

    run(main())


def test_work_takes_no_time() -> None:
    async def main() -> None:
        for _ in range(1000):
            await asyncio.sleep(0)
        sum(range(100_000))
        assert now() == 0.0

    run(main())


def test_all_that_can_run_runs_before_time_moves() -> None:
    async def main() -> None:
        done: list[tuple[str, float]] = []

        async def chain(depth: int) -> None:
            if depth:
                await asyncio.create_task(chain(depth - 1))
            done.append(("chain", now()))

        async def timer() -> None:
            await asyncio.sleep(1e-6)
            done.append(("timer", now()))

        await asyncio.gather(timer(), chain(20))
        assert done[:21] == [("chain", 0.0)] * 21
        assert [name for name, _ in done[21:]] == ["timer"]
        assert now() == pytest.approx(1e-6)

    run(main())


def test_timers_fire_when_they_are_due_whatever_their_order() -> None:
    async def main() -> None:
        fired: list[tuple[float, float]] = []
        loop = asyncio.get_running_loop()
        dues = [5.0, 0.25, 3600.0, 1.0, 0.5, 7200.0, 2.0]

        def note(due: float) -> None:
            fired.append((due, loop.time()))

        for due in dues:
            loop.call_at(due, note, due)
        await asyncio.sleep(8000)
        assert [due for due, _ in fired] == sorted(dues)
        assert [moment for _, moment in fired] == pytest.approx(sorted(dues))

    run(main())


def test_a_timer_set_by_a_timer_is_counted_from_there() -> None:
    async def main() -> None:
        moments: list[float] = []
        loop = asyncio.get_running_loop()

        def ladder(delay: float) -> None:
            moments.append(loop.time())
            if delay < 100:
                loop.call_later(delay, ladder, delay * 2)

        loop.call_later(10, ladder, 10.0)
        await asyncio.sleep(1000)
        assert moments == [10.0, 20.0, 40.0, 80.0, 160.0]

    run(main())


def test_a_timer_that_is_past_due_fires_without_moving_time_back() -> None:
    async def main() -> None:
        await asyncio.sleep(100)
        fired = asyncio.Event()
        asyncio.get_running_loop().call_at(50, fired.set)
        await fired.wait()
        assert now() == 100.0

    run(main())


def test_a_timer_that_was_cancelled_is_not_waited_for() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_later(DAY, pytest.fail).cancel()
        async with asyncio.timeout(DAY):
            await asyncio.sleep(3)
        await asyncio.wait_for(asyncio.sleep(4), DAY)
        await asyncio.sleep(5)
        assert now() == 12.0

    run(main())


def test_what_is_done_before_a_timeout_and_what_is_not() -> None:
    async def main() -> None:
        tasks = {asyncio.create_task(asyncio.sleep(s, s)) for s in (1, 10, 100)}
        done, pending = await asyncio.wait(tasks, timeout=50)
        assert {task.result() for task in done} == {1, 10}
        assert (len(pending), now()) == (1, 50.0)
        for task in pending:
            task.cancel()

    run(main())


def test_the_same_program_runs_the_same_way_twice() -> None:
    async def main() -> list[tuple[int, float]]:
        seen: list[tuple[int, float]] = []

        async def worker(number: int) -> None:
            for _ in range(5):
                await asyncio.sleep((number * 7) % 3)
                seen.append((number, now()))

        await asyncio.gather(*(worker(number) for number in range(20)))
        return seen

    first = run(main())
    assert len(first) == 100
    assert run(main()) == first


# ---- when nothing can ever happen


async def on_each_other() -> None:
    one, other = asyncio.Event(), asyncio.Event()

    async def wait_then_set(waits: asyncio.Event, sets: asyncio.Event) -> None:
        await waits.wait()
        sets.set()

    await asyncio.gather(wait_then_set(one, other), wait_then_set(other, one))


async def on_an_empty_queue() -> None:
    await asyncio.Queue[int]().get()


async def after_the_last_timer() -> None:
    asyncio.get_running_loop().call_later(DAY, lambda: None)
    await asyncio.Event().wait()


@pytest.mark.parametrize("wait", [on_each_other, on_an_empty_queue, after_the_last_timer])
def test_who_waits_for_what_never_comes_is_told(wait: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await wait()

    with pytest.raises(Deadlock):
        run(main())


def test_a_timer_that_is_left_is_no_deadlock() -> None:
    async def main() -> None:
        event = asyncio.Event()
        asyncio.get_running_loop().call_later(30 * DAY, event.set)
        await event.wait()
        assert now() == 30 * DAY

    run(main())


def test_a_deadlock_still_cleans_up() -> None:
    closed: list[str] = []

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            closed.append("main")

    with pytest.raises(Deadlock):
        run(main())
    assert closed == ["main"]


async def a_server() -> None:
    await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)


async def a_shell() -> None:
    await asyncio.create_subprocess_shell("true")


async def an_executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, int)


@pytest.mark.parametrize("ask", [a_server, a_shell, an_executor])
def test_the_real_world_stays_outside(ask: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        with pytest.raises(ClosedWorld):
            await ask()
        await asyncio.sleep(1)  # a refusal breaks nothing
        assert now() == 1.0

    run(main())
