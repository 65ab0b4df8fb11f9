"""What all tests share: how Hypothesis behaves on a noisy machine."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "podward",
    deadline=None,  # the machine is noisy; speed is measured elsewhere
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("CI") == "true",
)
settings.load_profile("podward")
