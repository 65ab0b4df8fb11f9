"""Saying something never waits and never fails, whatever becomes of the API server."""

import asyncio

import pytest
from lightkube.models import core_v1, meta_v1
from tests.client.support import EPOCH, Recording, recording, started

from podward.client.recorder import QUEUE_LIMIT
from podward.simulate.virtual_loop import run


def test_nothing_is_lost_and_the_order_is_kept_while_the_api_is_away() -> None:
    async def main() -> None:
        async with recording() as w:
            w.api.line.down = True
            for name in "abc":
                w.say(about=name)
            await asyncio.sleep(25)
            w.api.line.down = False
            await asyncio.sleep(10)
            events = await w.written()
            events.sort(key=lambda e: int(e.metadata.resourceVersion or 0))
            assert [e.involvedObject.name for e in events] == ["a", "b", "c"]
            assert {e.firstTimestamp for e in events} == {
                EPOCH
            }  # when it happened, not when written

    run(main())


def test_an_api_that_stays_away_is_given_up_after_twelve_tries() -> None:
    async def main() -> None:
        async with recording() as w:
            w.api.line.down = True
            w.say(about="lost")
            await asyncio.sleep(
                99
            )  # a random wait of up to 10 s, then 10 s each: the 12th is not due
            assert w.tries().count("POST") < 12
            await asyncio.sleep(1000)
            assert w.tries() == ["POST"] * 12
            w.api.line.down = False
            w.say(about="kept")
            await w.recorder.flush()
            assert [e.involvedObject.name for e in await w.written()] == ["kept"]

    run(main())


def test_a_refusal_is_not_repeated_and_holds_nobody_up() -> None:
    async def main() -> None:
        async with recording() as w:
            nowhere = core_v1.ObjectReference(kind="Pod", namespace="nowhere", name="web")
            w.recorder.event(nowhere, "Normal", "Testing", "said in a namespace that is not there")
            w.say()
            await w.recorder.flush()
            assert [event.message for event in await w.written()] == ["Started"]
            refused = [path for _, path in w.api.line.asked if "/nowhere/" in path]
            assert len(refused) == 1
            assert asyncio.get_running_loop().time() < 1

    run(main())


@pytest.mark.parametrize(("leaving", "warnings"), [(False, 1), (True, 0)])
def test_that_a_namespace_goes_is_no_trouble(
    leaving: bool, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with recording() as w:
            if leaving:
                gone = core_v1.Namespace(
                    metadata=meta_v1.ObjectMeta(name="gone", finalizers=["a.example/held"])
                )
                await w.api.client.create(gone)
                await w.api.client.delete(core_v1.Namespace, "gone")
            about = core_v1.ObjectReference(kind="Pod", namespace="gone", name="web")
            w.recorder.event(about, "Normal", "Killing", "Stopping container app")
            await w.recorder.flush()

    run(main())
    said = [one for one in caplog.records if "cannot record" in one.getMessage()]
    assert len(said) == warnings


def test_a_flush_waits_for_what_was_said_and_no_longer() -> None:
    async def main() -> None:
        async with recording() as w:
            loop = asyncio.get_running_loop()
            await w.recorder.flush()
            assert loop.time() == 0
            w.say()
            w.api.line.down = True
            await w.recorder.flush(timeout=3.0)
            assert loop.time() == 3.0
            w.api.line.down = False
            await w.recorder.flush(timeout=30.0)
            assert loop.time() <= 10.0  # the first retry comes within ten seconds
            assert len(await w.written()) == 1

    run(main())


def test_who_says_too_much_at_once_loses_the_newest_and_is_not_stopped() -> None:
    async def main() -> None:
        made = Recording(await started())  # nobody writes yet
        for i in range(QUEUE_LIMIT + 5):
            made.say(about=f"pod-{i}")
        task = asyncio.create_task(made.recorder.run())
        await made.recorder.flush()
        names = {event.involvedObject.name for event in await made.written()}
        assert names == {f"pod-{i}" for i in range(QUEUE_LIMIT)}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main())
