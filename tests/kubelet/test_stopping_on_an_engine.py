"""Podward ends its Pods when it goes: what is left of them on an engine, and how they begin again."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from tests.kubelet.test_killed_on_an_engine import POD, Machine, until

from podward.kubelet.runtime.cri import observer
from podward.simulate.simulation import apply

Script = Callable[[Machine], Awaitable[None]]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(observer, "RELIST_SECONDS", 0.1)
    with tempfile.TemporaryDirectory(prefix="pw-fake-") as made:
        yield Path(made)


def on_a_machine(folder: Path, script: Script) -> Machine:
    """A machine whose Pod is ready when the script begins."""

    async def whole() -> Machine:
        machine = Machine(folder)
        await machine.engine.start()
        await machine.boot()
        assert machine.cluster is not None
        await apply(machine.cluster.client, POD, "default")
        await until(machine.is_ready, "the Pod is ready")
        try:
            await script(machine)
        finally:
            await machine.tear_down()
        return machine

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(whole())


async def stop(machine: Machine, *, stop_pods: bool = True, remove_pods: bool = False) -> None:
    assert machine.cluster is not None
    cluster, machine.cluster = machine.cluster, None
    await cluster.stop(stop_pods=stop_pods, remove_pods=remove_pods)
    await cluster.runtime.close()


def test_no_sandbox_stays_ready_and_the_next_life_counts_on(folder: Path) -> None:
    async def script(machine: Machine) -> None:
        await stop(machine)
        assert machine.sandboxes() == [False]
        assert not machine.engine.running("main")
        await machine.boot()

        async def begun_again() -> bool:
            return machine.sandboxes().count(True) == 1 and await machine.is_ready()

        await until(begun_again, "it runs in a new sandbox")
        assert await machine.restarts() == {"main": 1, "side": 1}

    on_a_machine(folder, script)


def test_what_earlier_lives_left_does_not_pile_up(folder: Path) -> None:
    """But for what is still known by it: how each container ended the last time, and init containers."""

    async def script(machine: Machine) -> None:
        for life in range(1, 6):
            await stop(machine)
            await machine.boot()

            async def begun_again(life: int = life) -> bool:
                return (await machine.restarts()).get("main") == life and await machine.is_ready()

            await until(begun_again, "it runs again")
        assert machine.sandboxes().count(True) == 1
        assert len(machine.engine.sandboxes) <= 3
        assert len(machine.engine.containers) <= 2 * 2 + 2

    on_a_machine(folder, script)


def test_who_removes_its_pods_leaves_nothing(folder: Path) -> None:
    async def script(machine: Machine) -> None:
        await stop(machine, remove_pods=True)

    machine = on_a_machine(folder, script)
    assert machine.engine.sandboxes == machine.engine.containers == {}


def test_who_leaves_them_leaves_them_as_they_are(folder: Path) -> None:
    async def script(machine: Machine) -> None:
        await stop(machine, stop_pods=False)
        assert machine.sandboxes() == [True]
        assert len(machine.engine.running("main")) == 1

    on_a_machine(folder, script)
