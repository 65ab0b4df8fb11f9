"""Each mode against nothing, the default, the same, another value, and one that another preset put there."""

from dataclasses import replace
from typing import Any

import pytest
from tests.admission.plugins.pod_preset.sections.support import (
    admitted,
    errors,
    into,
    pod,
    preset,
)

HTTP = {"httpGet": {"port": 80}}
SAME_HTTP = {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1,
             "periodSeconds": 10, "failureThreshold": 3, "initialDelaySeconds": 0}  # fmt: skip
TCP = {"tcpSocket": {"port": 81}}
SLEEP, OTHER_SLEEP = {"preStop": {"sleep": {"seconds": 5}}}, {"preStop": {"sleep": {"seconds": 6}}}
SMALL = {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}}
SAME_SMALL = {"requests": {"cpu": 0.1, "memory": "1024Mi"}, "limits": {"memory": "1Gi"}}
LARGE = {"requests": {"cpu": "2"}}
NODE = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
    {"weight": 1, "preference": {"matchExpressions": [{"key": "ssd", "operator": "Exists"}]}}]}}  # fmt: skip
SAME_NODE = {**NODE, "podAffinity": None}
OTHER_NODE = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
    {"topologyKey": "zone", "namespaceSelector": {}}]}}  # fmt: skip

IN_CONTAINERS: dict[str, tuple[Any, Any, Any]] = {
    "startupProbe": (HTTP, SAME_HTTP, TCP),
    "readinessProbe": (HTTP, SAME_HTTP, TCP),
    "livenessProbe": (HTTP, SAME_HTTP, TCP),
    "lifecycle": (SLEEP, {**SLEEP, "postStart": None}, OTHER_SLEEP),
    "resources": (SMALL, SAME_SMALL, LARGE),
}
"""What is wanted, the same in other words, something else."""
WHOLE = {**IN_CONTAINERS, "affinity": (NODE, SAME_NODE, OTHER_NODE)}


def given(section: str, value: Any) -> Any:
    if section == "affinity":
        return pod(**({} if value is None else {section: value}))
    return pod({} if value is None else {section: value})


def wanting(section: str, mode: str | None, value: Any, name: str = "ops") -> Any:
    what = {"value": value} | ({} if mode is None else {"mode": mode})
    return preset(name, **({section: what} if section == "affinity" else into(**{section: what})))


def value_of(result: Any, section: str) -> Any:
    return result.pod["spec"].get(section) if section == "affinity" else result.container()[section]


@pytest.mark.parametrize("section", WHOLE)
@pytest.mark.parametrize(
    ("mode", "there", "verdict", "left"),
    [
        (None, "nothing", "add", "wanted"),
        ("ifAbsent", "nothing", "add", "wanted"),
        ("override", "nothing", "add", "wanted"),
        ("ifAbsent", "same", "identical", "same"),
        ("override", "same", "identical", "same"),
        (None, "other", "keep", "other"),
        ("ifAbsent", "other", "keep", "other"),
        ("override", "other", "replace", "wanted"),
    ],
)
def test_a_whole_value(section: str, mode: str | None, there: str, verdict: str, left: str) -> None:
    wanted, same, other = WHOLE[section]
    values = {"nothing": None, "wanted": wanted, "same": same, "other": other}
    result = admitted(given(section, values[there]), wanting(section, mode, wanted), checked=True)
    assert result.only.verdict == verdict
    assert value_of(result, section) == values[left]


@pytest.mark.parametrize("section", WHOLE)
@pytest.mark.parametrize("mode", ["ifAbsent", "override"])
@pytest.mark.parametrize("before", ["ifAbsent", "override"])
def test_another_presets_whole_value_is_a_clash_in_every_mode(
    section: str, mode: str, before: str
) -> None:
    wanted, _, other = WHOLE[section]
    first, second = wanting(section, before, other, "first"), wanting(section, mode, wanted)
    result = admitted(given(section, None), first, second)
    assert [holder for _, _, holder in result.conflicts] == [first.id]
    assert value_of(result, section) == other


@pytest.mark.parametrize("section", WHOLE)
@pytest.mark.parametrize("mode", ["ifAbsent", "override"])
def test_a_value_that_two_presets_agree_on_is_both_presets(section: str, mode: str) -> None:
    wanted, same, _ = WHOLE[section]
    result = admitted(
        given(section, None), wanting(section, mode, wanted, "first"), wanting(section, mode, same)
    )
    assert [proposal.verdict for _, proposal in result.told] == ["add", "identical"]
    assert value_of(result, section) == wanted


