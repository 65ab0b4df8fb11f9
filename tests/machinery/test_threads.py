"""Work in threads of their own: on real threads, for there is nothing else to see."""

import asyncio
import threading

import pytest

from podward.machinery.threads import in_a_thread_of_its_own


def test_what_the_work_returns_or_raises_comes_back() -> None:
    async def main() -> None:
        name = await in_a_thread_of_its_own(
            lambda: threading.current_thread().name, name="elsewhere", unwanted=lambda _: None
        )
        assert name == "elsewhere"
        with pytest.raises(OverflowError, match="too much"):
            await in_a_thread_of_its_own(_fail, name="fails", unwanted=lambda _: None)

    asyncio.run(main())


def _fail() -> None:
    raise OverflowError("too much")


def test_what_nobody_waits_for_any_more_is_handed_to_whom_ends_it() -> None:
    async def main() -> None:
        begun, go_on, unwanted = threading.Event(), threading.Event(), asyncio.Event()

        def work() -> str:
            begun.set()
            go_on.wait(10)
            return "made"

        ended: list[str] = []

        def end(made: str) -> None:
            ended.append(made)
            unwanted.set()

        waiting = asyncio.ensure_future(in_a_thread_of_its_own(work, name="w", unwanted=end))
        await asyncio.to_thread(begun.wait, 10)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        go_on.set()
        await asyncio.wait_for(unwanted.wait(), 10)
        assert ended == ["made"]

    asyncio.run(main())
