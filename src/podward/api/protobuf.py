"""Objects that a client sends as protobuf. Pure.

Since 1.32 kubectl speaks protobuf wherever it knows a kind at compile time: `create token`, `auth can-i`,
`create role`, `create configmap`, `debug --copy-to`. It reads JSON all the same, so only this direction is
needed, for the kinds that such commands send. The tables have the field numbers of Kubernetes' generated.proto
files; numbers never change there. What is not in them (a later field) is passed over, as every protobuf reader
does.
"""

import base64
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from podward.api.protobuf_pods import POD_MESSAGES

MAGIC: Final = b"k8s\x00"
"""Before the envelope: type, and the object's own message."""
MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"

Fields = Mapping[int, tuple[str, str]]
"""Number -> (JSON name, what it is). That is `text`, `int`, `bool`, `bytes`, `time`, a message's name, `map` or
`bytes-map` (text to text or bytes), `number` and `flag` (an int and a bool of which 0 is none), `port` (a
number or a name), `quantity`, `quantity-map`, or one of these in a list: `[text]`. `*X`: in JSON, what X has
stands here."""

_METADATA: Final[Fields] = {
    1: ("name", "text"), 2: ("generateName", "text"), 3: ("namespace", "text"),
    5: ("uid", "text"), 6: ("resourceVersion", "text"), 8: ("creationTimestamp", "time"),
    11: ("labels", "map"), 12: ("annotations", "map"), 13: ("ownerReferences", "[Owner]"),
    14: ("finalizers", "[text]"),
}  # fmt: skip
_MESSAGES: Final[Mapping[str, Fields]] = {
    **POD_MESSAGES,
    "ObjectMeta": _METADATA,
    "Owner": {
        1: ("kind", "text"), 3: ("name", "text"), 4: ("uid", "text"), 5: ("apiVersion", "text"),
        6: ("controller", "bool"), 7: ("blockOwnerDeletion", "bool"),
    },
    "LabelSelector": {1: ("matchLabels", "map"), 2: ("matchExpressions", "[Expression]")},
    "Expression": {1: ("key", "text"), 2: ("operator", "text"), 3: ("values", "[text]")},
    # authentication/v1
    "TokenRequest": {1: ("metadata", "ObjectMeta"), 2: ("spec", "TokenRequestSpec")},
    "TokenRequestSpec": {
        1: ("audiences", "[text]"), 3: ("boundObjectRef", "Bound"), 4: ("expirationSeconds", "int"),
    },
    "Bound": {
        1: ("kind", "text"), 2: ("apiVersion", "text"), 3: ("name", "text"), 4: ("uid", "text"),
    },
    "TokenReview": {1: ("metadata", "ObjectMeta"), 2: ("spec", "TokenReviewSpec")},
    "TokenReviewSpec": {1: ("token", "text"), 2: ("audiences", "[text]")},
    "SelfSubjectReview": {1: ("metadata", "ObjectMeta")},
    # authorization/v1
    "SelfSubjectAccessReview": {1: ("metadata", "ObjectMeta"), 2: ("spec", "Access")},
    "Access": {
        1: ("resourceAttributes", "Attributes"), 2: ("nonResourceAttributes", "PathAttributes"),
    },
    "SubjectAccessReview": {1: ("metadata", "ObjectMeta"), 2: ("spec", "SubjectAccess")},
    "LocalSubjectAccessReview": {1: ("metadata", "ObjectMeta"), 2: ("spec", "SubjectAccess")},
    "SubjectAccess": {
        1: ("resourceAttributes", "Attributes"), 2: ("nonResourceAttributes", "PathAttributes"),
        3: ("user", "text"), 4: ("groups", "[text]"), 6: ("uid", "text"),
    },
    "Attributes": {
        1: ("namespace", "text"), 2: ("verb", "text"), 3: ("group", "text"),
        4: ("version", "text"), 5: ("resource", "text"), 6: ("subresource", "text"),
        7: ("name", "text"),
    },
    "PathAttributes": {1: ("path", "text"), 2: ("verb", "text")},
    "SelfSubjectRulesReview": {1: ("metadata", "ObjectMeta"), 2: ("spec", "RulesSpec")},
    "RulesSpec": {1: ("namespace", "text")},
    # rbac/v1
    "Role": {1: ("metadata", "ObjectMeta"), 2: ("rules", "[PolicyRule]")},
    "ClusterRole": {
        1: ("metadata", "ObjectMeta"), 2: ("rules", "[PolicyRule]"),
        3: ("aggregationRule", "AggregationRule"),
    },
    "AggregationRule": {1: ("clusterRoleSelectors", "[LabelSelector]")},
    "PolicyRule": {
        1: ("verbs", "[text]"), 2: ("apiGroups", "[text]"), 3: ("resources", "[text]"),
        4: ("resourceNames", "[text]"), 5: ("nonResourceURLs", "[text]"),
    },
    "RoleBinding": {
        1: ("metadata", "ObjectMeta"), 2: ("subjects", "[Subject]"), 3: ("roleRef", "RoleRef"),
    },
    "ClusterRoleBinding": {
        1: ("metadata", "ObjectMeta"), 2: ("subjects", "[Subject]"), 3: ("roleRef", "RoleRef"),
    },
    "Subject": {
        1: ("kind", "text"), 2: ("apiGroup", "text"), 3: ("name", "text"), 4: ("namespace", "text"),
    },
    "RoleRef": {1: ("apiGroup", "text"), 2: ("kind", "text"), 3: ("name", "text")},
    # meta/v1
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "int"), 2: ("preconditions", "Preconditions"),
        3: ("orphanDependents", "bool"), 4: ("propagationPolicy", "text"), 5: ("dryRun", "[text]"),
    },
    "Preconditions": {1: ("uid", "text"), 2: ("resourceVersion", "text")},
    # core/v1
    "ServiceAccount": {
        1: ("metadata", "ObjectMeta"), 3: ("imagePullSecrets", "[LocalReference]"),
        4: ("automountServiceAccountToken", "bool"),
    },
    "LocalReference": {1: ("name", "text")},
    "Namespace": {1: ("metadata", "ObjectMeta")},
    "Service": {1: ("metadata", "ObjectMeta"), 2: ("spec", "ServiceSpec")},
    "ServiceSpec": {
        1: ("ports", "[ServicePort]"), 2: ("selector", "map"), 3: ("clusterIP", "text"),
        4: ("type", "text"), 5: ("externalIPs", "[text]"), 7: ("sessionAffinity", "text"),
        8: ("loadBalancerIP", "text"), 10: ("externalName", "text"),
        11: ("externalTrafficPolicy", "text"), 17: ("ipFamilyPolicy", "text"),
        18: ("clusterIPs", "[text]"), 19: ("ipFamilies", "[text]"),
        22: ("internalTrafficPolicy", "text"),
    },
    "ServicePort": {
        1: ("name", "text"), 2: ("protocol", "text"), 3: ("port", "int"),
        4: ("targetPort", "port"), 5: ("nodePort", "number"), 6: ("appProtocol", "text"),
    },
    "ConfigMap": {
        1: ("metadata", "ObjectMeta"), 2: ("data", "map"), 3: ("binaryData", "bytes-map"),
        4: ("immutable", "bool"),
    },
    "Secret": {
        1: ("metadata", "ObjectMeta"), 2: ("data", "bytes-map"), 3: ("type", "text"),
        4: ("stringData", "map"), 5: ("immutable", "bool"),
    },
}  # fmt: skip
KINDS: Final = frozenset({
    "TokenRequest", "TokenReview", "SelfSubjectReview", "SelfSubjectAccessReview",
    "SubjectAccessReview", "LocalSubjectAccessReview", "SelfSubjectRulesReview", "Role",
    "ClusterRole", "RoleBinding", "ClusterRoleBinding", "ServiceAccount", "Namespace", "ConfigMap",
    "Secret", "Service", "Pod", "DeleteOptions",
})  # fmt: skip


