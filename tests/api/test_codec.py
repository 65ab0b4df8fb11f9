"""Documents in and out: strictness, Go's idea of absence, canonical JSON."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from lightkube.models import coordination_v1, core_v1, meta_v1

from podward.api import codec
from podward.api.errors import ApiStatusError
from podward.api.scheme import SCHEME

PODS = SCHEME.of_type(core_v1.Pod)
EVENTS = SCHEME.of_type(core_v1.Event)


def pod(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}], **spec},
    }


def read(document: Any, validation: codec.FieldValidation = "Strict") -> tuple[Any, list[str]]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return codec.decode(body, "application/json", PODS, validation)


def refusal(document: Any, validation: codec.FieldValidation = "Strict") -> tuple[int, str]:
    with pytest.raises(ApiStatusError) as refused:
        read(document, validation)
    status = refused.value.status
    return status.code or 0, status.message or ""


def test_every_unknown_field_is_named_not_only_the_first() -> None:
    document = pod(colour="blue")
    document["spec"]["containers"][0]["imagePullPolcy"] = "Always"
    code, message = refusal(document)
    assert code == 400
    began, _, named = message.partition("strict decoding error: ")
    assert began == 'Pod in version "v1" cannot be handled as a Pod: '
    assert sorted(named.split(", ")) == [
        'unknown field "spec.colour"',
        'unknown field "spec.containers[0].imagePullPolcy"',
    ]


def test_warn_keeps_the_object_and_says_what_was_wrong() -> None:
    obj, warnings = read(pod(colour="blue"), "Warn")
    assert obj.spec.containers[0].name == "c"
    assert warnings == ['unknown field "spec.colour"']


def test_ignore_says_nothing() -> None:
    assert read(pod(colour="blue"), "Ignore")[1] == []


def test_a_name_given_twice_is_found_where_it_is() -> None:
    body = b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","name":"b"},"spec":{"containers":[]}}'
    assert 'duplicate field "metadata.name"' in refusal(body)[1]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"{", "couldn't get version/kind"),
        (b"[]", "not an object"),
        ({**pod(), "kind": "Node"}, "Node"),
        (pod(terminationGracePeriodSeconds="soon"), "cannot unmarshal string"),
        (pod(containers={"name": "c"}), "cannot unmarshal object"),
    ],
    ids=["broken JSON", "a list", "another kind", "text for a number", "an object for a list"],
)
def test_what_cannot_be_read_is_a_bad_request(document: Any, said: str) -> None:
    code, message = refusal(document)
    assert code == 400
    assert said in message


def test_null_is_absent_as_in_go() -> None:
    obj, _ = read(pod(nodeName=None, volumes=None))
    assert obj.spec.nodeName is None
    assert obj.spec.volumes is None


def test_a_quantity_may_be_a_number() -> None:
    document = pod()
    document["spec"]["containers"][0]["resources"] = {"limits": {"cpu": 2, "memory": "1Gi"}}
    obj, _ = read(document)
    assert obj.spec.containers[0].resources.limits == {"cpu": "2", "memory": "1Gi"}


def test_yaml_is_read_too() -> None:
    body = b"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: i}]}\n"
    obj, _ = codec.decode(body, "application/yaml; charset=utf-8", PODS, "Strict")
    assert obj.metadata.name == "p"


def test_protobuf_is_refused_for_kinds_that_no_client_sends_so() -> None:
    leases = SCHEME.of_type(coordination_v1.Lease)
    with pytest.raises(ApiStatusError) as refused:
        codec.decode(b"k8s\0", "application/vnd.kubernetes.protobuf", leases, "Strict")
    assert refused.value.status.code == 415


def test_what_was_encoded_reads_back_the_same() -> None:
    obj, _ = read(pod(restartPolicy="Never"))
    again = codec.decode_stored(codec.encode(obj), PODS)
    assert codec.encode(again) == codec.encode(obj)


def test_moments_are_whole_seconds_and_micro_times_have_six_digits() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    event = core_v1.Event(
        involvedObject=core_v1.ObjectReference(kind="Pod"),
        metadata=meta_v1.ObjectMeta(name="e", creationTimestamp=moment),
        eventTime=moment,
    )
    document = json.loads(codec.encode(event))
    assert document["metadata"]["creationTimestamp"] == "2026-01-02T03:04:05Z"
    assert document["eventTime"] == "2026-01-02T03:04:05.678901Z"
    assert document["firstTimestamp"] is None
    assert list(document)[:2] == ["apiVersion", "kind"]
