"""Reading and writing objects as a Kubernetes API server does.

Decoding takes two looks at a document: one that finds *every* unknown and duplicate field (what
`fieldValidation=Strict` promises), and msgspec's own, which makes the typed object. In between the document
is put into the shape that Go's decoder would accept: null is absent, an absent required string is empty
(validation will say so, not the decoder), a quantity may be a number.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from lightkube.models import coordination_v1, core_v1

from podward.api import protobuf
from podward.api.errors import ApiStatusError, bad_request, status_error
from podward.api.scheme import SCHEME, Resource
from podward.api.yaml_loader import ManifestError, load_one

FieldValidation = Literal["Strict", "Warn", "Ignore"]

_YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")


def decode(
    body: bytes, content_type: str, resource: Resource, field_validation: FieldValidation
) -> tuple[Any, list[str]]:
    """The object in `body`, and warnings; 400 for what cannot be read, 415 for other formats."""
    media = (content_type or "application/json").partition(";")[0].strip().lower()
    duplicates: list[str] = []
    if media in _YAML_TYPES:
        try:
            document: Any = load_one(body)
        except ManifestError as error:
            raise bad_request(f"error converting YAML to JSON: {error}") from None
    elif media in ("application/json", "*/*", "application/*"):
        document = _parse_json(body, duplicates)
    elif media == protobuf.MEDIA_TYPE and resource.kind in protobuf.KINDS:
        try:
            document = protobuf.document(body, resource.kind)
        except protobuf.Unreadable as error:
            raise bad_request(f"cannot read the protobuf: {error}") from None
    else:
        raise status_error(
            415,
            "UnsupportedMediaType",
            f"the body of the request was in an unknown format - {media} - accepted media types "
            "include: application/json, application/yaml",
        )
    return decode_builtins(document, resource, field_validation, duplicates)


def decode_builtins(
    document: Any,
    resource: Resource,
    field_validation: FieldValidation,
    duplicates: list[str] | None = None,
    base: Mapping[str, Any] | None = None,
) -> tuple[Any, list[str]]:
    """The same from a parsed document (after a patch); `duplicates` are paths seen twice by the parser.

    `base`: a stored document from which this one was made. Its own values, still the same objects, are good.
    """
    if not isinstance(document, dict):
        raise bad_request(
            f"couldn't get version/kind; json parse error: not an object: {document!r}"
        )
    _check_kind(document, resource)
    untouched = {k: v for k, v in document.items() if base is not None and base.get(k) is v}
    changed = {k: v for k, v in document.items() if k not in untouched} if untouched else document
    strays: list[str] = []
    wrong: _NotText | None = None
    shaped: dict[str, Any] = {}
    try:
        shaped = _go_shape(changed, resource.type, strays) | untouched
    except _NotText as error:
        wrong = error
    problems: list[str] = []
    if field_validation != "Ignore":
        problems = [f'duplicate field "{path}"' for path in duplicates or ()]
        if strays or wrong is not None:
            problems += [f'unknown field "{p}"' for p in _unknown(document, resource.type, "")]
    if problems and field_validation == "Strict":
        raise _cannot_be_handled(resource, f"strict decoding error: {', '.join(problems)}")
    if wrong is not None:
        raise _cannot_be_handled(resource, wrong.go_text(resource))
    try:
        return msgspec.convert(shaped, resource.type), problems
    except msgspec.ValidationError as error:
        raise _cannot_be_handled(resource, _go_type_error(error, document, resource)) from None


def decode_stored(value: bytes, resource: Resource) -> Any:
    """What `encode` wrote."""
    return msgspec.json.decode(value, type=resource.type)


def encode(obj: Any) -> bytes:
    """Canonical JSON: apiVersion and kind first, moments in whole seconds, Go's nulls where Go has them."""
    return encode_as(obj, SCHEME.of_type(type(obj)))


