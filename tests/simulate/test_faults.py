"""Random manifests, random trouble, deaths at any moment: what must hold, holds. A seed can be lived again."""

import os

import pytest
from tests.simulate.faults_world import live

FOUND = {
    30: "a Pod stayed half deleted for ever: the look after its last kill failed, nobody looked again",
}
"""Seeds that once went wrong: what it was. They are lived first."""
SEEDS = int(os.environ.get("PODWARD_FUZZ_SEEDS", "60"))
STRIDE = 10


@pytest.mark.parametrize("seed", FOUND)
def test_what_was_found_once_stays_cured(seed: int) -> None:
    assert live(seed) == []


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(0, SEEDS, STRIDE))
def test_what_must_hold_holds_whatever_goes_wrong(first: int) -> None:
    problems = [problem for seed in range(first, first + STRIDE) for problem in live(seed)]
    assert problems == []
