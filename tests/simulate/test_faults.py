"""Random manifests, random trouble, deaths between any two steps: what must hold, holds. A seed is lived again.

PODWARD_FUZZ_SEEDS=20000 pytest tests/simulate/test_faults.py       more of them
python -m tests.simulate.lives 4711 DIRECTORY                       seed 4711 as files for `podward simulate`
"""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.simulate.lives.draws import ByHypothesis
from tests.simulate.lives.found import CURED, FOLDER, scenarios
from tests.simulate.lives.life import Scenario, drawn, live, of_seed

LIVES = int(os.environ.get("PODWARD_FUZZ_SEEDS", "2000"))
CHUNK = 100


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What Podward says of its trouble is expected, and formatting it takes longer than living."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def wrong(lived: Scenario) -> list[str]:
    """What was wrong in a life, with the number to live it again."""
    return [f"seed {lived.seed}: {problem}" for problem in live(lived)]


@pytest.mark.parametrize("name", CURED)
def test_what_was_found_once_stays_cured(name: str) -> None:
    assert [problem for lived in scenarios(name) for problem in live(lived)] == []


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(0, LIVES, CHUNK))
def test_what_must_hold_holds_whatever_goes_wrong(first: int) -> None:
    seeds = range(first, min(first + CHUNK, LIVES))
    assert [problem for seed in seeds for problem in wrong(of_seed(seed))] == []


@st.composite
def lives(draw: Any) -> Scenario:
    return drawn(ByHypothesis(draw), seed=draw(st.integers(0, 99)))


@settings(
    max_examples=60, derandomize=True, deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(lives())
def test_lives_that_shrink_to_what_matters(lived: Scenario) -> None:
    for document in lived.as_yaml():
        note(document)
    assert wrong(lived) == []


def test_a_seed_is_the_same_life_whatever_the_hashes() -> None:
    told = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulate.lives", "--digest", "20"],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": hashes},
        ).stdout
        for hashes in ("1", "2")
    ]  # fmt: skip
    assert told[0] == told[1]
    assert len(set(told[0].split())) == 20


def test_every_row_has_its_files_and_every_file_its_row() -> None:
    rows = CURED
    assert {path.name.split(".")[0] for path in FOLDER.glob("*.yaml")} == set(rows)
    table = (FOLDER / "README.md").read_text()
    assert [name for name in rows if f"| `{name}` | {rows[name].seed} |" not in table] == []
