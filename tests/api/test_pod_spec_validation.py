"""Pods that are refused for what is not one container's fault (spec/health.md 1.2 and 1.3)."""

from typing import Any

import pytest
from lightkube.models import core_v1
from tests.api.support import Causes, causes, made, pod

from podward.api.errors import ApiStatusError
from podward.api.scheme import SCHEME
from podward.api.validation import validate_create

PODS = SCHEME.of_type(core_v1.Pod)
NO_INIT_PROBE = "Forbidden: may not be set for init containers without restartPolicy=Always"
EXEC = {"exec": {"command": ["true"]}}
HOOK = {"preStop": EXEC}
EVERY_HANDLER = {
    "lifecycle": HOOK,
    "livenessProbe": EXEC,
    "readinessProbe": EXEC,
    "startupProbe": EXEC,
}


def spec_causes(**spec: Any) -> Causes:
    return [(path.removeprefix("spec."), message) for path, message in causes(pod(**spec))]


def test_a_pod_without_containers_is_refused() -> None:
    assert causes(made(core_v1.Pod, {"spec": {"containers": []}})) == [
        ("spec.containers", "Required value")
    ]


def test_a_pod_without_a_spec_is_refused_as_one_without_containers() -> None:
    assert causes(made(core_v1.Pod, {})) == [("spec.containers", "Required value")]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"restartPolicy": "Sometimes"},
            [
                (
                    "restartPolicy",
                    'Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
                )
            ],
        ),
        (
            {"dnsPolicy": "Mine"},
            [
                (
                    "dnsPolicy",
                    'Unsupported value: "Mine": supported values: "ClusterFirstWithHostNet", '
                    '"ClusterFirst", "Default", "None"',
                )
            ],
        ),
        (
            {"activeDeadlineSeconds": 0},
            [
                (
                    "activeDeadlineSeconds",
                    "Invalid value: 0: must be between 1 and 2147483647, inclusive",
                )
            ],
        ),
        (
            {"activeDeadlineSeconds": 2**31},
            [
                (
                    "activeDeadlineSeconds",
                    "Invalid value: 2147483648: must be between 1 and 2147483647, inclusive",
                )
            ],
        ),
        ({"volumes": [{"name": ""}]}, [("volumes[0].name", "Required value")]),
        (
            {"volumes": [{"name": "v"}, {"name": "v"}]},
            [("volumes[1].name", 'Duplicate value: "v"')],
        ),
        (
            {"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]},
            [("volumes[0].hostPath", "Forbidden: may not specify more than 1 volume type")],
        ),
        (
            {"volumes": [{"name": "v", "hostPath": {"path": ""}}]},
            [("volumes[0].hostPath.path", "Required value")],
        ),
        (
            {"volumes": [{"name": "v", "hostPath": {"path": "/a/../b"}}]},
            [("volumes[0].hostPath.path", "Invalid value: \"/a/../b\": must not contain '..'")],
        ),
        (
            {"volumes": [{"name": "v", "hostPath": {"path": "/", "type": "Dir"}}]},
            [
                (
                    "volumes[0].hostPath.type",
                    'Unsupported value: "Dir": supported values: "", "BlockDevice", "CharDevice", '
                    '"Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"',
                )
            ],
        ),
        (
            {"volumes": [{"name": "v", "secret": {}}, {"name": "w", "configMap": {}}]},
            [
                ("volumes[0].secret.secretName", "Required value"),
                ("volumes[1].configMap.name", "Required value"),
            ],
        ),
        (
            {"volumes": [{"name": "v", "projected": {"sources": [
                {"serviceAccountToken": {"path": "", "expirationSeconds": 599}},
                {"serviceAccountToken": {"path": "../t", "expirationSeconds": 2**32 + 1}},
                {"serviceAccountToken": {"path": "t"}, "clusterTrustBundle": {"path": "/r"}},
            ]}}]},
            [
                (
                    "volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds",
                    "Invalid value: 599: may not specify a duration less than 10 minutes",
                ),
                ("volumes[0].projected.path", "Required value"),
                (
                    "volumes[0].projected.sources[1].serviceAccountToken.expirationSeconds",
                    "Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds",
                ),
                ("volumes[0].projected.path", "Invalid value: \"../t\": must not contain '..'"),
                (
                    "volumes[0].projected.sources[2].clusterTrustBundle",
                    "Required value: either name or signerName must be specified",
                ),
                (
                    "volumes[0].projected.sources[2].clusterTrustBundle.path",
                    'Invalid value: "/r": must be a relative path',
                ),
                (
                    "volumes[0].projected.sources[2]",
                    "Forbidden: may not specify more than 1 volume type",
                ),
            ],
        ),
    ],
    ids=[
        "a restart policy", "a DNS policy", "no time at all", "too much time", "a nameless volume",
        "two volumes of a name", "two sources", "no host path", "a way up", "a type of host path",
        "references without names", "projections of what the cluster makes",
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_spec(spec: dict[str, Any], expected: Causes) -> None:
    assert spec_causes(**spec) == expected


@pytest.mark.parametrize(
    "spec",
    [
        {"restartPolicy": "OnFailure", "activeDeadlineSeconds": 2**31 - 1},
        {"terminationGracePeriodSeconds": -5},
        {"terminationGracePeriodSeconds": 0},
        {"volumes": [{"name": "v", "hostPath": {"path": "/a..b/c", "type": "Socket"}}]},
        {"nodeSelector": {"disk": "ssd"}, "serviceAccountName": "a.b", "hostname": "h"},
    ],
    ids=["a deadline", "a negative grace", "no grace", "a host path", "names"],
)
def test_a_spec_that_is_valid(spec: dict[str, Any]) -> None:
    assert spec_causes(**spec) == []


def projected(*sources: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "v", "projected": {"sources": list(sources)}}]