class Unreadable(ValueError):
    """These bytes are no such message."""


def document(body: bytes, kind: str) -> dict[str, Any]:
    """The object as JSON has it; `kind` is one of `KINDS`. `Unreadable`."""
    if not body.startswith(MAGIC):
        raise Unreadable("it does not begin as Kubernetes' protobuf does")
    read: dict[str, Any] = {}
    raw = b""
    for number, value in _fields(body[len(MAGIC) :]):
        if number == 1:
            for inner, text in _fields(_data(value)):
                name = {1: "apiVersion", 2: "kind"}.get(inner)
                if name is not None:
                    read[name] = _text(text)
        elif number == 2:
            raw = _data(value)
    return {**read, **_message(raw, _MESSAGES[kind])}


def _message(data: bytes, fields: Fields) -> dict[str, Any]:
    """What is empty is left out, as a Go client leaves it out of JSON; a message that is there stays."""
    read: dict[str, Any] = {}
    for number, value in _fields(data):
        name, what = fields.get(number, ("", ""))
        if what.startswith("*"):
            read |= _message(_data(value), _MESSAGES[what[1:]])
            continue
        if not name:
            continue
        if what in _MAPS:
            key, below = _entry(_data(value))
            read.setdefault(name, {})[key] = _MAPS[what](below)
        elif what.startswith("["):
            read.setdefault(name, []).append(_value(value, what[1:-1]))
        else:
            one = _value(value, what)
            if one not in ("", None) and (one or what not in ("number", "flag")):
                read[name] = one
    return read


