"""Commands with streams, and attaching: every runtime keeps one contract, in its own kind of time."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvloop
from tests.contracts import streams as contract
from tests.contracts.runtime import Check
from tests.engine.containerd import Containerd
from tests.kubelet.runtime import test_cri_runtime, test_process_runtime

from podward.kubelet.runtime.base import Runtime
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate.runtime import SimulatedRuntime
from podward.simulate.virtual_loop import run
from podward.simulate.world import World


def each(*checks: Check) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("check", checks, ids=lambda check: check.__name__)


def on_this_machine(check: Check, make: Callable[[], Runtime], folder: Path) -> None:
    async def main() -> None:
        await check(make, folder / "logs")

    uvloop.run(main())


@each(*contract.CHECKS, *contract.REAL, *contract.INPUT)
def test_containerd(check: Check, containerd: Containerd, tmp_path: Path) -> None:
    on_this_machine(check, test_cri_runtime.maker(containerd, tmp_path.name), tmp_path)


@each(*contract.CHECKS, *contract.REAL, *contract.INPUT)
def test_processes(check: Check, tmp_path: Path) -> None:
    test_process_runtime.need_bubblewrap()
    on_this_machine(check, test_process_runtime.maker(tmp_path, "bwrap"), tmp_path)


@each(*contract.INPUT)
def test_processes_without_bubblewrap(check: Check, tmp_path: Path) -> None:
    on_this_machine(check, test_process_runtime.maker(tmp_path, "none"), tmp_path)


@each(*contract.CHECKS)
def test_simulated(check: Check, tmp_path: Path) -> None:
    async def main() -> None:
        world = World(LoopClock(datetime(2026, 1, 1, tzinfo=UTC)), Entropy(1))

        def make() -> Runtime:
            return SimulatedRuntime(world)

        await check(make, tmp_path / "logs")

    run(main())
