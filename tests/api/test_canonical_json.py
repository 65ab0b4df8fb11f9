"""What is written: canonical JSON with Go's nulls and moments; what is read: Go's zero values."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightkube.models import coordination_v1, core_v1, meta_v1

from podward.api import codec
from podward.api.defaults import set_defaults
from podward.api.scheme import RESOURCES, SCHEME, Resource

PODS = SCHEME.of_type(core_v1.Pod)
EVENTS = SCHEME.of_type(core_v1.Event)


def read(document: dict[str, Any], resource: Resource = PODS) -> Any:
    return codec.decode_builtins(document, resource, "Strict")[0]


def written(obj: Any) -> dict[str, Any]:
    found = json.loads(codec.encode(obj))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda row: row.kind)
def test_every_kind_says_what_it_is_and_first(resource: Resource) -> None:
    obj = read({"metadata": {"name": "x"}}, resource)
    document = written(obj)
    assert list(document)[:2] == ["apiVersion", "kind"]
    assert (document["apiVersion"], document["kind"]) == (resource.api_version, resource.kind)
    assert codec.decode_stored(codec.encode(obj), resource).metadata.name == "x"


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), "2026-12-31T23:59:59Z"),
    ],
)
def test_a_time_is_cut_to_its_second(moment: datetime, text: str) -> None:
    pod = core_v1.Pod(
        metadata=meta_v1.ObjectMeta(creationTimestamp=moment, deletionTimestamp=moment),
        status=core_v1.PodStatus(startTime=moment),
    )
    document = written(pod)
    assert document["metadata"] == {"creationTimestamp": text, "deletionTimestamp": text}
    assert document["status"]["startTime"] == text


def test_the_moments_of_a_lease_have_six_digits() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 70, tzinfo=UTC)
    lease = coordination_v1.Lease(
        metadata=meta_v1.ObjectMeta(name="n"),
        spec=coordination_v1.LeaseSpec(acquireTime=moment, renewTime=moment),
    )
    text = "2026-01-02T03:04:05.000070Z"
    assert written(lease)["spec"] == {"acquireTime": text, "renewTime": text}


def test_an_event_series_is_seen_in_microseconds() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    event = core_v1.Event(
        involvedObject=core_v1.ObjectReference(),
        metadata=meta_v1.ObjectMeta(name="e"),
        lastTimestamp=moment,
        series=core_v1.EventSeries(count=2, lastObservedTime=moment),
    )
    document = written(event)
    assert document["series"]["lastObservedTime"] == "2026-01-02T03:04:05.000000Z"
    assert document["lastTimestamp"] == "2026-01-02T03:04:05Z"


def test_an_event_writes_the_fields_that_go_never_omits() -> None:
    document = written(read({"metadata": {"name": "e"}, "involvedObject": {}}, EVENTS))
    assert {k: v for k, v in document.items() if k not in ("apiVersion", "kind", "metadata")} == {
        "involvedObject": {},
        "source": {},
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": None,
        "reportingComponent": "",
        "reportingInstance": "",
    }


def test_a_condition_of_a_pod_writes_that_it_was_never_probed() -> None:
    condition = core_v1.PodCondition(type="Ready", status="True")
    document = written(core_v1.Pod(status=core_v1.PodStatus(conditions=[condition])))
    assert document["status"]["conditions"] == [
        {"type": "Ready", "status": "True", "lastProbeTime": None}
    ]


def test_a_pod_without_a_status_writes_an_empty_one() -> None:
    assert written(core_v1.Pod())["status"] == {}


@pytest.mark.parametrize(
    ("given_name", "kind"), [("v9", "Imposter"), ("", ""), (None, None)], ids=["wrong", "", "none"]
)
def test_what_an_object_calls_itself_does_not_matter(
    given_name: str | None, kind: str | None
) -> None:
    document = written(core_v1.ConfigMap(apiVersion=given_name, kind=kind))
    assert (document["apiVersion"], document["kind"]) == ("v1", "ConfigMap")


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({}, ("", None)),
        ({"name": None, "image": None}, ("", None)),
        ({"name": "c", "image": ""}, ("c", "")),
    ],
    ids=["absent", "null", "empty"],
)
def test_required_text_that_is_absent_is_empty(
    container: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    read_back = read({"spec": {"containers": [container]}}).spec.containers[0]
    assert (read_back.name, read_back.image) == expected


@pytest.mark.parametrize(
    ("handler", "port"),
    [
        ({"httpGet": {}}, 0),
        ({"httpGet": {"port": "web"}}, "web"),
        ({"httpGet": {"port": 80}}, 80),
        ({"tcpSocket": {}}, 0),
        ({"grpc": {}}, 0),
    ],
    ids=["no port", "a name", "a number", "tcp", "grpc"],
)
def test_a_port_is_a_number_or_a_name_and_zero_if_absent(
    handler: dict[str, Any], port: int | str
) -> None:
    probe = read({"spec": {"containers": [{"name": "c", "livenessProbe": handler}]}}).spec
    action = getattr(probe.containers[0].livenessProbe, next(iter(handler)))
    assert action.port == port


def test_a_time_with_an_offset_is_the_same_moment() -> None:
    text = "2026-01-02T05:04:05+02:00"
    obj = read({"metadata": {"name": "p", "creationTimestamp": text}})
    zone = timezone(timedelta(hours=2))
    assert obj.metadata.creationTimestamp == datetime(2026, 1, 2, 5, 4, 5, tzinfo=zone)


names = st.text("abc-.", min_size=1, max_size=6)
texts = st.text(max_size=8)
probes = st.fixed_dictionaries(
    {"exec": st.fixed_dictionaries({"command": st.lists(texts, min_size=1, max_size=2)})},
    optional={"periodSeconds": st.integers(0, 100), "failureThreshold": st.integers(0, 9)},
)
containers = st.fixed_dictionaries(
    {"name": names},
    optional={
        "image": texts,
        "args": st.lists(texts, max_size=2),
        "env": st.lists(st.fixed_dictionaries({"name": names, "value": texts}), max_size=2),
        "livenessProbe": probes,
        "resources": st.fixed_dictionaries({"limits": st.just({"cpu": "100m"})}),
    },
)
pods = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {"name": names}, optional={"labels": st.dictionaries(texts, texts, max_size=2)}
        ),
        "spec": st.fixed_dictionaries(
            {"containers": st.lists(containers, max_size=2)},
            optional={
                "restartPolicy": st.sampled_from(["Always", "Never"]),
                "terminationGracePeriodSeconds": st.integers(0, 2**40),
            },
        ),
    }
)


@given(pods)
def test_a_pod_survives_the_store(document: dict[str, Any]) -> None:
    pod = set_defaults(read(document))
    stored = codec.encode(pod)
    assert codec.encode(codec.decode_stored(stored, PODS)) == stored


@given(pods)
def test_what_was_written_passes_the_strictest_reader(document: dict[str, Any]) -> None:
    stored = codec.encode(set_defaults(read(document)))
    again, warnings = codec.decode(stored, "application/json", PODS, "Strict")
    assert warnings == []
    assert codec.encode(set_defaults(again)) == stored
