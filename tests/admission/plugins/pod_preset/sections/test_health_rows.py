"""H01 to H12 of spec/podpreset.md 10.2: operations preset health checks from outside."""

from typing import Any

import pytest
from tests.admission.plugins.pod_preset.sections.support import (
    admitted,
    errors,
    into,
    pod,
    preset,
    stored,
)

PORT = {"ports": [{"containerPort": 80, "name": "http"}]}
READY = {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 5}
ALIVE = {"tcpSocket": {"port": "http"}, "failureThreshold": 6}
OTHER = {"httpGet": {"path": "/healthz", "port": 80}}
BY_PORT = {"class": "app", "ports": ["http"]}


def health(name: str = "http-health", ready: Any = READY, **more: Any) -> Any:
    """The sample of the specification."""
    sections = {
        "readinessProbe": {"mode": "ifAbsent", "value": ready},
        "livenessProbe": {"mode": "override", "value": ALIVE},
    }
    grace = {"mode": "floor", "value": 60}
    return preset(name, terminationGracePeriodSeconds=grace, **into(BY_PORT, **sections), **more)


def test_h01_a_missing_probe_is_added_whole_and_once() -> None:
    result = admitted(pod(PORT), preset(**into(BY_PORT, readinessProbe={"value": READY})))
    assert result.container()["readinessProbe"] == READY
    assert (result.only.verdict, result.only.field, result.only.pointer, result.only.key) == (
        "add",
        "spec.containers[c0].readinessProbe",
        "/spec/containers/0/readinessProbe",
        "/spec/containers/c0/readinessProbe",
    )


def test_h02_the_authors_readiness_stays_as_it_is() -> None:
    result = admitted(pod(PORT | {"readinessProbe": OTHER}), health())
    assert result.container()["readinessProbe"] == OTHER
    assert ("spec.containers[c0].readinessProbe", "keep", "present") in result.verdicts


def test_h03_a_container_without_the_port_is_not_chosen_and_says_why() -> None:
    plain = pod({})
    result = admitted(plain, preset(**into(BY_PORT, readinessProbe={"value": READY})))
    assert result.pod == plain
    assert result.verdicts == [("spec.containers[c0].readinessProbe", "skip", "noPort")]
    assert result.only.text == "container c0 has no port named http"


def test_h04_override_takes_the_old_handler_away() -> None:
    result = admitted(pod(PORT | {"livenessProbe": OTHER}), health())
    assert result.container()["livenessProbe"] == ALIVE
    assert errors(result.pod) == []


@pytest.mark.parametrize("section", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_h05_an_init_container_that_ends_gets_no_probe(section: str) -> None:
    init = pod({}, initContainers=[{"name": "prep", "image": "i"} | PORT])
    result = admitted(init, preset(**into({"names": ["prep"]}, **{section: {"value": ALIVE}})))
    assert result.pod == init
    assert (result.only.verdict, result.only.reason) == ("skip", "initContainer")


def test_h05_nor_hooks() -> None:
    init = pod({}, initContainers=[{"name": "prep", "image": "i"}])
    hooks = {"preStop": {"sleep": {"seconds": 1}}}
    result = admitted(init, preset(**into({"names": ["prep"]}, lifecycle={"value": hooks})))
    assert result.pod == init
    assert (result.only.verdict, result.only.reason) == ("skip", "initContainer")


def test_h06_a_native_sidecar_gets_probes() -> None:
    proxy = {"name": "proxy", "image": "i", "restartPolicy": "Always"} | PORT
    match = {"class": "sidecar"}
    result = admitted(
        pod(PORT, initContainers=[proxy, {"name": "prep", "image": "i"}]),
        preset(**into(match, livenessProbe={"value": ALIVE}, readinessProbe={"value": READY})),
    )
    changed = proxy | {"livenessProbe": ALIVE, "readinessProbe": READY}
    assert result.pod["spec"]["initContainers"] == [changed, {"name": "prep", "image": "i"}]
    assert result.container() == {"name": "c0", "image": "i:1"} | PORT
    assert errors(result.pod) == []


@pytest.mark.parametrize("spec", [{}, {"terminationGracePeriodSeconds": 30}])
def test_h07_a_default_grace_is_replaced_typed_or_not(spec: Any) -> None:
    result = admitted(pod(**spec), preset(terminationGracePeriodSeconds={"value": 60}))
    assert result.pod["spec"]["terminationGracePeriodSeconds"] == 60
    assert result.only.reason == "wasDefault"


def test_h08_a_floor_keeps_what_is_higher() -> None:
    result = admitted(pod(terminationGracePeriodSeconds=90), health())
    assert result.pod["spec"]["terminationGracePeriodSeconds"] == 90
    assert ("spec.terminationGracePeriodSeconds", "keep", "aboveFloor") in result.verdicts


@pytest.mark.parametrize("policy", ["Never", "OnFailure"])
def test_h10_a_job_is_not_killed_for_being_slow(policy: str) -> None:
    result = admitted(pod(PORT, restartPolicy=policy), health())
    assert "livenessProbe" not in result.container()
    assert result.container()["readinessProbe"] == READY
    assert ("spec.containers[c0].livenessProbe", "skip", "jobs") in result.verdicts


@pytest.mark.parametrize("policy", ["Never", "OnFailure", "Always"])
def test_h10_unless_the_preset_includes_jobs(policy: str) -> None:
    result = admitted(pod(PORT, restartPolicy=policy), health(includeJobs=True))
    assert result.container()["livenessProbe"] == ALIVE


@pytest.mark.parametrize("on_conflict", ["SkipPreset", "KeepPod", "Override"])
def test_h11_of_two_presets_the_first_is_right(on_conflict: Any) -> None:
    first = health("first")
    second = preset("second", on_conflict, **into(BY_PORT, readinessProbe={"value": OTHER}))
    result = admitted(pod(PORT), first, second)
    assert result.container()["readinessProbe"] == READY
    assert result.conflicts == [("second", "spec.containers[c0].readinessProbe", first.id)]


def test_h11_under_skip_all_neither_has_its_way() -> None:
    second = preset("second", "SkipAll", **into(BY_PORT, readinessProbe={"value": OTHER}))
    plain = pod(PORT)
    assert admitted(plain, health("first"), second).pod is plain


def test_h12_a_second_call_finds_its_own_work_completed_by_the_server() -> None:
    once = stored(admitted(pod(PORT), health()).pod)
    assert once["spec"]["containers"][0]["livenessProbe"]["timeoutSeconds"] == 1
    result = admitted(once, health())
    assert result.pod == once
    assert {verdict for _, verdict, _ in result.verdicts} == {"identical"}
