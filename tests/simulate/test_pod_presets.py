"""Presets in a simulation: the same admission, in the mode that is asked for."""

from typing import Any

import pytest

from podward.simulate.simulation import simulate

PRESET = {
    "apiVersion": "settings.k8s.io/v1alpha1",
    "kind": "PodPreset",
    "metadata": {"name": "cal"},
    "spec": {"env": [{"name": "TZ", "value": "UTC"}]},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web"},
    "spec": {"containers": [{"name": "app", "image": "busybox", "command": ["sleep", "60"]}]},
}


@pytest.mark.parametrize(("mode", "env"), [("safe", ["TZ"]), ("compat", ["TZ"]), ("off", [])])
def test_a_simulation_has_the_presets_of_its_mode(mode: Any, env: list[str]) -> None:
    recording = simulate([PRESET, POD], 5, pod_presets=mode)
    spec = recording.changes[-1].pod.spec
    assert spec is not None
    assert [variable.name for variable in spec.containers[0].env or ()] == env
