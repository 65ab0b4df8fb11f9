"""settings.k8s.io presets: what a server of 1.19 refused, in its order and with its odd field paths."""

from typing import Any

import pytest
from tests.api.support import Causes, causes, made, update_causes

from podward.api.kinds import settings_v1alpha1
from podward.api.validation.pod_preset import settings_problems

NOTHING = ("spec.volumes.env.envFrom.volumeMounts", "Required value: must specify at least one")
SOURCE = "must specify one of: `configMapRef` or `secretRef`"
TWO = "may not have more than one field specified at a time"
A = {"name": "A", "value": "1"}
NAME_OF_53 = "n" * 53


def preset(name: str = "cal", **spec: Any) -> settings_v1alpha1.PodPreset:
    found = made(settings_v1alpha1.PodPreset, {"metadata": {"name": name}, "spec": spec})
    assert isinstance(found, settings_v1alpha1.PodPreset)
    return found


def selecting(*expressions: dict[str, Any], **labels: str) -> dict[str, Any]:
    return {"matchLabels": labels, "matchExpressions": list(expressions)}


@pytest.mark.parametrize(
    "spec",
    [
        {"env": []},
        {"env": [A, {"name": "A", "value": "2"}]},
        {"env": [A], "selector": {}},
        {"env": [A], "selector": selecting({"key": "z", "operator": "In", "values": ["no good!"]})},
        {"env": [A], "selector": selecting({"key": "z", "operator": "Exists"}, zone="west")},
        {"volumes": [{"name": "v"}]},
        {"envFrom": [{"prefix": "P_", "configMapRef": {"name": "m"}}]},
        {
            "volumes": [{"name": "h", "hostPath": {"path": "/h"}}],
            "volumeMounts": [{"name": "h", "mountPath": "/h", "mountPropagation": "Bidirectional"}],
        },
        {
            "volumes": [{"name": "v"}],
            "volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}],
        },
    ],
    ids=["V02 an empty list", "V06 a name twice", "V08 an empty selector", "V13 a value no label has",
         "a selector", "a volume without a mount", "a prefix", "a propagation that few Pods may have",
         "two mounts of a volume"],
)  # fmt: skip
def test_what_was_stored(spec: dict[str, Any]) -> None:
    assert causes(preset(**spec)) == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, [NOTHING]),
        ({"volumeMounts": [{"name": "own", "mountPath": "/x"}]},
         [("spec.volumeMounts[0].name", 'Not found: "own"')]),
        ({"volumes": [{"name": "a"}, {"name": "b"}],
          "volumeMounts": [{"name": "a", "mountPath": "/x"}, {"name": "b", "mountPath": "/x"}]},
         [("spec.volumeMounts[1].mountPath", 'Invalid value: "/x": must be unique')]),
        ({"env": [A], "selector": selecting({"key": "zone", "operator": "In"})},
         [("spec.selector.matchExpressions[0].values",
           "Required value: must be specified when `operator` is 'In' or 'NotIn'")]),
        ({"env": [A], "selector": selecting({"key": "z", "operator": "Exists", "values": ["a"]})},
         [("spec.selector.matchExpressions[0].values",
           "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'")]),
        ({"env": [A], "selector": selecting({"key": "zone", "operator": "Gt", "values": ["a"]})},
         [("spec.selector.matchExpressions[0].operator",
           'Invalid value: "Gt": not a valid selector operator')]),
        ({"envFrom": [{}]}, [("spec.envFrom", f'Invalid value: "": {SOURCE}')]),
        ({"envFrom": [{"configMapRef": {"name": "m"}}, {"configMapRef": {}, "secretRef": {"name": "s"}}]},
         [("spec.envFrom[1].configMapRef.name", "Required value"),
          ("spec.envFrom", f'Invalid value: "": {TWO}')]),
        ({"env": [{"name": "A", "value": "1", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
         [("spec.env[0].valueFrom",
           'Invalid value: "": may not be specified when `value` is not empty')]),
        ({"env": [{"name": "..A"}]},
         [("spec.env[0].name", 'Invalid value: "..A": must not start with \'..\'')]),
        ({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nope"}}}]},
         [("spec.env[0].valueFrom.fieldRef.fieldPath",
           'Invalid value: "spec.nope": error converting fieldPath: field label not supported: spec.nope')]),
        ({"volumes": [{"name": "v", "emptyDir": {}, "secret": {"secretName": "s"}}],
          "volumeMounts": [{"name": "v", "mountPath": "/x"}]},
         [("spec.volumes[0].secret", "Forbidden: may not specify more than 1 volume type"),
          ("spec.volumeMounts[0].name", 'Not found: "v"')]),
        ({"volumes": [{"name": "v"}, {"name": "v", "persistentVolumeClaim": {}}]},
         [("spec.volumes[1].persistentVolumeClaim.claimName", "Required value"),
          ("spec.volumes[1].name", 'Duplicate value: "v"')]),
        ({"volumes": [{"name": "v"}],
          "volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "../y"}]},
         [("spec.volumeMounts.subPath", 'Invalid value: "../y": must not contain \'..\'')]),
        ({"volumes": [{"name": "v"}],
          "volumeMounts": [{"name": "v", "mountPath": "/x", "mountPropagation": "Some"}]},
         [("spec.volumeMounts.mountPropagation",
           'Unsupported value: "Some": supported values: "Bidirectional", "HostToContainer", "None"')]),
    ],
    ids=["V01 nothing", "V03 a volume of somebody else", "V04 a path twice", "V09 In without values",
         "Exists with values", "V11 an unknown operator", "envFrom without a source",
         "envFrom with two sources", "a value from two places", "a name that leads up",
         "a field that is none", "a volume with two sources", "a volume's name twice",
         "a way out of the volume", "an unknown propagation"],
)  # fmt: skip
def test_what_was_refused(spec: dict[str, Any], expected: Causes) -> None:
    assert causes(preset(**spec)) == expected


@pytest.mark.parametrize("name", ["9 bad", "9A", "a b", "A="])
def test_a_variable_is_called_as_it_had_to_be_then(name: str) -> None:
    ((path, message),) = causes(preset(env=[{"name": name}]))
    assert path == "spec.env[0].name"
    assert message.startswith(f'Invalid value: "{name}": a valid environment variable name must')


def test_labels_of_the_selector_are_checked() -> None:
    ((path, message),) = causes(preset(env=[A], selector=selecting(zone="no good!")))
    assert path == "spec.selector.matchLabels"
    assert message.startswith('Invalid value: "no good!"')


def test_the_name_is_a_subdomain() -> None:
    ((path, _),) = causes(preset("Cal_X", env=[A]))
    assert path == "metadata.name"


def test_everything_wrong_is_told_in_order() -> None:
    found = causes(
        preset(
            "Cal_X",
            selector=selecting({"key": "z", "operator": "In"}),
            volumes=[{"name": "V"}],
            env=[{"name": ""}],
            envFrom=[{}],
            volumeMounts=[{"name": "V", "mountPath": ""}],
        )
    )
    assert [path for path, _ in found] == [
        "metadata.name",
        "spec.selector.matchExpressions[0].values",
        "spec.volumes[0].name",
        "spec.env[0].name",
        "spec.envFrom",
        "spec.volumeMounts[0].name",
        "spec.volumeMounts[0].mountPath",
    ]


def test_an_update_is_checked_like_a_create() -> None:
    assert update_causes(preset(), preset(env=[A])) == [NOTHING]
    assert update_causes(preset(env=[A]), preset(env=[A])) == []


# ---- what safe mode refuses as well


@pytest.mark.parametrize(
    ("name", "spec", "fields"),
    [
        (NAME_OF_53, {"env": [A]}, []),
        (NAME_OF_53 + "n", {"env": [A]}, ["metadata.name"]),
        ("cal", {"env": [], "volumes": []}, ["spec.volumes.env.envFrom.volumeMounts"]),
        ("cal", {"env": [A], "volumes": []}, []),
        ("cal", {}, []),
        (
            "cal",
            {
                "env": [A],
                "selector": selecting(
                    {"key": "z", "operator": "In", "values": ["a", ""]},
                    {"key": "z", "operator": "NotIn", "values": ["a", "no good!", "b c"]},
                ),
            },
            [
                "spec.selector.matchExpressions[1].values[1]",
                "spec.selector.matchExpressions[1].values[2]",
            ],
        ),
    ],
    ids=["F07 the longest name", "F06 a longer one", "V02 empty lists", "one empty list",
         "V01 is no matter of mode", "V13 values that no label has"],
)  # fmt: skip
def test_what_was_stored_to_sorrow(name: str, spec: dict[str, Any], fields: list[str]) -> None:
    assert [error.field for error in settings_problems(preset(name, **spec))] == fields