def _value(value: int | bytes, what: str) -> Any:
    plain = _PLAIN.get(what)
    return plain(value) if plain is not None else _message(_data(value), _MESSAGES[what])


def _entry(data: bytes) -> tuple[str, bytes]:
    found = dict(_fields(data))
    return _text(found.get(1, b"")), _data(found.get(2, b""))


def _time(value: int | bytes) -> str | None:
    """Seconds since 1970; the moment that Go calls zero is none."""
    seconds = _int(dict(_fields(_data(value))).get(1, 0))
    if seconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError) as error:
        raise Unreadable("a time that no calendar has") from error


def _text(value: int | bytes) -> str:
    try:
        return _data(value).decode()
    except UnicodeDecodeError as error:
        raise Unreadable("a text that is not UTF-8") from error


def _int(value: int | bytes) -> int:
    """An int64: negative ones are written as if they were very large."""
    if not isinstance(value, int):
        raise Unreadable("no number where one should be")
    return value - (1 << 64) if value >= 1 << 63 else value


def _port(value: int | bytes) -> str | int | None:
    """A number or a name; the number 0 is none."""
    found = dict(_fields(_data(value)))
    if found.get(1):
        return _text(found.get(3, b""))
    return _int(found.get(2, 0)) or None


def _quantity(value: int | bytes) -> str:
    return _text(dict(_fields(_data(value))).get(1, b""))


def _data(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise Unreadable("a number where none should be")
    return value


_PLAIN: Final[Mapping[str, Callable[[int | bytes], Any]]] = {
    "text": _text,
    "int": _int,
    "number": _int,
    "port": _port,
    "quantity": _quantity,
    "flag": lambda value: bool(_int(value)),
    "bool": lambda value: bool(_int(value)),
    "time": _time,
}


_MAPS: Final[Mapping[str, Callable[[bytes], str]]] = {
    "map": _text,
    "bytes-map": lambda value: base64.b64encode(value).decode(),
    "quantity-map": _quantity,
}


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field: protobuf's wire format."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise Unreadable(f"a field of the wire type {wire}")
        if at + length > len(data):
            raise Unreadable("it ends in the middle of a field")
        if wire == 2:
            yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise Unreadable("it ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & ((1 << 64) - 1), at
    raise Unreadable("a number that is too long")
