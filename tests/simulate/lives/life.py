"""One life: a machine on which manifests are applied, trouble comes, calm follows; and what was wrong in it."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.simulate.lives import invariants, manifests, schedules
from tests.simulate.lives.draws import ByDice, Draws
from tests.simulate.lives.witness import Watched

from podward.simulate import virtual_loop
from podward.simulate.faults import schedule
from podward.simulate.simulation import apply, in_memory

CALM_SECONDS = 120
"""In which everything must have found back to the truth: more than a kubelet's own look at every Pod takes."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What `podward simulate MANIFESTS --faults FAULTS --seed SEED` takes."""

    manifests: list[dict[str, Any]]
    faults: list[dict[str, Any]]
    seed: int = 0
    seconds: float = 60.0
    """How long it goes on at least, before it is asked what came of it."""

    def as_yaml(self) -> tuple[str, str]:
        return (
            yaml.safe_dump_all(self.manifests, sort_keys=False),
            yaml.safe_dump({"faults": self.faults}, sort_keys=False),
        )


def drawn(draws: Draws, seed: int) -> Scenario:
    pods = manifests.manifests(draws)
    return Scenario(pods, schedules.faults(draws, pods), seed)


def of_seed(seed: int) -> Scenario:
    return drawn(ByDice(seed), seed)


def live(scenario: Scenario) -> list[str]:
    """What was wrong; nothing, if all is well."""
    return lived(scenario).problems


def lived(scenario: Scenario) -> Watched:
    async def main() -> Watched:
        with tempfile.TemporaryDirectory(prefix="podward-life-", dir=in_memory()) as folder:
            machine = Watched(Path(folder), scenario.seed, invariants.RULES)
            await _live(machine, scenario)
            return machine

    return virtual_loop.run(main())


async def _live(machine: Watched, scenario: Scenario) -> None:
    faults = schedule.read({"faults": scenario.faults}, "faults")
    reading = asyncio.create_task(machine.read_statuses())
    await machine.boot()
    for document in scenario.manifests:
        await apply(machine.outside, document, "default")
    await asyncio.gather(machine.suffer(faults), asyncio.sleep(scenario.seconds))
    machine.calm_since = asyncio.get_running_loop().time()
    wrong = await _calm(machine)
    machine.complain(iter(wrong))
    await asyncio.sleep(0.01)  # until what was written last has been read
    for rule in invariants.AT_END:
        machine.complain(rule(machine))
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await machine.die()


async def _calm(machine: Watched) -> Sequence[str]:
    """What is still untrue after a long calm. Things go on happening, so one true moment is enough."""
    wrong: list[str] = []
    for _ in range(CALM_SECONDS):
        pods = await machine.pods()
        wrong = [text for rule in invariants.WHEN_CALM for text in rule(machine, pods)]
        if not wrong:
            break
        await asyncio.sleep(1.03)
    return wrong