@pytest.mark.parametrize("section", WHOLE)
def test_an_empty_object_is_nothing(section: str) -> None:
    """The server itself leaves `resources: {}` in every container."""
    if section.endswith("Probe"):
        return
    result = admitted(given(section, {}), wanting(section, "ifAbsent", WHOLE[section][0]))
    assert result.only.verdict == "add"


@pytest.mark.parametrize("section", IN_CONTAINERS)
def test_the_first_entry_of_a_preset_that_chooses_a_container_is_right(section: str) -> None:
    wanted, _, other = IN_CONTAINERS[section]
    entries = [
        {"match": {"names": ["c*"]}, section: {"mode": "override", "value": wanted}},
        {section: {"mode": "override", "value": other}},
    ]
    result = admitted(given(section, None), preset(containers=entries))
    assert [(p.verdict, p.reason) for _, p in result.told] == [
        ("add", ""),
        ("keep", "earlierEntry"),
    ]
    assert value_of(result, section) == wanted


def test_what_is_written_is_the_presets_own_spelling_and_a_copy() -> None:
    probe = {"httpGet": {"port": 80}, "initialDelaySeconds": 0, "newField": {"x": [1]}}
    result = admitted(pod({}), preset(**into(livenessProbe={"value": probe})))
    written = result.container()["livenessProbe"]
    assert written == probe
    written["newField"]["x"].append(2)
    assert probe["newField"] == {"x": [1]}


@pytest.mark.parametrize("field", ["newField", "httpGet"])
def test_a_field_that_nobody_knows_is_a_difference(field: str) -> None:
    new = {field: {**HTTP.get(field, {}), "x": 1}}
    result = admitted(
        pod({"livenessProbe": HTTP | new}), preset(**into(livenessProbe={"value": HTTP}))
    )
    assert result.only.verdict == "keep"


# ---- numbers and words


@pytest.mark.parametrize(
    ("mode", "there", "verdict", "reason", "left"),
    [
        (None, None, "add", "wasDefault", 60),
        ("ifDefault", 30, "replace", "wasDefault", 60),
        ("ifDefault", 60, "identical", "", 60),
        ("ifDefault", 90, "keep", "notDefault", 90),
        ("override", None, "add", "", 60),
        ("override", 30, "replace", "", 60),
        ("override", 60, "identical", "", 60),
        ("override", 90, "replace", "", 60),
        ("floor", None, "raise", "", 60),
        ("floor", 30, "raise", "", 60),
        ("floor", 60, "identical", "", 60),
        ("floor", 90, "keep", "aboveFloor", 90),
        ("ceiling", None, "keep", "belowCeiling", None),
        ("ceiling", 60, "identical", "", 60),
        ("ceiling", 90, "lower", "", 60),
    ],
)
def test_the_grace_period(
    mode: str | None, there: int | None, verdict: str, reason: str, left: int | None
) -> None:
    name = "terminationGracePeriodSeconds"
    what = {"value": 60} | ({} if mode is None else {"mode": mode})
    result = admitted(
        pod(**({} if there is None else {name: there})), preset(**{name: what}), checked=True
    )
    assert (result.only.verdict, result.only.reason) == (verdict, reason)
    assert result.pod["spec"].get(name) == left


@pytest.mark.parametrize(
    ("mode", "there", "wanted", "verdict", "reason"),
    [
        (None, None, "FallbackToLogsOnError", "add", "wasDefault"),
        ("ifDefault", "File", "FallbackToLogsOnError", "replace", "wasDefault"),
        ("ifDefault", "FallbackToLogsOnError", "FallbackToLogsOnError", "identical", ""),
        ("ifDefault", "FallbackToLogsOnError", "File", "keep", "notDefault"),
        ("ifDefault", None, "File", "identical", ""),
        ("override", "FallbackToLogsOnError", "File", "replace", ""),
        ("override", None, "FallbackToLogsOnError", "add", ""),
        ("override", "File", "File", "identical", ""),
    ],
)
def test_the_termination_message_policy(
    mode: str | None, there: str | None, wanted: str, verdict: str, reason: str
) -> None:
    name = "terminationMessagePolicy"
    what = {"value": wanted} | ({} if mode is None else {"mode": mode})
    held = {} if there is None else {name: there}
    result = admitted(pod(held), preset(**into(**{name: what})), checked=True)
    assert (result.only.verdict, result.only.reason) == (verdict, reason)
    kept = there if verdict in ("keep", "identical") else wanted
    assert result.container().get(name) == kept