def encode_as(obj: Any, row: Resource) -> bytes:
    """The same of an object that is no row of the scheme."""
    document: dict[str, Any] = {"apiVersion": row.api_version, "kind": row.kind}
    document |= msgspec.to_builtins(obj, builtin_types=(datetime,))
    document["apiVersion"], document["kind"] = row.api_version, row.kind
    if isinstance(obj, core_v1.Event):
        _event_shape(document)
    elif isinstance(obj, core_v1.Pod):
        document.setdefault("status", {})
        for condition in document["status"].get("conditions", ()):
            condition.setdefault("lastProbeTime", None)
    encoded = _ENCODER.encode(document)
    if _has_micro_time(obj) or _ODD_TIME.search(encoded):
        return _ENCODER.encode(_texts(document))
    return encoded


_ENCODER = msgspec.json.Encoder()
_ODD_TIME = re.compile(rb"T\d\d:\d\d:\d\d[^Z]")
"""A moment that is not whole seconds of UTC, or a text that looks like one: then each is looked at."""


def _has_micro_time(obj: Any) -> bool:
    if isinstance(obj, core_v1.Event):
        return obj.eventTime is not None or obj.series is not None
    return isinstance(obj, coordination_v1.Lease)


_MICRO_FIELDS = ("eventTime", "renewTime", "acquireTime", "lastObservedTime")


