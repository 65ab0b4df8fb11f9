"""Waiting for the end of one container of an engine."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
import uvloop

from podward.kubelet.runtime.cri import exits
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.client import CriClient, EngineNotFound, EngineUnavailable
from podward.kubelet.runtime.cri.exits import until_exit
from podward.simulate.virtual_loop import run

RUNNING, EXITED = pb.CONTAINER_RUNNING, pb.CONTAINER_EXITED


class Engine:
    """Answers with one after the other, and with the last from then on."""

    def __init__(self, *answers: Any, info: str = "") -> None:
        self.answers = list(answers)
        self.info = info
        self.asked: list[float] = []

    async def runtime(self, *_: object) -> pb.ContainerStatusResponse:
        self.asked.append(asyncio.get_running_loop().time())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        status = pb.ContainerStatus(state=answer)
        return pb.ContainerStatusResponse(status=status, info={"info": self.info})


def waited(engine: Engine, runner: Callable[[Any], None] = run) -> list[float]:
    """When the engine was asked."""
    runner(until_exit(cast("CriClient", engine), "id"))
    return engine.asked


def test_what_has_ended_is_not_waited_for() -> None:
    assert len(waited(Engine(EXITED))) == 1


def test_what_nobody_knows_has_ended() -> None:
    assert len(waited(Engine(EngineNotFound("no such container", "NotFound")))) == 1


def test_an_engine_that_is_away_comes_back() -> None:
    away = EngineUnavailable("nobody there", "Unavailable")
    assert len(waited(Engine(RUNNING, away, away, RUNNING, EXITED))) == 5


def test_without_a_process_to_see_it_asks_ever_more_seldom() -> None:
    for info in ("", "not JSON", '{"pid": 0}', '{"pid": null}'):
        asked = waited(Engine(*[RUNNING] * 20, EXITED, info=info))
        assert asked[1] - asked[0] < 0.01
        assert asked[-1] - asked[-2] == 1


def test_a_process_that_lives_long_is_asked_about_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop_time_of_death = 25.0

    async def ended(pid: int) -> None:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(loop_time_of_death - now, 0))

    monkeypatch.setattr(exits, "ended", ended)
    asked = waited(Engine(*[RUNNING] * 3, EXITED, info='{"pid": 7}'))
    assert [round(at, 1) for at in asked] == [0, 10, 20, 25]


def test_the_end_of_its_process_is_noticed_at_once() -> None:
    async def main() -> None:
        child = await asyncio.create_subprocess_exec("sleep", "0.2")
        engine = Engine(*[RUNNING] * 3, EXITED, info=f'{{"pid": {child.pid}}}')
        await until_exit(cast("CriClient", engine), "id")
        assert child.returncode is not None or await child.wait() == 0
        assert engine.asked[1] - engine.asked[0] > 0.1
        assert engine.asked[-1] - engine.asked[1] < 1
        assert len(engine.asked) == 4

    uvloop.run(main())