@pytest.mark.parametrize(
    ("author", "first", "second", "left", "clash"),
    [
        # A floor stands on a floor, a ceiling hangs below a ceiling.
        (30, ("floor", 60), ("floor", 90), 90, False),
        (120, ("ceiling", 90), ("ceiling", 60), 60, False),
        (30, ("floor", 90), ("floor", 60), 90, False),
        (75, ("floor", 60), ("ceiling", 90), 75, False),
        (95, ("floor", 60), ("ceiling", 90), 90, False),
        # They must not cross, written or not.
        (30, ("floor", 60), ("ceiling", 50), 60, True),
        (90, ("floor", 60), ("ceiling", 50), 90, True),
        (30, ("ceiling", 50), ("floor", 60), 30, True),
        (90, ("ceiling", 50), ("floor", 60), 50, True),
        # Nobody moves what another has set.
        (30, ("override", 60), ("floor", 90), 60, True),
        (30, ("override", 60), ("floor", 50), 60, False),
        (30, ("override", 60), ("ceiling", 50), 60, True),
        (30, ("override", 60), ("override", 50), 60, True),
        (30, ("override", 60), ("ifDefault", 50), 60, True),
        (30, ("ifDefault", 60), ("override", 50), 60, True),
        (60, ("ifDefault", 60), ("floor", 90), 60, True),
        # A word that had nothing to do stands as well.
        (90, ("floor", 60), ("override", 50), 90, True),
        (90, ("floor", 60), ("override", 70), 70, False),
        (40, ("ceiling", 60), ("override", 50), 50, False),
        (90, ("ifDefault", 60), ("override", 30), 90, True),
        (90, ("ifDefault", 60), ("override", 50), 50, False),
        (90, ("ifDefault", 60), ("ceiling", 30), 90, True),
        (90, ("ifDefault", 30), ("override", 30), 30, False),
        # Higher than a floor is no default that was left alone.
        (30, ("floor", 60), ("ifDefault", 90), 60, False),
        (30, ("floor", 20), ("ifDefault", 90), 90, False),
    ],
)
def test_two_presets_on_one_number(
    author: int, first: tuple[str, int], second: tuple[str, int], left: int, clash: bool
) -> None:
    name = "terminationGracePeriodSeconds"
    presets = [
        preset(f"p{i}", "Override", **{name: {"mode": mode, "value": value}})
        for i, (mode, value) in enumerate([first, second])
    ]
    result = admitted(pod(**{name: author}), *presets)
    assert result.pod["spec"][name] == left
    holders = [holder for _, _, holder in result.conflicts]
    assert holders == ([presets[0].id] if clash else [])
    again = admitted(result.pod, *presets)
    assert again.pod == result.pod


# ---- quantities


def cpu(request: str = "", limit: str = "") -> Any:
    given = {"requests": request, "limits": limit}
    return {group: {"cpu": amount} for group, amount in given.items() if amount}


@pytest.mark.parametrize(
    ("mode", "there", "wanted", "left"),
    [
        ("floor", cpu("50m"), cpu("0.1"), cpu("0.1")),
        ("floor", cpu("0.1"), cpu("100m"), cpu("0.1")),
        ("floor", cpu("1"), cpu("100m"), cpu("1")),
        ("ceiling", cpu("1m", "2"), cpu(limit="1"), cpu("1m", "1")),
        # Only what is given on both sides is moved.
        ("floor", {"requests": {"memory": "1Mi"}}, cpu("1"), {"requests": {"memory": "1Mi"}}),
        ("floor", None, cpu("1"), None),
        # A limit alone is a request, too: the server says so before anybody else sees it.
        ("ceiling", cpu(limit="2"), cpu("1"), cpu("1", "2")),
        ("floor", cpu(limit="1"), cpu(limit="2"), cpu("1", "2")),
        # Both sides of one resource move together.
        ("floor", cpu("1", "1"), cpu("2", "2"), cpu("2", "2")),
        ("ceiling", cpu("2", "2"), cpu("1", "1"), cpu("1", "1")),
    ],
)
def test_quantities_are_raised_and_lowered_one_by_one(
    mode: str, there: Any, wanted: Any, left: Any
) -> None:
    held = {} if there is None else {"resources": there}
    what = preset(**into(resources={"mode": mode, "value": wanted}))
    result = admitted(pod(held), what, checked=True)
    assert result.container().get("resources") == left
    assert errors(result.pod) == []


