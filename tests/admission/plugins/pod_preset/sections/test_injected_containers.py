"""initContainers and sidecars: containers that a Pod gets, once (spec/podpreset.md R11, W09, W10)."""

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

from podward.admission.plugins.pod_preset.model import PROVENANCE_ANNOTATION

HTTP = {"httpGet": {"port": 80}}
PROXY = {"name": "proxy", "image": "envoy:1", "env": [{"name": "A", "value": "1"}],
         "resources": {"limits": {"cpu": "1000m"}}}  # fmt: skip
AUTHORS = {"name": "own", "image": "busybox"}


def init(*names: str, position: str | None = None) -> list[Any]:
    where = {} if position is None else {"position": position}
    return [{"container": {"name": name, "image": "busybox"}, **where} for name in names]


def order(result: Any) -> list[str]:
    return [c["name"] for c in result.pod["spec"]["initContainers"]]


def test_first_is_the_default_and_keeps_the_written_order() -> None:
    items = [*init("a"), *init("z", position="last"), *init("b", position="first")]
    result = admitted(pod(initContainers=[AUTHORS]), preset(initContainers=items), checked=True)
    assert order(result) == ["a", "b", "own", "z"]
    assert [p.pointer for _, p in result.told] == [f"/spec/initContainers/{i}" for i in (0, 2, 1)]


def test_those_of_the_preset_that_comes_first_are_first() -> None:
    presets = [
        preset("p0", initContainers=[*init("a"), *init("z", position="last")]),
        preset("p1", initContainers=init("b")),
    ]
    result = admitted(pod(), *presets)
    assert order(result) == ["a", "b", "z"]
    assert admitted(result.pod, *presets).pod == result.pod


def test_sidecars_come_last_and_restart_always() -> None:
    result = admitted(
        pod(initContainers=[AUTHORS]), preset(sidecars=[PROXY], initContainers=init("a"))
    )
    assert order(result) == ["a", "own", "proxy"]
    assert result.container(2, "initContainers") == PROXY | {"restartPolicy": "Always"}
    assert "restartPolicy" not in PROXY
    assert errors(result.pod) == []


def test_what_goes_into_containers_goes_into_injected_ones() -> None:
    sections = {"livenessProbe": {"value": HTTP}, "terminationMessagePolicy": {"value": "X"}}
    result = admitted(pod(), preset(sidecars=[PROXY], **into({"class": "sidecar"}, **sections)))
    assert result.container(0, "initContainers")["livenessProbe"] == HTTP


def grown(document: Any) -> Any:
    """What defaulting, presets and other webhooks put into the proxy before the second call."""
    (proxy,) = document["spec"]["initContainers"]
    token = {"name": "token", "mountPath": "/var/run/secrets", "readOnly": True}
    proxy["volumeMounts"] = [token]
    proxy["env"] = [{"name": "TZ", "value": "UTC"}, *proxy["env"]]
    document["spec"]["volumes"] = [{"name": "token"}]
    return stored(document)


@pytest.mark.parametrize("provenance", [True, False])
def test_an_injected_container_that_has_grown_is_still_the_same(provenance: bool) -> None:
    one = preset(sidecars=[PROXY], **into({"names": ["proxy"]}, readinessProbe={"value": HTTP}))
    again = grown(admitted(pod(), one).pod)
    if not provenance:
        del again["metadata"]["annotations"][PROVENANCE_ANNOTATION]
    result = admitted(again, one)
    assert result.pod == again
    assert {verdict for _, verdict, _ in result.verdicts} == {"identical"}


@pytest.mark.parametrize(
    "change",
    [
        {"image": "envoy:2"},
        {"env": []},
        {"env": [{"name": "A", "value": "2"}]},
        {"restartPolicy": None},
        {"resources": {"limits": {"cpu": "2"}}},
        {"resources": {}},
    ],
)
def test_another_container_of_the_name_is_a_clash(change: Any) -> None:
    before = pod(initContainers=[PROXY | {"restartPolicy": "Always"} | change])
    result = admitted(before, preset(sidecars=[PROXY]), checked=True)
    assert result.conflicts == [("ops", "spec.initContainers[proxy]", None)]
    assert result.pod == before


