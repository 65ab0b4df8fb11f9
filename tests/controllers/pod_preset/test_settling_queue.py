"""Many additions in a short while, one key."""

import asyncio
from collections.abc import Sequence

import pytest

from podward.controllers.pod_preset.settling_queue import SettlingQueue
from podward.simulate.virtual_loop import run


def came(
    added: Sequence[tuple[float, str]], seconds: float = 20.0, *, taken_after: float = 0.0
) -> list[tuple[float, str]]:
    """(second, key) of what comes out of a queue that settles for 0.1 s and rests for 1 s."""

    async def main() -> list[tuple[float, str]]:
        loop = asyncio.get_running_loop()
        queue: SettlingQueue[str] = SettlingQueue(settle=0.1, every=1.0)
        out: list[tuple[float, str]] = []

        async def take() -> None:
            await asyncio.sleep(taken_after)
            while True:
                out.append((round(loop.time(), 3), await queue.get()))
                out[-1] = (round(loop.time(), 3), out[-1][1])

        task = asyncio.create_task(take())
        for at, key in added:
            loop.call_at(at, queue.add, key)
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        queue.close()
        return out

    return run(main())


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        pytest.param([(5, "a")], [(5.1, "a")], id="it settles"),
        pytest.param([(5, "a"), (5.05, "a"), (5.09, "a")], [(5.1, "a")], id="a burst is one"),
        pytest.param([(5, "a"), (5.2, "a")], [(5.1, "a"), (6.1, "a")], id="it rests"),
        pytest.param([(5, "a"), (9, "a")], [(5.1, "a"), (9.1, "a")], id="it has rested"),
        pytest.param([(5, "a"), (5, "b")], [(5.1, "a"), (5.1, "b")], id="keys do not wait"),
        pytest.param(
            [(5 + i / 100, "a") for i in range(300)],
            [(5.1, "a"), (6.1, "a"), (7.1, "a"), (8.1, "a")],
            id="a long burst comes once a second, and once after its end",
        ),
    ],
)
def test_a_key_comes_out(
    added: Sequence[tuple[float, str]], expected: Sequence[tuple[float, str]]
) -> None:
    assert came(added) == expected


def test_what_nobody_takes_is_kept_once() -> None:
    assert came([(i, "a") for i in range(5)], taken_after=10.0) == [(10.0, "a")]


def test_a_delay_may_be_asked_for_and_what_is_forgotten_does_not_come() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        queue: SettlingQueue[str] = SettlingQueue(settle=0.1, every=1.0)
        queue.add("a", delay=5.0)
        queue.add("b")
        assert "a" in queue
        queue.forget("b")
        assert "b" not in queue
        assert await queue.get() == "a"
        assert loop.time() == 5.0
        queue.add("a")
        queue.close()
        assert "a" not in queue

    run(main())