@pytest.mark.parametrize(
    ("mode", "there", "wanted", "reason"),
    [
        ("floor", cpu("1", "1"), cpu("2"), "aboveLimit"),
        ("floor", cpu(limit="1"), cpu("2"), "aboveLimit"),
        ("ceiling", cpu("1", "1"), cpu(limit="500m"), "belowRequest"),
        ("ceiling", cpu(limit="1"), cpu(limit="500m"), "belowRequest"),
        ("override", {}, cpu("2", "1"), "aboveLimit"),
    ],
)
def test_no_request_is_left_above_its_limit(
    mode: str, there: Any, wanted: Any, reason: str
) -> None:
    before = pod({"resources": there})
    result = admitted(before, preset(**into(resources={"mode": mode, "value": wanted})))
    assert (result.only.verdict, result.only.reason) == ("skip", reason)
    assert result.pod == before


def test_an_override_of_resources_leaves_claims_on_devices_alone() -> None:
    held = {"claims": [{"name": "gpu"}], "requests": {"cpu": "1"}}
    what = {"mode": "override", "value": {"limits": {"cpu": "2"}}}
    result = admitted(pod({"resources": held}), preset(**into(resources=what)))
    assert result.container()["resources"] == {"claims": [{"name": "gpu"}], "limits": {"cpu": "2"}}


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        (("floor", {"requests": {"cpu": "1"}}), ("override", {"requests": {"cpu": "2"}}), False),
        (("floor", {"requests": {"cpu": "1"}}), ("override", {"requests": {"cpu": "500m"}}), True),
        (("floor", {"requests": {"cpu": "1"}}), ("override", {"requests": {"memory": "1"}}), True),
        (("override", {"requests": {"cpu": "2"}}), ("floor", {"requests": {"cpu": "1"}}), False),
        (("override", {"requests": {"cpu": "2"}}), ("floor", {"requests": {"cpu": "3"}}), True),
        (("floor", {"requests": {"cpu": "1"}}), ("ceiling", {"requests": {"cpu": "2"}}), False),
        (("floor", {"requests": {"cpu": "3"}}), ("ceiling", {"requests": {"cpu": "2"}}), True),
    ],
)
def test_two_presets_on_one_quantity(first: Any, second: Any, clash: bool) -> None:
    presets = [
        preset(f"p{i}", "Override", **into(resources={"mode": mode, "value": value}))
        for i, (mode, value) in enumerate([first, second])
    ]
    result = admitted(pod({"resources": {"requests": {"cpu": "1500m"}}}), *presets)
    holders = [holder for _, _, holder in result.conflicts]
    assert holders == ([presets[0].id] if clash else [])
    assert admitted(result.pod, *presets).pod == result.pod


def test_what_one_entry_puts_in_whole_another_does_not_move() -> None:
    entries = [
        {"resources": {"mode": "ceiling", "value": {"requests": {"cpu": "1"}}}},
        {"resources": {"value": {"requests": {"cpu": "2"}}}},
    ]
    one = preset("ops", "SkipAll", containers=entries)
    result = admitted(pod(), one)
    assert result.container()["resources"] == {"requests": {"cpu": "2"}}
    assert [p.verdict for _, p in result.told] == ["add", "keep"]
    assert admitted(result.pod, one).pod == result.pod


def test_a_preset_of_old_has_none_of_these_sections() -> None:
    """Its group never had the fields; a document may name them all the same."""
    spec = {"labels": {"a": "1"}, "sidecars": [{"name": "x"}], "tolerations": [{"key": "k"}],
            "terminationGracePeriodSeconds": {"value": 60}, "initContainers": [{"container": {"name": "y"}}],
            "affinity": {"value": NODE}, **into(livenessProbe={"value": HTTP})}  # fmt: skip
    result = admitted(pod(), replace(preset(**spec), origin="settings"))
    assert result.told == []


@pytest.mark.parametrize("name", ["namespaceSelector", "labelSelector"])
def test_an_empty_selector_is_everything_and_none_is_nothing(name: str) -> None:
    def affinity(term: Any) -> Any:
        terms = [{"topologyKey": "zone", **term}]
        return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}

    for there, verdict in [({name: {}}, "identical"), ({}, "keep"), ({name: None}, "keep")]:
        before = pod(affinity=affinity(there))
        result = admitted(before, preset(affinity={"value": affinity({name: {}})}))
        assert result.only.verdict == verdict
