"""podward.dev presets: what is refused, and where it is said to be wrong."""

from typing import Any

import pytest
from tests.api.support import causes, made

from podward.api.kinds import podward_v1alpha1 as kinds

PROBE = {"tcpSocket": {"port": "http"}}


def preset(kind: type[Any] = kinds.PodPreset, **spec: Any) -> Any:
    return made(kind, {"spec": {"selector": {}, **spec}})


def section(**items: Any) -> dict[str, Any]:
    return {"containers": [items]}


GOOD: dict[str, Any] = {
    "selector": {"matchLabels": {"tier": "web"}},
    "priority": 10,
    "onConflict": "SkipPreset",
    "includeJobs": True,
    "terminationGracePeriodSeconds": {"mode": "floor", "value": 60},
    "volumes": [{"name": "v", "secret": {"secretName": "s"}}],
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    "env": [{"name": "9 bad", "value": "pods may have it today"}],
    "envFrom": [{"secretRef": {"name": "s"}}],
    "labels": {"a": "b"},
    "annotations": {"example.org/A": "any text"},
    "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}],
    "affinity": {"value": {}},
    "initContainers": [{"position": "last", "container": {"name": "i", "image": "i"}}],
    "sidecars": [{"name": "s", "image": "s", "readinessProbe": {"exec": {"command": ["a"]}}}],
    "containers": [
        {
            "match": {"class": "app", "names": ["web*"], "images": ["*/nginx:?"], "ports": ["http", 80]},
            "livenessProbe": {"mode": "override", "value": PROBE},
            "readinessProbe": {"value": {**PROBE, "successThreshold": 2}},
            "startupProbe": {"mode": "ifAbsent", "value": PROBE},
            "lifecycle": {"value": {"preStop": {"sleep": {"seconds": 5}}}},
            "resources": {"mode": "ceiling", "value": {"limits": {"cpu": "1"}}},
            "terminationMessagePolicy": {"mode": "ifDefault", "value": "FallbackToLogsOnError"},
            "env": [{"name": "B"}],
            "volumeMounts": [{"name": "v", "mountPath": "/w"}],
        }
    ],
}  # fmt: skip


def test_a_preset_with_everything_in_it_is_valid() -> None:
    assert causes(preset(**GOOD)) == []


@pytest.mark.parametrize("name", [name for name in GOOD if name not in (
    "selector", "priority", "onConflict", "includeJobs", "volumeMounts", "containers")])  # fmt: skip
def test_one_of_it_is_enough(name: str) -> None:
    assert causes(preset(**{name: GOOD[name]})) == []


def test_of_a_section_one_thing_is_enough() -> None:
    for name, item in GOOD["containers"][0].items():
        if name not in ("match", "volumeMounts"):
            assert causes(preset(**section(**{name: item}))) == []


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({}, ["spec"]),
        ({"selector": None, "labels": {"a": "b"}}, ["spec.selector"]),
        ({"env": []}, ["spec"]),
        ({"labels": {"a": "b"}, "namespaceSelector": {}}, ["spec.namespaceSelector"]),
        ({"labels": {"a": "b"}, "priority": 2**31}, ["spec.priority"]),
        ({"labels": {"a": "b"}, "priority": -(2**31)}, []),
        ({"labels": {"a": "b"}, "onConflict": "skipAll"}, ["spec.onConflict"]),
        (
            {
                "labels": {"a": "b"},
                "selector": {
                    "matchExpressions": [{"key": "z", "operator": "In", "values": ["no good!"]}]
                },
            },
            ["spec.selector.matchExpressions[0].values[0]"],
        ),
        ({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "1"}]}, ["spec.env[1].name"]),
        ({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}, ["spec.volumeMounts[0].name"]),
        ({"labels": {"a": "no good!"}}, ["spec.labels"]),
        ({"annotations": {"no good!": "b"}}, ["spec.annotations"]),
        ({"annotations": {"podward.dev/presets": "{}"}}, ["spec.annotations[podward.dev/presets]"]),
        (
            {"annotations": {"podpreset.admission.kubernetes.io/exclude": "true"}},
            ["spec.annotations[podpreset.admission.kubernetes.io/exclude]"],
        ),
        ({"tolerations": [{"key": "k", "operator": "Is"}]}, ["spec.tolerations[0].operator"]),
        ({"tolerations": [{"effect": "Go", "operator": "Exists"}]}, ["spec.tolerations[0].effect"]),
        (
            {"terminationGracePeriodSeconds": {"mode": "ifAbsent", "value": -1}},
            ["spec.terminationGracePeriodSeconds.mode", "spec.terminationGracePeriodSeconds.value"],
        ),
        (
            {"terminationGracePeriodSeconds": {"mode": "floor"}},
            ["spec.terminationGracePeriodSeconds.value"],
        ),
        ({"affinity": {"mode": "floor"}}, ["spec.affinity.mode", "spec.affinity.value"]),
        ({"containers": [{"match": {"class": "app"}}]}, ["spec.containers[0]"]),
    ],
)
def test_what_is_wrong_with_a_preset(spec: dict[str, Any], fields: list[str]) -> None:
    spec = {name: value for name, value in {"selector": {}, **spec}.items() if value is not None}
    found = causes(made(kinds.PodPreset, {"spec": spec}))
    assert [path for path, _ in found] == fields