@pytest.mark.parametrize(
    "change",
    [{}, {"resources": {"limits": {"cpu": "1"}}}, {"tty": False, "command": [], "args": ["-x"]}],
)
def test_the_same_container_in_other_words_is_none(change: Any) -> None:
    before = pod(initContainers=[PROXY | {"restartPolicy": "Always"} | change])
    result = admitted(before, preset(sidecars=[PROXY]))
    assert (result.only.verdict, result.pod) == ("identical", before)


def test_under_override_it_takes_the_place_of_the_pods_and_keeps_it() -> None:
    before = pod(initContainers=[PROXY | {"image": "mine"}, AUTHORS])
    one = preset("ops", "Override", sidecars=[PROXY])
    result = admitted(before, one)
    assert order(result) == ["proxy", "own"]
    assert result.container(0, "initContainers") == PROXY | {"restartPolicy": "Always"}
    assert admitted(result.pod, one).pod == result.pod


@pytest.mark.parametrize("where", ["containers", "ephemeralContainers"])
def test_a_name_may_be_taken_in_any_list(where: str) -> None:
    before = pod(PROXY) if where == "containers" else pod(ephemeralContainers=[PROXY])
    assert admitted(before, preset(sidecars=[PROXY])).conflicts != []
    overriding = admitted(before, preset("ops", "Override", sidecars=[PROXY]))
    assert overriding.pod == before
    assert overriding.only.reason == "nameTaken"


def test_two_presets_may_inject_the_same_container() -> None:
    presets = [preset("p0", sidecars=[PROXY]), preset("p1", sidecars=[PROXY])]
    result = admitted(pod(), *presets)
    assert [p.verdict for _, p in result.told] == ["add", "identical"]
    again = grown(result.pod)
    assert admitted(again, *presets).pod == again


def test_two_presets_may_not_inject_two_of_one_name() -> None:
    presets = [
        preset("p0", sidecars=[PROXY]),
        preset("p1", "Override", initContainers=init("proxy")),
    ]
    result = admitted(pod(), *presets)
    assert [holder for _, _, holder in result.conflicts] == [presets[0].id]
    assert admitted(result.pod, *presets).pod == result.pod


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("resources", {"mode": "override", "value": {"limits": {"cpu": "2"}}}),
        ("resources", {"mode": "floor", "value": {"limits": {"cpu": "2"}}}),
        ("livenessProbe", {"mode": "override", "value": HTTP}),
        ("terminationMessagePolicy", {"mode": "override", "value": "File"}),
    ],
)
def test_what_an_injected_container_says_is_its_presets_word(section: str, value: Any) -> None:
    proxy = PROXY | {"livenessProbe": {"tcpSocket": {"port": 1}}}
    proxy["terminationMessagePolicy"] = "FallbackToLogsOnError"
    presets = [
        preset("p0", sidecars=[proxy]),
        preset("p1", "Override", **into({"names": ["proxy"]}, **{section: value})),
    ]
    result = admitted(pod(), *presets)
    assert [holder for _, _, holder in result.conflicts] == [presets[0].id]
    assert result.container(0, "initContainers") == proxy | {"restartPolicy": "Always"}


def test_it_does_not_take_the_place_of_a_container_into_which_another_preset_put_things() -> None:
    presets = [
        preset("p0", **into({"names": ["own"]}, terminationMessagePolicy={"value": "X"})),
        preset("p1", "Override", initContainers=init("own")),
    ]
    before = pod(initContainers=[AUTHORS | {"image": "other"}])
    result = admitted(before, *presets)
    assert [holder for _, _, holder in result.conflicts] == [presets[0].id]
    assert result.container(0, "initContainers")["image"] == "other"


