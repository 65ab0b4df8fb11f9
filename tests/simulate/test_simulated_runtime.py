"""The simulated runtime keeps the contract of the real ones, in no time."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.contracts import runtime as contract

from podward.kubelet.runtime.base import Runtime
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate.runtime import SimulatedRuntime
from podward.simulate.virtual_loop import run
from podward.simulate.world import World


@pytest.mark.parametrize(
    "check", contract.CHECKS + contract.WITHOUT_IMAGES, ids=lambda check: check.__name__
)
def test_the_contract(check: contract.Check, tmp_path: Path) -> None:
    async def main() -> None:
        world = World(LoopClock(datetime(2026, 1, 1, tzinfo=UTC)), Entropy(1))

        def make() -> Runtime:
            return SimulatedRuntime(world)

        await check(make, tmp_path / "logs")

    run(main())
