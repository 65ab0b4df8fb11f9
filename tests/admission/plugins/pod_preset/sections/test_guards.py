"""Where a probe or a hook is not put, though a preset says so: no invalid Pod (spec/podpreset.md R10)."""

from typing import Any

import pytest
from tests.admission.plugins.pod_preset.sections.support import (
    admitted,
    errors,
    into,
    pod,
    preset,
)

PORT = {"ports": [{"containerPort": 80, "name": "http"}]}
EXEC = {"exec": {"command": ["true"]}}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def refused(container: Any, match: Any, section: str, value: Any, **spec: Any) -> tuple[str, str]:
    """The reason and the sentence of the one thing that is skipped."""
    before = pod(container, **spec)
    result = admitted(before, preset(**into(match, **{section: {"value": value}})), checked=True)
    assert result.pod == before
    assert result.only.verdict == "skip"
    return result.only.reason, result.only.text


@pytest.mark.parametrize("section", PROBES)
@pytest.mark.parametrize("mechanism", ["httpGet", "tcpSocket"])
def test_a_probe_asks_a_port_that_its_own_container_declares(section: str, mechanism: str) -> None:
    probe = {mechanism: {"port": "http"}}
    told = refused({}, None, section, probe)
    assert told == ("noPort", "container c0 has no port named http")
    result = admitted(pod(PORT), preset(**into(**{section: {"value": probe}})))
    assert result.only.verdict == "add"


def test_a_port_of_the_neighbour_does_not_count() -> None:
    probe = {"httpGet": {"port": "http"}}
    result = admitted(pod({}, PORT), preset(**into(readinessProbe={"value": probe})))
    assert [p.verdict for _, p in result.told] == ["skip", "add"]


def test_a_port_by_number_needs_no_declaration() -> None:
    probe = {"httpGet": {"port": 8080}}
    result = admitted(pod({}), preset(**into(readinessProbe={"value": probe})))
    assert result.only.verdict == "add"


@pytest.mark.parametrize("section", [*PROBES, "postStart", "preStop"])
def test_a_command_goes_only_into_containers_chosen_by_image(section: str) -> None:
    name, value = (section, EXEC) if section in PROBES else ("lifecycle", {section: EXEC})
    matches: list[Any] = [None, {}, {"names": ["*"]}, {"images": []}]
    for match in matches:
        reason, text = refused({}, match, name, value)
        assert (reason, "match.images" in text) == ("execNotOptedIn", True)
    result = admitted(pod({}), preset(**into({"images": ["i:*"]}, **{name: {"value": value}})))
    assert result.only.verdict == "add"


def test_a_readiness_probe_has_no_grace_of_its_own() -> None:
    probe = {"httpGet": {"port": 80}, "terminationGracePeriodSeconds": 5}
    assert refused({}, None, "readinessProbe", probe)[0] == "graceOfReadiness"
    result = admitted(pod({}), preset(**into(livenessProbe={"value": probe})))
    assert result.only.verdict == "add"
    assert errors(result.pod) == []


@pytest.mark.parametrize("section", ["readinessProbe", "startupProbe"])
def test_a_job_gets_the_probes_that_tell(section: str) -> None:
    probe = {"value": {"httpGet": {"port": 80}}}
    result = admitted(pod({}, restartPolicy="Never"), preset(**into(**{section: probe})))
    assert result.only.verdict == "add"


@pytest.mark.parametrize("hook", ["postStart", "preStop"])
@pytest.mark.parametrize(("grace", "fits"), [(None, False), (30, False), (39, False), (40, True)])
def test_a_sleep_fits_into_the_grace_period(hook: str, grace: int | None, fits: bool) -> None:
    spec = {} if grace is None else {"terminationGracePeriodSeconds": grace}
    hooks = {"value": {hook: {"sleep": {"seconds": 40}}}}
    result = admitted(pod({}, **spec), preset(**into(lifecycle=hooks)), checked=True)
    assert result.only.reason == ("" if fits else "longerThanGrace")
    assert ("lifecycle" in result.container()) == fits
    assert errors(result.pod) == []


def test_a_preset_may_make_room_for_its_own_sleep() -> None:
    hooks = {"value": {"preStop": {"sleep": {"seconds": 40}}}}
    grace = {"mode": "floor", "value": 45}
    result = admitted(pod({}), preset(terminationGracePeriodSeconds=grace, **into(lifecycle=hooks)))
    assert [p.verdict for _, p in result.told] == ["raise", "add"]
    assert errors(result.pod) == []


