"""What is the same thing in another spelling. Pure.

Both sides of a comparison are completed as the API server completes a Pod (spec/podpreset.md 1), for the one
may have been through a server and the other not. Then they are reduced to what they mean:

    compat   as Go compares typed values: a field that is a plain text, number or bool in Go and has its zero
             value is absent; behind a pointer (`optional`, `defaultMode` ...) zero is a value of its own; an
             empty list is not an absent one; quantities are what is written
    safe     as the API means them: null, [], {}, false and "" are absent wherever absence means the same,
             quantities are numbers, and a mount path is what it leads to

Documents stay dicts throughout, and fields that this Podward does not know are compared as they are written.
"""

import hashlib
import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_type_hints

import msgspec
from lightkube.models import core_v1, meta_v1

from podward.admission.plugins.pod_preset.model import Document, Mode
from podward.api.codec import decode_builtins
from podward.api.defaults import set_defaults
from podward.api.errors import ApiStatusError
from podward.api.merge_keys import struct_below
from podward.api.scheme import SCHEME
from podward.machinery.quantity import QuantityError, parse_quantity

ListName = Literal["env", "envFrom", "volumes", "volumeMounts"]
LIST_NAMES: tuple[ListName, ...] = get_args(ListName)

STRUCTS: dict[ListName, type[msgspec.Struct]] = {
    "env": core_v1.EnvVar,
    "envFrom": core_v1.EnvFromSource,
    "volumes": core_v1.Volume,
    "volumeMounts": core_v1.VolumeMount,
}
_POD = SCHEME.of_type(core_v1.Pod)


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a preset, made ready to be compared once and for all."""

    list: ListName
    raw: Document
    """As it is written in the preset: nobody may change it, a Pod gets a copy."""
    identity: str
    """What it is the same thing by, in safe mode."""
    safe: Any
    compat: Any

    def same_as(self, other: Any, mode: Mode) -> bool:
        """Whether `other`, an item of a Pod, means the same."""
        if self.raw == other:
            return True
        mine = self.safe if mode == "safe" else self.compat
        return bool(mine == meaning(self.list, other, mode))


def item_of(name: ListName, raw: Document) -> Item:
    full = completed(name, raw)
    struct = STRUCTS[name]
    return Item(
        name,
        raw,
        identity(name, raw),
        _safe_paths(name, _reduced(full, struct, "safe")),
        _reduced(full, struct, "compat"),
    )


def items_of(name: ListName, raw: Any) -> tuple[Item, ...]:
    return tuple(item_of(name, item) for item in documents(raw))


def documents(raw: Any) -> list[Document]:
    """The objects of a list; of null, or of anything else that is no list, none."""
    if not isinstance(raw, list):
        return []
    return [item for item in raw if isinstance(item, dict)]


def identity(name: ListName, item: Any) -> str:
    """By what an item is told apart from its neighbours in safe mode; empty for what is no item."""
    if not isinstance(item, dict):
        return ""
    if name == "envFrom":
        return source_identity(item)
    found = item.get("mountPath" if name == "volumeMounts" else "name")
    if not isinstance(found, str):
        return ""
    return clean_path(found) if name == "volumeMounts" else found


def source_identity(item: Mapping[str, Any]) -> str:
    """`configMap:flags`, `PFX_@secret:keys`."""
    sources = [
        f"{field.removesuffix('Ref')}:{_text(item[field], 'name')}"
        for field in ("configMapRef", "secretRef")
        if isinstance(item.get(field), dict)
    ]
    prefix = _text(item, "prefix")
    return (f"{prefix}@" if prefix else "") + "+".join(sources)


def clean_path(path: str) -> str:
    """Where it leads to from the container's root."""
    return posixpath.normpath("/" + path.lstrip("/")) if path else ""


def meaning(name: ListName, item: Any, mode: Mode) -> Any:
    """What two items have in common that mean the same."""
    if not isinstance(item, dict):
        return item
    return _safe_paths(name, _reduced(completed(name, item), STRUCTS[name], mode), mode)


