"""What a decoder refuses, in the words of a real one: fields it does not know, repeated names, wrong types."""

import json
from typing import Any

import pytest
from lightkube.models import core_v1

from podward.api import codec
from podward.api.errors import ApiStatusError
from podward.api.scheme import SCHEME

PODS = SCHEME.of_type(core_v1.Pod)
CANNOT = 'Pod in version "v1" cannot be handled as a Pod: '
HEAD = '"apiVersion": "v1", "kind": "Pod"'


def spec(text: str) -> bytes:
    """A Pod whose spec says `text`, for what a Python dict cannot hold."""
    return f'{{{HEAD}, "metadata": {{"name": "p"}}, "spec": {{{text}}}}}'.encode()


def container(**fields: Any) -> bytes:
    return spec(f'"containers": [{json.dumps({"name": "c", "image": "i", **fields})}]')


def refused(body: bytes, mode: codec.FieldValidation = "Strict", media: str = "") -> ApiStatusError:
    with pytest.raises(ApiStatusError) as caught:
        codec.decode(body, media, PODS, mode)
    return caught.value


def message(body: bytes, mode: codec.FieldValidation = "Strict") -> str:
    status = refused(body, mode).status
    assert (status.code, status.reason, status.status) == (400, "BadRequest", "Failure")
    return status.message or ""


UNKNOWN = [
    pytest.param(container(livenesProbe={}), ["spec.containers[0].livenesProbe"], id="a container"),
    pytest.param(spec('"color": 1, "containers": []'), ["spec.color"], id="the spec"),
    pytest.param(f'{{{HEAD}, "sepc": {{}}}}'.encode(), ["sepc"], id="the document"),
    pytest.param(
        f'{{{HEAD}, "metadata": {{"nmae": "p"}}}}'.encode(), ["metadata.nmae"], id="the metadata"
    ),
    pytest.param(
        container(livenessProbe={"exec": {"cmd": ["a"]}}),
        ["spec.containers[0].livenessProbe.exec.cmd"],
        id="a probe's handler",
    ),
    pytest.param(
        container(env=[{"name": "A"}, {"name": "B", "valeu": "1"}]),
        ["spec.containers[0].env[1].valeu"],
        id="the second of a list",
    ),
    pytest.param(container(Image="i"), ["spec.containers[0].Image"], id="another case"),
    pytest.param(
        container(one=1, two=2),
        ["spec.containers[0].one", "spec.containers[0].two"],
        id="two of one object",
    ),
]


@pytest.mark.parametrize(("body", "paths"), UNKNOWN)
def test_a_strict_decoder_names_the_fields_it_does_not_know(body: bytes, paths: list[str]) -> None:
    listed = ", ".join(f'unknown field "{path}"' for path in paths)
    assert message(body) == f"{CANNOT}strict decoding error: {listed}"


@pytest.mark.parametrize(("body", "paths"), UNKNOWN)
def test_a_warning_decoder_names_the_same_fields(body: bytes, paths: list[str]) -> None:
    _, warnings = codec.decode(body, "", PODS, "Warn")
    assert warnings == [f'unknown field "{path}"' for path in paths]


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"metadata": {"labels": {"any": "x", "thing": "y"}}}, id="labels"),
        pytest.param({"metadata": {"annotations": {"colour": "blue"}}}, id="annotations"),
        pytest.param({"spec": {"containers": [], "nodeSelector": {"disk": "ssd"}}}, id="selector"),
        pytest.param({"spec": {"containers": [], "overhead": {"cpu": "1"}}}, id="quantities"),
    ],
)
def test_the_keys_of_a_map_are_no_fields(document: dict[str, Any]) -> None:
    body = json.dumps({"apiVersion": "v1", "kind": "Pod", **document}).encode()
    assert codec.decode(body, "", PODS, "Strict")[1] == []


