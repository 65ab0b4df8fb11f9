"""Time that jumps, in a closed world."""

import asyncio
import threading

import pytest

from podward.simulate import virtual_loop
from podward.simulate.virtual_loop import ClosedWorld, Deadlock, Standstill, VirtualLoop, run


def test_hours_pass_at_once_and_in_order() -> None:
    async def main() -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []

        async def after(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append((name, asyncio.get_running_loop().time()))

        await asyncio.gather(after("late", 7200), after("early", 0.5), after("middle", 3600))
        return seen

    assert run(main()) == [("early", 0.5), ("middle", 3600.0), ("late", 7200.0)]


def test_waiting_for_nothing_is_an_error_not_a_hang() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run(main())


@pytest.mark.parametrize(
    "ask",
    [
        lambda loop: asyncio.to_thread(threading.get_ident),
        lambda loop: asyncio.open_connection("127.0.0.1", 1),
        lambda loop: asyncio.create_subprocess_exec("true"),
        lambda loop: loop.getaddrinfo("localhost", 80),
    ],
    ids=["a thread", "a socket", "a process", "a name"],
)
def test_the_real_world_is_refused(ask: object) -> None:
    async def main() -> None:
        await ask(asyncio.get_running_loop())  # type: ignore[operator]

    with pytest.raises(ClosedWorld):
        run(main())


def test_a_timeout_is_a_timer_like_any_other() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run(main()) == 30.0


def test_steps_without_end_at_one_moment_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_loop, "STEPS_AT_ONE_MOMENT", 1000)

    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Standstill, match="1000 steps"):
        run(main())


def test_many_steps_are_fine_if_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_loop, "STEPS_AT_ONE_MOMENT", 100)

    async def main() -> None:
        for _ in range(1000):
            await asyncio.sleep(1)

    run(main())


def test_something_can_be_done_between_any_two_steps() -> None:
    async def main() -> list[str]:
        loop, said = asyncio.get_running_loop(), list[str]()
        assert isinstance(loop, VirtualLoop)

        async def count() -> None:
            for i in range(4):
                said.append(str(i))
                await asyncio.sleep(0)

        loop.after_steps(3, lambda: said.append("now"))
        await count()
        return said

    assert run(main()) == ["0", "1", "2", "now", "3"]