def items(*paths: str) -> list[dict[str, Any]]:
    return [{"key": "k", "path": path} for path in paths]


ABOUT = {"fieldRef": {"fieldPath": "metadata.name"}}
TWICE = "conflicting duplicate paths"


@pytest.mark.parametrize(
    ("volumes", "expected"),
    [
        (projected({"secret": {}}), [("volumes[0].projected.sources[0].secret.name", "Required value")]),
        (
            projected({"secret": {"name": "s"}, "configMap": {"name": "c"}}),
            [("volumes[0].projected.sources[0]", "Forbidden: may not specify more than 1 volume type")],
        ),
        (
            projected({"configMap": {"name": "c", "items": items("../x")}}),
            [("volumes[0].projected.sources[0].configMap.items[0].path",
              "Invalid value: \"../x\": must not contain '..'")],
        ),
        (
            projected({"secret": {"name": "s", "items": items("a")}},
                      {"configMap": {"name": "c", "items": items("b", "a")}}),
            [("volumes[0].projected", f'Invalid value: "c": {TWICE}')],
        ),
        (
            projected({"secret": {"name": "s", "items": items("a")}},
                      {"downwardAPI": {"items": [{"path": "a", **ABOUT}]}}),
            [("volumes[0].projected", f'Invalid value: "a": {TWICE}')],
        ),
        (projected({"secret": {"name": "s"}}, {"configMap": {"name": "c"}}), []),
        (
            projected({"secret": {"name": "s", "items": items("a/b")}},
                      {"downwardAPI": {"items": [{"path": "a/c", **ABOUT}]}}),
            [],
        ),
    ],
    ids=["no name", "two in one", "a way up", "one path twice", "a field's path twice",
         "keys nobody knows yet", "neighbours"],
)  # fmt: skip
def test_what_is_wrong_with_the_sources_of_a_projected_volume(
    volumes: list[dict[str, Any]], expected: Causes
) -> None:
    assert spec_causes(volumes=volumes) == expected


def test_names_are_unique_among_all_containers() -> None:
    found = causes(pod({"name": "a"}, {"name": "a"}, initContainers=[{"name": "a", "image": "i"}]))
    assert found == [
        ("spec.containers[1].name", 'Duplicate value: "a"'),
        ("spec.initContainers[0].name", 'Duplicate value: "a"'),
    ]


@pytest.mark.parametrize("name", EVERY_HANDLER)
def test_a_plain_init_container_has_neither_probes_nor_hooks(name: str) -> None:
    init = {"name": "init", "image": "i", name: EVERY_HANDLER[name]}
    assert spec_causes(initContainers=[init]) == [(f"initContainers[0].{name}", NO_INIT_PROBE)]


def test_what_a_plain_init_container_may_not_have_is_told_in_order() -> None:
    init = {"name": "init", "image": "i", **EVERY_HANDLER}
    found = spec_causes(initContainers=[init])
    assert found == [(f"initContainers[0].{name}", NO_INIT_PROBE) for name in EVERY_HANDLER]


def test_a_sidecar_may_have_all_of_them() -> None:
    sidecar = {"name": "side", "image": "i", "restartPolicy": "Always", **EVERY_HANDLER}
    assert spec_causes(initContainers=[sidecar]) == []


def test_the_probes_of_a_sidecar_are_checked() -> None:
    sidecar = {"name": "side", "image": "i", "restartPolicy": "Always", "livenessProbe": {}}
    assert spec_causes(initContainers=[sidecar]) == [
        ("initContainers[0].livenessProbe", "Required value: must specify a handler type")
    ]


@pytest.mark.parametrize("name", ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"])
def test_an_ephemeral_container_has_neither_probes_nor_hooks(name: str) -> None:
    ephemeral = {"name": "debug", "image": "i", name: EVERY_HANDLER[name]}
    forbidden = (
        f"ephemeralContainers[0].{name}",
        "Forbidden: cannot be set for an Ephemeral Container",
    )
    assert forbidden in spec_causes(ephemeralContainers=[ephemeral])


def test_one_refusal_says_everything_once() -> None:
    bad = pod({"image": ""}, restartPolicy="X")
    with pytest.raises(ApiStatusError) as refused:
        validate_create(bad, PODS)
    policies = '"Always", "OnFailure", "Never"'
    assert refused.value.status.message == (
        'Pod "x" is invalid: [spec.containers[0].image: Required value, '
        f'spec.restartPolicy: Unsupported value: "X": supported values: {policies}]'
    )
    details = refused.value.status.details
    assert details is not None
    assert (details.name, details.kind, details.group) == ("x", "Pod", None)
    reasons = [cause.reason for cause in details.causes or []]
    assert reasons == ["FieldValueRequired", "FieldValueNotSupported"]