def _texts(value: Any, name: str = "") -> Any:
    """`metav1.Time` is written in whole seconds, `metav1.MicroTime` with exactly six digits."""
    if isinstance(value, dict):
        return {k: _texts(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_texts(v) for v in value]
    if isinstance(value, datetime):
        value = value.astimezone(UTC)
        if name in _MICRO_FIELDS:
            return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return value


def _event_shape(document: dict[str, Any]) -> None:
    for name in ("firstTimestamp", "lastTimestamp", "eventTime"):
        document.setdefault(name, None)
    document.setdefault("source", {})
    document.setdefault("reportingComponent", "")
    document.setdefault("reportingInstance", "")


# ---- what a client sent


def _parse_json(body: bytes, duplicates: list[str]) -> Any:
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {error}") from None
    except UnicodeDecodeError as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {error}") from None
    if _repeats_a_name(body, document):
        duplicates += _duplicate_paths(body)
    return document


def _repeats_a_name(body: bytes, document: Any) -> bool:
    """Cheap test: a document without repeated names has as many names as its text has `":`s at most."""
    return body.count(b'":') + body.count(b'" :') != _count_names(document) or b"\\u" in body


def _count_names(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_count_names(v) for v in value.values())
    if isinstance(value, list):
        return sum(_count_names(v) for v in value)
    return 0


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written, repeated names included."""


def _duplicate_paths(body: bytes) -> list[str]:
    return list(_walk_pairs(json.loads(body, object_pairs_hook=_Pairs), ""))


def _walk_pairs(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for name, below in value:
            here = f"{path}.{name}" if path else name
            if name in seen:
                yield here
            seen.add(name)
            yield from _walk_pairs(below, here)
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _walk_pairs(below, f"{path}[{index}]")


def _check_kind(document: dict[str, Any], resource: Resource) -> None:
    version, kind = document.get("apiVersion"), document.get("kind")
    if version in (None, "") and kind in (None, ""):
        return  # the URL says what it is
    if kind != resource.kind or version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) or its kind ({kind}) does not match the expected "
            f"API version ({resource.api_version}) and kind ({resource.kind})"
        )


def _cannot_be_handled(resource: Resource, why: str) -> ApiStatusError:
    return bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a '
        f"{resource.kind}: {why}"
    )


# ---- types


Shape = Callable[[Any], Any]


class _Field(msgspec.Struct, frozen=True):
    hint: Any
    struct: type[msgspec.Struct] | None
    container: Literal["", "list", "dict"]
    required_text: bool
    shape: Shape | None
    """What puts a value that is no Struct into shape."""


@cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, _Field]:
    hints = get_type_hints(struct)
    found = {}
    for info in msgspec.structs.fields(struct):
        hint = _without_none(hints[info.name])
        container, inner = _unwrapped(hint)
        found[info.encode_name] = _Field(
            hint=hint,
            struct=inner if isinstance(inner, type) and issubclass(inner, msgspec.Struct) else None,
            container=container,
            required_text=info.required and hint is str,
            shape=_shape(info.encode_name, inner),
        )
    return found


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, UnionType):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        return inner[0] if len(inner) == 1 else hint
    return hint


def _unwrapped(hint: Any) -> tuple[Literal["", "list", "dict"], Any]:
    if get_origin(hint) is list and get_args(hint):
        return "list", _without_none(get_args(hint)[0])
    if get_origin(hint) is dict and get_args(hint):
        return "dict", _without_none(get_args(hint)[1])
    return "", hint


def _unknown(value: Any, struct: type[msgspec.Struct], path: str) -> Iterator[str]:
    """Paths of fields that the type does not have, in the order of the document."""
    if not isinstance(value, dict):
        return
    fields = _fields(struct)
    for name, below in value.items():
        here = f"{path}.{name}" if path else name
        known = fields.get(name)
        if known is None:
            yield here
        elif known.struct is not None:
            if known.container == "list" and isinstance(below, list):
                for index, element in enumerate(below):
                    yield from _unknown(element, known.struct, f"{here}[{index}]")
            elif known.container == "dict" and isinstance(below, dict):
                for key, element in below.items():
                    yield from _unknown(element, known.struct, f"{here}.{key}")
            elif known.container == "":
                yield from _unknown(below, known.struct, here)


_QUANTITY_MAPS = (
    "requests",
    "limits",
    "capacity",
    "allocatable",
    "overhead",
    "hard",
    "used",
    "default",
)
_TEXT_MAPS = (
    "labels",
    "annotations",
    "nodeSelector",
    "matchLabels",
    "data",
    "stringData",
    "binaryData",
)
"""Maps of text to text, which lightkube leaves untyped."""
_QUANTITY_FIELDS = ("sizeLimit", "divisor")


class _NotText(ValueError):
    """A map of texts holds something else."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.names: list[str] = []
        """The way to it, filled in by those that it passes on its way out."""
        self._value = value

    def go_text(self, resource: Resource) -> str:
        kinds = {bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
        owner = _owner(resource.type, self.names)
        return (
            f"json: cannot unmarshal {kinds.get(type(self._value), 'value')} into Go struct field "
            f"{owner}.{'.'.join(self.names)} of type string"
        )


def _texts_only(value: Any) -> Any:
    """null is Go's zero value, the empty text."""
    if not isinstance(value, dict):
        return value
    for below in value.values():
        if below is not None and not isinstance(below, str):
            raise _NotText(below)
    return {key: below or "" for key, below in value.items()}


def _go_shape(value: Any, struct: type[msgspec.Struct], strays: list[str]) -> Any:
    """As Go's decoder leaves it: nulls gone, required strings there, numbers where quantities go as text.

    Fields that the type does not have are left out; `strays` tells that there were some.
    """
    if not isinstance(value, dict):
        return value
    fields = _fields(struct)
    shaped: dict[str, Any] = {}
    for name, below in value.items():
        known = fields.get(name)
        if known is None:
            strays.append(name)
        elif below is None:
            continue
        elif known.struct is None and known.shape is None:
            shaped[name] = below
        else:
            try:
                shaped[name] = _shaped(known, below, strays)
            except _NotText as error:
                error.names.insert(0, name)
                raise
    for name, zero in _zeros(struct):
        shaped.setdefault(name, zero)
    return shaped


def _shaped(field: _Field, value: Any, strays: list[str]) -> Any:
    if field.struct is None:
        return field.shape(value) if field.shape is not None else value
    if field.container == "list" and isinstance(value, list):
        return [_go_shape(element, field.struct, strays) for element in value]
    if field.container == "dict" and isinstance(value, dict):
        return {key: _go_shape(element, field.struct, strays) for key, element in value.items()}
    return _go_shape(value, field.struct, strays)


@cache
def _zeros(struct: type[msgspec.Struct]) -> list[tuple[str, Any]]:
    """What stands where a required field is missing."""
    fields = _fields(struct)
    empty = _REQUIRED_EMPTY.get(struct.__name__, {})
    zeros = [(name, "") for name, field in fields.items() if field.required_text]
    return zeros + [(name, empty[name]) for name in fields if name in empty]


_REQUIRED_EMPTY: dict[str, dict[str, Any]] = {
    "PodSpec": {"containers": []},
    "ContainerPort": {"containerPort": 0},
    "HTTPGetAction": {"port": 0},
    "TCPSocketAction": {"port": 0},
    "GRPCAction": {"port": 0},
    "SleepAction": {"seconds": 0},
    "Event": {"metadata": {}, "involvedObject": {}},
    "NodeSelector": {"nodeSelectorTerms": []},
    "ContainerRestartRule": {},
    "ISCSIVolumeSource": {"lun": 0},
    "RBDVolumeSource": {"monitors": []},
    "CephFSVolumeSource": {"monitors": []},
    "PersistentVolumeClaimTemplate": {"spec": {}},
    "MutatingWebhook": {"admissionReviewVersions": [], "clientConfig": {}},
    "ValidatingWebhook": {"admissionReviewVersions": [], "clientConfig": {}},
    "PolicyRule": {"verbs": []},
    "RoleBinding": {"roleRef": {"kind": "", "name": ""}},
    "ClusterRoleBinding": {"roleRef": {"kind": "", "name": ""}},
    "SubjectAccessReview": {"spec": {}},
    "LocalSubjectAccessReview": {"spec": {}},
    "SelfSubjectAccessReview": {"spec": {}},
    "SelfSubjectRulesReview": {"spec": {}},
    "TokenReview": {"spec": {"token": ""}},
    "SubjectAccessReviewStatus": {"allowed": False},
    "SubjectRulesReviewStatus": {
        "incomplete": False,
        "nonResourceRules": [],
        "resourceRules": [],
    },
}
"""Fields that the Structs require and are no strings: what Go's zero value is."""


def _shape(name: str, inner: Any) -> Shape | None:
    if name in _TEXT_MAPS:
        return _texts_only
    if inner is str or inner is dict:  # lightkube leaves quantity maps untyped
        if name in _QUANTITY_MAPS:
            return _number_texts
        if name in _QUANTITY_FIELDS:
            return _number_text
    return None


def _number_texts(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _number_text(element) for key, element in value.items()}


def _number_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


# ---- wrong types, as Go's decoder words them

_MSGSPEC_ERROR = re.compile(r"Expected `([^`]+)`(?:, got `([^`]+)`)?.* - at `(.*)`$")

_GO_JSON_KINDS = {
    "str": "string",
    "int": "number",
    "float": "number",
    "bool": "bool",
    "array": "array",
    "object": "object",
}


def _go_type_error(
    error: msgspec.ValidationError, document: dict[str, Any], resource: Resource
) -> str:
    match = _MSGSPEC_ERROR.search(str(error))
    if match is None:
        text, _, path = str(error).rpartition(" - at ")
        return f"json: cannot unmarshal {path.strip('`').removeprefix('$.')}: {text or error}"
    expected, got, path = match.groups()
    names = re.findall(r"\.([A-Za-z0-9_]+)", path)
    kind = _GO_JSON_KINDS.get(got or "", got or "value")
    owner = _owner(resource.type, names)
    return (
        f"json: cannot unmarshal {kind} into Go struct field "
        f"{owner}.{'.'.join(names)} of type {_go_type(expected, names)}"
    )


def _owner(struct: type[msgspec.Struct], names: list[str]) -> str:
    """The name of the type that holds the last field."""
    current = struct
    for name in names[:-1]:
        field = _fields(current).get(name)
        if field is None or field.struct is None:
            break
        current = field.struct
    return current.__name__


_INT64_FIELDS = frozenset(
    [
        "terminationGracePeriodSeconds",
        "activeDeadlineSeconds",
        "generation",
        "observedGeneration",
        "runAsUser",
        "runAsGroup",
        "fsGroup",
        "tolerationSeconds",
        "deletionGracePeriodSeconds",
        "expirationSeconds",
        "seconds",
    ]
)


def _go_type(expected: str, names: list[str]) -> str:
    alternatives = [part for part in expected.split(" | ") if part != "null"]
    if alternatives == ["int"]:
        return "int64" if names and names[-1] in _INT64_FIELDS else "int32"
    go = {"str": "string", "bool": "bool", "array": "[]", "object": "map", "float": "float64"}
    return " or ".join(go.get(part, part) for part in alternatives)