def test_a_preset_does_not_reach_what_a_later_one_injects_in_either_admission() -> None:
    presets = [
        preset("p0", **into(readinessProbe={"value": HTTP})),
        preset("p1", sidecars=[PROXY]),
        preset("p2", **into(livenessProbe={"value": HTTP})),
    ]
    once = stored(admitted(pod(), *presets).pod)
    proxy = once["spec"]["initContainers"][0]
    assert ("readinessProbe" in proxy, "livenessProbe" in proxy) == (False, True)
    assert admitted(once, *presets).pod == once


def test_a_container_of_another_webhook_is_reached_by_the_second_admission() -> None:
    one = preset(**into(readinessProbe={"value": HTTP}))
    once = admitted(pod(), one).pod
    once["spec"]["initContainers"] = [PROXY | {"restartPolicy": "Always"}]
    again = admitted(once, one)
    assert again.container(0, "initContainers")["readinessProbe"] == HTTP
    assert again.container() == once["spec"]["containers"][0]


def test_a_sidecar_whose_hook_sleeps_too_long_is_left_out() -> None:
    hooks = {"lifecycle": {"preStop": {"sleep": {"seconds": 40}}}}
    before = pod()
    result = admitted(before, preset(sidecars=[PROXY | hooks]))
    assert (result.only.verdict, result.only.reason) == ("skip", "longerThanGrace")
    assert result.pod == before


def test_false_is_a_word_where_absent_leaves_it_to_others() -> None:
    locked = PROXY | {"securityContext": {"allowPrivilegeEscalation": False}}
    before = pod(initContainers=[PROXY | {"restartPolicy": "Always"}])
    assert admitted(before, preset(sidecars=[locked])).only.verdict == "clash"


def test_a_sidecar_is_no_init_container_that_ends() -> None:
    before = pod(initContainers=[AUTHORS | {"restartPolicy": "Always"}])
    assert admitted(before, preset(initContainers=init("own"))).only.verdict == "clash"


def test_a_webhook_may_rewrite_what_was_injected() -> None:
    """A registry mirror does so with images; the provenance still says whose it is."""
    one = preset("ops", "Override", sidecars=[PROXY])
    once = admitted(pod(), one).pod
    once["spec"]["initContainers"][0]["image"] = "mirror/envoy:1"
    assert admitted(once, one).pod == once


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({"initContainers": [PROXY | {"restartPolicy": "Always", "image": "mine"}]},
         {"sidecars": [PROXY]}),
        ({"tolerations": [{"key": "a", "tolerationSeconds": 1}]},
         {"tolerations": [{"key": "a", "tolerationSeconds": 2}]}),
        ({}, {"labels": {"a": "1"}}),
        ({}, {"annotations": {"a": "1"}}),
    ],
    ids=["a container", "a toleration", "a label", "an annotation"],
)  # fmt: skip
def test_a_preset_that_was_left_out_stays_out_when_a_later_one_replaced_what_it_clashed_with(
    spec: Any, wanted: Any
) -> None:
    presets = [
        preset("p0", "SkipPreset", **wanted, terminationGracePeriodSeconds={"value": 60}),
        preset("p1", "Override", **wanted),
    ]
    before = pod(**spec)
    before["metadata"] |= {"labels": {"a": "2"}, "annotations": {"a": "2"}}
    once = admitted(before, *presets)
    assert [(name, holder) for name, _, holder in once.conflicts] == [("p0", None), ("p1", None)]
    again = admitted(stored(once.pod), *presets)
    assert again.pod == stored(once.pod)
    assert again.pod["spec"]["terminationGracePeriodSeconds"] == 30


def test_a_name_that_a_later_preset_took_is_no_clash_of_the_one_that_had_to_leave_it() -> None:
    hooks = {"lifecycle": {"preStop": {"sleep": {"seconds": 40}}}}
    presets = [
        preset("p0", "SkipPreset", sidecars=[PROXY | hooks], labels={"a": "1"}),
        preset("p1", sidecars=[PROXY]),
    ]
    once = admitted(pod(), *presets).pod
    again = admitted(once, *presets)
    assert again.pod == once
    assert again.conflicts == []
    assert ("spec.initContainers[proxy]", "skip", "laterPreset") in again.verdicts
