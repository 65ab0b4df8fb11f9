"""Work in a thread that never comes back from where it goes: namespaces and rights belong to threads in Linux.

A thread of its own and no pool: what it became cannot be undone, so it ends with its work. The rest of the
process never notices (setns(2)).
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_a_thread_of_its_own(
    work: Callable[[], T], *, name: str, unwanted: Callable[[T], None]
) -> T:
    """What `work` returns or raises. `unwanted` takes what it made for somebody who has stopped waiting."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[T] = loop.create_future()

    def made(result: T) -> None:
        if waiting.done():
            unwanted(result)
        else:
            waiting.set_result(result)

    def failed(error: BaseException) -> None:
        if not waiting.done():
            waiting.set_exception(error)

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            loop.call_soon_threadsafe(failed, error)
        else:
            loop.call_soon_threadsafe(made, result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await waiting
