"""What a real cluster did, done again by real processes and by real containers: all manifests at once."""

import pytest
from tests.e2e.golden import NAMES, SECONDS, Watched
from tests.golden.comparison import DEFECTS_OF_1_19, check_states


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DEFECTS_OF_1_19])
def test_a_pod_goes_through_the_states_of_a_real_cluster(name: str, golden_run: Watched) -> None:
    check_states(name, golden_run.steps(name), golden_run.events(name), SECONDS)