@pytest.mark.parametrize(
    ("items", "fields"),
    [
        ({"match": {"class": "main"}}, ["match.class"]),
        ({"match": {"names": ["web*", "Web", ""]}}, ["match.names[1]", "match.names[2]"]),
        ({"match": {"images": ["a b", ""]}}, ["match.images[0]", "match.images[1]"]),
        ({"match": {"ports": [0, "80", "http"]}}, ["match.ports[0]", "match.ports[1]"]),
        ({"livenessProbe": {"mode": "ifDefault", "value": PROBE}}, ["livenessProbe.mode"]),
        ({"livenessProbe": {}}, ["livenessProbe.value"]),
        ({"livenessProbe": {"value": {}}}, ["livenessProbe.value"]),
        (
            {"livenessProbe": {"value": {**PROBE, "successThreshold": 2}}},
            ["livenessProbe.value.successThreshold"],
        ),
        (
            {"startupProbe": {"value": {**PROBE, "successThreshold": 2}}},
            ["startupProbe.value.successThreshold"],
        ),
        (
            {"readinessProbe": {"value": {**PROBE, "terminationGracePeriodSeconds": 5}}},
            ["readinessProbe.value.terminationGracePeriodSeconds"],
        ),
        (
            {"startupProbe": {"value": {**PROBE, "httpGet": {"port": 80}, "periodSeconds": -1}}},
            ["startupProbe.value.tcpSocket", "startupProbe.value.periodSeconds"],
        ),
        ({"lifecycle": {"value": {}}}, ["lifecycle.value"]),
        ({"lifecycle": {"value": {"preStop": {}}}}, ["lifecycle.value.preStop"]),
        ({"resources": {"mode": "ifDefault", "value": {}}}, ["resources.mode", "resources.value"]),
        (
            {"resources": {"value": {"limits": {"cpu": "a lot"}}}},
            ["resources.value.limits[cpu]"],
        ),
        ({"terminationMessagePolicy": {"value": "Both"}}, ["terminationMessagePolicy.value"]),
        ({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}, ["volumeMounts[0].name"]),
        ({"env": [{"name": "A"}, {"name": "A", "value": "1"}]}, ["env[1].name"]),
    ],
)
def test_what_is_wrong_with_a_section(items: dict[str, Any], fields: list[str]) -> None:
    found = causes(preset(**section(**{"envFrom": [{"secretRef": {"name": "s"}}], **items})))
    assert [path for path, _ in found] == [f"spec.containers[0].{field}" for field in fields]


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"initContainers": [{}]}, ["spec.initContainers[0].container"]),
        (
            {"initContainers": [{"position": "middle", "container": {"name": "i", "image": "i"}}]},
            ["spec.initContainers[0].position"],
        ),
        (
            {"initContainers": [{"container": {"name": "i", "image": "i", "livenessProbe": PROBE}}]},
            ["spec.initContainers[0].container.livenessProbe"],
        ),
        ({"sidecars": [{"name": "s", "image": "s", "livenessProbe": PROBE}]}, []),
        (
            {"sidecars": [{"name": "s", "image": "", "restartPolicy": "Never"}]},
            ["spec.sidecars[0].restartPolicy", "spec.sidecars[0].image"],
        ),
        (
            {
                "initContainers": [{"container": {"name": "s", "image": "i"}}],
                "sidecars": [{"name": "s", "image": "s"}],
            },
            ["spec.sidecars[0].name"],
        ),
        (
            {"sidecars": [{"name": "s", "image": "s", "volumeMounts": [{"name": "v", "mountPath": "/"}]}]},
            ["spec.sidecars[0].volumeMounts[0].name"],
        ),
    ],
    ids=["no container", "a position", "a probe of a container that ends", "a probe of a sidecar",
         "a sidecar that ends", "a name twice", "a volume of the Pod's"],
)  # fmt: skip
def test_what_is_wrong_with_an_injected_container(spec: dict[str, Any], fields: list[str]) -> None:
    assert [path for path, _ in causes(preset(**spec))] == fields


def test_a_preset_of_the_cluster_chooses_namespaces() -> None:
    chosen = {"namespaceSelector": {"matchLabels": {"team": "no good!"}}, "labels": {"a": "b"}}
    found = causes(preset(kinds.ClusterPodPreset, **chosen))
    assert [path for path, _ in found] == ["spec.namespaceSelector.matchLabels"]


def test_a_preset_needs_a_spec() -> None:
    assert causes(made(kinds.PodPreset, {})) == [("spec", "Required value")]
