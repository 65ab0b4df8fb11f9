"""Waking one waiter by time or by word."""

import asyncio

from podward.machinery.alarm import Alarm
from podward.simulate.virtual_loop import run


def test_it_wakes_at_its_time() -> None:
    async def main() -> tuple[bool, float]:
        loop = asyncio.get_running_loop()
        rung = await Alarm().wait_until(loop.time() + 5)
        return rung, loop.time()

    assert run(main()) == (False, 5.0)


def test_it_wakes_when_rung() -> None:
    async def main() -> tuple[bool, float]:
        loop, alarm = asyncio.get_running_loop(), Alarm()
        loop.call_later(2, alarm.ring)
        return await alarm.wait_until(5), loop.time()

    assert run(main()) == (True, 2.0)


def test_rings_before_the_wait_count_as_one() -> None:
    async def main() -> list[bool]:
        alarm = Alarm()
        alarm.ring()
        alarm.ring()
        return [await alarm.wait_until(1), await alarm.wait_until(1)]

    assert run(main()) == [True, False]


def test_a_wait_that_is_cancelled_leaves_no_timer() -> None:
    async def main() -> float:
        waiting = asyncio.ensure_future(Alarm().wait_until(1000))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return asyncio.get_running_loop().time()

    assert run(main()) == 1.0
