"""What all tests share: how Hypothesis behaves on a noisy machine, and an engine."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from tests.engine.containerd import Containerd, missing, sweep

settings.register_profile(
    "podward",
    deadline=None,  # the machine is noisy; speed is measured elsewhere
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("CI") == "true",
)
settings.load_profile("podward")


@pytest.fixture(scope="session")
def containerd() -> Iterator[Containerd]:
    """One engine for all tests that leave it as they found it."""
    lacking = missing()
    if lacking:
        what = f"containerd: this machine lacks {', '.join(lacking)}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"cannot be had on this machine: {what}")
        pytest.skip(f"NOT TESTED, cannot be had on this machine: {what}")
    sweep()
    engine = Containerd().start().load_usual()
    yield engine
    engine.tear_down()
