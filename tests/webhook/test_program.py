"""The parts of the program: who works only while it leads, what ends it, and what is said then."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.client.test_transports import config, written

from podward.simulate.virtual_loop import run
from podward.webhook import program
from podward.webhook.program import WebhookConfig, WebhookError, run_while_leader

SECRET = "hunter2"


class Led:
    """A leader election that goes as the test says."""

    def __init__(self) -> None:
        self.is_leader = False
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def turn(self, *, leading: bool) -> None:
        self.is_leader = leading
        for listener in self._listeners:
            listener()


def test_only_the_leader_works_and_a_new_term_begins_anew() -> None:
    async def main() -> list[tuple[str, float]]:
        leader, loop = Led(), asyncio.get_running_loop()
        seen: list[tuple[str, float]] = []

        async def work() -> None:
            seen.append(("begins", loop.time()))
            try:
                await asyncio.Event().wait()
            finally:
                seen.append(("ends", loop.time()))

        task = asyncio.create_task(run_while_leader(leader, work))
        for leading in (True, False, True):
            await asyncio.sleep(10)
            leader.turn(leading=leading)
        await asyncio.sleep(10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return seen

    moments = [("begins", 10.0), ("ends", 20.0), ("begins", 30.0), ("ends", 40.0)]
    assert run(main()) == moments


def test_work_that_fails_is_no_work_that_ended() -> None:
    async def main() -> None:
        leader = Led()
        leader.is_leader = True

        async def work() -> None:
            await asyncio.sleep(1)
            raise KeyError(SECRET)

        await run_while_leader(leader, work)

    with pytest.raises(KeyError):
        run(main())


async def forever() -> None:
    await asyncio.Event().wait()


def test_what_is_waited_for_comes_or_the_stop_comes_first() -> None:
    async def main() -> None:
        stop = asyncio.Event()
        background = program._Background(stop)
        background.add("part", forever())
        assert await background.wait_for(asyncio.sleep(1, "context")) == "context"
        assert await background.wait_for(asyncio.sleep(1)) is True
        asyncio.get_running_loop().call_later(5, stop.set)
        assert await background.wait_for(forever()) is None
        assert background.stopped
        await background.end()
        background.raise_failure()
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_a_part_that_fails_ends_the_program_and_is_named_without_its_words() -> None:
    async def main() -> None:
        background = program._Background(asyncio.Event())

        async def fails() -> None:
            await asyncio.sleep(3)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(broken())

        async def broken() -> None:
            raise KeyError(SECRET)

        background.add("presets", fails())
        assert await background.wait_for(forever()) is None
        assert not background.stopped
        await background.end()
        with pytest.raises(
            WebhookError, match=r"^presets failed: KeyError at test_program"
        ) as said:
            background.raise_failure()
        assert SECRET not in str(said.value)

    run(main())


def served(config_: WebhookConfig) -> None:
    async def main() -> None:
        await program.serve(config_, ready=lambda facts: None, stop=asyncio.Event())

    asyncio.run(main())


def test_without_a_cluster_it_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(WebhookError, match="say which cluster with --kubeconfig"):
        served(WebhookConfig())
    text = config({"server": "https://h"}, {"exec": {"command": "aws"}})
    with pytest.raises(WebhookError, match="plug-in that fetches credentials is not supported"):
        served(WebhookConfig(kubeconfig=written(tmp_path, text)))