@pytest.mark.parametrize("mode", ["override", "ceiling"])
def test_the_grace_period_is_not_made_shorter_than_a_sleep(mode: str) -> None:
    hooks = {"preStop": {"sleep": {"seconds": 20}}}
    before = pod({"lifecycle": hooks})
    for value, kept in [(19, True), (20, False)]:
        grace = {"mode": mode, "value": value}
        result = admitted(before, preset(terminationGracePeriodSeconds=grace))
        assert (result.only.reason == "shorterThanSleep") == kept
        assert (result.pod == before) == kept
        assert errors(result.pod) == []


def test_a_stop_signal_needs_a_pod_that_names_its_system() -> None:
    hooks = {"stopSignal": "SIGUSR1"}
    assert refused({}, None, "lifecycle", hooks)[0] == "noOs"
    result = admitted(pod({}, os={"name": "linux"}), preset(**into(lifecycle={"value": hooks})))
    assert result.only.verdict == "add"


def test_what_is_there_already_is_no_guards_business() -> None:
    """A Pod that came back from its first admission, or whose author agrees."""
    before = pod({"livenessProbe": EXEC}, restartPolicy="Never")
    result = admitted(before, preset(**into(livenessProbe={"value": EXEC})))
    assert result.only.verdict == "identical"


# ---- a second admission sees what later presets made of the Pod


def hooks_of(seconds: int) -> Any:
    return {
        "lifecycle": {"mode": "override", "value": {"preStop": {"sleep": {"seconds": seconds}}}}
    }


def test_a_hook_that_did_not_fit_is_not_put_in_when_a_later_preset_has_made_room() -> None:
    presets = [
        preset("hooks", **into(**hooks_of(40))),
        preset("grace", terminationGracePeriodSeconds={"mode": "floor", "value": 60}),
    ]
    once = admitted(pod({}), *presets)
    assert once.verdicts[0][1:] == ("skip", "longerThanGrace")
    assert admitted(once.pod, *presets).pod == once.pod


def test_a_hook_that_did_fit_reaches_a_container_that_came_in_between() -> None:
    presets = [
        preset("hooks", **into(**hooks_of(20))),
        preset("grace", terminationGracePeriodSeconds={"mode": "floor", "value": 60}),
    ]
    once = admitted(pod({}), *presets).pod
    once["spec"]["containers"].append({"name": "mesh", "image": "i"})
    again = admitted(once, *presets)
    assert again.container(1)["lifecycle"] == {"preStop": {"sleep": {"seconds": 20}}}


def test_a_grace_that_was_too_short_stays_so_when_a_later_preset_has_changed_the_sleep() -> None:
    presets = [
        preset("grace", terminationGracePeriodSeconds={"mode": "override", "value": 10}),
        preset("hooks", **into(**hooks_of(5))),
    ]
    once = admitted(pod({"lifecycle": {"preStop": {"sleep": {"seconds": 20}}}}), *presets)
    assert once.verdicts[0][1:] == ("skip", "shorterThanSleep")
    assert once.container()["lifecycle"]["preStop"]["sleep"]["seconds"] == 5
    assert admitted(once.pod, *presets).pod == once.pod


def test_nor_when_the_preset_itself_has_changed_it_afterwards() -> None:
    grace = {"mode": "override", "value": 10}
    one = preset(terminationGracePeriodSeconds=grace, **into(**hooks_of(5)))
    once = admitted(pod({"lifecycle": {"preStop": {"sleep": {"seconds": 20}}}}), one).pod
    assert "terminationGracePeriodSeconds" not in once["spec"]
    assert admitted(once, one).pod == once


@pytest.mark.parametrize(
    ("author", "first", "second"),
    [
        ({"requests": {"cpu": "1"}, "limits": {"cpu": "1"}},
         ("floor", {"requests": {"cpu": "2"}}), ("floor", {"limits": {"cpu": "4"}})),
        ({"requests": {"cpu": "4"}, "limits": {"cpu": "4"}},
         ("ceiling", {"limits": {"cpu": "2"}}), ("ceiling", {"requests": {"cpu": "1"}})),
        (None, ("floor", {"requests": {"cpu": "2"}}), ("ifAbsent", {"requests": {"cpu": "1"}})),
    ],
)  # fmt: skip
def test_a_quantity_that_could_not_move_stays_when_a_later_preset_has_made_room(
    author: Any, first: Any, second: Any
) -> None:
    presets = [
        preset(f"p{i}", **into(resources={"mode": mode, "value": value}))
        for i, (mode, value) in enumerate([first, second])
    ]
    once = admitted(pod({} if author is None else {"resources": author}), *presets)
    again = admitted(once.pod, *presets)
    assert again.pod == once.pod
    assert ("skip", "laterPreset") in [(v, r) for _, v, r in again.verdicts]
