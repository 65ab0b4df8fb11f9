"""Containers that are refused: the field, and the words."""

from typing import Any

import pytest
from tests.api.support import Causes, causes, pod

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
    "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  "
    "or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
ENV = "a valid environment variable name must consist only of printable ASCII characters other than '='"
RANGE = "must be between 1 and 65535, inclusive"


def container_causes(container: dict[str, Any], **spec: Any) -> Causes:
    """Paths below the first container."""
    root = "spec.containers[0]."
    return [(path.removeprefix(root), message) for path, message in causes(pod(container, **spec))]


CASES: list[tuple[str, dict[str, Any], Causes]] = [
    ("no name", {"name": ""}, [("name", "Required value")]),
    ("a capital", {"name": "Web"}, [("name", f'Invalid value: "Web": {LABEL}')]),
    ("a dot", {"name": "a.b"}, [("name", f'Invalid value: "a.b": {LABEL}')]),
    (
        "a long name",
        {"name": "a" * 64},
        [("name", f'Invalid value: "{"a" * 64}": must be no more than 63 characters')],
    ),
    ("no image", {"image": ""}, [("image", "Required value")]),
    (
        "a blank before the image",
        {"image": " busybox"},
        [("image", 'Invalid value: " busybox": must not have leading or trailing whitespace')],
    ),
    (
        "a pull policy",
        {"imagePullPolicy": "Sometimes"},
        [
            (
                "imagePullPolicy",
                'Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"',
            )
        ],
    ),
    ("a port of zero", {"ports": [{}]}, [("ports[0].containerPort", "Required value")]),
    (
        "ports out of range",
        {"ports": [{"containerPort": 65536, "hostPort": -1}]},
        [
            ("ports[0].containerPort", f"Invalid value: 65536: {RANGE}"),
            ("ports[0].hostPort", f"Invalid value: -1: {RANGE}"),
        ],
    ),
    (
        "a protocol",
        {"ports": [{"containerPort": 1, "protocol": "tcp"}]},
        [("ports[0].protocol", 'Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"')],
    ),
    (
        "a port's name",
        {"ports": [{"containerPort": 1, "name": "8080"}]},
        [("ports[0].name", 'Invalid value: "8080": must contain at least one letter (a-z)')],
    ),
    (
        "two ports of a name",
        {"ports": [{"containerPort": 1, "name": "web"}, {"containerPort": 2, "name": "web"}]},
        [("ports[1].name", 'Duplicate value: "web"')],
    ),
    ("a variable without a name", {"env": [{"value": "1"}]}, [("env[0].name", "Required value")]),
    (
        "an equals sign in a variable",
        {"env": [{"name": "OK"}, {"name": "A=B"}]},
        [("env[1].name", f'Invalid value: "A=B": {ENV}')],
    ),
    (
        "a variable beyond ASCII",
        {"env": [{"name": "ü"}]},
        [("env[0].name", f'Invalid value: "ü": {ENV}')],
    ),
    (
        "a value and a source",
        {
            "env": [
                {
                    "name": "A",
                    "value": "1",
                    "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
                }
            ]
        },
        [
            (
                "env[0].valueFrom",
                'Invalid value: "": may not be specified when `value` is not empty',
            )
        ],
    ),
    (
        "two sources of a variable",
        {
            "env": [
                {
                    "name": "A",
                    "valueFrom": {
                        "configMapKeyRef": {"name": "m", "key": "k"},
                        "secretKeyRef": {"name": "s", "key": "k"},
                    },
                }
            ]
        },
        [
            (
                "env[0].valueFrom",
                'Invalid value: "": may not have more than one field specified at a time',
            )
        ],
    ),
    (
        "a reference without its key",
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]},
        [("env[0].valueFrom.secretKeyRef.key", "Required value")],
    ),
    (
        "a key that is no key",
        {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "a/b"}}}]},
        [("env[0].valueFrom.configMapKeyRef.key", f'Invalid value: "a/b": {KEY}')],
    ),
    (
        "an empty field path",
        {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": ""}}}]},
        [("env[0].valueFrom.fieldRef.fieldPath", "Required value")],
    ),
    (
        "an empty resource",
        {"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {}}}]},
        [("env[0].valueFrom.resourceFieldRef.resource", "Required value")],
    ),
    (
        "a map without a name for all variables",
        {"envFrom": [{"configMapRef": {}}]},
        [("envFrom[0].configMapRef.name", "Required value")],
    ),
    (
        "a secret without a name for all variables",
        {"envFrom": [{"secretRef": {"name": "s"}}, {"secretRef": {}}]},
        [("envFrom[1].secretRef.name", "Required value")],
    ),
    (
        "a prefix",
        {"envFrom": [{"prefix": "A=", "secretRef": {"name": "s"}}]},
        [("envFrom[0].prefix", f'Invalid value: "A=": {ENV}')],
    ),
    (
        "a mount without a volume",
        {"volumeMounts": [{"name": "none", "mountPath": "/x"}]},
        [("volumeMounts[0].name", 'Not found: "none"')],
    ),
    (
        "a mount without a path",
        {"volumeMounts": [{"name": "v", "mountPath": ""}]},
        [("volumeMounts[0].mountPath", "Required value")],
    ),
    (
        "two mounts of a path",
        {"volumeMounts": [{"name": "v", "mountPath": "/x"}, {"name": "v", "mountPath": "/x"}]},
        [("volumeMounts[1].mountPath", 'Invalid value: "/x": must be unique')],
    ),
    (
        "two ways to a path below",
        {"volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "a", "subPathExpr": "b"}]},
        [
            (
                "volumeMounts[0].subPathExpr",
                'Invalid value: "b": subPathExpr and subPath are mutually exclusive',
            )
        ],
    ),
    (
        "a source of all variables that is none",
        {"envFrom": [{"secretRef": {"name": "s"}}, {}]},
        [("envFrom", 'Invalid value: "": must specify one of: `configMapRef` or `secretRef`')],
    ),
    (
        "a way out of a volume",
        {"volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "/a/../b"}]},
        [
            ("volumeMounts.subPath", 'Invalid value: "/a/../b": must be a relative path'),
            ("volumeMounts.subPath", "Invalid value: \"/a/../b\": must not contain '..'"),
        ],
    ),
    (
        "mounts that would be seen outside",
        {"volumeMounts": [{"name": "v", "mountPath": "/x", "mountPropagation": "Bidirectional"}]},
        [
            (
                "volumeMounts.mountPropagation",
                "Forbidden: Bidirectional mount propagation is available only to privileged "
                "containers",
            )
        ],
    ),
    (
        "what is below made read-only, and the mount not",
        {
            "volumeMounts": [
                {
                    "name": "v",
                    "mountPath": "/x",
                    "recursiveReadOnly": "IfPossible",
                    "mountPropagation": "HostToContainer",
                },
                {"name": "v", "mountPath": "/y", "recursiveReadOnly": "Disabled"},
                {"name": "v", "mountPath": "/z", "readOnly": True, "recursiveReadOnly": "Perhaps"},
            ]
        },
        [
            (
                "volumeMounts.recursiveReadOnly",
                "Forbidden: may only be specified when readOnly is true",
            ),
            (
                "volumeMounts.recursiveReadOnly",
                "Forbidden: may only be specified when mountPropagation is None or not specified",
            ),
            (
                "volumeMounts.recursiveReadOnly",
                'Unsupported value: "Perhaps": supported values: "Disabled", "Enabled", "IfPossible"',
            ),
        ],
    ),
    (
        "a mount where a device is",
        {
            "volumeMounts": [{"name": "v", "mountPath": "/x"}],
            "volumeDevices": [{"name": "v", "devicePath": "/x"}],
        },
        [
            (
                "volumeMounts[0].mountPath",
                'Invalid value: "/x": must not already exist in volumeDevices',
            )
        ],
    ),
    (
        "a field that cannot be a variable",
        {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]},
        [
            (
                "env[0].valueFrom.fieldRef.fieldPath",
                'Unsupported value: "status.phase": supported values: "metadata.name", '
                '"metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", '
                '"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"',
            )
        ],
    ),
    (
        "one of a field that has no parts",
        {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name['a']"}}}]},
        [
            (
                "env[0].valueFrom.fieldRef.fieldPath",
                "Invalid value: \"metadata.name['a']\": error converting fieldPath: field label does "
                "not support subscript: metadata.name['a']",
            )
        ],
    ),
    (
        "a negative amount",
        {"resources": {"requests": {"cpu": "-1"}}},
        [
            (
                "resources.requests[cpu]",
                'Invalid value: "-1": must be greater than or equal to 0',
            )
        ],
    ),
    (
        "more asked for than allowed",
        {"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}},
        [
            (
                "resources.requests",
                'Invalid value: "2Gi": must be less than or equal to memory limit of 1Gi',
            )
        ],
    ),
]


@pytest.mark.parametrize(
    ("container", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_is_wrong_with_a_container(container: dict[str, Any], expected: Causes) -> None:
    assert container_causes(container, volumes=[{"name": "v"}]) == expected


@pytest.mark.parametrize(
    "container",
    [
        {"name": "0"},
        {"name": "a" * 63},
        {"ports": [{"containerPort": 65535, "hostPort": 1, "protocol": "SCTP", "name": "a-1"}]},
        {"ports": [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]},
        {"env": [{"name": "1 any-thing.printable"}, {"name": "A"}, {"name": "A", "value": "2"}]},
        {"envFrom": [{"configMapRef": {"name": "m"}}, {"prefix": "P", "secretRef": {"name": "s"}}]},
        {"volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "a/b..c"}]},
        {
            "securityContext": {"privileged": True},
            "volumeMounts": [{"name": "v", "mountPath": "/x", "mountPropagation": "Bidirectional"}],
        },
        {
            "volumeMounts": [
                {"name": "v", "mountPath": "/x", "readOnly": True, "recursiveReadOnly": "Enabled",
                 "mountPropagation": "None"}
            ]
        },
        {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a/b']"}}}]},
        {"resources": {"requests": {"cpu": "1000m"}, "limits": {"cpu": "1"}}},
        {"resources": {"requests": {"cpu": "0"}}},
        {"terminationMessagePolicy": "FallbackToLogsOnError"},
        {"args": [""], "command": [], "workingDir": "anything", "tty": True},
    ],
    ids=["a digit", "a long name", "a port", "a port of two protocols", "variables",
         "variables of maps", "a path below", "a privileged mount", "read-only below", "a label",
         "as much as allowed", "nothing", "logs", "the rest"],
)  # fmt: skip
def test_a_container_that_is_valid(container: dict[str, Any]) -> None:
    assert container_causes(container, volumes=[{"name": "v"}]) == []


def test_of_many_containers_the_wrong_one_is_named() -> None:
    obj = pod({}, {"image": ""}, {}, initContainers=[{"name": "i"}])
    assert causes(obj) == [
        ("spec.containers[1].image", "Required value"),
        ("spec.initContainers[0].image", "Required value"),
    ]
