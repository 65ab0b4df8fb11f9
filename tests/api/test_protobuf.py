"""Objects in protobuf: what a Go client wrote, and whatever else may come."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightkube.models import core_v1

from podward.api.codec import decode
from podward.api.errors import ApiStatusError
from podward.api.protobuf import KINDS, MAGIC, MEDIA_TYPE, Unreadable, document
from podward.api.protobuf_pods import POD_MESSAGES
from podward.api.scheme import SCHEME


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def sent(api_version: str, kind: str, raw: bytes) -> bytes:
    envelope = field(1, field(1, api_version) + field(2, kind)) + field(2, raw)
    return MAGIC + envelope + field(3, "") + field(4, "")


def test_a_request_for_a_token() -> None:
    bound = field(1, "Pod") + field(2, "v1") + field(3, "web") + field(4, "u-1")
    spec = field(1, "a") + field(1, "b") + field(4, 600) + field(3, bound)
    body = sent("authentication.k8s.io/v1", "TokenRequest", field(1, b"") + field(2, spec))
    assert document(body, "TokenRequest") == {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
        "spec": {
            "audiences": ["a", "b"], "expirationSeconds": 600,
            "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "web", "uid": "u-1"},
        },
    }  # fmt: skip


def test_maps_times_flags_and_fields_of_later_versions() -> None:
    label = field(1, "k") + field(2, "v")
    metadata = (
        field(1, "m") + field(2, "") + field(8, field(1, 1767225600)) + field(11, label)
        + field(99, "later") + varint(98 << 3 | 1) + b"8 bytes." + varint(97 << 3 | 5) + b"four"
    )  # fmt: skip
    data = field(1, "key") + field(2, b"\x00\xff")
    body = sent("v1", "ConfigMap", field(1, metadata) + field(3, data) + field(4, 1))
    assert document(body, "ConfigMap") == {
        "apiVersion": "v1", "kind": "ConfigMap", "immutable": True, "binaryData": {"key": "AP8="},
        "metadata": {
            "name": "m", "labels": {"k": "v"}, "creationTimestamp": "2026-01-01T00:00:00Z",
        },
    }  # fmt: skip


def test_a_port_is_a_number_or_a_name() -> None:
    by_number = field(3, 80) + field(4, field(1, 0) + field(2, 8080) + field(3, "")) + field(5, 0)
    by_name = field(3, 81) + field(4, field(1, 1) + field(2, 0) + field(3, "web")) + field(5, 30081)
    neither = field(3, 82) + field(4, field(1, 0) + field(2, 0) + field(3, ""))
    spec = field(1, by_number) + field(1, by_name) + field(1, neither) + field(4, "NodePort")
    body = sent("v1", "Service", field(2, spec))
    assert document(body, "Service")["spec"] == {
        "type": "NodePort",
        "ports": [
            {"port": 80, "targetPort": 8080},
            {"port": 81, "targetPort": "web", "nodePort": 30081},
            {"port": 82},
        ],
    }


def test_a_pod_with_what_json_has_in_its_place() -> None:
    probe = field(1, field(1, field(1, "true"))) + field(2, 0) + field(4, 5) + field(7, 0)
    resources = field(1, field(1, "memory") + field(2, field(1, "1Gi")))
    variable = field(1, "V") + field(3, field(4, field(1, field(1, "s")) + field(2, "key")))
    container = (
        field(1, "a") + field(2, "busybox") + field(3, "sleep") + field(7, variable)
        + field(8, resources) + field(10, probe) + field(15, field(4, 0)) + field(16, 0) + field(18, 1)
    )  # fmt: skip
    volume = field(1, "v") + field(2, field(2, field(1, "Memory")))
    spec = field(1, volume) + field(2, container) + field(4, 0) + field(11, 0)
    body = sent(
        "v1", "Pod", field(1, field(1, "p")) + field(2, spec) + field(3, field(1, "Running"))
    )
    assert document(body, "Pod") == {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {
            "volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}],
            "containers": [{
                "name": "a", "image": "busybox", "command": ["sleep"], "tty": True,
                "env": [{"name": "V", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}}],
                "resources": {"limits": {"memory": "1Gi"}},
                "livenessProbe": {
                    "exec": {"command": ["true"]}, "periodSeconds": 5,
                    "terminationGracePeriodSeconds": 0,
                },
                "securityContext": {"runAsUser": 0},
            }],
            "terminationGracePeriodSeconds": 0,
        },
    }  # fmt: skip


def test_every_field_of_a_pod_is_one_that_it_has() -> None:
    checked = 0
    for name, fields in POD_MESSAGES.items():
        struct = getattr(core_v1, name, None)
        if struct is None:
            continue  # only in protobuf: JSON has its fields in another's place
        known = {f.encode_name for f in msgspec.structs.fields(struct)}
        told = {shown for shown, what in fields.values() if not what.startswith("*")}
        assert told <= known, name
        checked += 1
    assert checked > 90


def test_a_number_may_be_negative() -> None:
    spec = field(4, (1 << 64) - 5)
    body = sent("authentication.k8s.io/v1", "TokenRequest", field(2, spec))
    assert document(body, "TokenRequest")["spec"] == {"expirationSeconds": -5}


def test_the_codec_reads_it_as_it_reads_json() -> None:
    row = SCHEME.of_kind("rbac.authorization.k8s.io/v1", "Role")
    assert row is not None
    rule = field(1, "get") + field(2, "") + field(3, "pods")
    body = sent(row.api_version, "Role", field(1, field(1, "r")) + field(2, rule))
    role, warnings = decode(body, MEDIA_TYPE, row, "Strict")
    assert warnings == []
    assert role.metadata.name == "r"
    assert (role.rules[0].verbs, role.rules[0].apiGroups) == (["get"], [""])
    with pytest.raises(ApiStatusError) as refused:
        decode(b"k8s\x00\x0a\xff", MEDIA_TYPE, row, "Strict")
    assert refused.value.status.code == 400
    lease = SCHEME.of_kind("coordination.k8s.io/v1", "Lease")
    assert lease is not None
    with pytest.raises(ApiStatusError) as refused:
        decode(sent("coordination.k8s.io/v1", "Lease", b""), MEDIA_TYPE, lease, "Strict")
    assert refused.value.status.code == 415


@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=60))
def test_whatever_comes_is_read_or_refused(kind: str, raw: bytes) -> None:
    for body in (raw, MAGIC + raw, sent("v1", kind, raw)):
        try:
            assert isinstance(document(body, kind), dict)
        except Unreadable:
            pass
