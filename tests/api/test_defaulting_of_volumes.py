"""Defaults of volumes, Secrets and Namespaces; and the law of them all: twice is once."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightkube.models import core_v1

from podward.api import codec
from podward.api.defaults import set_defaults, volume_sources
from podward.api.scheme import SCHEME


def defaulted(document: dict[str, Any], kind: type[Any]) -> Any:
    obj = codec.decode_builtins(document, SCHEME.of_type(kind), "Strict")[0]
    return msgspec.to_builtins(set_defaults(obj))


def volume(**source: Any) -> dict[str, Any]:
    document = {"spec": {"containers": [], "volumes": [{"name": "v", **source}]}}
    found = defaulted(document, core_v1.Pod)["spec"]["volumes"][0]
    assert found.pop("name") == "v"
    assert isinstance(found, dict)
    return found


FIELD = {"path": "p", "fieldRef": {"fieldPath": "metadata.name"}}
FIELD_V1 = {"path": "p", "fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param({}, {"emptyDir": {}}, id="no source"),
        pytest.param({"emptyDir": {"medium": "Memory"}}, {"emptyDir": {"medium": "Memory"}}, id="tmpfs"),
        pytest.param(
            {"secret": {"secretName": "s"}},
            {"secret": {"secretName": "s", "defaultMode": 0o644}},
            id="a secret",
        ),
        pytest.param(
            {"configMap": {"name": "m"}},
            {"configMap": {"name": "m", "defaultMode": 0o644}},
            id="a config map",
        ),
        pytest.param(
            {"configMap": {"name": "m", "defaultMode": 0}},
            {"configMap": {"name": "m", "defaultMode": 0}},
            id="a mode of zero is a mode",
        ),
        pytest.param(
            {"hostPath": {"path": "/x"}}, {"hostPath": {"path": "/x", "type": ""}}, id="a host path"
        ),
        pytest.param(
            {"hostPath": {"path": "/x", "type": "File"}},
            {"hostPath": {"path": "/x", "type": "File"}},
            id="a host path's type",
        ),
        pytest.param(
            {"downwardAPI": {"items": [FIELD]}},
            {"downwardAPI": {"items": [FIELD_V1], "defaultMode": 0o644}},
            id="the downward API",
        ),
        pytest.param(
            {"projected": {"sources": [{"downwardAPI": {"items": [FIELD]}}]}},
            {"projected": {"sources": [{"downwardAPI": {"items": [FIELD_V1]}}], "defaultMode": 0o644}},
            id="the downward API, projected",
        ),
        pytest.param(
            {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            {
                "projected": {
                    "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
                    "defaultMode": 0o644,
                }
            },
            id="a token lives an hour",
        ),
        pytest.param(
            {"projected": {"sources": [{"secret": {"name": "s"}}]}},
            {"projected": {"sources": [{"secret": {"name": "s"}}], "defaultMode": 0o644}},
            id="a projected secret has no mode of its own",
        ),
    ],
)  # fmt: skip
def test_a_volume_is_completed(source: dict[str, Any], expected: dict[str, Any]) -> None:
    assert volume(**source) == expected


def test_the_field_of_a_variable_belongs_to_v1() -> None:
    reference = {"fieldRef": {"fieldPath": "metadata.name"}}
    containers = [{"name": "c", "env": [{"name": "N", "valueFrom": reference}]}]
    spec = defaulted({"spec": {"containers": containers}}, core_v1.Pod)["spec"]
    assert spec["containers"][0]["env"][0]["valueFrom"]["fieldRef"] == {
        "apiVersion": "v1",
        "fieldPath": "metadata.name",
    }


def test_the_sources_of_a_volume_are_those_that_are_set() -> None:
    both = core_v1.Volume(
        name="v",
        emptyDir=core_v1.EmptyDirVolumeSource(),
        hostPath=core_v1.HostPathVolumeSource(path="/"),
    )
    assert sorted(volume_sources(both)) == ["emptyDir", "hostPath"]


@pytest.mark.parametrize(
    ("secret", "data", "kind"),
    [
        ({}, None, "Opaque"),
        ({"type": "kubernetes.io/tls"}, None, "kubernetes.io/tls"),
        ({"stringData": {"a": "x"}}, {"a": "eA=="}, "Opaque"),
        ({"stringData": {"a": "ü"}}, {"a": "w7w="}, "Opaque"),
        ({"stringData": {"a": ""}}, {"a": ""}, "Opaque"),
        ({"data": {"a": "eQ==", "b": "eg=="}, "stringData": {"a": "x"}},
         {"a": "eA==", "b": "eg=="}, "Opaque"),
    ],
    ids=["nothing", "a type", "text", "text beyond ASCII", "empty text", "text wins over data"],
)  # fmt: skip
def test_texts_of_a_secret_become_data(
    secret: dict[str, Any], data: dict[str, str] | None, kind: str
) -> None:
    found = defaulted({"metadata": {"name": "s"}, **secret}, core_v1.Secret)
    assert found.get("data") == data
    assert found["type"] == kind
    assert "stringData" not in found


@pytest.mark.parametrize("labels", [{}, {"team": "a"}], ids=["no labels", "labels"])
def test_a_namespace_is_active_and_labelled_with_its_name(labels: dict[str, str]) -> None:
    found = defaulted({"metadata": {"name": "n", "labels": labels}}, core_v1.Namespace)
    assert found["status"] == {"phase": "Active"}
    assert found["metadata"]["labels"] == {**labels, "kubernetes.io/metadata.name": "n"}


def test_a_namespace_that_is_going_stays_so() -> None:
    document = {"metadata": {"name": "n"}, "status": {"phase": "Terminating"}}
    assert defaulted(document, core_v1.Namespace)["status"]["phase"] == "Terminating"


@pytest.mark.parametrize("kind", [core_v1.ConfigMap, core_v1.Event, core_v1.ServiceAccount])
def test_other_kinds_are_left_as_they_are(kind: type[Any]) -> None:
    resource = SCHEME.of_type(kind)
    obj = codec.decode_builtins({"metadata": {"name": "x"}}, resource, "Strict")[0]
    before = msgspec.to_builtins(obj)
    assert msgspec.to_builtins(set_defaults(obj)) == before


numbers = st.integers(-1, 5)
probes: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {},
    optional={
        "httpGet": st.just({"port": 80}),
        "grpc": st.just({"port": 80}),
        "initialDelaySeconds": numbers,
        "timeoutSeconds": numbers,
        "periodSeconds": numbers,
        "successThreshold": numbers,
        "failureThreshold": numbers,
    },
)
ports: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"containerPort": st.integers(0, 3)},
    optional={"hostPort": st.integers(0, 3), "protocol": st.sampled_from(["", "TCP", "UDP"])},
)
containers: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"name": st.just("c")},
    optional={
        "image": st.sampled_from(["", "i", "i:1", "i:latest", "r:5/i", "i@sha256:x"]),
        "imagePullPolicy": st.sampled_from(["", "Never"]),
        "livenessProbe": probes,
        "ports": st.lists(ports, max_size=2),
        "resources": st.fixed_dictionaries({}, optional={"limits": st.just({"cpu": "1"})}),
        "lifecycle": st.just({"preStop": {"httpGet": {"port": 80}}}),
    },
)
volumes: st.SearchStrategy[Any] = st.sampled_from(
    ["", "emptyDir", "secret", "downwardAPI", "projected"]
).map(lambda source: {"name": "v"} | ({source: {}} if source else {}))
pods: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "spec": st.fixed_dictionaries(
            {"containers": st.lists(containers, max_size=2)},
            optional={
                "initContainers": st.lists(containers, max_size=1),
                "volumes": st.lists(volumes, max_size=2),
                "hostNetwork": st.booleans(),
                "restartPolicy": st.sampled_from(["", "Never"]),
                "terminationGracePeriodSeconds": st.integers(-1, 5),
                "serviceAccount": st.sampled_from(["", "a"]),
                "serviceAccountName": st.sampled_from(["", "b"]),
            },
        )
    }
)
secrets: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "stringData": st.dictionaries(st.sampled_from("ab"), st.text(max_size=3), max_size=2),
        "data": st.dictionaries(st.sampled_from("ab"), st.just("eA=="), max_size=2),
    },
)


@given(
    st.tuples(st.just(core_v1.Pod), pods)
    | st.tuples(st.just(core_v1.Secret), secrets)
    | st.tuples(st.just(core_v1.Namespace), st.just({"metadata": {"name": "n"}}))
)
def test_doing_it_twice_is_doing_it_once(case: tuple[type[Any], dict[str, Any]]) -> None:
    kind, document = case
    once = defaulted(document, kind)
    assert defaulted(once, kind) == once