def fingerprint(value: Any) -> str:
    """Twelve hex digits for a value that must not be shown."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _text(item: Mapping[str, Any], field: str) -> str:
    value = item.get(field)
    return value if isinstance(value, str) else ""


def _safe_paths(name: ListName, value: Any, mode: Mode = "safe") -> Any:
    if mode == "safe" and name == "volumeMounts" and isinstance(value.get("mountPath"), str):
        return value | {"mountPath": clean_path(value["mountPath"])}
    return value


# ---- completed: with what the API server fills in


def completed(name: ListName, item: Document) -> Document:
    """A copy of `item` as a Pod would have it; as it is if it is not what a Pod can hold."""
    spec: Document = {"containers": []}
    if name == "volumes":
        spec["volumes"] = [item]
    else:
        spec["containers"] = [{"name": "x", name: [item]}]
    try:
        pod, _ = decode_builtins({"spec": spec}, _POD, "Ignore")
    except ApiStatusError:
        return item
    found = set_defaults(pod).spec
    owner = found if name == "volumes" else found.containers[0]
    full: Document = with_unknown(msgspec.to_builtins(getattr(owner, name)[0]), item)
    return full


def with_unknown(full: Any, raw: Any) -> Any:
    """`full`, and what of `raw` the types do not know."""
    if isinstance(full, dict) and isinstance(raw, dict):
        result = {name: with_unknown(below, raw.get(name)) for name, below in full.items()}
        missing = {k: v for k, v in raw.items() if v is not None and k not in full}
        return result | missing
    if isinstance(full, list) and isinstance(raw, list) and len(full) == len(raw):
        return [with_unknown(a, b) for a, b in zip(full, raw, strict=True)]
    return full


# ---- reduced: to what it means

_POINTERS: dict[str, frozenset[str]] = {
    struct: frozenset(fields.split())
    for struct, fields in {
        "AzureDiskVolumeSource": "cachingMode fsType kind readOnly",
        "CSIVolumeSource": "fsType readOnly",
        "ClusterTrustBundleProjection": "name optional signerName",
        "ConfigMapEnvSource": "optional",
        "ConfigMapKeySelector": "optional",
        "ConfigMapProjection": "optional",
        "ConfigMapVolumeSource": "defaultMode optional",
        "DownwardAPIVolumeFile": "mode",
        "DownwardAPIVolumeSource": "defaultMode",
        "EmptyDirVolumeSource": "sizeLimit",
        "FCVolumeSource": "lun",
        "FileKeySelector": "optional",
        "HostPathVolumeSource": "type",
        "ISCSIVolumeSource": "initiatorName",
        "KeyToPath": "mode",
        "PersistentVolumeClaimSpec": "storageClassName volumeAttributesClassName volumeMode",
        "PodCertificateProjection": "maxExpirationSeconds",
        "ProjectedVolumeSource": "defaultMode",
        "SecretEnvSource": "optional",
        "SecretKeySelector": "optional",
        "SecretProjection": "optional",
        "SecretVolumeSource": "defaultMode optional",
        "ServiceAccountTokenProjection": "expirationSeconds",
        "TypedLocalObjectReference": "apiGroup",
        "TypedObjectReference": "apiGroup namespace",
        "VolumeMount": "mountPropagation recursiveReadOnly",
    }.items()
}
"""Scalars that Go holds behind a pointer, and so can tell from absent ones when they are zero."""

_PLAIN_STRUCTS = {
    ("PersistentVolumeClaimTemplate", "metadata"),
    ("PersistentVolumeClaimTemplate", "spec"),
    ("PersistentVolumeClaimSpec", "resources"),
}
"""Structs that Go does not hold behind a pointer: empty is absent."""

_UNIONS = frozenset({"EnvFromSource", "EnvVar", "EnvVarSource", "Volume", "VolumeProjection"})
"""Where it matters which member is there, be it empty."""

_EMPTY_MATTERS = frozenset({"storageClassName", "volumeAttributesClassName"})
"""An empty text says: none at all. Absent: the default one."""

_SAID_IS_ABSENT = {
    ("VolumeMount", "mountPropagation"): ("None",),
    ("VolumeMount", "recursiveReadOnly"): ("Disabled",),
    ("ResourceFieldSelector", "divisor"): ("0", "1"),
}
"""Values by which nothing is said that absence does not say."""

_QUANTITIES = frozenset({"sizeLimit", "divisor"})
_QUANTITY_MAPS = frozenset({"requests", "limits"})


def _reduced(value: Document, struct: type[msgspec.Struct], mode: Mode) -> Document:
    return {
        field: below
        for field, raw in value.items()
        if raw is not None and (below := _field(raw, field, struct, mode)) is not None
    }


def _field(value: Any, field: str, struct: type[msgspec.Struct], mode: Mode) -> Any:
    """What a field means; None if it means nothing."""
    children = _children(struct)
    if field not in children:
        return value
    child, owner = children[field], struct.__name__
    if child is not None and isinstance(value, dict):
        below = _reduced(value, child, mode)
        if mode == "compat":
            return below if below or (owner, field) not in _PLAIN_STRUCTS else None
        return below if below or owner in _UNIONS or child is meta_v1.LabelSelector else None
    if child is not None and isinstance(value, list):
        value = [_reduced(v, child, mode) if isinstance(v, dict) else v for v in value]
    if isinstance(value, list | dict):
        if mode == "compat":
            return value
        if field in _QUANTITY_MAPS and isinstance(value, dict):
            value = {name: _number(text) for name, text in value.items()}
        return value or None
    return _scalar(value, field, owner, mode)


def _scalar(value: Any, field: str, owner: str, mode: Mode) -> Any:
    pointer = field in _POINTERS.get(owner, ())
    if mode == "compat":
        return value if value or pointer else None
    if field in _QUANTITIES:
        value = _number(value)
    if value in _SAID_IS_ABSENT.get((owner, field), ()):
        return None
    if value or field in _EMPTY_MATTERS:
        return value
    return value if pointer and type(value) is int else None


def _number(text: Any) -> Any:
    """A quantity as the number that it is."""
    try:
        return f"{parse_quantity(str(text)).normalize():f}"
    except QuantityError:
        return text


@cache
def _children(struct: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct] | None]:
    """The fields of a type, and of which type their values or elements are."""
    hints = get_type_hints(struct)
    return {f.encode_name: struct_below(hints[f.name]) for f in msgspec.structs.fields(struct)}