DUPLICATES = [
    pytest.param(
        spec('"restartPolicy": "Always", "restartPolicy": "Never", "containers": []'),
        ["spec.restartPolicy"],
        id="the spec",
    ),
    pytest.param(
        spec('"containers": [{"name": "a"}, {"name": "b", "image": "i", "name": "c"}]'),
        ["spec.containers[1].name"],
        id="the second of a list",
    ),
    pytest.param(
        f'{{{HEAD}, "metadata": {{"labels": {{"a": "1", "a": "2"}}}}}}'.encode(),
        ["metadata.labels.a"],
        id="a map's key",
    ),
    pytest.param(
        spec('"hostPID": true, "hostIPC": true, "hostPID": true, "hostIPC": true'),
        ["spec.hostPID", "spec.hostIPC"],
        id="two names",
    ),
    pytest.param(
        rb'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","n\u0061me":"b"}}',
        ["metadata.name"],
        id="one of them escaped",
    ),
]


@pytest.mark.parametrize(("body", "paths"), DUPLICATES)
def test_a_strict_decoder_names_what_was_given_twice(body: bytes, paths: list[str]) -> None:
    listed = ", ".join(f'duplicate field "{path}"' for path in paths)
    assert message(body) == f"{CANNOT}strict decoding error: {listed}"


def test_of_a_name_given_twice_the_last_counts() -> None:
    body = spec('"containers": [], "nodeName": "first", "nodeName": "second"')
    obj, warnings = codec.decode(body, "", PODS, "Warn")
    assert obj.spec.nodeName == "second"
    assert warnings == ['duplicate field "spec.nodeName"']


def test_colons_in_texts_are_no_names() -> None:
    assert codec.decode(container(args=['a":"b', 'a":"b']), "", PODS, "Strict")[1] == []


@pytest.mark.parametrize(
    "body", [row.values[0] for row in (*UNKNOWN, *DUPLICATES)], ids=lambda _: ""
)
def test_an_ignoring_decoder_reads_them_all_in_silence(body: bytes) -> None:
    obj, warnings = codec.decode(body, "", PODS, "Ignore")
    assert isinstance(obj, core_v1.Pod)
    assert warnings == []


@pytest.mark.parametrize("mode", ["Strict", "Warn", "Ignore"])
@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(
            container(livenessProbe={"periodSeconds": "5"}),
            "string into Go struct field Probe.spec.containers.livenessProbe.periodSeconds of type int32",
            id="text for a number",
        ),
        pytest.param(
            spec('"terminationGracePeriodSeconds": "30"'),
            "string into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64",
            id="text for a long number",
        ),
        pytest.param(
            spec('"hostNetwork": "yes"'),
            "string into Go struct field PodSpec.spec.hostNetwork of type bool",
            id="text for a truth",
        ),
        pytest.param(
            container(image=5),
            "number into Go struct field Container.spec.containers.image of type string",
            id="a number for text",
        ),
        pytest.param(
            container(env=[{"name": "A", "value": True}]),
            "bool into Go struct field EnvVar.spec.containers.env.value of type string",
            id="a truth for text",
        ),
    ],
)
def test_a_wrong_type_is_refused_in_gos_words(
    body: bytes, said: str, mode: codec.FieldValidation
) -> None:
    assert message(body, mode) == f"{CANNOT}json: cannot unmarshal {said}"


@pytest.mark.parametrize(
    "media",
    ["application/x-protobuf", "text/plain", "application/cbor", "image/png"],
)
def test_another_media_type_is_refused_as_such(media: str) -> None:
    status = refused(b"{}", media=media).status
    assert (status.code, status.reason) == (415, "UnsupportedMediaType")
    assert media in (status.message or "")


@pytest.mark.parametrize(
    ("version", "kind"), [("v1", "Node"), ("v2", "Pod"), ("apps/v1", "Pod"), ("v1", "pod")]
)
def test_another_kind_or_version_than_the_urls_is_refused(version: str, kind: str) -> None:
    body = json.dumps({"apiVersion": version, "kind": kind, "spec": {"containers": []}}).encode()
    said = message(body)
    assert version in said
    assert kind in said


def test_a_document_without_kind_is_what_the_url_says() -> None:
    obj, _ = codec.decode(b'{"metadata": {"name": "p"}}', "", PODS, "Strict")
    assert (type(obj), obj.metadata.name) == (core_v1.Pod, "p")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b'"text"',
        b"5",
        b"null",
        b'{"a": 1} {"b": 2}',
        b'{"a": "\xff"}',
    ],
)
def test_what_is_no_json_object_is_a_bad_request(body: bytes) -> None:
    assert message(body).startswith("couldn't get version/kind; json parse error: ")
